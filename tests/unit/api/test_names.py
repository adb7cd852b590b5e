"""Names: stable, bounded, and the same for everyone who builds them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api import names
from zilliz_operator.api.confighash import config_hash
from zilliz_operator.api.kinds import KINDS, OURS, SHORT_NAMES

UID = "3f0c6f0e-8d9b-4f59-9d07-1f1f1a1b2c3d"


def test_an_id_never_changes() -> None:
    """A cluster's namespace and buckets are found by it for ever: this value is a promise."""
    assert names.cluster_id(UID) == "in01-4ae5f438e8bb"


@given(st.uuids().map(str))
def test_every_derived_name_is_valid_at_its_place(uid: str) -> None:
    identity = names.cluster_id(uid)
    assert re.fullmatch(r"in01-[0-9a-f]{12}", identity)
    assert re.fullmatch(r"[a-z0-9-]{1,63}", names.cluster_namespace(identity))
    longest = names.bucket_name(prefix="a" * 39, cluster_id=identity, purpose="backup")
    assert len(longest) <= 63
    for value in names.labels(name="a" * 32, project="b" * 63, uid=uid, component="gateway").values():
        assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)


def test_purposes_are_known() -> None:
    assert names.bucket_name(prefix="acme-", cluster_id="in01-x", purpose="data") == "acme-in01-x-data"
    with pytest.raises(ValueError, match="data, audit, backup"):
        names.bucket_name(prefix="", cluster_id="in01-x", purpose="logs")


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("us-west-2", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
        ("", "aws"),
    ],
)
def test_a_region_lies_in_a_partition(region: str, partition: str) -> None:
    assert names.partition(region) == partition


def test_a_policys_mark_is_letters_and_digits_and_of_one_cluster() -> None:
    mark = names.policy_mark(UID)
    assert mark.isalnum()
    assert UID.replace("-", "") in mark
    assert mark != names.policy_mark(UID[:-1] + "e")


def test_labels_without_component_have_none() -> None:
    assert "app.kubernetes.io/component" not in names.labels(name="a", project="b", uid=UID)


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=8)), st.text(max_size=8), st.binary(max_size=8))
def test_the_hash_sees_every_name_and_byte_and_no_order(files: dict[str, bytes], name: str, content: bytes) -> None:
    backwards = dict(reversed(files.items()))
    assert config_hash(files) == config_hash(backwards)
    changed = files | {name: content}
    assert (config_hash(changed) == config_hash(files)) == (changed == files)


def test_the_hash_never_changes() -> None:
    """Operator and agent of different releases must agree."""
    assert config_hash({"config/haproxy.cfg": b"a", "maps/keys.map": b""}) == (
        "2e9d3dc232ccb19c2f02f4621cfd19c088a13eaa73e4ea024313fd878004cb88"
    )


def test_kinds_have_paths() -> None:
    assert KINDS["Secret"].path == "/api/v1"
    assert KINDS["Secret"].group == ""
    assert KINDS["ZillizCluster"].path == "/apis/byoc.zilliz.com/v1alpha1"
    assert KINDS["ZillizCluster"].group == "byoc.zilliz.com"
    assert {kind.kind for kind in OURS} == SHORT_NAMES.keys()
    assert len(set(SHORT_NAMES.values())) == len(SHORT_NAMES)
