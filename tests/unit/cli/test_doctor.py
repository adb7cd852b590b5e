"""Doctor: each look says what it saw, never better, and what to do; what it may not see is unknown."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from zilliz_operator.api.crd import schema
from zilliz_operator.api.exceptions import Rejected, Unavailable
from zilliz_operator.api.installation import ADMISSION_POLICIES, RIGHTS
from zilliz_operator.api.kinds import OURS
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.cli import checks, doctor, main
from zilliz_operator.cli.checks import Finding, Patient, State

Manifest = dict[str, Any]

OPERATOR = "system:serviceaccount:zilliz-system:zilliz-operator"
ENCRYPTED = "k8s:enc:secretbox:v1:"


def sample(prefix: str, *, resource: str = "secrets", kind: str = "to_storage", status: str = "OK") -> str:
    labels = f'resource="{resource}",status="{status}",transformation_type="{kind}",transformer_prefix="{prefix}"'
    return f"apiserver_storage_transformation_operations_total{{{labels}}} 7\n"


def policy(name: str, **status: Any) -> Manifest:
    return {"metadata": {"name": name}, "status": status}


def binding(name: str, *actions: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": list(actions or ("Deny",))}}


def conditioned(name: str, type: str, status: str, message: str, namespace: str = "") -> Manifest:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    told = [{"type": type, "status": status, "message": message}]
    return {"metadata": metadata, "spec": {}, "status": {"conditions": told}}


def running(ready: int = 2) -> Manifest:
    containers = [{"name": "operator", "image": "docker.io/zillizbyoc/operator:0.1.0"}]
    return {
        "metadata": {"name": "zilliz-operator"},
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
        "status": {"readyReplicas": ready},
    }


def schemas() -> Manifest:
    """As the API server shows them."""
    return {"components": {"schemas": {f"com.zilliz.byoc.v1alpha1.{r.KIND}": schema(r) for r in RESOURCES.values()}}}


@dataclass
class StubApi:
    """A cluster with everything in order, to take things from."""

    gitversion: str = "v1.36.1"
    served: dict[str, set[str]] = field(
        default_factory=lambda: {
            API_VERSION: {kind.plural for kind in OURS},
            "cert-manager.io/v1": {"certificates", "issuers", "clusterissuers", "challenges"},
        }
    )
    objects: dict[str, list[Manifest]] = field(
        default_factory=lambda: {
            "Deployment": [running()],
            "ValidatingAdmissionPolicy": [policy(name) for name in ADMISSION_POLICIES],
            "ValidatingAdmissionPolicyBinding": [binding(name) for name in ADMISSION_POLICIES],
            "DataPlane": [
                conditioned("default", "Ready", "True", "2 promises kept") | {"spec": {"storageClassName": "gp3"}}
            ],
            "ZillizCluster": [conditioned("search", "NetworkIsolated", "True", "9 policies in place", "team-a")],
            "StorageClass": [
                {"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "true"}}
            ],
        }
    )
    openapi: Manifest | None = field(default_factory=schemas)
    metrics: str = sample(ENCRYPTED)
    me: str = "admin"
    denied: set[tuple[str, str]] = field(default_factory=set)
    """(verb, resource) that the operator lacks."""
    trouble: Callable[[str], None] = lambda what: None
    asked: list[tuple[str, Manifest]] = field(default_factory=list)

    async def version(self) -> str:
        self.trouble("version")
        return self.gitversion

    async def resources(self, group_version: str) -> frozenset[str]:
        self.trouble(f"resources {group_version}")
        return frozenset(self.served.get(group_version, ()))

    async def get(self, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        self.trouble(f"get {kind}")
        return next((o for o in self.objects.get(kind, ()) if o["metadata"]["name"] == name), None)

    async def list(
        self, kind: str, namespace: str | None = None, *, labels: Mapping[str, str] | None = None
    ) -> Sequence[Manifest]:
        self.trouble(f"list {kind}")
        return self.objects.get(kind, [])

    async def document(self, path: str) -> Manifest | None:
        self.trouble(f"document {path}")
        return self.openapi

    async def text(self, path: str) -> str:
        self.trouble(f"text {path}")
        return self.metrics

    async def review(self, kind: str, spec: Manifest) -> Manifest:
        self.trouble(f"review {kind}")
        self.asked.append((kind, spec))
        if kind == "SelfSubjectReview":
            return {"userInfo": {"username": self.me}}
        about = spec["resourceAttributes"]
        resource = "/".join(part for part in (about["resource"], about.get("subresource", "")) if part)
        return {"allowed": (about["verb"], resource) not in self.denied}


async def examined(api: StubApi) -> dict[str, Finding]:
    patient = Patient(kube=api, namespace="zilliz-system", account="zilliz-operator")
    return {finding.id: finding for finding in await checks.examine(patient)}


async def one(api: StubApi, id: str) -> Finding:
    return (await examined(api))[id]


def refusing(*whats: str) -> Callable[[str], None]:
    def trouble(what: str) -> None:
        if what in whats:
            raise Rejected("Kubernetes API https://x", f"does not let us {what}")

    return trouble


async def test_a_cluster_in_order_is_ok_throughout() -> None:
    found = await examined(StubApi())
    assert {finding.id: finding.state for finding in found.values()} == dict.fromkeys(found, State.OK)
    assert not any(finding.remedy for finding in found.values())


@pytest.mark.parametrize(
    ("version", "state"),
    [("v1.30.0", "ok"), ("v1.29.9", "fail"), ("v2.0.0", "ok"), ("v1.33.1-eks-abc", "ok"), ("dev", "unknown")],
)
async def test_kubernetes(version: str, state: str) -> None:
    assert (await one(StubApi(gitversion=version), "kubernetes")).state == state


@pytest.mark.parametrize(("ready", "state"), [(2, "ok"), (1, "warn"), (0, "fail")])
async def test_operator(ready: int, state: str) -> None:
    api = StubApi()
    api.objects["Deployment"] = [running(ready)]
    found = await one(api, "operator")
    assert found.state == state
    assert f"{ready}/2 replicas ready" in found.said


async def test_no_operator() -> None:
    api = StubApi()
    api.objects["Deployment"] = []
    assert "--operator-namespace" in (await one(api, "operator")).remedy


class TestKinds:
    async def test_a_missing_kind_is_named(self) -> None:
        api = StubApi()
        api.served[API_VERSION] -= {"restores"}
        found = await one(api, "kinds")
        assert found.state is State.FAIL
        assert "restores" in found.said

    async def test_an_older_definition_lacks_a_field(self) -> None:
        api = StubApi()
        assert api.openapi is not None
        plane = api.openapi["components"]["schemas"]["com.zilliz.byoc.v1alpha1.DataPlane"]
        del plane["properties"]["spec"]["properties"]["storageClassName"]
        found = await one(api, "kinds")
        assert found.state is State.FAIL
        assert "older than this release: DataPlane.spec.storageClassName is missing" in found.said

    async def test_an_older_definition_lacks_a_rule(self) -> None:
        api = StubApi()
        assert api.openapi is not None
        plane = api.openapi["components"]["schemas"]["com.zilliz.byoc.v1alpha1.DataPlane"]
        gone = plane["properties"]["spec"]["x-kubernetes-validations"].pop()
        found = await one(api, "kinds")
        assert found.state is State.FAIL
        assert repr(gone["rule"]) in found.said

    async def test_a_newer_definition_is_no_failure_of_the_cluster(self) -> None:
        api = StubApi()
        assert api.openapi is not None
        plane = api.openapi["components"]["schemas"]["com.zilliz.byoc.v1alpha1.DataPlane"]
        plane["properties"]["spec"]["properties"]["novelty"] = {"type": "string"}
        found = await one(api, "kinds")
        assert found.state is State.WARN
        assert "DataPlane.spec.novelty" in found.said

    async def test_without_schemas_it_is_not_known(self) -> None:
        assert (await one(StubApi(openapi=None), "kinds")).state is State.UNKNOWN


class TestAdmission:
    @pytest.mark.parametrize("name", ADMISSION_POLICIES)
    async def test_a_missing_policy_is_less_than_could_be(self, name: str) -> None:
        api = StubApi()
        api.objects["ValidatingAdmissionPolicy"] = [policy(each) for each in ADMISSION_POLICIES if each != name]
        found = await one(api, "admission")
        assert found.state is State.WARN
        assert f"without {name} {ADMISSION_POLICIES[name]}" in found.said

    @pytest.mark.parametrize("bindings", [[], [binding("zilliz-operator-reach", "Audit", "Warn")]])
    async def test_a_policy_that_denies_nothing_fails(self, bindings: list[Manifest]) -> None:
        api = StubApi()
        others = [binding(each) for each in ADMISSION_POLICIES if each != "zilliz-operator-reach"]
        api.objects["ValidatingAdmissionPolicyBinding"] = [*others, *bindings]
        found = await one(api, "admission")
        assert found.state is State.FAIL
        assert found.said == "zilliz-operator-reach is not bound with Deny"

    async def test_a_policy_that_does_not_compile_fails(self) -> None:
        api = StubApi()
        broken = policy("zilliz-crd-protection", typeChecking={"expressionWarnings": [{"warning": "undeclared"}]})
        api.objects["ValidatingAdmissionPolicy"][2] = broken
        assert (await one(api, "admission")).state is State.FAIL


class TestRights:
    async def test_from_elsewhere_it_asks_about_the_operators_account(self) -> None:
        api = StubApi()
        await one(api, "rights")
        reviews = [spec for kind, spec in api.asked if kind == "SubjectAccessReview"]
        assert len(reviews) == sum(len(right.verbs) for right in RIGHTS)
        assert {spec["user"] for spec in reviews} == {OPERATOR}
        lease = next(s["resourceAttributes"] for s in reviews if s["resourceAttributes"]["resource"] == "leases")
        assert lease["namespace"] == "zilliz-system"

    async def test_in_the_operators_pod_it_asks_about_itself(self) -> None:
        api = StubApi(me=OPERATOR)
        found = await one(api, "rights")
        assert found.state is State.OK
        assert {kind for kind, _ in api.asked} == {"SelfSubjectReview", "SelfSubjectAccessReview"}

    async def test_every_missing_verb_is_named(self) -> None:
        api = StubApi(denied={("patch", "pods"), ("get", "storageclasses"), ("update", "zillizclusters/finalizers")})
        found = await one(api, "rights")
        assert found.state is State.FAIL
        assert "patch pods, get storageclasses.storage.k8s.io" in found.said
        assert "update zillizclusters/finalizers.byoc.zilliz.com" in found.said

    async def test_whoever_may_not_ask_is_told_where_to(self) -> None:
        found = await one(StubApi(trouble=refusing("review SubjectAccessReview")), "rights")
        assert found.state is State.UNKNOWN
        assert "exec deploy/zilliz-operator -- zilliz-operator doctor" in found.remedy


async def test_cert_manager() -> None:
    api = StubApi()
    api.served["cert-manager.io/v1"] = {"certificates"}
    found = await one(api, "cert-manager")
    assert found.state is State.FAIL
    assert "clusterissuers, issuers" in found.said


@pytest.mark.parametrize(
    ("status", "state"), [("True", "ok"), ("False", "fail"), ("Unknown", "unknown")]
)  # fmt: skip
async def test_network_repeats_what_the_clusters_say(status: str, state: str) -> None:
    api = StubApi()
    api.objects["ZillizCluster"].append(conditioned("b", "NetworkIsolated", status, "what was seen", "team-b"))
    found = await one(api, "network")
    assert found.state == state
    assert "team-b/b: what was seen" in found.said


@pytest.mark.parametrize(
    ("kind", "id", "state"),
    [("ZillizCluster", "network", "unknown"), ("DataPlane", "data-planes", "warn"), ("DataPlane", "volume-encryption", "unknown")],
)  # fmt: skip
async def test_where_nothing_is_nothing_is_claimed(kind: str, id: str, state: str) -> None:
    api = StubApi()
    api.objects[kind] = []
    assert (await one(api, id)).state == state


async def test_a_new_object_without_conditions_is_unknown() -> None:
    api = StubApi()
    api.objects["ZillizCluster"].append({"metadata": {"name": "new", "namespace": "team-a"}})
    found = await one(api, "network")
    assert (found.state, found.said) == (State.UNKNOWN, "team-a/new: NetworkIsolated is not told yet")


@pytest.mark.parametrize(
    ("spec", "state", "said"),
    [
        ({"storageClassName": "gp3"}, "ok", "encrypts (encrypted: true)"),
        ({"storageClassName": "clear"}, "fail", "does not encrypt"),
        ({"storageClassName": "clear", "storageClassEncrypted": True}, "fail", "does not encrypt"),
        ({"storageClassName": "local"}, "unknown", "does not tell"),
        ({"storageClassName": "local", "storageClassEncrypted": True}, "ok", "declared, not verified"),
        ({"storageClassName": "gone"}, "unknown", "does not exist"),
        ({}, "unknown", "the default StorageClass does not exist"),
        ({"kubernetes": {"kubeconfigSecretRef": {}}, "storageClassName": "gp3"}, "unknown", "look there"),
    ],
)
async def test_volume_encryption(spec: Manifest, state: str, said: str) -> None:
    api = StubApi()
    api.objects["StorageClass"] += [
        {"metadata": {"name": "clear"}, "provisioner": "ebs.csi.aws.com", "parameters": {"encrypted": "false"}},
        {"metadata": {"name": "local"}, "provisioner": "rancher.io/local-path"},
    ]
    api.objects["DataPlane"] = [{"metadata": {"name": "default"}, "spec": spec}]
    found = await one(api, "volume-encryption")
    assert found.state == state
    assert said in found.said
    assert bool(found.remedy) is (state != "ok")


@pytest.mark.parametrize(
    ("network", "kubernetes", "state", "said"),
    [
        ({}, {}, "ok", "nobody may scrape"),
        ({"monitoringNamespace": "monitoring"}, {}, "ok", "default: namespace monitoring"),
        ({"monitoringNamespace": "metrics"}, {}, "warn", "namespace metrics does not exist"),
        ({"monitoringNamespace": "metrics"}, {"kubernetes": {"kubeconfigSecretRef": {}}}, "ok", "nobody may scrape"),
    ],
)
async def test_a_namespace_that_may_scrape_must_not_be_anybodys_to_make(
    network: Manifest, kubernetes: Manifest, state: str, said: str
) -> None:
    api = StubApi()
    api.objects["Namespace"] = [{"metadata": {"name": "monitoring"}}]
    api.objects["DataPlane"] = [{"metadata": {"name": "default"}, "spec": {"network": network, **kubernetes}}]
    found = await one(api, "monitoring")
    assert found.state == state
    assert said in found.said


def server(name: str, *arguments: str) -> Manifest:
    return {"metadata": {"name": name}, "spec": {"containers": [{"command": ["kube-apiserver", *arguments]}]}}


class TestSecretEncryption:
    @pytest.mark.parametrize(
        ("metrics", "state", "said"),
        [
            (sample(ENCRYPTED), "ok", "encrypted (secretbox)"),
            (sample(ENCRYPTED) + sample("key1:"), "ok", "encrypted (secretbox)"),  # the key's own prefix, inside
            (sample("k8s:enc:kms:v2:cloud:"), "ok", "encrypted (kms)"),
            (sample(ENCRYPTED) + sample("", kind="from_storage"), "ok", "encrypted (secretbox)"),
            (sample(""), "fail", "in clear"),
            (sample(ENCRYPTED) + sample(""), "fail", "in clear"),
        ],
    )
    async def test_by_what_the_api_server_counts(self, metrics: str, state: str, said: str) -> None:
        found = await one(StubApi(metrics=metrics), "secret-encryption")
        assert found.state == state
        assert said in found.said

    @pytest.mark.parametrize(
        "metrics",
        [
            "",
            sample("key1:"),
            sample(ENCRYPTED, resource="configmaps"),
            sample(ENCRYPTED, kind="from_storage"),
            sample(ENCRYPTED, status="Internal"),
        ],
    )
    async def test_what_proves_nothing_is_not_taken_for_proof(self, metrics: str) -> None:
        assert (await one(StubApi(metrics=metrics), "secret-encryption")).state is State.UNKNOWN

    @pytest.mark.parametrize(
        ("pods", "state", "said"),
        [
            ([server("a", "--encryption-provider-config=/etc/enc.yaml")], "warn", "what its file says"),
            ([server("a", "--encryption-provider-config", "/etc/enc.yaml")], "warn", "what its file says"),
            ([server("a")], "fail", "a without --encryption-provider-config"),
            ([server("a", "--encryption-provider-config=/e"), server("b")], "fail", "b without"),
            ([server("a", "--encryption-provider-config-automatic-reload=true")], "fail", "a without"),
        ],
    )
    async def test_by_the_arguments_of_its_pods(self, pods: list[Manifest], state: str, said: str) -> None:
        api = StubApi(metrics="")
        api.objects["Pod"] = pods
        found = await one(api, "secret-encryption")
        assert found.state == state
        assert said in found.said

    @pytest.mark.parametrize(
        ("version", "remedy"),
        [
            ("v1.33.1-eks-abc", "aws eks describe-cluster"),
            ("v1.33.1-gke.100", "gcloud container clusters describe"),
            ("v1.36.1", "--encryption-provider-config"),
        ],
    )
    async def test_what_is_not_visible_is_unknown_with_a_way_to_find_out(self, version: str, remedy: str) -> None:
        api = StubApi(gitversion=version, trouble=refusing("text /metrics", "list Pod"))
        found = await one(api, "secret-encryption")
        assert found.state is State.UNKNOWN
        assert "does not let us text /metrics" in found.said
        assert remedy in found.remedy


async def test_what_one_may_not_see_is_unknown_and_stops_nothing_else() -> None:
    found = await examined(StubApi(trouble=refusing("list ValidatingAdmissionPolicy")))
    assert found["admission"].state is State.UNKNOWN
    assert "you may not look" in found["admission"].said
    assert {f.state for f in found.values() if f.id != "admission"} == {State.OK}


async def test_an_api_server_that_is_away_fails_once_and_is_not_asked_again() -> None:
    calls = []

    def away(what: str) -> None:
        calls.append(what)
        raise Unavailable("Kubernetes API https://x", "no answer")

    found = list((await examined(StubApi(trouble=away))).values())
    assert [finding.state for finding in found] == [State.FAIL, *[State.UNKNOWN] * (len(found) - 1)]
    assert len(calls) == 1


def finding(state: State) -> Finding:
    return Finding("x", "it is so", state, "seen", "" if state is State.OK else "do this")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([State.OK], 0),
        ([State.OK, State.WARN, State.UNKNOWN], 0),
        ([State.OK, State.FAIL], 1),
    ],
)
@pytest.mark.parametrize("output", ["text", "json"])
def test_the_exit_code_tells_of_failures_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], states: list[State], code: int, output: str
) -> None:
    monkeypatch.setattr(doctor, "with_kube", lambda _options, _work: [finding(state) for state in states])
    assert main.main(["doctor", "-o", output]) == code
    shown = capsys.readouterr().out
    if output == "json":
        assert [each["state"] for each in json.loads(shown)] == [str(state) for state in states]
        assert set(json.loads(shown)[0]) == {"id", "title", "state", "said", "remedy"}
    else:
        assert shown.splitlines()[-1] == ", ".join(f"{states.count(state)} {state}" for state in doctor.MARKS)
        assert shown.count("→ do this") == sum(state is not State.OK for state in states)
