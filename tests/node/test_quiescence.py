"""At rest nothing is written: counted at the API server's audit log and in the S3 server's own record, never asked of the operator.

And what is applied stays as it was applied: a GitOps tool sees no difference.
"""

import http.client
import re
from collections.abc import Iterator

import pytest

from tests.node import filer
from tests.node.audit import Entry
from tests.node.harness import OPERATOR_NAMESPACE, OPERATOR_USER, ROOT, Cluster, Product
from zilliz_operator.api.names import GROUP

EXAMPLES = ROOT / "manifests" / "examples"
KINDS = ("ZillizCluster", "DataPlane", "Allowlist", "AccessPolicy")
METRICS_PORT = 9090
RESTFUL_RENEWALS = 3
"""Renewals of the leader's Lease that make up a while: they come every 5 seconds."""


def operator_pods(product: Product) -> set[str]:
    found = product.list("Pod", OPERATOR_NAMESPACE, labels={"app.kubernetes.io/component": "operator"})
    return {pod["metadata"]["name"] for pod in found}


def passes(product: Product) -> dict[str, int]:
    """Passes that ended well, by kind, of all replicas (only the leader makes any)."""
    total = dict.fromkeys(KINDS, 0)
    for pod in product.list("Pod", OPERATOR_NAMESPACE, labels={"app.kubernetes.io/component": "operator"}):
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            continue
        for kind, count in re.findall(r'passes_total\{kind="(\w+)",result="ok"\} ([\d.]+)', metrics(product, address)):
            total[kind] = total.get(kind, 0) + int(float(count))
    return total


def metrics(product: Product, address: str) -> str:
    connection = http.client.HTTPConnection(address, METRICS_PORT, timeout=5)
    try:
        with product.inside():
            connection.connect()
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()


def telling(writes: list[Entry]) -> list[str]:
    """Writes that are not the leader's Lease."""
    return [str(each) for each in writes if each.resource != "leases"]


def rest(product: Product) -> None:
    """Wait until the leader has renewed its Lease some times with no other write since the last one that was seen."""
    state = {"since": product.audit.mark()}

    def quiet() -> bool:
        writes = product.audit.writes(since=state["since"], user=OPERATOR_USER)
        if telling(writes):
            state["since"] = product.audit.mark()
            return False
        return len(writes) >= RESTFUL_RENEWALS

    product.wait_for(quiet, what="the operator comes to rest", every=1.0)


def test_a_full_pass_over_what_is_converged_writes_nothing(
    product: Product, quickstart: Cluster, other: Cluster
) -> None:
    quickstart.wait_ready()
    other.wait_ready()
    rest(product)
    wanted = {kind: len(product.list(kind)) for kind in KINDS}
    assert wanted["ZillizCluster"] >= 2
    old, log, stored = operator_pods(product), product.audit.mark(), filer.now()
    for name in old:
        product.delete("Pod", name, OPERATOR_NAMESPACE)
    fresh = "two new operator pods, one of which has looked at every object"
    product.wait_for(
        lambda: not old & operator_pods(product) and all(passes(product)[kind] >= wanted[kind] for kind in KINDS),
        what=fresh,
        every=1.0,
    )
    looked = product.audit.mark()
    product.wait_for(
        lambda: len(product.audit.writes(since=looked, user=OPERATOR_USER)) >= RESTFUL_RENEWALS,
        what="the leader renews its Lease",
        every=1.0,
    )
    writes = product.audit.writes(since=log, user=OPERATOR_USER)
    assert telling(writes) == []
    assert {each.name for each in writes} == {"zilliz-operator"}
    assert [each for each in filer.changes(product, since=stored) if each.of_the_administrator] == []
    assert quickstart.condition("Ready")["status"] == "True"  # type: ignore[index]


def test_the_counts_count(product: Product, quickstart: Cluster) -> None:
    """The counterpart: one repair is seen at the API server; a setting written again as it was, and a key, at the S3 server."""
    log, stored = product.audit.mark(), filer.now()
    product.delete("ConfigMap", "gateway-config", quickstart.namespace)
    product.wait_for(
        lambda: product.find("ConfigMap", "gateway-config", quickstart.namespace), what="the ConfigMap is back"
    )
    writes = product.audit.writes(since=log, user=OPERATOR_USER)
    assert [each for each in writes if (each.resource, each.name) == ("configmaps", "gateway-config")]
    s3 = product.s3()
    same = s3.get_bucket_encryption(Bucket=quickstart.bucket)["ServerSideEncryptionConfiguration"]
    s3.put_bucket_encryption(Bucket=quickstart.bucket, ServerSideEncryptionConfiguration=same)
    iam = product.iam()
    iam.create_user(UserName="counterpart")
    iam.delete_user(UserName="counterpart")

    def seen() -> bool:
        found = [each for each in filer.changes(product, since=stored) if each.of_the_administrator]
        names = {each.name for each in found}
        return quickstart.bucket in names and "counterpart.json" in names

    product.wait_for(seen, what="the S3 server's record shows both")
    quickstart.wait_ready()


@pytest.fixture(scope="module")
def applied(product: Product, quickstart: Cluster) -> Iterator[list[str]]:
    """Every example, applied and looked at by the operator. (What an example lacks here, as AWS, its condition says.)"""
    product.api.namespace("team-a")
    files = sorted(str(path) for path in (*EXAMPLES.glob("*.yaml"), *EXAMPLES.glob("*/*.yaml")))
    assert len(files) > 10
    words = [word for file in files for word in ("-f", file)]
    product.kubectl("apply", "--server-side", *words)
    product.wait_for(lambda: not unseen(product), what="every object has a status of its present generation")
    yield files
    for found in product.list("ZillizCluster", "team-a"):
        Cluster(product, "team-a", found["metadata"]["name"]).remove(pods=False)
    others = [word for file in files if "quickstart" not in file for word in ("-f", file)]
    product.kubectl("delete", "--ignore-not-found", *others, "--timeout=120s", seconds=150)


def unseen(product: Product) -> list[str]:
    """Objects of our kinds that the operator has not judged as they are now."""
    waiting = []
    for kind in product.api.request("GET", f"/apis/{GROUP}/v1alpha1").must()["resources"]:
        if "/" in kind["name"]:
            continue
        for each in product.list(kind["kind"]):
            status = each.get("status") or {}
            if status.get("observedGeneration") != each["metadata"]["generation"] or not status.get("conditions"):
                waiting.append(f"{kind['kind']} {each['metadata']['name']}")
    return waiting


def test_what_was_applied_shows_no_difference(product: Product, applied: list[str]) -> None:
    """kubectl compares two readings, so a status that still moves looks like a difference; one that stays is one."""
    left = dict.fromkeys(applied, "")

    def none() -> bool:
        for file in list(left):
            done = product.try_kubectl("diff", "--server-side", "-f", file)
            left[file] = done.stdout + done.stderr
            if done.returncode == 0:
                del left[file]
        return not left

    try:
        product.wait_for(none, what="no example shows a difference", every=1.0)
    except AssertionError:
        assert left == {}
        raise


def test_a_difference_would_be_shown(product: Product, applied: list[str]) -> None:
    """The counterpart."""
    text = (EXAMPLES / "allowlist-office.yaml").read_text()
    done = product.try_kubectl("diff", "--server-side", "-f", "-", input=text.replace("office Berlin", "office Bern"))
    assert done.returncode == 1
    assert "office Bern" in done.stdout
