"""Real stores on loopback: SeaweedFS, hardened as in production (two gateways over TLS), and moto for what AWS
alone has."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.stores.certificates import Authority

GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "client", "msg_broker")


def free_base(offsets: Sequence[int]) -> int:
    """A port number from which every offset is free now."""
    while True:
        base = 20000 + secrets.randbelow(2500)
        if all(_is_free(base + offset) for offset in offsets):
            return base


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Process:
    """A program of ours, waited for by its port and ended by its pid."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, environ: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                arguments, cwd=cwd, env=dict(environ), stdout=out, stderr=out, start_new_session=True
            )

    def wait_for(self, ready: str, *, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(ready, timeout=2)
                return
            except urllib.error.HTTPError:
                return  # it answers
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"not ready: {ready}\n{self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)


@dataclass
class SeaweedFS:
    """One store. `tenant`: where clusters read and write, and nobody manages keys. `operator`: where we manage them."""

    directory: Path
    authority: Authority
    tenant: str
    operator: str
    access_key_id: str
    secret_access_key: str
    processes: list[Process]

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()


def start_seaweedfs(directory: Path) -> SeaweedFS:
    weed = str(Path(sys.executable).parent / "weed")
    authority = Authority()
    server = authority.issue("s3.test", dns=("localhost",), ips=("127.0.0.1",)).write(directory, "s3")
    grpc = authority.issue("grpc.test", dns=("localhost",), ips=("127.0.0.1",)).write(directory, "grpc")
    (directory / "ca.crt").write_text(authority.pem)
    sections = "".join(f'[grpc.{part}]\ncert = "{grpc[0]}"\nkey = "{grpc[1]}"\n' for part in GRPC)
    (directory / "security.toml").write_text(f'[grpc]\nca = "{directory / "ca.crt"}"\n{sections}')
    key_id, secret = "ROOT" + secrets.token_hex(8).upper(), secrets.token_hex(20)
    ports = ("master", "volume", "filer", "s3", "admin", "operator")
    base = free_base([offset for index in range(len(ports)) for offset in (index, index + 10000)])
    port = {name: base + index for index, name in enumerate(ports)}
    jwt = {
        f"WEED_JWT_{kind}SIGNING_{part}": secrets.token_hex(16)
        for kind in ("", "FILER_")
        for part in ("KEY", "READ_KEY")
    }
    environ = {
        **jwt,
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "WEED_S3_SSE_KEK": secrets.token_hex(32),
        "GOMEMLIMIT": "400MiB",
    }
    data = directory / "data"
    data.mkdir()
    mini = [
        *(weed, "-logtostderr=true", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={port['master']}", f"-volume.port={port['volume']}", f"-filer.port={port['filer']}"),
        *(f"-s3.port={port['s3']}", "-s3.port.https=0", f"-s3.cert.file={server[0]}", f"-s3.key.file={server[1]}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-webdav=false", "-admin.ui=false", f"-admin.port={port['admin']}"),
        *("-master.telemetry=false", "-s3.iam.readOnly=true", "-s3.allowDeleteBucketNotEmpty=false"),
        *("-s3.autoCreateBucket=false", "-disableHttp=true"),
        *(f"-filer.localSocket={directory}/filer.sock", f"-s3.localSocket={directory}/s3.sock"),
    ]
    gateway = [
        *(weed, "-logtostderr=true", "s3", f"-filer=127.0.0.1:{port['filer']}", "-ip.bind=127.0.0.1"),
        *(f"-port={port['operator']}", "-port.https=0", f"-port.grpc={port['operator'] + 10000}"),
        *("-port.iceberg=0", "-port.lance=0", f"-cert.file={server[0]}", f"-key.file={server[1]}"),
        *("-iam.readOnly=false", "-allowDeleteBucketNotEmpty=false", "-autoCreateBucket=false"),
        f"-localSocket={directory}/operator.sock",
    ]
    tenant, operator = (f"https://127.0.0.1:{port[name]}" for name in ("s3", "operator"))
    store = SeaweedFS(directory, authority, tenant, operator, key_id, secret, [])
    try:
        for arguments, url in ((mini, tenant), (gateway, operator)):
            process = Process(arguments, cwd=directory, environ=environ, log=directory / "weed.log")
            store.processes.append(process)
            process.wait_for(url.replace("https:", "http:"))  # plain HTTP gets 400 from an HTTPS port: it is up
    except BaseException:
        store.stop()
        raise
    return store


@dataclass
class Moto:
    url: str
    process: Process


def start_moto(directory: Path) -> Moto:
    port = free_base([0])
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    arguments = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    process = Process(arguments, cwd=directory, environ=environ, log=directory / "moto.log")
    url = f"http://127.0.0.1:{port}"
    try:
        process.wait_for(f"{url}/moto-api/data.json", seconds=90)
    except BaseException:
        process.kill()
        raise
    return Moto(url, process)
