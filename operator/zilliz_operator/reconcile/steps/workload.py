"""WorkloadReady: the pods of Milvus and of the gateway run what the spec asks for."""

from hashlib import sha256
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired import credentials, gateway
from zilliz_operator.desired import workload as desired_workload
from zilliz_operator.desired.access import TECHNICAL_USERS
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.steps import door, pods
from zilliz_operator.reconcile.steps.errors import SOON
from zilliz_operator.reconcile.vault import ROOT, decoded

TYPE = ConditionType.WORKLOAD_READY
RESTARTED_AT = names.PREFIX + "restarted-at"


async def run(p: Pass) -> StepResult:
    """Apply the gateway and, once it has something to stand on, Milvus; then say how far they are."""
    rendered = await door.files(p)
    p.config_hash = rendered.hash
    front = gateway.objects(p.ctx, files=rendered, image=_gateway_image(p))
    secrets = [
        credentials.root_secret(p.ctx, password=p.vault.password(ROOT), db_admin=p.vault.password("db_admin")),
        credentials.technical_users(p.ctx, {user: p.vault.password(user) for user in TECHNICAL_USERS}),
    ]
    missing = _missing(p)
    back = [] if missing else await _milvus(p)
    p.wanted += [*secrets, *front, *back]
    if missing:
        p.complete = False
    p.written += await children.apply(p.kube, p.live, [*secrets, *front, *back], uid=p.ctx.uid)
    if missing:
        return StepResult(
            TYPE, UNKNOWN, Reason.NOT_CHECKED, f"Milvus is not started yet: waits for {missing}", again_in=SOON
        )
    return _state(p)


def _gateway_image(p: Pass) -> str:
    """The DataPlane's choice, else the one that the gateways were born with: an upgrade of the operator restarts no gateway."""
    live = p.live.get("Deployment", "gateway")
    born = live["spec"]["template"]["spec"]["containers"][0]["image"] if live else ""
    return p.ctx.data_plane.images.gateway or born or p.world.gateway_image


def _missing(p: Pass) -> str:
    """What a first start stands on. A Milvus that runs is never taken away because its store or issuer has an outage."""
    if p.live.get("StatefulSet", "milvus") is not None:
        return ""
    for type in (ConditionType.STORAGE_SECURED, ConditionType.IDENTITY_SCOPED, ConditionType.CERTIFICATE_VALID):
        if not p.kept(type):
            return str(type)
    return ""


async def _milvus(p: Pass) -> list[Manifest]:
    served: dict[str, Any] = decoded(await p.kube.get("Secret", "milvus-tls", p.ctx.namespace))
    pair = p.vault.key_pair
    live = p.live.get("StatefulSet", "milvus")
    # While a certificate or key is not to be seen, what runs keeps its mark: a restart would not bring it back.
    marks = ((live or {}).get("spec") or {}).get("template", {}).get("metadata", {}).get("annotations") or {}
    return desired_workload.objects(
        p.ctx,
        store_ca_pem=p.plane.store_ca_pem,
        tls_fingerprint=sha256(served["tls.crt"].encode()).hexdigest()[:16]
        if "tls.crt" in served
        else marks.get(names.PREFIX + "tls-fingerprint", ""),
        store_key_digest=sha256(pair.access_key_id.encode()).hexdigest()[:16]
        if pair
        else marks.get(names.PREFIX + "store-key-digest", ""),
        restarted_at=(p.raw["metadata"].get("annotations") or {}).get(RESTARTED_AT, ""),
        live=live,
    )


def _state(p: Pass) -> StepResult:
    if p.ctx.suspended:
        return StepResult(TYPE, TRUE, Reason.SUSPENDED, "suspended as asked: no Milvus pod runs, its volume is kept")
    found = pods.trouble(p.live.of("Pod"))
    if found is not None:
        return found
    milvus, front = p.live.get("StatefulSet", "milvus"), p.live.get("Deployment", "gateway")
    if not pods.rolled_out(milvus, replicas=1):
        return StepResult(TYPE, FALSE, Reason.WAITING_FOR_PODS, "Milvus is starting", again_in=SOON)
    if not pods.rolled_out(front, replicas=door.REPLICAS):
        ready = ((front or {}).get("status") or {}).get("readyReplicas", 0)
        return StepResult(
            TYPE, FALSE, Reason.WAITING_FOR_PODS, f"{ready}/{door.REPLICAS} gateways are ready", again_in=SOON
        )
    message = f"Milvus {p.ctx.version} runs from {p.ctx.image}; {door.REPLICAS}/{door.REPLICAS} gateways ready"
    return StepResult(TYPE, TRUE, Reason.KEPT, message)
