"""A client in a process of its own that keeps connections open and calls on, and prints whenever what comes of it changes.

One connection for each token over gRPC, and one for each over REST, never made anew: what an open connection feels of a change.
Tokens pass by its input. It ends when its input does.
"""

import json
import sys
import threading
import time
from collections.abc import Callable

from tests.node.attempts import Door, RestRefused, outcome

PAUSE = 0.05


def over_grpc(door: Door, token: str) -> Callable[[], object]:
    client = door.client(token)
    return client.list_collections


def over_rest(door: Door, token: str) -> Callable[[], object]:
    line = door.line()
    headers = {"Authorization": f"Bearer {token}"}

    def call() -> None:
        line.request("GET", "/v1/vector/collections", headers=headers)
        answer = line.getresponse()
        said = answer.read().decode(errors="replace")
        if answer.status != 200:
            raise RestRefused(answer.status, said)

    return call


def watch(name: str, call: Callable[[], object]) -> None:
    before = ""
    while True:
        asked = time.time()
        seen = outcome(call)
        if seen != before:
            print(json.dumps([name, seen, asked]), flush=True)
            before = seen
        time.sleep(PAUSE)


def main() -> None:
    asked = json.loads(sys.stdin.readline())
    door = Door(asked)
    ways = {"grpc": over_grpc, "rest": over_rest}
    for name, token in asked["tokens"].items():
        for way, opened in ways.items():
            threading.Thread(target=watch, args=(f"{name} over {way}", opened(door, token)), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
