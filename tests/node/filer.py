"""What was written at the S3 server, as its own metadata log says: bucket settings, identities, policies, objects.

A setting written again as it was is in it too, for encryption, lifecycle, ownership and tags; not for versioning, a bucket's policy
and the attachment of a user's policy, which this server leaves alone when they are the same. Those requests are counted at the
store's client, in tests/stores.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.node.harness import Product
from tools.devcluster import build, netns, store

SETTINGS = "/buckets"
IDENTITIES = "/etc/iam"


@dataclass(frozen=True)
class Change:
    """One entry of the server's metadata, written, replaced or removed."""

    directory: str
    name: str

    @property
    def of_the_administrator(self) -> bool:
        """A bucket's settings or anything of identities, which no tenant writes; not objects, which Milvus does."""
        return self.directory == SETTINGS or self.directory.startswith(IDENTITIES)


def now() -> int:
    """A mark to look at changes from, in nanoseconds."""
    return time.time_ns()


def changes(product: Product, *, since: int) -> list[Change]:
    """Everything written at the server since a mark, until a second ago."""
    ago = (time.time_ns() - since) // 10**9 + 5
    command = [
        "nsenter",
        f"--net={netns.path(product.name)}",
        "--",
        str(build.of_environment("weed")),
        "filer.meta.tail",
        f"-filer={product.layout.address}:{store.FILER_PORT}",
        f"-timeAgo={ago}s",
        "-untilTimeAgo=1s",  # with 0 it would go on for ever
    ]
    directory = product.layout.store  # its security.toml lets in
    environment = {**os.environ, "HOME": str(directory / "home")}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [_change(event) for event in _events(done.stdout) if int(event["tsNs"]) > since]


def _events(text: str) -> Iterator[dict[str, Any]]:
    decoder, place = json.JSONDecoder(), 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        event, place = decoder.raw_decode(text, place)
        yield event


def _change(event: dict[str, Any]) -> Change:
    said = event["eventNotification"]
    entry = said.get("newEntry") or said.get("oldEntry") or {}
    return Change(directory=event["directory"], name=entry.get("name", ""))
