"""Whether anybody enforces the network policies: judged from our own knocks at ports that they keep shut to us.

A network plugin may store policies and do nothing. So the operator, which may reach a gateway's door and nothing else,
knocks where it must not get in. A connection proves that nobody enforces. No connection proves that somebody does, but
only where we know that the pod listens and that our packets get there at all: the door of a gateway must answer us.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shut:
    """A port of a pod that no policy opens to us. `listens`: it was seen to, by its kubelet or by the pod's other port."""

    pod: str
    address: Address
    listens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to knock at: ports that are shut to us, and doors that are open, as the control."""

    shut: Sequence[Shut] = ()
    doors: Mapping[str, Address] = field(default_factory=dict)
    """Pod → its door."""
    nodes: Sequence[str] = ()
    pods: Sequence[str] = ()
    """Blocks of the data plane. Whoever knocks from a node's own address is let in by Kubernetes itself."""

    @property
    def targets(self) -> frozenset[Address]:
        return frozenset({*(each.address for each in self.shut), *self.doors.values()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """What the knocks say. Neither `enforced` nor `opened`: nothing can be said yet."""

    enforced: bool = False
    opened: tuple[str, ...] = ()
    """Ports that let us in, as `9091 of milvus-0`."""
    certain: bool = True
    """False when a plugin may only be late: what is `opened` must be seen once more before anybody is accused."""


UNSEEN = Enforcement()


def judge(plan: Plan, opened: Mapping[Address, str]) -> Enforcement:
    """What it means that `opened`, of all targets of the plan, took a connection, each from that address of ours.
    Silence alone accuses nobody."""
    counted = {target for target, own in opened.items() if not _on_a_node(plan, own)}
    through = sorted({f"{each.address[1]} of {each.pod}" for each in plan.shut if each.address in counted})
    if through:
        return Enforcement(opened=tuple(through))
    if not counted & set(plan.doors.values()):
        return UNSEEN  # our packets may not get there at all
    heard = [
        each for each in plan.shut if (plan.doors[each.pod] in counted if each.pod in plan.doors else each.listens)
    ]
    return Enforcement(enforced=bool(heard))


def _on_a_node(plan: Plan, own: str) -> bool:
    return _in_any(own, plan.nodes) and not _in_any(own, plan.pods)


def _in_any(address: str, blocks: Sequence[str]) -> bool:
    return any(ip_address(address) in ip_network(block) for block in blocks)
