"""The rights on a data plane: as many as clusters need, none that gives rights, said in words that a role is written from."""

import pytest

from zilliz_operator.api import rights
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.rights import Access
from zilliz_operator.handlers import watches
from zilliz_operator.reconcile import children


@pytest.mark.parametrize("kind", [*watches.CHILD_KINDS, *children.OBSERVED_KINDS])
def test_every_kind_that_is_watched_or_listed_is_among_them(kind: str) -> None:
    info = KINDS[kind]
    assert {Access(verb, info.group, info.plural) for verb in ("get", "list", "watch")} <= set(rights.accesses())


@pytest.mark.parametrize("kind", ["Namespace", *children.APPLIED_KINDS])
def test_every_kind_that_is_applied_and_pruned_is_among_them(kind: str) -> None:
    info = KINDS[kind]
    assert {Access(verb, info.group, info.plural) for verb in ("create", "patch", "delete")} <= set(rights.accesses())


def test_none_gives_rights_or_reaches_nodes_and_our_own_kinds_stay_on_the_hub() -> None:
    for access in rights.accesses():
        assert access.verb in rights.WRITE
        assert access.group not in ("rbac.authorization.k8s.io", "byoc.zilliz.com", "events.k8s.io")
        assert "/" not in access.resource
        assert access.resource != "nodes"
    assert len(set(rights.accesses())) == len(rights.accesses())


def test_missing_ones_are_named_by_verb_and_resource() -> None:
    missing = [
        Access("create", "networking.k8s.io", "networkpolicies"),
        Access("patch", "networking.k8s.io", "networkpolicies"),
        Access("list", "", "pods"),
    ]
    assert rights.grouped(missing) == "create, patch networkpolicies.networking.k8s.io; list pods"
