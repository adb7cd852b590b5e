"""Where credentials for a cluster come from, and what is refused with a remedy."""

import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.api.exceptions import InvalidSpec


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def kubeconfig(cluster: dict[str, Any], user: dict[str, Any]) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "team"}}],
        "clusters": [{"name": "k", "cluster": {"server": "https://k.example:6443", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }


async def test_kubeconfig_bytes_with_inline_data(pair: tuple[bytes, bytes]) -> None:
    certificate, key = (base64.b64encode(part).decode() for part in pair)
    content = kubeconfig(
        {"certificate-authority-data": certificate}, {"client-certificate-data": certificate, "client-key-data": key}
    )
    access = ClusterAccess.from_kubeconfig(yaml.safe_dump(content).encode())
    assert (access.server, access.namespace, len(access.middlewares)) == ("https://k.example:6443", "team", 1)
    assert access.ssl_context is not None
    assert len(access.ssl_context.get_ca_certs()) == 1


async def test_kubeconfig_file_with_relative_files(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(pair[0])
    (tmp_path / "token").write_text("t")
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(kubeconfig({"certificate-authority": "ca.crt"}, {"tokenFile": "token"})))
    access = ClusterAccess.from_kubeconfig(path)
    assert len(access.middlewares) == 2


async def test_in_cluster_reads_the_service_account(pair: tuple[bytes, bytes], tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_bytes(pair[0])
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("zilliz-system")
    environ = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    access = ClusterAccess.from_in_cluster(tmp_path, environ)
    assert (access.server, access.namespace) == ("https://[fd00::1]:443", "zilliz-system")


def test_outside_a_pod_the_remedy_is_a_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match="give a kubeconfig"):
        ClusterAccess.from_in_cluster(tmp_path, {})


@pytest.mark.parametrize(
    ("cluster", "user", "field"),
    [
        ({"insecure-skip-tls-verify": True}, {}, "clusters.insecure-skip-tls-verify"),
        ({"server": "http://k.example"}, {}, "clusters.server"),
        ({"server": "http://127.0.0.1:8001"}, {}, "clusters.server"),
        ({"server": "https://anna:s3cret@k.example"}, {}, "clusters.server"),
        ({"server": "https://[::1"}, {}, "clusters.server"),
        ({"proxy-url": "http://p"}, {}, "clusters.proxy-url"),
        ({}, {"exec": {"command": "aws"}}, "users.exec"),
        ({}, {"client-certificate-data": "eA=="}, "users"),
        ({"certificate-authority-data": "eA=="}, {}, "kubeconfig"),
        ({"certificate-authority-data": "%"}, {}, "clusters.certificate-authority-data"),
        ({"certificate-authority": "ca.crt"}, {}, "clusters.certificate-authority"),
        ({}, {"auth-provider": {"name": "gcp"}}, "users.auth-provider"),
        ({}, {"as": "system:admin", "token": "t"}, "users.as"),
        ({}, {"token": "two\nlines"}, "users.token"),
        ({}, {"tokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token"}, "users.tokenFile"),
        ({}, {"client-certificate": "/c", "client-key": "/k"}, "users.client-certificate"),
        ({"certificate-authority": "/etc/passwd"}, {}, "clusters.certificate-authority"),
    ],
)
def test_what_cannot_be_honoured_is_refused(cluster: dict[str, Any], user: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        ClusterAccess.from_kubeconfig(kubeconfig(cluster, user))
    assert caught.value.path == field


def test_an_unreadable_kubeconfig_is_never_quoted() -> None:
    with pytest.raises(InvalidSpec) as caught:
        ClusterAccess.from_kubeconfig(b"token: {s3cret")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("part", ["contexts", "clusters", "users"])
@pytest.mark.parametrize(
    "garbage", [5, "s3cret", None, [None, "s3cret"], {"name": "c"}, [{"name": "k", "cluster": "s3cret"}]]
)
def test_garbage_is_refused_by_the_name_of_its_section(part: str, garbage: object) -> None:
    with pytest.raises(InvalidSpec) as caught:
        ClusterAccess.from_kubeconfig(yaml.safe_dump(kubeconfig({}, {}) | {part: garbage}).encode())
    assert caught.value.path == part
    assert "s3cret" not in str(caught.value)


def test_no_refusal_quotes_a_credential() -> None:
    with pytest.raises(InvalidSpec) as caught:
        ClusterAccess.from_kubeconfig(kubeconfig({"server": "https://anna:s3cret@k.example"}, {"token": "s3cret"}))
    assert "s3cret" not in str(caught.value)


def test_a_missing_context_is_named() -> None:
    content = kubeconfig({}, {}) | {"current-context": "other"}
    with pytest.raises(InvalidSpec, match="no context named 'other'"):
        ClusterAccess.from_kubeconfig(content)
