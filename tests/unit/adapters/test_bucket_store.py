"""How one aspect is held: written when it differs, believed when it is read back, and never written in vain for ever."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from zilliz_operator.adapters.aws.connection import StoreAccess
from zilliz_operator.adapters.aws.store import AwsStore
from zilliz_operator.adapters.s3compatible import S3CompatibleStore
from zilliz_operator.adapters.threads import Threads


def refusal(operation: str, code: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)  # type: ignore[typeddict-item]


class Setting:
    """An aspect on a store of its own. `kept`: what the store makes of what is written. `stale`: how often it still answers
    with what was there before."""

    NAME = "setting"

    def __init__(self, kept: Callable[[Any], Any] = lambda wanted: wanted, *, stale: int = 0) -> None:
        self.there: Any = None
        self.before: Any = None
        self.writes = 0
        self.left = 0
        self._kept, self._stale = kept, stale

    def desired(self, _: Any, /) -> Any:
        return "wanted"

    def observe(self, _: Any, __: str, /) -> Any:
        if self.left:
            self.left -= 1
            return self.before
        return self.there

    def apply(self, _: Any, __: str, desired: Any, /) -> None:
        self.writes += 1
        self.before, self.there, self.left = self.there, self._kept(desired), self._stale


@pytest.fixture
def store() -> Iterator[AwsStore]:
    threads = Threads(1)
    made = AwsStore(StoreAccess(region="us-east-1", endpoint="http://127.0.0.1:9"), threads)
    made.PATIENCE = (0.0, 0.0)
    yield made
    threads.close()


def hold(store: AwsStore, aspect: Any) -> str:
    return store._hold(None, "bucket", aspect, "wanted").state


def test_what_is_as_wanted_is_not_written(store: AwsStore) -> None:
    aspect = Setting()
    assert [hold(store, aspect) for _ in range(3)] == ["repaired", "kept", "kept"]
    assert aspect.writes == 1
    aspect.there = "broken"
    assert hold(store, aspect) == "repaired"


def test_an_answer_from_before_the_write_is_waited_out(store: AwsStore) -> None:
    aspect = Setting(stale=2)
    assert hold(store, aspect) == "repaired"
    assert aspect.writes == 1


def test_an_answer_that_stays_old_is_said_and_believed_as_soon_as_it_is_new(store: AwsStore) -> None:
    aspect = Setting(stale=4)
    assert [hold(store, aspect) for _ in range(3)] == ["differs", "differs", "kept"]
    assert aspect.writes == 1
    aspect.there = None  # what was misread once is a drift like any other by now
    aspect._stale = 0
    assert hold(store, aspect) == "repaired"


def test_what_a_store_makes_something_else_of_is_written_once_and_again_after_a_drift(store: AwsStore) -> None:
    aspect = Setting(lambda wanted: f"{wanted}, nearly")
    assert [hold(store, aspect) for _ in range(4)] == ["differs"] * 4
    assert aspect.writes == 1
    aspect.there = "broken"
    assert hold(store, aspect) == "differs"
    assert aspect.writes == 2
    assert aspect.there == "wanted, nearly"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (refusal("GetPublicAccessBlock", "NotImplemented", 501), "does not know GetPublicAccessBlock"),
        (refusal("PutObjectLockConfiguration", "InvalidBucketState", 409), "only a new one can"),
    ],
)
def test_what_a_store_cannot_do_is_said(store: AwsStore, error: ClientError, words: str) -> None:
    class Refused(Setting):
        def apply(self, _: Any, __: str, desired: Any, /) -> None:
            raise error

    found = store._hold(None, "bucket", Refused(), "wanted")
    assert found.state == "unsupported"
    assert not found.holds
    assert words in found.detail


def test_other_refusals_are_no_limits(store: AwsStore) -> None:
    class Denied(Setting):
        def apply(self, _: Any, __: str, desired: Any, /) -> None:
            raise refusal("PutBucketPolicy", "AccessDenied", 403)

    with pytest.raises(ClientError):
        store._hold(None, "bucket", Denied(), "wanted")


def test_a_change_of_the_operators_role_can_be_repaired_by_the_operator(store: AwsStore) -> None:
    """The old policy shuts the new role out of everything but policies: the policy must be the first that is written."""
    assert store.ASPECTS[0].NAME == S3CompatibleStore.ASPECTS[0].NAME == "policy"
