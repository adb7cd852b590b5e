"""Secrets at rest: what really lies in etcd, byte for byte, and what `zilliz-operator doctor` says of it."""

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.client import Api
from tests.apiserver.conftest import control_plane
from tests.apiserver.test_doctor import diagnosis
from tools.devcluster import render
from tools.devcluster.controlplane import ControlPlane

MARKER = "a-password-that-nobody-else-has-7f3a91"


def stored(plane: ControlPlane, prefix: str) -> dict[str, bytes]:
    """Keys and values below a prefix, as etcd itself has them."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    wanted = {"key": _b64(prefix), "range_end": _b64(end)}
    connection = http.client.HTTPConnection("127.0.0.1", 2379, timeout=30)
    try:
        with plane.inside():
            connection.connect()
        connection.request(
            "POST", "/v3/kv/range", body=json.dumps(wanted), headers={"Content-Type": "application/json"}
        )
        answer = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    pairs = answer.get("kvs", ())
    return {base64.b64decode(pair["key"]).decode(): base64.b64decode(pair["value"]) for pair in pairs}


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def keep(api: Api, kind: str) -> None:
    """Something with the marker in it."""
    namespace = api.namespace("at-rest")
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "kept", "namespace": namespace},
        "data": {"password": _b64(MARKER) if kind == "Secret" else MARKER},
    }
    api.apply(manifest).must()


def test_a_secret_is_not_to_be_read_in_etcd(plane: ControlPlane) -> None:
    api = Api(plane)
    keep(api, "Secret")
    keep(api, "ConfigMap")
    (secret,) = stored(plane, "/registry/secrets/at-rest/kept").values()
    assert secret.startswith(b"k8s:enc:secretbox:v1:")
    assert MARKER.encode() not in secret
    assert _b64(MARKER).encode() not in secret
    (other,) = stored(plane, "/registry/configmaps/at-rest/kept").values()
    assert MARKER.encode() in other, "what is not encrypted would be found this way"
    read = api.get("Secret", "kept", namespace="at-rest").must()
    assert base64.b64decode(read["data"]["password"]).decode() == MARKER


def test_nor_is_any_other(plane: ControlPlane) -> None:
    keep(Api(plane), "Secret")
    found = stored(plane, "/registry/secrets/")
    assert found
    assert [key for key, value in found.items() if not value.startswith(b"k8s:enc:secretbox:v1:")] == []


def test_its_key_is_this_control_planes_own_and_nobody_elses_to_read(plane: ControlPlane) -> None:
    file = plane.layout.config / "encryption.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0


def test_doctor_sees_it(plane: ControlPlane) -> None:
    keep(Api(plane), "Secret")
    found = diagnosis(plane)["secret-encryption"]
    assert (found["state"], found["said"]) == (
        "ok",
        "the API server that answered writes Secrets to etcd encrypted (secretbox)",
    )


@pytest.fixture
def careless(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane whose encryption was switched off the usual way: `identity` first."""
    text = render.encryption(key=_b64("0" * 32))
    providers = json.loads(json.dumps(__import__("yaml").safe_load(text)))
    providers["resources"][0]["providers"].reverse()
    file = tmp_path / "encryption.yaml"
    file.write_text(json.dumps(providers))
    model = control_plane("rest")
    found = ControlPlane(model.name, apiserver_flags=(f"--encryption-provider-config={file}",))
    try:
        yield found.start()
    finally:
        found.stop()


def test_doctor_sees_secrets_in_clear(careless: ControlPlane) -> None:
    keep(Api(careless), "Secret")
    (secret,) = stored(careless, "/registry/secrets/at-rest/kept").values()
    assert MARKER.encode() in secret
    found = diagnosis(careless)["secret-encryption"]
    assert found["state"] == "fail"
    assert "in clear" in found["said"]
