"""Laws of the network policies, for any lists, addresses and pods: never wider than asked, in whatever order it was asked."""

from copy import deepcopy
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desired.samples import NOW, context, data_plane
from tests.unit.desired.semantics import Peer, lets_through
from tests.unit.policy.test_allowlist import admits, allowlist, blocks
from zilliz_operator.api import names
from zilliz_operator.api.allowlist import Allowlist
from zilliz_operator.desired import network
from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.policy.allowlist import union

Address = IPv4Address | IPv6Address

SPACES = ("team-a", "team-a-apps", "team-b", "monitoring", "zilliz-system", "kube-system")
APPS = ("api", "web", "x")
PORTS = (19530, 9530, 8404, 8405, 8080, 9091, 53100, 2379, 22, 443)
BALANCERS, HUB = "203.0.113.192/26", "2001:db8::40/122"

# From the same corner of the address space as `blocks`, and from elsewhere.
addresses = st.one_of(
    st.integers(0xCB007000, 0xCB007200).map(ip_address),
    st.integers((0x20010DB8 << 96), (0x20010DB8 << 96) + 600).map(ip_address),
    st.sampled_from(["8.8.8.8", "10.244.0.7", "169.254.169.254", "2600::1", "fe80::1"]).map(ip_address),
)
pods = st.builds(
    lambda space, app, component: Peer(
        address="10.244.5.5", namespace=space, labels={"app": app, "app.kubernetes.io/component": component}
    ),
    st.sampled_from(SPACES),
    st.sampled_from(APPS),
    st.sampled_from(["gateway", "milvus", "operator"]),
)
workloads = st.lists(st.tuples(st.sampled_from(SPACES), st.sampled_from(APPS)), max_size=4)
lists = st.builds(lambda cidrs, pods: allowlist(*cidrs, workloads=tuple(pods)), blocks, workloads)
exposures = st.sampled_from(["Internal", "LoadBalancer"])


def cluster(exposure: str = "Internal", **fields: Any) -> ClusterContext:
    plane = data_plane()
    plane["spec"]["network"] |= {"loadBalancerCIDRs": [BALANCERS], "operatorCIDRs": [HUB], **fields}
    return context({"exposure": exposure}, plane)


def built(ctx: ClusterContext, asked: list[Allowlist]) -> list[dict[str, Any]]:
    return network.policies(ctx, union(asked, now=NOW))


def own(ctx: ClusterContext, component: str) -> Peer:
    return Peer(address="10.244.1.1", namespace=ctx.namespace, labels=ctx.labels(component))


def listed(asked: list[Allowlist], pod: Peer) -> bool:
    return any(
        workload.namespace == pod.namespace and workload.pod_labels.items() <= pod.labels.items()
        for each in asked
        for workload in each.spec.workloads
    )


# ---- inwards


@given(st.lists(lists, max_size=3), addresses, st.sampled_from(PORTS), exposures)
def test_an_address_comes_in_exactly_where_it_was_asked_for(
    asked: list[Allowlist], address: Address, port: int, exposure: str
) -> None:
    ctx, source = cluster(exposure), Peer(address=str(address))
    cidrs = [entry.cidr for each in asked for entry in each.spec.entries]
    by_balancer = exposure != "Internal" and bool(cidrs) and admits([BALANCERS], address)
    wanted = port == names.GATEWAY_PORT and (admits(cidrs, address) or by_balancer or admits([HUB], address))
    assert lets_through(built(ctx, asked), source, own(ctx, "gateway"), port) == wanted


@given(st.lists(lists, max_size=3), pods, st.sampled_from(PORTS), exposures)
def test_a_pod_comes_in_exactly_where_its_workload_was_listed(
    asked: list[Allowlist], pod: Peer, port: int, exposure: str
) -> None:
    # Its address is in no block: what lets it in is what it is, not where it comes from.
    ctx = cluster(exposure)
    door = port == names.GATEWAY_PORT and (listed(asked, pod) or pod.namespace == "zilliz-system")
    wanted = door or (port == names.METRICS_PORT and pod.namespace == "monitoring")
    assert lets_through(built(ctx, asked), pod, own(ctx, "gateway"), port) == wanted


@given(
    st.lists(lists, max_size=3),
    st.one_of(pods, addresses.map(str).map(lambda a: Peer(address=a))),
    st.sampled_from(PORTS),
)
def test_whatever_is_asked_only_a_gateway_reaches_milvus(asked: list[Allowlist], source: Peer, port: int) -> None:
    ctx = cluster("LoadBalancer")
    policies = built(ctx, asked)
    assert not lets_through(policies, source, own(ctx, "milvus"), port)
    reached = lets_through(policies, own(ctx, "gateway"), own(ctx, "milvus"), port)
    assert reached == (port in (names.MILVUS_GRPC, names.MILVUS_REST, names.MILVUS_OPS))


@given(lists, lists, st.one_of(pods, addresses.map(str).map(lambda a: Peer(address=a))), exposures)
def test_two_lists_let_in_what_either_lets_in(one: Allowlist, two: Allowlist, source: Peer, exposure: str) -> None:
    ctx = cluster(exposure)
    door = own(ctx, "gateway")

    def comes_in(*asked: Allowlist) -> bool:
        return lets_through(built(ctx, list(asked)), source, door, names.GATEWAY_PORT)

    assert comes_in(one, two) == (comes_in(one) or comes_in(two))
    assert comes_in(one) or not comes_in(), "a list never takes anything away"


@given(st.lists(lists, max_size=4), exposures, st.randoms(use_true_random=False))
def test_no_order_matters(asked: list[Allowlist], exposure: str, random: Any) -> None:
    fields = {
        "podCIDRs": ["10.244.0.0/16", "fd00:10::/56", "10.64.0.0/16"],
        "nodeCIDRs": ["10.200.0.0/24", "10.201.0.0/24"],
        "loadBalancerCIDRs": [BALANCERS, "192.0.2.0/28"],
        "operatorCIDRs": [HUB, "10.80.0.0/20"],
    }
    store = ["0.0.0.0/0", "::/0", "52.92.128.0/17"]

    def with_order(shuffled: bool) -> list[dict[str, Any]]:
        plane, lists_, mine = data_plane(), list(asked), deepcopy(fields)
        stores = list(store)
        if shuffled:
            for each in (lists_, stores, *mine.values()):
                random.shuffle(each)
            lists_ = [_shuffled(each, random) for each in lists_]
        plane["spec"]["network"] |= mine
        plane["spec"]["objectStorage"]["cidrs"] = stores
        return built(context({"exposure": exposure}, plane), lists_)

    assert with_order(shuffled=True) == with_order(shuffled=False)


def _shuffled(asked: Allowlist, random: Any) -> Allowlist:
    entries, pods_ = list(asked.spec.entries), list(asked.spec.workloads)
    random.shuffle(entries)
    random.shuffle(pods_)
    return asked.model_copy(
        update={"spec": asked.spec.model_copy(update={"entries": tuple(entries), "workloads": tuple(pods_)})}
    )


# ---- outwards

# Blocks of 10.0.0.0/8 and fd00::/8 that contain, touch and miss each other; and the whole of either family.
v4_out = st.builds(
    lambda start, length: str(ip_network((0x0A000000 + (start << 16), length), strict=False)),
    st.integers(0, 255),
    st.integers(5, 24),
)
v6_out = st.builds(
    lambda start, length: str(ip_network(((0xFD00 << 112) + (start << 80), length), strict=False)),
    st.integers(0, 255),
    st.integers(5, 64),
)
outward = st.lists(v4_out | v6_out | st.sampled_from(["0.0.0.0/0", "::/0", "169.254.169.254/32"]), max_size=5)
insides = st.lists(v4_out | v6_out, max_size=4)
targets = st.one_of(
    st.integers(0x09FF0000, 0x0B000000).map(ip_address),
    st.integers((0xFD00 << 112), (0xFD00 << 112) + (256 << 80)).map(ip_address),
)
METADATA = (
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "100.100.100.200",
    "fd00:ec2::254",
    "64:ff9b::a9fe:a9fe",
)


def stored(cidrs: list[str], **fields: Any) -> tuple[ClusterContext, list[dict[str, Any]]]:
    plane = data_plane(region="us-east-1", objectStorage={"provider": "AWS", "cidrs": cidrs}, network=fields)
    ctx = context({}, plane)
    return ctx, built(ctx, [])


def reaches(ctx: ClusterContext, policies: list[dict[str, Any]], address: str, port: int = 443) -> bool:
    return lets_through(policies, own(ctx, "milvus"), Peer(address=address), port)


@given(outward, insides, insides, targets)
def test_milvus_goes_where_its_store_is_declared_and_never_inside_by_a_wider_range(
    cidrs: list[str], pods_: list[str], vpc: list[str], target: Address
) -> None:
    ctx, policies = stored(cidrs, podCIDRs=list(dict.fromkeys(pods_)), vpcCIDRs=list(dict.fromkeys(vpc)))
    dual = any(":" in each for each in pods_)
    declared = [ip_network(each) for each in cidrs or (["0.0.0.0/0", "::/0"] if dual else ["0.0.0.0/0"])]
    forbidden = [ip_network(each) for each in (*pods_, *vpc, *network.NEVER_REACHED)]
    wanted = any(
        target in block
        and not any(
            target in hole and hole != block and hole.version == block.version and hole.subnet_of(block)  # type: ignore[arg-type]
            for hole in forbidden
        )
        for block in declared
    ) and not any(target in ip_network(hidden) for hidden in network.NEVER_REACHED)
    assert reaches(ctx, policies, str(target)) == wanted
    assert not reaches(ctx, policies, str(target), port=80)


@given(outward, insides, st.sampled_from(METADATA))
def test_no_declaration_opens_instance_metadata(cidrs: list[str], inside: list[str], address: str) -> None:
    ctx, policies = stored([*cidrs, "0.0.0.0/0", "::/0"], podCIDRs=list(dict.fromkeys(inside)))
    assert not reaches(ctx, policies, address)
    assert not lets_through(policies, own(ctx, "gateway"), Peer(address=address), 443)


@given(
    st.sampled_from(["podCIDRs", "serviceCIDRs", "nodeCIDRs", "vpcCIDRs", "loadBalancerCIDRs", "operatorCIDRs"]),
    insides,
)
def test_every_block_of_the_data_plane_is_cut_out_of_the_internet(field: str, inside: list[str]) -> None:
    given_ = list(dict.fromkeys(inside))
    ctx, policies = stored(["0.0.0.0/0", "::/0"], **{field: given_})
    for block in map(ip_network, given_):
        for address in (block[0], block[-1]):
            assert not reaches(ctx, policies, str(address))
            if address.version == 4:  # where the network translates, the same place has an address of IPv6
                assert not reaches(ctx, policies, str(ip_address((0x64FF9B << 96) + int(address))))


@given(outward, insides)
def test_every_exception_is_strictly_inside_its_block(cidrs: list[str], inside: list[str]) -> None:
    """The API server refuses others, and with them the whole policy."""
    _, policies = stored(cidrs, podCIDRs=list(dict.fromkeys(inside)), vpcCIDRs=["10.0.0.0/9", "10.128.0.0/9"])
    for policy in policies:
        for rule in policy["spec"].get("egress", ()):
            for peer in rule["to"]:
                block = peer.get("ipBlock", {"cidr": "0.0.0.0/0"})
                for hole in map(ip_network, block.get("except", ())):
                    assert hole.subnet_of(ip_network(block["cidr"]))  # type: ignore[arg-type]
                    assert hole != ip_network(block["cidr"])


def test_a_block_of_which_nothing_is_left_is_left_out() -> None:
    ctx, policies = stored(["10.0.0.0/8"], vpcCIDRs=["10.0.0.0/9", "10.128.0.0/9"])
    assert next(each for each in policies if each["metadata"]["name"] == "milvus-egress")["spec"]["egress"] == []
    assert not reaches(ctx, policies, "10.1.2.3")
