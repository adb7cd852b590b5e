"""EndpointVerified: our own knock at every door, as a stranger and as ourselves, and a real query behind it."""

import asyncio
import ipaddress
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import DoorFinding
from zilliz_operator.reconcile.steps import door
from zilliz_operator.reconcile.steps.errors import LATER, SOON
from zilliz_operator.reconcile.vault import ROOT, decoded

TYPE = ConditionType.ENDPOINT_VERIFIED


async def verify(p: Pass) -> StepResult:
    """Probe every gateway; the evidence of the first is the message, and all must agree."""
    if p.ctx.suspended:
        return StepResult(TYPE, UNKNOWN, Reason.SUSPENDED, "suspended: no pod runs, so nothing is served")
    found = await door.doors(p)
    if door.by_balancer(p) and not found:
        return door.nobody_to_ask(p, TYPE)
    if len(found) < door.REPLICAS:
        return StepResult(
            TYPE, UNKNOWN, Reason.WAITING_FOR_PODS, f"{len(found)}/{door.REPLICAS} gateways are there", again_in=SOON
        )
    served = decoded(await p.kube.get("Secret", "gateway-tls", p.ctx.namespace))
    try:
        leaf = x509.load_pem_x509_certificate(served["tls.crt"].encode())
    except ValueError:
        message = (
            f"tls.crt of Secret {p.ctx.namespace}/gateway-tls is no certificate, so somebody changed it: "
            "delete that Secret, and cert-manager makes it anew"
        )
        return StepResult(TYPE, FALSE, Reason.CERTIFICATE_FAILED, message, again_in=LATER)
    expected = sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
    outsider = _we_are_outside(p)
    findings = await asyncio.gather(
        *(
            p.world.probe.probe(d.address, expected_certificate_sha256=expected, outsider_expected=outsider)
            for d in found
        )
    )
    p.certificate_sha256 = expected
    p.certificate_not_after = f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}"
    wrong = next(
        ((d, f, check) for d, f in zip(found, findings, strict=True) for check, ok in f.checks.items() if not ok), None
    )
    if wrong is not None:
        where, finding, check = wrong
        reason = Reason.CERTIFICATE_MISMATCH if check == "certificate" else Reason.PROBE_FAILED
        message = f"gateway {where.pod}: {check} failed: {finding.evidence.get(check, 'not as promised')}"
        return StepResult(TYPE, FALSE, reason, message, again_in=SOON if check == "certificate" else LATER)
    if not p.vault.root_secured:
        return StepResult(
            TYPE, FALSE, Reason.PROGRESSING, "Milvus' default password was not seen refused yet", again_in=SOON
        )
    # What it found there is the users' business and changes all the time; that it answered is the evidence.
    await p.world.milvus.query_works(found[0].address, password=p.vault.password(ROOT))
    place = f"on {len(found)} gateways"
    if door.by_balancer(p):
        place = f"{len(found)} times through the load balancer {found[0].address.host}, which chooses the gateway"
    message = f"{_evidence(findings[0])}; Milvus answered a query; checked {place}"
    return StepResult(TYPE, TRUE, Reason.VERIFIED, message)


def _evidence(finding: DoorFinding) -> str:
    return "; ".join(text for check, text in finding.evidence.items() if finding.checks.get(check, True))


def _we_are_outside(p: Pass) -> bool:
    """Whether a knock without our certificate must be refused for its address: that of a pod of the operator, or where its
    connections come from when it is outside of this Kubernetes cluster."""
    admitted, network = door.admission(p), p.ctx.data_plane.network
    if admitted.workloads and p.plane.local:
        return False  # then every pod's address passes this check, and the network policy alone chooses among pods
    ours = network.pod_cidrs if p.plane.local else network.operator_cidrs
    let_in = [*admitted.cidrs, *(network.pod_cidrs if admitted.workloads else ())]
    mine = [ipaddress.ip_network(cidr) for cidr in ours]
    blocks = [ipaddress.ip_network(cidr) for cidr in let_in]
    return not any(block.version == own.version and block.overlaps(own) for block in blocks for own in mine)
