"""The local cluster as the bench sees it: objects by path, projects that come and go.

It speaks as the cluster's own hand (`system:devcluster`), whose reads are not in the audit log: the bench must not be heard
in what it measures.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bench import objects, quantities, store
from bench.budget import Budget
from bench.errors import BenchError
from bench.objects import Object
from tools.devcluster import identities
from tools.devcluster.kube import APPLY, ApiError, Kube
from tools.devcluster.layout import NODE_NAME, Layout

NAMESPACES = "/api/v1/namespaces"
OPERATOR_NAMESPACE = "zilliz-system"
OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:zilliz-operator"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/zilliz-operator"
READY_SECONDS = 900.0  # the run's own time ends sooner, unless it was given more
GONE_SECONDS = 120.0
PROJECT_LABEL = f"{objects.GROUP}/project"
_PATHS = {
    "Namespace": NAMESPACES,
    "ZillizCluster": f"/apis/{objects.API_VERSION}/namespaces/{{namespace}}/zillizclusters",
    "RecycledCluster": f"/apis/{objects.API_VERSION}/namespaces/{{namespace}}/recycledclusters",
    "Allowlist": f"/apis/{objects.API_VERSION}/namespaces/{{namespace}}/allowlists",
    "DataPlane": f"/apis/{objects.API_VERSION}/dataplanes",
    "Secret": NAMESPACES + "/{namespace}/secrets",
    "AccessPolicy": f"/apis/{objects.API_VERSION}/namespaces/{{namespace}}/accesspolicies",
    "MutatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicies",
    "MutatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings",
}


def collection_path(kind: str, namespace: str = "") -> str:
    """Where objects of a kind are."""
    return _PATHS[kind].format(namespace=namespace)


@dataclass(frozen=True, kw_only=True)
class World:
    """One running local cluster with the operator in it, and the time there is."""

    layout: Layout
    budget: Budget
    kube: Kube = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kube", identities.client(self.layout, "bootstrap"))

    def apply(self, obj: Object) -> Object:
        path = f"{collection_path(obj['kind'], obj['metadata'].get('namespace', ''))}/{obj['metadata']['name']}"
        query = {"fieldManager": "bench", "force": "true"}
        return self.kube.request("PATCH", path, body=obj, content=APPLY, query=query)

    def items(self, path: str) -> list[Object]:
        """The objects of a path; none where nothing is."""
        found = self.kube.find(path) or {}
        items: list[Object] = found.get("items", [])
        return items

    def secret(self, namespace: str, name: str) -> dict[str, bytes]:
        """A Secret's values."""
        found = self.kube.find(f"{NAMESPACES}/{namespace}/secrets/{name}")
        if found is None:
            raise BenchError(f"Secret {namespace}/{name} is not there")
        return {key: base64.b64decode(value) for key, value in found["data"].items()}

    def pods(self, namespace: str) -> list[Object]:
        return self.items(f"{NAMESPACES}/{namespace}/pods")

    def pod(self, namespace: str, component: str) -> Object:
        """The first pod of a component of a cluster, by name."""
        found = [
            p for p in self.pods(namespace) if p["metadata"]["labels"].get("app.kubernetes.io/component") == component
        ]
        if not found:
            raise BenchError(f"namespace {namespace} has no pod of component {component}")
        return min(found, key=lambda pod: str(pod["metadata"]["name"]))

    def free(self) -> quantities.Requests:
        """What the node can still promise to pods."""
        node = self.kube.request("GET", f"/api/v1/nodes/{NODE_NAME}")
        return quantities.of_node(node) - quantities.of_pods(self.items("/api/v1/pods"))

    def exists(self, project: str) -> bool:
        return self.kube.find(f"{NAMESPACES}/{project}") is not None

    def clusters(self, project: str) -> list[Object]:
        return self.items(collection_path("ZillizCluster", project))

    def make(
        self, project: str, names: Sequence[str], *, cidrs: Sequence[str], say: Callable[[str], None]
    ) -> dict[str, float]:
        """Apply clusters at once, with who may enter and how; name → seconds from the first apply to its Ready."""
        self.apply(objects.project(project))
        began = time.monotonic()
        for name in names:
            self.apply(objects.cluster(project=project, name=name))
        self.apply(objects.allowlist(project=project, cidrs=cidrs))
        self.apply(objects.access(project=project))
        took: dict[str, float] = {}

        def all_ready() -> bool:
            for cluster in self.clusters(project):
                name = cluster["metadata"]["name"]
                if name not in took and objects.is_ready(cluster):
                    took[name] = time.monotonic() - began
                    say(f"{name}: Ready after {took[name]:.1f} s")
            return len(took) == len(names)

        try:
            self.budget.until(all_ready, what=f"{len(names)} clusters to be Ready", seconds=READY_SECONDS, every=0.5)
        except BenchError as error:
            late = [c for c in self.clusters(project) if c["metadata"]["name"] not in took]
            said = "; ".join(f"{c['metadata']['name']}: {objects.why_not_ready(c)}" for c in late)
            raise type(error)(f"{error}: {len(took)} were after {time.monotonic() - began:.0f} s; {said}") from error
        return took

    def remove(self, project: str, *, purge: bool = True) -> float:
        """Delete a project's clusters, then the project and what recycling keeps; seconds until the pods were gone.

        `purge`: whether what recycling keeps is in the local store.

        The namespaces may still be ending: `wait_until_gone` waits for them.
        """
        began = time.monotonic()
        clusters = self.clusters(project)
        homes = self.homes(project)
        buckets = {bucket for c in clusters if (bucket := (c.get("status") or {}).get("bucket"))}
        buckets |= {r["spec"]["bucket"] for r in self.items(collection_path("RecycledCluster", project))}
        for cluster in clusters:
            self.kube.delete(f"{collection_path('ZillizCluster', project)}/{cluster['metadata']['name']}")
        _wait(lambda: not self.clusters(project), what=f"the clusters of {project} to be gone")
        _wait(lambda: not any(map(self.pods, homes)), what=f"the pods of {project} to be gone")
        took = time.monotonic() - began
        for home in (*homes, project):
            self._delete_namespace(home)
        if purge:
            store.purge(self.layout, sorted(buckets))
        return took

    def homes(self, project: str) -> list[str]:
        """The namespaces of a project's clusters, recycled ones among them."""
        query = {"labelSelector": f"{PROJECT_LABEL}={project}"}
        found = self.kube.request("GET", NAMESPACES, query=query)["items"]
        return [item["metadata"]["name"] for item in found]

    def wait_until_gone(self, projects: Sequence[str]) -> None:
        """Until neither the projects nor any cluster's namespace of theirs are left."""
        what = f"the namespaces of {', '.join(projects)} to be gone"
        _wait(lambda: not any(self.exists(p) or self.homes(p) for p in projects), what=what)

    def _delete_namespace(self, name: str) -> None:
        path = f"{NAMESPACES}/{name}"
        if self.kube.find(path) is not None:
            self.kube.merge(path, {"metadata": {"annotations": {f"{objects.GROUP}/confirm": name}}})
            self.kube.delete(path)

    def wait_for_access(self, project: str) -> None:
        """Until the API key of the project is known at every door."""
        path = f"{collection_path('AccessPolicy', project)}/bench"
        self.budget.until(
            lambda: objects.is_ready(self.kube.request("GET", path)), what=f"the access policy of {project}", seconds=60
        )

    def leader(self) -> str:
        """Name of the operator's pod that leads."""
        lease = self.kube.request("GET", LEASE)
        holder = str(lease["spec"].get("holderIdentity") or "")
        if not holder:
            raise BenchError("nobody holds the operator's lease")
        return holder.rpartition("_")[0]

    def lower_requests(self, lowered: Mapping[str, str], *, project: str) -> None:
        """Lower CPU requests of the pods to come, and wait until that is in force."""
        self.apply(objects.project(project))
        for part in objects.lowered_requests(lowered, trial=project):
            self.apply(part)
        old, new = next(iter(lowered.items()))

        def in_force() -> bool:
            try:
                made = self.kube.request(
                    "POST", f"{NAMESPACES}/{project}/pods", body=objects.trial_pod(old), query={"dryRun": "All"}
                )
            except ApiError:
                return False  # a new namespace lacks its service account for a moment
            return bool(made["spec"]["containers"][0]["resources"]["requests"]["cpu"] == new)

        self.budget.until(in_force, what="the lowered CPU requests to be in force", seconds=30)

    def restore_requests(self) -> None:
        for kind in ("MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"):
            self.kube.delete(f"{collection_path(kind)}/{objects.LOWERED_NAME}")


def container_of(pod: Object) -> str:
    """The id of a pod's only container."""
    states = (pod.get("status") or {}).get("containerStatuses") or []
    if len(states) != 1 or not states[0].get("containerID"):
        raise BenchError(f"pod {pod['metadata']['name']} does not run one container")
    return str(states[0]["containerID"]).rpartition("/")[2]


def _wait(condition: Callable[[], bool], *, what: str, seconds: float = GONE_SECONDS) -> None:
    """Cleaning up goes on after the run's time is over, so it has a clock of its own."""
    Budget(seconds + 1).until(condition, what=what, seconds=seconds)
