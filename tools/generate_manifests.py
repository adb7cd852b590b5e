"""What is derived from the chart: its page of values, the same installation as plain YAML for those without Helm, and what the
Kubernetes cluster of a remote data plane needs.

`python -m tools.generate_manifests` writes them; `--check` writes nothing and fails where a file differs.
"""

from __future__ import annotations

import argparse
import difflib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tools.devcluster import build
from zilliz_operator.api import rights

REPOSITORY = Path(__file__).resolve().parents[1]
CHART = REPOSITORY / "charts" / "zilliz-operator"
README = CHART / "README.md"
INSTALL = REPOSITORY / "manifests" / "install.yaml"
ACCESS = REPOSITORY / "manifests" / "dataplane-access.yaml"
RELEASE = "zilliz-operator"
NAMESPACE = "zilliz-system"
KUBE_VERSION = "1.36.0"

HEADER = """\
# Everything that the chart installs with its default values, as plain YAML.
# Generated: edit the chart, then `make generate`.
#   kubectl apply --server-side -f manifests/install.yaml
"""
NAMESPACE_YAML = f"""\
---
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
"""
ACCESS_HEADER = f"""\
# For the Kubernetes cluster of a remote data plane: the operator's account there, its rights, and what confines them.
# Nothing of the operator runs in it. Generated from operator/zilliz_operator/api/rights.py and the chart: edit those, then `make generate`.
#   kubectl apply --server-side -f manifests/dataplane-access.yaml
# docs/operations.md makes a kubeconfig from the account's token.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {RELEASE}
  namespace: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
automountServiceAccountToken: false
---
# Kubernetes fills in a token that does not expire. Delete this Secret and apply anew to replace it: the old one ends at once.
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: {RELEASE}-token
  namespace: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
  annotations:
    kubernetes.io/service-account.name: {RELEASE}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {RELEASE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {RELEASE}}}
subjects:
  - {{kind: ServiceAccount, name: {RELEASE}, namespace: {NAMESPACE}}}
---
# RBAC cannot say "in namespaces whose name begins with milvus-in01-": the policy zilliz-operator-reach below does.
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {RELEASE}
  labels:
    app.kubernetes.io/part-of: zilliz-byoc
rules:
"""
CONFINING = ("zilliz-namespace-reservation", "zilliz-ownership-labels", "zilliz-operator-reach")
"""Admission policies of the chart that belong where clusters live."""
HELMS_OWN = ("# Source: ", "helm.sh/chart: ", "app.kubernetes.io/managed-by: Helm", "helm.sh/resource-policy: keep")


class GenerationError(Exception):
    """A source cannot be turned into its derived file; the message says which and why."""


@dataclass(frozen=True)
class Value:
    """One row of the page of values."""

    path: str
    default: str
    description: str


def helm() -> Path:
    """The pinned Helm, built once."""
    build.ensure(build.BY_BINARY["helm"], lambda line: print(line, file=sys.stderr))
    return build.binary("helm")


def render(*arguments: str, chart: Path = CHART) -> str:
    """`helm template` of the chart, CRDs included."""
    command = [
        str(helm()),
        "template",
        RELEASE,
        str(chart),
        "--namespace",
        NAMESPACE,
        "--kube-version",
        KUBE_VERSION,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GenerationError(f"`helm template` refuses {chart.name}: {done.stderr.strip()}")
    return done.stdout


def install_yaml() -> str:
    """The plain installation: a namespace with Pod Security labels, then what Helm renders less what it alone reads."""
    lines = [line for line in render().splitlines() if not line.strip().startswith(HELMS_OWN)]
    return HEADER + NAMESPACE_YAML + "\n".join(_without_empty_annotations(lines)).strip() + "\n"


def access_yaml() -> str:
    """The operator's account on a remote data plane: rights as data plane clusters need them, and the policies that confine it."""
    rules = "".join(
        f"  # {right.why}\n  - apiGroups: [{json.dumps(right.group)}]\n    resources: [{', '.join(right.resources)}]\n"
        f"    verbs: [{', '.join(right.verbs)}]\n"
        for right in rights.DATA_PLANE
    )
    documents = [part.strip() for part in install_yaml().split("\n---\n")]
    confining = [
        text for text in documents if (yaml.safe_load(text) or {}).get("metadata", {}).get("name") in CONFINING
    ]
    if len(confining) != 2 * len(CONFINING):
        raise GenerationError(f"the chart renders {len(confining)} of {', '.join(CONFINING)} and their bindings")
    return ACCESS_HEADER + rules + "".join(f"---\n{text}\n" for text in confining)


def _without_empty_annotations(lines: Sequence[str]) -> Iterator[str]:
    """Leave out an `annotations:` whose only entry was Helm's."""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        indent = len(line) - len(line.lstrip())
        deeper = following.strip() and len(following) - len(following.lstrip()) > indent
        if line.strip() != "annotations:" or deeper:
            yield line


def values(text: str) -> list[Value]:
    """Every documented value: a key with a comment right above it is one row, a key without is a group of rows."""
    root = yaml.compose(text)
    if not isinstance(root, yaml.MappingNode):
        raise GenerationError("values.yaml is not a mapping")
    return list(_rows(root, (), text.splitlines()))


def _rows(node: yaml.MappingNode, parents: tuple[str, ...], lines: Sequence[str]) -> Iterator[Value]:
    for key, value in node.value:
        path = (*parents, str(key.value))
        comment = _comment(lines, key.start_mark.line)
        if comment:
            default = json.dumps(yaml.safe_load(yaml.serialize(value)))
            yield Value(path=".".join(path), default=default, description=comment)
        elif isinstance(value, yaml.MappingNode) and value.value:
            yield from _rows(value, path, lines)
        else:
            raise GenerationError(f"values.yaml: {'.'.join(path)} has no comment above it that describes it")


def _comment(lines: Sequence[str], key_line: int) -> str:
    found: list[str] = []
    for line in reversed(lines[:key_line]):
        if not line.strip().startswith("#"):
            break
        found.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(found)


def readme() -> str:
    """The chart's page: how to install, and every value."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    rows = values((CHART / "values.yaml").read_text())
    table = "\n".join(f"| `{row.path}` | `{_cell(row.default)}` | {_cell(row.description)} |" for row in rows)
    return f"""\
# {chart["name"]}

{chart["description"]}

<!-- Generated from values.yaml and Chart.yaml: edit those, then `make generate`. -->

## Install

```sh
kubectl create namespace {NAMESPACE}
kubectl label namespace {NAMESPACE} pod-security.kubernetes.io/enforce=restricted
helm install {RELEASE} charts/{chart["name"]} --namespace {NAMESPACE} --values my-values.yaml --wait
```

Kubernetes {chart["kubeVersion"].removesuffix("-0")} and cert-manager are needed. One release per Kubernetes cluster.
`manifests/install.yaml` is the same without Helm.

* `--wait` matters where the values make a DataPlane: at the first installation it comes after everything else is ready.
* `helm upgrade` upgrades the custom resource definitions too; `helm uninstall` keeps them, every object of theirs, and
  the DataPlane.
* What the operator may do is in `templates/rbac.yaml`, with the reason of each rule; the admission policy
  `zilliz-operator-reach` confines it further, to the namespaces of clusters.
* People's rights: `zilliz-viewer`, `zilliz-editor` and `zilliz-admin` are added to the cluster's own `view`, `edit` and
  `admin` roles. The five roles that AccessPolicies give are `zilliz-organization-owner`, `zilliz-project-admin`,
  `zilliz-data-admin`, `zilliz-data-operator` and `zilliz-data-viewer`; the operator binds these and no other.
* A protected ZillizCluster, the namespace that holds one, a cluster's namespace and our CustomResourceDefinitions are
  not deleted by one mistake: the refusal says what to do first.

## Values

| value | default | meaning |
|---|---|---|
{table}
"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").strip('"') if text != '""' else text


def derived() -> dict[Path, str]:
    """Every derived file and what it should say."""
    return {README: readme(), INSTALL: install_yaml(), ACCESS: access_yaml()}


def stale() -> list[str]:
    """A diff for each file that does not say what it should."""
    diffs = []
    for path, wanted in derived().items():
        found = path.read_text() if path.exists() else ""
        if found != wanted:
            name = str(path.relative_to(REPOSITORY))
            lines = difflib.unified_diff(
                found.splitlines(), wanted.splitlines(), name, f"{name} (wanted)", lineterm="", n=1
            )
            diffs.append("\n".join(list(lines)[:40]))
    return diffs


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.generate_manifests", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.check:
            diffs = stale()
            for diff in diffs:
                print(diff + "\n-> make generate", file=sys.stderr)
            return 1 if diffs else 0
        for path, text in derived().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    except GenerationError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
