"""Whether a volume's class encrypts: believed only where its parameters say so, and never over their word."""

from typing import Any

import pytest

from zilliz_operator.policy import volumes
from zilliz_operator.policy.volumes import ClassVerdict, Told


def storage_class(provisioner: str, name: str = "fast", **parameters: str) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"name": name}, "provisioner": provisioner}
    return found | ({"parameters": parameters} if parameters else {})


@pytest.mark.parametrize(
    ("provisioner", "parameters", "told", "said"),
    [
        ("ebs.csi.aws.com", {"encrypted": "true"}, Told.ENCRYPTED, "encrypts (encrypted: true)"),
        ("ebs.csi.aws.com", {"Encrypted": "true", "kmsKeyId": "arn:k"}, Told.ENCRYPTED, "under kmskeyid arn:k"),
        ("ebs.csi.eks.amazonaws.com", {"encrypted": "true"}, Told.ENCRYPTED, "encrypts"),
        ("kubernetes.io/aws-ebs", {"encrypted": "true"}, Told.ENCRYPTED, "encrypts"),
        ("ebs.csi.aws.com", {"encrypted": "false"}, Told.NOT_ENCRYPTED, "does not encrypt (encrypted: false)"),
        ("ebs.csi.aws.com", {"encrypted": "false", "kmsKeyId": "arn:k"}, Told.NOT_ENCRYPTED, "does not encrypt"),
        ("ebs.csi.aws.com", {}, Told.UNTOLD, "no parameter encrypted"),
        ("ebs.csi.aws.com", {"kmsKeyId": "arn:k"}, Told.UNTOLD, "no parameter encrypted"),
        ("ebs.csi.aws.com", {"encrypted": "yes"}, Told.UNTOLD, "neither true nor false"),
        ("pd.csi.storage.gke.io", {}, Told.ENCRYPTED, "always encrypts"),
        ("pd.csi.storage.gke.io", {"disk-encryption-kms-key": "projects/p"}, Told.ENCRYPTED, "disk-encryption-kms-key projects/p"),
        ("disk.csi.azure.com", {"diskEncryptionSetID": "/subscriptions/s"}, Told.ENCRYPTED, "/subscriptions/s"),
        ("driver.longhorn.io", {"encrypted": "true"}, Told.ENCRYPTED, "encrypts"),
        ("rancher.io/local-path", {"encrypted": "true"}, Told.UNTOLD, "does not tell"),
        ("nfs.csi.k8s.io", {}, Told.UNTOLD, "does not tell"),
    ],
)  # fmt: skip
def test_a_class_is_read_as_its_provisioner_reads_it(
    provisioner: str, parameters: dict[str, str], told: Told, said: str
) -> None:
    verdict = volumes.judge("fast", storage_class(provisioner, **parameters))
    assert verdict.told is told
    assert verdict.said.startswith(f"StorageClass fast ({provisioner}) ")
    assert said in verdict.said


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (volumes.judge("gone", None), "StorageClass gone does not exist"),
        (volumes.judge(None, None), "the default StorageClass does not exist"),
        (volumes.judge("", None), "a volume without a StorageClass"),
        (volumes.judge("fast", None, unreadable="no right"), "StorageClass fast cannot be read (no right)"),
    ],
)
def test_what_cannot_be_seen_is_not_known(verdict: ClassVerdict, said: str) -> None:
    assert verdict.told is Told.UNTOLD
    assert said in verdict.said


def test_the_default_class_is_named_in_the_evidence() -> None:
    verdict = volumes.judge(None, storage_class("pd.csi.storage.gke.io", name="standard-rwo"))
    assert "standard-rwo" in verdict.said


def marked(name: str, *, born: str, default: str = "true") -> dict[str, Any]:
    metadata = {"name": name, "creationTimestamp": born, "annotations": {volumes.DEFAULT_CLASS: default}}
    return {"metadata": metadata, "provisioner": "x"}


def test_of_several_defaults_the_newest_counts_then_the_first_by_name() -> None:
    found = [
        marked("new-b", born="2026-02-01T00:00:00Z"),
        marked("new-a", born="2026-02-01T00:00:00Z"),
        marked("old", born="2026-01-01T00:00:00Z"),
        marked("not", born="2026-03-01T00:00:00Z", default="false"),
        storage_class("x", name="plain"),
    ]
    for order in (found, found[::-1]):
        chosen = volumes.default_class(order)
        assert chosen is not None
        assert chosen["metadata"]["name"] == "new-a"
    assert volumes.default_class(found[3:]) is None


GOOD = ClassVerdict("gp3", Told.ENCRYPTED, "gp3 encrypts")
BAD = ClassVerdict("gp2", Told.NOT_ENCRYPTED, "gp2 does not encrypt")
DUMB = ClassVerdict("local", Told.UNTOLD, "local does not tell")


@pytest.mark.parametrize(
    ("verdicts", "declared", "broken", "known"),
    [
        ([GOOD], None, False, True),
        ([DUMB], None, False, False),
        ([DUMB], "local", False, True),
        ([DUMB], "gp3", False, False),  # a declaration vouches for its own class alone
        ([GOOD, DUMB], None, False, False),
        ([GOOD, DUMB], "local", False, True),
        ([BAD], None, True, False),
        ([BAD], "gp2", True, False),  # nor does it outweigh parameters
        ([GOOD, BAD], None, True, False),
    ],
)
def test_all_classes_together(verdicts: list[ClassVerdict], declared: str | None, broken: bool, known: bool) -> None:
    summary = volumes.summarize(verdicts, declared=declared)
    assert (summary.broken, summary.known) == (broken, known)
    assert all(verdict.said in summary.said for verdict in verdicts)
    assert ("declared, not verified" in summary.said) is (declared == "local")
