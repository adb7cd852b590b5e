"""Components, manifests, hosts and the command line fit together."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml

from tools.devcluster import acme, cli, cluster, components, containers, host, kube, manifests, netns, spokes, store
from tools.devcluster import layout as at
from tools.devcluster.errors import DevclusterError
from tools.devcluster.layout import Layout
from tools.devcluster.pki import Authority
from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.api.validate import validate


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    found = Layout(name="unit", root=tmp_path)
    for path, _ in found.directories():
        path.mkdir(parents=True, exist_ok=True)
    store.ensure_files(found)
    return found


def test_every_component_has_a_name_of_its_own(place: Layout) -> None:
    names = [component.name for component in components.all_components(place)]
    assert len(set(names)) == len(names) == 14


def test_stop_order(place: Layout) -> None:
    order = {component.name: component.stop_order for component in components.all_components(place)}
    assert order["kubelet"] == min(order.values())
    assert order["kube-apiserver"] < order["etcd"] < order["containerd"]
    assert order["store-admin"] < order["store"]


def test_no_secret_is_on_a_command_line(place: Layout) -> None:
    secrets = json.loads((place.store / store.SECRETS).read_text())
    lines = "\n".join(" ".join(component.argv) for component in components.all_components(place))
    assert all(secret not in lines for secret in secrets.values())
    assert (place.store / store.SECRETS).stat().st_mode & 0o777 == 0o600


def test_store_keys_are_generated_and_kept(place: Layout, tmp_path: Path) -> None:
    keys = store.admin_keys(place)
    store.ensure_files(place)
    assert store.admin_keys(place) == keys
    other = Layout(name="other", root=tmp_path / "other")
    other.store.mkdir(parents=True)
    store.ensure_files(other)
    assert store.admin_keys(other)[1] != keys[1]


def test_tenants_door_cannot_mint_keys_and_speaks_https_only(place: Layout) -> None:
    tenant, operator = store.components(place)
    assert {"-s3.iam.readOnly=true", "-disableHttp=true", "-s3.port.https=0", "-master.telemetry=false"} <= set(
        tenant.argv
    )
    assert "-iam.readOnly=false" in operator.argv
    assert tenant.env["GOMEMLIMIT"] == "400MiB"


def test_flags_of_the_last_run_do_not_win(place: Layout) -> None:
    tenant, _ = store.components(place)
    stale = place.store / "data" / "mini.options"
    stale.write_text("s3.iam.readOnly=false")
    assert tenant.before is not None
    tenant.before()
    assert not stale.exists()


def test_every_object_has_a_path(place: Layout) -> None:
    objects = [
        *manifests.base(place),
        *manifests.issuers(place, byoc=(b"c", b"k"), acme_authority=b"a", acme_key="key"),
        *manifests.handover(keys=("i", "s"), store_authority=b"", acme_roots=b"", byoc_authority=b""),
    ]
    paths = [kube.object_path(item) for item in objects]
    assert len(set(paths)) == len(paths)
    assert "/apis/apps/v1/namespaces/kube-system/deployments/coredns" in paths
    assert "/apis/cert-manager.io/v1/clusterissuers/letsencrypt" in paths
    assert "/api/v1/namespaces/zilliz-system/secrets/object-store-admin" in paths


def test_dns_pods_carry_the_label_that_policies_select(place: Layout) -> None:
    deployment = next(item for item in manifests.base(place) if item["kind"] == "Deployment")
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"] == {"k8s-app": "kube-dns"}
    context = pod["spec"]["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}


def test_no_part_of_the_cluster_is_all_powerful(place: Layout) -> None:
    for role in (item for item in manifests.base(place) if item["kind"] == "ClusterRole"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"]
            assert "*" not in rule["apiGroups"]


@pytest.mark.parametrize(
    ("used", "free"),
    [([], "10.200.0.50"), (["10.200.0.50", "10.200.0.51"], "10.200.0.52"), (["10.200.0.51"], "10.200.0.50")],
)
def test_next_client_address(used: list[str], free: str) -> None:
    assert netns.next_address([IPv4Address(address) for address in used]) == IPv4Address(free)


def test_running_out_of_client_addresses_says_what_to_do() -> None:
    with pytest.raises(DevclusterError, match="--address"):
        netns.next_address([at.FIRST_CLIENT + step for step in range(150)])


@pytest.mark.parametrize(
    ("name", "address", "message"),
    [("Bad Name", None, "letters"), ("a", "10.200.0.1", "10.200.0.50"), ("a", "192.168.0.9", "10.200.0.0/24")],
)
def test_bad_client_hosts_are_refused(place: Layout, name: str, address: str | None, message: str) -> None:
    with pytest.raises(DevclusterError, match=message):
        netns.ensure_client(place, name, address=IPv4Address(address) if address else None)


def test_a_taken_client_address_names_its_owner(place: Layout) -> None:
    (place.clients / "office.json").write_text(json.dumps({"address": "10.200.0.60", "cable": "host001"}))
    with pytest.raises(DevclusterError, match="'office'"):
        netns.ensure_client(place, "other", address=IPv4Address("10.200.0.60"))


def test_earlier_acme_roots_are_kept_for_a_while(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in [1, 2, 2, 3, 4, 5, 6, 7]:
        root = f"-----BEGIN CERTIFICATE-----\n{number}\n{acme.END}"
        monkeypatch.setattr(acme, "_fetch_root", lambda _layout, root=root: root)
        bundle = acme.roots(place).decode()
    numbers = [line for line in bundle.splitlines() if line.isdigit()]
    assert numbers == ["7", "6", "5", "4", "3"]


def test_kernel_settings_are_noted_once_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "SYSCTL", tmp_path)
    (tmp_path / "vm").mkdir()
    setting = tmp_path / "vm" / "overcommit_memory"
    setting.write_text("0\n")
    host.remember_kernel(tmp_path / "note")
    setting.write_text("1")
    host.remember_kernel(tmp_path / "note")
    host.restore_kernel(tmp_path / "note")
    assert setting.read_text() == "0"


@pytest.mark.parametrize("previous", [None, b"#!/bin/sh\nexit 0\n"])
def test_services_stay_down_while_packages_install(
    previous: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(host, "POLICY", policy)
    monkeypatch.setattr(host, "PACKAGE_LOCK", tmp_path / "lock")
    if previous is not None:
        policy.write_bytes(previous)
    with host._services_kept_down():
        assert "exit 101" in policy.read_text()
        assert policy.stat().st_mode & 0o111
    assert (policy.read_bytes() if policy.exists() else None) == previous


def test_missing_packages_are_installed_with_their_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    installed: list[str] = []
    monkeypatch.setattr(host, "POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(host, "PACKAGE_LOCK", tmp_path / "lock")
    monkeypatch.setattr(host.shutil, "which", lambda _name, path=None: "/usr/bin/apt-get")
    monkeypatch.setattr(host, "_present", lambda proof: proof != "ipset" or bool(installed))
    monkeypatch.setattr(host, "_apt", lambda *arguments: installed.extend(arguments))
    disabled: list[list[str]] = []
    monkeypatch.setattr(host, "_disable", disabled.append)
    said: list[str] = []
    host.ensure_packages(said.append)
    assert installed[-1] == "ipset"
    assert disabled == [[]]
    assert said == ["Debian package ipset is missing: installing it (network policies (kube-router))"]


def test_images_already_there_are_not_imported(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"a:1": "sha256:1", "b:1": "sha256:old"}
    monkeypatch.setattr(containers, "images", lambda _layout: dict(have))

    def ctr(_layout: Layout, *arguments: str) -> str:
        have["b:1"] = "sha256:2"
        imported.append(arguments[-1])
        return ""

    imported: list[str] = []
    monkeypatch.setattr(containers, "_ctr", ctr)
    archives = [
        FakeArchive(name="a:1", path=Path("/a.tar"), digest="sha256:1"),
        FakeArchive(name="b:1", path=Path("/b.tar"), digest="sha256:2"),
    ]
    containers.import_images(place, archives, lambda _text: None)
    assert imported == ["/b.tar"]


class FakeArchive:
    def __init__(self, *, name: str, path: Path, digest: str) -> None:
        self.name, self.path, self.digest = name, path, digest


def test_what_pods_left_outside_the_state_directory_goes(
    place: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, links = tmp_path / "cni", tmp_path / "links"
    cache.mkdir()
    links.mkdir()
    monkeypatch.setattr(containers, "CNI_CACHE", cache)
    monkeypatch.setattr(containers, "POD_LOG_LINKS", links)
    (cache / "unit-pods-c1-eth0").write_text('{"netns": "/var/run/netns/cni-1"}')
    (cache / "cni-loopback-c1-lo").write_text("{}")
    (cache / "other-pods-c2-eth0").write_text('{"netns": "/var/run/netns/cni-2"}')
    (links / "mine").symlink_to(place.pod_logs / "x")
    (links / "theirs").symlink_to("/somewhere/else")
    assert containers.forget_pods(place) == ["cni-1"]
    assert [file.name for file in cache.iterdir()] == ["other-pods-c2-eth0"]
    assert [link.name for link in links.iterdir()] == ["theirs"]


def test_the_last_cluster_takes_shared_directories_along_unless_they_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, shared, used = tmp_path / "state", tmp_path / "shared", tmp_path / "used"
    for directory in (state / "other", shared, used, tmp_path / "kubelet" / "device-plugins"):
        directory.mkdir(parents=True)
    (used / "file").write_text("")
    (tmp_path / "kubelet" / "device-plugins" / "kubelet.sock").write_text("")
    monkeypatch.setattr(cluster, "SHARED", (shared, used))
    monkeypatch.setattr(cluster, "KUBELET_LEFTOVERS", tmp_path / "kubelet")
    monkeypatch.setattr(cluster, "BUILD_RUNS", tmp_path / "builds")
    monkeypatch.setattr(cluster, "BUILD_BLOBS", tmp_path / "blobs")
    monkeypatch.setattr(cluster.image_build, "cache_directory", lambda: tmp_path / "images")
    for directory in ("builds/x", "blobs/cache", "images"):
        (tmp_path / directory).mkdir(parents=True)
    place = Layout(name="unit", root=state / "unit")
    cluster._tidy(place)
    assert shared.exists()
    (state / "other").rmdir()
    cluster._tidy(place)
    assert not shared.exists()
    assert not (tmp_path / "kubelet").exists()
    assert not (tmp_path / "builds").exists()
    assert not (tmp_path / "blobs").exists()
    assert (used / "file").exists()


def test_somebody_elses_images_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "BUILD_BLOBS", tmp_path / "blobs")
    monkeypatch.setattr(cluster.image_build, "cache_directory", lambda: tmp_path / "none")
    (tmp_path / "blobs" / "storage").mkdir(parents=True)
    cluster._tidy_builds()
    assert (tmp_path / "blobs" / "storage").exists()


def test_nothing_is_said_to_run_where_nothing_is(tmp_path: Path) -> None:
    assert cluster.status(Layout(name="nothere", root=tmp_path / "nothere")) == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--name", "nothere", "run", "--"], "after `--`"),
        (["--name", "nothere", "run", "--", "true"], "`up`"),
        (["--name", "nothere", "kubeconfig"], "`up` writes it"),
        (["--name", "nothere", "logs", "etcd"], "none yet"),
        (["--name", "nothere", "client", "office", "--", "true"], "`up` first"),
        (["--name", "NOT/A/NAME", "status"], "cluster name"),
    ],
)
def test_mistakes_are_answered_by_a_remedy(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ZBYOC_STATE", str(tmp_path))
    assert cli.main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


def test_words_after_the_dashes_are_passed_on_untouched() -> None:
    arguments = cli.parse(["client", "office", "--address", "10.200.0.70", "--", "curl", "--name", "x"])
    assert cli._command(arguments) == ["curl", "--name", "x"]
    assert (arguments.client, arguments.address, arguments.name) == ("office", IPv4Address("10.200.0.70"), None)


def test_a_command_where_none_is_taken_is_refused() -> None:
    with pytest.raises(SystemExit):
        cli.parse(["status", "--", "true"])


def test_what_debian_would_start_at_boot_is_known() -> None:
    services = {package.name: package.service for package in host.PACKAGES if package.service}
    assert services == {"containerd": "containerd.service", "bind9": "named.service", "haproxy": "haproxy.service"}


def test_further_data_planes_are_told_by_number_and_stay_apart(tmp_path: Path) -> None:
    place = Layout(name="unit", root=tmp_path / "unit")
    for name in ("unit", "unit-dp2", "unit-dp10", "unit-dpx", "other-dp3"):
        (tmp_path / name).mkdir()
    assert spokes.found(place) == [2, 10]
    second = spokes.plane(place, 2)
    assert (second.name, second.server) == ("unit-dp2", "https://10.200.0.202:6443")
    assert second.layout.root == tmp_path / "unit-dp2"
    addresses = {spokes.plane(place, number).address for number in range(spokes.FIRST, spokes.MOST + 1)}
    assert len(addresses) == spokes.MOST - spokes.FIRST + 1
    assert all(address in at.NODE_NETWORK for address in addresses)
    assert not addresses & {at.FIRST_CLIENT + step for step in range(150)}, "client hosts have those"


def test_a_data_plane_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    place = Layout(name="unit", root=tmp_path / "unit")
    with pytest.raises(DevclusterError, match="none; `up --dataplanes 2` makes dp2"):
        spokes.by_name(place, "dp2")
    (tmp_path / "unit-dp2").mkdir()
    with pytest.raises(DevclusterError, match="there are: dp2"):
        spokes.by_name(place, "dp3")
    assert spokes.by_name(place, "dp2").name == "unit-dp2"


@pytest.mark.parametrize("count", [0, 10])
def test_too_few_or_many_data_planes_are_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(DevclusterError, match="choose 1 to 9"):
        spokes.up(Layout(name="unit", root=tmp_path / "unit"), count=count, kinds=(), progress=print)


def test_the_example_of_a_further_data_plane_is_one(tmp_path: Path) -> None:
    place = Layout(name="unit", root=tmp_path / "unit")
    assert [str(finding) for finding in validate(spokes.example(place, 2))] == []


def test_its_kubeconfig_is_one_that_a_data_plane_takes(tmp_path: Path) -> None:
    spoke = spokes.plane(Layout(name="unit", root=tmp_path / "unit"), 2).layout
    spoke.pki.mkdir(parents=True)
    Authority(directory=spoke.pki, name="kube").ensure()
    access = ClusterAccess.from_kubeconfig(spokes.kubeconfig(spoke, token="t").encode())
    assert access.server == spoke.server


def test_every_object_of_a_data_planes_account_has_a_path() -> None:
    documents = [found for found in yaml.safe_load_all(spokes.ACCESS.read_text()) if found]
    assert len({kube.object_path(document) for document in documents}) == len(documents)


def test_up_takes_a_number_of_data_planes() -> None:
    assert cli.parse(["up"]).dataplanes == 1
    assert cli.parse(["up", "--dataplanes", "2"]).dataplanes == 2
    assert cli.parse(["cut", "dp2"]).data_plane == "dp2"
