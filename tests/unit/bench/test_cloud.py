"""A bucket's repair is timed for each aspect, and one that does not come is not made up."""

from typing import Any

import pytest

from bench import cloud

WHOLE = {
    "encryption": "AES256",
    "versioning": "Enabled",
    "lifecycle": ["rule"],
    "policy": "deny",
    "tags": [{"Key": "owner", "Value": "us"}, {"Key": cloud.CLUSTER_TAG, "Value": "search"}],
}


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

    def get_bucket_tagging(self, Bucket: str) -> Any:
        return {"TagSet": self.now["tags"]}

    def put_bucket_tagging(self, Bucket: str, Tagging: dict[str, Any]) -> None:
        self.now["tags"] = Tagging["TagSet"]

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
    spoiled = cloud.Spoiled(cloud.bucket_settings(store, "data"))
    assert not [name for name, value in store.now.items() if value == WHOLE[name]]
    store.now = dict(WHOLE)
    assert spoiled.wait(10)
    assert spoiled.took.keys() == WHOLE.keys()


def test_what_is_not_repaired_is_not_claimed(quick: None) -> None:
    store = Store()
    spoiled = cloud.Spoiled(cloud.bucket_settings(store, "data"))
    store.now |= {"policy": "deny"}
    assert not spoiled.wait(0.2)
    assert set(spoiled.took) <= {"policy"}


def test_the_mark_of_ownership_stays() -> None:
    store = Store()
    cloud.Spoiled(cloud.bucket_settings(store, "data"))
    assert {"Key": "owner", "Value": "us"} in store.now["tags"]


def test_what_cannot_be_broken_is_not_measured() -> None:
    kept = cloud.Setting(name="policy", read=lambda: "deny", spoil=lambda: None)
    with pytest.raises(ValueError, match="policy"):
        cloud.Spoiled([kept])
