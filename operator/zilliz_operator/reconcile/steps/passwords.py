"""What Milvus knows its users by: set right where it is not ours, and told when somebody else changed it."""

import contextlib

from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.exceptions import ZillizError
from zilliz_operator.reconcile import vault
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorAddress
from zilliz_operator.reconcile.vault import ROOT, SEED_BEFORE


async def set_right(p: Pass, address: DoorAddress, user: str) -> None:
    """Give a user the password that we expect. It was changed by somebody, unless it is still the one of our seed before."""
    milvus, root, before = p.world.milvus, p.vault.password(ROOT), p.vault.inner_before(user)
    ours = before is not None and await milvus.login_works(address, user=user, password=before)
    await milvus.set_user_password(address, password=root, user=user, user_password=p.vault.inner(user))
    p.written.append(f"password of {user}")
    if not ours:
        p.passwords_reset.append(user)


async def settled(p: Pass) -> None:
    """Every user has been looked at: forget the seed before, and tell whose password was not ours."""
    if SEED_BEFORE in p.vault.values:
        p.vault = p.vault.seed_settled()
        await vault.keep(p.world.hub, p.vault, p.ctx, namespace=p.world.operator_namespace)
    if p.passwords_reset:
        with contextlib.suppress(ZillizError):  # an Event is a courtesy; the status says it too
            await p.world.hub.event(p.raw, type="Warning", reason=str(Reason.PASSWORD_RESET), message=told(p))


def told(p: Pass) -> str:
    """What AccessApplied and the event say about it; empty when there is nothing to say."""
    if not p.passwords_reset:
        return ""
    return f"set back, because Milvus knew another password than ours: {', '.join(sorted(p.passwords_reset))}"
