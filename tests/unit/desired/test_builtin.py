"""The built-in engine: what it runs, what restarts it, and what never does."""

from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.unit.desired.samples import STORE_CA, context, data_plane
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.desired import workload
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.workload import builtin, config
from zilliz_operator.policy.drift import parse_quantity

FACTS: dict[str, str] = {"store_ca_pem": STORE_CA, "tls_fingerprint": "aa", "store_key_digest": "bb"}


def built(ctx: ClusterContext, **changes: Any) -> dict[str, dict[str, Any]]:
    return {each["kind"]: each for each in workload.objects(ctx, **(FACTS | changes))}


def template(ctx: ClusterContext, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = built(ctx, **changes)["StatefulSet"]["spec"]["template"]
    return found


def milvus_yaml(ctx: ClusterContext) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(built(ctx)["ConfigMap"]["data"]["milvus.yaml"])
    return parsed


def env(ctx: ClusterContext) -> dict[str, Any]:
    return {each["name"]: each for each in template(ctx)["spec"]["containers"][0]["env"]}


def test_milvus_speaks_only_mutual_tls_and_asks_who_it_is() -> None:
    settings = milvus_yaml(context())
    assert settings["common"]["security"]["tlsMode"] == 2
    assert settings["common"]["security"]["authorizationEnabled"] is True
    assert set(settings["tls"]) == {"serverPemPath", "serverKeyPath", "caPemPath"}
    assert settings["minio"]["useSSL"] is True


def test_every_component_has_a_port_of_its_own() -> None:
    settings = milvus_yaml(context())
    ports = [
        settings[name]["port"]
        for name in (
            "rootCoord",
            "queryCoord",
            "dataCoord",
            "indexCoord",
            "queryNode",
            "dataNode",
            "indexNode",
            "proxy",
        )
    ]
    assert len(set(ports)) == len(ports)


def test_access_lines_are_written_at_once_and_what_clients_choose_stands_last() -> None:
    log = milvus_yaml(context())["proxy"]["accessLog"]
    assert log["enable"] is True and log["filename"] == "" and log["cacheSize"] == 0
    fields = log["formatters"]["base"]["format"].removeprefix("[ACCESS] ").split("|")
    chosen = {"$sdk_version", "$database_name", "$collection_name", "$user_name"}
    assert set(fields[-len(chosen) :]) == chosen
    assert not {"$error_msg", "$method_expr"} & set(fields)


def test_no_credential_is_in_the_configuration() -> None:
    assert "accessKeyID" not in milvus_yaml(context())["minio"]
    assert env(context())["MINIO_SECRETACCESSKEY"]["valueFrom"]["secretKeyRef"]["name"] == "store-credentials"
    assert env(context())["PROXY_MAXROLENUM"]["value"] == str(config.MAX_ROLES)


def test_the_store_is_where_the_data_plane_says() -> None:
    local = milvus_yaml(context())["minio"]
    assert (local["address"], local["port"], local["useIAM"]) == ("s3.store.test", 8333, False)
    iam = {"provider": "AWS", "identity": "IRSA", "oidcProviderArn": "arn:aws:iam::111122223333:oidc-provider/oidc.x"}
    cloud = context({}, data_plane(objectStorage=iam, region="eu-central-1"))
    found = milvus_yaml(cloud)["minio"]
    assert (found["address"], found["port"], found["useIAM"]) == ("s3.eu-central-1.amazonaws.com", 443, True)
    assert not {"MINIO_ACCESSKEYID", "MINIO_SECRETACCESSKEY"} & env(cloud).keys()


def test_newer_servers_get_their_better_means() -> None:
    new = context({}, data_plane(versions=[{"version": "2.6.22", "image": "milvus:v2.6.22"}]))
    assert "COMMON_SECURITY_DEFAULTROOTPASSWORD" not in env(context())
    assert env(new)["COMMON_SECURITY_DEFAULTROOTPASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "milvus-root"
    assert milvus_yaml(new)["common"]["security"]["enablePublicPrivilege"] is False
    assert "enablePublicPrivilege" not in milvus_yaml(context())["common"]["security"]


@pytest.mark.parametrize(
    "change",
    [{"store_ca_pem": "other"}, {"tls_fingerprint": "xx"}, {"store_key_digest": "xx"}, {"restarted_at": "now"}],
)
def test_what_milvus_reads_only_at_its_start_restarts_it(change: dict[str, str]) -> None:
    assert template(context(), **change) != template(context())


@pytest.mark.parametrize(
    "spec",
    [
        {"exposure": "LoadBalancer"},
        {"tls": {"minVersion": "1.3"}},
        {"audit": {"retentionDays": 7}},
        {"powerState": "Suspended"},
        {"deletionProtection": False},
        {"storage": {"noncurrentVersionDays": 5}},
        {"storage": {"volumeSize": "99Gi"}},
    ],
)
def test_what_concerns_others_does_not_restart_milvus(spec: dict[str, Any]) -> None:
    assert template(context(spec)) == template(context())


def test_size_and_image_reach_the_pod() -> None:
    spec = template(context({"size": {"cuSize": 2}}))["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["limits"] == {"memory": "8Gi"}
    assert parse_quantity(resources["requests"]["cpu"]) == parse_quantity("500m")
    images = {each["image"] for each in (*spec["containers"], *spec["initContainers"])}
    assert images == {"docker.io/milvusdb/milvus:v2.3.5"}


def test_suspended_runs_nothing_and_keeps_the_volume() -> None:
    spec = built(context({"powerState": "Suspended"}))["StatefulSet"]["spec"]
    assert spec["replicas"] == 0 and built(context())["StatefulSet"]["spec"]["replicas"] == 1
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}


def test_the_claim_of_a_living_set_never_changes() -> None:
    plane = data_plane(storageClassName="fast")
    born = built(context({"storage": {"volumeSize": "10Gi"}}, plane))["StatefulSet"]
    live = deepcopy(born)
    live["spec"]["volumeClaimTemplates"][0]["status"] = {"phase": "Pending"}
    later = context({"storage": {"volumeSize": "50Gi"}}, data_plane(storageClassName="other"))
    found = built(later, live=live)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert found == born["spec"]["volumeClaimTemplates"]
    assert found[0]["spec"]["storageClassName"] == "fast"


def test_a_pod_that_cannot_start_is_replaced_by_a_corrected_one() -> None:
    born = built(context())["StatefulSet"]
    assert born["spec"]["podManagementPolicy"] == "Parallel"
    older = deepcopy(born)
    older["spec"]["podManagementPolicy"] = "OrderedReady"
    assert built(context(), live=older)["StatefulSet"]["spec"]["podManagementPolicy"] == "OrderedReady"


@pytest.mark.parametrize(("has", "grows"), [("10Gi", True), ("20480Mi", False), ("1Ti", False)])
def test_a_volume_grows_and_never_shrinks(has: str, grows: bool) -> None:
    claim = {"spec": {"resources": {"requests": {"storage": has}}}}
    patch = builtin.volume_growth(context({"storage": {"volumeSize": "20Gi"}}), claim)
    assert patch == ({"spec": {"resources": {"requests": {"storage": "20Gi"}}}} if grows else None)


def test_an_outage_of_the_store_is_no_reason_to_be_killed() -> None:
    container = template(context())["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["livenessProbe"]["httpGet"]["path"] != "/healthz"


def test_the_service_finds_the_pod() -> None:
    found = built(context())
    labels = found["StatefulSet"]["spec"]["template"]["metadata"]["labels"].items()
    assert found["Service"]["spec"]["selector"].items() <= labels
    assert found["StatefulSet"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"mode": "Distributed"}, "spec.mode"),
        ({"mode": "Distributed", "size": {"cuSize": 8, "replicas": 2}}, "spec.mode"),
        ({"size": {"cuSize": 8, "replicas": 2}}, "spec.size.replicas"),
    ],
)
def test_what_one_process_cannot_do_is_refused_with_the_remedy(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        built(context(spec))
    assert refused.value.path == path and "MilvusOperator" in refused.value.message
    assert "Milvus" in built(context(spec, data_plane(engine="MilvusOperator")))


def test_private_authority_of_the_store_reaches_the_milvus_operators_pods() -> None:
    found = built(context({}, data_plane(engine="MilvusOperator")))
    assert found["ConfigMap"]["data"] == {"ca-certificates.crt": STORE_CA}
    mounts = {each["mountPath"]: each for each in found["Milvus"]["spec"]["components"]["volumeMounts"]}
    assert mounts["/etc/ssl/certs/ca-certificates.crt"]["subPath"] == "ca-certificates.crt"
    etcd = found["Milvus"]["spec"]["dependencies"]["etcd"]["inCluster"]
    assert etcd["deletionPolicy"] == "Retain" and etcd["pvcDeletion"] is False


def test_whatever_outlives_a_request_lies_on_the_claims_volume() -> None:
    """etcd's data with its write-ahead log, the message queue, the cache: nothing of it on the node's own disk."""
    ctx = context()
    settings = milvus_yaml(ctx)
    (container,) = template(ctx)["spec"]["containers"]
    (claim,) = built(ctx)["StatefulSet"]["spec"]["volumeClaimTemplates"]
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    assert mounts[builtin.DATA] == {"name": claim["metadata"]["name"], "mountPath": builtin.DATA}
    held = [settings["etcd"]["data"]["dir"], settings["rocksmq"]["path"], settings["localStorage"]["path"]]
    held.append(env(ctx)["MILVUS_RUN_DIR"]["value"])
    assert all(path.startswith(f"{builtin.DATA}/") for path in held)
    assert not any(path != builtin.DATA and path.startswith(builtin.DATA) for path in mounts), (
        "nothing is mounted over it"
    )
    # The embedded etcd puts its log below its data, unless a file of its own says otherwise.
    assert settings["etcd"]["use"] == {"embed": True}
    assert set(settings["etcd"]["data"]) == {"dir"}
    assert "config" not in settings["etcd"]
    assert settings["log"]["file"] == {"rootPath": ""}


def test_nothing_else_is_writable_but_scratch_without_data() -> None:
    spec = template(context())["spec"]
    (container,) = spec["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not any("hostPath" in volume for volume in spec["volumes"])
    scratch = {volume["name"] for volume in spec["volumes"] if "emptyDir" in volume}
    writable = {each["name"]: each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
    assert writable == {builtin.VOLUME: builtin.DATA, "tmp": "/tmp"}
    assert scratch == {"tmp", "bundle"}
