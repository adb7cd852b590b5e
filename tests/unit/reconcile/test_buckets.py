"""What StorageSecured says: what holds in all buckets, the lock, and each limit once with whose it is."""

from collections.abc import Sequence

from tests.unit.desired.samples import context
from zilliz_operator.api.outside import AspectResult
from zilliz_operator.desired.bucket.bucket import buckets
from zilliz_operator.reconcile.steps.buckets import Seen, evidence

GOOD = [AspectResult(name, "kept") for name in ("tags", "policy", "encryption", "object_lock")]
BLOCK = AspectResult("public_access", "unsupported", "the store does not know GetPublicAccessBlock")


def seen(*aspects: Sequence[AspectResult], **spec: object) -> list[Seen]:
    three = buckets(context(spec), operator=None)
    return [Seen(bucket, found) for bucket, found in zip(three, aspects, strict=True)]


def test_what_holds_in_all_of_them_is_said_once() -> None:
    said = evidence(seen(GOOD, GOOD, GOOD))
    data, audit, backup = (each.bucket.name for each in seen(GOOD, GOOD, GOOD))
    assert said == (
        f"buckets {data}, {audit}, {backup}: tags, policy, encryption in force; AES-256 under the store's own key; "
        f"objects of {audit} locked for 365 days (Governance)"
    )


def test_a_repair_changes_no_word() -> None:
    repaired = [AspectResult(each.name, "repaired", "created") for each in GOOD]
    assert evidence(seen(repaired, GOOD, GOOD)) == evidence(seen(GOOD, GOOD, GOOD))


def test_a_limit_of_the_store_is_said_once_and_one_of_a_bucket_with_its_name() -> None:
    lost = [each for each in GOOD if each.name != "object_lock"]
    said = evidence(
        seen([*GOOD, BLOCK], [*lost, AspectResult("object_lock", "differs", "reads back"), BLOCK], [*GOOD, BLOCK])
    )
    held, _, cannot = said.partition(". This store cannot do, and we do not claim: ")
    audit = seen(GOOD, GOOD, GOOD)[1].bucket.name
    assert cannot == f"object_lock of {audit}: reads back; public_access: {BLOCK.detail}" or cannot == (
        f"public_access: {BLOCK.detail}; object_lock of {audit}: reads back"
    )
    assert "public_access" not in held
    assert "locked" not in held


def test_encryption_that_one_bucket_lacks_is_claimed_of_none() -> None:
    plain = [AspectResult(a.name, "unsupported" if a.name == "encryption" else "kept", "no") for a in GOOD]
    said = evidence(seen(GOOD, GOOD, plain))
    assert "AES-256" not in said
    assert "encryption" not in said.partition(". This store")[0]


def test_no_lock_asked_for_is_no_lock_claimed() -> None:
    assert "locked" not in evidence(seen(GOOD, GOOD, GOOD, audit={"lock": "None"}))
