"""Copies go where the data's own data plane lets them go."""

from typing import Any

import pytest

from zilliz_operator.api.backuppolicy import BackupPolicySpec
from zilliz_operator.api.dataplane import DataPlaneSpec
from zilliz_operator.api.zillizcluster import ZillizCluster
from zilliz_operator.policy.residency import forbidden


def plane(region: str | None = None, allow: list[str] | None = None) -> DataPlaneSpec:
    spec: dict[str, Any] = {
        "versions": [{"version": "2.3.5", "image": "milvus"}],
        "objectStorage": {"provider": "S3Compatible"},
        "certificates": {"domain": "byoc.test"},
    }
    if region:
        spec["region"] = region
    if allow is not None:
        spec["residency"] = {"allowCopiesTo": allow}
    return DataPlaneSpec.model_validate(spec)


def policy(*targets: str) -> BackupPolicySpec:
    return BackupPolicySpec.model_validate({"frequency": [1], "copies": [{"dataPlane": each} for each in targets]})


def cluster(name: str, data_plane: str) -> ZillizCluster:
    metadata = {"name": name, "namespace": "team-a", "uid": "u"}
    return ZillizCluster.parse({"metadata": metadata, "spec": {"dataPlane": data_plane}})


HOME = [cluster("search", "eu")]


@pytest.mark.parametrize(
    ("allow", "target", "fine"),
    [(None, "us", True), ([], "us", False), (["us"], "us", True), (["asia"], "us", False), ([], "eu", True)],
)
def test_only_where_it_is_listed_or_nothing_is_said(allow: list[str] | None, target: str, fine: bool) -> None:
    said = forbidden(
        policy(target), clusters=HOME, planes={"eu": plane("eu-central-1", allow), "us": plane("us-west-2")}
    )
    assert (said == "") is fine


def test_it_names_field_cause_and_remedy() -> None:
    planes = {"eu": plane("eu-central-1", ["eu2"]), "us": plane("us-west-2"), "eu2": plane()}
    said = forbidden(policy("eu2", "us"), clusters=HOME, planes=planes)
    assert said.startswith(
        "spec.copies[1].dataPlane: data of cluster team-a/search must not go to data plane us (us-west-2)"
    )
    assert "data plane eu (eu-central-1) allows copies to eu2" in said
    assert "add us to spec.residency.allowCopiesTo of DataPlane eu" in said


def test_a_target_that_is_not_there_yet_is_no_way_round() -> None:
    assert forbidden(policy("new"), clusters=HOME, planes={"eu": plane(allow=[])})


def test_one_cluster_that_may_does_not_speak_for_one_that_may_not() -> None:
    clusters = [cluster("a", "us"), cluster("b", "eu")]
    said = forbidden(policy("asia"), clusters=clusters, planes={"us": plane(), "eu": plane(allow=[])})
    assert "team-a/b" in said
    assert forbidden(policy("asia"), clusters=clusters[:1], planes={"us": plane(), "eu": plane(allow=[])}) == ""


def test_a_data_plane_that_is_missing_is_the_clusters_own_trouble() -> None:
    assert forbidden(policy("us"), clusters=HOME, planes={}) == ""
