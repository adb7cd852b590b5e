"""The command line: `zilliz-operator run` in the chart's pod, and what a person asks from a terminal (`kubectl zilliz …`).

Every command imports what it needs when it runs: `--help` and the agent stay quick and small.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from zilliz_operator import __version__
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.api.people import SSO_NAMES

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["agent"]:
        from zilliz_operator.agent.main import main as agent

        return agent(given[1:])
    options = _parser().parse_args(given)
    command: Command = options.command
    try:
        return command(options)
    except ZillizError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zilliz-operator", description="Milvus clusters in your own cloud account, proved."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="be the operator (the chart's pod does this)")
    run.add_argument("--kubeconfig", type=Path, help="outside of a pod: how to reach Kubernetes")
    run.set_defaults(command=_run)

    posture = commands.add_parser(
        "posture", help="every sentence of the promise: kept, broken or not yet, with its evidence"
    )
    _from_terminal(posture)
    posture.add_argument("--output", "-o", choices=["text", "json"], default="text")
    posture.set_defaults(command=_posture)

    status = commands.add_parser("status", help="every cluster with its conditions and their evidence")
    _from_terminal(status)
    status.add_argument("name", nargs="?", help="one ZillizCluster")
    status.set_defaults(command=_status)

    doctor = commands.add_parser(
        "doctor", help="whether the installation is whole, and encryption at rest as far as it is visible"
    )
    _kubeconfig(doctor)
    doctor.add_argument("--operator-namespace", default=os.environ.get("POD_NAMESPACE") or "zilliz-system")
    doctor.add_argument("--service-account", default="zilliz-operator", help="the operator's, if the chart got another")
    doctor.add_argument("--output", "-o", choices=["text", "json"], default="text")
    doctor.set_defaults(command=_doctor)
    _sso(commands)
    return parser


def _sso(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    sso = commands.add_parser("sso", help="single sign-on at the Kubernetes API itself")
    render = sso.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "render", help="what an API server must be told about a DataPlane's identity provider"
    )
    _kubeconfig(render)
    render.add_argument(
        "--dataplane", default="default", help="the DataPlane whose spec.sso names the identity provider"
    )
    render.add_argument("--file", "-f", type=Path, help="read it from a YAML file instead of the cluster")
    render.add_argument("--target", choices=["self-managed", "eks"], default="self-managed")
    render.add_argument("--audience", default="kubernetes", help="of tokens for the Kubernetes API (the client's id)")
    render.add_argument("--username-claim", default="email", help="claim that names a user, as AccessPolicies do")
    render.add_argument("--username-prefix", default=SSO_NAMES.user_prefix, help="as sso.usernamePrefix of the chart")
    render.add_argument("--groups-prefix", default=SSO_NAMES.groups_prefix, help="as sso.groupsPrefix of the chart")
    render.add_argument("--require-mfa", action="store_true", help="refuse every token without a second factor")
    render.add_argument(
        "--ca-file", type=Path, help="authority of the identity provider's certificate, if not a public one"
    )
    render.add_argument("--kubernetes-version", default="", help="as 1.33; absent: the cluster's")
    render.add_argument("--cluster", default="<cluster>", help="EKS: the cluster's name")
    render.add_argument("--region", default="", help="EKS: its region")
    render.set_defaults(command=_sso_render)


def _kubeconfig(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", type=Path, default=os.environ.get("KUBECONFIG") or None)
    parser.add_argument("--context", default="", help="a context of the kubeconfig")


def _from_terminal(parser: argparse.ArgumentParser) -> None:
    _kubeconfig(parser)
    parser.add_argument("--namespace", "-n", help="one project; absent: all of them")


def _run(options: argparse.Namespace) -> int:
    from zilliz_operator.adapters.access import ClusterAccess
    from zilliz_operator.handlers import app, config

    def access() -> ClusterAccess:
        return (
            ClusterAccess.from_kubeconfig(options.kubeconfig) if options.kubeconfig else ClusterAccess.from_in_cluster()
        )

    return app.main(config.from_environment(), access)


def _posture(options: argparse.Namespace) -> int:
    from zilliz_operator.cli.posture import command

    return command(options)


def _status(options: argparse.Namespace) -> int:
    from zilliz_operator.cli import status

    return status.command(options)


def _sso_render(options: argparse.Namespace) -> int:
    from zilliz_operator.cli.sso import command

    return command(options)


def _doctor(options: argparse.Namespace) -> int:
    from zilliz_operator.cli.doctor import command

    return command(options)
