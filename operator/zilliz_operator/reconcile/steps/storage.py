"""StorageSecured: buckets of the cluster's own, hardened, and a volume whose class encrypts."""

from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.exceptions import Rejected
from zilliz_operator.policy import volumes
from zilliz_operator.policy.status import FALSE, TRUE, StepResult
from zilliz_operator.reconcile.pass_ import Pass
from zilliz_operator.reconcile.ports import Kube
from zilliz_operator.reconcile.steps import buckets
from zilliz_operator.reconcile.steps.errors import LATER


async def secure(p: Pass) -> StepResult:
    """Make the buckets exist with every aspect, look at the class of the volume, and say what neither can do."""
    type = ConditionType.STORAGE_SECURED
    seen = await buckets.ensure(p)
    volume = await _volume(p)
    message = f"{buckets.evidence(seen)}. Volume: {volume.said}"
    if volume.broken:
        message = (
            f"{volume.said}, and what Milvus keeps on its volume would lie there in clear: name a StorageClass that encrypts in "
            f"spec.storageClassName of DataPlane {p.ctx.data_plane_name} (a volume that exists stays as it is: make a new cluster)"
        )
        return StepResult(type, FALSE, Reason.VOLUME_NOT_ENCRYPTED, message, again_in=LATER)
    if not volume.known:
        message += (
            f"; whether it is encrypted is not known, and we do not claim it: declare it in DataPlane {p.ctx.data_plane_name} "
            "(storageClassName, storageClassEncrypted), or name a class that tells"
        )
    reason = Reason.KEPT if buckets.all_hold(seen) and volume.known else Reason.KEPT_WITH_LIMITS
    return StepResult(type, TRUE, reason, message)


async def _volume(p: Pass) -> volumes.Summary:
    """The classes of the claims in the cluster's namespace; before there is one, the class that it will have."""
    spec = p.ctx.data_plane
    claims = await p.kube.list("PersistentVolumeClaim", p.ctx.namespace)
    named = {claim["spec"].get("storageClassName") for claim in claims} or {spec.storage_class_name}
    verdicts = [await _judged(p.kube, name) for name in sorted(named, key=str)]
    return volumes.summarize(verdicts, declared=spec.storage_class_name if spec.storage_class_encrypted else None)


async def _judged(kube: Kube, name: str | None) -> volumes.ClassVerdict:
    """A class that we may not read is one that nobody can tell about, not an outage."""
    try:
        if name is None:
            found = volumes.default_class(await kube.list("StorageClass"))
        else:
            found = await kube.get("StorageClass", name) if name else None
    except Rejected:
        return volumes.judge(name, None, unreadable="the operator lacks get and list on storageclasses.storage.k8s.io")
    return volumes.judge(name, found)
