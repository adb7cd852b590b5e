"""No cluster gets a certificate for another's door, nor for a name inside Kubernetes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zilliz_operator.api import names
from zilliz_operator.policy.doornames import refusal

OWN = "in01-0123456789ab"
OTHER = "in01-ba9876543210"


def said(*asked: str) -> str:
    return refusal(asked, cluster_id=OWN, domain="byoc.acme.com", cluster_domain="cluster.local")


@pytest.mark.parametrize(
    "name",
    [
        "search.acme.com",
        "milvus.internal.acme.com",
        f"{OWN}.byoc.acme.com",
        "in01.acme.com",
        "in01-0123456789abc.acme.com",  # no id: one digit more
        "notbyoc.acme.com",
        "svc.acme.com",
        "acme.com",
    ],
)
def test_names_of_ones_own(name: str) -> None:
    assert said(name) == ""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"{OTHER}.byoc.acme.com", "another cluster's door"),
        (f"{OTHER}.eu.acme.com", "another cluster's door"),  # of another data plane, by the same issuer
        (f"{OWN}.eu.acme.com", "another cluster's door"),
        ("byoc.acme.com", "doors of clusters"),
        ("search.byoc.acme.com", "doors of clusters"),
        (f"a.{OTHER}.byoc.acme.com", "doors of clusters"),
        (f"gateway.milvus-{OTHER}.svc.cluster.local", "inside Kubernetes"),
        (f"gateway.milvus-{OTHER}.svc", "inside Kubernetes"),
        (f"gateway.milvus-{OTHER}", "inside Kubernetes"),
        (f"gateway.milvus-{OWN}.svc", "inside Kubernetes"),
        ("kubernetes.default.svc", "inside Kubernetes"),
        ("cluster.local", "inside Kubernetes"),
        ("gateway", "inside Kubernetes"),
    ],
)
def test_names_of_others(name: str, why: str) -> None:
    found = said("search.acme.com", name)
    assert found.startswith(f"spec.tls.dnsNames[1]: {name} ")
    assert why in found


@given(
    uids=st.lists(st.uuids(), min_size=2, max_size=2, unique=True),
    domain=st.sampled_from(["byoc.acme.com", "a.b", "svc.io"]),
)
def test_no_name_that_another_cluster_serves(uids: list[object], domain: str) -> None:
    mine, theirs = (names.cluster_id(str(uid)) for uid in uids)
    served = [names.door_host(cluster_id=theirs, domain=domain)]
    service = f"gateway.{names.cluster_namespace(theirs)}"
    served += [service, f"{service}.svc", f"{service}.svc.cluster.local"]
    for plane in (domain, "elsewhere.example"):
        for name in served:
            assert refusal([name], cluster_id=mine, domain=plane, cluster_domain="cluster.local"), name
