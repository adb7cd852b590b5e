"""A cluster's own credentials made anew: root's password by age and on request, db_admin's and the technical users' on request.

Decided at the beginning of a pass and stored in the vault before anything uses it. Root's new password stands beside the old one
until Milvus is seen to take it (`steps.root`); db_admin's old one goes on opening the door for its grace period; the technical
users' passwords follow from a seed, and the one before is kept until every user in Milvus has its new password.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from zilliz_operator.api import names
from zilliz_operator.desired.connection import user_token
from zilliz_operator.desired.credentials import TECHNICAL_SEED
from zilliz_operator.policy import rotation
from zilliz_operator.policy.rotation import Decision, Marks, Wish
from zilliz_operator.policy.storekeys import request_mark
from zilliz_operator.reconcile.ports import Secrets
from zilliz_operator.reconcile.vault import DB_ADMIN, ROOT, ROOT_NEXT, SEED_BEFORE, Vault

REQUESTS: Mapping[str, str] = {
    ROOT: names.PREFIX + "rotate-root",
    DB_ADMIN: names.PREFIX + "rotate-db-admin",
    TECHNICAL_SEED: names.PREFIX + "rotate-technical-users",
}
"""On a ZillizCluster: any new value makes that credential anew, once."""


def renewed(vault: Vault, annotations: Mapping[str, str], *, now: datetime, randomness: Secrets) -> Vault:
    """The vault with everything made anew that is due. What is still on its way is finished first."""
    if not vault.root_secured:
        return vault
    values, marks = dict(vault.values), dict(vault.renewals)
    for name, due in ((name, _decide(vault, name, annotations, now=now)) for name in REQUESTS):
        pending = {ROOT: ROOT_NEXT, TECHNICAL_SEED: SEED_BEFORE}.get(name, "") in values
        if due.make and pending:
            continue
        marks[name] = due.marks
        if due.make and name == ROOT:
            values[ROOT_NEXT] = randomness.password()
        elif due.make and name == DB_ADMIN:
            values[DB_ADMIN] = randomness.password()
        elif due.make:
            values |= {SEED_BEFORE: values[TECHNICAL_SEED], TECHNICAL_SEED: randomness.token()}
    return replace(vault, values=values, renewals=marks)


def _decide(vault: Vault, name: str, annotations: Mapping[str, str], *, now: datetime) -> Decision:
    wish = Wish(
        asked=request_mark(annotations.get(REQUESTS[name], "")),
        rotate_after=rotation.ROOT_AFTER if name == ROOT else None,
    )
    token = user_token(name, vault.values[name])
    found = rotation.decide(vault.renewals.get(name, Marks()), wish, token=token, now=now)
    if name == DB_ADMIN:
        return found
    return replace(found, marks=replace(found.marks, previous=None))  # these open nothing from outside
