"""Drift: what somebody changed is seen, what the API server adds is not."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api.accesspolicy import SubjectKind
from zilliz_operator.api.names import APPLIED_HASH
from zilliz_operator.policy import drift

DESIRED: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "gateway", "namespace": "ns", "labels": {"a": "b"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "gateway",
                        "image": "gateway:1",
                        "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                    }
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
    },
}


def live(desired: dict[str, Any] | None = None) -> dict[str, Any]:
    """As the API server would hold it: defaults filled in, quantities rewritten, bookkeeping added."""
    obj = deepcopy(drift.stamped(desired or DESIRED))
    obj["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": [{}]}
    obj["status"] = {"replicas": 2}
    if obj["kind"] == "Deployment":
        pod = obj["spec"]["template"]["spec"]
        pod["containers"][0] |= {"imagePullPolicy": "IfNotPresent", "terminationMessagePath": "/dev/termination-log"}
        pod["containers"][0]["resources"]["requests"] = {"cpu": "1", "memory": "1Gi"}
        pod["dnsPolicy"] = "ClusterFirst"
    return obj


def test_what_we_applied_is_at_rest() -> None:
    assert not drift.needs_apply(DESIRED, live())
    assert not drift.needs_apply(drift.stamped(DESIRED), live())


def test_stamping_leaves_the_original_alone_and_is_stable() -> None:
    before = deepcopy(DESIRED)
    once = drift.stamped(DESIRED)
    assert before == DESIRED
    assert drift.stamped(once) == once
    assert once["metadata"]["annotations"][APPLIED_HASH] == drift.applied_hash(DESIRED)


def _scale(obj: dict[str, Any]) -> None:
    obj["spec"]["replicas"] = 3


def _image(obj: dict[str, Any]) -> None:
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = "evil:1"


def _cpu(obj: dict[str, Any]) -> None:
    obj["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "2"


def _sidecar(obj: dict[str, Any]) -> None:
    obj["spec"]["template"]["spec"]["containers"].append({"name": "shell"})


def _no_volume(obj: dict[str, Any]) -> None:
    del obj["spec"]["template"]["spec"]["volumes"]


def _label(obj: dict[str, Any]) -> None:
    obj["metadata"]["labels"] = {}


def _hash(obj: dict[str, Any]) -> None:
    del obj["metadata"]["annotations"]


@pytest.mark.parametrize("edit", [_scale, _image, _cpu, _sidecar, _no_volume, _label, _hash])
def test_an_edit_is_seen(edit: Any) -> None:
    obj = live()
    edit(obj)
    assert drift.needs_apply(DESIRED, obj)


def test_a_field_that_we_stopped_wanting_is_seen() -> None:
    before = deepcopy(DESIRED)
    before["spec"]["paused"] = True
    obj = live(before)
    assert drift.contains(obj, DESIRED)
    assert drift.needs_apply(DESIRED, obj)


def test_what_others_added_is_theirs() -> None:
    obj = live()
    obj["metadata"]["annotations"]["other.io/x"] = "1"
    obj["metadata"]["labels"]["team"] = "x"
    assert not drift.needs_apply(DESIRED, obj)


def test_a_secrets_values_are_compared_and_never_hashed() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "YQ=="}}
    other = {**secret, "data": {"password": "Yg=="}}
    assert drift.applied_hash(secret) == drift.applied_hash(other)
    assert not drift.needs_apply(secret, live(secret))
    assert drift.needs_apply(other, live(secret))
    assert drift.needs_apply({**secret, "data": {"password": "YQ==", "more": "YQ=="}}, live(secret))


@pytest.mark.parametrize(
    ("desired", "found"),
    [({"podSelector": {}}, {}), ({"a": []}, {}), ({"a": {}}, {"a": {"b": 1}}), ({"a": [{}]}, {"a": [{"b": 1}]})],
)
def test_empty_and_absent_are_one(desired: Any, found: Any) -> None:
    assert drift.contains(found, desired)


@pytest.mark.parametrize(
    ("desired", "found"),
    [({"a": False}, {}), ({"a": 1}, {"a": True}), ({"a": 1}, {"a": "1"}), ({"a": "x"}, {"a": ["x"]}), ({"a": [1]}, {})],
)
def test_different_is_different(desired: Any, found: Any) -> None:
    assert not drift.contains(found, desired)


def test_list_elements_may_not_trade_places() -> None:
    assert not drift.contains([2, 1], [1, 2])


@pytest.mark.parametrize(
    ("one", "other"),
    [("1000m", "1"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("1k", "1000"), ("2", 2), ("1Ti", "1024Gi")],
)
def test_quantities_are_compared_by_value(one: Any, other: Any) -> None:
    assert drift.contains({"requests": {"x": one}}, {"requests": {"x": other}})
    assert drift.parse_quantity(one) == drift.parse_quantity(other) is not None


def test_only_quantities_are_compared_by_value() -> None:
    assert not drift.contains({"labels": {"version": "1.0"}}, {"labels": {"version": "1"}})
    assert drift.parse_quantity("abc") is None and drift.parse_quantity(True) is None


json_values = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values)
def test_everything_contains_itself(value: Any) -> None:
    assert drift.contains(value, value)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=3), st.text(min_size=4, max_size=6), json_values)
def test_extra_keys_are_tolerated(value: dict[str, Any], key: str, extra: Any) -> None:
    assert drift.contains({**value, key: extra}, value)


def test_a_word_of_an_enumeration_is_its_text() -> None:
    wanted = {**DESIRED, "metadata": {**DESIRED["metadata"], "labels": {"a": SubjectKind.API_KEY}}}
    live = json.loads(json.dumps(drift.stamped(wanted)))
    assert not drift.needs_apply(wanted, live)
    live["metadata"]["labels"]["a"] = "ClusterUser"
    assert drift.needs_apply(wanted, live)
