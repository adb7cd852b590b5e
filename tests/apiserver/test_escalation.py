# ruff: noqa: E501 - a table reads best with a row a line
"""Attempts to gain rights by AccessPolicies or round them, each made for real by impersonation, each refused, and what is allowed beside.

People have the bindings that the operator makes of real policies, written as the operator: so its own rights are tried, too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import Answer, Api, path_of, until
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.api.people import CLUSTER_ROLES, RBAC_GROUP, SsoNames, rights
from zilliz_operator.desired.bindings import bindings
from zilliz_operator.policy import people

Manifest = dict[str, Any]

PROJECT, OTHER, CI = "escalation-a", "escalation-b", "escalation-ci"
OPERATOR = f"system:serviceaccount:{NAMESPACE}:zilliz-operator"
EVERYBODY = ("system:authenticated",)


@dataclass(frozen=True)
class Who:
    """Somebody as the API server sees them."""

    user: str
    groups: tuple[str, ...] = EVERYBODY


WHO = {
    "project admin": Who("oidc:project-admin"),
    "data admin": Who("oidc:anna", ("oidc:data-admins", *EVERYBODY)),
    "data operator": Who("oidc:data-operator"),
    "data viewer": Who("oidc:data-viewer"),
    "cluster admin of one": Who("oidc:one-cluster"),
    "pipeline": Who(f"system:serviceaccount:{CI}:deployer", (f"system:serviceaccounts:{CI}", *EVERYBODY)),
    "admin of every project": Who("oidc:every-project"),
    "owner": Who("oidc:owner"),
    "namespace admin": Who("namespace-admin"),
    "namespace editor": Who("namespace-editor"),
    "every right in the project": Who("everything"),
    "policy writer": Who("writer"),
    "grants viewers": Who("grants-viewers"),
    "admin of the operator's namespace": Who("system-namespace-admin"),
    "the name without its prefix": Who("project-admin"),
    "the group without its prefix": Who("stranger", ("data-admins", *EVERYBODY)),
    "operator": Who(OPERATOR, ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", *EVERYBODY)),
    "namespace controller": Who("system:serviceaccount:kube-system:namespace-controller"),
    "platform": Who("", ()),
}


def policy(
    name: str = "mine",
    role: str = "DataViewer",
    *,
    namespace: str = PROJECT,
    level: str = "Project",
    kind: str = "User",
    subject: str = "friend",
    **more: Any,
) -> Manifest:
    subjects = [{"kind": kind, "name": subject, **({"namespace": more.pop("account")} if "account" in more else {})}]
    spec: Manifest = {"level": level, "subjects": subjects, **more} | ({} if "grants" in more else {"role": role})
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": names.API_VERSION, "kind": "AccessPolicy", "metadata": metadata, "spec": spec}


def binding(
    role: str, *, namespace: str = PROJECT, labels: Manifest | None = None, subject: Manifest | None = None
) -> Manifest:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    metadata = {"name": "mine", "labels": labels or {}} | ({"namespace": namespace} if namespace else {})
    who = subject or {"apiGroup": RBAC_GROUP, "kind": "User", "name": "friend"}
    role_ref = {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": role}
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": role_ref,
        "subjects": [who],
    }


def role(*rules: Manifest, name: str = "mine", namespace: str = PROJECT) -> Manifest:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{RBAC_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": [*rules]}


def rule(resource: str, *verbs: str, group: str = names.GROUP, only: Sequence[str] = ()) -> Manifest:
    made: Manifest = {"apiGroups": [group], "resources": [resource], "verbs": [*verbs]}
    return made | ({"resourceNames": [*only]} if only else {})


STANDING = (
    ("project admin", policy("project-admins", "ProjectAdmin", subject="project-admin")),
    ("data admin", policy("data-admins", "DataAdmin", kind="Group", subject="data-admins")),
    ("data operator", policy("data-operators", "DataOperator", subject="data-operator")),
    ("data viewer", policy("data-viewers", "DataViewer", subject="data-viewer", requireMFA=True)),
    (
        "cluster admin of one",
        policy("one", "DataAdmin", level="Cluster", subject="one-cluster", clusters={"names": ["search"]}),
    ),
    ("pipeline", policy("ci", "DataAdmin", kind="ServiceAccount", subject="deployer", account=CI)),
    (
        "admin of every project",
        policy("every-project", "ProjectAdmin", namespace=NAMESPACE, level="Organization", subject="every-project"),
    ),
    ("owner", policy("owners", "OrganizationOwner", namespace=NAMESPACE, level="Organization", subject="owner")),
)
BY_LABEL = policy(
    "by-label", "DataAdmin", level="Cluster", subject="somebody", clusters={"selector": {"matchLabels": {"env": "dev"}}}
)


@pytest.fixture(scope="module")
def world(api: Api) -> Api:
    """Two projects and their people; policies are written by the platform team, their bindings by the operator."""
    for namespace in (PROJECT, OTHER, CI):
        api.namespace(namespace)
    for namespace in (PROJECT, OTHER):
        api.apply(samples.cluster("search", namespace=namespace, deletionProtection=False)).must()
    for _, manifest in STANDING:
        made = AccessPolicy.parse(api.apply(manifest).must())
        for each in bindings(
            made,
            made.spec.subjects,
            role=people.cluster_role(made),
            namespaces=people.namespaces(made, projects=(PROJECT, OTHER), operator_namespace=NAMESPACE),
            sso=SsoNames(),
        ):
            api.apply(each, user=OPERATOR).must()
    api.apply(BY_LABEL).must()
    for who, given, where in (
        ("namespace admin", "admin", PROJECT),
        ("namespace editor", "edit", PROJECT),
        ("every right in the project", "cluster-admin", PROJECT),
        ("admin of the operator's namespace", "admin", NAMESPACE),
    ):
        api.apply(samples.role_binding(WHO[who].user, role=given, namespace=where)).must()
    write = rule("accesspolicies", "get", "list", "create", "update", "patch", "delete")
    for who, rules in (
        ("policy writer", [write]),
        ("grants viewers", [write, rule("zillizroles", "grant", only=["DataViewer"])]),
    ):
        user = WHO[who].user
        api.apply(role(*rules, name=user)).must()
        bound = samples.role_binding(user, role=user, namespace=PROJECT)
        bound["roleRef"]["kind"] = "Role"
        api.apply(bound).must()
    in_force(api)
    return api


def in_force(api: Api) -> None:
    """Admission policies come into force some seconds after they were written."""
    writer, admin = WHO["policy writer"].user, WHO["namespace admin"].user
    until(lambda: api.get("AccessPolicy", namespace=PROJECT, user=writer).ok, what="the writer has its role")
    until(lambda: api.get("ZillizCluster", namespace=PROJECT, user=admin).ok, what="admin has taken our rights in")
    until(
        lambda: "may not grant" in api.create(policy("probe"), dry_run=True, user=writer).message,
        what="grants are asked for",
        seconds=90,
    )
    until(
        lambda: "selects clusters" in relabel(api, WHO["data admin"], {"env": "dev"}).message,
        what="labels are kept",
        seconds=90,
    )
    until(
        lambda: (
            "whom the door"
            in change("ZillizCluster", "search", spec(exposure="LoadBalancer"))(api, WHO["data admin"]).message
        ),
        what="doors are kept",
        seconds=90,
    )
    until(
        lambda: api.create(binding("zilliz-data-viewer"), dry_run=True, user=OPERATOR).status == 403,
        what="the operator is confined to marked bindings",
        seconds=90,
    )


# ---- what is tried ------------------------------------------------------------------------------------------------------------

Try = Callable[[Api, Who], Answer]


def create(manifest: Manifest) -> Try:
    return lambda api, who: api.create(manifest, user=who.user, groups=who.groups)


def rehearse(manifest: Manifest) -> Try:
    return lambda api, who: api.create(manifest, dry_run=True, user=who.user, groups=who.groups)


def change(kind: str, name: str, patch: Manifest, *, namespace: str = PROJECT) -> Try:
    return lambda api, who: api.merge(kind, name, patch, namespace=namespace, user=who.user, groups=who.groups)


def remove(kind: str, name: str, *, namespace: str = PROJECT) -> Try:
    return lambda api, who: api.delete(kind, name, namespace=namespace, user=who.user, groups=who.groups)


def call(method: str, path: str, body: Manifest | None = None) -> Try:
    return lambda api, who: api.request(method, path, body=body, user=who.user, groups=who.groups)


def status(kind: str, name: str, body: Manifest) -> Try:
    path = f"{path_of(kind, name, namespace=PROJECT)}/status"
    content = "application/merge-patch+json"
    return lambda api, who: api.request("PATCH", path, body=body, content=content, user=who.user, groups=who.groups)


def relabel(api: Api, who: Who, labels: Manifest, *, dry_run: bool = True) -> Answer:
    path = path_of("ZillizCluster", "search", namespace=PROJECT)
    query = {"dryRun": "All"} if dry_run else {}
    body = {"metadata": {"labels": labels}}
    content = "application/merge-patch+json"
    return api.request("PATCH", path, body=body, content=content, query=query, user=who.user, groups=who.groups)


def spec(**fields: Any) -> Manifest:
    return {"spec": fields}


MARK = {names.MANAGED_BY: names.FIELD_MANAGER, names.POLICY_UID_LABEL: "forged"}
MASTERS = {"apiGroup": RBAC_GROUP, "kind": "Group", "name": "system:masters"}
SYSTEM_ACCOUNT = {"kind": "ServiceAccount", "name": "namespace-controller", "namespace": "kube-system"}
ORGANIZATION = policy("org", "OrganizationOwner", namespace=NAMESPACE, level="Organization")
GRANTS = [{"database": "default", "collection": "docs", "privileges": ["Search"]}]
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "mine", "namespace": PROJECT, "labels": MARK},
    "stringData": {"token": "chosen-by-me"},
}
TOKEN = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/zilliz-operator/token"
CLUSTER_ROLE = f"/apis/{RBAC_GROUP}/v1/clusterroles/zilliz-project-admin"
ADDED = {"subjects": [{"kind": "User", "name": "me"}]}
GRANT_RULE = "nobody gives more than they hold"
LABELS_RULE = "are set by the operator only"

REFUSED: tuple[tuple[str, str, Try, str], ...] = (
    # more than the project
    ("project admin", "an organization policy at home", create(policy(level="Organization", role="OrganizationOwner")), "Organization"),
    ("project admin", "an organization policy where they belong", create(ORGANIZATION), "accesspolicies"),
    ("project admin", "owner at level Project", create(policy(role="OrganizationOwner")), "needs level Organization"),
    ("project admin", "a policy in another project", create(policy(namespace=OTHER)), OTHER),
    ("project admin", "the same as a rehearsal", rehearse(policy(namespace=OTHER)), OTHER),
    ("project admin", "another project's policy changed", change("AccessPolicy", "every-project", spec(role="OrganizationOwner"), namespace=NAMESPACE), "accesspolicies"),
    ("project admin", "another project's cluster", change("ZillizCluster", "search", spec(deletionProtection=True), namespace=OTHER), OTHER),
    ("admin of every project", "an organization policy", create(ORGANIZATION), "accesspolicies"),
    ("admin of every project", "the owners' policy deleted", remove("AccessPolicy", "owners", namespace=NAMESPACE), "accesspolicies"),
    ("admin of every project", "a policy in the operator's namespace", create(policy(namespace=NAMESPACE)), NAMESPACE),
    ("every right in the project", "an organization policy at home", create(policy(level="Organization", role="DataViewer")), "403"),
    ("every right in the project", "a ClusterRoleBinding", create(binding("zilliz-organization-owner", namespace="")), "clusterrolebindings"),
    # names that are not the identity provider's
    ("project admin", "Kubernetes' administrators", create(policy(kind="Group", subject="system:masters")), "are Kubernetes' own"),
    ("project admin", "a user of Kubernetes", create(policy(subject="system:kube-controller-manager")), "are Kubernetes' own"),
    ("project admin", "the operator's account", create(policy(kind="ServiceAccount", subject="zilliz-operator", account=NAMESPACE)), "are the operator's"),
    ("project admin", "an account of Kubernetes", create(policy(kind="ServiceAccount", subject="default", account="kube-system")), "belong to Kubernetes"),
    ("project admin", "an account of a cluster", create(policy(kind="ServiceAccount", subject="milvus", account="milvus-in01-00000000beef")), "belong to Kubernetes"),
    ("the name without its prefix", "being the project admin", create(policy()), "accesspolicies"),
    ("the group without its prefix", "being a data admin", change("ZillizCluster", "search", spec(deletionProtection=True)), "zillizclusters"),
    # who holds less
    ("data admin", "a policy", create(policy()), "accesspolicies"),
    ("data admin", "itself into a policy", change("AccessPolicy", "project-admins", spec(**ADDED)), "accesspolicies"),
    ("data admin", "a new cluster", create(samples.cluster("mine", namespace=PROJECT)), "zillizclusters"),
    ("data admin", "an allowlist", create(samples.allowlist("mine", namespace=PROJECT)), "allowlists"),
    ("data operator", "the cluster deleted", remove("ZillizCluster", "search"), "zillizclusters"),
    ("data viewer", "the cluster changed", change("ZillizCluster", "search", spec(deletionProtection=True)), "zillizclusters"),
    ("cluster admin of one", "even its own cluster", change("ZillizCluster", "search", spec(deletionProtection=True)), "zillizclusters"),
    ("pipeline", "a policy for itself", create(policy(kind="ServiceAccount", subject="deployer", account=CI, role="ProjectAdmin")), "accesspolicies"),
    ("pipeline", "its own project, which it was not given", create(samples.cluster("mine", namespace=CI)), CI),
    ("namespace editor", "a policy", create(policy()), "accesspolicies"),
    ("policy writer", "a viewer", create(policy()), GRANT_RULE),
    ("policy writer", "grants of its own choice", create(policy(grants=GRANTS)), "may not grant Custom"),
    ("policy writer", "itself into a policy", change("AccessPolicy", "data-viewers", spec(**ADDED)), GRANT_RULE),
    ("policy writer", "another role into a policy", change("AccessPolicy", "data-viewers", spec(role="ProjectAdmin")), GRANT_RULE),
    ("policy writer", "a later end", change("AccessPolicy", "data-viewers", spec(expiresAt="2099-01-01T00:00:00Z")), GRANT_RULE),
    ("policy writer", "no second factor any more", change("AccessPolicy", "data-viewers", spec(requireMFA=False)), GRANT_RULE),
    ("policy writer", "a key for itself", create(policy(kind="ApiKey", subject="mine") | spec(level="Project", role="DataAdmin", subjects=[{"kind": "ApiKey", "name": "mine", "secretName": "mine"}])), GRANT_RULE),
    ("grants viewers", "a project admin", create(policy(role="ProjectAdmin")), "may not grant ProjectAdmin"),
    ("grants viewers", "a viewer made an admin", change("AccessPolicy", "data-viewers", spec(role="DataAdmin")), "may not grant DataAdmin"),
    # the organization
    ("admin of the operator's namespace", "an owner", create(ORGANIZATION), "at level Organization"),
    ("admin of the operator's namespace", "a viewer of every project", create(policy("org", namespace=NAMESPACE, level="Organization")), "at level Organization"),
    ("admin of the operator's namespace", "the owners' policy deleted", remove("AccessPolicy", "owners", namespace=NAMESPACE), GRANT_RULE),
    ("admin of the operator's namespace", "a project policy widened", change("AccessPolicy", "every-project", spec(role="DataViewer"), namespace=NAMESPACE), GRANT_RULE),
    ("admin of the operator's namespace", "the owners' policy owned by what is deleted next", change("AccessPolicy", "owners", {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}}, namespace=NAMESPACE), GRANT_RULE),
    ("owner", "a project's cluster", change("ZillizCluster", "search", spec(deletionProtection=True)), "zillizclusters"),
    ("owner", "a project's Secrets", call("GET", f"/api/v1/namespaces/{PROJECT}/secrets"), "secrets"),
    ("owner", "a data plane", create(samples.data_plane("mine")), "dataplanes"),
    ("owner", "a cluster's namespace", create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "milvus-in01-0000000000aa"}}), "are made by the operator"),
    ("owner", "a binding", create(binding("zilliz-data-admin")), "rolebindings"),
    # round the policies
    ("data admin", "a label that a policy selects by", lambda api, who: relabel(api, who, {"env": "dev"}, dry_run=False), "AccessPolicy by-label"),
    ("namespace editor", "the same", lambda api, who: relabel(api, who, {"env": "dev", "team": "x"}, dry_run=False), "AccessPolicy by-label"),
    ("data admin", "a door to other accounts", change("ZillizCluster", "search", spec(exposure="PrivateLink", privateLink={"allowedPrincipals": ["arn:aws:iam::111122223333:root"]})), "say whom the door is open to"),
    ("data admin", "a door to the network", change("ZillizCluster", "search", spec(exposure="LoadBalancer")), "say whom the door is open to"),
    ("data admin", "weaker TLS", change("ZillizCluster", "search", spec(tls={"dnsNames": ["mine.example.com"]})), "say whom the door is open to"),
    ("project admin", "Secrets", call("GET", f"/api/v1/namespaces/{PROJECT}/secrets"), "secrets"),
    ("project admin", "a binding of its own role", create(binding("zilliz-project-admin")), "rolebindings"),
    ("project admin", "its own role widened", call("PUT", CLUSTER_ROLE, {"metadata": {"name": "zilliz-project-admin"}, "rules": []}), "clusterroles"),
    ("project admin", "all policies at once", call("DELETE", path_of("AccessPolicy", namespace=PROJECT)), "deletecollection"),
    ("project admin", "a status", status("AccessPolicy", "mine", {"status": {}}), "accesspolicies/status"),
    ("project admin", "a record of a recycled cluster", change("RecycledCluster", "x", spec(retentionDays=3650)), "recycledclusters"),
    ("every right in the project", "a status", status("AccessPolicy", "data-viewers", {"status": {"observedGeneration": 99}}), "written by it alone"),
    ("namespace admin", "an owner's binding", create(binding("zilliz-organization-owner")), "attempting to grant RBAC permissions"),
    ("namespace admin", "every right", create(binding("cluster-admin")), "attempting to grant RBAC permissions"),
    ("namespace admin", "a binding with our mark", create(binding("zilliz-data-viewer", labels=MARK)), LABELS_RULE),
    ("namespace admin", "the mark off a binding, to outlive its policy", lambda api, who: unmark(api, who), LABELS_RULE),
    ("namespace admin", "a Secret with our mark and a key of its choice", create(SECRET), LABELS_RULE),
    ("namespace admin", "a policy with our mark", create(policy() | {"metadata": {"name": "mine", "namespace": PROJECT, "labels": MARK}}), LABELS_RULE),
    ("namespace admin", "a role that may grant owners", create(role(rule("zillizroles", "grant", only=["OrganizationOwner"]))), "attempting to grant RBAC permissions"),
    ("namespace admin", "a role that may bind", create(role(rule("clusterroles", "bind", group=RBAC_GROUP))), "attempting to grant RBAC permissions"),
    ("namespace admin", "a role that may impersonate", create(role(rule("users", "impersonate", group=""))), "attempting to grant RBAC permissions"),
    ("namespace admin", "the operator's token", call("POST", TOKEN, {"spec": {}}), "serviceaccounts/token"),
    ("owner", "the operator's token", call("POST", TOKEN, {"spec": {}}), "serviceaccounts/token"),
    # a stolen token of the operator
    ("operator", "another role", create(binding("cluster-admin", labels=MARK)), "attempting to grant RBAC permissions"),
    ("operator", "its own role", create(binding("zilliz-operator", labels=MARK)), "and no other role"),
    ("operator", "an owner in one namespace", create(binding("zilliz-organization-owner", labels=MARK)), "and no other role"),
    ("operator", "a project admin everywhere", create(binding("zilliz-project-admin", namespace="", labels=MARK)), "and no other role"),
    ("operator", "a binding without its mark", create(binding("zilliz-data-viewer")), "carry the mark"),
    ("operator", "Kubernetes' administrators", create(binding("zilliz-data-viewer", labels=MARK, subject=MASTERS)), "binds nothing to accounts of Kubernetes"),
    ("operator", "an account of Kubernetes", create(binding("zilliz-data-viewer", labels=MARK, subject=SYSTEM_ACCOUNT)), "binds nothing to accounts of Kubernetes"),
    ("operator", "somebody else's binding", remove("RoleBinding", "namespace-admin"), "carry the mark"),
    ("operator", "somebody else's binding adopted", change("RoleBinding", "namespace-admin", {"metadata": {"labels": MARK}}), "attempting to grant RBAC permissions"),
    ("operator", "a policy rewritten", change("AccessPolicy", "data-viewers", spec(role="ProjectAdmin")), GRANT_RULE),
    ("operator", "an owners' policy rewritten", change("AccessPolicy", "owners", spec(**ADDED), namespace=NAMESPACE), GRANT_RULE),
    ("operator", "a role", create(role(rule("secrets", "get", group=""))), "roles"),
    ("operator", "a role widened", call("PUT", CLUSTER_ROLE, {"metadata": {"name": "zilliz-project-admin"}, "rules": []}), "clusterroles"),
)  # fmt: skip


def unmark(api: Api, who: Who) -> Answer:
    found = api.get("RoleBinding", namespace=PROJECT).must()["items"]
    ours = next(
        each["metadata"]["name"] for each in found if names.POLICY_UID_LABEL in each["metadata"].get("labels", {})
    )
    return change("RoleBinding", ours, {"metadata": {"labels": {names.POLICY_UID_LABEL: None}}})(api, who)


@pytest.mark.parametrize(("who", "what", "attempt", "says"), REFUSED, ids=[f"{row[0]}-{row[1]}" for row in REFUSED])
def test_refused(world: Api, who: str, what: str, attempt: Try, says: str) -> None:
    answer = attempt(world, WHO[who])
    assert answer.status in (403, 422), f"{who}: {what}: {answer.status} {answer.message}"
    assert says in f"{answer.status} {answer.message}"


ALLOWED: tuple[tuple[str, str, Try], ...] = (
    *(("project admin", f"a policy of role {each}", rehearse(policy(role=each))) for each in CLUSTER_ROLES if each != "OrganizationOwner"),
    ("project admin", "grants of its own choice", rehearse(policy(grants=GRANTS))),
    ("project admin", "an account of another project", rehearse(policy(kind="ServiceAccount", subject="deployer", account=CI))),
    ("project admin", "a cluster", rehearse(samples.cluster("mine", namespace=PROJECT))),
    ("project admin", "a label that a policy selects by", lambda api, who: relabel(api, who, {"env": "dev"})),
    ("project admin", "its policy changed", change("AccessPolicy", "data-viewers", spec(role="DataViewer", expiresAt=None))),
    ("namespace admin", "a policy", rehearse(policy(role="ProjectAdmin"))),
    ("grants viewers", "a viewer", rehearse(policy())),
    ("policy writer", "a note on a policy", change("AccessPolicy", "data-viewers", {"metadata": {"annotations": {"note": "x"}}})),
    ("data admin", "its cluster", change("ZillizCluster", "search", spec(deletionProtection=False))),
    ("data admin", "a bigger cluster", change("ZillizCluster", "search", spec(size={"cuSize": 2}))),
    ("namespace editor", "a door to the network and back", change("ZillizCluster", "search", spec(exposure="Internal", tls={"dnsNames": []}))),
    ("data admin", "a label that no policy selects by", lambda api, who: relabel(api, who, {"cost-centre": "7"})),
    ("namespace editor", "the same", lambda api, who: relabel(api, who, {"cost-centre": "7"})),
    ("data viewer", "reading", lambda api, who: api.get("ZillizCluster", namespace=PROJECT, user=who.user, groups=who.groups)),
    ("cluster admin of one", "reading", lambda api, who: api.get("AccessPolicy", namespace=PROJECT, user=who.user, groups=who.groups)),
    ("pipeline", "the cluster that it was given", change("ZillizCluster", "search", spec(deletionProtection=False))),
    ("admin of every project", "a policy in the other project", rehearse(policy(role="ProjectAdmin", namespace=OTHER))),
    ("owner", "an organization policy", rehearse(ORGANIZATION)),
    ("owner", "a viewer of every project", rehearse(policy("org", namespace=NAMESPACE, level="Organization"))),
    ("owner", "a project's first administrator", rehearse(policy(role="ProjectAdmin", namespace=OTHER))),
    ("owner", "a project", rehearse({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "escalation-new"}})),
    ("owner", "every project seen", lambda api, who: api.get("ZillizCluster", user=who.user, groups=who.groups)),
    ("platform", "an organization policy", rehearse(ORGANIZATION)),
    *(("operator", f"{each} bound", rehearse(binding(each, labels=MARK, namespace="" if each == "zilliz-organization-owner" else PROJECT))) for each in CLUSTER_ROLES.values()),
    ("operator", "a note on the owners' policy", change("AccessPolicy", "owners", {"metadata": {"annotations": {"note": "x"}}}, namespace=NAMESPACE)),
    ("namespace controller", "an organization policy of a namespace that ends", lambda api, who: api.delete("AccessPolicy", "owners", namespace=NAMESPACE, dry_run=True, user=who.user)),
)  # fmt: skip


@pytest.mark.parametrize(("who", "what", "attempt"), ALLOWED, ids=[f"{row[0]}-{row[1]}" for row in ALLOWED])
def test_allowed(world: Api, who: str, what: str, attempt: Try) -> None:
    attempt(world, WHO[who]).must()


def test_nobody_of_ours_may_become_somebody_else(world: Api) -> None:
    """Impersonation cannot be tried by the impersonated: the API server is asked."""
    gained = []
    for who in ("project admin", "admin of every project", "owner", "operator", "namespace editor"):
        for verb, group, resource in (
            ("impersonate", "", "users"),
            ("impersonate", "", "groups"),
            ("impersonate", "authentication.k8s.io", "userextras/byoc.zilliz.com/mfa"),
            ("escalate", RBAC_GROUP, "clusterroles"),
            ("bind", RBAC_GROUP, "clusterroles"),
            ("create", "certificates.k8s.io", "certificatesigningrequests"),
        ):
            plural, _, subresource = resource.partition("/")
            attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": attributes},
            }
            path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
            answer = world.request("POST", path, body=review, user=WHO[who].user, groups=WHO[who].groups)
            if answer.must()["status"]["allowed"]:
                gained.append(f"{who}: {verb} {resource}")
    assert gained == []


def test_nothing_that_was_tried_is_there(world: Api) -> None:
    found = [
        f"{kind} {namespace}"
        for kind in ("AccessPolicy", "RoleBinding", "Role", "Secret", "ZillizCluster", "Allowlist")
        for namespace in (PROJECT, OTHER, CI)
        if world.get(kind, "mine", namespace=namespace).ok
    ]
    assert found == []
    labels = world.get("ZillizCluster", "search", namespace=PROJECT).must()["metadata"].get("labels", {})
    assert "env" not in labels


# ---- kinds and verbs, role by role --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["data viewer", "data operator", "data admin", "project admin", "owner"])
def test_each_role_may_exactly_what_its_page_says(world: Api, who: str) -> None:
    held = rights("OrganizationOwner" if who == "owner" else who.title().replace(" ", ""))
    expected = {(kind, verb): verb in verbs for kind, verbs in held.items() for verb in VERBS}
    if who != "owner":  # a data plane is in no project
        expected |= {("dataplanes", verb): False for verb in VERBS}
    assert {key: _may(world, WHO[who], *key) for key in expected} == expected


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def _may(api: Api, who: Who, kind: str, verb: str) -> bool:
    attributes = {
        "verb": verb,
        "group": names.GROUP,
        "resource": kind,
        "namespace": "" if kind == "dataplanes" else PROJECT,
    }
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    review = partial(api.request, "POST", path, user=who.user, groups=who.groups)
    return bool(review(body=body | {"spec": {"resourceAttributes": attributes}}).must()["status"]["allowed"])
