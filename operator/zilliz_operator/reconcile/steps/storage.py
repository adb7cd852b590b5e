"""StorageSecured and IdentityScoped: a bucket of the cluster's own, hardened, that one identity may use and nobody else."""

from collections.abc import Sequence

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import Unavailable
from zilliz_operator.desired import bucket, credentials, identity
from zilliz_operator.policy.status import FALSE, TRUE, StepResult
from zilliz_operator.reconcile import children, vault
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import AspectResult


async def secure(p: Pass) -> StepResult:
    """Make the data bucket exist with every aspect, and say what this store cannot do."""
    wanted = bucket.data_bucket(p.ctx)
    aspects = await p.plane.store.ensure_bucket(wanted)
    limits = [a for a in aspects if a.state == "unsupported"]
    message = f"bucket {wanted.name}: {said(aspects)}"
    reason = Reason.KEPT_WITH_LIMITS if limits else Reason.KEPT
    return StepResult(ConditionType.STORAGE_SECURED, TRUE, reason, message)


async def scope(p: Pass) -> StepResult:
    """Make the identity exist with exactly its policy and, where it needs one, exactly one key pair."""
    type = ConditionType.IDENTITY_SCOPED
    wanted = identity.milvus_identity(p.ctx)
    store = p.plane.store
    aspects = await store.ensure_identity(wanted)
    pair = p.vault.key_pair
    if not await store.key_pair_in_force(wanted, pair.access_key_id if pair else None):
        if not p.world.leads():  # two that rotate at once take each other's keys away
            raise Unavailable("leadership", "lost; the new leader goes on")
        pair = await store.rotate_key_pair(wanted)
        if pair is not None:
            # Stored before anything uses it: a crash here costs a rotation, never a key that nobody knows.
            p.vault = p.vault.with_key_pair(pair)
            await vault.keep(p.world.hub, p.vault, p.ctx, namespace=p.world.operator_namespace)
            p.written.append("key pair")
    if pair is not None:
        secret = credentials.store_credentials(
            p.ctx, access_key_id=pair.access_key_id, secret_access_key=pair.secret_access_key
        )
        p.wanted.append(secret)
        p.written += await children.apply(p.kube, p.live, [secret], uid=p.ctx.uid)
    elif wanted.kind == "AccessKeys":
        return StepResult(type, FALSE, Reason.PROGRESSING, "the identity has no key pair yet", again_in=1.0)
    holds = "one key pair" if pair is not None else "no long-lived key"
    return StepResult(
        type, TRUE, Reason.KEPT, f"{wanted.name} may use bucket {wanted.bucket} only, {holds}; {said(aspects)}"
    )


def said(aspects: Sequence[AspectResult]) -> str:
    """Aspects as a sentence: what holds, then what this store cannot do. Repairs are events, not evidence: the text stays still."""
    kept = ", ".join(a.name for a in aspects if a.state != "unsupported")
    cannot = "; ".join(f"{a.name}: {a.detail}" for a in aspects if a.state == "unsupported")
    return f"{kept} in force" + (f". This store cannot do, and we do not claim: {cannot}" if cannot else "")
