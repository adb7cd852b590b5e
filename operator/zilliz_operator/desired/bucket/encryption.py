"""Encryption at rest: always AES-256, by the store's own key or by a KMS key of the customer's."""

from dataclasses import dataclass
from typing import Any

from zilliz_operator.desired.context import ClusterContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    """Default encryption of new objects: whoever says nothing about it gets this, Milvus among them."""

    algorithm: str = "AES256"
    kms_key_arn: str | None = None

    def configuration(self) -> dict[str, Any]:
        """As `PutBucketEncryption` takes it. The bucket key keeps KMS calls (and their bill) down."""
        default: dict[str, Any] = {"SSEAlgorithm": self.algorithm}
        if self.kms_key_arn is not None:
            default["KMSMasterKeyID"] = self.kms_key_arn
        return {
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": self.kms_key_arn is not None}]
        }


def encryption(ctx: ClusterContext) -> Encryption:
    key = ctx.spec.storage.kms_key_arn
    return Encryption(algorithm="aws:kms", kms_key_arn=key) if key else Encryption()
