"""The agent's command line: `gateway` is process 1 of a gateway pod; `door` is its supervised half, started by it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from zilliz_operator.agent import door
from zilliz_operator.agent.settings import Settings
from zilliz_operator.agent.supervisor import Supervisor


def main(argv: Sequence[str] | None = None) -> int:
    """Run a half of the agent; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["agent"]:
        del given[0]
    options = _parser().parse_args(given)
    settings = Settings(
        mounts=options.mounts,
        run=options.run,
        port=options.port,
        haproxy=options.haproxy,
        silent_seconds=options.silent_seconds,
    )
    return door.run(settings) if options.part == "door" else Supervisor(settings).run()


def _parser() -> argparse.ArgumentParser:
    usual = Settings()
    parser = argparse.ArgumentParser(prog="zilliz-operator agent", description="Beside HAProxy in a gateway pod.")
    parser.add_argument("part", choices=["gateway", "door"], help="gateway: process 1 of the pod")
    parser.add_argument("--mounts", type=Path, default=usual.mounts, help="what the kubelet mounts")
    parser.add_argument("--run", type=Path, default=usual.run, help="a private directory in memory")
    parser.add_argument("--port", type=int, default=usual.port, help="loopback port of the attestation")
    parser.add_argument("--haproxy", default=usual.haproxy, help="the HAProxy program")
    parser.add_argument(
        "--silent-seconds", type=float, default=usual.silent_seconds, help="replace an agent that is silent for so long"
    )
    return parser
