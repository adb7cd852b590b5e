"""`zilliz-operator doctor` on the whole product: an administrator sees everything in order, the operator's own pod what it may see."""

import json
import sys
from typing import Any

from tests.node.harness import ROOT, Cluster, Product


def findings(text: str) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in json.loads(text)}


def test_an_administrator_sees_a_whole_installation(product: Product, quickstart: Cluster) -> None:
    script = ("env", f"PYTHONPATH={ROOT / 'operator'}:{ROOT}", sys.executable)
    done = product.try_run(*script, "-m", "zilliz_operator.cli", "doctor", "-o", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = findings(done.stdout)
    whole = ("kubernetes", "operator", "kinds", "admission", "rights", "cert-manager", "data-planes")
    assert {id: found[id]["state"] for id in whole} == dict.fromkeys(whole, "ok")
    secrets = found["secret-encryption"]
    assert (secrets["state"], "secretbox" in secrets["said"]) == ("ok", True)
    volumes = found["volume-encryption"]
    assert (volumes["state"], "does not tell whether it encrypts" in volumes["said"]) == ("unknown", True)


def test_in_the_operators_pod_it_sees_what_the_operator_may(product: Product, quickstart: Cluster) -> None:
    command = ("zilliz-operator", "doctor", "-o", "json")
    done = product.try_kubectl("exec", "-n", "zilliz-system", "deploy/zilliz-operator", "--", *command)
    found = findings(done.stdout)
    assert {id: found[id]["state"] for id in ("rights", "kinds", "operator")} == dict.fromkeys(
        ("rights", "kinds", "operator"), "ok"
    )
    assert found["admission"]["state"] == "unknown"
    assert "does not let us list validatingadmissionpolicies" in found["admission"]["said"]
