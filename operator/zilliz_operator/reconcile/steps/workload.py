"""WorkloadReady: the pods of Milvus and of the gateway run what the spec asks for."""

from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired import credentials, gateway
from zilliz_operator.desired import workload as desired_workload
from zilliz_operator.desired.credentials import ACCESS_KEY_ID, STORE_SECRET, TECHNICAL_SEED
from zilliz_operator.desired.identity import takes_keys
from zilliz_operator.desired.workload import builtin
from zilliz_operator.policy import window
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.policy.storekeys import Cause
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.steps import door, pods
from zilliz_operator.reconcile.steps.errors import SOON
from zilliz_operator.reconcile.steps.pods import KEY_MARK
from zilliz_operator.reconcile.vault import ROOT, ROOT_NEXT, decoded

TYPE = ConditionType.WORKLOAD_READY
RESTARTED_AT = names.PREFIX + "restarted-at"
TLS_MARK = names.PREFIX + "tls-fingerprint"


async def run(p: Pass) -> StepResult:
    """Apply the gateway and, once it has something to stand on, Milvus; then say how far they are."""
    rendered = await door.files(p)
    p.config_hash = rendered.hash
    front = gateway.objects(p.ctx, files=rendered, image=_gateway_image(p))
    secrets = [
        credentials.root_secret(
            p.ctx,
            password=p.vault.password(ROOT),
            db_admin=p.vault.password("db_admin"),
            coming=p.vault.values.get(ROOT_NEXT),
        ),
        credentials.technical_users(p.ctx, seed=p.vault.values[TECHNICAL_SEED]),
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
    await _grow(p)
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
    """Milvus as wanted. What only we want (a renewed certificate, a rotated key) waits for the maintenance window."""
    served: dict[str, Any] = decoded(await p.kube.get("Secret", "milvus-tls", p.ctx.namespace))
    live = p.live.get("StatefulSet", "milvus")
    wanted = {TLS_MARK: pods.mark(served.get("tls.crt", "")), KEY_MARK: _key_mark(p)}
    if live is not None:
        born = live["spec"]["template"]["metadata"].get("annotations") or {}
        closed = not window.is_open(p.ctx.spec.maintenance_window, p.world.clock.now())
        # A certificate or key that is not to be seen for now is no new one: a restart would not bring it back.
        kept = {TLS_MARK: closed or not wanted[TLS_MARK], KEY_MARK: _keeps_key(p, wanted[KEY_MARK], closed=closed)}
        wanted = {mark: born.get(mark, value) if kept[mark] else value for mark, value in wanted.items()}
    return desired_workload.objects(
        p.ctx,
        store_ca_pem=p.plane.store_ca_pem,
        tls_fingerprint=wanted[TLS_MARK],
        store_key_digest=wanted[KEY_MARK],
        restarted_at=(p.raw["metadata"].get("annotations") or {}).get(RESTARTED_AT, ""),
        live=live,
    )


def _key_mark(p: Pass) -> str:
    """Of the key pair that a pod would start with now; empty without keys, and while its Secret does not hold the right one."""
    pair, secret = p.vault.key_pair(), decoded(p.live.get("Secret", STORE_SECRET))
    if pair is None or not takes_keys(p.ctx) or secret.get(ACCESS_KEY_ID) != pair.access_key_id:
        return ""
    return pods.mark(pair.access_key_id)


def _keeps_key(p: Pass, wanted: str, *, closed: bool) -> bool:
    """Whether Milvus keeps running with the key it has. Only a key that grew old waits for the maintenance window: one that was lost
    or that a person wants gone does not."""
    return takes_keys(p.ctx) and (not wanted or (closed and p.vault.held().marks.cause is Cause.AGE))


async def _grow(p: Pass) -> None:
    """Ask for a bigger volume when the spec does. A StatefulSet's own claim template cannot be changed any more."""
    claim = await p.kube.get("PersistentVolumeClaim", builtin.CLAIM, p.ctx.namespace)
    growth = builtin.volume_growth(p.ctx, claim) if claim is not None else None
    if growth is not None:
        await p.kube.merge_patch("PersistentVolumeClaim", builtin.CLAIM, p.ctx.namespace, growth)
        p.written.append(f"PersistentVolumeClaim/{builtin.CLAIM}")


def _state(p: Pass) -> StepResult:
    if p.ctx.suspended:
        left = sorted(pod["metadata"]["name"] for pod in p.live.of("Pod"))
        if left:
            return StepResult(TYPE, FALSE, Reason.WAITING_FOR_PODS, f"stopping: {', '.join(left)}", again_in=SOON)
        return StepResult(TYPE, TRUE, Reason.SUSPENDED, "suspended as asked: no pod runs, the volume of Milvus is kept")
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
