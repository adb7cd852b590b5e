"""Identities on a store: a user with a key pair, or a role that one ServiceAccount may assume; each with exactly one
policy.

The policy is a managed one, because some stores refuse part of the actions inline. An identity is ours by the tag
with our UID, as a bucket is. One without tags, keys and policies is what a crash between two calls leaves, and is
finished; one that lost its tag and holds exactly our policy gets it back. Where there are paths (AWS) everything is
made with path, tags and boundary from its first call.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from zilliz_operator.api.exceptions import InvalidSpec, NameTaken, NotReady
from zilliz_operator.api.names import CLUSTER_UID_LABEL
from zilliz_operator.api.outside import AspectResult, KeyPair

from .aspects.policy import normal
from .errors import absent, code, unsupported
from .shapes import Identity

KEPT, REPAIRED, UNSUPPORTED = "kept", "repaired", "unsupported"
MOST_VERSIONS = 5  # of one managed policy, on AWS


class _Principals:
    """What users and roles have in common. `noun` is how the API spells it in its calls and parameters."""

    noun = ""

    def __init__(self, iam: Any) -> None:
        self._iam = iam

    def ensure(self, identity: Identity) -> Sequence[AspectResult]:
        exists = self._exists(identity)
        live = self._observe(identity.name)
        if _has_path(identity) and live.get("Path") != identity.path:
            raise NameTaken(
                f"{self.noun} {identity.name}",
                f"exists under the path {live.get('Path')} and not under {identity.path}, where ours are; untouched. Remove it",
            )
        results = (exists, self._policy(identity), self._nothing_else(identity), *self._more(identity, live))
        boundary = self._boundary(identity, live)
        return results if boundary is None else (*results, boundary)

    def remove(self, identity: Identity) -> None:
        found = self._tags(identity.name)
        if found is not None:
            self._check_mark(identity, found)
            self.remove_keys(identity, keep=())
            for attached in self._attached(identity.name):
                self._call("detach_{}_policy", identity.name, PolicyArn=attached["PolicyArn"])
            for inline in self._inline(identity.name):
                self._call("delete_{}_policy", identity.name, PolicyName=inline)
            self._call("delete_{}", identity.name)
        arn = self._find_policy(identity)
        if arn is not None:
            self._check_policy(identity, self._iam.get_policy(PolicyArn=arn)["Policy"])
            for version in self._versions(arn):
                if not version["IsDefaultVersion"]:
                    self._iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
            self._iam.delete_policy(PolicyArn=arn)

    def keys(self, _: Identity) -> Mapping[str, bool]:
        """Access key → whether it is active. Roles have none."""
        return {}

    def make_key(self, identity: Identity, *, keep: Collection[str]) -> KeyPair:
        raise InvalidSpec("spec.objectStorage.identity", f"{self.noun} {identity.name} takes no key pair")

    def remove_keys(self, identity: Identity, *, keep: Collection[str]) -> bool:
        """Returns whether there is a user to hold keys at all."""
        return False

    # ---- what differs

    def _create(self, identity: Identity) -> None:
        raise NotImplementedError

    def _observe(self, name: str) -> dict[str, Any]:
        """The principal as the API reports it; raises when it does not exist."""
        found: dict[str, Any] = self._call("get_{}", name)[self.noun.capitalize()]
        return found

    def _more(self, identity: Identity, live: dict[str, Any]) -> Sequence[AspectResult]:
        """Aspects that only some principals have."""
        return ()

    def _is_bare(self, name: str) -> bool:
        """Whether a principal without tags grants nothing to anybody."""
        return not (self._attached(name) or self._inline(name))

    # ---- parts

    def _exists(self, identity: Identity) -> AspectResult:
        found = self._tags(identity.name)
        created = found is None
        detail = "created" if created else "tagged"
        if found is None:
            self._create(identity)
            found = self._tags(identity.name) or {}
        else:
            self._check_mark(identity, found)
        wanted = dict(identity.tags)
        if all(found.get(key) == value for key, value in wanted.items()):
            return AspectResult("identity", REPAIRED, detail) if created else AspectResult("identity", KEPT)
        self._call("tag_{}", identity.name, Tags=_tag_list(identity))
        return AspectResult("identity", REPAIRED, detail)

    def _check_mark(self, identity: Identity, found: dict[str, str]) -> None:
        mark = found.get(CLUSTER_UID_LABEL)
        if mark == identity.uid:
            return
        if mark is None:
            if not found and not _has_path(identity) and self._is_bare(identity.name):
                return
            if self._holds_our_policy(identity):  # somebody took the tag away
                return
        raise _taken(f"{self.noun} {identity.name}")

    def _holds_our_policy(self, identity: Identity) -> bool:
        """Whether exactly our policy is attached, where possible with our own mark on it."""
        attached = self._attached(identity.name)
        if [policy["PolicyName"] for policy in attached] != [identity.policy_name]:
            return False
        return bool(self._document(identity, attached[0]["PolicyArn"]) == normal(identity.policy_document()))

    def _policy(self, identity: Identity) -> AspectResult:
        """Exactly the wanted document, attached."""
        attached = {policy["PolicyName"]: policy["PolicyArn"] for policy in self._attached(identity.name)}
        document = json.dumps(identity.policy_document(), sort_keys=True)
        arn = attached.get(identity.policy_name) or self._find_policy(identity)
        state, detail = KEPT, ""
        if arn is None:
            arn = self._create_policy(identity, document)
            state, detail = REPAIRED, "created"
        elif self._document(identity, arn) != normal(identity.policy_document()):
            arn = self._rewrite(identity, arn, document)
            state, detail = REPAIRED, "rewritten"
        if identity.policy_name not in attached:
            self._call("attach_{}_policy", identity.name, PolicyArn=arn)
            state, detail = REPAIRED, detail or "attached"
        return AspectResult("identity_policy", state, detail)

    def _create_policy(self, identity: Identity, document: str) -> str:
        placed = {"Path": identity.path, "Tags": _tag_list(identity)} if _has_path(identity) else {}
        try:
            made = self._iam.create_policy(PolicyName=identity.policy_name, PolicyDocument=document, **placed)
        except ClientError as error:
            if code(error).startswith("EntityAlreadyExists"):
                raise _taken(f"policy {identity.policy_name}") from error
            raise
        return str(made["Policy"]["Arn"])

    def _check_policy(self, identity: Identity, policy: dict[str, Any]) -> None:
        """Where policies have tags, ours carries our UID."""
        marks = {tag["Key"]: tag["Value"] for tag in policy.get("Tags") or ()}
        if _has_path(identity) and marks.get(CLUSTER_UID_LABEL) != identity.uid:
            raise _taken(f"policy {identity.policy_name}")

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

    def _boundary(self, identity: Identity, found: dict[str, Any]) -> AspectResult | None:
        wanted = identity.permissions_boundary_arn
        live = (found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
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

    def _find_policy(self, identity: Identity) -> str | None:
        where = {"PathPrefix": identity.path} if _has_path(identity) else {}
        found = self._pages("list_policies", "Policies", Scope="Local", **where)
        return next((str(policy["Arn"]) for policy in found if policy["PolicyName"] == identity.policy_name), None)

    def _versions(self, arn: str) -> list[dict[str, Any]]:
        return list(self._pages("list_policy_versions", "Versions", PolicyArn=arn))

    def _document(self, identity: Identity, arn: str) -> Any:
        policy = self._iam.get_policy(PolicyArn=arn)["Policy"]
        self._check_policy(identity, policy)
        default = policy["DefaultVersionId"]
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

    def keys(self, identity: Identity) -> Mapping[str, bool]:
        return {key["AccessKeyId"]: key.get("Status", "Active") == "Active" for key in self._listed(identity.name)}

    def make_key(self, identity: Identity, *, keep: Collection[str]) -> KeyPair:
        """Others leave first: AWS gives a user two keys at most, and whatever a tenant minted for itself must go."""
        if not self.remove_keys(identity, keep=keep):
            raise NotReady(f"user {identity.name} does not exist yet on the store")
        made = self._iam.create_access_key(UserName=identity.name)["AccessKey"]
        return KeyPair(made["AccessKeyId"], made["SecretAccessKey"])

    def remove_keys(self, identity: Identity, *, keep: Collection[str]) -> bool:
        found = self._tags(identity.name)
        if found is None:
            return False
        self._check_mark(identity, found)
        for key in self.keys(identity):
            if key not in keep:
                self._iam.delete_access_key(UserName=identity.name, AccessKeyId=key)
        return True

    def _create(self, identity: Identity) -> None:
        placed = {"Path": identity.path, "Tags": _tag_list(identity), **_bounded(identity)}
        try:
            self._iam.create_user(UserName=identity.name, **(placed if _has_path(identity) else {}))
        except ClientError as error:
            if not code(error).startswith("EntityAlreadyExists"):
                raise
            self._check_mark(identity, self._tags(identity.name) or {})

    def _is_bare(self, name: str) -> bool:
        return super()._is_bare(name) and not self._listed(name)

    def _listed(self, name: str) -> list[dict[str, Any]]:
        try:
            return list(self._pages("list_access_keys", "AccessKeyMetadata", UserName=name))
        except ClientError as error:
            if absent(error):
                return []
            raise


class Roles(_Principals):
    noun = "role"

    def _more(self, identity: Identity, live: dict[str, Any]) -> Sequence[AspectResult]:
        assert identity.trust is not None
        document, found = identity.trust.document(), live["AssumeRolePolicyDocument"]
        if normal(json.loads(found) if isinstance(found, str) else found) == normal(document):
            return (AspectResult("identity_trust", KEPT),)
        self._iam.update_assume_role_policy(RoleName=identity.name, PolicyDocument=json.dumps(document))
        return (AspectResult("identity_trust", REPAIRED),)

    def _create(self, identity: Identity) -> None:
        assert identity.trust is not None
        self._iam.create_role(
            RoleName=identity.name,
            Path=identity.path,
            AssumeRolePolicyDocument=json.dumps(identity.trust.document()),
            Description="Milvus cluster, kept by zilliz-operator",
            Tags=_tag_list(identity),
            **_bounded(identity),
        )


def _has_path(identity: Identity) -> bool:
    return identity.path != "/"


def _tag_list(identity: Identity) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in identity.tags]


def _bounded(identity: Identity) -> dict[str, str]:
    boundary = identity.permissions_boundary_arn
    return {"PermissionsBoundary": boundary} if boundary else {}


def _taken(what: str) -> NameTaken:
    return NameTaken(what, f"exists on the store and does not carry our tag {CLUSTER_UID_LABEL}; untouched")
