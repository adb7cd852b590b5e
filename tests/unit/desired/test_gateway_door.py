"""The door as text: exactly what is written down, the same for equal inputs, and nothing that an input could smuggle in."""

import dataclasses
import ipaddress
import itertools
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.confighash import config_hash
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.signon import IssuerKeys, Masks, Member, SigningKey
from zilliz_operator.desired.door import (
    NEVER,
    DoorConfig,
    DoorFiles,
    DoorKey,
    DoorUserEnd,
    TechnicalUser,
    milvus_host,
    render,
)
from zilliz_operator.desired.signon import DoorIssuer, DoorSso

GOLDEN = Path(__file__).parent / "golden" / "door"
DIGEST = "ab" * 32
HOST = milvus_host(namespace="milvus-in01-0123456789ab", cluster_domain="cluster.local")
PLAIN = DoorConfig(
    cluster_id="in01-0123456789ab",
    milvus_host=HOST,
    allow=("203.0.113.0/24", "2001:db8::/32"),
    load_balancers=("10.9.0.0/24",),
    pods=("10.244.0.0/16",),
    denied_users=("auditor",),
    user_ends=(DoorUserEnd(name="app", ends=1_800_000_000), DoorUserEnd(name="left", ends=0)),
    keys=(DoorKey(digest=DIGEST, key_id="team-a/readers/ingest", user="zt_viewer", expires=1_800_000_000),),
    technical_users=(
        TechnicalUser(name="zt_viewer", password="pw-viewer"),
        TechnicalUser(name="zt_admin", password="pw-admin"),
    ),
    passwords=(DoorKey(digest="12" * 32, key_id="team-a/readers/app", user="app", expires=1_800_000_000),),
    cluster_users=(TechnicalUser(name="app", password="pw-inner-app"),),
)
MUTUAL = dataclasses.replace(
    PLAIN, min_tls="1.3", client_ca_pem="-----BEGIN CERTIFICATE-----\nx\n", operator_certificates=("cd" * 32,)
)

KEY = SigningKey(
    kid="2026-a", algorithms=("RS256", "RS384", "RS512"), pem="-----BEGIN PUBLIC KEY-----\nx\n", fingerprint="ef" * 16
)
ISSUER = DoorIssuer(
    issuer="https://idp.acme.com",
    audience="milvus",
    username_claim="email",
    groups_claim="groups",
    mfa_claim="amr",
    mfa_values=("mfa", "hwk"),
    keys=IssuerKeys(keys=(KEY,), trusted_until=1_900_000_000),
)
MASKS = Masks(
    members=(Member(group=True, name="readers", mask=1), Member(group=False, name="anna", mask=3)),
    live=((0, 3), (1_800_000_000, 1)),
    without_mfa=1,
    slots=(1, 2),
    users=((1, "zt_viewer"), (2, "zt_admin"), (3, "zt_admin")),
)
SIGN_ON = dataclasses.replace(PLAIN, sso=DoorSso(issuers=(ISSUER,), masks=MASKS))


@pytest.mark.parametrize(("name", "config"), [("plain", PLAIN), ("mutual-tls", MUTUAL), ("sign-on", SIGN_ON)])
def test_it_is_exactly_what_is_written_down(name: str, config: DoorConfig, update_golden: bool) -> None:
    files = render(config)
    for key, text in [*files.config.items(), *files.maps.items()]:
        path = GOLDEN / name / key
        if update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        diff = list(
            unified_diff(path.read_text().splitlines(), text.splitlines(), "written down", "rendered now", lineterm="")
        )
        if diff:
            pytest.fail(
                "\n".join([*diff, "", "if this is meant: pytest tests/unit/desired --update-golden"]), pytrace=False
            )
    assert {path.name for path in (GOLDEN / name).iterdir()} == {*files.config, *files.maps}


def test_the_hash_is_that_of_the_mounted_files() -> None:
    files = render(PLAIN)
    mounted = {f"config/{key}": text.encode() for key, text in files.config.items()}
    mounted |= {f"maps/{key}": text.encode() for key, text in files.maps.items()}
    assert files.hash == config_hash(mounted)


@pytest.mark.parametrize(
    "field", ["allow", "load_balancers", "pods", "denied_users", "user_ends", "keys", "technical_users"]
)
def test_order_and_repetition_change_nothing(field: str) -> None:
    more = {
        "keys": (DoorKey(digest="cd" * 32, key_id="b", user="zt_admin"),),
        "allow": ("198.51.100.7/32", "10.0.0.0/8"),
        "load_balancers": ("10.8.0.0/24",),
        "pods": ("10.245.0.0/16",),
        "denied_users": ("someone",),
    }.get(field, ())
    config = dataclasses.replace(PLAIN, workloads_listed=True, **{field: getattr(PLAIN, field) + more})
    values = getattr(config, field)
    assert len(values) > 1
    hashes = {render(dataclasses.replace(config, **{field: order})).hash for order in itertools.permutations(values)}
    assert len(hashes) == 1
    assert hashes != {render(dataclasses.replace(config, **{field: values[:1]})).hash}
    if field not in ("keys", "technical_users"):  # Those may not be listed twice.
        assert hashes == {render(dataclasses.replace(config, **{field: values + values})).hash}


def test_every_input_reaches_the_files() -> None:
    changes: dict[str, Any] = {
        "cluster_id": "in01-other",
        "milvus_host": "10.0.0.7",
        "milvus_server_name": "other",
        "allow": (),
        "allow_until": (("198.51.100.0/24", 5),),
        "load_balancers": (),
        "workloads_listed": True,
        "denied_users": (),
        "keys": (),
        "technical_users": (TechnicalUser(name="zt_viewer", password="pw-viewer-2"), PLAIN.technical_users[1]),
        "passwords": (),
        "cluster_users": (TechnicalUser(name="app", password="pw-inner-2"),),
        "min_tls": "1.3",
        "operator_common_name": "someone",
        "operator_certificates": ("ef" * 32,),
        "nameservers": ("10.96.0.10:53",),
        "limits": dataclasses.replace(PLAIN.limits, failures_refused=7),
        "ports": dataclasses.replace(PLAIN.ports, door=19531),
    }
    before = render(PLAIN).hash
    for name, value in changes.items():
        assert render(dataclasses.replace(PLAIN, **{name: value})).hash != before, name


def test_pods_are_admitted_only_while_a_workload_is_listed() -> None:
    assert "10.244.0.0/16" not in admitted(PLAIN)
    assert "10.244.0.0/16" in admitted(dataclasses.replace(PLAIN, workloads_listed=True))


def test_nobody_is_an_empty_list() -> None:
    assert render(dataclasses.replace(PLAIN, allow=())).config["allow.map"] == ""


def test_root_and_technical_users_are_always_denied_by_password() -> None:
    denied = render(dataclasses.replace(PLAIN, denied_users=())).config["denied-users.acl"].split()
    assert denied == ["root", "zt_admin", "zt_viewer"]


def test_no_secret_is_in_the_config_map_nor_in_any_repr() -> None:
    files = render(PLAIN)
    for secret in ("pw-viewer", "pw-admin", "pw-inner-app", DIGEST, PLAIN.passwords[0].digest):
        assert secret not in "".join(files.config.values())
    for secret in ("pw-viewer", "pw-admin", "pw-inner-app"):
        assert secret not in repr(PLAIN) + repr(files)


def test_a_key_without_end_outlives_us() -> None:
    key = DoorKey(digest=DIGEST, key_id="k", user="zt_viewer")
    assert render(dataclasses.replace(PLAIN, keys=(key,))).maps["keys.map"] == f"{DIGEST} k:zt_viewer:{NEVER}\n"


def admitted(config: DoorConfig) -> list[str]:
    return [line.split()[0] for line in render(config).config["allow.map"].splitlines()]


def test_a_block_that_ends_shortens_none_that_holds_it() -> None:
    config = dataclasses.replace(
        PLAIN,
        allow=("203.0.113.0/24",),
        workloads_listed=True,
        allow_until=(("203.0.113.7/32", 5), ("10.244.3.0/24", 5), ("198.51.100.0/24", 7), ("198.51.100.0/25", 9)),
    )
    assert render(config).config["allow.map"].splitlines() == [
        f"10.244.0.0/16 {NEVER}",
        "198.51.100.0/24 7",
        "198.51.100.0/25 9",
        f"203.0.113.0/24 {NEVER}",
    ]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"allow": ("203.0.113.1/24",)}, "allow"),
    ({"allow": ("everyone",)}, "allow"),
    ({"allow": ("fe80::%eth0/64",)}, "allow"),
    ({"allow_until": (("203.0.113.1/24", 5),)}, "allowUntil"),
    ({"allow_until": (("203.0.113.0/24", -1),)}, "allowUntil"),
    ({"allow_until": (("203.0.113.0/24", NEVER + 1),)}, "allowUntil"),
    ({"load_balancers": ("10.0.0.0/33",)}, "loadBalancers"),
    ({"milvus_host": "milvus host"}, "milvusHost"),
    ({"milvus_host": "fe80::1%eth0"}, "milvusHost"),
    ({"milvus_server_name": "a b"}, "milvusServerName"),
    ({"operator_common_name": "a b"}, "operatorCommonName"),
    ({"cluster_id": 'x"'}, "clusterId"),
    ({"nameservers": ("one",)}, "nameservers"),
    ({"operator_certificates": ("x",)}, "operatorCertificates"),
    ({"client_ca_pem": "x"}, "operatorCertificates"),
    ({"client_ca_pem": "-----BEGIN PRIVATE KEY-----", "operator_certificates": ("ab" * 32,)}, "clientCa"),
    ({"denied_users": ("a b",)}, "deniedUsers"),
    ({"user_ends": (DoorUserEnd(name="a b", ends=0),)}, "userEnds"),
    ({"user_ends": (DoorUserEnd(name="a", ends=-1),)}, "userEnds[a]"),
    ({"technical_users": (TechnicalUser(name="a:b", password="x"),), "keys": ()}, "technicalUsers[a:b]"),
    ({"technical_users": (TechnicalUser(name="a", password="x y"),), "keys": ()}, "technicalUsers[a]"),
    ({"technical_users": (TechnicalUser(name="a", password=""),), "keys": ()}, "technicalUsers[a]"),
    ({"technical_users": (TechnicalUser(name="a", password="x"),) * 2, "keys": ()}, "technicalUsers[a]"),
    ({"keys": (DoorKey(digest="x", key_id="k", user="zt_viewer"),)}, "keys[k]"),
    ({"keys": (DoorKey(digest=DIGEST, key_id="k:1", user="zt_viewer"),)}, "keys[k:1]"),
    ({"keys": (DoorKey(digest=DIGEST, key_id="k", user="root"),)}, "keys[k]"),
    ({"keys": (DoorKey(digest=DIGEST, key_id="k", user="app"),)}, "keys[k]"),
    ({"passwords": (DoorKey(digest=DIGEST, key_id="k", user="zt_viewer"),)}, "passwords[k]"),
    ({"passwords": (DoorKey(digest="x", key_id="k", user="app"),)}, "passwords[k]"),
    ({"cluster_users": (TechnicalUser(name="zt_viewer", password="x"),), "passwords": ()}, "clusterUsers[zt_viewer]"),
    ({"cluster_users": (TechnicalUser(name="root", password="x"),), "passwords": ()}, "clusterUsers[root]"),
    ({"keys": (DoorKey(digest=DIGEST, key_id="k", user="zt_viewer", expires=-1),)}, "keys[k]"),
    (
        {
            "keys": (
                DoorKey(digest=DIGEST, key_id="k", user="zt_viewer"),
                DoorKey(digest=DIGEST, key_id="l", user="zt_admin"),
            )
        },
        "keys[l]",
    ),
]


@pytest.mark.parametrize(("changes", "path"), BAD)
def test_what_could_say_more_than_it_should_is_refused_by_name(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        render(dataclasses.replace(PLAIN, **changes))
    assert caught.value.path == path
    assert "x y" not in str(caught.value), "a password was told"


NETWORKS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda bits: str(ipaddress.ip_network((address, bits), strict=False))
    )
)


@given(st.lists(NETWORKS, max_size=12), st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 11))
def test_the_list_admits_exactly_whom_its_entries_admit(
    networks: list[str], stranger: ipaddress.IPv4Address | ipaddress.IPv6Address, pick: int
) -> None:
    lines = admitted(dataclasses.replace(PLAIN, allow=tuple(networks)))
    assert len(lines) == len(set(lines)) <= len(networks)
    written = [ipaddress.ip_network(line) for line in lines]
    given_networks = [ipaddress.ip_network(network) for network in networks]
    probes = [stranger, *(network[0] for network in given_networks), *(network[-1] for network in given_networks)]
    probes += [probe for network in given_networks[pick:] for probe in _neighbours(network)]
    for probe in probes:
        assert any(probe in network for network in written) == any(probe in network for network in given_networks)


def _neighbours(network: Any) -> list[Any]:
    first, last = int(network[0]), int(network[-1])
    kind = type(network[0])
    return [kind(n) for n in (first - 1, last + 1) if 0 <= n < 2**network.max_prefixlen]


ANY = st.text(max_size=40)


@given(name=ANY, password=ANY, key_id=ANY, host=ANY, cluster=ANY, user=ANY)
def test_no_text_breaks_out_of_its_line(
    name: str, password: str, key_id: str, host: str, cluster: str, user: str
) -> None:
    config = dataclasses.replace(
        PLAIN,
        cluster_id=cluster,
        milvus_host=host,
        milvus_server_name=host,
        denied_users=(user,),
        technical_users=(TechnicalUser(name=name, password=password),),
        keys=(DoorKey(digest=DIGEST, key_id=key_id, user=name),),
    )
    # Each field alone, too: one that is refused must not hide another.
    alone: list[dict[str, Any]] = [
        {"cluster_id": cluster},
        {"milvus_host": host},
        {"milvus_server_name": host},
        {"operator_common_name": user},
        {"denied_users": (user,)},
        {"nameservers": (host,)},
        {"technical_users": (TechnicalUser(name=name, password="x"),), "keys": ()},
        {"technical_users": (TechnicalUser(name="a", password=password),), "keys": ()},
        {"keys": (DoorKey(digest=DIGEST, key_id=key_id, user="zt_viewer"),)},
        {"keys": (DoorKey(digest=key_id, key_id="k", user="zt_viewer"),)},
        {"passwords": (DoorKey(digest=DIGEST, key_id=key_id, user="app"),)},
        {"cluster_users": (TechnicalUser(name=name, password="x"),), "passwords": ()},
        {"cluster_users": (TechnicalUser(name="a", password=password),), "passwords": ()},
    ]
    for each in [config, *(dataclasses.replace(PLAIN, **change) for change in alone)]:
        try:
            files = render(each)
        except InvalidSpec:
            continue
        _well_formed(files, each)


WORDS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,31}", fullmatch=True)
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(st.dictionaries(WORDS, PRINTABLE, min_size=1, max_size=8), st.data())
def test_maps_say_back_what_was_put_in(users: dict[str, str], data: st.DataObject) -> None:
    owners = data.draw(st.lists(st.sampled_from(sorted(users)), max_size=8))
    keys = tuple(DoorKey(digest=f"{n:064x}", key_id=f"p/q/{n}", user=user, expires=n) for n, user in enumerate(owners))
    technical = tuple(TechnicalUser(name=name, password=password) for name, password in users.items())
    config = dataclasses.replace(PLAIN, technical_users=technical, keys=keys, cluster_users=(), passwords=())
    files = render(config)
    assert dict(line.split(" ", 1) for line in files.maps["users.map"].splitlines()) == users
    assert sorted(files.maps["keys.map"].splitlines()) == [f"{k.digest} {k.key_id}:{k.user}:{k.expires}" for k in keys]
    _well_formed(files, config)


def _well_formed(files: DoorFiles, config: DoorConfig) -> None:
    """Every file has the lines its input asks for, none more, and only plain characters."""
    assert len(files.maps["users.map"].splitlines()) == len(config.technical_users) + len(config.cluster_users)
    assert len(files.maps["keys.map"].splitlines()) == len(config.keys)
    assert len(files.maps["passwords.map"].splitlines()) == len(config.passwords)
    for line in [*files.maps["keys.map"].splitlines(), *files.maps["passwords.map"].splitlines()]:
        key, value = line.split(" ")
        assert len(key) == 64 and value.count(":") == 2
    for line in files.config["denied-users.acl"].splitlines():
        assert line.isascii() and " " not in line
    by_address = "resolvers cluster" not in files.config["haproxy.cfg"]
    usual = dataclasses.replace(
        PLAIN, milvus_host="10.0.0.1" if by_address else HOST, nameservers=config.nameservers and ("1.1.1.1:53",)
    )
    assert len(files.config["haproxy.cfg"].splitlines()) == len(render(usual).config["haproxy.cfg"].splitlines())
    assert files.config["haproxy.cfg"].isascii() and files.config["haproxy.cfg"].replace("\n", " ").isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("issuer", 'https://idp"\n    http-request allow'),
        ("issuer", "https://idp/%[src]$x"),
        ("issuer", "http://idp"),
        ("audience", "milvus } allow {"),
        ("audience", ""),
        ("username_claim", "a') allow"),
        ("groups_claim", "$.x"),
        ("groups_claim", "a[0]"),
        ("mfa_claim", "amr'"),
        ("mfa_values", ("mfa or",)),
        ("keys", IssuerKeys(keys=(dataclasses.replace(KEY, fingerprint="../../x"),))),
        ("keys", IssuerKeys(keys=(dataclasses.replace(KEY, algorithms=("HS256",)),))),
        ("keys", IssuerKeys(keys=(dataclasses.replace(KEY, pem="-----BEGIN PRIVATE KEY-----"),))),
    ],
)
def test_no_issuer_says_more_in_a_file_than_it_should(field: str, value: Any) -> None:
    issuer = dataclasses.replace(ISSUER, **{field: value})
    with pytest.raises(InvalidSpec):
        render(dataclasses.replace(PLAIN, sso=DoorSso(issuers=(issuer,))))


def test_no_token_acts_as_somebody_else_s_user() -> None:
    masks = dataclasses.replace(MASKS, users=((1, "root"),))
    with pytest.raises(InvalidSpec, match="no technical user"):
        render(dataclasses.replace(PLAIN, sso=DoorSso(issuers=(ISSUER,), masks=masks)))


@given(st.text(min_size=1))
def test_names_of_people_are_in_no_file(name: str) -> None:
    masks = dataclasses.replace(MASKS, members=(Member(group=True, name="wanted-" + name, mask=1),))
    files = render(dataclasses.replace(PLAIN, sso=DoorSso(issuers=(ISSUER,), masks=masks)))
    assert "wanted-" not in "".join([*files.config.values(), *files.maps.values()])
    assert len([line for line in files.maps["sso.map"].splitlines() if ".g." in line]) == 1


def test_an_issuer_speaks_for_its_own_prefix_alone() -> None:
    partner = dataclasses.replace(ISSUER, issuer="https://partner", prefix="partner:")
    members = tuple(Member(group=True, name=name, mask=1) for name in ("readers", "partner:readers"))
    sso = DoorSso(issuers=(ISSUER, partner), masks=dataclasses.replace(MASKS, members=members))
    lines = render(dataclasses.replace(PLAIN, sso=sso)).maps["sso.map"].splitlines()
    groups = sorted(line.split(".g.")[1].split(" ")[0] for line in lines if ".g." in line)
    assert groups == sorted([ISSUER.id, partner.id])
    assert len({line.split(".")[0] for line in lines if ".g." in line}) == 1, "the same group, of two issuers"


def test_people_and_ends_change_maps_alone() -> None:
    other = dataclasses.replace(SIGN_ON, sso=DoorSso(issuers=(ISSUER,)))
    before, after = render(SIGN_ON), render(other)
    assert before.config == after.config and before.maps != after.maps
    marks = [
        next(line for line in files.maps["sso.map"].splitlines() if line.startswith("mark "))
        for files in (before, after)
    ]
    assert marks[0] != marks[1]
