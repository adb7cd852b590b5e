"""The RoleBindings and ClusterRoleBindings of one AccessPolicy.

The name says role and policy: a binding's role can never be changed, so another role is another binding. Inside the policy's own
namespace the garbage collector may follow the reference to it; elsewhere the mark alone says whose a binding is.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Subject, SubjectKind
from zilliz_operator.api.people import RBAC_GROUP, SsoNames

from .manifest import Manifest, manifest

FOR = names.PREFIX + "policy"
"""Annotation for people: the policy that a binding is for."""


def bindings(
    policy: AccessPolicy, subjects: Sequence[Subject], *, role: str, namespaces: Iterable[str], sso: SsoNames
) -> tuple[Manifest, ...]:
    """One RoleBinding a namespace; without namespaces one ClusterRoleBinding."""
    where = tuple(namespaces)
    if not where:
        return (_binding("ClusterRoleBinding", policy, subjects, role=role, namespace=None, sso=sso),)
    return tuple(_binding("RoleBinding", policy, subjects, role=role, namespace=each, sso=sso) for each in where)


def rbac_subject(subject: Subject, *, sso: SsoNames) -> dict[str, str]:
    """A subject as RBAC names it."""
    if subject.kind is SubjectKind.SERVICE_ACCOUNT:
        return {"kind": "ServiceAccount", "name": subject.name, "namespace": subject.namespace or ""}
    prefix = sso.groups_prefix if subject.kind is SubjectKind.GROUP else sso.user_prefix
    return {"apiGroup": RBAC_GROUP, "kind": str(subject.kind), "name": prefix + subject.name}


def _binding(
    kind: str, policy: AccessPolicy, subjects: Sequence[Subject], *, role: str, namespace: str | None, sso: SsoNames
) -> Manifest:
    metadata = policy.metadata
    labels = {
        names.MANAGED_BY: names.FIELD_MANAGER,
        "app.kubernetes.io/part-of": "zilliz-byoc",
        "app.kubernetes.io/component": "access",
        names.POLICY_UID_LABEL: metadata.uid,
    }
    made = manifest(
        kind,
        name=f"{role}-{sha256(metadata.uid.encode()).hexdigest()[:12]}",
        namespace=namespace,
        labels=labels,
        annotations={FOR: f"{metadata.namespace}/{metadata.name}"},
        roleRef={"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role},
        subjects=[rbac_subject(subject, sso=sso) for subject in subjects],
    )
    if namespace == metadata.namespace:
        owner = {"apiVersion": names.API_VERSION, "kind": "AccessPolicy", "name": metadata.name, "uid": metadata.uid}
        made["metadata"]["ownerReferences"] = [owner]
    return made
