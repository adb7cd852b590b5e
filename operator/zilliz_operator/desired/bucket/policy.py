"""Bucket policy: what is denied to everybody, whatever rights their own identity gives them.

We only ever deny; what is allowed comes from the identity. Four doors are shut: the wire (plain HTTP, old TLS), other
accounts, other identities of the same account, and encryption other than the bucket's own.

Two things are left open on purpose. *Silence about encryption*: Milvus sends no header, and the bucket's default then
encrypts. *The policy itself and the reading of settings*, within the account: an administrator can always undo a policy
that shuts out the wrong one (an operator whose role was replaced would shut itself out for ever), and tools that audit
settings go on working. None of that reads an object.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zilliz_operator.api.dataplane import Provider
from zilliz_operator.api.names import policy_mark
from zilliz_operator.api.outside import Caller
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.store import BUCKET_USERS, bucket_name, partition, principal_arn

SETTINGS = (
    "s3:DeleteBucketPolicy",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:PutBucketPolicy",
)
"""What an account's own administrators may still do: read settings, and undo the policy."""

ENCRYPTION = "s3:x-amz-server-side-encryption"
KMS_KEY = f"{ENCRYPTION}-aws-kms-key-id"
CUSTOMER_KEY = f"{ENCRYPTION}-customer-algorithm"
"""Keys of a request's headers. `Null` "true" means that the header is not there."""

Condition = tuple[str, str, tuple[str, ...]]
"""(operator, key, values)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One statement. It denies `actions`, or everything but `except_actions`, while all of `condition` holds."""

    sid: str
    resources: tuple[str, ...]
    condition: tuple[Condition, ...]
    actions: tuple[str, ...] = ()
    except_actions: tuple[str, ...] = ()

    def statement(self) -> dict[str, Any]:
        condition: dict[str, dict[str, Any]] = {}
        for operator, key, values in self.condition:
            condition.setdefault(operator, {})[key] = _folded(values)
        actions = {"Action": _folded(self.actions)} if self.actions else {"NotAction": list(self.except_actions)}
        return {
            "Sid": self.sid,
            "Effect": "Deny",
            "Principal": "*",
            **actions,
            "Resource": list(self.resources),
            "Condition": condition,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketPolicy:
    denials: tuple[Denial, ...]

    def document(self) -> dict[str, Any]:
        return {"Version": "2012-10-17", "Statement": [denial.statement() for denial in self.denials]}

    def json(self) -> str:
        return json.dumps(self.document(), sort_keys=True, separators=(",", ":"))


def bucket_policy(ctx: ClusterContext, purpose: str, *, operator: Caller | None) -> BucketPolicy:
    """The policy of the bucket for `purpose`. `operator`: who we are at the store; None where stores have no such name."""
    bucket = f"arn:{partition(ctx)}:s3:::{bucket_name(ctx, purpose)}"
    everything = (bucket, f"{bucket}/*")
    if ctx.data_plane.object_storage.provider is not Provider.AWS:
        # Other stores take more conditions without judging them: not claimed, so not written.
        return BucketPolicy(denials=(_plain_http(everything, uid=ctx.uid),))
    if operator is None:
        raise ValueError("a bucket policy on AWS names the operator: who is it?")
    users = tuple(principal_arn(ctx, user, account=operator.account) for user in BUCKET_USERS[purpose])
    return BucketPolicy(
        denials=(
            _plain_http(everything, uid=ctx.uid),
            _old_tls(everything),
            _other_accounts(everything, account=operator.account),
            _other_identities(everything, known=(*users, *operator.arns)),
            *_other_encryption(everything[1:], kms_key_arn=ctx.spec.storage.kms_key_arn),
        ),
    )


def _plain_http(resources: tuple[str, ...], *, uid: str) -> Denial:
    """Its name is our second mark on the bucket."""
    return Denial(
        sid=policy_mark(uid),
        actions=("s3:*",),
        resources=resources,
        condition=(("Bool", "aws:SecureTransport", ("false",)),),
    )


def _old_tls(resources: tuple[str, ...]) -> Denial:
    return Denial(
        sid="DenyTlsBelow12",
        actions=("s3:*",),
        resources=resources,
        condition=(("NumericLessThan", "s3:TlsVersion", ("1.2",)),),
    )


def _other_accounts(resources: tuple[str, ...], *, account: str) -> Denial:
    return Denial(
        sid="DenyOtherAccounts",
        actions=("s3:*",),
        resources=resources,
        condition=(("StringNotEquals", "aws:PrincipalAccount", (account,)),),
    )


def _other_identities(resources: tuple[str, ...], *, known: Sequence[str]) -> Denial:
    return Denial(
        sid="DenyOtherIdentities",
        except_actions=SETTINGS,
        resources=resources,
        condition=(("ArnNotLike", "aws:PrincipalArn", tuple(sorted(known))),),
    )


def _other_encryption(objects: tuple[str, ...], *, kms_key_arn: str | None) -> tuple[Denial, ...]:
    """Who says nothing gets the bucket's own encryption; who asks for another one, or brings a key, is refused."""

    def put(sid: str, *condition: Condition) -> Denial:
        return Denial(sid=sid, actions=("s3:PutObject",), resources=objects, condition=condition)

    algorithm = "aws:kms" if kms_key_arn else "AES256"
    denials = [
        put("DenyKeysOfClients", ("Null", CUSTOMER_KEY, ("false",))),
        put(
            "DenyOtherEncryption",
            ("Null", ENCRYPTION, ("false",)),
            ("StringNotEquals", ENCRYPTION, (algorithm,)),
        ),
    ]
    if kms_key_arn is not None:
        denials += [
            put("DenyOtherKmsKeys", ("Null", KMS_KEY, ("false",)), ("StringNotEquals", KMS_KEY, (kms_key_arn,))),
            # Asking for KMS without naming a key means AWS' own key, not the bucket's.
            put("DenyKmsKeyOfAws", ("Null", ENCRYPTION, ("false",)), ("Null", KMS_KEY, ("true",))),
        ]
    return tuple(denials)


def _folded(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
