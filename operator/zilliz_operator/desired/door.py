"""What one gateway does: who may come in, as whom, and what they may say, rendered as the files HAProxy reads.

Pure and canonical: equal inputs give equal bytes whatever their order, so the hash of the files names a
configuration, and the agent's attestation of that hash proves which one is in force. Secrets go to `maps` (a
Secret), everything else to `config` (a ConfigMap).
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

import jinja2

from zilliz_operator.api import names
from zilliz_operator.api.blocks import latest_ends
from zilliz_operator.api.confighash import CONFIG_PREFIX, MAPS_PREFIX, config_hash
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.rolenames import TECHNICAL_PREFIX

from . import signon
from .signon import DoorSso

ROOT = "root"
OPERATOR_COMMON_NAME = "zilliz-operator"
NEVER = 253402300799
"""The expiry of a key that has none: the last second of the year 9999."""

_WAIT = """-- The one thing that HAProxy has no word for: to wait and then go on.
core.register_action("wait", {"http-req"}, function(txn) """

_USER = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
_KEY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@/-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PASSWORD = re.compile(r"[!-~]{1,256}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPorts:
    """Where the gateway listens and where Milvus does."""

    door: int = names.GATEWAY_PORT
    metrics: int = names.METRICS_PORT
    ops: int = names.OPS_PORT
    agent: int = names.AGENT_PORT
    milvus_grpc: int = names.MILVUS_GRPC
    milvus_rest: int = names.MILVUS_REST
    milvus_ops: int = names.MILVUS_OPS


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one gateway bears, and how patient it is with guessers. Counted in each replica."""

    connections: int = 4000
    failures_slowed: int = 5
    """Failed logins within the window, from one address, after which its next requests wait."""
    failures_refused: int = 20
    """And after which it is refused for a while."""
    failure_window_seconds: int = 60
    slow_seconds: int = 2
    slow_at_once: int = 20
    """Requests of one address that may wait at a time."""
    refuse_seconds: int = 300
    new_connections_per_10s: int = 400
    connections_per_address: int = 500
    close_spread_seconds: int = 40
    hard_stop_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorKey:
    """One API key or password, known by its SHA-256 alone. `expires` is in seconds since 1970."""

    digest: str
    key_id: str
    user: str
    expires: int = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class TechnicalUser:
    """A Milvus user that the door logs in as; its password never leaves the cluster namespace."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorUserEnd:
    """From when on a user of ours is refused, in seconds since 1970; 0: it was taken away."""

    name: str
    ends: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorConfig:
    """Everything that decides what the gateway does."""

    cluster_id: str
    milvus_host: str
    """Where Milvus is: a full DNS name (followed as it changes) or an address."""
    milvus_server_name: str = "milvus"
    """The name that Milvus' certificate must carry."""
    allow: tuple[str, ...] = ()
    """Client CIDRs. With `allow_until` empty too: nobody from outside."""
    allow_until: tuple[tuple[str, int], ...] = ()
    """Client CIDRs that end, with the second since 1970 from which they admit nobody. Of several the latest counts."""
    load_balancers: tuple[str, ...] = ()
    """Sources that must send a PROXY header; from all others it is refused."""
    pods: tuple[str, ...] = ()
    """The pods' CIDRs, admitted only while `workloads_listed` (which pods is the network policy's matter)."""
    workloads_listed: bool = False
    denied_users: tuple[str, ...] = ()
    """Users refused by password from outside, beside root and the technical users."""
    user_ends: tuple[DoorUserEnd, ...] = ()
    """Users of policies that have an end or are gone: the door refuses them by its own clock, before Milvus does."""
    keys: tuple[DoorKey, ...] = ()
    technical_users: tuple[TechnicalUser, ...] = ()
    passwords: tuple[DoorKey, ...] = ()
    """Passwords of cluster users, by the SHA-256 of `user:password`; while one is rotated a user has two."""
    cluster_users: tuple[TechnicalUser, ...] = ()
    """Users of policies, and the password that Milvus knows them by. It is not the one that people are given, so a rotation is the
    door's matter alone: there is no moment in which one of the two is refused."""
    sso: DoorSso | None = None
    """Issuers whose tokens are taken. None: tokens are told that single sign-on is not set up."""
    min_tls: Literal["1.2", "1.3"] = "1.2"
    client_ca_pem: str | None = None
    """With it every client must show a certificate signed by it (mutual TLS)."""
    operator_common_name: str = OPERATOR_COMMON_NAME
    operator_certificates: tuple[str, ...] = ()
    """SHA-256 of the operator's certificates (DER). Needed with `client_ca_pem`, which could sign our name."""
    nameservers: tuple[str, ...] = ()
    """`address:port`; empty: those of the pod's resolv.conf."""
    ports: DoorPorts = DoorPorts()
    limits: DoorLimits = DoorLimits()


@dataclass(frozen=True, slots=True)
class DoorFiles:
    """The rendered files, by the keys of ConfigMap `gateway-config` and Secret `gateway-maps`."""

    config: Mapping[str, str]
    maps: Mapping[str, str] = field(repr=False)

    @property
    def hash(self) -> str:
        """What the agent attests once exactly these files are in force."""
        files = {CONFIG_PREFIX + key: text.encode() for key, text in self.config.items()}
        return config_hash(files | {MAPS_PREFIX + key: text.encode() for key, text in self.maps.items()})


def milvus_host(*, namespace: str, cluster_domain: str) -> str:
    """The full name of the Service `milvus`: HAProxy's resolver knows no search path."""
    return f"milvus.{namespace}.svc.{cluster_domain}"


def render(config: DoorConfig) -> DoorFiles:
    """The files of one gateway. Raises InvalidSpec for anything that could say more in a file than it should."""
    _check(config)
    files = {
        "haproxy.cfg": _haproxy_cfg(config),
        "wait.lua": f"{_WAIT}core.msleep({1000 * config.limits.slow_seconds}) end)\n",
        "allow.map": _lines(f"{block} {end}" for block, end in _allowed(config).items()),
        "lbs.acl": _lines(_cidrs("loadBalancers", config.load_balancers)),
        "denied-users.acl": _lines((ROOT, *config.denied_users, *(user.name for user in config.technical_users))),
    }
    if config.client_ca_pem is not None:
        files["client-ca.crt"] = config.client_ca_pem.strip() + "\n"
    maps = {
        "keys.map": _lines(f"{key.digest} {key.key_id}:{key.user}:{key.expires}" for key in config.keys),
        "user-ends.map": _lines(f"{user.name} {user.ends}" for user in config.user_ends),
        "passwords.map": _lines(f"{key.digest} {key.key_id}:{key.user}:{key.expires}" for key in config.passwords),
        "users.map": _lines(
            f"{user.name} {user.password}" for user in (*config.technical_users, *config.cluster_users)
        ),
    }
    if config.sso is not None:
        files |= {"signon.lua": _templates().get_template("signon.lua").render(), **signon.config_files(config.sso)}
        maps |= signon.map_files(config.sso)
    return DoorFiles(config=files, maps=maps)


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in sorted(set(lines)))


def _cidrs(path: str, cidrs: Iterable[str]) -> tuple[str, ...]:
    """The networks in their canonical spelling; those inside another are left out."""
    v4: list[ipaddress.IPv4Network] = []
    v6: list[ipaddress.IPv6Network] = []
    for cidr in cidrs:
        try:
            network = ipaddress.ip_network(cidr)
        except ValueError as error:
            raise InvalidSpec(path, f"{error}; write a network as 203.0.113.0/24 or 2001:db8::/64") from None
        if isinstance(network, ipaddress.IPv4Network):
            v4.append(network)
        elif network.network_address.scope_id:
            raise InvalidSpec(path, f"{cidr!r} names an interface; write the network alone")
        else:
            v6.append(network)
    return (*map(str, ipaddress.collapse_addresses(v4)), *map(str, ipaddress.collapse_addresses(v6)))


def _allowed(config: DoorConfig) -> dict[IPv4Network | IPv6Network, int]:
    """Who may knock, and until when: one map, so that a change is one step for the gateway, without a moment between."""
    lasting = (*_cidrs("allow", config.allow), *_cidrs("pods", config.pods if config.workloads_listed else ()))
    ending = ((ipaddress.ip_network(cidr), end) for cidr, end in config.allow_until)
    return latest_ends([*((ipaddress.ip_network(cidr), NEVER) for cidr in lasting), *ending])


def _haproxy_cfg(config: DoorConfig) -> str:
    by_name = not _is_address(config.milvus_host)
    template = _templates().get_template("haproxy.cfg.j2")
    return template.render(
        c=config,
        by_name=by_name,
        client_auth=config.client_ca_pem is not None,
        technical_prefix=TECHNICAL_PREFIX,
        hints=signon.HINTS,
    )


@functools.cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("zilliz_operator", "templates"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - not HTML; `_check` lets only plain words through
    )


def _check(config: DoorConfig) -> None:
    _match("clusterId", _WORD, config.cluster_id, "letters, digits, '.', '_', '-'")
    _match("milvusServerName", _HOST, config.milvus_server_name, "a DNS name")
    _match("operatorCommonName", _WORD, config.operator_common_name, "letters, digits, '.', '_', '-'")
    if not _HOST.fullmatch(config.milvus_host) and not _is_address(config.milvus_host):
        raise InvalidSpec("milvusHost", f"{config.milvus_host!r} is neither a DNS name nor an address")
    for address in config.nameservers:
        _match("nameservers", re.compile(r"[0-9A-Fa-f.:\[\]]+:[0-9]{1,5}"), address, "address:port")
    for digest in config.operator_certificates:
        _match("operatorCertificates", _SHA256, digest, "a SHA-256 in 64 hex digits")
    if config.client_ca_pem is not None and not config.operator_certificates:
        raise InvalidSpec("operatorCertificates", "needed with a client authority, which could sign our name too")
    if config.client_ca_pem is not None and "PRIVATE KEY" in config.client_ca_pem:
        raise InvalidSpec("clientCa", "holds a private key; give the certificates alone")
    _check_ends(config)
    for user in config.denied_users:
        _match("deniedUsers", _USER, user, "a letter, then up to 31 letters, digits or '_'")
    for end in config.user_ends:
        _match("userEnds", _USER, end.name, "a letter, then up to 31 letters, digits or '_'")
        if not 0 <= end.ends <= NEVER:
            raise InvalidSpec(f"userEnds[{end.name}]", f"{end.ends} is no time between 1970 and 9999")
    _check_users(config)
    _check_keys("keys", config.keys, users=config.technical_users, what="technical")
    _check_keys("passwords", config.passwords, users=config.cluster_users, what="cluster")
    if config.sso is not None:
        signon.check(config.sso, technical_users=[user.name for user in config.technical_users])


def _check_ends(config: DoorConfig) -> None:
    for cidr, end in config.allow_until:
        _cidrs("allowUntil", (cidr,))
        if not 0 <= end <= NEVER:
            raise InvalidSpec("allowUntil", f"{cidr} ends at {end}, which is no time between 1970 and 9999")


def _check_users(config: DoorConfig) -> None:
    seen: set[str] = {ROOT}
    listed = [("technicalUsers", user) for user in config.technical_users]
    for field_, user in (*listed, *(("clusterUsers", user) for user in config.cluster_users)):
        path = f"{field_}[{user.name}]"
        _match(path, _USER, user.name, "a letter, then up to 31 letters, digits or '_'")
        if user.name in seen:
            raise InvalidSpec(path, "is listed twice")
        if not _PASSWORD.fullmatch(user.password):
            raise InvalidSpec(path, "its password must be 1 to 256 printable ASCII characters without spaces")
        seen.add(user.name)


def _check_keys(field: str, keys: Iterable[DoorKey], *, users: Iterable[TechnicalUser], what: str) -> None:
    seen: set[str] = set()
    known = {user.name for user in users}
    for key in keys:
        path = f"{field}[{key.key_id}]"
        _match(path, _KEY_ID, key.key_id, "a letter or digit, then up to 127 letters, digits or any of ._@/-")
        _match(path, _SHA256, key.digest, "a SHA-256 in 64 hex digits")
        if key.user not in known:
            raise InvalidSpec(path, f"acts as {key.user!r}, which is no {what} user")
        if key.digest in seen:
            raise InvalidSpec(path, "another entry has the same key; make a new one")
        if not 0 <= key.expires <= NEVER:
            raise InvalidSpec(path, f"expires at {key.expires}, which is no time between 1970 and 9999")
        seen.add(key.digest)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _match(path: str, pattern: re.Pattern[str], text: str, wanted: str) -> None:
    if not pattern.fullmatch(text):
        raise InvalidSpec(path, f"{text!r} is not valid: {wanted}")
