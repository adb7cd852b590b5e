"""The main job, as a new user meets it: apply the quickstart, wait, connect with a stock client; everybody else is told no."""

import datetime as dt
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.node import door
from tests.node.harness import OPERATOR_NAMESPACE, ROOT, Cluster, Host, Product, ours
from zilliz_operator.api.conditions import ConditionType

PROMISES = (
    ConditionType.NAMESPACE_ISOLATED,
    ConditionType.NETWORK_ISOLATED,
    ConditionType.STORAGE_SECURED,
    ConditionType.IDENTITY_SCOPED,
    ConditionType.CERTIFICATE_VALID,
    ConditionType.WORKLOAD_READY,
    ConditionType.ACCESS_APPLIED,
    ConditionType.ALLOWLIST_IN_FORCE,
    ConditionType.ENDPOINT_VERIFIED,
)


def test_ready_from_its_manifests_with_every_promise_kept(product: Product, quickstart: Cluster) -> None:
    product.kubectl("wait", "--for=condition=Ready", "zc/quickstart", "-n", "quickstart", "--timeout=30s")
    held = {each["type"] for each in quickstart.status["conditions"] if each["status"] == "True"}
    assert held >= {*map(str, PROMISES), "Ready"}
    assert not {each["type"] for each in quickstart.status["conditions"]} & {"Reconciling", "Stalled", "Paused"}


def test_the_list_reads_well(product: Product, quickstart: Cluster) -> None:
    table = product.kubectl("get", "zilliz", "-A")
    row = next(line for line in table.splitlines() if "zillizcluster.byoc.zilliz.com/quickstart" in line)
    assert row.split()[2:4] == ["True", "Ready"]
    assert quickstart.status["endpoint"] in row


def test_describe_tells_the_evidence(product: Product, quickstart: Cluster) -> None:
    text = product.kubectl("describe", "zc", "quickstart", "-n", "quickstart")
    flat = re.sub(r"\s+", " ", text)
    for evidence in ("TLS 1.1 and older refused", "unlisted address answered 403", "in force on 2/2 gateways"):
        assert evidence in flat


def test_the_example_program_inserts_and_searches_with_the_generated_key(product: Product, quickstart: Cluster) -> None:
    secret = product.kubectl("get", "secret", "quickstart-key", "-n", "quickstart", "-o", "json")
    script = ROOT / "docs" / "examples" / "quickstart.py"
    said = product.office.run(sys.executable, str(script), "-", input=secret, seconds=300)
    assert "TLS verified" in said
    assert re.search(r"id +42 +similarity 1\.0000 +row 42", said), said


@dataclass(frozen=True)
class Case:
    """A credential, and what its bearer must be told."""

    name: str
    reason: str
    """Of the door's own refusal; empty: let in."""
    status: int = 401


CASES = (
    Case("the generated key", ""),
    Case("the generated user", ""),
    Case("db_admin of the connection Secret", ""),
    Case("nothing", "no_token"),
    Case("a wrong key", "unknown_key"),
    Case("a cut key", "unknown_key"),
    Case("another cluster's key", "unknown_key"),
    Case("root with its true password", "user_not_from_outside", 403),
    Case("root with Milvus' default", "user_not_from_outside", 403),
    Case("Root spelt otherwise", "user_not_from_outside", 403),
    Case("a technical user with its true password", "user_not_from_outside", 403),
)


@pytest.fixture(scope="module")
def branches(product: Product, quickstart: Cluster) -> Iterator[list[Host]]:
    """More addresses to be refused from: the door counts failures by address, and slows down who has many."""
    lists = {"clusters": {"names": ["quickstart"]}, "entries": [{"cidr": "10.200.0.60/31"}]}
    product.apply(ours("Allowlist", "branches", "quickstart", lists))
    product.wait_condition("Allowlist", "branches", "quickstart")
    yield [product.host(f"branch{last}", f"10.200.0.{last}") for last in (60, 61)]
    product.delete("Allowlist", "branches", "quickstart")
    product.wait_for(lambda: quickstart.status["allowlist"]["cidrs"] == 1, what="the branches' list is withdrawn")


@pytest.fixture(scope="module")
def tokens(product: Product, quickstart: Cluster, other: Cluster) -> dict[str, str]:
    """The credential of each case; the wrong ones are near misses of the right ones."""
    root = product.secret("milvus-root", quickstart.namespace)
    users = product.secret("gateway-maps", quickstart.namespace)["users.map"]
    inner = dict(line.split() for line in users.splitlines())
    technical = {user: password for user, password in inner.items() if user.startswith("zt_")}
    user = product.secret("quickstart-user", quickstart.project)
    key = quickstart.key["token"]
    connection = quickstart.connection
    assert sorted(technical) == ["zt_admin", "zt_operator", "zt_viewer"]
    return {
        "the generated key": key,
        "the generated user": f"{user['username']}:{user['password']}",
        "db_admin of the connection Secret": f"{connection['username']}:{connection['password']}",
        "nothing": "",
        "a wrong key": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "a cut key": key[:-1],
        "another cluster's key": other.key["token"],
        "root with its true password": f"root:{root['password']}",
        "root with Milvus' default": "root:Milvus",
        "Root spelt otherwise": f"ROOT:{root['password']}",
        "a technical user with its true password": f"zt_admin:{technical['zt_admin']}",
    }


@pytest.fixture(scope="module")
def by_grpc(branches: list[Host], quickstart: Cluster, tokens: dict[str, str]) -> dict[str, dict[str, object]]:
    """What pymilvus says in each case, all asked by one process."""
    return door.grpc(quickstart, tokens, source=branches[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pymilvus_is_let_in_or_told_why_not(case: Case, by_grpc: dict[str, dict[str, object]]) -> None:
    answer = by_grpc[case.name]
    if not case.reason:
        assert "ok" in answer, answer
    else:
        assert f"gateway: {case.reason}" in str(answer.get("refused")), answer
        assert answer["code"] == {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED"}[case.status]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rest_is_let_in_or_told_why_not(
    case: Case, branches: list[Host], quickstart: Cluster, tokens: dict[str, str]
) -> None:
    answer = door.rest(quickstart, token=tokens[case.name], source=branches[1])
    if not case.reason:
        assert (answer.status, answer.body["code"]) == (200, 200), answer
    else:
        assert (answer.status, answer.body["code"]) == (case.status, case.status), answer
        assert f"gateway: {case.reason}" in answer.message


def test_a_wrong_password_is_milvus_own_refusal(product: Product, quickstart: Cluster) -> None:
    wrong = {"known": "db_admin:wrong", "unknown": "nobody:wrong"}
    for said in door.grpc(quickstart, wrong, source=product.office).values():
        assert said.get("code") == "UNAUTHENTICATED", said
        assert "check username and password" in str(said["refused"])
    for token in wrong.values():
        answer = door.rest(quickstart, token=token, source=product.office)
        assert answer.status == 401, answer
        assert answer.message


def test_a_key_ends_when_it_expires(product: Product, quickstart: Cluster) -> None:
    def policy(expires: dt.datetime) -> dict[str, object]:
        subject = {"kind": "ApiKey", "name": "guest", "secretName": "guest-key", "expiresAt": expires.isoformat()}
        spec = {"level": "Cluster", "clusters": {"names": ["quickstart"]}, "role": "DataViewer", "subjects": [subject]}
        return ours("AccessPolicy", "guest", "quickstart", spec)

    def knock() -> door.Answer:
        return door.rest(quickstart, token=token, source=product.office)

    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    product.apply(policy(now + dt.timedelta(hours=1)))
    try:
        product.wait_condition("AccessPolicy", "guest", "quickstart")
        token = product.secret("guest-key", "quickstart")["token"]
        product.wait_for(lambda: knock().status == 200, what="the guest's key is let in")
        soon = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(seconds=10)
        product.apply(policy(soon))
        refused = product.wait_for(lambda: (a := knock()).status == 401 and a, what="the guest's key is refused")
        assert dt.datetime.now(dt.UTC) >= soon
        assert "gateway: expired_key" in refused.message
        (answer,) = door.grpc(quickstart, {"guest": token}, source=product.office).values()
        assert "gateway: expired_key" in str(answer.get("refused"))
    finally:
        product.delete("AccessPolicy", "guest", "quickstart")
        product.wait_condition("ZillizCluster", "quickstart", "quickstart")


def test_the_operator_answers_for_all_of_it_as_two_pods(product: Product) -> None:
    pods = [each for each in product.list("Pod", OPERATOR_NAMESPACE) if not each["metadata"].get("deletionTimestamp")]
    assert len(pods) == 2
    assert all(status["ready"] for pod in pods for status in pod["status"]["containerStatuses"])
