"""Milvus' own configuration, as data.

Two things in it hold the promise: `tlsMode: 2`, by which Milvus speaks only to those whose certificate the cluster's
internal authority signed, and `authorizationEnabled`. Credentials are never in it: they come as environment variables
from Secrets.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from zilliz_operator.api import names
from zilliz_operator.api.dataplane import IdentityMode
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.store import aws_domain, bucket_name

ROOT_PATH = "milvus"
TLS_DIRECTORY = "/milvus/tls"
MAX_ROLES, MAX_USERS = 512, 1024
"""The server stops at 10 roles by default, its own two included, and at 100 users. Zilliz Cloud allows 500 of each a cluster; to
those come our own: predefined roles, and one user behind keys for each set of roles."""

PARTS = {
    "rootCoord": 53100,
    "queryCoord": 19531,
    "dataCoord": 13333,
    "indexCoord": 31000,
    "queryNode": 21123,
    "dataNode": 21124,
    "indexNode": 21121,
    "streamingNode": 22222,
}
"""Milvus' inner parts, all in one process, and their ports."""
SESSION_TTL_SECONDS = 15
"""Until a part that died is believed dead. A collection is searched again that long after a restart at the latest (measured:
15 s after readiness; with the server's own 60 it is 55 s)."""

ACCESS_LOG_FORMAT = "[ACCESS] " + "|".join(
    (
        "$time_now",
        "$time_cost",
        "$method_name",
        "$method_status",
        "$error_code",
        "$response_size",
        "$trace_id",
        "$user_addr",
        "$sdk_version",
        "$database_name",
        "$collection_name",
        "$user_name",
    )
)
"""The server escapes nothing, so whatever a client can choose stands last: it cannot shift or forge a field before it.
Messages and expressions are left out; they may hold whole lines of a client's making."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where the bucket is, as Milvus is told."""

    host: str
    port: int
    tls: bool
    region: str
    iam: bool


def store(ctx: ClusterContext) -> Store:
    """The endpoint of the DataPlane, or the region's own on AWS."""
    storage, region = ctx.data_plane.object_storage, ctx.data_plane.region or "us-east-1"
    url = urlsplit(storage.endpoint or f"https://s3.{region}.{aws_domain(region)}")
    tls = url.scheme == "https"
    return Store(
        host=url.hostname or "",
        port=url.port or (443 if tls else 80),
        tls=tls,
        region=region,
        iam=storage.identity is IdentityMode.IRSA,
    )


def common(ctx: ClusterContext) -> dict[str, Any]:
    """What holds for every engine: security, the store, the door to the gateways, the access log."""
    where = store(ctx)
    security: dict[str, Any] = {"authorizationEnabled": True, "superUsers": "root", "tlsMode": 2}
    if ctx.version_at_least("2.5.0"):
        security["enablePublicPrivilege"] = False
    return {
        "common": {"storageType": "remote", "security": security},
        "minio": {
            "address": where.host,
            "port": where.port,
            "useSSL": where.tls,
            "useIAM": where.iam,
            "cloudProvider": "aws",
            "region": where.region,
            "bucketName": bucket_name(ctx, "data"),
            "rootPath": ROOT_PATH,
        },
        "proxy": {
            "http": {"enabled": True, "port": names.MILVUS_REST, "enablePprof": False, "enableWebUI": False},
            "accessLog": {
                "enable": True,
                "filename": "",
                "cacheSize": 0,  # else lines wait in memory, and a kill loses them
                "formatters": {"base": {"format": ACCESS_LOG_FORMAT}},
            },
        },
        "tls": {  # top level: below `common` it would be ignored, and a certificate with a public key served
            "serverPemPath": f"{TLS_DIRECTORY}/tls.crt",
            "serverKeyPath": f"{TLS_DIRECTORY}/tls.key",
            "caPemPath": f"{TLS_DIRECTORY}/ca.crt",
        },
        "log": {"level": "info", "stdout": True, "file": {"rootPath": ""}},
    }


def standalone(ctx: ClusterContext, *, data: str) -> dict[str, Any]:
    """One process with everything embedded; its state below the directory `data`.

    Every part's port is set: unset, they all take the proxy's and the process dies. And every part's address: a part that finds
    the session of its predecessor under its own address takes it over; under the address of a pod that is gone, it waits for its
    end (measured: 84 s to readiness, with this 7).
    """
    whole = common(ctx)
    return {
        **whole,
        "common": {**whole["common"], "session": {"ttl": SESSION_TTL_SECONDS}},
        "proxy": {**whole["proxy"], "port": names.MILVUS_GRPC, "internalPort": 19529},
        "etcd": {
            "endpoints": "127.0.0.1:2379",
            "rootPath": ROOT_PATH,
            "use": {"embed": True},
            "data": {"dir": f"{data}/etcd"},
            "log": {"level": "warn", "path": "stderr"},
        },
        "localStorage": {"path": f"{data}/files"},
        "mq": {"type": "rocksmq"},
        "rocksmq": {"path": f"{data}/rocksmq"},
        **{part: {"ip": "127.0.0.1", "port": port} for part, port in PARTS.items()},
    }


def environment(ctx: ClusterContext) -> list[dict[str, Any]]:
    """Credentials, by reference, and what only the environment can set on every version."""
    env: list[dict[str, Any]] = [
        {"name": "PROXY_MAXROLENUM", "value": str(MAX_ROLES)},
        {"name": "PROXY_MAXUSERNUM", "value": str(MAX_USERS)},
    ]
    if not store(ctx).iam:
        env += [
            _from_secret("MINIO_ACCESSKEYID", "store-credentials", "accessKeyId"),
            _from_secret("MINIO_SECRETACCESSKEY", "store-credentials", "secretAccessKey"),
        ]
    if ctx.version_at_least("2.6.0"):  # older servers start with a published password, which the operator removes
        env.append(_from_secret("COMMON_SECURITY_DEFAULTROOTPASSWORD", "milvus-root", "password"))
    return env


def _from_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
