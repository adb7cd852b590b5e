"""Configuration texts say what the cluster's promises need."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.devcluster import render
from tools.devcluster.layout import Layout

LAYOUT = Layout(name="unit", root=Path("/state/unit"))


def audit_level(user: str, verb: str, *, group: str = "", resource: str = "pods", groups: tuple[str, ...] = ()) -> str:
    """What the policy's first matching rule says, as the API server evaluates it."""
    for rule in yaml.safe_load(render.audit_policy())["rules"]:
        if "nonResourceURLs" in rule:
            continue
        if "users" in rule and user not in rule["users"]:
            continue
        if "userGroups" in rule and not set(groups) & set(rule["userGroups"]):
            continue
        if "verbs" in rule and verb not in rule["verbs"]:
            continue
        if "resources" in rule and not any(
            r["group"] == group and resource in r["resources"] for r in rule["resources"]
        ):
            continue
        return str(rule["level"])
    return "None"


OPERATOR = "system:serviceaccount:zilliz-system:zilliz-operator"


@pytest.mark.parametrize(
    ("user", "verb", "resource", "level"),
    [
        (OPERATOR, "patch", "services", "RequestResponse"),
        (OPERATOR, "patch", "secrets", "Metadata"),
        (OPERATOR, "create", "configmaps", "Metadata"),
        (OPERATOR, "list", "pods", "Metadata"),
        ("system:kube-controller-manager", "create", "pods", "RequestResponse"),
        ("system:kube-controller-manager", "list", "pods", "None"),
        ("system:cert-manager", "update", "secrets", "Metadata"),
        ("system:cloud", "watch", "services", "None"),
    ],
)
def test_every_write_is_in_the_audit_log_and_no_secret_is(user: str, verb: str, resource: str, level: str) -> None:
    assert audit_level(user, verb, resource=resource) == level


def test_tokens_and_leases_are_logged_without_their_content() -> None:
    assert audit_level(OPERATOR, "create", resource="serviceaccounts/token") == "Metadata"
    assert audit_level(OPERATOR, "create", group="authentication.k8s.io", resource="tokenreviews") == "Metadata"
    assert audit_level(OPERATOR, "update", group="coordination.k8s.io", resource="leases") == "Metadata"


def test_kubelet_has_a_cgroup_and_directories_of_its_own() -> None:
    config = yaml.safe_load(render.kubelet(LAYOUT))
    assert config["cgroupRoot"] == "/unit"
    assert config["failCgroupV1"] is False
    assert config["authentication"]["anonymous"]["enabled"] is False
    assert config["readOnlyPort"] == 0
    for path in (config["podLogsDir"], config["volumePluginDir"], config["resolvConf"]):
        assert path.startswith("/state/unit/")


def test_containerd_shares_no_directory_with_the_machines() -> None:
    config = tomllib.loads(render.containerd(LAYOUT, state=Path("/state/unit/containerd/state-1")))
    runtime = config["plugins"]["io.containerd.grpc.v1.cri"]["containerd"]["runtimes"]["runc"]["options"]
    for path in (config["root"], config["state"], config["grpc"]["address"], runtime["Root"]):
        assert path.startswith("/state/unit/")
    assert config["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"] == render.SANDBOX_IMAGE


def test_pods_are_not_masqueraded() -> None:
    network = json.loads(render.cni(LAYOUT))
    assert network["name"] == "unit-pods"
    assert network["plugins"][0]["ipMasq"] is False


def test_each_dns_key_may_write_only_its_own_kind_of_record() -> None:
    text = render.named(LAYOUT, keys={"acme": "c2VjcmV0", "cloud": "b3RoZXI="})
    assert "grant acme zonesub TXT; grant cloud zonesub A;" in text
    assert text.count("grant") == 2
    assert "listen-on-v6 { none; }" in text
    assert 'zone "cluster.local" { type static-stub; server-addresses { 10.96.0.10; }; }' in text


def test_acme_server_has_one_profile_of_ninety_days() -> None:
    profiles: dict[str, Any] = json.loads(render.pebble(LAYOUT))["pebble"]["profiles"]
    assert [profile["validityPeriod"] for profile in profiles.values()] == [90 * 24 * 3600]


def test_every_part_of_the_store_has_a_certificate() -> None:
    grpc = tomllib.loads(render.store_security(LAYOUT))["grpc"]
    assert grpc.pop("ca") == "/state/unit/pki/store.crt"
    assert {"master", "volume", "filer", "s3", "admin", "worker", "client"} <= set(grpc)
    assert all(part["cert"] and part["key"] for part in grpc.values())


def test_kubeconfig_points_to_files_and_holds_no_key() -> None:
    text = render.kubeconfig(
        server="https://h:1", authority=Path("/a.crt"), certificate=Path("/c.crt"), key=Path("/c.key"), user="anna"
    )
    assert yaml.safe_load(text)["users"][0]["user"] == {"client-certificate": "/c.crt", "client-key": "/c.key"}
