"""Every layer of tests, cheapest first, each reported. A layer that is missing or ran nothing is a failure, not a skip.

One pytest process a layer: a layer's clusters and servers end with it, and a slow layer's output does not bury a quick one's. The
node's layer mostly waits for pods, so the others run beside it, with the lower priority.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LAYERS = ("unit", "fake", "faults", "stores", "gateway", "apiserver", "node")
"""Directories of tests/, in the order they run."""
NODE = "node"
"""The layer that runs beside all others."""
NICE = 10
"""Of the layers beside the node's: what they take of the processors, a node's deadlines must not miss."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one layer came to."""

    layer: str
    passed: int
    failed: int
    seconds: float

    @property
    def good(self) -> bool:
        return self.passed > 0 and self.failed == 0


def count(output: str, what: str) -> int:
    """A number of pytest's closing line, such as `3 failed`."""
    closing = [
        line for line in output.splitlines() if re.search(r"\b(passed|failed|error|errors|no tests ran)\b.* in ", line)
    ]
    found = re.search(rf"(\d+) {what}", closing[-1]) if closing else None
    return int(found[1]) if found else 0


_printing = threading.Lock()


def run(layer: str, arguments: Sequence[str]) -> Outcome:
    """Run one layer, and print what it said once it has ended."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", f"tests/{layer}", "-q", "--durations=3", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT}"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if layer != NODE:
        os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
    output, _ = process.communicate()
    code = process.returncode
    with _printing:
        print(f"\n──── {layer} " + "─" * 60, output, sep="\n", flush=True)
    failed = count(output, "failed") + count(output, "errors?")
    return Outcome(layer, count(output, "passed"), failed or int(code != 0), time.monotonic() - began)


def _all(arguments: Sequence[str]) -> list[Outcome]:
    """Every layer's outcome, in their order."""
    print(
        f"running {', '.join(LAYERS)}: each is shown when it ends, the whole takes about 20 minutes",
        flush=True,
    )
    with ThreadPoolExecutor(max_workers=2) as pool:
        node = pool.submit(run, NODE, arguments)
        others = pool.submit(lambda: [run(layer, arguments) for layer in LAYERS if layer != NODE])
        found = {outcome.layer: outcome for outcome in (*others.result(), node.result())}
    return [found[layer] for layer in LAYERS]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    began = time.monotonic()
    # Packages, binaries and images first: every layer finds them there, and none hides their cost in its own time.
    if subprocess.run([sys.executable, "-m", "tools.devcluster", "build"], cwd=ROOT, check=False).returncode:
        return 1
    lint = subprocess.run([sys.executable, "-m", "tools.lint"], cwd=ROOT, check=False).returncode
    outcomes = _all(arguments)
    print("\n──── summary " + "─" * 57)
    print(f"  {'lint':<10} {'ok' if lint == 0 else 'FAILED'}")
    for outcome in outcomes:
        state = "ok" if outcome.good else "FAILED" if outcome.failed else "FAILED: no test ran"
        print(
            f"  {outcome.layer:<10} {state:<20} {outcome.passed:>5} passed {outcome.failed:>3} failed {outcome.seconds:>6.0f} s"
        )
    passed, failed = sum(o.passed for o in outcomes), sum(o.failed for o in outcomes)
    print(
        f"  all layers in {time.monotonic() - began:.0f} s\n\n{passed} passed, {failed + int(lint != 0)} failed",
        flush=True,
    )
    return 0 if lint == 0 and all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
