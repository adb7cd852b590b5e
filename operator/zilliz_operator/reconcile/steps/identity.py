"""IdentityScoped: each role of pod is somebody of its own at the store, who may use exactly its buckets; keys are renewed, and none is
left over."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import IdentityMode
from zilliz_operator.api.exceptions import InvalidSpec, Unavailable
from zilliz_operator.desired import credentials, identity
from zilliz_operator.desired.identity import StoreIdentity
from zilliz_operator.policy import storekeys, window
from zilliz_operator.policy.status import FALSE, TRUE, StepResult
from zilliz_operator.policy.storekeys import Cause, Decision, Seen
from zilliz_operator.reconcile import children, vault
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import AspectResult
from zilliz_operator.reconcile.steps import pods
from zilliz_operator.reconcile.steps.errors import SOON

TYPE = ConditionType.IDENTITY_SCOPED
ROTATE = names.PREFIX + "rotate-store-keys"
"""On a ZillizCluster: any new value makes its key pair anew."""


async def scope(p: Pass) -> StepResult:
    """Make every identity exist with exactly its policy and, where it needs one, exactly one key pair."""
    wanted = identity.identities(p.ctx)
    aspects: list[AspectResult] = []
    for each in wanted:
        aspects += await _ensured(p, each)
    scopes = ", ".join(f"{each.name} may {each.allowed} only" for each in wanted)
    if not identity.takes_keys(p.ctx):
        for each in wanted:
            await _give_up_keys(p, each)
        return StepResult(TYPE, TRUE, Reason.KEPT, f"{scopes}, no long-lived key; {_said(aspects)}")
    (milvus,) = wanted  # whoever is added needs a Secret of its own, and somebody who sees that it runs with it
    decision = await _keep_keys(p, milvus)
    await _publish(p)
    if decision.wait is not None:
        message = "the store does not list the new key pair yet"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=decision.wait)
    if decision.previous is not None:
        waits = decision.marks.cause is Cause.AGE and not _window_open(p)
        goes = (
            "Milvus moves to the new one in the maintenance window" if waits else "the old one goes once Milvus left it"
        )
        message = f"{scopes}, two key pairs: {goes}; {_said(aspects)}"
        return StepResult(TYPE, TRUE, Reason.ROTATING, message, again_in=None if waits else SOON)
    days = p.ctx.data_plane.object_storage.rotate_after_days
    holds = f"one key pair, made {decision.marks.made:%Y-%m-%d} and renewed after {days} days"
    return StepResult(TYPE, TRUE, Reason.KEPT, f"{scopes}, {holds}; {_said(aspects)}")


async def _ensured(p: Pass, wanted: StoreIdentity) -> Sequence[AspectResult]:
    """What the store says of an identity, now or at the last sweep."""
    sweeps, owner = p.world.sweeps, p.ctx.uid
    question = (wanted, p.plane.store, p.touched)
    known: Sequence[AspectResult] | None = sweeps.recall(owner, wanted.name, question)
    if known is not None:
        return known
    sweeps.forget(owner, wanted.name)  # an outage now must not leave an older answer standing
    aspects = await p.plane.store.ensure_identity(wanted)
    p.written += [f"{wanted.name} {a.name} {a.detail}".rstrip() for a in aspects if a.state == "repaired"]
    return sweeps.keep(owner, wanted.name, question, aspects)


async def _keep_keys(p: Pass, wanted: StoreIdentity) -> Decision:
    """One step of the identity's keys: what is too much goes, what is due is made, and is stored before anything uses it."""
    store = p.plane.store
    listed = await store.access_keys(wanted)
    decision = storekeys.decide(p.vault.held(wanted.component), _seen(p, wanted, listed))
    too_many = set(listed) - decision.keep
    pair = p.vault.key_pair(wanted.component)
    if too_many or decision.make:
        _only_the_leader(p)
    if decision.make:
        p.world.sweeps.forget(p.ctx.uid, wanted.name)
        await _ensured(p, wanted)  # a key that is lost may have gone with its user
        pair = await store.make_key_pair(wanted, keep=decision.keep)
        p.written.append(f"key pair ({decision.make})")
    elif too_many:
        await store.remove_keys(wanted, keep=decision.keep)
        p.written.append(f"-{len(too_many)} key pairs")
    assert pair is not None
    # A crash before this is stored costs a rotation, never a key that nobody knows: the next pass removes that one.
    await _store(p, p.vault.with_key_pair(wanted.component, pair, previous=decision.previous, marks=decision.marks))
    return decision


def _seen(p: Pass, wanted: StoreIdentity, listed: Mapping[str, bool]) -> Seen:
    pair = p.vault.key_pair(wanted.component)
    mark = pods.mark(pair.access_key_id if pair else "")
    return Seen(
        listed=listed,
        moved=pods.run_with_key(p.live, mark, suspended=p.ctx.suspended),
        asked=storekeys.request_mark((p.raw["metadata"].get("annotations") or {}).get(ROTATE, "")),
        window_open=_window_open(p),
        now=p.world.clock.now(),
        rotate_after=timedelta(days=p.ctx.data_plane.object_storage.rotate_after_days),
    )


def _window_open(p: Pass) -> bool:
    try:
        return window.is_open(p.ctx.spec.maintenance_window, p.world.clock.now())
    except InvalidSpec:
        return False  # the workload's step says so; access goes on


async def _publish(p: Pass) -> None:
    """Milvus' Secret, as the vault has it."""
    pair = p.vault.key_pair()
    if pair is None:
        return
    secret = credentials.store_credentials(
        p.ctx,
        access_key_id=pair.access_key_id,
        secret_access_key=pair.secret_access_key,
        previous=p.vault.previous_key(),
    )
    p.wanted.append(secret)
    p.written += await children.apply(p.kube, p.live, [secret], uid=p.ctx.uid)


async def _give_up_keys(p: Pass, wanted: StoreIdentity) -> None:
    """The DataPlane came from AccessKeys to IRSA: once no pod runs with a key any more, its user loses them all."""
    if p.vault.key_pair(wanted.component) is None:
        return
    if not pods.run_with_key(p.live, "", suspended=p.ctx.suspended):
        await _publish(p)
        return
    _only_the_leader(p)
    user = replace(wanted, kind=IdentityMode.ACCESS_KEYS, trust=None)
    await p.plane.store.remove_keys(user, keep=())
    p.written.append("-key pair")
    await _store(p, p.vault.without_keys(wanted.component))


def _only_the_leader(p: Pass) -> None:
    """Two that rotate at once take each other's keys away."""
    if not p.world.leads():
        raise Unavailable("leadership", "lost; the new leader goes on")


async def _store(p: Pass, changed: vault.Vault) -> None:
    if changed != p.vault:
        p.vault = changed
        await vault.keep(p.world.hub, changed, p.ctx, namespace=p.world.operator_namespace)


def _said(aspects: Sequence[AspectResult]) -> str:
    """Aspects as a sentence, each said once: what holds, then what this store cannot do. Repairs are events, not evidence: the text
    stays still."""
    kept = ", ".join(dict.fromkeys(a.name for a in aspects if a.holds))
    cannot = "; ".join(dict.fromkeys(f"{a.name}: {a.detail}" for a in aspects if not a.holds))
    return f"{kept} in force" + (f". This store cannot do, and we do not claim: {cannot}" if cannot else "")
