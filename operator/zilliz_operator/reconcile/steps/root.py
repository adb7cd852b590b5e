"""Root's password: the default one goes first, and each later change survives a crash at any point.

A new password is stored in the vault, then in the cluster namespace, before Milvus is told; until Milvus is seen to take it both are
kept and tried.
"""

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.desired.credentials import ROOT_SECRET
from zilliz_operator.policy.status import FALSE, StepResult
from zilliz_operator.reconcile import vault
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorAddress
from zilliz_operator.reconcile.steps.errors import LATER, SOON
from zilliz_operator.reconcile.vault import ROOT, ROOT_NEXT, Vault, decoded

TYPE = ConditionType.ACCESS_APPLIED
DEFAULT_ROOT_PASSWORD = "Milvus"  # noqa: S105 - the server's published default, which this step removes


async def secure(p: Pass, address: DoorAddress) -> StepResult | None:
    """Make the vault's password root's, and see the default one refused. None: it is done."""
    milvus = p.world.milvus
    coming = p.vault.values.get(ROOT_NEXT)
    if coming and await milvus.login_works(address, user=ROOT, password=coming):
        await _store(p, p.vault.root_changed())
        p.repeat_at_once = True  # the cluster namespace's copy follows
        coming = None
    root = p.vault.password(ROOT)
    if not await milvus.login_works(address, user=ROOT, password=root):
        if not await milvus.login_works(address, user=ROOT, password=DEFAULT_ROOT_PASSWORD):
            message = (
                "Milvus accepts neither root's stored password nor the default one: somebody changed it. "
                f"Put the right one into key {ROOT} of Secret {p.world.operator_namespace}/"
                f"{vault.vault_name(p.ctx.cluster_id)}"
            )
            return StepResult(TYPE, FALSE, Reason.ROOT_PASSWORD_UNKNOWN, message, again_in=LATER)
        await milvus.change_password(address, user=ROOT, old=DEFAULT_ROOT_PASSWORD, new=root)
        p.written.append("root password")
    if not p.vault.root_secured:
        if await milvus.login_works(address, user=ROOT, password=DEFAULT_ROOT_PASSWORD):
            return StepResult(TYPE, FALSE, Reason.PROGRESSING, "the default password is still accepted", again_in=SOON)
        await _store(p, p.vault.secured())
        p.repeat_at_once = True
    return await _change(p, address, coming) if coming else None


async def _change(p: Pass, address: DoorAddress, coming: str) -> StepResult | None:
    """Tell Milvus root's new password, once both copies of it are kept."""
    milvus = p.world.milvus
    stored = decoded(await p.kube.get("Secret", ROOT_SECRET, p.ctx.namespace))
    message = "root's password is being made anew"
    if stored.get(ROOT_NEXT) != coming:
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=SOON)
    await milvus.change_password(address, user=ROOT, old=p.vault.password(ROOT), new=coming)
    p.written.append("root password")
    if not await milvus.login_works(address, user=ROOT, password=coming):
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=SOON)
    await _store(p, p.vault.root_changed())
    p.repeat_at_once = True
    return None


async def _store(p: Pass, changed: Vault) -> None:
    p.vault = changed
    await vault.keep(p.world.hub, changed, p.ctx, namespace=p.world.operator_namespace)
