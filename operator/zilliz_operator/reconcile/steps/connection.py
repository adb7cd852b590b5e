"""The connection Secret in the project: how an application reaches the cluster, in the Service Binding shape."""

from zilliz_operator.api import names
from zilliz_operator.api.exceptions import NameTaken
from zilliz_operator.api.zillizcluster import Exposure
from zilliz_operator.desired import connection as desired_connection
from zilliz_operator.policy import drift
from zilliz_operator.reconcile import vault
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.steps import door
from zilliz_operator.reconcile.vault import decoded


def host(p: Pass) -> str:
    """The name that clients use: the public one where the door is exposed, the Service's own inside the data plane."""
    if p.ctx.spec.exposure is Exposure.INTERNAL and not p.public_issuer:
        return f"gateway.{p.ctx.namespace}.svc.{p.ctx.data_plane.network.cluster_domain}"
    return p.ctx.door_host


async def publish(p: Pass) -> None:
    """Write it once the door's certificate is there. Raises NameTaken for a Secret of that name that is not ours."""
    served = decoded(await p.kube.get("Secret", "gateway-tls", p.ctx.namespace))
    if "tls.crt" not in served:
        return
    wanted = desired_connection.connection_secret(
        p.ctx, host=host(p), password=p.vault.password(vault.DB_ADMIN), ca_pem=door.trust(p, served)
    )
    metadata = wanted["metadata"]
    existing = await p.world.hub.get("Secret", metadata["name"], metadata["namespace"])
    if existing is not None and (existing["metadata"].get("labels") or {}).get(names.CLUSTER_UID_LABEL) != p.ctx.uid:
        raise NameTaken(
            f"Secret {metadata['namespace']}/{metadata['name']}",
            "exists and is not this cluster's; it was not touched. Delete or rename it: "
            "applications find there how to connect",
        )
    if existing is None or drift.needs_apply(wanted, existing):
        await p.world.hub.apply(drift.stamped(wanted))
        p.written.append(f"Secret/{metadata['name']}")
