"""`python -m tools.devcluster.images list|build [NAME…]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.devcluster.images.build import ensure_all, planned
from tools.devcluster.images.errors import BuildFailed


def main(arguments: list[str]) -> int:
    """Run one command; 1 when an image could not be built."""
    parser = argparse.ArgumentParser(prog="python -m tools.devcluster.images", description=__doc__)
    parser.add_argument("--coredns", type=Path, metavar="BINARY", help="CoreDNS binary, to have its image too")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="images, and whether each is built for the checkout as it is")
    build = commands.add_parser("build", help="build what is missing")
    build.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "list":
            _list(chosen.coredns)
        else:
            for image in ensure_all(print, coredns=chosen.coredns, only=chosen.names or None):
                print(f"{image.name}  {image.digest}  {image.path}")
    except BuildFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _list(coredns: Path | None) -> None:
    for plan in planned(coredns=coredns):
        state = str(plan.path) if plan.present else f"not built, about {plan.seconds} s"
        print(f"{plan.image.key:10} {plan.image.name:45} {state}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
