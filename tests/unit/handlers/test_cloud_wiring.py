"""Which cloud a data plane gets, and as whom: its own where it is of the store's cloud, the operator's role elsewhere."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.desired.samples import documents, of_kind
from zilliz_operator.adapters.aws.ec2 import AwsNetwork
from zilliz_operator.adapters.threads import Threads
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.handlers.config import from_environment
from zilliz_operator.handlers.dataplanes import WiredDataPlanes


class Hub:
    """Any Secret, with both keys of the store's administrator."""

    async def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        keys = {"accessKeyId": "AKIAEXAMPLE", "secretAccessKey": "never-shown", "ca.crt": "CA"}
        return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in keys.items()}}


@pytest.fixture
def planes() -> Iterator[WiredDataPlanes]:
    threads = Threads(1)
    hub: Any = Hub()
    yield WiredDataPlanes(
        hub=hub,
        threads=threads,
        operator_namespace="zilliz-system",
        on_request=lambda *_: None,
        on_child=lambda _: None,
        on_turn=lambda _: None,
        cloud_sweep_seconds=60,
    )
    threads.close()


def plane(file: str, **spec: Any) -> DataPlane:
    found = of_kind(documents(file), "DataPlane")[0]
    found["spec"].pop("kubernetes", None)
    found["metadata"] |= {"uid": "u", "generation": 1}
    return DataPlane.parse({**found, "spec": found["spec"] | spec})


async def cloud(planes: WiredDataPlanes, data_plane: DataPlane) -> AwsNetwork | None:
    found = (await planes.access(data_plane)).cloud
    assert found is None or isinstance(found, AwsNetwork)
    return found


async def test_in_aws_it_is_the_region_of_the_plane_and_the_operators_role(planes: WiredDataPlanes) -> None:
    found = await cloud(planes, plane("dataplane-aws.yaml"))
    assert found is not None
    assert (found.access.region, found.access.access_key_id, found.access.endpoint) == ("us-west-2", None, None)
    assert found.access.credentials == "the operator's IAM role"


async def test_keys_of_an_aws_store_are_keys_of_its_cloud(planes: WiredDataPlanes) -> None:
    storage = {"provider": "AWS", "credentialsSecretRef": {"name": "aws-admin"}}
    found = await cloud(planes, plane("dataplane-aws.yaml", objectStorage=storage))
    assert found is not None
    assert found.access.access_key_id == "AKIAEXAMPLE"
    assert found.access.credentials == "Secret zilliz-system/aws-admin"
    assert "never-shown" not in repr(found.access)


async def test_keys_of_another_store_are_not_shown_to_aws(planes: WiredDataPlanes) -> None:
    found = await cloud(planes, plane("dataplane-s3.yaml", cloud="aws", region="us-west-2"))
    assert found is not None
    assert (found.access.access_key_id, found.access.ca_pem, found.access.endpoint) == (None, None, None)


async def test_without_a_cloud_there_is_none(planes: WiredDataPlanes) -> None:
    assert await cloud(planes, plane("dataplane-s3.yaml")) is None


def test_how_often_it_is_asked_can_be_set() -> None:
    assert from_environment({}).cloud_sweep_seconds == 300
    assert from_environment({"ZILLIZ_CLOUD_SWEEP_SECONDS": "60"}).cloud_sweep_seconds == 60
