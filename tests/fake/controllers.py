"""The controllers around the operator, as small as they may be: cert-manager, workloads with their kubelets, load balancers.

`tick()` does what is due and says whether anything changed; time is the world's clock.
"""

import base64
import hashlib
import itertools
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.fake.apply import copied
from tests.fake.cloud import FakeCloud
from tests.fake.kube import FakeKube
from tests.fake.outside import Gateway, Server, leaf_sha256
from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.confighash import config_hash
from zilliz_operator.reconcile.ports import Manifest

AWS_CONTROLLER = "service.beta.kubernetes.io/aws-load-balancer-type"
"""The annotation by which the AWS Load Balancer Controller serves a Service."""


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


_serials = itertools.count(1000)


def certificate(common_name: str, *, until: datetime) -> tuple[str, str]:
    """A certificate of its own and its key, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:60])])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(next(_serials))
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .sign(_key(), hashes.SHA256())
    )
    key = _key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), key.decode()


def encoded(values: dict[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


class CertManager:
    """Certificates → Secrets."""

    def __init__(self, kube: FakeKube, clock: Any) -> None:
        self._kube = kube
        self._clock = clock
        self.running = True
        self.refuses = ""

    def tick(self) -> bool:
        if not self.running:
            return False
        changed = False
        for cert in self._kube.find("Certificate"):
            if not cert["metadata"].get("deletionTimestamp"):
                changed |= self._look(cert)
        return changed

    def renew(self, name: str, namespace: str) -> None:
        self._issue(self._kube.must("Certificate", name, namespace))

    def _look(self, cert: Manifest) -> bool:
        namespace = cert["metadata"]["namespace"]
        secret = self._kube.peek("Secret", cert["spec"]["secretName"], namespace)
        issued = ((secret or {"metadata": {}})["metadata"].get("annotations") or {}).get("issued-for")
        wanted = _digest({k: v for k, v in cert["spec"].items() if k != "renewBefore"})
        if secret is not None and issued == wanted:
            return self._issued(cert, secret)
        why = self.refuses or self._not_ready(cert)
        if why:
            return self._status(cert, {"conditions": [_condition("Ready", "False", why)]})
        self._issue(cert)
        return True

    def _not_ready(self, cert: Manifest) -> str:
        """Why the issuer cannot sign; empty when it can."""
        ref, namespace = cert["spec"]["issuerRef"], cert["metadata"]["namespace"]
        where = namespace if ref["kind"] == "Issuer" else None
        issuer = self._kube.peek(ref["kind"], ref["name"], where)
        if issuer is None:
            return f"{ref['kind']} {ref['name']} not found"
        told = {c["type"]: c for c in (issuer.get("status") or {}).get("conditions") or ()}
        if told.get("Ready", {}).get("status") == "False":
            return f"{ref['name']} is not ready"
        authority = (issuer["spec"].get("ca") or {}).get("secretName")
        if authority and ref["kind"] == "Issuer" and self._kube.peek("Secret", authority, namespace) is None:
            return f"{ref['name']} has no Secret yet"
        return ""

    def _issue(self, cert: Manifest) -> None:
        metadata, spec = cert["metadata"], cert["spec"]
        days = int(spec["duration"].removesuffix("h")) / 24
        until = self._clock.now() + timedelta(days=days)
        crt, key = certificate(spec.get("commonName") or spec["dnsNames"][0], until=until)
        data = encoded({"tls.crt": crt, "tls.key": key, "ca.crt": crt})
        self._kube.put(
            {
                "kind": "Secret",
                "metadata": {
                    "name": spec["secretName"],
                    "namespace": metadata["namespace"],
                    "annotations": {
                        "issued-for": _digest({k: v for k, v in spec.items() if k != "renewBefore"}),
                        "until": utc(until),
                    },
                },
                "type": "kubernetes.io/tls",
                "data": data,
            }
        )
        self._issued(cert, self._kube.must("Secret", spec["secretName"], metadata["namespace"]))

    def _issued(self, cert: Manifest, secret: Manifest) -> bool:
        ready = _condition("Ready", "True", "Certificate is up to date and has not expired")
        until = secret["metadata"]["annotations"]["until"]
        return self._status(cert, {"conditions": [ready], "notAfter": until})

    def _status(self, cert: Manifest, status: Manifest) -> bool:
        before = cert.get("status")
        self._kube.set_status("Certificate", cert["metadata"]["name"], cert["metadata"]["namespace"], status)
        return before != status


class Workloads:
    """StatefulSets and Deployments → pods with addresses, and what the pods run."""

    def __init__(self, kube: FakeKube, clock: Any, *, network: str = "10.244.0") -> None:
        self._kube = kube
        self._clock = clock
        self._network = network
        self._addresses = itertools.count(10)
        self._suffixes = itertools.count(1)
        self.missing_images: set[str] = set()
        self.servers: dict[str, Server] = {}
        """Namespace → what its Milvus' volume holds."""
        self.gateways: dict[str, Gateway] = {}
        """Pod UID → what it runs."""
        self.store_keys: dict[str, str] = {}
        """UID of a Milvus pod → the access key that it was started with."""
        self.starts: list[str] = []
        """Every pod that was started: namespace/owner."""
        self.kubelet = True
        """Whether kubelets carry changed mounts into running pods."""
        self._synced = clock.now()
        self._nudged: dict[str, str] = {}

    def tick(self) -> bool:
        changed = self._remove_orphans()
        for kind in ("Deployment", "StatefulSet"):
            for owner in list(self._kube.find(kind)):
                if not owner["metadata"].get("deletionTimestamp"):
                    changed |= self._reconcile(owner)
        for pod in list(self._kube.find("Pod")):
            changed |= self._run(pod)
        self._sync_mounts()
        return changed

    def restart(self, pod: Manifest) -> None:
        """The container ends and starts anew."""
        if pod["metadata"]["labels"].get("app.kubernetes.io/component") == "milvus":
            self.servers[pod["metadata"]["namespace"]].start()
            self._read_store_key(pod)
        pod = copied(pod)
        restarts = pod["status"]["containerStatuses"][0]["restartCount"]
        status = {**pod["status"], "containerStatuses": [_running(pod, restarts=restarts + 1)]}
        self._kube.set_status("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], status)

    # ---- inside

    def pods_of(self, owner: Manifest) -> list[Manifest]:
        uid = owner["metadata"]["uid"]
        return [
            pod
            for pod in self._kube.find("Pod", owner["metadata"]["namespace"])
            if any(ref["uid"] == uid for ref in pod["metadata"].get("ownerReferences") or ())
        ]

    def _remove_orphans(self) -> bool:
        gone = False
        owners = {o["metadata"]["uid"] for kind in ("Deployment", "StatefulSet") for o in self._kube.find(kind)}
        for pod in list(self._kube.find("Pod")):
            refs = pod["metadata"].get("ownerReferences") or ()
            if refs and refs[0]["uid"] not in owners:
                self._kube.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
                gone = True
        return gone

    def _reconcile(self, owner: Manifest) -> bool:
        revision = _digest(owner["spec"]["template"])
        replicas = owner["spec"].get("replicas", 1)
        pods, changed = self.pods_of(owner), False
        for pod in pods:
            stale = pod["metadata"]["annotations"]["revision"] != revision
            if stale or replicas < len(pods):
                self._kube.remove("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"])
                changed = True
        if not changed:
            for number in range(replicas - len(pods)):
                self._create(owner, revision, number)
                changed = True
        pods = self.pods_of(owner)
        ready = sum(_is_ready(pod) for pod in pods)
        status = {
            "observedGeneration": owner["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": ready,
            "updatedReplicas": len(pods),
            "currentRevision": revision,
            "updateRevision": revision,
        }
        kind, name, namespace = owner["kind"], owner["metadata"]["name"], owner["metadata"]["namespace"]
        changed |= self._kube.must(kind, name, namespace).get("status") != status
        self._kube.set_status(kind, name, namespace, status)
        return changed

    def _create(self, owner: Manifest, revision: str, number: int) -> None:
        metadata, template = owner["metadata"], owner["spec"]["template"]
        stateful = owner["kind"] == "StatefulSet"
        name = f"{metadata['name']}-{number if stateful else f'{next(self._suffixes):05d}'}"
        reference = {
            "apiVersion": "apps/v1",
            "kind": owner["kind"],
            "name": metadata["name"],
            "uid": metadata["uid"],
            "controller": True,
        }
        if stateful:
            self._claims(owner, name)
        pod = {
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": dict(template["metadata"]["labels"]),
                "annotations": {**template["metadata"].get("annotations", {}), "revision": revision},
                "ownerReferences": [reference],
            },
            "spec": copied(template["spec"]),
        }
        self._kube.put(pod)
        self.starts.append(f"{metadata['namespace']}/{metadata['name']}")

    def _claims(self, owner: Manifest, pod: str) -> None:
        namespace = owner["metadata"]["namespace"]
        for claim in owner["spec"].get("volumeClaimTemplates") or ():
            name = f"{claim['metadata']['name']}-{pod}"
            if self._kube.peek("PersistentVolumeClaim", name, namespace) is None:
                metadata = {**claim["metadata"], "name": name, "namespace": namespace}
                self._kube.put({"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim["spec"]})

    def _run(self, pod: Manifest) -> bool:
        status = pod.get("status") or {}
        if _is_ready(pod):
            return False
        waiting = self._waits(pod)
        if waiting:
            wanted: Manifest = {
                "phase": "Pending",
                "containerStatuses": [{**_running(pod, restarts=0), "state": {"waiting": waiting}}],
            }
        else:
            self._boot(pod)
            wanted = {
                "phase": "Running",
                "podIP": f"{self._network}.{next(self._addresses)}",
                "conditions": [_condition("Ready", "True", "")],
                "containerStatuses": [_running(pod, restarts=0)],
            }
        if status == wanted:
            return False
        self._kube.set_status("Pod", pod["metadata"]["name"], pod["metadata"]["namespace"], wanted)
        return True

    def _waits(self, pod: Manifest) -> Manifest | None:
        image = pod["spec"]["containers"][0]["image"]
        if image in self.missing_images:
            return {"reason": "ImagePullBackOff", "message": f"{image}: not found"}
        namespace = pod["metadata"]["namespace"]
        for volume in pod["spec"].get("volumes") or ():
            for key, kind, name in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
                if key in volume and self._kube.peek(kind, volume[key][name], namespace) is None:
                    return {"reason": "ContainerCreating", "message": f"{kind} {volume[key][name]} not found"}
        return None

    def _boot(self, pod: Manifest) -> None:
        metadata = pod["metadata"]
        if metadata["labels"].get("app.kubernetes.io/component") == "milvus":
            self.servers.setdefault(metadata["namespace"], Server()).start()
            self._read_store_key(pod)
        else:
            self.gateways[metadata["uid"]] = self._mounted(metadata["namespace"])

    def _read_store_key(self, pod: Manifest) -> None:
        """An environment is read once, when a container starts."""
        metadata, env = pod["metadata"], pod["spec"]["containers"][0].get("env") or ()
        refs = [(each.get("valueFrom") or {}).get("secretKeyRef") or {} for each in env]
        wanted = next((ref for ref in refs if ref.get("key") == "accessKeyId"), None)
        if wanted is None:
            self.store_keys.pop(metadata["uid"], None)
            return
        secret = self._kube.must("Secret", wanted["name"], metadata["namespace"])
        self.store_keys[metadata["uid"]] = base64.b64decode(secret["data"][wanted["key"]]).decode()

    @property
    def lagging(self) -> bool:
        """Whether some gateway's kubelet has something to bring yet."""
        live = {pod["metadata"]["uid"]: pod["metadata"]["namespace"] for pod in self._kube.find("Pod")}
        return self.kubelet and any(
            gateway != self._mounted(live[uid]) for uid, gateway in self.gateways.items() if uid in live
        )

    def _sync_mounts(self) -> None:
        """A kubelet looks at mounts at once when the pod itself changes, else within about a minute."""
        due = (self._clock.now() - self._synced).total_seconds() > 60
        if due:
            self._synced = self._clock.now()
        for pod in self._kube.find("Pod"):
            uid = pod["metadata"]["uid"]
            annotation = (pod["metadata"].get("annotations") or {}).get(names.PREFIX + "config", "")
            nudged = annotation != self._nudged.get(uid, "")
            if uid in self.gateways and self.kubelet and (due or nudged):
                self._nudged[uid] = annotation
                self.gateways[uid] = self._mounted(pod["metadata"]["namespace"])

    def _mounted(self, namespace: str) -> Gateway:
        config, maps = (
            self._kube.peek("ConfigMap", "gateway-config", namespace),
            self._kube.peek("Secret", "gateway-maps", namespace),
        )
        served = self._kube.peek("Secret", "gateway-tls", namespace)
        if config is None or maps is None or served is None:
            return Gateway(error="mounts are incomplete")
        files = {f"config/{key}": value.encode() for key, value in config["data"].items()}
        files |= {f"maps/{key}": base64.b64decode(value) for key, value in maps["data"].items()}
        pem = base64.b64decode(served["data"]["tls.crt"]).decode(errors="replace")
        try:
            return Gateway(config=config_hash(files), certificate=leaf_sha256(pem))
        except ValueError:
            return Gateway(config=config_hash(files), error="the certificate cannot be read")


class LoadBalancers:
    """Addresses for Services; in AWS (by the controller's annotation) a load balancer with a host name."""

    def __init__(self, kube: FakeKube, cloud: FakeCloud) -> None:
        self._kube = kube
        self._cloud = cloud
        self.running = True

    def tick(self) -> bool:
        if not self.running:
            return False
        changed, hosts = False, set()
        for service in self._kube.find("Service"):
            wanted = service["spec"].get("type") == "LoadBalancer"
            ingress: dict[str, str] = {"ip": "203.0.113.200"}
            if wanted and AWS_CONTROLLER in (service["metadata"].get("annotations") or {}):
                ingress = {"hostname": self._cloud.balance(service)}
                hosts.add(ingress["hostname"])
            status = {"loadBalancer": {"ingress": [ingress]}} if wanted else {"loadBalancer": {}}
            if service.get("status") != status:
                metadata = service["metadata"]
                self._kube.set_status("Service", metadata["name"], metadata["namespace"], status)
                changed = True
        return self._cloud.keep_only(hosts) or changed


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:10]


def _condition(type: str, status: str, message: str) -> Manifest:
    return {"type": type, "status": status, "message": message}


def _is_ready(pod: Manifest) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions", ()))


def _running(pod: Manifest, *, restarts: int) -> Manifest:
    container = pod["spec"]["containers"][0]
    running = {"running": {"startedAt": "2026-11-24T12:00:00Z"}}
    return {"name": container["name"], "image": container["image"], "restartCount": restarts, "state": running}
