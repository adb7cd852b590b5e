"""Authorities and certificates for the gateway's tests, made in milliseconds."""

import datetime
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
_PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    cert: str
    key: str

    @property
    def der(self) -> bytes:
        return x509.load_pem_x509_certificate(self.cert.encode()).public_bytes(serialization.Encoding.DER)


class Authority:
    """Signs certificates; its own is `pem`."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key.public_key(), days=(-1, 3650))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._cert = builder.sign(self._key, hashes.SHA256())
        self.pem = self._cert.public_bytes(_PEM).decode()

    def issue(
        self, name: str, *, dns: tuple[str, ...] = (), days: tuple[int, int] = (-1, 30), use_rsa: bool = False
    ) -> Pair:
        """A leaf; valid from days[0] to days[1] from now."""
        key = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if use_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key.public_key(), days=days)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        if dns:
            names: list[x509.GeneralName] = [x509.DNSName(one) for one in dns]
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        cert = builder.sign(self._key, hashes.SHA256())
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return Pair(cert.public_bytes(_PEM).decode(), key.private_bytes(_PEM, *form).decode())


def _builder(subject: x509.Name, issuer: x509.Name, key: object, *, days: tuple[int, int]) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
    )


class Pki:
    """All authorities of one door."""

    def __init__(self) -> None:
        self.public = Authority("public-ca")
        self.internal = Authority("internal-ca")
        self.operator_ca = Authority("operator-ca")
        self.users = Authority("users-ca")
        self.evil = Authority("operator-ca")
        self.door = self.public.issue("door", dns=("door.test", "localhost"))
        self.milvus = self.internal.issue("milvus", dns=("milvus", "localhost"))
        self.gateway = self.internal.issue("gateway")
        self.operator = self.operator_ca.issue("zilliz-operator")
