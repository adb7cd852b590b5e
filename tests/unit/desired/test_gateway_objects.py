"""The gateway's Kubernetes objects: restricted, replaced without a gap, and restarted by nothing but the spec or the image."""

import base64
from typing import Any

import pytest

from tests.unit.desired.samples import context, data_plane
from zilliz_operator.desired import gateway
from zilliz_operator.desired.door import DoorConfig, DoorFiles, DoorKey, TechnicalUser, render

IMAGE = "docker.io/zillizbyoc/gateway:0.1.0"


def files(**changes: Any) -> DoorFiles:
    return render(DoorConfig(cluster_id="in01-x", milvus_host="milvus.x.svc.cluster.local", **changes))


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))


def built(
    spec: dict[str, Any] | None = None, plane: dict[str, Any] | None = None, **changes: Any
) -> list[dict[str, Any]]:
    return gateway.objects(context(spec or {}, plane), files=files(**changes), image=IMAGE)


def test_what_there_is() -> None:
    assert sorted((each["kind"], each["metadata"]["name"]) for each in built()) == [
        ("ConfigMap", "gateway-config"),
        ("Deployment", "gateway"),
        ("PodDisruptionBudget", "gateway"),
        ("Secret", "gateway-maps"),
        ("Service", "gateway"),
        ("Service", "gateway-metrics"),
    ]


def test_files_travel_unchanged() -> None:
    users = (TechnicalUser(name="zt_viewer", password="s3cret"),)
    wanted = files(technical_users=users, keys=(DoorKey(digest="ab" * 32, key_id="k", user="zt_viewer"),))
    objects = built(technical_users=users, keys=(DoorKey(digest="ab" * 32, key_id="k", user="zt_viewer"),))
    assert find(objects, "ConfigMap", "gateway-config")["data"] == wanted.config
    data = find(objects, "Secret", "gateway-maps")["data"]
    assert {key: base64.b64decode(value).decode() for key, value in data.items()} == wanted.maps


def test_pods_restart_for_no_change_of_what_the_door_does() -> None:
    templates = [
        find(built(**changes), "Deployment", "gateway")["spec"]
        for changes in (
            {},
            {"allow": ("203.0.113.0/24",)},
            {"min_tls": "1.3"},
            {"technical_users": (TechnicalUser(name="a", password="b"),)},
        )
    ]
    assert all(template == templates[0] for template in templates)


def test_the_pod_is_restricted() -> None:
    pod = find(built(), "Deployment", "gateway")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    writable = [mount["name"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["tmp"]
    assert next(volume for volume in pod["volumes"] if volume["name"] == "tmp")["emptyDir"]["medium"] == "Memory"


def test_the_operators_authority_is_mounted_without_its_key() -> None:
    pod = find(built(), "Deployment", "gateway")["spec"]["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "operator-ca")
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_it_stops_softly_and_is_replaced_without_a_gap() -> None:
    from zilliz_operator.agent.settings import Settings

    spec = find(built(), "Deployment", "gateway")["spec"]
    limits = DoorConfig(cluster_id="x", milvus_host="x").limits
    assert limits.close_spread_seconds < limits.hard_stop_seconds < Settings().stop_seconds
    assert (
        Settings().leave_seconds + Settings().stop_seconds < spec["template"]["spec"]["terminationGracePeriodSeconds"]
    )
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert find(built(), "PodDisruptionBudget", "gateway")["spec"]["maxUnavailable"] == 1


def test_no_probe_asks_the_agent() -> None:
    container = find(built(), "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert [(probe["path"], probe["port"]) for probe in probes] == [
        ("/livez", "ops"),
        ("/livez", "ops"),
        ("/readyz", "ops"),
    ]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"milvus": 19530, "metrics": 9530, "ops": 8404}


def test_selectors_hold_no_label_that_users_tools_rewrite() -> None:
    objects = built()
    labels = find(objects, "Deployment", "gateway")["spec"]["template"]["metadata"]["labels"]
    for each in objects:
        selector = each.get("spec", {}).get("selector")
        if selector:
            selector = selector.get("matchLabels", selector)
            assert selector.items() <= labels.items()
            assert set(selector) == {"byoc.zilliz.com/cluster-id", "app.kubernetes.io/component"}


class TestService:
    def service(self, *args: Any, **changes: Any) -> dict[str, Any]:
        return find(built(*args, **changes), "Service", "gateway")

    def test_internal(self) -> None:
        spec = self.service({"exposure": "Internal"}, allow=("203.0.113.0/24",))["spec"]
        assert spec["type"] == "ClusterIP"
        assert not {"externalTrafficPolicy", "loadBalancerSourceRanges"} & set(spec)

    def test_a_load_balancer_keeps_the_clients_address_and_admits_only_listed_ones(self) -> None:
        network = data_plane()["spec"]["network"] | {"operatorCIDRs": ["192.0.2.0/28"]}
        service = self.service(
            {"exposure": "LoadBalancer"},
            data_plane(network=network),
            allow=("203.0.113.0/24",),
            load_balancers=("10.9.0.0/24",),
        )
        assert service["spec"]["externalTrafficPolicy"] == "Local"
        assert service["spec"]["loadBalancerSourceRanges"] == ["10.9.0.0/24", "192.0.2.0/28", "203.0.113.0/24"]
        host = service["metadata"]["annotations"]["external-dns.alpha.kubernetes.io/hostname"]
        assert host == context({}).door_host

    def test_a_closed_door_is_not_an_open_load_balancer(self) -> None:
        assert self.service({"exposure": "LoadBalancer"})["spec"]["loadBalancerSourceRanges"] == ["0.0.0.0/32"]

    def test_more_ranges_than_a_firewall_holds_are_left_to_policies_and_gateways(self) -> None:
        many = tuple(f"203.0.113.{n}/32" for n in range(0, 200, 2))
        assert "loadBalancerSourceRanges" not in self.service({"exposure": "LoadBalancer"}, allow=many)["spec"]

    @pytest.mark.parametrize(
        ("spec", "key"),
        [
            ({"exposure": "LoadBalancer"}, "target-group-attributes"),
            (
                {"exposure": "PrivateLink", "privateLink": {"allowedPrincipals": ["arn:aws:iam::111122223333:root"]}},
                "proxy-protocol",
            ),
        ],
    )
    def test_on_aws_it_is_internal_and_the_address_survives(self, spec: dict[str, Any], key: str) -> None:
        from tests.unit.desired.samples import documents, of_kind

        plane = of_kind(documents("dataplane-aws.yaml"), "DataPlane")[0]
        annotations = self.service(spec, plane)["metadata"]["annotations"]
        prefix = "service.beta.kubernetes.io/aws-load-balancer-"
        assert annotations[prefix + "scheme"] == "internal"
        assert prefix + key in annotations


def test_metrics_are_watched_even_of_a_gateway_that_is_not_ready() -> None:
    spec = find(built(), "Service", "gateway-metrics")["spec"]
    assert (spec["type"], spec["publishNotReadyAddresses"], spec["ports"][0]["port"]) == ("ClusterIP", True, 9530)
