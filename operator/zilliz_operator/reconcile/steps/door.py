"""AllowlistInForce: who may knock, in the network policies and in every gateway, attested by the gateways themselves."""

import asyncio
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import OperatorPath
from zilliz_operator.api.exceptions import NotReady, ZillizError
from zilliz_operator.api.zillizcluster import ClientAuth, Exposure
from zilliz_operator.desired.context import COMPONENT_LABEL, GATEWAY
from zilliz_operator.desired.door import DoorConfig, DoorFiles, TechnicalUser, milvus_host, render
from zilliz_operator.policy import allowlist
from zilliz_operator.policy.allowlist import Admission
from zilliz_operator.policy.entitlements import credentials, technical_users
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile.pass_ import Door, Pass
from zilliz_operator.reconcile.ports import Attestation, DoorAddress, Manifest
from zilliz_operator.reconcile.steps import bearers, signon, users
from zilliz_operator.reconcile.steps.errors import SOON, waits
from zilliz_operator.reconcile.vault import decoded

TYPE = ConditionType.ALLOWLIST_IN_FORCE
REPLICAS = 2
CONFIG_ANNOTATION = names.PREFIX + "config"
KNOCKS = 8
"""Times that a load balancer is asked for each gateway behind it: with two gateways, one is missed once in 30,000 times."""


def admission(p: Pass) -> Admission:
    """Who may knock now. Nobody before Milvus' default password was seen refused."""
    wanted = allowlist.union(p.allowlists, now=p.world.clock.now())
    p.allow_cidrs, p.allow_workloads, p.allow_anywhere = len(wanted.cidrs), len(wanted.workloads), wanted.anywhere
    return wanted if p.vault.root_secured else Admission()


async def files(p: Pass) -> DoorFiles:
    """The gateway's configuration as this pass wants it. Raises NotReady while mutual TLS is asked for and a part is missing."""
    admitted, plane = admission(p), p.ctx.data_plane
    client_ca, operator_certificates = await _mutual_tls(p)
    known, people = bearers.keys(p), bearers.passwords(p)
    behind = {*technical_users(credentials(p.entitled.live)), *signon.technical_users(p), *(key.user for key in known)}
    return render(
        DoorConfig(
            cluster_id=p.ctx.cluster_id,
            milvus_host=milvus_host(namespace=p.ctx.namespace, cluster_domain=plane.network.cluster_domain),
            allow=admitted.lasting,
            allow_until=admitted.until,
            # Where no load balancer is, nobody's word about a client counts.
            load_balancers=() if p.ctx.spec.exposure is Exposure.INTERNAL else tuple(plane.network.load_balancer_cidrs),
            pods=tuple(plane.network.pod_cidrs),
            workloads_listed=bool(admitted.workloads),
            user_ends=tuple(users.ends(p)),
            keys=tuple(known),
            technical_users=tuple(TechnicalUser(name=user, password=p.vault.inner(user)) for user in sorted(behind)),
            sso=await signon.door(p),
            passwords=tuple(people),
            cluster_users=tuple(
                TechnicalUser(name=user, password=p.vault.inner(user)) for user in sorted(bearers.users(p))
            ),
            min_tls=p.ctx.spec.tls.min_version,
            client_ca_pem=client_ca,
            operator_certificates=operator_certificates,
        )
    )


async def _mutual_tls(p: Pass) -> tuple[str | None, tuple[str, ...]]:
    """The clients' authority where clients must show a certificate, and the operator's own certificate to tell it apart."""
    tls = p.ctx.spec.tls
    if tls.client_auth is not ClientAuth.REQUIRED or tls.client_ca_secret_ref is None:
        return None, ()
    where = f"Secret {p.ctx.project}/{tls.client_ca_secret_ref.name}"
    authority = decoded(await p.world.hub.get("Secret", tls.client_ca_secret_ref.name, p.ctx.project)).get("ca.crt")
    if not authority:
        raise NotReady(
            f"spec.tls.clientCASecretRef: {where} has no key ca.crt; create it with the CA of your clients' certificates"
        )
    own = decoded(await p.kube.get("Secret", "operator-client", p.ctx.namespace)).get("tls.crt")
    if not own:
        raise NotReady("the operator's own client certificate is not issued yet")
    leaf = x509.load_pem_x509_certificate(own.encode()).public_bytes(Encoding.DER)
    return authority, (hashlib.sha256(leaf).hexdigest(),)


def pods(p: Pass) -> list[Manifest]:
    """The gateway's pods that have an address and are not on their way out."""
    return sorted(
        (
            pod
            for pod in p.live.of("Pod")
            if (pod["metadata"].get("labels") or {}).get(COMPONENT_LABEL) == GATEWAY
            and not pod["metadata"].get("deletionTimestamp")
            and (pod.get("status") or {}).get("podIP")
        ),
        key=lambda pod: str(pod["metadata"]["name"]),
    )


async def doors(p: Pass) -> list[Door]:
    """Every gateway as the operator dials it, the ready ones first; empty while our own certificate is not there, or the load
    balancer that leads to them."""
    client = decoded(await p.kube.get("Secret", "operator-client", p.ctx.namespace))
    served = decoded(await p.kube.get("Secret", "gateway-tls", p.ctx.namespace))
    if "tls.key" not in client or "tls.crt" not in served:
        return []
    found = []
    for pod in pods(p):
        host = balancer(p) if by_balancer(p) else pod["status"]["podIP"]
        if not host:
            return []
        address = DoorAddress(
            host=host,
            port=names.GATEWAY_PORT,
            server_name=p.ctx.door_host,
            ca_pem=trust(p, served),
            client_cert_pem=client["tls.crt"],
            client_key_pem=client["tls.key"],
        )
        found.append(Door(pod["metadata"]["name"], _ready(pod), address))
    return sorted(found, key=lambda door: not door.ready)


def by_balancer(p: Pass) -> bool:
    """Whether this data plane's gateways are reached through each cluster's load balancer, which chooses one."""
    return p.ctx.data_plane.network.operator_path is OperatorPath.LOAD_BALANCER


def balancer(p: Pass) -> str:
    """The load balancer's address, where there is one."""
    service = p.live.get("Service", "gateway") or {}
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return str(next((i.get("hostname") or i.get("ip") or "" for i in ingress), ""))


def trust(p: Pass, served: dict[str, str]) -> str:
    """The authority that clients of this door should trust; empty: the public ones."""
    return p.plane.door_ca_pem or served.get("ca.crt", "")


def _ready(pod: Manifest) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


async def attest(p: Pass) -> StepResult:
    """Ask every gateway which configuration it runs; nudge the kubelet of those that lag."""
    if p.ctx.suspended:
        return StepResult(TYPE, UNKNOWN, Reason.SUSPENDED, "suspended: no gateway runs, so nobody may knock")
    found = await doors(p)
    if not found:
        return nobody_to_ask(p, TYPE)
    if not p.config_hash:
        return waits(TYPE, for_=ConditionType.WORKLOAD_READY)
    answers = await (_through_balancer(p, found) if by_balancer(p) else _each(p, found))
    for answer in answers:
        if isinstance(answer, Attestation):
            p.world.last_uses.told(answer.used, now=p.world.clock.now())
    current = [a for a in answers if isinstance(a, Attestation) and a.config == p.config_hash]
    p.in_force = len(current)
    certificate = await _certificate(p)
    await _nudge(
        p,
        certificate,
        lagging={
            door.pod
            for door, a in zip(found, answers, strict=True)
            if a not in current or (isinstance(a, Attestation) and certificate not in ("", a.certificate))
        },
    )
    short = p.config_hash[:12]
    if len(current) < max(REPLICAS, len(found)):
        return _pending(found, answers, current=len(current), short=short)
    if not p.vault.root_secured:
        message = "the door is closed until Milvus' default password is seen refused"
        return StepResult(TYPE, FALSE, Reason.PROGRESSING, message, again_in=SOON)
    admitted = admission(p)
    if admitted.left_out:
        message = (
            f"no room for Allowlist {', '.join(admitted.left_out)} beside the older ones, which are in force: "
            f"{allowlist.MOST_BLOCKS} entries that admit are the most for one cluster; use wider blocks, or fewer"
        )
        return StepResult(TYPE, FALSE, Reason.ALLOWLISTS_TOO_LONG, message)
    who = _who(admitted)
    where = f"configuration {short} in force on {len(current)}/{len(found)} gateways"
    if not admitted.cidrs and not admitted.workloads:
        why = "no entry of its Allowlists admits now" if p.allowlists else "no Allowlist selects this cluster"
        message = f"nobody may knock: {why}; {where}"
        return StepResult(TYPE, TRUE, Reason.DOOR_CLOSED, message)
    return StepResult(TYPE, TRUE, Reason.APPLIED, f"{who}; {where}")


def _who(admitted: Admission) -> str:
    """Who may knock, and until when at least. It changes when an entry comes or ends, and not in between."""
    blocks = f"{len(admitted.cidrs)} address blocks of {admitted.entries} entries"
    who = f"{blocks} and {len(admitted.workloads)} workloads may knock"
    return who if admitted.next_end is None else f"{who}, the first entry ends {utc(admitted.next_end)}"


def _pending(found: Sequence[Door], answers: Sequence[Attestation | str], *, current: int, short: str) -> StepResult:
    why = next(
        (
            a.last_error if isinstance(a, Attestation) else a
            for a in answers
            if not isinstance(a, Attestation) or a.last_error
        ),
        "",
    )
    message = f"configuration {short} in force on {current}/{max(REPLICAS, len(found))} gateways" + (
        f": {why}" if why else ""
    )
    return StepResult(TYPE, FALSE, Reason.CONFIGURATION_PENDING, message, again_in=1.0)


def nobody_to_ask(p: Pass, type: ConditionType) -> StepResult:
    """What a step says that found no door to dial."""
    if by_balancer(p) and pods(p) and not balancer(p):
        message = "the load balancer of Service gateway has no address yet, and the operator's way is through it"
        return StepResult(type, UNKNOWN, Reason.WAITING_FOR_ADDRESS, message, again_in=SOON)
    return StepResult(type, UNKNOWN, Reason.WAITING_FOR_PODS, "no gateway is there to ask yet", again_in=SOON)


async def _each(p: Pass, found: Sequence[Door]) -> Sequence[Attestation | str]:
    return await asyncio.gather(*(_ask(p, door) for door in found))


async def _through_balancer(p: Pass, found: Sequence[Door]) -> Sequence[Attestation | str]:
    """It chooses who answers, anew for each connection: knock until every gateway has said who it is."""
    heard: dict[str, Attestation] = {}
    trouble = f"{balancer(p)} did not lead there in {KNOCKS * len(found)} connections"
    for _ in range(KNOCKS * len(found)):
        answer = await _ask(p, found[0])
        if isinstance(answer, str):
            trouble = answer
            break
        heard[answer.pod] = answer
        if all(door.pod in heard for door in found):
            break
    return [heard.get(door.pod) or f"{door.pod}: {trouble}" for door in found]


async def _ask(p: Pass, door: Door) -> Attestation | str:
    try:
        return await p.world.probe.attest(door.address)
    except ZillizError as error:
        return f"{door.pod}: {error}"


async def _certificate(p: Pass) -> str:
    """SHA-256 of the certificate that the gateways should serve; empty while there is none to be read."""
    served = decoded(await p.kube.get("Secret", "gateway-tls", p.ctx.namespace))
    try:
        leaf = x509.load_pem_x509_certificate(served.get("tls.crt", "").encode())
    except ValueError:
        return ""
    return hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()


async def _nudge(p: Pass, certificate: str, *, lagging: set[str]) -> None:
    """An annotation on the pod makes its kubelet look at the volumes now instead of within a minute."""
    wanted = f"{p.config_hash}.{certificate[:16]}"
    for pod in pods(p):
        name = pod["metadata"]["name"]
        if name in lagging and (pod["metadata"].get("annotations") or {}).get(CONFIG_ANNOTATION) != wanted:
            patch = {"metadata": {"annotations": {CONFIG_ANNOTATION: wanted}}}
            await p.kube.merge_patch("Pod", name, p.ctx.namespace, patch)
            p.written.append(f"Pod/{name}")
