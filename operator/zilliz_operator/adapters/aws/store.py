"""The object store of a data plane: makes buckets exist, holds every aspect of them, and keeps away from what
is not ours.

A bucket is ours when its tag carries our UID; should all tags be gone, a statement of its policy still does. AWS takes the tags in
the very call that makes a bucket. Elsewhere that takes two calls, and a crash can leave a bucket without the tag: an
*empty* bucket of our name without any tag is finished, because its name is a hash that nobody else has a reason to use,
and an empty one holds nothing that could be harmed. Anything else without our mark is someone else's.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.api.names import CLUSTER_UID_LABEL
from zilliz_operator.api.outside import AspectResult, Caller, KeyPair

from .aspects import encryption, lifecycle, object_lock, ownership, policy, public_access, tags, versioning
from .caller import caller
from .connection import Connection, RequestHook, StoreAccess
from .errors import code, denied, too_late, translated, unsupported
from .iam import Roles, Users
from .shapes import Aspect, Bucket, Identity

T = TypeVar("T")

KEPT, REPAIRED, UNSUPPORTED, DIFFERS = "kept", "repaired", "unsupported", "differs"
MISREAD = "the store took the setting and reads back another one"


class AwsStore:
    """AWS S3 and IAM. Safe to share between tasks; the calls run in `threads`."""

    # Closed first, opened never: what keeps strangers out comes before what is nice to have. The policy is the very
    # first: after a change of our own role it is what shuts us out, and the one thing that we may still repair.
    ASPECTS: tuple[Aspect, ...] = (
        policy,
        public_access,
        ownership,
        encryption,
        versioning,
        object_lock,
        lifecycle,
    )
    TAGS_AT_BIRTH = True
    PATIENCE: tuple[float, ...] = (0.5, 1.5)
    """Seconds to wait before reading a setting back once more: AWS may answer with the old one for a moment."""

    def __init__(self, access: StoreAccess, threads: Threads, *, on_request: RequestHook | None = None) -> None:
        self.access = access
        self._threads = threads
        self._connection = Connection(access, pool=threads.size, on_request=on_request)
        self._caller: Caller | None = None
        self._misread: dict[tuple[str, str], tuple[Any, Any]] = {}
        """(bucket, aspect) → (what we wrote, what was read back instead): writing it again would change nothing."""

    def close(self) -> None:
        self._connection.close()

    # ---- the port

    async def check(self) -> str:
        """Two questions that only an administrator may ask, one a service; the answer is evidence for a condition."""
        await self._run(self.access.what, lambda _: self._connection.s3().list_buckets(MaxBuckets=1), None)
        await self._run(self.access.admin_what, lambda _: self._connection.iam().list_policies(MaxItems=1), None)
        where = self.access.endpoint or f"AWS S3 {self.access.region}"
        trust = "no TLS" if where.startswith("http:") else "verified TLS"
        return f"{where} answers its administrator for buckets and identities ({trust})"

    async def caller(self) -> Caller | None:
        """Asked once: credentials that change make another store."""
        if self._caller is None:
            self._caller = await self._run(self.access.sts_what, lambda _: caller(self._connection.client("sts")), None)
        return self._caller

    async def ensure_bucket(self, desired: Bucket) -> Sequence[AspectResult]:
        return await self._run(self.access.what, self._ensure_bucket, desired)

    async def ensure_identity(self, desired: Identity) -> Sequence[AspectResult]:
        return await self._run(
            self.access.admin_what, lambda identity: self._identities(identity).ensure(identity), desired
        )

    async def access_keys(self, desired: Identity) -> Mapping[str, bool]:
        return await self._run(
            self.access.admin_what, lambda identity: self._identities(identity).keys(identity), desired
        )

    async def make_key_pair(self, desired: Identity, *, keep: Collection[str]) -> KeyPair:
        def make(identity: Identity) -> KeyPair:
            return self._identities(identity).make_key(identity, keep=keep)

        return await self._run(self.access.admin_what, make, desired)

    async def remove_keys(self, desired: Identity, *, keep: Collection[str]) -> None:
        def remove(identity: Identity) -> None:
            self._identities(identity).remove_keys(identity, keep=keep)

        await self._run(self.access.admin_what, remove, desired)

    async def remove_identity(self, desired: Identity) -> None:
        await self._run(self.access.admin_what, lambda identity: self._identities(identity).remove(identity), desired)

    # ---- inside, in a thread

    async def _run(self, what: str, work: Callable[[Any], T], desired: Any) -> T:
        def call() -> T:
            with translated(what, self.access.credentials):
                return work(desired)

        return await self._threads.run(call)

    def _identities(self, identity: Identity) -> Roles | Users:
        return (Roles if str(identity.kind) == "IRSA" else Users)(self._connection.iam())

    def _ensure_bucket(self, bucket: Bucket) -> Sequence[AspectResult]:
        s3 = self._connection.s3()
        results = [self._own(s3, bucket)]
        for aspect in self.ASPECTS:
            wanted, shortfall = self.adapt(aspect, bucket)
            result = self._hold(s3, bucket.name, aspect, wanted)
            if shortfall and result.holds:
                result = AspectResult(result.name, UNSUPPORTED, shortfall)
            results.append(result)
        return (*results, *self.limits())

    def adapt(self, aspect: Aspect, bucket: Bucket) -> tuple[Any, str]:
        """What to write for an aspect, and what of the wish this store cannot do ("" when nothing)."""
        return aspect.desired(bucket), ""

    def limits(self) -> tuple[AspectResult, ...]:
        """What no bucket of this store can have, beside the aspects that it does not know."""
        return ()

    def _own(self, s3: Any, bucket: Bucket) -> AspectResult:
        """Make the bucket exist and carry our tags, or raise NameTaken."""
        wanted = tags.desired(bucket)
        found = self._tags(s3, bucket.name)
        created = found is None and self._create(s3, bucket)
        if found is None:
            found = tags.observe(s3, bucket.name) or {}
        mark = found.get(CLUSTER_UID_LABEL)
        if mark is not None and mark != bucket.uid:
            raise NameTaken(
                f"bucket {bucket.name}", f"is tagged as another cluster's ({CLUSTER_UID_LABEL}={mark}); untouched"
            )
        ours = created or mark is not None or policy.marked(s3, bucket.name, uid=bucket.uid)
        if not ours and (found or not _is_empty(s3, bucket.name)):
            raise NameTaken(
                f"bucket {bucket.name}",
                f"exists without our tag {CLUSTER_UID_LABEL} and is not an empty one of ours; untouched. "
                "Remove it, or set another objectStorage.bucketPrefix",
            )
        if tags.missing(wanted=wanted, found=found):
            tags.apply(s3, bucket.name, tags.merged(wanted=wanted, found=found))
            return AspectResult(tags.NAME, REPAIRED, "created" if created else "tagged")
        return AspectResult(tags.NAME, REPAIRED, "created") if created else AspectResult(tags.NAME, KEPT)

    def _tags(self, s3: Any, name: str) -> dict[str, str] | None:
        """The tags of our account's bucket, None when there is none of that name; NameTaken when it is another's."""
        try:
            found = tags.observe(s3, name)
        except ClientError as error:
            if denied(error) and not self._in_our_account(s3, name):
                raise NameTaken(f"bucket {name}", "belongs to another account; untouched") from error
            raise
        if found is not None and not self._in_our_account(s3, name):
            raise NameTaken(f"bucket {name}", "belongs to another account, whatever its tags say; untouched")
        return found

    def _in_our_account(self, s3: Any, name: str) -> bool:
        """Names are global: a stranger could make a bucket of our name, open it to us, and wait for our data."""
        pages = s3.get_paginator("list_buckets").paginate(Prefix=name)
        return any(found["Name"] == name for page in pages for found in page.get("Buckets", ()))

    def _create(self, s3: Any, bucket: Bucket) -> bool:
        """Whether this call made it; one before it may have."""
        try:
            s3.create_bucket(**self.birth(bucket))
        except ClientError as error:
            if code(error) == "BucketAlreadyExists":
                raise NameTaken(f"bucket {bucket.name}", "belongs to another account; untouched") from error
            if code(error) != "BucketAlreadyOwnedByYou":
                raise
            return False
        return True

    def birth(self, bucket: Bucket) -> dict[str, Any]:
        """The call that makes a bucket, with everything that it can already say."""
        region = bucket.region or self.access.region
        configuration: dict[str, Any] = {} if region == "us-east-1" else {"LocationConstraint": region}
        if self.TAGS_AT_BIRTH:
            configuration["Tags"] = tags.tag_set(tags.desired(bucket))
        call: dict[str, Any] = {"Bucket": bucket.name, "ObjectOwnership": bucket.ownership.object_ownership}
        if configuration:
            call["CreateBucketConfiguration"] = configuration
        if bucket.object_lock.wanted:
            call["ObjectLockEnabledForBucket"] = True
        return call

    def _hold(self, s3: Any, name: str, aspect: Aspect, wanted: Any) -> AspectResult:
        """Write an aspect if it differs. What a store does not take is not written again and again in silence."""
        place, state = (name, aspect.NAME), KEPT
        try:
            found = aspect.observe(s3, name)
            if found != wanted and self._misread.get(place) != (wanted, found):
                aspect.apply(s3, name, wanted)
                found, state = self._read_back(s3, name, aspect, wanted), REPAIRED
        except ClientError as error:
            if unsupported(error):
                return AspectResult(aspect.NAME, UNSUPPORTED, f"the store does not know {error.operation_name}")
            if too_late(error):
                detail = f"this bucket cannot get a lock any more, only a new one can ({code(error)})"
                return AspectResult(aspect.NAME, UNSUPPORTED, detail)
            raise
        if found == wanted:
            self._misread.pop(place, None)
            return AspectResult(aspect.NAME, state)
        self._misread[place] = (wanted, found)
        return AspectResult(aspect.NAME, DIFFERS, MISREAD)

    def _read_back(self, s3: Any, name: str, aspect: Aspect, wanted: Any) -> Any:
        found = aspect.observe(s3, name)
        for pause in self.PATIENCE:
            if found == wanted:
                break
            time.sleep(pause)
            found = aspect.observe(s3, name)
        return found


def _is_empty(s3: Any, name: str) -> bool:
    """No object, no old version, no delete marker, no unfinished upload."""
    versions = s3.list_object_versions(Bucket=name, MaxKeys=1)
    uploads = s3.list_multipart_uploads(Bucket=name, MaxUploads=1)
    return not (versions.get("Versions") or versions.get("DeleteMarkers") or uploads.get("Uploads"))
