"""Keys and certificates of the cluster's own parts, made once and kept in the state directory.

Elliptic-curve keys (made in milliseconds), files readable by root only, one authority a purpose: `kube` signs the
control plane, `store` the object store, `byoc` is the private authority that the ClusterIssuer `byoc-ca` stands for.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=3650)
BACKDATE = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A certificate to be issued."""

    name: str
    common_name: str
    organization: str = ""
    dns: tuple[str, ...] = ()
    addresses: tuple[IPv4Address, ...] = ()
    server: bool = False
    client: bool = False


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority on disk: `<directory>/<name>.{crt,key}`."""

    directory: Path
    name: str

    @property
    def certificate_file(self) -> Path:
        return self.directory / f"{self.name}.crt"

    @property
    def key_file(self) -> Path:
        return self.directory / f"{self.name}.key"

    def ensure(self) -> Authority:
        """Make the authority unless it is there."""
        if not _belong_together(self.certificate_file, self.key_file):
            key = ec.generate_private_key(ec.SECP256R1())
            certificate = _builder(
                subject=_name(f"{self.name} authority"), issuer=_name(f"{self.name} authority"), key=key
            )
            certificate = certificate.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            certificate = certificate.add_extension(_usage(authority=True), critical=True)
            _write_pair(self.certificate_file, self.key_file, certificate.sign(key, hashes.SHA256()), key)
        return self

    def issue(self, leaf: Leaf) -> tuple[Path, Path]:
        """Certificate and key files of `leaf`, issued unless the ones there still say the same."""
        certificate_file, key_file = self.directory / f"{leaf.name}.crt", self.directory / f"{leaf.name}.key"
        authority = x509.load_pem_x509_certificate(self.certificate_file.read_bytes())
        signer = serialization.load_pem_private_key(self.key_file.read_bytes(), password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        if _belong_together(certificate_file, key_file) and _says(certificate_file, leaf=leaf, authority=authority):
            return certificate_file, key_file
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(subject=_name(leaf.common_name, leaf.organization), issuer=authority.subject, key=key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_purposes(leaf)), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        if leaf.dns or leaf.addresses:
            builder = builder.add_extension(_alternatives(leaf), critical=False)
        _write_pair(certificate_file, key_file, builder.sign(signer, hashes.SHA256()), key)
        return certificate_file, key_file


def ensure_signing_key(directory: Path, name: str) -> tuple[Path, Path]:
    """An RSA pair `<name>.key`, `<name>.pub` for service-account tokens (RS256, which every OIDC client can verify)."""
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    if not (private.exists() and public.exists()):
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        write_private(private, _pem(key))
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        write_private(public, key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return private, public


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, never visible half-written."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as handle:
        handle.write(content)
    part.replace(path)


def _write_pair(
    certificate_file: Path, key_file: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    write_private(key_file, _pem(key))
    write_private(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    traditional, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, traditional, plain)


def _name(common_name: str, organization: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(*, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - BACKDATE).not_valid_after(now + LIFETIME)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_encipherment=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _purposes(leaf: Leaf) -> list[x509.ObjectIdentifier]:
    server = [ExtendedKeyUsageOID.SERVER_AUTH] if leaf.server else []
    return server + ([ExtendedKeyUsageOID.CLIENT_AUTH] if leaf.client else [])


def _alternatives(leaf: Leaf) -> x509.SubjectAlternativeName:
    names: Sequence[x509.GeneralName] = [x509.DNSName(name) for name in leaf.dns]
    return x509.SubjectAlternativeName([*names, *(x509.IPAddress(address) for address in leaf.addresses)])


def _belong_together(certificate_file: Path, key_file: Path) -> bool:
    """False if either is missing, or they are of two attempts, the first of which was cut off."""
    if not (certificate_file.exists() and key_file.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    return certificate.public_key() == key.public_key()


def _says(certificate_file: Path, *, leaf: Leaf, authority: x509.Certificate) -> bool:
    """Whether the certificate on disk is what `leaf` asks for, by this authority, and valid for a while yet."""
    found = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    try:
        found.verify_directly_issued_by(authority)
    except Exception:  # any reason not to be this authority's work is one to issue anew
        return False
    alternatives = [e.value for e in found.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    wanted = [_alternatives(leaf)] if leaf.dns or leaf.addresses else []
    purposes = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    return (
        found.subject == _name(leaf.common_name, leaf.organization)
        and alternatives == wanted
        and list(purposes) == _purposes(leaf)
        and found.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=30)
    )
