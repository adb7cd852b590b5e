"""What an AccessPolicy gives in Kubernetes: which ClusterRole, in which namespaces, and to which of its subjects.

| role | level Cluster | level Project | level Organization |
| --- | --- | --- | --- |
| DataViewer, DataOperator | reads the project's objects of ours | the role, in the project | the role, in every project |
| DataAdmin | reads the project's objects of ours | the role, in the project | the role, in every project |
| ProjectAdmin | - | the role, in the project | the role, in every project |
| OrganizationOwner | - | - | the role, everywhere |

A project is a namespace that holds a ZillizCluster; the operator's own is none at level Organization, or else an administrator of
every project would administer the organization. Custom grants are about data and give nothing here.
"""

from collections.abc import Iterable
from datetime import datetime

from zilliz_operator.api.accesspolicy import AccessPolicy, Level, Role, Subject, SubjectKind
from zilliz_operator.api.people import CLUSTER_ROLES, READING, SYSTEM, SYSTEM_NAMESPACES
from zilliz_operator.policy.entitlements import ends

WITHOUT_DATA = (Role.ORGANIZATION_OWNER,)
"""Roles that read no data: owners give projects their people, and have no access of their own."""
IN_KUBERNETES = (SubjectKind.GROUP, SubjectKind.USER, SubjectKind.SERVICE_ACCOUNT)
"""Kinds of subjects that the Kubernetes API knows."""


def cluster_role(policy: AccessPolicy) -> str:
    """The ClusterRole that the policy's people get; empty: none."""
    if policy.spec.role is None:
        return ""
    return READING if policy.spec.level is Level.CLUSTER else CLUSTER_ROLES[policy.spec.role]


def everywhere(policy: AccessPolicy) -> bool:
    """Whether the role is given in the whole cluster, not in namespaces."""
    return policy.spec.level is Level.ORGANIZATION and policy.spec.role is Role.ORGANIZATION_OWNER


def namespaces(policy: AccessPolicy, *, projects: Iterable[str], operator_namespace: str) -> tuple[str, ...]:
    """Where the role is given; empty when it is given everywhere."""
    if everywhere(policy):
        return ()
    if policy.spec.level is not Level.ORGANIZATION:
        return (policy.metadata.namespace,)
    return tuple(sorted(set(projects) - {operator_namespace}))


def refusal(subject: Subject, *, operator_namespace: str) -> str:
    """Why a subject gets nothing, whatever admission let through; empty: it may."""
    if subject.kind is not SubjectKind.SERVICE_ACCOUNT:
        if subject.name.startswith(SYSTEM):
            return f"names that begin with {SYSTEM} are Kubernetes' own: name a user or group of your identity provider"
        return ""
    namespace = subject.namespace or ""
    if namespace == operator_namespace:
        return f"service accounts of namespace {operator_namespace} are the operator's: name one of a project"
    if namespace.startswith(SYSTEM_NAMESPACES):
        return f"service accounts of namespace {namespace} belong to Kubernetes or to a cluster: name one of a project"
    return ""


def bound(policy: AccessPolicy, *, operator_namespace: str, now: datetime) -> tuple[Subject, ...]:
    """The subjects that get the ClusterRole."""
    if not cluster_role(policy):
        return ()
    return tuple(
        subject
        for subject in policy.spec.subjects
        if subject.kind in IN_KUBERNETES
        and not ((end := ends(policy, subject)) and end <= now)
        and not refusal(subject, operator_namespace=operator_namespace)
    )
