"""Who may come in with what, as the door looks it up: digests of keys and passwords, each with its end.

A credential that was rotated stands there twice until the end of its grace period. One that has ended stays for as long as a policy
names it, ended by our clock too: its bearer is told so.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from zilliz_operator.api.accesspolicy import SubjectKind
from zilliz_operator.api.rolenames import technical_user
from zilliz_operator.desired.connection import user_token
from zilliz_operator.desired.door import NEVER, DoorKey
from zilliz_operator.policy.entitlements import Credential, credentials
from zilliz_operator.policy.rotation import Marks
from zilliz_operator.reconcile.accesspolicy import made_by
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.subject_secrets import Held, credential_of
from zilliz_operator.reconcile.vault import DB_ADMIN


def keys(p: Pass) -> list[DoorKey]:
    """API keys of all policies."""
    return _once(
        key
        for each, ended in _named(p, SubjectKind.API_KEY)
        for key in _entries(p, each, user=technical_user(each.roles), ended=ended)
    )


def passwords(p: Pass) -> list[DoorKey]:
    """Passwords of cluster users, and of db_admin."""
    marks = p.vault.renewals.get(DB_ADMIN, Marks())
    first = Held(user_token(DB_ADMIN, p.vault.password(DB_ADMIN)), marks)
    key_id = f"{p.ctx.project}/{p.ctx.name}/{DB_ADMIN}"
    found = _valid(p, first, key_id=key_id, user=DB_ADMIN, end=None)
    for each, ended in _named(p, SubjectKind.CLUSTER_USER):
        if each.name not in p.vault.users:
            continue
        found += _entries(p, each, user=each.name, ended=ended)
    return _once(found)


def users(p: Pass) -> set[str]:
    """Users whose passwords the door judges itself, also while their Secret is not there. Those of a name that somebody else's user
    has are not among them."""
    return {DB_ADMIN, *(each.name for each, _ in _named(p, SubjectKind.CLUSTER_USER) if each.name in p.vault.users)}


def _named(p: Pass, kind: SubjectKind) -> list[tuple[Credential, bool]]:
    """Credentials of a kind, and whether they have ended. Those that live come last, and so prevail."""
    ended = [(each, True) for each in credentials(p.entitled.ended) if each.kind is kind]
    return ended + [(each, False) for each in credentials(p.entitled.live) if each.kind is kind]


def _entries(p: Pass, credential: Credential, *, user: str, ended: bool) -> list[DoorKey]:
    secret = p.subject_secrets.get(credential.secret)
    held = credential_of(credential.kind, secret) if made_by(credential.owner_uid, secret) else None
    if held is None:
        return []
    key_id = f"{credential.policy}/{credential.name}"
    found = _valid(p, held, key_id=key_id, user=user, end=credential.ends)
    return [replace(key, expires=0) for key in found] if ended else found


def _valid(p: Pass, held: Held, *, key_id: str, user: str, end: datetime | None) -> list[DoorKey]:
    valid = held.valid(now=p.world.clock.now(), end=end)
    return [
        DoorKey(digest=digest, key_id=key_id, user=user, expires=NEVER if until is None else int(until.timestamp()))
        for digest, until in valid.items()
    ]


def _once(found: Iterable[DoorKey]) -> list[DoorKey]:
    return list({key.digest: key for key in found}.values())
