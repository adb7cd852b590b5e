"""Who can open a TCP connection to whom: one small program, run on hosts, on the node and in any pod that has Python 3."""

import json
import sys
from collections.abc import Iterable, Sequence

from tests.node.harness import Host, Pod, Product

Target = tuple[str, int]

KNOCK = """
import json, selectors, socket, sys, time
seconds, targets = json.load(sys.stdin)
answers, waiting = {}, selectors.DefaultSelector()
for address, port in targets:
    line = socket.socket()
    line.setblocking(False)
    code = line.connect_ex((address, port))
    if code in (0, 115):
        waiting.register(line, selectors.EVENT_WRITE, (address, port))
    else:
        answers[f"{address}:{port}"] = "refused"
end = time.monotonic() + seconds
while waiting.get_map() and time.monotonic() < end:
    for ready, _ in waiting.select(max(0, end - time.monotonic())):
        code = ready.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        answers["%s:%d" % ready.data] = "refused" if code else "open"
        waiting.unregister(ready.fileobj)
for key in list(waiting.get_map().values()):
    answers["%s:%d" % key.data] = "silent"
print(json.dumps(answers))
"""
KNOCK_BASH = """
knock() { if timeout "$1" bash -c ": </dev/tcp/$2/$3" 2>/dev/null; then echo "$2 $3"; fi; }
seconds=$1; shift
while [ $# -gt 0 ]; do knock "$seconds" "$1" "$2" & shift 2; done
wait
"""
"""The same for an image that holds no Python."""
SECONDS = 4.0
"""More than two SYNs lost to a busy machine; what a policy forbids is mostly refused at once."""


def opened(source: Product | Host | Pod, targets: Iterable[Target], *, seconds: float = SECONDS) -> set[Target]:
    """The targets that take a connection from `source`."""
    wanted: Sequence[Target] = sorted(set(targets))
    if isinstance(source, Pod) and source.name.startswith("milvus-"):
        words = [word for address, port in wanted for word in (address, str(port))]
        lines = source.run("bash", "-c", KNOCK_BASH, "knock", f"{seconds:.0f}", *words).split("\n")
        return {(address, int(port)) for address, port in (line.split() for line in lines if line)}
    python = "python3" if isinstance(source, Pod) else sys.executable
    said = json.loads(source.run(python, "-c", KNOCK, input=json.dumps([seconds, wanted])))
    assert len(said) == len(wanted), said
    return {(address, port) for address, port in wanted if said[f"{address}:{port}"] == "open"}
