"""Command line: `python -m tools.devcluster up|down|status|logs|kubeconfig|kubectl|run|client|cut|mend|build`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import NoReturn

from rich.console import Console
from rich.table import Table

from tools.devcluster import build, cluster, files, netns, spokes
from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import Layout, layout


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    arguments = parse(sys.argv[1:] if argv is None else argv)
    try:
        chosen = layout(name=arguments.name)
        return int(arguments.run(chosen, arguments))
    except DevclusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; `up` goes on from here, `down` removes all", file=sys.stderr)
        return 130


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Parse what stands before `--`; what follows it is a command to be passed on untouched."""
    words = list(argv)
    split = words.index("--") if "--" in words else len(words)
    arguments = parser().parse_args(words[:split])
    if split < len(words) and not hasattr(arguments, "command"):
        parser().error("`--` is for commands that run a command: kubectl, helm, run, client")
    if hasattr(arguments, "command"):
        arguments.command = [*arguments.command, *words[split + 1 :]]
    return arguments


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tools.devcluster", description=__doc__)
    top.add_argument("--name", help="which cluster (default: $ZBYOC_NAME or zbyoc); several can run side by side")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Layout, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    command("build", _build, "build all binaries and images, start nothing")
    up = command("up", _up, "build what is missing and start what does not run")
    up.add_argument(
        "--dataplanes",
        type=int,
        default=1,
        metavar="N",
        help="data planes in all: dp2 to dpN are further control planes, without nodes (default 1: the cluster itself)",
    )
    command("down", _down, "remove every process, mount, network namespace and file of the cluster")
    command("status", _status, "show every component")
    logs = command("logs", _logs, "show a component's log")
    logs.add_argument("component", metavar="NAME", help="a component as `status` names it, or `audit`")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    logs.add_argument("-n", "--lines", type=int, default=100, help="how many lines (default 100)")
    command("kubeconfig", _kubeconfig, "print the path of the administrator's kubeconfig (for use inside: `run`)")
    _passes_on(command("kubectl", _kubectl, "run kubectl against the cluster: kubectl -- get pods -A"))
    _passes_on(command("helm", _helm, "run Helm against the cluster: helm -- list -A"))
    _passes_on(command("run", _run, "run a command on the node: its network, its DNS, KUBECONFIG set"))
    for verb, text in (("cut", "take the link of a further data plane down"), ("mend", "bring its link up again")):
        link = command(verb, _link, f"{text}: {verb} dp2")
        link.add_argument("data_plane", metavar="NAME")
        link.set_defaults(verb=verb)
    client = command("client", _client, "run a command on a client host of that name (made at first use)")
    client.add_argument("client", metavar="NAME")
    client.add_argument("--address", type=IPv4Address, help="its address (default: the next free one from 10.200.0.50)")
    _passes_on(client)
    return top


def _passes_on(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("command", nargs="*", metavar="-- COMMAND")


def narrator() -> Callable[[str], None]:
    """A progress printer that says how long it has been."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    return say


def _build(_layout: Layout, _arguments: argparse.Namespace) -> int:
    built = cluster.build_all(narrator())
    print(f"built {built} of the binaries and images" if built else "binaries and images are up to date")
    return 0


def _up(chosen: Layout, arguments: argparse.Namespace) -> int:
    report = cluster.up(chosen, narrator(), data_planes=arguments.dataplanes)
    width = max(map(len, files.summary(chosen)))
    for what, where in files.summary(chosen).items():
        print(f"  {what:<{width}}  {where}")
    for number in spokes.found(chosen):
        print(
            f"  data plane {spokes.name(number)}: {spokes.plane(chosen, number).server}, {spokes.example_file(chosen, number)}"
        )
    kind = f"with {report.built} builds" if report.built else "warm"
    did = f"started {len(report.started)} components" if report.started else "everything was running"
    print(f"cluster {chosen.name} is up: {report.seconds:.1f} s, {kind}, {did}")
    return 0


def _link(chosen: Layout, arguments: argparse.Namespace) -> int:
    spoke = spokes.by_name(chosen, arguments.data_plane)
    if arguments.verb == "cut":
        spoke.cut()
    else:
        spoke.mend()
    print(f"the link of {arguments.data_plane} is {'down' if arguments.verb == 'cut' else 'up'}")
    return 0


def _down(chosen: Layout, _arguments: argparse.Namespace) -> int:
    began = time.monotonic()
    cluster.down(chosen, narrator())
    print(f"cluster {chosen.name} is gone: {time.monotonic() - began:.1f} s")
    return 0


def _status(chosen: Layout, _arguments: argparse.Namespace) -> int:
    rows = cluster.status(chosen)
    if not rows:
        print(f"cluster {chosen.name} does not exist; `up` makes it")
        return 1
    table = Table("COMPONENT", "PID", "STATE", "SINCE", box=None, pad_edge=False)
    for row in rows:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.since)) if row.since else "-"
        state = "healthy" if row.healthy else "[bold]not answering[/]" if row.pid else "[bold]not running[/]"
        table.add_row(row.name, str(row.pid or "-"), state, since)
    Console().print(table)
    return 0 if all(row.healthy for row in rows) else 1


def _logs(chosen: Layout, arguments: argparse.Namespace) -> int:
    path = cluster.supervisor(chosen).log(arguments.component)
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in chosen.logs.glob("*.log"))) or "none yet"
        raise DevclusterError(f"there is no log called {arguments.component!r}; there are: {known}")
    follow = ["-F"] if arguments.follow else []
    _become(["tail", "-n", str(arguments.lines), *follow, str(path)])


def _kubeconfig(chosen: Layout, _arguments: argparse.Namespace) -> int:
    if not chosen.kubeconfig.exists():
        raise DevclusterError(f"cluster {chosen.name} has no kubeconfig yet: `up` writes it")
    print(chosen.kubeconfig)
    return 0


def _kubectl(chosen: Layout, arguments: argparse.Namespace) -> int:
    _on_node(chosen, [str(build.of_environment("kubectl")), *_command(arguments, may_be_empty=True)])


def _helm(chosen: Layout, arguments: argparse.Namespace) -> int:
    _on_node(chosen, [str(build.binary("helm")), *_command(arguments, may_be_empty=True)])


def _run(chosen: Layout, arguments: argparse.Namespace) -> int:
    _on_node(chosen, _command(arguments))


def _client(chosen: Layout, arguments: argparse.Namespace) -> int:
    if not netns.exists(chosen.name):
        raise DevclusterError(f"cluster {chosen.name} does not run: `up` first")
    command = _command(arguments)
    netns.ensure_client(chosen, arguments.client, address=arguments.address)
    netns.enter(netns.client_namespace(chosen, arguments.client))
    netns.with_resolver(chosen.resolv_conf)
    _become(command)


def _on_node(chosen: Layout, command: list[str]) -> NoReturn:
    netns.enter(chosen.name)
    if chosen.resolv_conf.exists():
        netns.with_resolver(chosen.resolv_conf)
    home = chosen.root / "tools"  # every cluster has the same address, so caches must not be shared
    places = {
        "KUBECACHEDIR": "kubectl",
        "HELM_CACHE_HOME": "helm/cache",
        "HELM_CONFIG_HOME": "helm/config",
        "HELM_DATA_HOME": "helm/data",
    }
    os.environ.update(
        {"KUBECONFIG": str(chosen.kubeconfig), **{name: str(home / path) for name, path in places.items()}}
    )
    _become(command)


def _command(arguments: argparse.Namespace, *, may_be_empty: bool = False) -> list[str]:
    words = list(arguments.command)
    if not words and not may_be_empty:
        raise DevclusterError("no command is given: write it after `--`")
    return words


def _become(command: list[str]) -> NoReturn:
    sys.stdout.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise DevclusterError(f"cannot run {command[0]!r}: {error.strerror}") from error
