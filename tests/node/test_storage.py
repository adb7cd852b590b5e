"""The bucket: what lies on the store's disks, who opens it, and the aspects that the conditions claim."""

import json
import secrets
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.node.harness import Cluster, Product, run

COLLECTION, ROWS = "storage_test", 200

INSERT = """
import json, sys, tempfile
from pymilvus import MilvusClient
asked = json.load(sys.stdin)
authority = tempfile.NamedTemporaryFile("w", suffix=".crt")
authority.write(asked["ca"]); authority.flush()
client = MilvusClient(uri=asked["uri"], token=asked["token"], secure=True, server_pem_path=authority.name,
                      server_name=asked["host"], timeout=60, dedicated=True)
name = asked["collection"]
if client.has_collection(name):
    client.drop_collection(name)
client.create_collection(name, dimension=8, metric_type="COSINE")
rows = [{"id": i, "vector": [float(i + 1)] * 8, "note": f"{asked['word']}-{i:04d}"} for i in range(asked["rows"])]
client.insert(name, rows)
client.flush(name)
found = client.query(name, filter="id == 7", output_fields=["note"])
assert found[0]["note"].startswith(asked["word"]), found
client.close()
"""


def refused(call: Any, **arguments: Any) -> bool:
    """Whether the store answers 403."""
    try:
        call(**arguments)
    except ClientError as error:
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"]) == 403
    return False


def on_disk(product: Product, needle: bytes) -> list[str]:
    """The files of the S3 server that hold these bytes in clear."""
    held = []
    for file in sorted((product.layout.store / "data").rglob("*")):
        if file.is_file() and needle in file.read_bytes():
            held.append(file.name)
    return held


@pytest.fixture(scope="module")
def word(product: Product, quickstart: Cluster) -> str:
    """A word that a client stored in a string field of known vectors, and that Milvus has flushed to the bucket."""
    found = f"needle-{secrets.token_hex(16)}"
    key = quickstart.key
    asked = {"uri": key["uri"], "host": key["host"], "token": key["token"], "ca": key["ca.crt"]}
    asked |= {"collection": COLLECTION, "word": found, "rows": ROWS}  # type: ignore[dict-item]
    product.office.run(sys.executable, "-c", INSERT, input=json.dumps(asked))
    return found


@pytest.fixture(scope="module")
def objects(product: Product, quickstart: Cluster, word: str) -> list[str]:
    """Keys of all objects of the bucket."""
    pages = product.s3().list_objects_v2(Bucket=quickstart.bucket, MaxKeys=1000)
    keys = [each["Key"] for each in pages.get("Contents", ())]
    assert any("/insert_log/" in key for key in keys), keys
    return keys


def test_every_object_is_encrypted_by_aes_256(product: Product, quickstart: Cluster, objects: list[str]) -> None:
    s3 = product.s3()
    heads = {key: s3.head_object(Bucket=quickstart.bucket, Key=key) for key in objects}
    assert {key for key, head in heads.items() if head.get("ServerSideEncryption") != "AES256"} == set()


@pytest.fixture
def plain_bucket(product: Product) -> Iterator[str]:
    """A bucket without encryption, for the counterpart."""
    s3, name = product.s3(), "plain-counterpart"
    try:
        s3.create_bucket(Bucket=name)
        yield name
    finally:
        for each in s3.list_objects_v2(Bucket=name).get("Contents", ()):
            s3.delete_object(Bucket=name, Key=each["Key"])
        s3.delete_bucket(Bucket=name)


def test_a_known_vectors_string_is_not_in_clear_on_the_stores_disks(
    product: Product, quickstart: Cluster, objects: list[str], word: str, plain_bucket: str
) -> None:
    s3 = product.s3()
    bodies = (s3.get_object(Bucket=quickstart.bucket, Key=key)["Content"] for key in objects if "/insert_log/" in key)
    body = next(content for content in bodies if word.encode() in content)
    assert on_disk(product, word.encode()) == []
    # the very same object, stored without encryption, is found
    s3.put_object(Bucket=plain_bucket, Key="copy", Body=body)
    assert on_disk(product, word.encode())


def test_a_clusters_key_pair_opens_its_own_bucket_alone(product: Product, quickstart: Cluster, other: Cluster) -> None:
    stored = product.secret("store-credentials", quickstart.namespace)
    keys = (stored["accessKeyId"], stored["secretAccessKey"])
    s3 = product.s3(keys)
    own, foreign = quickstart.bucket, other.bucket
    key = s3.list_objects_v2(Bucket=own, MaxKeys=1)["Contents"][0]["Key"]
    assert s3.get_object(Bucket=own, Key=key)["Content"]
    theirs = "storage-test/theirs"
    product.s3().put_object(Bucket=foreign, Key=theirs, Body=b"x")
    assert refused(s3.list_objects_v2, Bucket=foreign)
    assert refused(s3.get_object, Bucket=foreign, Key=theirs)
    assert refused(s3.head_object, Bucket=foreign, Key=theirs)
    assert refused(s3.put_object, Bucket=foreign, Key="intruder", Body=b"x")
    assert refused(s3.delete_object, Bucket=foreign, Key=theirs)
    assert refused(s3.copy_object, Bucket=own, Key="stolen", CopySource={"Bucket": foreign, "Key": theirs})
    assert refused(s3.create_bucket, Bucket="intruder")
    assert product.s3().get_object(Bucket=foreign, Key=theirs)["Content"] == b"x"


@pytest.mark.parametrize("aspect", ["policy", "versioning", "encryption", "lifecycle", "acl"])
def test_a_clusters_key_pair_cannot_loosen_its_own_bucket(product: Product, quickstart: Cluster, aspect: str) -> None:
    stored = product.secret("store-credentials", quickstart.namespace)
    s3, bucket = product.s3((stored["accessKeyId"], stored["secretAccessKey"])), quickstart.bucket
    calls = {
        "policy": lambda: s3.delete_bucket_policy(Bucket=bucket),
        "versioning": lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"}),
        "encryption": lambda: s3.delete_bucket_encryption(Bucket=bucket),
        "lifecycle": lambda: s3.delete_bucket_lifecycle(Bucket=bucket),
        "acl": lambda: s3.put_bucket_acl(Bucket=bucket, ACL="public-read"),
    }
    assert refused(calls[aspect])


def test_a_clusters_key_pair_can_mint_nothing(product: Product, quickstart: Cluster) -> None:
    """At the tenants' door; the operator's door (8334), where this store lets every user renew keys, is closed to pods:
    test_packets.py."""
    stored = product.secret("store-credentials", quickstart.namespace)
    keys, user = (stored["accessKeyId"], stored["secretAccessKey"]), f"{quickstart.bucket.removesuffix('-data')}-milvus"
    known = {each["UserName"] for each in product.iam().list_users()["Users"]}
    assert user in known
    own, theirs = product.iam(keys, port=8333), next(iter(known - {user}))
    assert refused(own.list_users)
    assert refused(own.create_user, UserName="intruder")
    assert refused(own.create_access_key, UserName=user)
    assert refused(own.create_access_key, UserName=theirs)
    administration = product.iam(keys)
    assert refused(administration.list_users)
    assert refused(administration.create_user, UserName="intruder")
    assert refused(administration.create_access_key, UserName=theirs)
    assert {each["UserName"] for each in product.iam().list_users()["Users"]} == known


def test_the_bucket_is_as_its_condition_says(product: Product, quickstart: Cluster) -> None:
    s3, bucket = product.s3(), quickstart.bucket
    condition = quickstart.condition("StorageSecured")
    assert condition is not None
    held, _, limits = condition["message"].partition("This store cannot do")
    encryption = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in encryption] == ["AES256"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    ownership = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert ownership == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert [
        r["NoncurrentVersionExpiration"]["NoncurrentDays"] for r in rules if "NoncurrentVersionExpiration" in r
    ] == [30]
    assert [r["AbortIncompleteMultipartUpload"] for r in rules if "AbortIncompleteMultipartUpload" in r]
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    for aspect in ("encryption", "versioning", "ownership", "lifecycle", "policy", "acl"):
        assert aspect in held
    assert "public_access" in limits and "public_access" not in held


def test_the_other_two_are_hardened_alike_and_the_audit_bucket_locks(product: Product, quickstart: Cluster) -> None:
    s3, condition = product.s3(), quickstart.condition("StorageSecured")
    assert condition is not None
    audit, backup = quickstart.status["auditBucket"], quickstart.status["backupBucket"]
    policies = {
        name: json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][0]["Condition"]
        for name in (quickstart.bucket, audit, backup)
    }
    assert {str(each) for each in policies.values()} == {"{'Bool': {'aws:SecureTransport': 'false'}}"}
    for name in (audit, backup):
        assert name in condition["message"]
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
        assert [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules] == ["AES256"]
        assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    lock = s3.get_object_lock_configuration(Bucket=audit)["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert (lock["Mode"], lock["Days"]) == ("GOVERNANCE", 365)
    assert f"objects of {audit} locked for 365 days (Governance)" in condition["message"]


def test_a_stranger_without_keys_gets_nothing(product: Product, quickstart: Cluster, objects: list[str]) -> None:
    base = f"https://{product.layout.address}:8333/{quickstart.bucket}"
    for url in (base, f"{base}/{objects[0]}"):
        words = (
            "curl",
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--cacert",
            str(product.layout.pki / "store.crt"),
        )
        assert run(("nsenter", f"--net=/run/netns/{product.name}", *words, url), seconds=30) == "403"


def test_the_store_speaks_no_plain_http(product: Product, quickstart: Cluster) -> None:
    url = f"http://{product.layout.address}:8333/{quickstart.bucket}"
    said = product.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", url)
    assert said.startswith(("000", "400"))
