"""One prefix in one store is one DataPlane's, whoever asks and in whatever order."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desired.samples import data_plane
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.policy.claims import claim, holder, refusal

OIDC = "arn:aws:iam::{}:oidc-provider/oidc.eks.us-west-2.amazonaws.com/id/ABC"


def plane(name: str, *, at: str = "2026-11-24T12:00:00Z", region: str | None = None, **storage: Any) -> DataPlane:
    base = data_plane(region=region)
    store = {"provider": "AWS"} if region else dict(base["spec"]["objectStorage"])
    return DataPlane.parse(
        base
        | {
            "metadata": {"name": name, "creationTimestamp": at},
            "spec": base["spec"] | {"objectStorage": store | storage},
        }
    )


def stands_in_the_way(one: DataPlane, other: DataPlane) -> bool:
    return (holder(one, [one, other]) or holder(other, [one, other])) is not None


SAME = [
    (plane("a"), plane("b")),
    (plane("a", endpoint="https://S3.store.test:8333/"), plane("b")),
    (plane("a", endpoint="https://s3.store.test:443"), plane("b", endpoint="https://s3.store.test")),
    (plane("a"), plane("b", credentialsSecretRef={"name": "another"})),
    (plane("a", region="us-west-2"), plane("b", region="us-west-2")),
    (plane("a", region="us-west-2"), plane("b", region="us-west-2", oidcProviderArn=OIDC.format("1" * 12))),
    (
        plane("a", region="us-west-2", oidcProviderArn=OIDC.format("1" * 12), credentialsSecretRef={"name": "x"}),
        plane("b", region="us-west-2", oidcProviderArn=OIDC.format("1" * 12), credentialsSecretRef={"name": "y"}),
    ),
]
OTHERS = [
    (plane("a", bucketPrefix="a-"), plane("b")),
    (plane("a", endpoint="https://s3.store.test:9000"), plane("b")),
    (plane("a", region="us-west-2"), plane("b")),
    (plane("a", region="us-west-2"), plane("b", region="eu-central-1")),
    (
        plane("a", region="us-west-2", oidcProviderArn=OIDC.format("1" * 12), credentialsSecretRef={"name": "x"}),
        plane("b", region="us-west-2", oidcProviderArn=OIDC.format("2" * 12), credentialsSecretRef={"name": "y"}),
    ),
    (plane("a", region="us-west-2", credentialsSecretRef={"name": "x"}), plane("b", region="us-west-2")),
]


@pytest.mark.parametrize("pair", SAME)
def test_one_store_is_known_however_it_is_written(pair: tuple[DataPlane, DataPlane]) -> None:
    assert stands_in_the_way(*pair)


@pytest.mark.parametrize("pair", OTHERS)
def test_another_prefix_or_store_is_nobodys_business(pair: tuple[DataPlane, DataPlane]) -> None:
    assert not stands_in_the_way(*pair)


def test_the_older_one_has_it_and_of_twins_the_first_by_name() -> None:
    old, young = plane("z", at="2026-11-24T12:00:00Z"), plane("a", at="2026-11-24T12:00:01Z")
    assert holder(old, [old, young]) is None
    found = holder(young, [old, young])
    assert found is not None
    assert found.plane == "z"
    twin = plane("b", at="2026-11-24T12:00:00Z")
    assert holder(twin, [old, twin]) is None
    assert holder(old, [old, twin]) is not None


def test_who_was_refused_holds_nothing() -> None:
    """b is kept out by a, and c would meet b alone."""
    a = plane("a", region="us-west-2", credentialsSecretRef={"name": "x"})
    b = plane("b", region="us-west-2", credentialsSecretRef={"name": "x"}, oidcProviderArn=OIDC.format("1" * 12))
    c = plane("c", region="us-west-2", credentialsSecretRef={"name": "y"}, oidcProviderArn=OIDC.format("1" * 12))
    assert holder(b, [a, b, c]) is not None
    assert holder(c, [a, b, c]) is None
    assert holder(c, [b, c]) is not None


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=6), st.randoms())
def test_exactly_one_of_those_that_meet_holds_it_whatever_the_order(asked: list[tuple[int, int]], random: Any) -> None:
    planes = [
        plane(f"p{i}", at=f"2026-11-24T12:00:0{second}Z", bucketPrefix=f"x{prefix}-")
        for i, (prefix, second) in enumerate(asked)
    ]
    free = {p.metadata.name for p in planes if holder(p, planes) is None}
    shuffled = list(planes)
    random.shuffle(shuffled)
    assert {p.metadata.name for p in shuffled if holder(p, shuffled) is None} == free
    for _, group in itertools.groupby(sorted(planes, key=_prefix), key=_prefix):
        assert sum(p.metadata.name in free for p in group) == 1


def _prefix(p: DataPlane) -> str:
    return p.spec.object_storage.bucket_prefix


def test_the_refusal_names_field_holder_and_remedy() -> None:
    said = refusal(claim(plane("b", bucketPrefix="acme-")), claim(plane("a", bucketPrefix="acme-")))
    for words in ("spec.objectStorage.bucketPrefix", "DataPlane a", "the prefix acme-", "another bucketPrefix"):
        assert words in said
    assert "the empty prefix" in refusal(claim(plane("b")), claim(plane("a")))
