"""Certificates: verifiable, private on disk, issued once, and issued anew when what they must say has changed."""

from __future__ import annotations

import ssl
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509

from tools.devcluster.pki import Authority, Leaf, ensure_signing_key, write_private

LEAF = Leaf(name="server", common_name="srv", dns=("localhost",), addresses=(IPv4Address("127.0.0.1"),), server=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(directory=tmp_path, name="ca").ensure()


def test_openssl_accepts_the_chain_for_the_names_and_no_others(authority: Authority) -> None:
    certificate, key = authority.issue(LEAF)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        for name, accepted in (("localhost", True), ("127.0.0.1", True), ("other", False)):
            assert _accepts(server.server_port, name, authority.certificate_file) is accepted
        stranger = Authority(directory=authority.directory, name="stranger").ensure()
        assert not _accepts(server.server_port, "localhost", stranger.certificate_file)
    finally:
        server.shutdown()
        server.server_close()


def _accepts(port: int, name: str, root: Path) -> bool:
    import socket

    context = ssl.create_default_context(cafile=str(root))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as raw,
            context.wrap_socket(raw, server_hostname=name),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False


def test_issued_once_and_again_when_it_must_say_something_else(authority: Authority) -> None:
    certificate, _ = authority.issue(LEAF)
    first = certificate.read_bytes()
    assert authority.issue(LEAF)[0].read_bytes() == first
    for changed in (
        replace(LEAF, addresses=(IPv4Address("10.0.0.1"),)),
        replace(LEAF, common_name="other"),
        replace(LEAF, client=True),
    ):
        assert authority.issue(changed)[0].read_bytes() != first
        first = certificate.read_bytes()


def test_an_authority_is_made_once_and_another_ones_leaf_is_replaced(authority: Authority) -> None:
    certificate, _ = authority.issue(LEAF)
    before = authority.certificate_file.read_bytes()
    authority.ensure()
    assert authority.certificate_file.read_bytes() == before
    old = certificate.read_bytes()
    authority.key_file.unlink()
    assert authority.ensure().issue(LEAF)[0].read_bytes() != old


def test_a_key_of_an_attempt_that_was_cut_off_is_not_paired_with_an_old_certificate(authority: Authority) -> None:
    certificate, key = authority.issue(LEAF)
    _, other_key = authority.issue(replace(LEAF, name="other"))
    key.write_bytes(other_key.read_bytes())
    authority.issue(LEAF)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)


def test_an_organization_becomes_the_kubernetes_group(authority: Authority) -> None:
    certificate, _ = authority.issue(Leaf(name="a", common_name="admin", organization="system:masters", client=True))
    subject = x509.load_pem_x509_certificate(certificate.read_bytes()).subject.rfc4514_string()
    assert subject == "CN=admin,O=system:masters"


def test_every_file_is_its_owners_alone(authority: Authority) -> None:
    authority.issue(LEAF)
    ensure_signing_key(authority.directory, "sa")
    for file in authority.directory.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


def test_writing_replaces_a_left_over_part(tmp_path: Path) -> None:
    (tmp_path / "x.part").write_text("half")
    write_private(tmp_path / "x", b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert not (tmp_path / "x.part").exists()
