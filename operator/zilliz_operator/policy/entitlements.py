"""Who holds what on one cluster: the union of what all policies give, worked out in one place.

A ClusterUser or ApiKey is a credential, and one name means one credential on a cluster. Policies of a project may share
it: with the same secretName and the same end their roles add up, and the oldest of them makes the Secret. What does not
fit is refused for the younger policy alone, so that nobody can disturb an older one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from zilliz_operator.api.accesspolicy import AccessPolicy, Subject, SubjectKind
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.rolenames import TECHNICAL_USERS, roles_of, technical_user

WITH_SECRET = (SubjectKind.CLUSTER_USER, SubjectKind.API_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What one policy gives one subject on one cluster."""

    policy: str
    """`namespace/name`"""
    uid: str
    subject: Subject
    roles: frozenset[str]
    """Milvus roles."""
    ends: datetime | None
    """The earlier of the subject's and the policy's end."""
    require_mfa: bool
    secret: str | None
    """`namespace/name` of the Secret with the credential; None for those who bring their own."""
    owner_uid: str
    """UID of the policy that makes that Secret."""

    @property
    def project(self) -> str:
        return self.policy.partition("/")[0]

    @property
    def who(self) -> tuple[str, str, str]:
        """What must mean one credential on a cluster."""
        return self.project, self.subject.kind, self.subject.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A subject that gets nothing, and why."""

    uid: str
    subject: Subject
    reason: Reason
    message: str
    secret: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Every subject of every policy, on one cluster. The oldest policy comes first everywhere."""

    live: tuple[Entitlement, ...]
    ended: tuple[Entitlement, ...]
    refused: tuple[Refused, ...]
    makers: Mapping[str, str]
    """Secret → UID of the policy that makes it, whatever cluster it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One ClusterUser or ApiKey, with all that policies give it together."""

    kind: SubjectKind
    name: str
    policy: str
    """The oldest policy that gives it something here."""
    secret: str
    owner_uid: str
    roles: frozenset[str]
    ends: datetime | None


def entitlements(policies: Iterable[AccessPolicy], *, now: datetime) -> tuple[Entitlement, ...]:
    """Who holds what, where all these policies mean one cluster."""
    return judge(policies, now=now).live


def judge(
    policies: Iterable[AccessPolicy],
    *,
    now: datetime,
    here: Callable[[AccessPolicy], bool] = lambda _: True,
    without: Collection[str] = (),
) -> Judged:
    """All subjects of `policies`: those of the project, and of the organization.

    `here`: whether a policy means the cluster in question; the others only decide whose a Secret is. `without`: UIDs of
    policies that give nothing here, because this server cannot express what they grant.
    """
    live: list[Entitlement] = []
    ended: list[Entitlement] = []
    refused: list[Refused] = []
    makers: dict[str, Entitlement] = {}
    named: dict[tuple[str, str, str], Entitlement] = {}
    for policy in by_age(policies):
        for subject in policy.spec.subjects:
            found = _asked(policy, subject)
            if found.ends is not None and found.ends <= now:
                ended += [found] if here(policy) else []
                continue
            maker = makers.setdefault(found.secret, found) if found.secret else found
            why = _against_maker(found, maker)
            if why is None and found.secret and here(policy):
                why = _against_namesake(found, named.setdefault(found.who, found))
            if why is not None:
                refused.append(why)
            elif here(policy) and found.uid not in without:
                live.append(replace(found, owner_uid=maker.uid))
    return Judged(
        live=tuple(live),
        ended=tuple(ended),
        refused=tuple(refused),
        makers={secret: maker.uid for secret, maker in makers.items()},
    )


def credentials(entitled: Iterable[Entitlement]) -> tuple[Credential, ...]:
    """The ClusterUsers and ApiKeys among them, each once, with the union of its roles."""
    found: dict[tuple[str, str, str], Credential] = {}
    for each in entitled:
        if each.secret is None:
            continue
        so_far = found.get(each.who)
        if so_far is not None:
            found[each.who] = replace(so_far, roles=so_far.roles | each.roles)
            continue
        found[each.who] = Credential(
            kind=each.subject.kind,
            name=each.subject.name,
            policy=each.policy,
            secret=each.secret,
            owner_uid=each.owner_uid,
            roles=each.roles,
            ends=each.ends,
        )
    return tuple(found.values())


def technical_users(found: Iterable[Credential]) -> dict[str, frozenset[str]]:
    """User behind keys → its roles: the three that are always there, and one for each other set of roles in use."""
    users = {user: frozenset({role}) for user, role in TECHNICAL_USERS.items()}
    for each in found:
        if each.kind is SubjectKind.API_KEY:
            users.setdefault(technical_user(each.roles), each.roles)
    return users


def secret_of(policy: AccessPolicy, subject: Subject) -> str:
    """The Secret of a subject's credential; named after policy and subject unless the spec names it."""
    return subject.secret_name or f"{policy.metadata.name}-{subject.name.lower().replace('_', '-')}"


def ends(policy: AccessPolicy, subject: Subject) -> datetime | None:
    """When a subject loses what the policy gives: the earlier of its own and the policy's end."""
    return min((end for end in (subject.expires_at, policy.spec.expires_at) if end), default=None)


def by_age(policies: Iterable[AccessPolicy]) -> list[AccessPolicy]:
    """The oldest first: who claims a user first keeps it."""

    def age(policy: AccessPolicy) -> tuple[str, str, str]:
        born = policy.metadata.creation_timestamp
        return utc(born) if born else "", policy.metadata.name, policy.metadata.uid

    return sorted(policies, key=age)


def _asked(policy: AccessPolicy, subject: Subject) -> Entitlement:
    secret = secret_of(policy, subject) if subject.kind in WITH_SECRET else None
    return Entitlement(
        policy=policy.ref,
        uid=policy.metadata.uid,
        subject=subject,
        roles=roles_of(policy),
        ends=ends(policy, subject),
        require_mfa=policy.spec.require_mfa,
        secret=secret and f"{policy.metadata.namespace}/{secret}",
        owner_uid=policy.metadata.uid,
    )


def _against_maker(found: Entitlement, maker: Entitlement) -> Refused | None:
    """Why a subject cannot share the Secret of an older policy's."""
    if maker.who != found.who:
        message = (
            f"Secret {_name(found.secret)} is of {maker.subject.kind} {maker.subject.name} in AccessPolicy "
            f"{_name(maker.policy)}: choose another secretName"
        )
        return _refused(found, Reason.SUBJECT_SECRET_TAKEN, message)
    if maker.ends != found.ends:
        message = (
            f"AccessPolicy {_name(maker.policy)} is older and has it with another end ({_until(maker.ends)}; here "
            f"{_until(found.ends)}): give both the same expiresAt, or choose another name and secretName"
        )
        return _refused(found, Reason.SUBJECT_CONFLICT, message)
    return None


def _against_namesake(found: Entitlement, first: Entitlement) -> Refused | None:
    """Why a name cannot stand for a second credential on one cluster."""
    if first.secret == found.secret:
        return None
    message = (
        f"AccessPolicy {_name(first.policy)} is older and has this name with Secret {_name(first.secret)}: name that "
        "secretName here to add to its roles, or choose another name, or remove the subject there"
    )
    return _refused(found, Reason.SUBJECT_CONFLICT, message)


def _refused(found: Entitlement, reason: Reason, message: str) -> Refused:
    return Refused(uid=found.uid, subject=found.subject, reason=reason, message=message, secret=found.secret)


def _name(reference: str | None) -> str:
    return (reference or "").rpartition("/")[2]


def _until(end: datetime | None) -> str:
    return f"ends {utc(end)}" if end else "no end"
