"""What a tenant gains in a cluster's namespace, in the operator's, or at a neighbour's: nothing. Asked of the API server, then tried.

Every subject below is impersonated. The tables say what each may do; whatever a table does not say is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from http.client import HTTPSConnection
from typing import Any

import pytest

from tests.apiserver import samples
from tests.apiserver.client import MERGE, Answer, Api, until
from tools.generate_manifests import NAMESPACE
from zilliz_operator.api.names import CLUSTER_UID_LABEL

CLUSTER = "milvus-in01-00000000beef"
PROJECT, NEIGHBOUR = "tenants-a", "tenants-b"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


# ---- who ----------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """Somebody, and the ClusterRole that a RoleBinding gives them in a project."""

    user: str
    role: str = ""
    project: str = PROJECT


TENANTS = {
    "project admin": Subject("tenant-admin", "admin"),
    "project editor": Subject("tenant-editor", "edit"),
    "project viewer": Subject("tenant-viewer", "view"),
    "zilliz-admin of the project": Subject("tenant-zilliz-admin", "zilliz-admin"),
    "every right in the project": Subject("tenant-everything", "cluster-admin"),
    "admin of another project": Subject("neighbour-admin", "admin", NEIGHBOUR),
    "anybody who is logged in": Subject("nobody-in-particular"),
    "a pod of the project": Subject(f"system:serviceaccount:{PROJECT}:default"),
    "the gateway's account": Subject(f"system:serviceaccount:{CLUSTER}:gateway"),
    "Milvus' account": Subject(f"system:serviceaccount:{CLUSTER}:milvus"),
    "the namespace's default account": Subject(f"system:serviceaccount:{CLUSTER}:default"),
    "nobody at all": Subject("system:anonymous"),
}
OPERATOR = f"system:serviceaccount:{NAMESPACE}:zilliz-operator"

# ---- what the operator may do where clusters live; a tenant may do nothing in any row ------------------------------------------

TABLE = """
namespaces                                     get list watch create patch delete
pods                                           get list watch patch
pods/exec                                      -
pods/attach                                    -
pods/log                                       -
pods/portforward                               -
pods/proxy                                     -
pods/eviction                                  -
pods/ephemeralcontainers                       -
secrets                                        get list watch create patch delete
configmaps                                     get list watch create patch delete
services                                       get list watch create patch delete
services/proxy                                 -
serviceaccounts                                get list watch create patch delete
serviceaccounts/token                          -
persistentvolumeclaims                         get list watch patch
resourcequotas                                 get list watch create patch delete
limitranges                                    get list watch create patch delete
events                                         -
endpoints                                      -
events.events.k8s.io                           create patch
statefulsets.apps                              get list watch create patch delete
statefulsets/scale.apps                        -
deployments.apps                               get list watch create patch delete
deployments/scale.apps                         -
daemonsets.apps                                -
jobs.batch                                     -
networkpolicies.networking.k8s.io              get list watch create patch delete
poddisruptionbudgets.policy                    get list watch create patch delete
roles.rbac.authorization.k8s.io                -
rolebindings.rbac.authorization.k8s.io         get list watch create patch delete
clusterroles.rbac.authorization.k8s.io         -
certificates.cert-manager.io                   get list watch create patch delete
issuers.cert-manager.io                        get list watch create patch delete
certificaterequests.cert-manager.io            -
milvuses.milvus.io                             -
leases.coordination.k8s.io                     -
zillizclusters.byoc.zilliz.com                 get list watch patch
zillizclusters/status.byoc.zilliz.com          get update patch
recycledclusters.byoc.zilliz.com               get list watch create patch delete
accesspolicies.byoc.zilliz.com                 get list watch patch
allowlists.byoc.zilliz.com                     get list watch patch
"""


@dataclass(frozen=True)
class Row:
    resource: str
    subresource: str
    group: str
    verbs: frozenset[str]

    def __str__(self) -> str:
        whole = f"{self.resource}/{self.subresource}" if self.subresource else self.resource
        return f"{whole}.{self.group}" if self.group else whole


def row(line: str) -> Row:
    what, *verbs = line.split()
    name, _, group = what.partition(".")
    resource, _, subresource = name.partition("/")
    return Row(resource, subresource, group, frozenset(verbs) - {"-"})


ROWS = [row(line) for line in TABLE.strip().splitlines()]


@pytest.fixture(scope="module")
def tenants(api: Api) -> Api:
    """Two projects with their people, and a cluster's namespace with something of each kind in it."""
    for project in (PROJECT, NEIGHBOUR):
        api.namespace(project)
        api.apply(samples.cluster("search", namespace=project, deletionProtection=False)).must()
    for subject in TENANTS.values():
        if subject.role:
            api.apply(samples.role_binding(subject.user, role=subject.role, namespace=subject.project)).must()
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CLUSTER}}, user=OPERATOR).must()
    for manifest in inside():
        api.apply(manifest, user=OPERATOR).must()
    admin = TENANTS["project admin"].user
    until(lambda: api.get("ZillizCluster", namespace=PROJECT, user=admin).ok, what="admin has taken our rights in")
    return api


def inside() -> Iterator[dict[str, Any]]:
    """What real requests below aim at: it must exist, for what does not exist is easily refused."""

    def made(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
        return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": CLUSTER}, **rest}

    labels = {"app": "x"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    workload = {"selector": {"matchLabels": labels}, "template": pod, "replicas": 0}
    yield made("v1", "Secret", "milvus-root", stringData={"password": "not-for-you"})
    yield made("v1", "ConfigMap", "milvus-config", data={"a": "b"})
    yield made("v1", "ServiceAccount", "milvus")
    yield made("v1", "Service", "milvus", spec={"ports": [{"port": 19530}], "selector": labels})
    yield made("v1", "ResourceQuota", "cluster", spec={"hard": {"pods": "10"}})
    yield made("v1", "LimitRange", "cluster", spec={"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]})
    yield made("apps/v1", "StatefulSet", "milvus", spec={**workload, "serviceName": "milvus"})
    yield made("apps/v1", "Deployment", "gateway", spec=workload)
    yield made("networking.k8s.io/v1", "NetworkPolicy", "default-deny", spec={"podSelector": {}})


@pytest.fixture(scope="module")
def kept(tenants: Api) -> Iterator[HTTPSConnection]:
    connection = tenants.connect()
    yield connection
    connection.close()


def may(api: Api, over: HTTPSConnection, user: str, verb: str, what: Row, *, namespace: str, name: str = "") -> bool:
    """The API server's own judgement, as that user asks it of itself. Whoever may not even ask may nothing."""
    attributes = {"verb": verb, "group": what.group, "resource": what.resource, "subresource": what.subresource}
    attributes |= {"namespace": namespace, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answer = api.request("POST", path, body=review, user=user, over=over)
    if user == "system:anonymous":
        return answer.ok and bool(answer.body["status"]["allowed"])
    return bool(answer.must()["status"]["allowed"])


@pytest.mark.parametrize("who", TENANTS)
@pytest.mark.parametrize("namespace", [CLUSTER, NAMESPACE])
def test_a_tenant_may_nothing_where_clusters_or_the_operator_live(
    tenants: Api, kept: HTTPSConnection, who: str, namespace: str
) -> None:
    user = TENANTS[who].user
    gained = [
        f"{verb} {each}" for each in ROWS for verb in VERBS if may(tenants, kept, user, verb, each, namespace=namespace)
    ]
    assert gained == []


@pytest.mark.parametrize("who", TENANTS)
def test_a_tenant_may_nothing_at_a_neighbours(tenants: Api, kept: HTTPSConnection, who: str) -> None:
    subject = TENANTS[who]
    other = PROJECT if subject.project == NEIGHBOUR else NEIGHBOUR
    gained = [
        f"{verb} {each}"
        for each in ROWS
        for verb in VERBS
        if may(tenants, kept, subject.user, verb, each, namespace=other)
    ]
    assert gained == []


def test_the_operator_may_exactly_what_the_table_says(tenants: Api, kept: HTTPSConnection) -> None:
    seen = {
        str(each): {verb for verb in VERBS if may(tenants, kept, OPERATOR, verb, each, namespace=CLUSTER)}
        for each in ROWS
    }
    assert seen == {str(each): set(each.verbs) for each in ROWS}


def test_its_lease_is_the_only_one_that_it_may_change(tenants: Api, kept: HTTPSConnection) -> None:
    lease = row("leases.coordination.k8s.io")

    def verbs(namespace: str, name: str) -> set[str]:
        return {v for v in VERBS if may(tenants, kept, OPERATOR, v, lease, namespace=namespace, name=name)}

    assert verbs(NAMESPACE, "zilliz-operator") == {"get", "update", "create"}
    assert verbs(NAMESPACE, "another") == {"create"}
    assert verbs("kube-system", "kube-scheduler") == set()


OWN = """
project admin                  create zillizclusters.byoc.zilliz.com    yes
project admin                  create accesspolicies.byoc.zilliz.com    yes
project admin                  get secrets                              yes
project admin                  create pods/exec                         yes
project admin                  update zillizclusters/status.byoc.zilliz.com  no
project admin                  create recycledclusters.byoc.zilliz.com  no
project editor                 create zillizclusters.byoc.zilliz.com    yes
project editor                 create accesspolicies.byoc.zilliz.com    no
project editor                 patch zillizclusters/status.byoc.zilliz.com   no
project viewer                 get zillizclusters.byoc.zilliz.com       yes
project viewer                 create zillizclusters.byoc.zilliz.com    no
project viewer                 get secrets                              no
zilliz-admin of the project    create accesspolicies.byoc.zilliz.com    yes
zilliz-admin of the project    update recycledclusters.byoc.zilliz.com  yes
zilliz-admin of the project    get secrets                              no
every right in the project     update zillizclusters/status.byoc.zilliz.com  yes
"""


@pytest.mark.parametrize("line", OWN.strip().splitlines(), ids=lambda line: " ".join(line.split()))
def test_at_home_the_same_subjects_may_what_their_role_says(tenants: Api, kept: HTTPSConnection, line: str) -> None:
    """So the refusals above are no accident of impersonation."""
    *who, verb, what, expected = line.split()
    user = TENANTS[" ".join(who)].user
    assert may(tenants, kept, user, verb, row(what), namespace=PROJECT) is (expected == "yes")


# ---- real requests ------------------------------------------------------------------------------------------------------------

HOME = f"/api/v1/namespaces/{CLUSTER}"
APPS = f"/apis/apps/v1/namespaces/{CLUSTER}"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/{CLUSTER}"
RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{CLUSTER}"
OURS = "/apis/byoc.zilliz.com/v1alpha1"

REQUESTS = f"""
GET     {HOME}
PATCH   {HOME}
PATCH   {HOME}/status
DELETE  {HOME}
GET     {HOME}/secrets
GET     {HOME}/secrets/milvus-root
PATCH   {HOME}/secrets/milvus-root
DELETE  {HOME}/secrets/milvus-root
DELETE  {HOME}/secrets
GET     {HOME}/configmaps/milvus-config
PATCH   {HOME}/configmaps/milvus-config
GET     {HOME}/pods
POST    {HOME}/pods
GET     {HOME}/pods/milvus-0/log
POST    {HOME}/pods/milvus-0/exec?command=sh&stdout=true
POST    {HOME}/pods/milvus-0/portforward?ports=9091
GET     {HOME}/pods/milvus-0/proxy/metrics
DELETE  {HOME}/pods/milvus-0
PATCH   {HOME}/services/milvus
GET     {HOME}/services/milvus:9091/proxy/metrics
POST    {HOME}/serviceaccounts/milvus/token
POST    {HOME}/serviceaccounts
PATCH   {HOME}/resourcequotas/cluster
DELETE  {HOME}/resourcequotas/cluster
DELETE  {HOME}/limitranges/cluster
GET     {HOME}/events
PATCH   {APPS}/statefulsets/milvus
DELETE  {APPS}/statefulsets/milvus
PATCH   {APPS}/deployments/gateway
PATCH   {APPS}/deployments/gateway/scale
PATCH   {POLICIES}/networkpolicies/default-deny
POST    {POLICIES}/networkpolicies
DELETE  {POLICIES}/networkpolicies
POST    {RBAC}/rolebindings
POST    {RBAC}/roles
GET     /api/v1/namespaces/{NAMESPACE}/secrets
PATCH   /apis/apps/v1/namespaces/{NAMESPACE}/deployments/zilliz-operator
GET     /apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/zilliz-operator
POST    /api/v1/namespaces/{NAMESPACE}/serviceaccounts/zilliz-operator/token
GET     {OURS}/dataplanes
POST    {OURS}/dataplanes
PATCH   {OURS}/dataplanes/default
GET     {OURS}/zillizclusters
GET     /api/v1/secrets
POST    /api/v1/namespaces
"""


@pytest.mark.parametrize("who", TENANTS)
def test_and_when_they_try_they_are_refused(tenants: Api, kept: HTTPSConnection, who: str) -> None:
    done = {}
    for line in REQUESTS.strip().splitlines():
        method, target = line.split()
        answer = trial(tenants, kept, method, target, user=TENANTS[who].user)
        if answer.status != 403:
            done[line] = f"{answer.status} {answer.message}"
    assert done == {}
    for manifest in inside():
        tenants.get(manifest["kind"], manifest["metadata"]["name"], namespace=CLUSTER).must()


def trial(api: Api, over: HTTPSConnection, method: str, target: str, *, user: str) -> Answer:
    """Never dry: what it would do must be refused, not only announced to be."""
    path, _, query = target.partition("?")
    parameters = dict(pair.split("=") for pair in query.split("&") if pair)
    body = None if method in ("GET", "DELETE") else {"metadata": {"labels": {"stolen": "yes"}}}
    content = MERGE if method == "PATCH" else "application/json"
    return api.request(method, path, body=body, content=content, query=parameters, user=user, over=over)


@pytest.mark.parametrize("kind", ["ZillizCluster", "AccessPolicy", "Allowlist", "RecycledCluster", "Secret"])
@pytest.mark.parametrize("who", ["project admin", "every right in the project"])
def test_nor_do_they_read_or_change_a_neighbours_objects(tenants: Api, who: str, kind: str) -> None:
    user = TENANTS[who].user
    assert tenants.get(kind, namespace=NEIGHBOUR, user=user).status == 403
    assert tenants.get(kind, "search", namespace=NEIGHBOUR, user=user).status == 403
    assert tenants.merge(kind, "search", {"spec": {}}, namespace=NEIGHBOUR, user=user).status == 403
    assert tenants.delete(kind, "search", namespace=NEIGHBOUR, user=user).status == 403


# ---- stealing by name ---------------------------------------------------------------------------------------------------------


@cache
def recycled(project: str) -> dict[str, Any]:
    """The record of somebody else's deleted cluster."""
    spec = {
        "clusterId": "in01-0123456789ab",
        "clusterUid": "5f0e",
        "clusterName": "search",
        "project": NEIGHBOUR,
        "dataPlane": "default",
        "namespace": "milvus-in01-0123456789ab",
        "bucket": "in01-0123456789ab-data",
        "credentialsSecret": "credentials-in01-0123456789ab",
        "recycledAt": "2026-11-24T10:00:00Z",
        "expiresAt": "2026-12-24T10:00:00Z",
        "retentionDays": 30,
    }
    return {
        "apiVersion": "byoc.zilliz.com/v1alpha1",
        "kind": "RecycledCluster",
        "metadata": {"name": "stolen", "namespace": project},
        "spec": spec,
    }


EVERYTHING = TENANTS["every right in the project"].user


class TestBySpec:
    @pytest.mark.parametrize("name", [f"{NEIGHBOUR}/search-connection", f"../{NEIGHBOUR}/search-connection", "a b"])
    def test_a_secret_is_named_in_ones_own_project_only(self, tenants: Api, name: str) -> None:
        tls = {"clientAuth": "Required", "clientCASecretRef": {"name": name}}
        answer = tenants.create(samples.cluster("thief", namespace=PROJECT, tls=tls), dry_run=True, user=EVERYTHING)
        assert answer.status == 422
        assert "spec.tls.clientCASecretRef.name" in answer.message

    def test_there_is_no_field_for_another_namespace(self, tenants: Api) -> None:
        tls = {"clientAuth": "Required", "clientCASecretRef": {"name": "ca", "namespace": NEIGHBOUR}}
        answer = tenants.apply(samples.cluster("thief", namespace=PROJECT, tls=tls), dry_run=True, user=EVERYTHING)
        assert not answer.ok
        assert "namespace" in answer.message

    def test_nobody_chooses_the_uid_that_names_everything(self, tenants: Api) -> None:
        """Namespace, bucket and identity follow from it: whoever could choose it would get a neighbour's."""
        victim = tenants.get("ZillizCluster", "search", namespace=NEIGHBOUR).must()["metadata"]["uid"]
        forged = samples.cluster("twin", namespace=PROJECT)
        forged["metadata"]["uid"] = victim
        answer = tenants.create(forged, dry_run=True, user=EVERYTHING)
        assert not answer.ok or answer.body["metadata"]["uid"] != victim
        moved = tenants.merge(
            "ZillizCluster", "search", {"metadata": {"uid": victim}}, namespace=PROJECT, user=EVERYTHING
        )
        assert not moved.ok or moved.body["metadata"]["uid"] != victim
        assert tenants.get("ZillizCluster", "search", namespace=PROJECT).must()["metadata"]["uid"] != victim

    @pytest.mark.parametrize(
        "status", [{"bucket": "in01-0123456789ab-data"}, {"namespace": "milvus-in01-0123456789ab"}]
    )
    def test_a_status_is_the_operators_word(self, tenants: Api, status: dict[str, str]) -> None:
        """It says which bucket is recycled with the cluster. Not even every right in a project writes one there."""
        path = f"{OURS}/namespaces/{PROJECT}/zillizclusters/search/status"
        answer = tenants.request("PATCH", path, body={"status": status}, content=MERGE, user=EVERYTHING)
        assert answer.status == 403
        assert "written by it alone" in answer.message
        tenants.request("PATCH", path, body={"status": status}, content=MERGE, user=OPERATOR).must()
        tenants.request("PATCH", path, body={"status": dict.fromkeys(status)}, content=MERGE).must()

    def test_a_status_given_at_birth_is_dropped(self, tenants: Api) -> None:
        forged = samples.cluster("born", namespace=PROJECT) | {"status": {"bucket": "in01-0123456789ab-data"}}
        assert "status" not in tenants.create(forged, dry_run=True, user=EVERYTHING).must()

    def test_nobody_writes_a_record_of_a_neighbours_data(self, tenants: Api) -> None:
        answer = tenants.create(recycled(PROJECT), user=EVERYTHING)
        assert answer.status == 403
        assert "written by it alone" in answer.message
        assert tenants.create(recycled(PROJECT), user=TENANTS["project admin"].user).status == 403
        tenants.create(recycled(PROJECT), dry_run=True, user=OPERATOR).must()

    @pytest.mark.parametrize(
        "field", ["bucket", "clusterUid", "credentialsSecret", "namespace", "project", "dataPlane"]
    )
    def test_a_record_of_ones_own_is_not_turned_into_another(self, tenants: Api, field: str) -> None:
        tenants.apply(recycled(PROJECT), user=OPERATOR).must()
        answer = tenants.merge(
            "RecycledCluster", "stolen", {"spec": {field: "other-one"}}, namespace=PROJECT, user=EVERYTHING
        )
        assert answer.status == 422
        assert f"{field} cannot be changed" in answer.message


# ---- stealing by label --------------------------------------------------------------------------------------------------------


def labelled(kind: str, *, namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    metadata = {"name": "forged", "namespace": namespace, "labels": labels}
    pod = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    parts: dict[str, tuple[str, dict[str, Any]]] = {
        "Secret": ("v1", {}),
        "ConfigMap": ("v1", {}),
        "ServiceAccount": ("v1", {}),
        "Pod": ("v1", {"spec": pod["spec"]}),
        "Service": ("v1", {"spec": {"ports": [{"port": 1}]}}),
        "NetworkPolicy": ("networking.k8s.io/v1", {"spec": {"podSelector": {}}}),
        "Deployment": ("apps/v1", {"spec": {"selector": {"matchLabels": {"app": "x"}}, "template": pod}}),
        "ZillizCluster": ("byoc.zilliz.com/v1alpha1", {"spec": {}}),
    }
    version, rest = parts[kind]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


KINDS = ("Secret", "ConfigMap", "ServiceAccount", "Pod", "Service", "NetworkPolicy", "Deployment", "ZillizCluster")
MARK = {CLUSTER_UID_LABEL: "7d0e5f1a"}


class TestByLabel:
    @pytest.mark.parametrize("kind", KINDS)
    def test_nobody_passes_something_off_as_a_clusters(self, tenants: Api, kind: str) -> None:
        until(
            lambda: tenants.get("ServiceAccount", "default", namespace=PROJECT).ok,
            what="pods of the project have an account",
        )
        answer = tenants.create(labelled(kind, namespace=PROJECT, labels=MARK), dry_run=True, user=EVERYTHING)
        assert answer.status == 403
        assert "are set by the operator only" in answer.message
        tenants.create(labelled(kind, namespace=PROJECT, labels={"team": "a"}), dry_run=True, user=EVERYTHING).must()

    @pytest.mark.parametrize("label", ["cluster-uid", "policy-uid", "cluster-id", "cluster", "project", "anything"])
    def test_none_of_our_labels(self, tenants: Api, label: str) -> None:
        forged = labelled("Secret", namespace=PROJECT, labels={f"byoc.zilliz.com/{label}": "x"})
        assert tenants.create(forged, dry_run=True, user=TENANTS["project admin"].user).status == 403

    def test_a_mark_is_neither_moved_nor_taken_away(self, tenants: Api) -> None:
        ours = labelled("Secret", namespace=PROJECT, labels={**MARK, "app.kubernetes.io/managed-by": "zilliz-operator"})
        tenants.apply(ours, user=OPERATOR).must()

        def relabel(value: str | None) -> Answer:
            change = {"metadata": {"labels": {CLUSTER_UID_LABEL: value}}}
            return tenants.merge("Secret", "forged", change, namespace=PROJECT, user=EVERYTHING)

        assert relabel("another").status == 403
        assert relabel(None).status == 403
        change = {"metadata": {"labels": {"team": "a"}, "annotations": {"note": "mine"}}}
        tenants.merge("Secret", "forged", change, namespace=PROJECT, user=EVERYTHING).must()
        tenants.delete("Secret", "forged", namespace=PROJECT, user=EVERYTHING).must()

    def test_the_platform_team_can_restore_a_backup_with_its_labels(self, tenants: Api) -> None:
        """cluster-admin, as backup tools have it: whoever may update DataPlanes."""
        tenants.create(labelled("Secret", namespace=PROJECT, labels=MARK), dry_run=True).must()

    def test_controllers_copy_labels_where_clusters_live(self, tenants: Api) -> None:
        controller = "system:serviceaccount:kube-system:replicaset-controller"
        pod = labelled("Pod", namespace=CLUSTER, labels=MARK)
        pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi"}}
        until(lambda: tenants.get("ServiceAccount", "default", namespace=CLUSTER).ok, what="the account is there")
        tenants.create(pod, dry_run=True, user=controller).must()
