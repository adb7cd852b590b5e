"""The object store: SeaweedFS by HTTPS only, hardened so that no tenant can mint keys or read another's.

Two doors to one store: port 8333 for tenants, where identities cannot be changed, and port 8334 for the operator alone.
Its parts talk by mutual TLS, its plain HTTP ports are shut, keys and the key-encryption key are made once, here.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from tools.devcluster import checks, render
from tools.devcluster import layout as at
from tools.devcluster.build import of_environment
from tools.devcluster.layout import Layout
from tools.devcluster.pki import write_private
from tools.devcluster.process import Component

MASTER_PORT, VOLUME_PORT, FILER_PORT, ADMIN_PORT = 19333, 19340, 18888, 13646
GRPC_OFFSET = 10000
SECRETS = "secrets.json"
MEMORY_LIMIT = "400MiB"  # less makes it collect garbage all day, more is never given back


def ensure_files(layout: Layout) -> None:
    """Directories, security.toml and the generated keys."""
    for name in ("data", "tmp", "tmp-admin", "home"):
        (layout.store / name).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(layout.store / "security.toml", render.store_security(layout).encode())
    file = layout.store / SECRETS
    if not file.exists():
        made = {
            "AWS_ACCESS_KEY_ID": "ADMIN" + secrets.token_hex(8).upper()[:15],
            "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
            "WEED_S3_SSE_KEK": secrets.token_hex(32),
            **{f"WEED_JWT_{name}KEY": secrets.token_urlsafe(32) for name in _JWT_KEYS},
        }
        write_private(file, json.dumps(made, indent=1).encode())


_JWT_KEYS = ("SIGNING_", "SIGNING_READ_", "FILER_SIGNING_", "FILER_SIGNING_READ_")


def admin_keys(layout: Layout) -> tuple[str, str]:
    """The administrator's access key id and secret."""
    known = _secrets(layout)
    return known["AWS_ACCESS_KEY_ID"], known["AWS_SECRET_ACCESS_KEY"]


def _secrets(layout: Layout) -> dict[str, str]:
    return dict(json.loads((layout.store / SECRETS).read_text()))


def components(layout: Layout) -> tuple[Component, ...]:
    """The store with its tenants' door, and the operator's door."""
    environment = {**_secrets(layout), "HOME": str(layout.store / "home"), "GOMEMLIMIT": MEMORY_LIMIT}
    return (_mini(layout, environment), _admin_gateway(layout, environment))


def _mini(layout: Layout, environment: dict[str, str]) -> Component:
    data = layout.store / "data"
    return Component(
        name="store",
        argv=(
            *_own_tmp(layout.store / "tmp"),
            *_weed("mini"),
            f"-dir={data}",
            f"-ip={layout.address}",
            f"-ip.bind={layout.address}",
            f"-master.port={MASTER_PORT}",
            "-master.telemetry=false",
            f"-volume.port={VOLUME_PORT}",
            f"-filer.port={FILER_PORT}",
            f"-filer.localSocket={layout.store}/filer.sock",
            f"-s3.localSocket={layout.store}/s3.sock",
            f"-s3.port={at.STORE_PORT}",
            "-s3.port.https=0",
            f"-s3.cert.file={layout.pki}/store-server.crt",
            f"-s3.key.file={layout.pki}/store-server.key",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam.readOnly=true",
            "-s3.allowDeleteBucketNotEmpty=false",
            "-s3.autoCreateBucket=false",
            "-webdav=false",
            "-admin.ui=false",
            f"-admin.port={ADMIN_PORT}",
            "-disableHttp=true",
        ),
        env=environment,
        cwd=layout.store,
        files=(layout.store / "security.toml", layout.pki / "store-server.crt", layout.pki / "store-grpc.crt"),
        # flags of the last run lie there and would win over ours
        before=lambda: (data / "mini.options").unlink(missing_ok=True),
        ready=lambda: _healthy(layout, at.STORE_PORT),
        stop_order=45,
        stop_seconds=20.0,
    )


def _admin_gateway(layout: Layout, environment: dict[str, str]) -> Component:
    return Component(
        name="store-admin",
        argv=(
            *_own_tmp(layout.store / "tmp-admin"),
            *_weed("s3"),
            f"-filer={layout.address}:{FILER_PORT}",
            f"-ip.bind={layout.address}",
            f"-port={at.STORE_ADMIN_PORT}",
            "-port.https=0",
            f"-port.grpc={at.STORE_ADMIN_PORT + GRPC_OFFSET}",
            "-port.iceberg=0",
            "-port.lance=0",
            f"-cert.file={layout.pki}/store-server.crt",
            f"-key.file={layout.pki}/store-server.key",
            "-iam.readOnly=false",
            "-allowDeleteBucketNotEmpty=false",
            "-autoCreateBucket=false",
        ),
        env=environment,
        cwd=layout.store,
        files=(layout.store / "security.toml", layout.pki / "store-server.crt", layout.pki / "store-grpc.crt"),
        ready=lambda: _healthy(layout, at.STORE_ADMIN_PORT),
        stop_order=44,
        stop_seconds=20.0,
    )


def _weed(command: str) -> tuple[str, ...]:
    return (str(of_environment("weed")), "-logtostderr=true", command)


def _own_tmp(directory: Path) -> tuple[str, ...]:
    """Run with a /tmp of one's own: SeaweedFS makes sockets at fixed names there, which two clusters would share."""
    return ("unshare", "--mount", "--", "sh", "-c", 'mount --bind "$0" /tmp && exec "$@"', str(directory))


def _healthy(layout: Layout, port: int) -> bool:
    return checks.https_ok(host=str(layout.address), port=port, path="/healthz", authority=layout.pki / "store.crt")
