"""What the chart renders: a restricted pod, exact rights, closed ports; with default values and with others."""

import re
from collections import defaultdict
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tools.generate_manifests import CHART, NAMESPACE, GenerationError, access_yaml, render
from zilliz_operator.agent.metrics import text
from zilliz_operator.agent.relay import Counts
from zilliz_operator.api import names, rights
from zilliz_operator.api.installation import ADMISSION_POLICIES, MINIMUM_KUBERNETES, RIGHTS
from zilliz_operator.api.kinds import KINDS, OURS
from zilliz_operator.api.people import CLUSTER_ROLES, GRANTABLE, RBAC_GROUP, grantable
from zilliz_operator.api.people import rights as rights_of
from zilliz_operator.handlers import watches
from zilliz_operator.handlers.config import from_environment
from zilliz_operator.reconcile import children

Manifest = dict[str, Any]

KUBERNETES = "1.36"
DATA_PLANE = (
    "dataPlane.create=true,dataPlane.spec.versions[0].version=2.3.5,dataPlane.spec.objectStorage.provider=AWS,"
    "dataPlane.spec.certificates.domain=byoc.test"
)
SCENARIOS = {
    "default": "",
    "one replica, nothing optional": "replicas=1,crds.enabled=false,admissionPolicies.enabled=false,"
    "networkPolicy.enabled=false,metrics.service.enabled=false,rbac.aggregateRoles=false",
    "closed network": "networkPolicy.apiServer.cidrs={10.0.0.1/32},networkPolicy.objectStore.cidrs={203.0.113.0/24},"
    "networkPolicy.objectStore.ports={443,8333},networkPolicy.monitoringNamespace=,networkPolicy.probeCIDRs={10.1.0.0/16},"
    "networkPolicy.dns.cidrs={169.254.20.10/32}",
    "private registry": "image.repository=registry.acme.com/op,imagePullSecrets={pull},"
    "priorityClassName=system-cluster-critical,podLabels.team=data,podAnnotations.a=b,nodeSelector.disk=ssd,"
    "extraArgs={--x},extraEnv[0].name=AWS_REGION,extraEnv[0].value=x",
    "IRSA": r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn=arn:aws:iam::111122223333:role/op",
    "data plane": DATA_PLANE,
}


@cache
def rendered(values: str = "", *arguments: str) -> tuple[Manifest, ...]:
    text = render(*(("--set", values) if values else ()), *arguments)
    return tuple(document for document in yaml.safe_load_all(text) if document)


def one(kind: str, name: str = "zilliz-operator", *, values: str = "") -> Manifest:
    (found,) = (d for d in rendered(values) if (d["kind"], d["metadata"]["name"]) == (kind, name))
    return found


def kinds(values: str) -> set[str]:
    return {document["kind"] for document in rendered(values)}


@pytest.mark.parametrize("values", SCENARIOS.values(), ids=SCENARIOS)
def test_every_manifest_is_strictly_valid(values: str) -> None:
    for document in rendered(values):
        if document["kind"] not in ("DataPlane",):
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_names_are_unique_and_labelled() -> None:
    seen = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in rendered()]
    assert len(seen) == len(set(seen))
    for document in rendered():
        assert document["metadata"]["labels"]["app.kubernetes.io/part-of"] == "zilliz-byoc", document["metadata"][
            "name"
        ]


class TestPod:
    def test_is_restricted(self) -> None:
        spec = one("Deployment")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "privileged": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert [set(volume) - {"name"} for volume in spec["volumes"]] == [{"emptyDir"}]

    def test_has_what_the_operator_reads(self) -> None:
        spec = one("Deployment")["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["args"] == ["run"]
        fields = {
            each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"] if "valueFrom" in each
        }
        assert fields == {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace"}
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == {"probes": 8080, "metrics": 9090}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}
        assert spec["terminationGracePeriodSeconds"] == 60

    def test_only_it_gets_the_token(self) -> None:
        assert one("ServiceAccount")["automountServiceAccountToken"] is False
        assert one("Deployment")["spec"]["template"]["spec"]["automountServiceAccountToken"] is True

    def test_a_digest_wins_over_a_tag(self) -> None:
        digest = "sha256:" + "0" * 64
        values = (
            f"image.tag=v9,image.digest={digest},gateway.image.repository=mirror.acme.com/gateway,gateway.image.tag=v8"
        )
        (container,) = one("Deployment", values=values)["spec"]["template"]["spec"]["containers"]
        operator, gateway = f"docker.io/zillizbyoc/operator@{digest}", "mirror.acme.com/gateway:v8"
        assert container["image"] == operator
        config = from_environment({each["name"]: each.get("value", "") for each in container["env"]})
        assert (config.operator_image, config.gateway_image) == (operator, gateway)

    def test_its_labels_cannot_be_overruled(self) -> None:
        deployment = one("Deployment", values=r"podLabels.app\.kubernetes\.io/component=other")
        selector = deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()

    def test_a_disruption_budget_only_where_it_lets_a_drain_through(self) -> None:
        assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
        assert "PodDisruptionBudget" not in kinds("replicas=1")


class TestRights:
    @staticmethod
    def verbs(*roles: Manifest) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for role in roles:
            for rule in role["rules"]:
                for group in rule["apiGroups"]:
                    for resource in rule["resources"]:
                        found[group, resource] |= set(rule["verbs"])
        return found

    def test_no_wildcard_and_only_the_five_roles_can_be_given(self) -> None:
        roles = [document for document in rendered() if document["kind"] in ("ClusterRole", "Role")]
        assert len(roles) == 10
        for role in roles:
            name = role["metadata"]["name"]
            for rule in role["rules"]:
                assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], name
                assert not {"escalate", "impersonate", "deletecollection"} & set(rule["verbs"])
                if "rbac.authorization.k8s.io" in rule["apiGroups"]:
                    assert name == "zilliz-operator"
                    binds = rule["resources"] == ["clusterroles"]
                    assert rule.get("resourceNames", []) == ([*CLUSTER_ROLES.values()] if binds else [])
                    assert ("bind" in rule["verbs"]) is binds
                else:
                    assert "bind" not in rule["verbs"]

    def test_roles_give_our_kinds_and_what_may_be_handed_out(self) -> None:
        for role, name in CLUSTER_ROLES.items():
            given = self.verbs(one("ClusterRole", name))
            others = {group for group, _ in given if group != "byoc.zilliz.com"}
            assert others == ({""} if role == "OrganizationOwner" else set()), "an owner makes namespaces"
            kinds = {what: {*verbs} for (group, what), verbs in given.items() if group and what != GRANTABLE}
            assert kinds == {what: {*verbs} for what, verbs in rights_of(role).items()}

    @pytest.mark.parametrize(
        ("name", "role"), [*((name, role) for role, name in CLUSTER_ROLES.items()), ("zilliz-admin", "ProjectAdmin")]
    )
    def test_nobody_hands_out_more_than_they_hold(self, name: str, role: str) -> None:
        grants = [rule for rule in one("ClusterRole", name)["rules"] if rule["resources"] == [GRANTABLE]]
        assert all(rule["verbs"] == ["grant"] and rule["resourceNames"] for rule in grants)
        assert [each for rule in grants for each in rule["resourceNames"]] == [*grantable(role)]
        assert role == "OrganizationOwner" or "OrganizationOwner" not in grantable(role)

    def test_bindings_are_to_our_own_roles_and_account(self) -> None:
        bindings = [document for document in rendered() if document["kind"].endswith("RoleBinding")]
        assert [binding["kind"] for binding in bindings] == ["ClusterRoleBinding", "RoleBinding"]
        for binding in bindings:
            assert binding["roleRef"]["name"] == "zilliz-operator"
            assert binding["subjects"] == [
                {"kind": "ServiceAccount", "name": "zilliz-operator", "namespace": NAMESPACE}
            ]

    @pytest.mark.parametrize("kind", ["Namespace", *children.APPLIED_KINDS])
    def test_every_kind_that_is_applied_and_pruned(self, kind: str) -> None:
        info = KINDS[kind]
        verbs = self.verbs(one("ClusterRole"))[info.group, info.plural]
        assert {"get", "list", "create", "patch", "delete"} <= verbs, "server-side apply creates, too"

    @pytest.mark.parametrize(
        "kind", [*watches.CHILD_KINDS, *watches.BINDING_KINDS, *watches.OWN_KINDS, *children.OBSERVED_KINDS]
    )
    def test_every_kind_that_is_watched(self, kind: str) -> None:
        info = KINDS[kind]
        assert {"get", "list", "watch"} <= self.verbs(one("ClusterRole"))[info.group, info.plural]

    @pytest.mark.parametrize("kind", [kind.plural for kind in OURS])
    def test_of_ours_it_writes_status_and_finalizers_never_makes_clusters(self, kind: str) -> None:
        verbs = self.verbs(one("ClusterRole"))
        made_by_us = {"create", "delete"} if kind == "recycledclusters" else set()
        assert verbs["byoc.zilliz.com", kind] == {"get", "list", "watch", "patch"} | made_by_us
        assert verbs["byoc.zilliz.com", f"{kind}/status"] == {"get", "patch", "update"}
        assert verbs["byoc.zilliz.com", f"{kind}/finalizers"] == {"patch", "update"}

    @pytest.mark.parametrize(("kind", "everywhere"), [("ClusterRole", True), ("Role", False)])
    def test_are_exactly_those_that_doctor_looks_for(self, kind: str, everywhere: bool) -> None:
        """No rule narrows by name but the lease's and that of roles to bind, so verbs add up."""
        wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
        for right in RIGHTS:
            if right.everywhere is everywhere:
                wanted[right.group, right.resource] |= set(right.verbs)
        assert self.verbs(one(kind)) == wanted

    def test_recycled_clusters_are_records_that_no_person_makes(self) -> None:
        """They name a bucket; whoever could make one would name a neighbour's."""
        for name in ("zilliz-viewer", "zilliz-editor", "zilliz-admin"):
            assert "create" not in self.verbs(one("ClusterRole", name))["byoc.zilliz.com", "recycledclusters"]

    def test_on_a_data_plane_they_are_the_listed_ones_and_no_others(self) -> None:
        """Of its own kinds, events and bindings it has more, on the hub; the rest is what `api.rights` lists, right by right."""
        own = (["byoc.zilliz.com"], ["events.k8s.io"], [RBAC_GROUP])
        rules = [r for r in one("ClusterRole")["rules"] if r["apiGroups"] not in own]
        found = {
            (verb, group, resource)
            for rule in rules
            for verb in rule["verbs"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
        }
        assert found == {(a.verb, a.group, a.resource) for a in rights.accesses()}

    def test_a_remote_data_planes_account_has_the_listed_rights_and_is_confined(self) -> None:
        documents = [d for d in yaml.safe_load_all(access_yaml()) if d]
        (role,) = (d for d in documents if d["kind"] == "ClusterRole")
        assert {key: set(verbs) for key, verbs in self.verbs(role).items()} == {
            (right.group, resource): set(right.verbs) for right in rights.DATA_PLANE for resource in right.resources
        }
        policies = {d["metadata"]["name"] for d in documents if d["kind"] == "ValidatingAdmissionPolicy"}
        bound = {d["spec"]["policyName"] for d in documents if d["kind"] == "ValidatingAdmissionPolicyBinding"}
        assert policies == bound == {"zilliz-operator-reach", "zilliz-namespace-reservation", "zilliz-ownership-labels"}
        for document in documents:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)

    def test_the_lease_is_in_its_own_namespace(self) -> None:
        role = one("Role")
        assert role["metadata"]["namespace"] == NAMESPACE
        assert self.verbs(role) == {("coordination.k8s.io", "leases"): {"get", "create", "update"}}
        assert [rule.get("resourceNames") for rule in role["rules"]] == [None, ["zilliz-operator"]]


class TestNetwork:
    def test_default_is_closed_but_for_what_the_work_needs(self) -> None:
        spec = one("NetworkPolicy")["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        (metrics,) = spec["ingress"]
        assert metrics["from"] == [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ]
        dns, doors, *shut, api_server, store = spec["egress"]
        assert [port["port"] for port in dns["ports"]] == [53, 53]
        assert doors["to"] == [
            {
                "namespaceSelector": {
                    "matchExpressions": [{"key": "byoc.zilliz.com/cluster-uid", "operator": "Exists"}]
                },
                "podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}},
            }
        ]
        assert [port["port"] for port in doors["ports"]] == [19530]
        for rule, (component, port) in zip(shut, (("gateway", 9530), ("milvus", 9091)), strict=True):
            assert rule["to"][0]["namespaceSelector"] == doors["to"][0]["namespaceSelector"]
            assert rule["to"][0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/component": component}}
            assert rule["ports"] == [{"protocol": "TCP", "port": port}]
        assert [port["port"] for port in api_server["ports"]] == [443, 6443]
        assert [port["port"] for port in store["ports"]] == [443]

    def test_addresses_narrow_it(self) -> None:
        spec = one("NetworkPolicy", values=SCENARIOS["closed network"])["spec"]
        *_, api_server, store = spec["egress"]
        assert api_server["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
        assert store["to"] == [{"ipBlock": {"cidr": "203.0.113.0/24"}}]
        (probes,) = spec["ingress"]
        assert (probes["from"], probes["ports"][0]["port"]) == ([{"ipBlock": {"cidr": "10.1.0.0/16"}}], 8080)

    def test_no_monitoring_means_nobody(self) -> None:
        assert one("NetworkPolicy", values="networkPolicy.monitoringNamespace=")["spec"]["ingress"] == []


class TestGatewayMonitoring:
    """Made where the kinds exist, and nowhere else."""

    THERE = ("--api-versions", "monitoring.coreos.com/v1")

    def made(self, values: str = "", *arguments: str) -> dict[str, Manifest]:
        found = [d for d in rendered(values, *arguments) if d["metadata"]["name"] == "zilliz-operator-gateways"]
        return {document["kind"]: document for document in found}

    def test_nothing_is_made_where_the_kinds_are_unknown_or_nobody_wants_it(self) -> None:
        assert self.made() == {}
        assert self.made("metrics.gateways.enabled=false", *self.THERE) == {}

    def test_every_path_is_scraped_that_the_gateways_answer(self) -> None:
        monitor = self.made("", *self.THERE)["ServiceMonitor"]
        gateway = names.labels(name="search", project="team-a", uid="u", component="gateway")
        assert monitor["spec"]["selector"]["matchLabels"].items() <= gateway.items()
        assert {each["key"] for each in monitor["spec"]["selector"]["matchExpressions"]} <= gateway.keys()
        assert {e["path"] for e in monitor["spec"]["endpoints"]} == {"/metrics", "/metrics/gateway", "/metrics/agent"}
        assert {e["port"] for e in monitor["spec"]["endpoints"]} == {"metrics"}

    def test_alerts_are_on_metrics_and_reasons_that_exist(self) -> None:
        (group,) = self.made("", *self.THERE)["PrometheusRule"]["spec"]["groups"]
        alerts = {rule["alert"]: rule["expr"] for rule in group["rules"]}
        assert set(alerts) == {"ZillizGuessing", "ZillizGuessingFromManyAddresses", "ZillizAuditLinesLost"}
        told = text(Counts(refused={"user_not_from_outside": 1}), held=0)
        for expression in alerts.values():
            (name,) = re.findall(r"zilliz_gateway_[a-z_]+", expression)
            assert f"\n{name}" in told
            for reason in re.findall(r"[a-z_]+(?=[|\"])", expression.partition("reason=~")[2]):
                assert f'{{reason="{reason}"}}' in told

    def test_operations_names_every_alert(self) -> None:
        (group,) = self.made("", *self.THERE)["PrometheusRule"]["spec"]["groups"]
        page = (CHART.parents[1] / "docs" / "operations.md").read_text()
        assert all(f"`{rule['alert']}`" in page for rule in group["rules"])


class TestAdmissionPolicies:
    SWITCHES = (
        "deletionProtection",
        "crdProtection",
        "namespaceReservation",
        "ownershipLabels",
        "operatorRecords",
        "operatorReach",
        "organizationPolicies",
        "accessGrants",
        "operatorBindings",
        "secondFactor",
    )

    def test_are_exactly_those_that_doctor_looks_for(self) -> None:
        assert {
            d["metadata"]["name"] for d in rendered() if d["kind"] == "ValidatingAdmissionPolicy"
        } == ADMISSION_POLICIES.keys()

    def test_each_policy_is_bound_and_denies(self) -> None:
        policies = {d["metadata"]["name"] for d in rendered() if d["kind"] == "ValidatingAdmissionPolicy"}
        bindings = [d["spec"] for d in rendered() if d["kind"] == "ValidatingAdmissionPolicyBinding"]
        assert {binding["policyName"] for binding in bindings} == policies
        assert all(binding["validationActions"] == ["Deny"] for binding in bindings)

    @pytest.mark.parametrize("switch", SWITCHES)
    def test_each_has_a_switch_and_the_rest_stays(self, switch: str) -> None:
        def names(values: str) -> set[str]:
            return {d["metadata"]["name"] for d in rendered(values) if d["kind"] == "ValidatingAdmissionPolicy"}

        off = names("") - names(f"admissionPolicies.{switch}=false")
        assert len(off) == {"deletionProtection": 2, "accessGrants": 3}.get(switch, 1)

    def test_the_operator_is_known_by_its_account_wherever_it_is(self) -> None:
        values = "serviceAccount.name=op,admissionPolicies.operatorUsers={hub}"
        text = render("--set", values, "--namespace", "elsewhere")
        assert text.count('["system:serviceaccount:elsewhere:op", "hub"]') == 6

    def test_names_of_people_are_the_same_everywhere(self) -> None:
        values = "sso.usernamePrefix=acme:,sso.groupsPrefix=acme-group:"
        (container,) = one("Deployment", values=values)["spec"]["template"]["spec"]["containers"]
        config = from_environment({each["name"]: each.get("value", "") for each in container["env"]})
        assert (config.sso.user_prefix, config.sso.groups_prefix) == ("acme:", "acme-group:")
        policy = one("ValidatingAdmissionPolicy", "zilliz-second-factor", values=values)
        (validation,) = policy["spec"]["validations"]
        assert '"acme:" + s.name' in validation["expression"]
        assert '("acme-group:" + s.name)' in validation["expression"]

    @pytest.mark.parametrize("prefix", ["", "system:", "oidc", "OIDC:"])
    def test_a_prefix_keeps_names_apart_from_those_of_kubernetes(self, prefix: str) -> None:
        with pytest.raises(GenerationError):
            render("--set", f"sso.groupsPrefix={prefix}")

    def test_a_second_factor_of_everybody_when_asked_for(self) -> None:
        names = {d["metadata"]["name"] for d in rendered("sso.requireMFA=true") if "AdmissionPolicy" in d["kind"]} - {
            d["metadata"]["name"] for d in rendered() if "AdmissionPolicy" in d["kind"]
        }
        assert names == {"zilliz-second-factor-everybody"}


def test_the_oldest_kubernetes_is_the_one_that_doctor_asks_for() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">={}.{}.0-0".format(*MINIMUM_KUBERNETES)


class TestDataPlane:
    def test_is_made_after_the_kinds_that_the_first_installation_brings(self) -> None:
        annotations = one("DataPlane", "default", values=DATA_PLANE)["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "post-install"
        assert annotations["helm.sh/resource-policy"] == "keep"

    def test_is_an_ordinary_object_of_the_release_ever_after(self) -> None:
        documents = rendered(DATA_PLANE, "--api-versions", "byoc.zilliz.com/v1alpha1/DataPlane")
        (found,) = (document for document in documents if document["kind"] == "DataPlane")
        assert "helm.sh/hook" not in found["metadata"]["annotations"], "a hook would be deleted before each upgrade"
        assert found["metadata"]["annotations"]["meta.helm.sh/release-namespace"] == NAMESPACE

    def test_none_by_default(self) -> None:
        assert "DataPlane" not in kinds("")
