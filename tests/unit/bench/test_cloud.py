"""A bucket's repair is timed for each aspect, and one that does not come is not made up."""

from typing import Any

import pytest

from bench import cloud

WHOLE = {"encryption": "AES256", "versioning": "Enabled", "lifecycle": ["rule"], "policy": "deny"}


class Store:
    """An S3 client with one bucket."""

    def __init__(self) -> None:
        self.now: dict[str, Any] = dict(WHOLE)

    def get_bucket_encryption(self, Bucket: str) -> Any:
        return {"ServerSideEncryptionConfiguration": self.now["encryption"]}

    def get_bucket_versioning(self, Bucket: str) -> Any:
        return {"Status": self.now["versioning"]}

    def get_bucket_lifecycle_configuration(self, Bucket: str) -> Any:
        return {"Rules": self.now["lifecycle"]}

    def get_bucket_policy(self, Bucket: str) -> Any:
        return {"Policy": self.now["policy"]}

    def delete_bucket_encryption(self, Bucket: str) -> None:
        self.now["encryption"] = None

    def put_bucket_versioning(self, Bucket: str, VersioningConfiguration: dict[str, str]) -> None:
        self.now["versioning"] = VersioningConfiguration["Status"]

    def delete_bucket_lifecycle(self, Bucket: str) -> None:
        self.now["lifecycle"] = None

    def delete_bucket_policy(self, Bucket: str) -> None:
        self.now["policy"] = None


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "EVERY_SECONDS", 0.01)


def test_everything_is_broken_and_its_repair_seen(quick: None) -> None:
    store = Store()
    spoiled = cloud.Spoiled(store, "data")
    assert not [name for name, value in store.now.items() if value == WHOLE[name]]
    store.now = dict(WHOLE)
    assert spoiled.wait(10)
    assert spoiled.took.keys() == WHOLE.keys()


def test_what_is_not_repaired_is_not_claimed(quick: None) -> None:
    store = Store()
    spoiled = cloud.Spoiled(store, "data")
    store.now |= {"policy": "deny"}
    assert not spoiled.wait(0.2)
    assert set(spoiled.took) <= {"policy"}
