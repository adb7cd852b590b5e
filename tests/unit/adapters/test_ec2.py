"""The rights that the pages ask for are those that the adapter needs, and nothing that changes things is asked for everywhere."""

import json
from pathlib import Path
from typing import Any

from zilliz_operator.adapters.aws.ec2 import READ_ACTIONS, WRITE_ACTIONS
from zilliz_operator.api.names import CLUSTER_UID_LABEL

ROOT = Path(__file__).parents[3]
POLICY = "docs/examples/aws-operator-network-policy.json"


def statements() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((ROOT / POLICY).read_text())["Statement"]
    return found


def actions(statement: dict[str, Any]) -> set[str]:
    action = statement["Action"]
    return {action} if isinstance(action, str) else set(action)


def test_the_policy_has_no_right_too_few_and_none_too_many() -> None:
    assert set().union(*map(actions, statements())) == {*READ_ACTIONS, *WRITE_ACTIONS}


def test_what_changes_things_is_allowed_on_marked_endpoint_services_alone() -> None:
    for statement in statements():
        assert statement["Effect"] == "Allow"
        if actions(statement) & set(WRITE_ACTIONS):
            assert statement["Resource"].endswith(":vpc-endpoint-service/*")
            marked = {f"aws:{where}Tag/{CLUSTER_UID_LABEL}": "false" for where in ("Request", "Resource")}
            condition = statement["Condition"]
            born = {"ec2:CreateAction": "CreateVpcEndpointServiceConfiguration"}
            assert condition.get("StringEquals") == born or condition["Null"].items() <= marked.items()


def test_the_pages_point_to_it() -> None:
    assert f"]({POLICY.removeprefix('docs/')})" in (ROOT / "docs" / "install.md").read_text()
