"""A real Milvus 2.3.5 with mutual TLS, in a network namespace of its own: it listens on every address whatever
one configures."""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.stores.certificates import Authority
from tests.stores.servers import Process
from tools.devcluster.images.catalogue import fetch_milvus
from zilliz_operator.api.outside import DoorAddress

SOURCES = Path(__file__).resolve().parents[2] / "tools/devcluster/images/milvus"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zilliz-byoc/milvus"
SERVER_NAME = "milvus.test"
PARTS = {  # by default several of them want 19530
    "rootCoord": 53100,
    "queryCoord": 19531,
    "dataCoord": 13333,
    "indexCoord": 31000,
    "queryNode": 21123,
    "dataNode": 21124,
    "indexNode": 21121,
}


def binaries() -> Path:
    """The server's directory, fetched and unpacked once a machine."""
    lock = (SOURCES / "requirements.lock").read_bytes()
    home = CACHE / sha256(lock).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            (home / "requirements.lock").write_bytes(lock)
            fetch_milvus(home)
            (home / "complete").touch()
    return home / "bin"


class Namespace:
    """A network namespace that only this machine reaches, by one pair of addresses; it has no way out."""

    def __init__(self) -> None:
        self.name = f"zbt{secrets.token_hex(4)}"
        net = f"10.213.{secrets.randbelow(254) + 1}"
        self.address = f"{net}.2"
        near, far = f"{self.name}a", f"{self.name}b"
        _ip("netns", "add", self.name)
        try:
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            _ip("addr", "add", f"{net}.1/30", "dev", near)
            _ip("link", "set", near, "up")
            for rest in (
                ("addr", "add", f"{self.address}/30", "dev", far),
                ("link", "set", far, "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", self.name, *rest)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        _ip("netns", "del", self.name)  # takes both ends of the pair along


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@dataclass
class MilvusServer:
    directory: Path
    namespace: Namespace
    authority: Authority
    environ: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = None

    def door(self, **changes: Any) -> DoorAddress:
        client = self.authority.issue("gateway")
        fields: dict[str, Any] = {
            "host": self.namespace.address,
            "port": 19530,
            "server_name": SERVER_NAME,
            "ca_pem": self.authority.pem,
            "client_cert_pem": client.certificate,
            "client_key_pem": client.key,
        }
        return DoorAddress(**fields | changes)

    def start(self) -> None:
        home, library = self.directory, binaries()
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LD_LIBRARY_PATH": str(library),
            "DEPLOY_MODE": "STANDALONE",
            "METRICS_PORT": "9091",
            "MILVUS_RUN_DIR": str(home / "run"),
            "MILVUSCONF": str(home / "configs"),
            **self.environ,
        }
        command = ["ip", "netns", "exec", self.namespace.name, str(library / "milvus"), "run", "standalone"]
        self.process = Process(command, cwd=home, environ=environ, log=home / "milvus.log")
        _wait_for_health(f"http://{self.namespace.address}:9091/healthz", home / "milvus.log")

    def kill(self) -> None:
        """The signal it obeys; a polite one leaves it running for minutes."""
        if self.process is not None:
            self.process.kill()
            self.process = None

    def remove(self) -> None:
        self.kill()
        self.namespace.remove()


def make_server(directory: Path, environ: Mapping[str, str] | None = None) -> MilvusServer:
    authority = Authority("milvus-ca")
    pair = authority.issue(SERVER_NAME, dns=(SERVER_NAME,)).write(directory, "milvus")
    (directory / "ca.crt").write_text(authority.pem)
    for name in ("configs", "data", "run"):
        (directory / name).mkdir()
    data = directory / "data"
    configuration = {
        "etcd": {
            "endpoints": "127.0.0.1:2379",
            "rootPath": "zc",
            "use": {"embed": True},
            "data": {"dir": str(data / "etcd")},
            "log": {"path": str(directory / "etcd.log"), "level": "warn"},
        },
        "localStorage": {"path": str(data / "files")},
        "mq": {"type": "rocksmq"},
        "rocksmq": {"path": str(data / "rocksmq")},
        **{part: {"ip": "127.0.0.1", "port": port} for part, port in PARTS.items()},
        "proxy": {"port": 19530, "internalPort": 19529, "http": {"enabled": True, "port": 8080}},
        "tls": {
            "serverPemPath": str(pair[0]),
            "serverKeyPath": str(pair[1]),
            "caPemPath": str(directory / "ca.crt"),
        },
        "log": {"level": "warn", "file": {"rootPath": ""}, "stdout": True},
        "common": {
            "storageType": "local",
            "security": {"authorizationEnabled": True, "superUsers": "root", "tlsMode": 2},
        },
    }
    (directory / "configs/milvus.yaml").write_text(json.dumps(configuration))  # JSON is YAML
    shutil.copy(SOURCES / "glog.conf", directory / "configs/glog.conf")
    return MilvusServer(directory, Namespace(), authority, environ or {})


def _wait_for_health(url: str, log: Path, *, seconds: float = 90) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if opener.open(url, timeout=2).read() == b"OK":
                return
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"Milvus is not healthy:\n{log.read_text(errors='replace')[-3000:]}")
