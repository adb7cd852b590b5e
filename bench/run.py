"""`python -m bench.run`: measure, print, and write bench/RESULTS.md.

It works on a local cluster of its own name, which it takes down again unless it was there before. The run is bounded: a phase
for which no time is left is said to be not measured. Unless all was measured the run fails, and RESULTS.md stays as it was.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import access, allowlist, cloud, idle, machine, proc, quantities, repair, search, simulated, store
from bench.budget import Budget
from bench.errors import BenchError, OutOfTime
from bench.report import Table, difference, mib, milliseconds, missing, render, seconds
from bench.stats import summary
from bench.world import World, container_of
from tools.demo.cli import devcluster, install_operator
from tools.devcluster import cluster, netns
from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import NODE_ADDRESS, POD_NETWORK, Layout, layout

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "RESULTS.md"
NAME_VARIABLE, DEFAULT_NAME = "ZBYOC_BENCH_NAME", "zbyoc-bench"
DEFAULT_MINUTES = 14.0
CLEANUP_SECONDS = 45.0
ACCESS_SECONDS = 80.0
MANY_SECONDS = 220.0  # the last two phases, on two cores that do nothing else
ONE, MANY = "bench-one", "bench-many"
WANTED = 5
# from the node itself one is seen as the node, or as the bridge of the pods
OWN_ADDRESSES = (f"{NODE_ADDRESS}/32", f"{POD_NETWORK.network_address + 1}/32")
SWEEP_SECONDS = 300 * 1.25
"""The longest time between two looks at a bucket."""
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How thoroughly to measure."""

    rows: int
    clusters: int
    tries: int
    repair_seconds: float
    access_tries: int
    rest_seconds: float
    allowlist: search.Size
    search: search.Size


FULL = Size(
    rows=search.ROWS,
    clusters=WANTED,
    tries=30,
    repair_seconds=75,
    access_tries=8,
    rest_seconds=30,
    search=search.Size(blocks=10, requests={1: 200, 8: 400}),
    allowlist=allowlist.FULL,
)
QUICK = Size(
    rows=1_000,
    clusters=2,
    tries=3,
    repair_seconds=20,
    access_tries=2,
    rest_seconds=10,
    search=search.Size(blocks=2, requests={1: 50, 8: 100}),
    allowlist=search.Size(blocks=2, requests={1: 50, 8: 100}),
)


class Bench:
    """The phases, in order; each leaves a table."""

    def __init__(self, world: World, size: Size, say: Say) -> None:
        self._world, self._size, self._say = world, size, say
        self._tables: list[Table] = []
        self._loads: list[float] = [machine.load()]
        self._ready: list[tuple[str, ...]] = []
        self._ready_notes: list[str] = []
        self._removed = ""
        self._each = quantities.Requests()
        self._requests: set[str] = set()
        self._versions: dict[str, str] = {}
        self._spoiled: dict[str, cloud.Spoiled] = {}

    def run(self) -> list[Table]:
        """All tables, the machine's first. Raises what breaks a phase, but for the end of the time."""
        for title, phase in (
            ("From apply to Ready, one cluster", self._one),
            ("Search through the door", self._search),
            ("A long allowlist at the door", self._allowlist),
            ("Memory of a cluster's pods", self._memory),
            ("From a broken child to its repair", self._repair),
            ("Access given, made anew, taken away", self._access),
            ("From a broken bucket or role to its repair", self._cloud),
            ("From apply to Ready, many clusters", self._many),
            ("The operator at rest", self._rest),
        ):
            try:
                phase()
            except OutOfTime as error:
                self._say(f"left out: {title}: {error}")
                self._tables.append(missing(title, str(error)))
            self._loads.append(machine.load())
        return [self._machine(), *([self._readiness()] if self._ready else []), *self._tables]

    def _one(self) -> None:
        self._say("one cluster: applying")
        took = self._world.make(ONE, ["one"], cidrs=OWN_ADDRESSES, say=self._say)["one"]
        home = self._home()
        pods = self._world.pods(home)
        self._each, self._requests = quantities.of_pods(pods), quantities.cpu_requests(pods)
        self._ready.append(("1", f"1 ({len(pods)} pods)", seconds(took), seconds(took), seconds(took)))
        self._versions = self._read_versions(home)
        self._spoil()

    def _spoil(self) -> None:
        """Break what only the sweeps of the cloud see, so that it is waited for while other things are measured."""
        bucket = str(self._world.clusters(ONE)[0]["status"]["bucket"])
        s3 = store.client(self._world.layout, "s3")
        self._spoiled["S3-compatible store"] = cloud.Spoiled(cloud.bucket_settings(s3, bucket))
        self._say("a suspended cluster in a simulated AWS account: applying")
        bucket = str(simulated.make(self._world)["status"]["bucket"])
        name = bucket.removesuffix("-data")
        s3, iam = simulated.client(self._world.layout, "s3"), simulated.client(self._world.layout, "iam")
        settings = (
            *cloud.aws_bucket_settings(s3, bucket),
            cloud.object_lock_setting(s3, f"{name}-audit"),
            *cloud.role_settings(iam, f"{name}-milvus"),
        )
        self._spoiled["AWS, simulated"] = cloud.Spoiled(settings)

    def _search(self) -> None:
        size = self._size
        self._world.budget.need(60, "search latency")
        self._world.wait_for_access(ONE)
        entrance = search.door(self._world, project=ONE, cluster="one")
        took = search.fill(entrance, rows=size.rows, budget=self._world.budget)
        self._say(f"search: {size.rows:,} × {search.DIMENSION} inserted and indexed in {took:.1f} s")
        series = search.measure(self._world, entrance, size=size.search, say=self._say)
        notes = (
            f"{size.rows:,} vectors × {search.DIMENSION}, IVF_FLAT (nlist 128, nprobe 16), top {search.TOP}, one vector a "
            f"search; inserted and indexed through the door in {took:.1f} s.",
            "direct: TLS to Milvus' pod with the gateway's own client certificate and a user's password. door: the load "
            "balancer's address, TLS, an API key; from there the gateway's mutual TLS to Milvus, and an audit line.",
            "Both from the node, one gRPC channel each, the same requests, in alternating blocks. "
            "Client, gateway and Milvus share the cores, so the throughput lost is CPU taken from Milvus, not a limit of the door.",
        )
        self._tables.append(_search_table(series, notes))

    def _allowlist(self) -> None:
        self._world.budget.need(30, "a long allowlist")
        series = allowlist.measure(size=self._size.allowlist)
        self._say(f"a long allowlist: {sum(len(s.latencies) for s in series)} requests")
        self._tables.append(allowlist.table(series))

    def _memory(self) -> None:
        rows = []
        for component in ("gateway", "milvus"):
            pod = self._world.pod(self._home(), component)
            used = proc.of_container(container_of(pod))
            parts: dict[str, int] = {}
            for usage in used.values():
                parts[usage.command] = parts.get(usage.command, 0) + usage.resident
            made_of = ", ".join(f"{name} {mib(size)}" for name, size in sorted(parts.items(), key=lambda p: -p[1]))
            rows.append((f"{component} pod", mib(proc.resident_of(used)), made_of))
        note = "After the searches above. Resident memory of a pod's processes, summed: pages they share count more than once."
        self._tables.append(
            Table(
                title="Memory of a cluster's pods", columns=("pod", "RSS", "made of"), rows=tuple(rows), notes=(note,)
            )
        )

    def _repair(self) -> None:
        size, left = self._size, self._world.budget.left
        allowed = min(size.repair_seconds, left - MANY_SECONDS)
        self._world.budget.need(MANY_SECONDS + 20, "repairs, and what follows them,")
        idle.settle(self._world)
        took = repair.measure(self._world, self._home(), tries=size.tries, seconds=allowed, say=self._say)
        rows = []
        for child in repair.CHILDREN:
            s = summary([value * 1000 for value in took[child.kind]])
            times = tuple(f"{value:.0f} ms" for value in (s.p50, s.p95, s.p99, s.slowest))
            rows.append((f"{child.kind} `{child.name}`", str(s.count), *times))
        label = repair.measure_label(self._world, self._home(), tries=size.tries)
        s = summary([value * 1000 for value in label])
        times = tuple(f"{value:.0f} ms" for value in (s.p50, s.p95, s.p99, s.slowest))
        rows.append(("Namespace, label `enforce` of Pod Security", str(s.count), *times))
        self._tables.append(
            Table(
                title="From a broken child to its repair",
                columns=("child", "tries", "p50", "p95", "p99", "slowest"),
                rows=tuple(rows),
                notes=(
                    "From the DELETE request (the label: from the PATCH that loosens it) to the watch event of the repaired object, "
                    "one cluster in place.",
                ),
            )
        )

    def _access(self) -> None:
        world = self._world
        world.budget.need(MANY_SECONDS + ACCESS_SECONDS, "access, and what follows it,")
        entrance = search.door(world, project=ONE, cluster="one")
        tries = self._size.access_tries
        took = access.measure(world, entrance, project=ONE, tries=tries, seconds=ACCESS_SECONDS, say=self._say)
        self._tables.append(access.table(took))

    def _cloud(self) -> None:
        self._world.budget.need(MANY_SECONDS, "a broken bucket, and what follows it,")
        self._say("broken buckets and roles: waiting for the next sweep")
        deadline = time.monotonic() + min(SWEEP_SECONDS, self._world.budget.left - MANY_SECONDS)
        whole = [spoiled.wait(deadline - time.monotonic()) for spoiled in self._spoiled.values()]
        if not whole or not all(whole):
            raise OutOfTime("the sweep did not come in time")
        self._tables.append(
            Table(
                title="From a broken bucket or role to its repair",
                columns=("where", "setting", "repaired after"),
                rows=tuple(
                    (where, name, seconds(took))
                    for where, spoiled in self._spoiled.items()
                    for name, took in sorted(spoiled.took.items())
                ),
                notes=(
                    "All of one place broken at once: the data bucket of the one cluster while it was searched, and buckets and the "
                    "role of Milvus of a suspended cluster in an AWS account that moto simulates. Both are looked at by sweeps of the "
                    "cloud, every 300 s with a jitter of 25 % (`sweep.cloudSeconds` of the chart).",
                ),
            )
        )

    def _many(self) -> None:
        world, wanted = self._world, self._size.clusters
        world.budget.need(MANY_SECONDS / 2, f"{wanted} clusters")
        self._say("one cluster: deleting")
        self._removed = seconds(world.remove(ONE))
        count, note = self._make_room(wanted)
        self._say(f"{count} clusters at once: applying")
        names = [f"many-{number}" for number in range(1, count + 1)]
        took = sorted(world.make(MANY, names, cidrs=OWN_ADDRESSES, say=self._say).values())
        pods = sum(len(world.pods(c["status"]["namespace"])) for c in world.clusters(MANY))
        times = (seconds(took[0]), seconds(statistics.median(took)), seconds(took[-1]))
        self._ready.append((f"{wanted} at once", f"{count} ({pods} pods)", *times))
        self._ready_notes += [note] if note else []

    def _make_room(self, wanted: int) -> tuple[int, str]:
        """How many clusters the node has room for, and what was done for it."""
        free, each = self._world.free(), self._each
        count = quantities.fitting(free=free, each=each, wanted=wanted)
        by_memory = quantities.fitting(free=free, each=quantities.Requests(memory=each.memory), wanted=wanted)
        if count == wanted or by_memory < wanted:
            return count, ""
        lowered = quantities.lowered(self._requests, free=free.millicpu, needed=each.millicpu * wanted)
        self._world.lower_requests(lowered, project=MANY)
        changes = ", ".join(f"{old} to {new}" for old, new in lowered.items())
        return wanted, (
            f"A cluster requests {each.millicpu}m CPU and the node has {free.millicpu}m left, room for {count}. For the {wanted} an "
            f"admission policy of the bench's own lowered the pods' CPU requests ({changes}). Requests reserve; they do not limit."
        )

    def _rest(self) -> None:
        self._world.budget.need(self._size.rest_seconds + idle.QUIET_SECONDS, "the operator at rest")
        idle.settle(self._world)
        count = len(self._world.clusters(MANY)) + len(self._world.clusters(ONE))
        replicas = idle.measure(self._world, seconds=self._size.rest_seconds, say=self._say)
        rows = tuple(
            (
                replica.role,
                mib(replica.resident),
                f"{replica.cpu_percent:.1f} %",
                f"{replica.requests_per_minute:.0f}",
                f"{replica.writes_per_minute:.0f}",
                ", ".join(f"{number} × {what}" for what, number in replica.most_frequent) or "none",
            )
            for replica in replicas
        )
        self._tables.append(
            Table(
                title=f"The operator at rest, {count} clusters Ready",
                columns=(
                    "replica",
                    "RSS",
                    "CPU (of one core)",
                    "requests/min",
                    "writes/min",
                    "most frequent in the window",
                ),
                rows=rows,
                notes=(
                    f"Over {self._size.rest_seconds:.0f} s after {idle.QUIET_SECONDS:.0f} s without a write. Memory and CPU of the "
                    "pods' processes from /proc; requests from the API server's audit log, a watch when it begins.",
                    "Writes are all that change something but the renewals of the leader's lease.",
                ),
            )
        )

    def _home(self) -> str:
        return str(self._world.clusters(ONE)[0]["status"]["namespace"])

    def _read_versions(self, home: str) -> dict[str, str]:
        door = proc.of_container(container_of(self._world.pod(home, "gateway")))
        worker = next((pid for pid, usage in door.items() if usage.command == "haproxy"), None)
        return {
            "Kubernetes": str(self._world.kube.request("GET", "/version")["gitVersion"]).lstrip("v"),
            "Milvus": str(self._world.clusters(ONE)[0]["status"]["version"]),
            "HAProxy": proc.package_version(worker, "haproxy") if worker else "unknown",
            "pymilvus": machine.client_version(),
        }

    def _machine(self) -> Table:
        loads = ", ".join(f"{load:.1f}" for load in self._loads)
        versions = ", ".join(f"{name} {version}" for name, version in self._versions.items())
        return Table(
            title="Machine and versions",
            columns=("what", "value"),
            rows=(
                ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
                ("machine", machine.describe()),
                ("load average (1 min) before each phase and at the end", loads),
                ("this project", machine.revision()),
                ("versions", versions or "unknown"),
            ),
            notes=("Load that was there before the first phase is not the bench's own.",),
        )

    def _readiness(self) -> Table:
        notes = [
            "All real: each is Milvus and two gateways, with their certificates, bucket, policies and probes through the door."
        ]
        if self._removed:
            notes.append(f"From deleting the one cluster to its last pod gone: {self._removed}.")
        return Table(
            title="From apply to Ready",
            columns=("clusters", "real", "first", "median", "last"),
            rows=tuple(self._ready),
            notes=(*notes, *self._ready_notes),
        )


def _search_table(series: Sequence[search.Series], notes: tuple[str, ...]) -> Table:
    rows = []
    for concurrency in search.CONCURRENCIES:
        by_way = {s.way: s for s in series if s.concurrency == concurrency}
        if len(by_way) < 2:
            continue
        direct, door = (summary(by_way[way].latencies) for way in (search.DIRECT, search.DOOR))
        for way, s in ((search.DIRECT, direct), (search.DOOR, door)):
            rate = f"{s.count / by_way[way].seconds:.0f}"
            times = tuple(map(milliseconds, (s.p50, s.p95, s.p99)))
            rows.append((str(concurrency), way, *times, rate, str(s.count)))
        extra = tuple(difference(getattr(door, p), getattr(direct, p)) for p in ("p50", "p95", "p99"))
        rows.append((str(concurrency), "**the door's share**", *extra, "", ""))
    return Table(
        title="Search through the door",
        columns=("concurrency", "way", "p50", "p95", "p99", "searches/s", "n"),
        rows=tuple(rows),
        notes=notes,
    )


def narrator() -> Say:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works; writes nothing")
    parser.add_argument(
        "--minutes",
        type=float,
        default=DEFAULT_MINUTES,
        help=f"bound of the whole run (default {DEFAULT_MINUTES:.0f}); more for a busy machine",
    )
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        chosen = layout(name=os.environ.get(NAME_VARIABLE) or DEFAULT_NAME)
        size = QUICK if options.quick else FULL
        tables = _measure(chosen, size, narrator(), total=options.minutes * 60)
    except (BenchError, DevclusterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}", file=sys.stderr)
        return 1
    page = render(tables)
    print(page)
    if not all(table.complete for table in tables):
        print(
            "incomplete, so RESULTS.md stays as it was: run it on an idle machine, or with more --minutes",
            file=sys.stderr,
        )
        return 1
    if not options.quick:
        RESULTS.write_text(page)
        print(f"written: {RESULTS.relative_to(ROOT)}")
    return 0


def _measure(chosen: Layout, size: Size, say: Say, *, total: float) -> list[Table]:
    """The tables. What was made for it is gone afterwards, whatever happened."""
    was_running = any(row.pid for row in cluster.status(chosen))
    os.environ["ZBYOC_NAME"] = chosen.name
    say("building what is missing (does not count as the run's time)")
    cluster.build_all(say)
    budget = Budget(total - CLEANUP_SECONDS)
    try:
        say(
            f"local cluster {chosen.name}: {'is running and will stay' if was_running else 'starting, for this run only'}"
        )
        subprocess.run(devcluster("up"), cwd=ROOT, check=True)
        say("installing the operator from its chart")
        install_operator()
        with netns.inside(chosen.name):
            world = World(layout=chosen, budget=budget)
            with simulated.account(chosen):
                _clean(world, say)
                try:
                    tables = Bench(world, size, say).run()
                finally:
                    if was_running:
                        _clean_at_end(world, say)
    finally:
        if not was_running:
            say("taking the local cluster down")
            subprocess.run(devcluster("down"), cwd=ROOT, check=False)
    say(f"measured in {budget.spent:.0f} s")
    return tables


def _clean_at_end(world: World, say: Say) -> None:
    """What cannot be removed is said; it takes no measurement back, and the next run removes it."""
    try:
        _clean(world, say)
    except (BenchError, DevclusterError, OSError) as error:
        say(f"left behind, for the next run to remove: {error}")


def _clean(world: World, say: Say) -> None:
    """Remove the bench's projects and its admission policy, also those of a run that was killed."""
    world.restore_requests()
    for project in (ONE, MANY):
        if world.exists(project) or world.homes(project):
            say(f"removing project {project}")
            world.remove(project)
    simulated.remove(world)
    world.wait_until_gone((ONE, MANY, simulated.NAME))


if __name__ == "__main__":
    sys.exit(main())
