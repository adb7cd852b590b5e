"""Whose a bucket prefix is: one DataPlane's on each object store, the oldest that asks for it.

Two DataPlanes with one prefix could not be told apart in the store: not by the rights that an administrator gives by
prefix, not by a bill, and not by whoever cleans up after one of them. What counts is the specs alone, so every replica
and every restart decides alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from zilliz_operator.api.dataplane import DataPlane, Provider

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A prefix in a store. `account` and `credentials` tell accounts of AWS apart, as far as a spec says."""

    plane: str
    since: datetime
    prefix: str
    where: str
    account: str | None = None
    credentials: str | None = None

    @property
    def age(self) -> tuple[datetime, str]:
        return self.since, self.plane

    def meets(self, other: "Claim") -> bool:
        """Whether both mean the same names in the same store."""
        if (self.prefix, self.where) != (other.prefix, other.where):
            return False
        return self.credentials == other.credentials or (self.account is not None and self.account == other.account)


def claim(plane: DataPlane) -> Claim:
    """What a DataPlane claims. An S3-compatible store is its endpoint; on AWS a region of an account is one."""
    storage, metadata = plane.spec.object_storage, plane.metadata
    aws = storage.provider is Provider.AWS
    arn, secret = storage.oidc_provider_arn, storage.credentials_secret_ref
    return Claim(
        plane=metadata.name,
        since=metadata.creation_timestamp or _NEVER,
        prefix=storage.bucket_prefix,
        where=f"AWS S3 {plane.spec.region}" if aws else _endpoint(str(storage.endpoint)),
        account=arn.split(":")[4] if aws and arn else None,
        credentials=secret.name if aws and secret else None,
    )


def holder(plane: DataPlane, others: Iterable[DataPlane]) -> Claim | None:
    """The claim that stands in this one's way, None when the prefix is its own. Whoever was refused holds nothing."""
    mine = claim(plane)
    held: list[Claim] = []
    for each in sorted((claim(other) for other in others if other.metadata.name != mine.plane), key=lambda c: c.age):
        if each.age < mine.age and not any(each.meets(older) for older in held):
            held.append(each)
    return next((each for each in held if each.meets(mine)), None)


def refusal(mine: Claim, theirs: Claim) -> str:
    """What the younger one is told."""
    prefix = f"the prefix {mine.prefix}" if mine.prefix else "the empty prefix"
    return (
        f"spec.objectStorage.bucketPrefix: the older DataPlane {theirs.plane} has {prefix} on the same object store "
        f"({mine.where}), and no cluster is started here: delete this DataPlane and create it with another bucketPrefix"
    )


def _endpoint(url: str) -> str:
    """One spelling of an address: names know no case, and a port that goes without saying may be said."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.lower().removesuffix(':443')}{slash}{path}".rstrip("/")
