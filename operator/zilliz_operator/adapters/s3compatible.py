"""Object stores that speak S3 and IAM without being AWS; SeaweedFS is the one that is built in and measured.

They know users and keys, no roles, no KMS and no public access block. What they cannot do is said so and never
claimed; where another means reaches the same end (a private access list), it is used.
"""

from typing import Any

from zilliz_operator.adapters.aws.aspects import (
    acl,
    encryption,
    lifecycle,
    object_lock,
    ownership,
    policy,
    public_access,
    versioning,
)
from zilliz_operator.adapters.aws.iam import Roles, Users
from zilliz_operator.adapters.aws.shapes import Aspect, Bucket, Identity
from zilliz_operator.adapters.aws.store import UNSUPPORTED, AwsStore
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.outside import AspectResult, Caller

OWN_KEY: dict[str, Any] = {
    "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
}


POLICY_LIMIT = (
    "the store judges no TLS version, identity or encryption header in a bucket's policy: plain HTTP alone is refused "
    "there, and strangers by having no rights of their own"
)


class S3CompatibleStore(AwsStore):
    ASPECTS: tuple[Aspect, ...] = (
        policy,
        acl,
        public_access,
        ownership,
        encryption,
        versioning,
        object_lock,
        lifecycle,
    )
    TAGS_AT_BIRTH = False
    PATIENCE = ()

    async def caller(self) -> Caller | None:
        """Bucket policies of these stores cannot name an administrator, who is above them."""
        return None

    def adapt(self, aspect: Aspect, bucket: Bucket) -> tuple[Any, str]:
        wanted = aspect.desired(bucket)
        if aspect is encryption and wanted != OWN_KEY:
            # SeaweedFS takes a KMS setting and then fails every write with it.
            return OWN_KEY, "the store has no KMS: objects are encrypted with AES-256 under the store's own key instead"
        return wanted, ""

    def limits(self) -> tuple[AspectResult, ...]:
        return (AspectResult("policy_conditions", UNSUPPORTED, POLICY_LIMIT),)

    def _in_our_account(self, s3: Any, name: str) -> bool:
        """There are no other accounts here: whoever is refused a bucket is not the administrator."""
        return True

    def _identities(self, identity: Identity) -> Roles | Users:
        if str(identity.kind) == "IRSA":
            raise InvalidSpec("spec.objectStorage.identity", "IRSA needs provider AWS: set AccessKeys for this store")
        return _Users(self._connection.iam())


class _Users(Users):
    def _rewrite(self, identity: Identity, arn: str, document: str) -> str:
        """Make the policy anew: SeaweedFS refuses actions in a new version that it takes in a new policy.

        Between the calls the cluster has no rights, which is the right side to err on: a policy differs after
        tampering.
        """
        if any(policy["PolicyArn"] == arn for policy in self._attached(identity.name)):
            self._iam.detach_user_policy(UserName=identity.name, PolicyArn=arn)
        self._iam.delete_policy(PolicyArn=arn)
        created = self._iam.create_policy(PolicyName=identity.policy_name, PolicyDocument=document)
        made: str = created["Policy"]["Arn"]
        self._iam.attach_user_policy(UserName=identity.name, PolicyArn=made)
        return made
