"""Changes of an endpoint service: what is ours is held to the spec, what is a stranger's stays, and every order of crashes ends well."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api import names
from zilliz_operator.api.cloud import (
    AcceptConnections,
    AllowPrincipals,
    Change,
    ConfigureService,
    DeleteService,
    DisallowPrincipals,
    EndpointConnection,
    EndpointService,
    LoadBalancer,
    RejectConnections,
    TagService,
    UntagService,
)
from zilliz_operator.api.conditions import Reason
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.policy import private_link as link

UID = "0b5a5f0e-6a5e-4f0e-9a57-000000000001"
NLB = "arn:aws:elasticloadbalancing:us-west-2:111122223333:loadbalancer/net/k8s/1"
ONE, TWO, THREE = (f"arn:aws:iam::{digit * 12}:root" for digit in "123")
WANTED = link.Wanted(
    uid=UID,
    tags=((names.CLUSTER_UID_LABEL, UID),),
    load_balancer=NLB,
    acceptance_required=True,
    principals=(ONE, TWO),
)


def service(*principals: str, ours: tuple[str, ...] = (ONE, TWO), **fields: object) -> EndpointService:
    base = EndpointService(
        id="vpce-svc-1",
        name="com.amazonaws.vpce.us-west-2.vpce-svc-1",
        state="Available",
        acceptance_required=True,
        load_balancers=(NLB,),
        tags={names.CLUSTER_UID_LABEL: UID, **{link.mark(p): link.OURS for p in ours}},
        principals=principals or (ONE, TWO),
    )
    return replace(base, **fields)  # type: ignore[arg-type]


def connected(endpoint: str, account: str, state: str = "pendingAcceptance") -> EndpointConnection:
    return EndpointConnection(endpoint=endpoint, account=account * 12, state=state)


def test_at_rest_nothing_changes() -> None:
    held = service(connections=(connected("vpce-1", "1", "available"), connected("vpce-2", "9", "rejected")))
    assert link.changes(held, WANTED) == []
    found = link.judge(held, WANTED)
    assert (found.status, found.reason) == ("True", Reason.KEPT)
    assert "2 principals may connect" in found.message
    assert "1 available, 1 rejected" in found.message


def test_birth_marks_everything_in_the_call_that_makes_it() -> None:
    made = link.birth(WANTED)
    assert made.load_balancer == NLB
    assert dict(made.tags) == {names.CLUSTER_UID_LABEL: UID, link.mark(ONE): link.OURS, link.mark(TWO): link.OURS}


def test_principals_are_marked_before_they_are_allowed_and_unmarked_once_they_are_seen_to_be_gone() -> None:
    plan = link.changes(service(ONE, THREE, ours=(ONE, THREE)), WANTED)
    assert plan == [
        TagService(service="vpce-svc-1", tags=((link.mark(TWO), link.OURS),)),
        AllowPrincipals(service="vpce-svc-1", principals=(TWO,)),
        DisallowPrincipals(service="vpce-svc-1", principals=(THREE,)),
    ]
    gone = service(ONE, TWO, ours=(ONE, TWO, THREE))
    assert link.changes(gone, WANTED) == [UntagService(service="vpce-svc-1", keys=(link.mark(THREE),))]


def test_a_strangers_principal_stays_and_is_said() -> None:
    widened = service(ONE, TWO, THREE)
    assert link.changes(widened, WANTED) == []
    found = link.judge(widened, WANTED)
    assert (found.status, found.reason) == ("False", Reason.FOREIGN_PRINCIPAL)
    assert THREE in found.message
    assert "spec.privateLink.allowedPrincipals" in found.message


def test_a_principal_that_a_stranger_put_and_the_spec_asks_for_becomes_ours() -> None:
    plan = link.changes(service(ONE, TWO, ours=(ONE,)), WANTED)
    assert plan == [TagService(service="vpce-svc-1", tags=((link.mark(TWO), link.OURS),))]


def test_only_what_waits_for_an_allowed_account_is_accepted() -> None:
    waiting = (connected("vpce-b", "1"), connected("vpce-a", "2"), connected("vpce-c", "1", "available"))
    assert link.changes(service(connections=waiting), WANTED) == [
        AcceptConnections(service="vpce-svc-1", endpoints=("vpce-a", "vpce-b"))
    ]


@pytest.mark.parametrize("state", ["pendingAcceptance", "pending", "available", "PendingAcceptance"])
def test_an_account_that_nobody_allows_is_refused_and_cut_off(state: str) -> None:
    left = service(connections=(connected("vpce-9", "9", state),))
    assert link.changes(left, WANTED) == [RejectConnections(service="vpce-svc-1", endpoints=("vpce-9",))]


@pytest.mark.parametrize("foreign", [f"arn:aws:iam::{'9' * 12}:user/guest", "*", "AROAEXAMPLEID"])
def test_an_account_that_a_stranger_allows_is_neither_accepted_nor_refused(foreign: str) -> None:
    held = service(ONE, TWO, foreign, connections=(connected("vpce-9", "9"),))
    assert link.changes(held, WANTED) == []
    assert (
        f"not accepted by us, their account is not on the list: vpce-9 of account {'9' * 12}"
        in link.judge(held, WANTED).message
    )


def test_drift_of_load_balancer_and_acceptance_is_one_call() -> None:
    moved = service(load_balancers=("arn:old",), acceptance_required=False)
    assert link.changes(moved, WANTED) == [
        ConfigureService(
            service="vpce-svc-1",
            add_load_balancers=(NLB,),
            remove_load_balancers=("arn:old",),
            acceptance_required=True,
        )
    ]


def test_a_strangers_service_before_our_load_balancer_is_not_touched() -> None:
    stranger = service(id="vpce-svc-0", tags={"team": "else"})
    with pytest.raises(NameTaken, match=r"vpce-svc-0.*was not touched\. Delete it"):
        link.choose([service(), stranger], uid=UID, load_balancer=NLB)
    elsewhere = replace(stranger, load_balancers=("arn:else",))
    assert link.choose([elsewhere], uid=UID, load_balancer=NLB) is None


def test_of_several_of_ours_the_one_at_the_load_balancer_is_kept_and_the_rest_goes() -> None:
    old = service(id="vpce-svc-0", load_balancers=("arn:old",), connections=(connected("vpce-1", "1", "available"),))
    chosen = link.choose([old, service()], uid=UID, load_balancer=NLB)
    assert chosen is not None
    assert chosen.id == "vpce-svc-1"
    assert link.removal([old]) == [
        RejectConnections(service="vpce-svc-0", endpoints=("vpce-1",)),
        DeleteService(service="vpce-svc-0"),
    ]
    assert link.removal([replace(old, state="Deleting", connections=())]) == []


@pytest.mark.parametrize(
    ("state", "reason"), [("Pending", Reason.WAITING_FOR_ADDRESS), ("Failed", Reason.CLOUD_UNAVAILABLE)]
)
def test_a_service_that_does_not_serve_is_not_ready(state: str, reason: Reason) -> None:
    found = link.judge(service(state=state), WANTED)
    assert (found.status, found.reason) == ("False", reason)


def test_which_load_balancers_can_stand_behind_a_service() -> None:
    fit = LoadBalancer(arn=NLB, type="network", scheme="internal", state="active")
    assert link.unfit(fit) == ""
    assert "network load balancer" in link.unfit(replace(fit, type="application"))
    assert "must be internal" in link.unfit(replace(fit, scheme="internet-facing"))


# ---- whatever is there, and wherever a crash comes: ----------------------------------------------------------------------------

PRINCIPALS = tuple(f"arn:aws:iam::{digit * 12}:root" for digit in "12345")
some = st.sets(st.sampled_from(PRINCIPALS)).map(lambda found: tuple(sorted(found)))


def after(held: EndpointService, change: Change) -> EndpointService:
    """The service as AWS would leave it."""
    match change:
        case TagService():
            return replace(held, tags={**held.tags, **dict(change.tags)})
        case UntagService():
            return replace(held, tags={key: value for key, value in held.tags.items() if key not in change.keys})
        case AllowPrincipals():
            return replace(held, principals=(*held.principals, *change.principals))
        case DisallowPrincipals():
            return replace(held, principals=tuple(p for p in held.principals if p not in change.principals))
        case AcceptConnections() | RejectConnections():
            state = "available" if isinstance(change, AcceptConnections) else "rejected"
            moved = (replace(c, state=state) if c.endpoint in change.endpoints else c for c in held.connections)
            return replace(held, connections=tuple(moved))
        case ConfigureService():
            kept = tuple(arn for arn in held.load_balancers if arn not in change.remove_load_balancers)
            required = held.acceptance_required if change.acceptance_required is None else change.acceptance_required
            return replace(held, load_balancers=(*kept, *change.add_load_balancers), acceptance_required=required)
    raise AssertionError(change)


@given(
    before=some.filter(bool),
    foreign=some,
    asked=some.filter(bool),
    asked_later=some.filter(bool),
    crash=st.integers(0, 5),
    accounts=st.lists(st.sampled_from("1234567"), max_size=4),
    states=st.lists(st.sampled_from(["pendingAcceptance", "available", "rejected"]), min_size=4, max_size=4),
)
def test_a_crash_anywhere_and_a_changed_mind_end_with_the_spec_and_the_strangers(
    before: tuple[str, ...],
    foreign: tuple[str, ...],
    asked: tuple[str, ...],
    asked_later: tuple[str, ...],
    crash: int,
    accounts: list[str],
    states: list[str],
) -> None:
    strangers = set(foreign) - set(before)
    connections = tuple(
        connected(f"vpce-{n}", account, state) for n, (account, state) in enumerate(zip(accounts, states, strict=False))
    )
    held = service(*before, *sorted(strangers), ours=before, connections=connections)
    for change in link.changes(held, replace(WANTED, principals=asked))[:crash]:
        held = after(held, change)
    later = replace(WANTED, principals=asked_later)
    for _ in range(2):
        for change in link.changes(held, later):
            held = after(held, change)
    assert link.changes(held, later) == []
    # Of the strangers' only those may have become ours that the spec asked for in between.
    assert set(asked_later) | (strangers - set(asked)) <= set(held.principals) <= set(asked_later) | strangers
    assert {key for key in held.tags if key.startswith(link.PRINCIPAL_TAG)} == {link.mark(p) for p in asked_later}
    vouched = link.accounts(held.principals)
    assert all(c.account in vouched for c in held.connections if c.state == "available")
