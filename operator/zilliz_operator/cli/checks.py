"""The looks that `zilliz-operator doctor` takes. Each says what it saw, and *unknown* where it was not let look: never a guess.

Nothing is written. A look needs no more than the right to read what it names; where that is missing, it says how to find out.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol

from zilliz_operator.api.conditions import ConditionType
from zilliz_operator.api.crd import schema
from zilliz_operator.api.exceptions import Rejected, Unavailable, ZillizError
from zilliz_operator.api.installation import ADMISSION_POLICIES, MINIMUM_KUBERNETES, RIGHTS, Right
from zilliz_operator.api.kinds import OURS
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.policy import volumes

Manifest = dict[str, Any]
Refusals = list[str]


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look saw, and what helps."""

    id: str
    title: str
    state: State
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look returns; its id and title are the list's."""

    state: State
    said: str
    remedy: str = ""


class Api(Protocol):
    """What the looks need of a Kubernetes API."""

    async def version(self) -> str: ...

    async def resources(self, group_version: str) -> frozenset[str]: ...

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None: ...

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]: ...

    async def document(self, path: str) -> Manifest | None: ...

    async def text(self, path: str) -> str: ...

    async def review(self, kind: str, spec: Manifest) -> Manifest: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """The cluster that is looked at, and where the operator is in it."""

    kube: Api
    namespace: str
    account: str
    """Name of the operator's service account."""

    @property
    def user(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.account}"


# ---- the Kubernetes API -------------------------------------------------------------------------------------------------------


async def kubernetes(p: Patient) -> Seen:
    version = await p.kube.version()
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    needed = "{}.{}".format(*MINIMUM_KUBERNETES)
    if numbers is None:
        return Seen(State.UNKNOWN, f"the API server calls its version {version!r}", f"it must be {needed} or newer")
    if (int(numbers[1]), int(numbers[2])) < MINIMUM_KUBERNETES:
        return Seen(
            State.FAIL, f"Kubernetes {version} is older than {needed}", f"upgrade Kubernetes to {needed} or newer"
        )
    return Seen(State.OK, f"Kubernetes {version}")


async def operator(p: Patient) -> Seen:
    found = await p.kube.get("Deployment", "zilliz-operator", p.namespace)
    if found is None:
        message = f"no Deployment zilliz-operator is in namespace {p.namespace}"
        return Seen(State.FAIL, message, "install the chart, or name the operator's namespace: --operator-namespace")
    wanted, ready = found["spec"].get("replicas", 1), (found.get("status") or {}).get("readyReplicas", 0)
    (container,) = (c for c in found["spec"]["template"]["spec"]["containers"] if c["name"] == "operator")
    message = f"{ready}/{wanted} replicas ready, {container['image']}"
    if ready >= wanted > 0:
        return Seen(State.OK, message)
    state = State.WARN if ready else State.FAIL
    return Seen(state, message, f"kubectl -n {p.namespace} describe pods -l app.kubernetes.io/name=zilliz-operator")


# ---- what the chart installs --------------------------------------------------------------------------------------------------


async def kinds(p: Patient) -> Seen:
    """By discovery and the served schemas, which every user may read: our definitions themselves only few may."""
    missing = {kind.plural for kind in OURS} - await p.kube.resources(API_VERSION)
    remedy = "upgrade the release with crds.enabled=true, or kubectl apply --server-side -f crds/ of this release"
    if missing:
        return Seen(State.FAIL, f"not served by the API server: {', '.join(sorted(missing))}", remedy)
    document = await p.kube.document(f"/openapi/v3/apis/{API_VERSION}")
    if document is None:
        message = "all kinds are served; the API server shows no schemas to compare"
        return Seen(State.UNKNOWN, message, f"compare kubectl get crd with {remedy.rpartition(', or ')[2]}")
    served, ours = set(_served(document)), set(_ours())
    older, newer = sorted(ours - served), sorted(served - ours)
    if older:
        return Seen(State.FAIL, f"older than this release: {_some(older)} is missing", remedy)
    if newer:
        message = f"newer than this command: it does not know {_some(newer)}"
        return Seen(State.WARN, message, "use the command of the installed release")
    return Seen(State.OK, f"{len(OURS)} kinds are served, with exactly the fields and rules of this release")


def _ours() -> Iterator[str]:
    for resource in RESOURCES.values():
        whole = schema(resource)
        for part in ("spec", "status"):
            yield from _parts(whole["properties"][part], f"{resource.KIND}.{part}")


def _served(document: Manifest) -> Iterator[str]:
    schemas = (document.get("components") or {}).get("schemas") or {}
    for name, each in schemas.items():
        kind = name.rpartition(".")[2]
        for part in ("spec", "status"):
            if kind in RESOURCES and part in (each.get("properties") or {}):
                yield from _parts(each["properties"][part], f"{kind}.{part}")


def _parts(node: Manifest, path: str) -> Iterator[str]:
    """Every field and every rule of a schema."""
    yield path
    for rule in node.get("x-kubernetes-validations") or ():
        yield f"the rule {rule['rule']!r} of {path}"
    for name, below in (node.get("properties") or {}).items():
        yield from _parts(below, f"{path}.{name}")
    if isinstance(node.get("items"), Mapping):
        yield from _parts(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), Mapping):
        yield from _parts(node["additionalProperties"], f"{path}.*")


async def admission(p: Patient) -> Seen:
    policies = {each["metadata"]["name"]: each for each in await p.kube.list("ValidatingAdmissionPolicy")}
    bindings = await p.kube.list("ValidatingAdmissionPolicyBinding")
    bound = {b["spec"]["policyName"] for b in bindings if "Deny" in (b["spec"].get("validationActions") or ())}
    absent = [name for name in ADMISSION_POLICIES if name not in policies]
    loose = [name for name in ADMISSION_POLICIES if name in policies and name not in bound]
    broken = [name for name in ADMISSION_POLICIES if _warnings(policies.get(name))]
    if loose or broken:
        said = [f"{name} is not bound with Deny" for name in loose] + [f"{name} does not compile" for name in broken]
        return Seen(State.FAIL, "; ".join(said), "upgrade the release: helm upgrade writes policies and bindings anew")
    if absent:
        said = [f"without {name} {ADMISSION_POLICIES[name]}" for name in absent]
        return Seen(State.WARN, "; ".join(said), "set admissionPolicies.… of the chart's values to true and upgrade")
    return Seen(State.OK, f"{len(ADMISSION_POLICIES)} policies are there and bound with Deny")


def _warnings(policy: Manifest | None) -> bool:
    return bool((((policy or {}).get("status") or {}).get("typeChecking") or {}).get("expressionWarnings"))


async def rights(p: Patient) -> Seen:
    """By the API server's own judgement: about ourselves in the operator's pod, about its account from anywhere else."""
    who = await p.kube.review("SelfSubjectReview", {})
    myself = (who.get("userInfo") or {}).get("username") == p.user
    lanes = asyncio.Semaphore(8)

    async def refused(right: Right, verb: str) -> str:
        async with lanes:
            return "" if await _allowed(p, right, verb, myself=myself) else _named(right, verb)

    try:
        answers = await asyncio.gather(*(refused(right, verb) for right in RIGHTS for verb in right.verbs))
    except Rejected:
        message = f"you may not ask what {p.user} may (create subjectaccessreviews.authorization.k8s.io)"
        command = f"kubectl -n {p.namespace} exec deploy/zilliz-operator -- zilliz-operator doctor"
        return Seen(State.UNKNOWN, message, f"ask in its own pod: {command}")
    missing = [answer for answer in answers if answer]
    if missing:
        remedy = "upgrade the release with rbac.create=true, or add them to ClusterRole and Role zilliz-operator"
        return Seen(State.FAIL, f"{p.user} may not: {', '.join(missing)}", remedy)
    return Seen(State.OK, f"{p.user} has all {len(answers)} rights that its work needs")


async def _allowed(p: Patient, right: Right, verb: str, *, myself: bool) -> bool:
    plural, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": verb,
        "group": right.group,
        "resource": plural,
        "subresource": subresource,
        "name": right.name,
    }
    attributes["namespace"] = "" if right.everywhere else p.namespace
    spec: Manifest = {"resourceAttributes": {key: value for key, value in attributes.items() if value}}
    if myself:
        return bool((await p.kube.review("SelfSubjectAccessReview", spec)).get("allowed"))
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{p.namespace}", "system:authenticated"]
    answer = await p.kube.review("SubjectAccessReview", spec | {"user": p.user, "groups": groups})
    return bool(answer.get("allowed"))


def _named(right: Right, verb: str) -> str:
    what = f"{right.resource}.{right.group}" if right.group else right.resource
    return f"{verb} {what}" + (f" {right.name}" if right.name else "")


async def cert_manager(p: Patient) -> Seen:
    missing = {"certificates", "issuers", "clusterissuers"} - await p.kube.resources("cert-manager.io/v1")
    if missing:
        message = f"cert-manager.io/v1 does not serve {', '.join(sorted(missing))}"
        return Seen(State.FAIL, message, "install cert-manager 1.18 or newer on every data plane")
    return Seen(State.OK, "its kinds are served; whether an issuer is ready is said by the DataPlane")


# ---- what the operator found --------------------------------------------------------------------------------------------------


async def data_planes(p: Patient) -> Seen:
    found = await p.kube.list("DataPlane")
    if not found:
        return Seen(State.WARN, "there is no DataPlane, so no cluster can start", "create one: docs/kinds/dataplane.md")
    return _by_condition(found, ConditionType.READY, remedy="kubectl describe zdp <name>; cure what it says")


async def monitoring(p: Patient) -> Seen:
    """A door is open to the pods of a namespace by its name alone: while nobody has that name, whoever makes namespaces can take it."""
    named = {
        plane["metadata"]["name"]: space
        for plane in await p.kube.list("DataPlane")
        if (space := ((plane.get("spec") or {}).get("network") or {}).get("monitoringNamespace"))
        and not (plane.get("spec") or {}).get("kubernetes")
    }
    gone = {plane: space for plane, space in named.items() if await p.kube.get("Namespace", space) is None}
    if gone:
        said = "; ".join(
            f"{plane}: namespace {space} does not exist, and its pods may scrape" for plane, space in gone.items()
        )
        return Seen(State.WARN, said, "make that namespace, or remove network.monitoringNamespace from the DataPlane")
    if not named:
        return Seen(State.OK, "nobody may scrape the clusters here")
    return Seen(State.OK, "; ".join(f"{plane}: namespace {space}" for plane, space in named.items()))


async def network(p: Patient) -> Seen:
    """The operator's own words: what it could see of policies and of their enforcement."""
    found = await p.kube.list("ZillizCluster")
    if not found:
        return Seen(State.UNKNOWN, "there is no cluster whose network was looked at", "create a ZillizCluster")
    remedy = "kubectl -n <project> describe zc <name>; cure what NetworkIsolated says"
    return _by_condition(found, ConditionType.NETWORK_ISOLATED, remedy=remedy)


def _by_condition(objects: Iterable[Manifest], type: ConditionType, *, remedy: str) -> Seen:
    """The worst of one condition over all objects, with its words."""
    told: dict[str, list[str]] = {"False": [], "Unknown": [], "True": []}
    for obj in objects:
        metadata = obj["metadata"]
        name = "/".join(part for part in (metadata.get("namespace"), metadata["name"]) if part)
        conditions = (obj.get("status") or {}).get("conditions") or ()
        condition: Manifest = next((c for c in conditions if c.get("type") == type), {"status": "Unknown"})
        words = condition.get("message") or f"{type} is not told yet"
        told[condition["status"]].append(f"{name}: {words}")
    for status, state in (("False", State.FAIL), ("Unknown", State.UNKNOWN)):
        if told[status]:
            return Seen(state, "; ".join(told[status]), remedy)
    return Seen(State.OK, f"{type} is True: {'; '.join(told['True'])}")


# ---- at rest ------------------------------------------------------------------------------------------------------------------


async def volume_encryption(p: Patient) -> Seen:
    said, state = [], State.OK
    for plane in await p.kube.list("DataPlane"):
        name, spec = plane["metadata"]["name"], plane.get("spec") or {}
        if spec.get("kubernetes"):
            state = _worse(state, State.UNKNOWN)
            said.append(f"{name}: is another Kubernetes cluster, look there")
            continue
        chosen = spec.get("storageClassName")
        declared = chosen if spec.get("storageClassEncrypted") else None
        summary = volumes.summarize([volumes.judge(chosen, await _class(p, chosen))], declared=declared)
        said.append(f"{name}: {summary.said}")
        state = _worse(state, State.FAIL if summary.broken else State.OK if summary.known else State.UNKNOWN)
    if not said:
        return Seen(
            State.UNKNOWN, "there is no DataPlane that names a StorageClass", "create one: docs/kinds/dataplane.md"
        )
    remedy = (
        "name a StorageClass that encrypts in spec.storageClassName; where its parameters do not tell, declare it: "
    )
    return Seen(state, "; ".join(said), "" if state is State.OK else remedy + "spec.storageClassEncrypted")


async def _class(p: Patient, name: str | None) -> Manifest | None:
    if name is not None:
        return await p.kube.get("StorageClass", name)
    return volumes.default_class(await p.kube.list("StorageClass"))


_ORDER: Final = (State.OK, State.UNKNOWN, State.WARN, State.FAIL)


def _worse(one: State, other: State) -> State:
    return max(one, other, key=_ORDER.index)


_SAMPLE: Final = re.compile(r"^apiserver_storage_transformation_operations_total\{([^}]*)\} \S+$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')
_FLAG: Final = "--encryption-provider-config"
_BY_PROVIDER: Final = (
    ("-eks-", "aws eks describe-cluster --name <name> --query cluster.encryptionConfig"),
    ("-gke.", "gcloud container clusters describe <name> --format='value(databaseEncryption)'"),
    ("", f"look for {_FLAG} in the API server's arguments, and for secrets in the file that it names"),
)


async def secret_encryption(p: Patient) -> Seen:
    """Two honest sources: what the API server counts while it writes Secrets, and the arguments of its static pods."""
    version = await p.kube.version()
    ask = next(command for mark, command in _BY_PROVIDER if mark in version)
    refusals: Refusals = []
    by_metrics = await _by_metrics(p, refusals)
    if by_metrics is not None:
        return by_metrics
    by_arguments = await _by_arguments(p, refusals)
    if by_arguments is not None:
        return by_arguments
    seen = "; ".join(refusals) or "the API server counts no encryption of Secrets and shows no arguments"
    return Seen(State.UNKNOWN, f"not visible from here: {seen}", ask)


async def _by_metrics(p: Patient, refusals: Refusals) -> Seen | None:
    """With which provider the answering API server writes Secrets. It counts nothing when it was given no configuration."""
    try:
        text = await p.kube.text("/metrics")
    except ZillizError as error:
        refusals.append(f"its metrics: {error}")
        return None
    samples = [dict(_LABEL.findall(labels)) for labels in _SAMPLE.findall(text)]
    written = {
        sample.get("transformer_prefix", "")
        for sample in samples
        if (sample.get("resource"), sample.get("transformation_type"), sample.get("status"))
        == ("secrets", "to_storage", "OK")
    }
    if "" in written:  # the prefix of `identity`, which stores what it is given
        remedy = f"put a provider before identity for secrets in the file of {_FLAG}, then write every Secret anew"
        return Seen(State.FAIL, "the API server writes Secrets to etcd in clear", remedy)
    providers = sorted({prefix.split(":")[2] for prefix in written if prefix.startswith("k8s:enc:")})
    if not providers:
        return None
    return Seen(State.OK, f"the API server that answered writes Secrets to etcd encrypted ({', '.join(providers)})")


async def _by_arguments(p: Patient, refusals: Refusals) -> Seen | None:
    try:
        pods = await p.kube.list("Pod", "kube-system", labels={"component": "kube-apiserver"})
    except ZillizError as error:
        refusals.append(f"its pods: {error}")
        return None
    if not pods:
        return None
    without = sorted(pod["metadata"]["name"] for pod in pods if not _has_flag(pod))
    if without:
        remedy = f"give every API server an EncryptionConfiguration for secrets ({_FLAG}), then write every Secret anew"
        return Seen(State.FAIL, f"{', '.join(without)} without {_FLAG}: Secrets lie in etcd in clear", remedy)
    said = f"{len(pods)} API servers run with {_FLAG}; what its file says is on their nodes"
    return Seen(State.WARN, said, "check there that secrets are listed with a provider other than identity first")


def _has_flag(pod: Manifest) -> bool:
    words = [
        word
        for container in pod["spec"]["containers"]
        for word in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]
    return any(word == _FLAG or word.startswith(f"{_FLAG}=") for word in words)


# ---- all of them --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    id: str
    title: str
    take: Callable[[Patient], Awaitable[Seen]]


LOOKS: Final = (
    Look("kubernetes", "Kubernetes is new enough", kubernetes),
    Look("operator", "the operator runs", operator),
    Look("kinds", "our kinds are those of this release", kinds),
    Look("admission", "admission policies guard what RBAC cannot", admission),
    Look("rights", "the operator has the rights that it needs", rights),
    Look("cert-manager", "cert-manager is installed", cert_manager),
    Look("data-planes", "data planes are ready", data_planes),
    Look("network", "clusters are isolated in the network", network),
    Look("monitoring", "whoever may scrape metrics is there", monitoring),
    Look("volume-encryption", "volumes are encrypted at rest", volume_encryption),
    Look("secret-encryption", "Secrets are encrypted at rest in etcd", secret_encryption),
)


async def examine(p: Patient) -> list[Finding]:
    """Every look, one after another. What may not be looked at is unknown; once the API server is away, so is all the rest."""
    found, away = [], ""
    for look in LOOKS:
        try:
            seen = Seen(State.UNKNOWN, f"not looked at: {away}") if away else await look.take(p)
        except Rejected as error:
            seen = Seen(State.UNKNOWN, f"you may not look: {error}", "run it with the rights of an administrator")
        except Unavailable as error:
            away = "the API server does not answer"
            seen = Seen(State.FAIL, str(error), "see that the API server is up and reachable from here")
        except ZillizError as error:
            seen = Seen(State.UNKNOWN, str(error))
        found.append(Finding(look.id, look.title, seen.state, seen.said, seen.remedy))
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
