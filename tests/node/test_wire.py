"""The wire: which TLS the door speaks, whose certificate it shows, and that a new one is shown without a restart."""

import datetime as dt
import hashlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.node import door
from tests.node.harness import VALUES, Cluster, Host, Manifest, Product, ours
from zilliz_operator.api.names import GATEWAY_PORT

SECONDS = 15.0
PUBLIC = "public"
ANY_CIPHER = ("-cipher", "ALL:@SECLEVEL=0")


@pytest.fixture(scope="module", autouse=True)
def public(product: Product, quickstart: Cluster, other: Cluster) -> Iterator[Cluster]:
    """A cluster on a DataPlane whose certificates come by ACME, proved by DNS records. That takes its time, so it begins first."""
    spec = yaml.safe_load(VALUES.read_text())["dataPlane"]["spec"]
    issuer = {"kind": "ClusterIssuer", "name": "letsencrypt"}
    spec["certificates"] |= {"issuerRef": issuer, "caSecretRef": {"name": "acme-ca", "key": "ca.crt"}}
    spec["objectStorage"]["bucketPrefix"] = "public-"
    product.apply(ours("DataPlane", PUBLIC, "", spec))
    made = product.make_cluster("public-project", "shop", dataPlane=PUBLIC, wait=False)
    yield made
    made.remove(pods=False)
    product.delete("DataPlane", PUBLIC)


@dataclass(frozen=True)
class Hello:
    """How openssl introduces itself, and the alert that it must get (empty: let in)."""

    name: str
    words: tuple[str, ...]
    alert: str = ""


REFUSED = "alert handshake failure"
HELLOS = (
    Hello("TLS 1.0", ("-tls1", *ANY_CIPHER), "alert protocol version"),
    Hello("TLS 1.1", ("-tls1_1", *ANY_CIPHER), "alert protocol version"),
    Hello("TLS 1.2 AES128-GCM", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), REFUSED),
    Hello("TLS 1.2 CHACHA20", ("-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"), REFUSED),
    Hello("TLS 1.2 AES256-CBC", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-SHA384"), REFUSED),
    Hello("TLS 1.3 AES128-GCM", ("-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256"), REFUSED),
    Hello("TLS 1.3 CHACHA20", ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), REFUSED),
    Hello("TLS 1.2 AES256-GCM", ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")),
    Hello("TLS 1.3 AES256-GCM", ("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384")),
    Hello("whatever openssl likes best", ()),
)


@pytest.mark.parametrize("hello", HELLOS, ids=lambda hello: hello.name)
def test_the_load_balancers_address_speaks_tls_of_today_by_aes_256_alone(
    hello: Hello, product: Product, quickstart: Cluster
) -> None:
    target = ("-connect", f"{quickstart.address}:{GATEWAY_PORT}", "-servername", quickstart.connection["host"])
    script = 'openssl s_client "$@" </dev/null 2>&1 || true'
    said = product.office.run("sh", "-c", script, "openssl", *target, *hello.words)
    if hello.alert:
        assert hello.alert in said
        assert "Cipher is (NONE)" in said
    else:
        (line,) = [line for line in said.splitlines() if ", Cipher is " in line]
        assert line.endswith(("AES256-GCM-SHA384", "AES_256_GCM_SHA384"))


def test_it_speaks_no_plain_text(product: Product, quickstart: Cluster) -> None:
    with product.office.inside():
        line = socket.create_connection((quickstart.address, GATEWAY_PORT), timeout=SECONDS)
    with line:
        line.sendall(b"GET /v1/vector/collections HTTP/1.1\r\nHost: door\r\n\r\n")
        try:
            answer = line.recv(100)
        except ConnectionResetError:
            answer = b""
    assert not answer.startswith(b"HTTP/")


def served(source: Host, address: str, *, host: str, authority: str) -> bytes:
    """The certificate shown at an address, verified for that name against that authority."""
    context = ssl.create_default_context(cadata=authority)
    with source.inside():
        bare = socket.create_connection((address, GATEWAY_PORT), timeout=SECONDS)
    with bare, context.wrap_socket(bare, server_hostname=host) as line:
        return cast(bytes, line.getpeercert(binary_form=True))


def in_secret(cluster: Cluster) -> bytes:
    """The certificate in the Secret `gateway-tls`."""
    pem = cluster.product.secret("gateway-tls", cluster.namespace)["tls.crt"]
    return ssl.PEM_cert_to_DER_cert(pem.partition("-----END")[0] + "-----END CERTIFICATE-----")


def everywhere(cluster: Cluster) -> list[bytes]:
    """What the load balancer's address and each gateway show."""
    addresses = [cluster.address, *(pod.address for pod in cluster.pods("gateway"))]
    connection, office = cluster.connection, cluster.product.office
    return [served(office, each, host=connection["host"], authority=connection["ca.crt"]) for each in addresses]


def test_every_gateway_shows_the_secrets_certificate(quickstart: Cluster) -> None:
    wanted = in_secret(quickstart)
    assert everywhere(quickstart) == [wanted] * 3
    assert quickstart.status["certificate"]["sha256"] == hashlib.sha256(wanted).hexdigest()


def test_another_name_or_authority_is_noticed_by_the_client(product: Product, quickstart: Cluster) -> None:
    """The counterpart of the verification above."""
    connection, address = quickstart.connection, quickstart.address
    foreign = (product.layout.pki / "store.crt").read_text()
    for host, authority in ((f"x{connection['host']}", connection["ca.crt"]), (connection["host"], foreign)):
        with pytest.raises(ssl.SSLCertVerificationError):
            served(product.office, address, host=host, authority=authority)


def incarnations(cluster: Cluster) -> set[tuple[str, int]]:
    """Pods by UID, with how often their containers were restarted."""
    pods = [pod.read() for pod in cluster.pods()]
    return {(p["metadata"]["uid"], sum(c["restartCount"] for c in p["status"]["containerStatuses"])) for p in pods}


def test_a_renewed_certificate_is_shown_without_a_restart(product: Product, other: Cluster) -> None:
    before, pods = in_secret(other), incarnations(other)
    renew(product, other)
    product.wait_for(lambda: in_secret(other) != before, what="cert-manager renews the door's certificate")
    renewed = in_secret(other)
    product.wait_for(
        lambda: everywhere(other) == [renewed] * 3,
        what="every gateway shows the renewed certificate",
        about=("ZillizCluster", other.name, other.project),
    )
    key = [x509.load_der_x509_certificate(each).public_key() for each in (before, renewed)]
    assert key[0] != key[1], "a renewal makes a new key"
    assert door.rest(other, token=other.key["token"], source=product.office).status == 200
    wanted = hashlib.sha256(renewed).hexdigest()
    product.wait_for(lambda: other.status["certificate"]["sha256"] == wanted, what="the status names the new one")
    other.wait_condition("EndpointVerified")
    assert incarnations(other) == pods


def renew(product: Product, cluster: Cluster) -> None:
    """What `cmctl renew` does."""
    found = product.get("Certificate", "gateway-tls", cluster.namespace)
    kept = [each for each in found["status"]["conditions"] if each["type"] != "Issuing"]
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    issuing = {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "by a test"}
    issuing |= {"lastTransitionTime": now}
    path = f"/apis/cert-manager.io/v1/namespaces/{cluster.namespace}/certificates/gateway-tls/status"
    body: Manifest = {"status": {"conditions": [*kept, issuing]}}
    product.api.request("PATCH", path, body=body, content="application/merge-patch+json").must()


def test_a_certificate_by_acme(product: Product, public: Cluster) -> None:
    made = public.wait_ready()
    roots = product.secret("acme-ca", "zilliz-system")["ca.crt"]
    host = made.connection["host"]
    leaf = served(product.office, made.address, host=host, authority=roots)
    assert leaf == in_secret(made)
    certificate = x509.load_der_x509_certificate(leaf)
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert dt.timedelta(days=89) < lifetime <= dt.timedelta(days=90)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host]
    (issuer,) = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert "Pebble" in str(issuer.value)
    connection = made.connection
    assert connection["ca.crt"].strip() == roots.strip()
    assert door.rest(made, token=made.key["token"], source=product.office).status == 200
