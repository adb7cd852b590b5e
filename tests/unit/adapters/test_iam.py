"""What no simulator of AWS answers as AWS does."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.desired.samples import context, documents
from zilliz_operator.adapters.aws.iam import Roles
from zilliz_operator.api.exceptions import InvalidSpec, NameTaken
from zilliz_operator.desired import identity

WANTED = identity.milvus_identity(context({}, documents("dataplane-aws.yaml")[0]))


class Iam:
    """A role of ours without its policy, whose name is taken under another path: AWS' names are unique over all paths."""

    def __init__(self) -> None:
        self.writes: list[str] = []

    def get_role(self, **_: Any) -> Any:
        return {"Role": {"Path": WANTED.path, "AssumeRolePolicyDocument": "{}"}}

    def get_paginator(self, operation: str) -> Any:
        tags = [{"Key": key, "Value": value} for key, value in WANTED.tags]
        page = {"list_role_tags": {"Tags": tags}}.get(operation, {})

        class Pages:
            def paginate(self, **_: Any) -> Any:
                return [page]

        return Pages()

    def create_policy(self, **_: Any) -> Any:
        answer = {"Error": {"Code": "EntityAlreadyExists"}, "ResponseMetadata": {"HTTPStatusCode": 409}}
        raise ClientError(answer, "CreatePolicy")  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        self.writes.append(name)
        raise AssertionError(name)


def test_a_policy_of_our_name_under_another_path_is_name_taken() -> None:
    iam = Iam()
    with pytest.raises(NameTaken, match="untouched"):
        Roles(iam).ensure(WANTED)
    assert iam.writes == []


def test_a_role_takes_no_key_pair() -> None:
    with pytest.raises(InvalidSpec, match="takes no key pair"):
        Roles(Iam()).make_key(WANTED, keep=())
    assert Roles(Iam()).keys(WANTED) == {}
    assert Roles(Iam()).remove_keys(WANTED, keep=()) is False
