"""Public access block: no list and no policy can make a bucket public."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAccessBlock:
    """All four switches, always."""

    block_public_acls: bool = True
    ignore_public_acls: bool = True
    block_public_policy: bool = True
    restrict_public_buckets: bool = True

    def configuration(self) -> dict[str, bool]:
        return {
            "BlockPublicAcls": self.block_public_acls,
            "IgnorePublicAcls": self.ignore_public_acls,
            "BlockPublicPolicy": self.block_public_policy,
            "RestrictPublicBuckets": self.restrict_public_buckets,
        }
