"""Secrets: what is in them, whose they are, and that applications find what they need."""

import base64
from typing import Any

from tests.unit.desired.samples import UID, context, data_plane
from zilliz_operator.api.accesspolicy import AccessPolicy
from zilliz_operator.desired import connection, credentials

POLICY = AccessPolicy.model_validate(
    {
        "metadata": {"name": "readers", "namespace": "team-a", "uid": "policy-uid"},
        "spec": {
            "level": "Project",
            "role": "DataViewer",
            "subjects": [
                {"kind": "ClusterUser", "name": "app", "secretName": "app"},
                {"kind": "ApiKey", "name": "ingest", "secretName": "ingest"},
            ],
        },
    }
)
USER, KEY = POLICY.spec.subjects


def values(secret: dict[str, Any]) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}


def test_the_connection_secret_is_a_service_binding_of_the_project() -> None:
    secret = connection.connection_secret(context(), host="door.test", password="pw", ca_pem="PEM")
    assert secret["type"] == "servicebinding.io/milvus"
    assert (secret["metadata"]["namespace"], secret["metadata"]["name"]) == ("team-a", "search-connection")
    assert values(secret) == {
        "type": "milvus",
        "provider": "zilliz-byoc",
        "host": "door.test",
        "port": "19530",
        "uri": "https://door.test:19530",
        "username": "db_admin",
        "password": "pw",
        "ca.crt": "PEM",
    }
    (owner,) = secret["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("ZillizCluster", "search", UID)


def test_a_publicly_trusted_door_needs_no_authority() -> None:
    assert "ca.crt" not in connection.connection_secret(context(), host="h", password="p", ca_pem="")["data"]


def test_subjects_secrets_belong_to_their_policy_and_carry_where_to_go() -> None:
    where = {"host": "door.test", "uri": "https://door.test:19530"}
    marks = {"byoc.zilliz.com/made-at": "2026-11-26T12:00:00Z"}
    user = connection.user_secret(POLICY, USER, name="app", password="pw", where=where, marks=marks)
    key = connection.api_key_secret(POLICY, KEY, name="ingest", token="zbk_x", where={}, marks=marks)
    assert {"username": "app", "password": "pw", "token": "app:pw", **where}.items() <= values(user).items()
    assert values(key)["token"] == "zbk_x" and "password" not in values(key) and "host" not in values(key)
    for secret in (user, key):
        assert secret["metadata"]["labels"]["byoc.zilliz.com/policy-uid"] == "policy-uid"
        assert secret["metadata"]["ownerReferences"][0]["kind"] == "AccessPolicy"
        assert secret["metadata"]["namespace"] == "team-a"
        assert secret["metadata"]["annotations"] == marks
    kinds = [secret["metadata"]["labels"]["byoc.zilliz.com/subject"] for secret in (user, key)]
    assert kinds == ["ClusterUser", "ApiKey"]


def test_cluster_secrets_hold_what_they_are_named_for() -> None:
    ctx = context()
    root = credentials.root_secret(ctx, password="r", db_admin="d")
    assert root["metadata"]["name"] == "milvus-root" and values(root) == {"password": "r", "db_admin": "d"}
    users = credentials.technical_users(ctx, seed="v")
    assert users["metadata"]["name"] == "technical-users" and values(users) == {"technical-seed": "v"}
    pair = {"access_key_id": "a", "secret_access_key": "s"}
    store = credentials.store_credentials(ctx, **pair)
    assert values(store) == {"accessKeyId": "a", "secretAccessKey": "s"}
    operators = credentials.store_credentials(context({}, data_plane(engine="MilvusOperator")), **pair)
    assert values(operators) == {"accessKeyId": "a", "secretAccessKey": "s", "accesskey": "a", "secretkey": "s"}
