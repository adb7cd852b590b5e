"""Small things about TLS that several adapters need."""

import ssl
import tempfile
from pathlib import Path


def load_client_certificate(context: ssl.SSLContext, *, certificate: bytes, key: bytes) -> None:
    """Load a key pair from memory: the ssl module reads files only, so they live for this call in our own directory."""
    with tempfile.TemporaryDirectory(prefix="zilliz-tls-") as directory:
        cert_path, key_path = Path(directory) / "tls.crt", Path(directory) / "tls.key"
        cert_path.write_bytes(certificate)
        key_path.touch(mode=0o600)
        key_path.write_bytes(key)
        context.load_cert_chain(cert_path, key_path)


def public_roots() -> str:
    """The public authorities that this machine trusts, as PEM."""
    context = ssl.create_default_context()
    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in context.get_ca_certs(binary_form=True))
