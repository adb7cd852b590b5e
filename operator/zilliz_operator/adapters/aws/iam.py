"""Identities on a store: a user with one key pair, or a role that one ServiceAccount may assume; each with
exactly one policy.

The policy is a managed one, because some stores refuse part of the actions inline. An identity is ours by the tag
with our UID, as a bucket is; one without tags, keys and policies is what a crash between two calls leaves, and is
finished.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.api.exceptions import NameTaken, NotReady
from zilliz_operator.api.names import CLUSTER_UID_LABEL
from zilliz_operator.api.outside import AspectResult, KeyPair

from .errors import absent, code, unsupported
from .policy import normal
from .shapes import Identity

KEPT, REPAIRED, UNSUPPORTED = "kept", "repaired", "unsupported"
MOST_VERSIONS = 5  # of one managed policy, on AWS


class _Principals:
    """What users and roles have in common. `noun` is how the API spells it in its calls and parameters."""

    noun = ""

    def __init__(self, iam: Any) -> None:
        self._iam = iam

    def ensure(self, identity: Identity) -> Sequence[AspectResult]:
        results = (self._exists(identity), self._policy(identity), self._nothing_else(identity))
        boundary = self._boundary(identity)
        return results if boundary is None else (*results, boundary)

    def remove(self, identity: Identity) -> None:
        found = self._tags(identity.name)
        if found is not None:
            self._check_mark(identity, found)
            self._remove_keys(identity)
            for attached in self._attached(identity.name):
                self._call("detach_{}_policy", identity.name, PolicyArn=attached["PolicyArn"])
            for inline in self._inline(identity.name):
                self._call("delete_{}_policy", identity.name, PolicyName=inline)
            self._call("delete_{}", identity.name)
        arn = self._find_policy(identity.policy_name)
        if arn is not None:
            for version in self._versions(arn):
                if not version["IsDefaultVersion"]:
                    self._iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
            self._iam.delete_policy(PolicyArn=arn)

    # ---- what differs

    def _create(self, identity: Identity) -> None:
        raise NotImplementedError

    def _observe(self, name: str) -> dict[str, Any]:
        """The principal as the API reports it; raises when it does not exist."""
        found: dict[str, Any] = self._call("get_{}", name)[self.noun.capitalize()]
        return found

    def _remove_keys(self, identity: Identity) -> None:
        """Roles have none."""

    def _is_bare(self, name: str) -> bool:
        """Whether a principal without tags grants nothing to anybody."""
        return not (self._attached(name) or self._inline(name))

    # ---- parts

    def _exists(self, identity: Identity) -> AspectResult:
        found = self._tags(identity.name)
        if found is None:
            self._create(identity)
            found, detail = {}, "created"
        else:
            self._check_mark(identity, found)
            detail = "tagged"
        wanted = dict(identity.tags)
        if all(found.get(key) == value for key, value in wanted.items()):
            return AspectResult("identity", KEPT)
        self._call("tag_{}", identity.name, Tags=[{"Key": key, "Value": value} for key, value in wanted.items()])
        return AspectResult("identity", REPAIRED, detail)

    def _check_mark(self, identity: Identity, found: dict[str, str]) -> None:
        mark = found.get(CLUSTER_UID_LABEL)
        if mark == identity.uid or (mark is None and not found and self._is_bare(identity.name)):
            return
        raise NameTaken(
            f"{self.noun} {identity.name}",
            f"exists on the store and does not carry our tag {CLUSTER_UID_LABEL}; untouched",
        )

    def _policy(self, identity: Identity) -> AspectResult:
        """Exactly the wanted document, attached."""
        attached = {policy["PolicyName"]: policy["PolicyArn"] for policy in self._attached(identity.name)}
        document = json.dumps(identity.policy_document(), sort_keys=True)
        arn = attached.get(identity.policy_name) or self._find_policy(identity.policy_name)
        state, detail = KEPT, ""
        if arn is None:
            arn = self._iam.create_policy(PolicyName=identity.policy_name, PolicyDocument=document)["Policy"]["Arn"]
            state, detail = REPAIRED, "created"
        elif self._document(arn) != normal(identity.policy_document()):
            arn = self._rewrite(identity, arn, document)
            state, detail = REPAIRED, "rewritten"
        if identity.policy_name not in attached:
            self._call("attach_{}_policy", identity.name, PolicyArn=arn)
            state, detail = REPAIRED, detail or "attached"
        return AspectResult("identity_policy", state, detail)

    def _nothing_else(self, identity: Identity) -> AspectResult:
        """No other policy, attached or inline."""
        extra = []
        for policy in self._attached(identity.name):
            if policy["PolicyName"] != identity.policy_name:
                self._call("detach_{}_policy", identity.name, PolicyArn=policy["PolicyArn"])
                extra.append(policy["PolicyName"])
        for inline in self._inline(identity.name):
            self._call("delete_{}_policy", identity.name, PolicyName=inline)
            extra.append(inline)
        detail = f"took away {', '.join(extra)}" if extra else ""
        return AspectResult("identity_scope", REPAIRED if extra else KEPT, detail)

    def _boundary(self, identity: Identity) -> AspectResult | None:
        wanted = identity.permissions_boundary_arn
        live = (self._observe(identity.name).get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
        if wanted is None and live is None:
            return None
        if wanted == live:
            return AspectResult("permissions_boundary", KEPT)
        try:
            if wanted is None:
                self._call("delete_{}_permissions_boundary", identity.name)
            else:
                self._call("put_{}_permissions_boundary", identity.name, PermissionsBoundary=wanted)
        except ClientError as error:
            if unsupported(error):
                return AspectResult("permissions_boundary", UNSUPPORTED, "the store has no permissions boundaries")
            raise
        return AspectResult("permissions_boundary", REPAIRED)

    # ---- calls

    def _call(self, operation: str, name: str, **more: Any) -> Any:
        return getattr(self._iam, operation.format(self.noun))(**{f"{self.noun.capitalize()}Name": name}, **more)

    def _pages(self, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        for page in self._iam.get_paginator(operation).paginate(**parameters):
            yield from page.get(key) or ()

    def _named(self, name: str) -> dict[str, str]:
        return {f"{self.noun.capitalize()}Name": name}

    def _tags(self, name: str) -> dict[str, str] | None:
        """None: no such principal."""
        try:
            return {
                tag["Key"]: tag["Value"] for tag in self._pages(f"list_{self.noun}_tags", "Tags", **self._named(name))
            }
        except ClientError as error:
            if absent(error):
                return None
            raise

    def _attached(self, name: str) -> list[dict[str, str]]:
        return list(self._pages(f"list_attached_{self.noun}_policies", "AttachedPolicies", **self._named(name)))

    def _inline(self, name: str) -> list[str]:
        return list(self._pages(f"list_{self.noun}_policies", "PolicyNames", **self._named(name)))

    def _find_policy(self, name: str) -> str | None:
        found = self._pages("list_policies", "Policies", Scope="Local")
        return next((str(policy["Arn"]) for policy in found if policy["PolicyName"] == name), None)

    def _versions(self, arn: str) -> list[dict[str, Any]]:
        return list(self._pages("list_policy_versions", "Versions", PolicyArn=arn))

    def _document(self, arn: str) -> Any:
        default = self._iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = self._iam.get_policy_version(PolicyArn=arn, VersionId=default)["PolicyVersion"]["Document"]
        return normal(json.loads(document) if isinstance(document, str) else document)

    def _rewrite(self, _: Identity, arn: str, document: str) -> str:
        """A new version becomes the one in force: no moment without rights, none with the old ones after."""
        self._make_room(arn)
        self._iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        return arn

    def _make_room(self, arn: str) -> None:
        versions = self._versions(arn)
        if len(versions) >= MOST_VERSIONS:
            oldest = min((v for v in versions if not v["IsDefaultVersion"]), key=lambda v: str(v.get("CreateDate")))
            self._iam.delete_policy_version(PolicyArn=arn, VersionId=oldest["VersionId"])


class Users(_Principals):
    noun = "user"

    def key_in_force(self, identity: Identity, access_key_id: str | None) -> bool:
        keys = self._keys(identity.name)
        return [(key["AccessKeyId"], key.get("Status", "Active")) for key in keys] == [(access_key_id, "Active")]

    def rotate_key(self, identity: Identity, *, keep: str | None) -> KeyPair:
        """Others leave first: AWS gives a user two keys at most, and whatever a tenant minted for itself must go."""
        found = self._tags(identity.name)
        if found is None:
            raise NotReady(f"user {identity.name} does not exist yet on the store")
        self._check_mark(identity, found)
        self._remove_keys(identity, keep=keep)
        made = self._iam.create_access_key(UserName=identity.name)["AccessKey"]
        return KeyPair(made["AccessKeyId"], made["SecretAccessKey"])

    def _create(self, identity: Identity) -> None:
        try:
            self._iam.create_user(UserName=identity.name)
        except ClientError as error:
            if not code(error).startswith("EntityAlreadyExists"):
                raise
            self._check_mark(identity, self._tags(identity.name) or {})

    def _is_bare(self, name: str) -> bool:
        return super()._is_bare(name) and not self._keys(name)

    def _keys(self, name: str) -> list[dict[str, Any]]:
        try:
            return list(self._pages("list_access_keys", "AccessKeyMetadata", UserName=name))
        except ClientError as error:
            if absent(error):
                return []
            raise

    def _remove_keys(self, identity: Identity, *, keep: str | None = None) -> None:
        for key in self._keys(identity.name):
            if key["AccessKeyId"] != keep:
                self._iam.delete_access_key(UserName=identity.name, AccessKeyId=key["AccessKeyId"])


class Roles(_Principals):
    noun = "role"

    def ensure(self, identity: Identity) -> Sequence[AspectResult]:
        results = super().ensure(identity)
        assert identity.trust is not None
        document = identity.trust.document()
        live = self._observe(identity.name)["AssumeRolePolicyDocument"]
        if normal(json.loads(live) if isinstance(live, str) else live) == normal(document):
            return (*results, AspectResult("identity_trust", KEPT))
        self._iam.update_assume_role_policy(RoleName=identity.name, PolicyDocument=json.dumps(document))
        return (*results, AspectResult("identity_trust", REPAIRED))

    def key_in_force(self, _: Identity, __: str | None) -> bool:
        return True

    def rotate_key(self, _: Identity, *, keep: str | None) -> None:
        return None

    def _create(self, identity: Identity) -> None:
        assert identity.trust is not None
        boundary = (
            {"PermissionsBoundary": identity.permissions_boundary_arn} if identity.permissions_boundary_arn else {}
        )
        self._iam.create_role(
            RoleName=identity.name,
            AssumeRolePolicyDocument=json.dumps(identity.trust.document()),
            Description="Milvus cluster, kept by zilliz-operator",
            Tags=[{"Key": key, "Value": value} for key, value in identity.tags],
            **boundary,
        )
