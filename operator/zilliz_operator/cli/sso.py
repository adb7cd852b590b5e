"""`zilliz-operator sso render`: what an API server must be told, so that people sign in to it by the identity provider of a DataPlane.

From the cluster (with the reader's own rights) or from a file; nothing is written.
"""

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from zilliz_operator.adapters.kube import KubeClient
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.people import SYSTEM, SsoNames
from zilliz_operator.api.sso import SsoIssuer
from zilliz_operator.api.validate import validate
from zilliz_operator.cli.reading import with_kube
from zilliz_operator.policy import controlplane

NEWEST = "1.36"


def command(options: argparse.Namespace) -> int:
    """Print it."""
    planes, version = _from_file(options.file) if options.file else with_kube(options, _from_cluster)
    request = controlplane.Request(
        issuers=controlplane.by_plane(_issuers(planes), options.dataplane),
        audience=options.audience,
        username_claim=options.username_claim,
        names=SsoNames(
            user_prefix=_prefix("--username-prefix", options.username_prefix),
            groups_prefix=_prefix("--groups-prefix", options.groups_prefix),
        ),
        require_mfa=options.require_mfa,
        ca_pem=_text(options.ca_file) if options.ca_file else "",
    )
    if options.target == "eks":
        sys.stdout.write(controlplane.eks(request, cluster=options.cluster, region=options.region))
        return 0
    file_version = controlplane.config_version(options.kubernetes_version or version)
    made = controlplane.configuration(request, version=file_version)
    print("# kube-apiserver --authentication-config=<this file>; it is read anew whenever it changes.")
    print(yaml.safe_dump(made, sort_keys=False, width=1000, allow_unicode=True), end="")
    return 0


def _issuers(planes: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[SsoIssuer]]:
    found: dict[str, Sequence[SsoIssuer]] = {}
    for raw in planes:
        name = str(raw["metadata"]["name"])
        if findings := validate({**raw, "kind": "DataPlane"}):
            raise InvalidSpec(f"DataPlane {name}", str(findings[0]))
        found[name] = DataPlane.parse({**raw, "kind": "DataPlane"}).spec.sso
    return found


def _from_file(path: Path) -> tuple[Sequence[Mapping[str, Any]], str]:
    try:
        documents = list(yaml.safe_load_all(_text(path)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise InvalidSpec(str(path), f"is no YAML (line {mark.line + 1})" if mark else "is no YAML") from None
    return [each for each in documents if isinstance(each, dict) and each.get("kind") == "DataPlane"], NEWEST


async def _from_cluster(kube: KubeClient) -> tuple[Sequence[Mapping[str, Any]], str]:
    planes, version = await asyncio.gather(kube.list("DataPlane"), kube.version())
    return planes, version


def _prefix(option: str, text: str) -> str:
    if not text or text.startswith(SYSTEM):
        raise InvalidSpec(
            option, f"must be there and not begin with {SYSTEM}: it keeps people apart from Kubernetes' own"
        )
    return text


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(str(path), f"cannot be read: {type(error).__name__}") from None
