"""What must hold for a cluster as a whole, whichever example it is."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.unit.desired.samples import EXAMPLE_SETS, UID, context, data_plane, example, observed
from zilliz_operator.api import names
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.desired.cluster import children
from zilliz_operator.policy import drift

MILVUS_CRD = Path(__file__).parents[2] / "data" / "milvus.io_milvuses.crd.yaml.gz"
CUSTOM = {"Issuer", "Certificate", "Milvus"}

every_example = pytest.mark.parametrize("name", EXAMPLE_SETS)


def pod_specs(objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for obj in objects:
        template = obj.get("spec", {}).get("template")
        if template is not None and obj["kind"] in ("StatefulSet", "Deployment"):
            yield obj["metadata"]["name"], template["spec"]


@every_example
def test_objects_fit_the_schemas_of_kubernetes(name: str) -> None:
    objects = children(*example(name))
    checked = [obj for obj in objects if obj["kind"] not in CUSTOM]
    for obj in checked:
        kubernetes_validate.validate(obj, "1.36", strict=True)
    assert len(checked) > 15


@every_example
def test_objects_are_marked_and_stay_in_their_namespace(name: str) -> None:
    ctx, facts = example(name)
    for obj in children(ctx, facts):
        metadata = obj["metadata"]
        assert metadata["labels"][names.CLUSTER_UID_LABEL] == UID
        assert metadata["labels"][names.CLUSTER_ID_LABEL] == ctx.cluster_id
        assert obj["apiVersion"] == KINDS[obj["kind"]].api_version
        if obj["kind"] == "Namespace":
            assert metadata["name"] == ctx.namespace and "namespace" not in metadata
        else:
            assert metadata["namespace"] == ctx.namespace


@every_example
def test_no_two_objects_share_a_name(name: str) -> None:
    found = [(obj["kind"], obj["metadata"]["name"]) for obj in children(*example(name))]
    assert len(found) == len(set(found))


@every_example
def test_credentials_are_in_secrets_only(name: str) -> None:
    ctx, facts = example(name)
    secrets = [facts.root_password, facts.db_admin_password, facts.technical_seed]
    secrets += [facts.secret_access_key] if facts.secret_access_key else []
    for obj in children(ctx, facts):
        if obj["kind"] != "Secret":
            text = json.dumps(drift.stamped(obj))
            assert not any(secret in text for secret in secrets), obj["kind"]
    assert not any(secret in repr(facts) for secret in secrets)


@every_example
def test_pods_meet_pod_security_restricted(name: str) -> None:
    found = dict(pod_specs(children(*example(name))))
    assert "gateway" in found
    for pod in found.values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not any({"hostPath", "nfs"} & volume.keys() for volume in pod["volumes"])
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True


def test_the_namespace_enforces_what_its_pods_can_meet() -> None:
    for engine, enforced in (("BuiltIn", "restricted"), ("MilvusOperator", "baseline")):
        objects = children(context({}, data_plane(engine=engine)), observed())
        labels = next(obj for obj in objects if obj["kind"] == "Namespace")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == enforced
        assert labels["pod-security.kubernetes.io/warn"] == labels["pod-security.kubernetes.io/audit"] == "restricted"
        versions = [labels[f"pod-security.kubernetes.io/{mode}-version"] for mode in ("enforce", "audit", "warn")]
        assert versions == ["latest"] * 3


def test_quota_has_room_for_the_pods_and_a_rolling_restart() -> None:
    objects = children(context({"size": {"cuSize": 2}}), observed())
    hard = next(obj for obj in objects if obj["kind"] == "ResourceQuota")["spec"]["hard"]
    number = drift.parse_quantity
    for resource in ("requests.cpu", "requests.memory", "limits.memory"):
        section, _, what = resource.partition(".")
        need = sum(
            number(container["resources"][section][what]) or 0
            for name, pod in pod_specs(objects)
            for container in pod["containers"]
            for _ in range({"milvus": 1, "gateway": 4}[name])
        )
        assert (number(hard[resource]) or 0) >= need > 0
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0"


def test_containers_fit_the_limit_range() -> None:
    objects = children(context(), observed())
    limit = next(obj for obj in objects if obj["kind"] == "LimitRange")["spec"]["limits"][0]
    ceiling = drift.parse_quantity(limit["max"]["memory"])
    assert ceiling is not None
    for _, pod in pod_specs(objects):
        for container in [*pod["containers"], *pod.get("initContainers", ())]:
            assert (drift.parse_quantity(container["resources"]["limits"]["memory"]) or 0) <= ceiling


@pytest.mark.parametrize("mode", ["Standalone", "Distributed"])
@pytest.mark.parametrize("endpoint", ["https://s3.store.test:8333", None])
def test_milvus_object_fits_the_milvus_operators_own_schema(mode: str, endpoint: str | None) -> None:
    aws = {"provider": "AWS", "identity": "IRSA", "oidcProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.x"}
    storage = data_plane()["spec"]["objectStorage"] if endpoint else aws
    plane = data_plane(engine="MilvusOperator", objectStorage=storage, region="us-west-2", storageClassName="gp3")
    ctx = context({"mode": mode}, plane)
    found = next(obj for obj in children(ctx, observed()) if obj["kind"] == "Milvus")
    jsonschema.validate(found, _milvus_schema())
    assert found["spec"]["config"]["tls"]["caPemPath"] == "/milvus/tls/ca.crt"
    assert found["spec"]["config"]["common"]["security"]["tlsMode"] == 2
    assert found["spec"]["components"]["updateConfigMapOnly"] is False
    assert ("secretRef" in found["spec"]["dependencies"]["storage"]) == (endpoint is not None)


def _milvus_schema() -> dict[str, Any]:
    """The CRD's schema, closed: a field it does not know is an error, as strict field validation would say."""
    crd = yaml.load(gzip.decompress(MILVUS_CRD.read_bytes()), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    version = next(each for each in crd["spec"]["versions"] if each["name"] == "v1beta1")
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    _close(schema)
    return schema


def _close(schema: dict[str, Any]) -> None:
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema.pop("anyOf", None)
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    for child in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(child, dict):
            _close(child)
