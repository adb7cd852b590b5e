"""CertificateValid: every certificate of the cluster is issued and not near its end."""

from datetime import datetime
from typing import Any

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import NotReady
from zilliz_operator.desired import certificate
from zilliz_operator.policy.status import FALSE, TRUE, StepResult
from zilliz_operator.reconcile import children
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import Kube, Manifest
from zilliz_operator.reconcile.steps.errors import LATER, SOON

TYPE = ConditionType.CERTIFICATE_VALID


async def issue(p: Pass) -> StepResult:
    """Ask cert-manager for them, and read what it says."""
    wanted = certificate.certificates(p.ctx, public_issuer=p.public_issuer)
    p.wanted += wanted
    try:
        p.written += await children.apply(p.kube, p.live, wanted, uid=p.ctx.uid)
    except NotReady as error:
        if isinstance(error, children.Held):
            raise
        # The namespace is there (an earlier step saw it), so it is the kind that is not.
        message = f"data plane {p.ctx.data_plane_name} does not know cert-manager's kinds: install cert-manager there ({error})"
        p.complete = False
        return StepResult(TYPE, FALSE, Reason.CERT_MANAGER_MISSING, message, again_in=LATER)
    names = [m["metadata"]["name"] for m in wanted if m["kind"] == "Certificate"]
    ends: dict[str, str] = {}
    for name in names:
        live = p.live.get("Certificate", name) or {}
        ready = _condition(live, "Ready")
        secret = await p.kube.get("Secret", name, p.ctx.namespace)
        if ready.get("status") != "True" or secret is None:
            return await _not_issued(p, name, live, ready)
        ends[name] = str((live.get("status") or {}).get("notAfter", ""))
    door = ends.get("gateway-tls", "")
    soonest = min((end for end in ends.values() if end), default="")
    if soonest and datetime.fromisoformat(soonest) <= p.world.clock.now():
        return StepResult(TYPE, FALSE, Reason.CERTIFICATE_FAILED, f"a certificate ended on {soonest}", again_in=LATER)
    message = f"{len(names)} certificates issued; the door's ends {door[:10]}, keys change with every renewal"
    return StepResult(TYPE, TRUE, Reason.KEPT, message)


async def _not_issued(p: Pass, name: str, live: Manifest, ready: dict[str, Any]) -> StepResult:
    issuer = _cluster_issuer(p.data_plane)
    if name == "gateway-tls" and issuer:
        found = await p.kube.get("ClusterIssuer", issuer)
        if found is None:
            message = (
                f"ClusterIssuer {issuer} does not exist on data plane {p.ctx.data_plane_name}: create it, "
                "or correct spec.certificates.issuerRef of the DataPlane"
            )
            return StepResult(TYPE, FALSE, Reason.ISSUER_MISSING, message, again_in=LATER)
        if _condition(found, "Ready").get("status") == "False":
            message = f"ClusterIssuer {issuer} is not ready: {_condition(found, 'Ready').get('message', '')}"
            return StepResult(TYPE, FALSE, Reason.ISSUER_NOT_READY, message, again_in=LATER)
    failed = _condition(live, "Issuing")
    if (live.get("status") or {}).get("failedIssuanceAttempts"):
        message = (
            f"certificate {name}: {failed.get('message') or ready.get('message', 'cert-manager could not issue it')}"
        )
        return StepResult(TYPE, FALSE, Reason.CERTIFICATE_FAILED, message, again_in=LATER)
    message = f"certificate {name} is not issued yet: {ready.get('message') or 'cert-manager has not looked at it'}"
    return StepResult(TYPE, FALSE, Reason.WAITING_FOR_CERTIFICATE, message, again_in=SOON)


def _cluster_issuer(data_plane: DataPlane) -> str:
    """The name of cert-manager's own ClusterIssuer that signs the doors, or "" where somebody else does."""
    reference = data_plane.spec.certificates.issuer_ref
    ours = reference is not None and reference.kind == "ClusterIssuer" and reference.group == "cert-manager.io"
    return reference.name if reference is not None and ours else ""


async def proves_public_names(kube: Kube, data_plane: DataPlane, *, door: Manifest | None) -> bool:
    """Whether the doors' issuer is an ACME one, which signs names in public DNS only.

    While the issuer is away the door's live Certificate (`door`) says what it was: its names must not change for that.
    """
    name = _cluster_issuer(data_plane)
    issuer = await kube.get("ClusterIssuer", name) if name else None
    if issuer is None and name and door is not None:
        return not any(".svc" in each for each in (door.get("spec") or {}).get("dnsNames") or ())
    return "acme" in ((issuer or {}).get("spec") or {})


def _condition(obj: Manifest, type: str) -> dict[str, Any]:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c.get("type") == type), {})
