"""The whole product on a node of its own, as tests see it: Kubernetes' API, pods to look from, hosts outside, the store.

Everything of the node is in a network namespace. This process stays outside of it and enters for single calls (`inside`).
"""

import base64
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import boto3
import yaml
from botocore import UNSIGNED
from botocore.config import Config

from tests.apiserver.client import Api
from tests.node import audit
from tools.devcluster import build, netns, store
from tools.devcluster.controlplane import ControlPlane
from tools.devcluster.images import build as images
from tools.devcluster.layout import Layout, layout
from zilliz_operator.api import names

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "zilliz-operator"
VALUES = ROOT / "tools" / "demo" / "values.yaml"
OPERATOR_NAMESPACE = "zilliz-system"
OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:zilliz-operator"
TOOLBOX = "docker.io/zillizbyoc/toolbox:dev"
ALLOWED = IPv4Address("10.200.0.50")
"""The one address on every cluster's allowlist, unless a test says otherwise."""
READY_SECONDS = 420.0
SLOW = 180.0
"""Seconds for what takes a few on an idle machine."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Plane:
    """A local cluster, in the shape that the API client of the tests wants."""

    layout: Layout

    @property
    def server(self) -> str:
        return self.layout.server

    def inside(self) -> AbstractContextManager[None]:
        return netns.inside(self.layout.name)


@dataclass(frozen=True)
class Product:
    """A local cluster with the operator installed."""

    name: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    # ---- life of the instance

    @cached_property
    def layout(self) -> Layout:
        return layout(name=self.name)

    def devcluster(self, *words: str, input: str | None = None, seconds: float = 300.0) -> str:
        """A command of the local cluster; its output. A failure shows all of it."""
        command = [sys.executable, "-m", "tools.devcluster", "--name", self.name, *words]
        return run(command, input=input, seconds=seconds)

    def up(self) -> None:
        self.devcluster("up", seconds=3600.0)

    def down(self) -> None:
        self.devcluster("down", seconds=300.0)

    def install(self, *extra: str) -> None:
        """Install or upgrade the operator from its chart with the image that was just built; wait until it runs."""
        digests = {image.name: image.digest for image in images.ensure_all(lambda _: None)}
        operator = next(digest for name, digest in digests.items() if "/operator:" in name)
        built = operator.rpartition(":")[2][:16]
        self.devcluster(
            "helm", "--", "upgrade", "--install", "zilliz-operator", str(CHART), "--namespace", OPERATOR_NAMESPACE,
            "--values", str(VALUES), "--set-string", f"podAnnotations.built-from={built}",
            "--wait", "--timeout", "5m", *extra, seconds=400.0,
        )  # fmt: skip

    # ---- Kubernetes

    @cached_property
    def api(self) -> Api:
        """Single requests; refusals are answers."""
        return Api(cast(ControlPlane, Plane(self.layout)))

    def kubectl(self, *words: str, input: str | None = None, seconds: float = 120.0) -> str:
        """What kubectl prints; a failure shows its words."""
        return run(self._kubectl(words), input=input, seconds=seconds, env=self._environment)

    def try_kubectl(
        self, *words: str, input: str | None = None, seconds: float = 120.0
    ) -> "subprocess.CompletedProcess[str]":
        """kubectl, whatever comes of it."""
        return subprocess.run(
            self._kubectl(words),
            input=input,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=self._environment,
        )

    def _kubectl(self, words: Sequence[str]) -> list[str]:
        return [*_enter(self.name), str(build.of_environment("kubectl")), *words]

    @cached_property
    def _environment(self) -> dict[str, str]:
        # every instance has the same address, so caches must not be shared
        cache = self.layout.root / "tools" / "kubectl"
        return {**os.environ, "KUBECONFIG": str(self.layout.kubeconfig), "KUBECACHEDIR": str(cache)}

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest:
        """An object that must be there."""
        return self.api.get(kind, name, namespace=namespace).must()

    def find(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """An object, or None."""
        answer = self.api.get(kind, name, namespace=namespace)
        return None if answer.status == 404 else answer.must()

    def list(self, kind: str, namespace: str = "", *, labels: Mapping[str, str] | None = None) -> "list[Manifest]":
        """All objects of a kind, in one namespace or in all."""
        found = cast("list[Manifest]", self.api.get(kind, namespace=namespace).must()["items"])
        wanted = dict(labels or {}).items()
        return [each for each in found if wanted <= (each["metadata"].get("labels") or {}).items()]

    def apply(self, *manifests: Manifest | str) -> None:
        """Server-side apply of dictionaries and YAML texts, in order."""
        for each in manifests:
            for manifest in yaml.safe_load_all(each) if isinstance(each, str) else [each]:
                if manifest:
                    self.api.apply(manifest).must()

    def merge(self, kind: str, name: str, patch: Manifest, *, namespace: str = "") -> Manifest:
        """JSON merge patch."""
        return self.api.merge(kind, name, patch, namespace=namespace).must()

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        """Delete; the deletion must be accepted."""
        self.api.delete(kind, name, namespace=namespace).must()

    def secret(self, name: str, namespace: str) -> dict[str, str]:
        """A Secret's values."""
        data = self.get("Secret", name, namespace).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    # ---- waiting

    def wait_for(
        self,
        predicate: Callable[[], Any],
        *,
        what: str,
        deadline: float = SLOW,
        about: tuple[str, str, str] | None = None,
        every: float = 0.25,
    ) -> Any:
        """The first truthy answer of `predicate`. When `deadline` seconds have passed the test fails with what was waited for and
        the conditions of `about` (kind, name, namespace)."""
        end = time.monotonic() + deadline
        while True:
            if found := predicate():
                return found
            if time.monotonic() > end:
                raise AssertionError(f"after {deadline:.0f} s still not: {what}{self._state(about)}")
            time.sleep(every)

    def _state(self, about: tuple[str, str, str] | None) -> str:
        if about is None:
            return ""
        found = self.find(*about)
        return f"\n{'/'.join(about)}:\n{conditions_text(found)}" if found else f"\n{'/'.join(about)} is not there"

    def wait_condition(
        self,
        kind: str,
        name: str,
        namespace: str = "",
        *,
        type: str = "Ready",
        status: str = "True",
        reason: str = "",
        deadline: float = SLOW,
    ) -> Manifest:
        """The object, once that condition holds for its present generation."""

        def holds() -> Manifest | None:
            found = self.find(kind, name, namespace)
            condition = condition_of(found, type)
            if found is None or condition is None or condition["status"] != status:
                return None
            if reason and condition["reason"] != reason:
                return None
            return found if condition.get("observedGeneration") == found["metadata"]["generation"] else None

        what = f"{kind} {namespace}/{name} has {type}={status} {reason}".rstrip()
        return cast(Manifest, self.wait_for(holds, what=what, deadline=deadline, about=(kind, name, namespace)))

    # ---- on the node, and outside of it

    def inside(self) -> AbstractContextManager[None]:
        """This thread's new sockets are the node's, meanwhile. (Libraries with threads of their own, as gRPC, need a process:
        `run`.)"""
        return netns.inside(self.name)

    def run(self, *command: str, input: str | None = None, seconds: float = 120.0) -> str:
        """A command on the node: its network, its DNS, KUBECONFIG set."""
        return self.devcluster("run", "--", *command, input=input, seconds=seconds)

    def try_run(self, *command: str, seconds: float = 120.0) -> "subprocess.CompletedProcess[str]":
        """A command on the node, whatever comes of it."""
        words = [sys.executable, "-m", "tools.devcluster", "--name", self.name, "run", "--", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT)

    def host(self, name: str, address: str | IPv4Address | None = None) -> "Host":
        """A host outside of the cluster with an address of its own."""
        wanted = IPv4Address(str(address)) if address else None
        with self._lock:
            found = netns.ensure_client(self.layout, name, address=wanted)
        return Host(self, name, found)

    @property
    def office(self) -> "Host":
        """The host that allowlists admit."""
        return self.host("office", ALLOWED)

    @property
    def stranger(self) -> "Host":
        """A host on no list."""
        return self.host("stranger", "10.200.0.99")

    def pod(
        self,
        namespace: str,
        name: str = "toolbox",
        *,
        labels: Mapping[str, str] | None = None,
        command: Sequence[str] = ("sleep", "infinity"),
    ) -> "Pod":
        """A pod with Python, curl and openssl to look from; it meets Pod Security `restricted`."""
        self.api.namespace(namespace)
        if self.find("Pod", name, namespace) is None:
            self.api.create(_toolbox(namespace, name, labels=dict(labels or {}), command=command)).must()
        pod = Pod(self, namespace, name)
        pod.wait_running()
        return pod

    # ---- the object store

    def s3(self, keys: tuple[str, str] | None = None) -> Any:
        """boto3's S3 client on the node, as the store's administrator or with `keys` (id, secret)."""
        return self._boto("s3", keys, port=8333)

    def iam(self, keys: tuple[str, str] | None = None, *, port: int = 8334) -> Any:
        """boto3's IAM client on the node; port 8334 is the operator's door, 8333 the tenants'."""
        return self._boto("iam", keys, port=port)

    def anonymous_s3(self) -> Any:
        """boto3's S3 client on the node that signs nothing."""
        return self._boto("s3", None, port=8333, signature_version=UNSIGNED)

    def _boto(self, service: str, keys: tuple[str, str] | None, *, port: int, **more: Any) -> Any:
        access, secret = keys or store.admin_keys(self.layout)
        factory: Any = boto3.client
        client = factory(
            service,
            region_name="us-east-1",
            endpoint_url=f"https://{self.layout.address}:{port}",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            verify=str(self.layout.pki / "store.crt"),
            config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **more),
        )
        return _OnNode(client, self)

    # ---- what was written

    @property
    def audit(self) -> "audit.AuditLog":
        """The API server's audit log: `mark()` a place, then count `writes(since=..., user=...)`."""
        return audit.AuditLog(self.layout.audit_log)

    # ---- clusters

    def make_cluster(
        self,
        project: str,
        name: str,
        *,
        entries: Sequence[str] = (f"{ALLOWED}/32",),
        workloads: Sequence[Manifest] = (),
        role: str = "DataAdmin",
        wait: bool = True,
        **spec: Any,
    ) -> "Cluster":
        """A project with a ZillizCluster (`spec` over the defaults), its Allowlist and an AccessPolicy with the API key `<name>-key`
        and the user of Secret `<name>-user`, Ready unless `wait` is False."""
        self.api.namespace(project)
        made = Cluster(self, project, name)
        wanted = {"size": {"cuSize": 1}, "exposure": "LoadBalancer", "deletionProtection": False, **spec}
        self.apply(ours("ZillizCluster", name, project, wanted))
        if entries or workloads:
            lists = {"entries": [{"cidr": cidr} for cidr in entries], "workloads": list(workloads)}
            self.apply(ours("Allowlist", name, project, {"clusters": {"names": [name]}, **lists}))
        subjects = [
            {"kind": "ApiKey", "name": name, "secretName": f"{name}-key"},
            {"kind": "ClusterUser", "name": name.replace("-", "_"), "secretName": f"{name}-user"},
        ]
        policy = {"level": "Cluster", "clusters": {"names": [name]}, "role": role, "subjects": subjects}
        self.apply(ours("AccessPolicy", name, project, policy))
        if wait:
            made.wait_ready()
        return made

    def logs(self) -> Iterator[tuple[str, Path]]:
        """Every log file of the instance: its own parts' and every container's."""
        for root in (self.layout.logs, self.layout.pod_logs):
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    yield str(file.relative_to(self.layout.root)), file


@dataclass(frozen=True)
class Cluster:
    """A ZillizCluster and where its parts are."""

    product: Product
    project: str
    name: str

    def read(self) -> Manifest:
        """The object as it is now."""
        return self.product.get("ZillizCluster", self.name, self.project)

    @property
    def status(self) -> Manifest:
        return cast(Manifest, self.read().get("status") or {})

    @cached_property
    def uid(self) -> str:
        return str(self.read()["metadata"]["uid"])

    @property
    def id(self) -> str:
        return names.cluster_id(self.uid)

    @property
    def namespace(self) -> str:
        """Where it runs."""
        return names.cluster_namespace(self.id)

    @property
    def bucket(self) -> str:
        return str(self.status["bucket"])

    @property
    def address(self) -> str:
        """The load balancer's."""
        return str(self.status["address"])

    @property
    def connection(self) -> dict[str, str]:
        """The connection Secret: host, port, uri, username (db_admin), password, ca.crt."""
        return self.product.secret(names.connection_secret(self.name), self.project)

    @property
    def key(self) -> dict[str, str]:
        """The Secret of the API key: token, uri, host, ca.crt."""
        return self.product.secret(f"{self.name}-key", self.project)

    def condition(self, type: str) -> Manifest | None:
        return condition_of(self.read(), type)

    def wait_ready(self, *, deadline: float = READY_SECONDS) -> "Cluster":
        """Itself, once it, its Allowlist and its AccessPolicy are Ready."""
        wait = self.product.wait_condition
        wait("ZillizCluster", self.name, self.project, deadline=deadline)
        for kind in ("Allowlist", "AccessPolicy"):
            for each in self.product.list(kind, self.project):
                wait(kind, each["metadata"]["name"], self.project)
        return self

    def wait_condition(self, type: str, status: str = "True", reason: str = "", *, deadline: float = SLOW) -> Manifest:
        """The object, once that condition holds."""
        return self.product.wait_condition(
            "ZillizCluster", self.name, self.project, type=type, status=status, reason=reason, deadline=deadline
        )

    def pods(self, component: str = "") -> "list[Pod]":
        """Its running pods: of `gateway`, of `milvus`, or all."""
        labels = {"app.kubernetes.io/component": component} if component else {}
        found = self.product.list("Pod", self.namespace, labels=labels)
        running = [each for each in found if not each["metadata"].get("deletionTimestamp")]
        return [Pod(self.product, self.namespace, each["metadata"]["name"]) for each in running]

    def patch(self, **spec: Any) -> Manifest:
        """Merge into the spec."""
        return self.product.merge("ZillizCluster", self.name, {"spec": spec}, namespace=self.project)

    def remove(self, *, deadline: float = SLOW, pods: bool = True) -> None:
        """Delete it (protection off), its policies and lists, and (`pods`) wait until its pods are gone."""
        product, namespace = self.product, ""
        if product.find("ZillizCluster", self.name, self.project) is not None:
            namespace = self.namespace
            self.patch(deletionProtection=False)
            product.delete("ZillizCluster", self.name, self.project)
        for kind in ("AccessPolicy", "Allowlist"):
            product.api.delete(kind, self.name, namespace=self.project)
        about = ("ZillizCluster", self.name, self.project)
        product.wait_for(
            lambda: product.find(*about) is None, what=f"{self.name} is gone", deadline=deadline, about=about
        )
        if namespace and pods:
            gone = f"no pod is left in {namespace}"
            product.wait_for(lambda: not product.list("Pod", namespace), what=gone, deadline=deadline)


@dataclass(frozen=True)
class Pod:
    """A pod to look at, or to look from."""

    product: Product
    namespace: str
    name: str

    def read(self) -> Manifest:
        return self.product.get("Pod", self.name, self.namespace)

    @property
    def address(self) -> str:
        return str(self.read()["status"]["podIP"])

    def wait_running(self, *, deadline: float = SLOW) -> None:
        """Until every container is ready."""

        def ready() -> bool:
            status = self.read().get("status") or {}
            return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())

        self.product.wait_for(ready, what=f"pod {self.namespace}/{self.name} is ready", deadline=deadline)

    def run(self, *command: str, input: str | None = None, seconds: float = 120.0) -> str:
        """A command in the pod's first container."""
        words = ("exec", "-i", "-n", self.namespace, self.name, "--", *command)
        return self.product.kubectl(*words, input=input or "", seconds=seconds)

    def python(self, script: str, *arguments: str, input: str | None = None) -> str:
        """A Python script in the pod (standard library only)."""
        return self.run("python3", "-c", script, *arguments, input=input)


@dataclass(frozen=True)
class Host:
    """A host outside of the cluster."""

    product: Product
    name: str
    address: IPv4Address

    def inside(self) -> AbstractContextManager[None]:
        """This thread's new sockets are that host's, meanwhile."""
        return netns.inside(netns.client_namespace(self.product.layout, self.name))

    def run(self, *command: str, input: str | None = None, seconds: float = 120.0) -> str:
        """A command on the host: its address, the cluster's DNS."""
        words = ("client", self.name, "--address", str(self.address), "--", *command)
        return self.product.devcluster(*words, input=input, seconds=seconds)

    def python(self, script: str, *arguments: str, input: str | None = None) -> str:
        """A Python script on the host, with everything the tests have installed."""
        return self.run(sys.executable, "-c", script, *arguments, input=input)


class _OnNode:
    """A client of boto3 whose every call is made from the node."""

    def __init__(self, client: Any, product: Product) -> None:
        self._client, self._product = client, product

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if not callable(found) or name == "get_paginator":
            return found

        def call(*positional: Any, **named: Any) -> Any:
            with self._product.inside():
                answer = found(*positional, **named)
                if isinstance(answer, dict) and hasattr(answer.get("Body"), "read"):
                    answer["Content"] = answer["Body"].read()
                return answer

        return call


def run(
    command: Sequence[str], *, input: str | None = None, seconds: float, env: Mapping[str, str] | None = None
) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        command, input=input, capture_output=True, text=True, timeout=seconds, check=False, cwd=ROOT, env=env
    )
    assert done.returncode == 0, f"{' '.join(command)}\nended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def ours(kind: str, name: str, namespace: str, spec: Manifest) -> Manifest:
    """An object of one of our kinds."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def condition_of(found: Manifest | None, type: str) -> Manifest | None:
    """One condition of an object."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or ()
    return next((each for each in conditions if each["type"] == type), None)


def conditions_text(found: Manifest) -> str:
    """An object's conditions, a line each."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    generation = found["metadata"].get("generation")
    lines = [f"  {c['type']}={c['status']} {c.get('reason', '')}: {c.get('message', '')}" for c in conditions]
    return "\n".join([f"  generation {generation}", *(lines or ["  no condition at all"])])


def _enter(namespace: str) -> tuple[str, ...]:
    return ("nsenter", f"--net={netns.path(namespace)}", "--")


def _toolbox(namespace: str, name: str, *, labels: Mapping[str, str], command: Sequence[str]) -> Manifest:
    container = {
        "name": "toolbox",
        "image": TOOLBOX,
        "imagePullPolicy": "Never",
        "command": list(command),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": {"app": name, **labels}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
