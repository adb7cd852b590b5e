"""What a cluster asks for and its DataPlane cannot give is refused by name."""

import pytest

from tests.unit.desired.samples import data_plane
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy.fit import misfit


def cluster(key: str | None) -> ZillizCluster:
    spec = {"storage": {"kmsKeyArn": key}} if key else {}
    metadata = {"name": "search", "namespace": "team-a"}
    return ZillizCluster.parse({"apiVersion": API_VERSION, "kind": "ZillizCluster", "metadata": metadata, "spec": spec})


AWS = DataPlane.parse(data_plane(cloud="aws", region="us-west-2", objectStorage={"provider": "AWS"}))
OTHER = DataPlane.parse(data_plane(region="us-west-2"))
KEY = "arn:aws:kms:{}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("key", "plane", "fits"),
    [
        (None, AWS, True),
        (KEY.format("us-west-2"), AWS, True),
        (KEY.format("eu-central-1"), AWS, False),
        (KEY.format("us-west-1"), AWS, False),
        (KEY.format("eu-central-1"), OTHER, True),  # there is no KMS at all there, which StorageSecured says
    ],
)
def test_a_key_must_be_in_the_buckets_region(key: str | None, plane: DataPlane, fits: bool) -> None:
    assert (misfit(cluster(key), plane) is None) is fits


def test_it_names_the_field_both_regions_and_the_remedy() -> None:
    said = misfit(cluster(KEY.format("eu-central-1")), AWS)
    assert said is not None
    for words in ("spec.storage.kmsKeyArn", "eu-central-1", "DataPlane default", "us-west-2", "create it with a key"):
        assert words in said
