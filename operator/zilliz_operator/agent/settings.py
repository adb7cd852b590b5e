"""Where the agent finds its files and how patient it is; one frozen value, so that tests can give it another world."""

import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zilliz_operator.api import names

HAVE_IPV6 = "GATEWAY_IPV6"
"""Set in HAProxy's environment where the pod has IPv6; the configuration binds to it only then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Paths and times of one gateway."""

    mounts: Path = Path("/etc/gateway")
    run: Path = Path("/tmp/gateway")  # noqa: S108 - the pod's own memory-backed volume
    port: int = names.AGENT_PORT
    haproxy: str = "haproxy"
    poll_seconds: float = 0.5
    retry_seconds: float = 10.0
    load_seconds: float = 20.0
    leave_seconds: float = 3.0
    """Between TERM and HAProxy's soft stop: the time in which the Service forgets this pod."""
    stop_seconds: float = 66.0
    """Then HAProxy has this long; its own hard-stop-after is shorter."""
    silent_seconds: float = 90.0
    """An agent that gives no sign of life for so long is replaced."""

    @property
    def current(self) -> Path:
        """A link to the generation of files that HAProxy starts from."""
        return self.run / "current"

    @property
    def socket(self) -> Path:
        """HAProxy's own command line; only our user may open it."""
        return self.run / "master.sock"

    @property
    def counts(self) -> Path:
        """How many audit lines passed and how many could not."""
        return self.run / "audit"

    @property
    def used(self) -> Path:
        """Which credential was used when, as far as this pod has seen."""
        return self.run / "used"

    @property
    def heartbeat(self) -> Path:
        return self.run / "heartbeat"

    def haproxy_files(self, generation: Path) -> list[str]:
        """The configuration files of one generation, as HAProxy's arguments."""
        return ["-f", str(generation / "agent.cfg"), "-f", str(generation / "config/haproxy.cfg")]

    def haproxy_command(self) -> list[str]:
        return [self.haproxy, "-W", "-db", "-S", f"{self.socket},mode,600", *self.haproxy_files(self.current)]

    def agent_command(self) -> list[str]:
        """The supervised half of the agent, in this interpreter."""
        options = [
            "--mounts",
            str(self.mounts),
            "--run",
            str(self.run),
            "--port",
            str(self.port),
            "--haproxy",
            self.haproxy,
        ]
        return [sys.executable, "-m", "zilliz_operator.agent", "door", *options]


def haproxy_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment HAProxy starts and is checked in: nothing but what it needs."""
    kept = {key: environment[key] for key in ("PATH", "LANG", "TZ") if key in environment}
    return kept | ({HAVE_IPV6: "1"} if ipv6_available() else {})


def ipv6_available() -> bool:
    """Whether this network namespace lets us listen on IPv6."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def pod_name() -> str:
    return os.environ.get("HOSTNAME") or socket.gethostname()
