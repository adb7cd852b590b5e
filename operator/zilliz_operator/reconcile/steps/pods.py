"""Why pods are not there yet, in the words of a condition: the first thing a person would look for in `kubectl describe`. And
what the pods that are there run with."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any

from zilliz_operator.api import names
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.policy.status import FALSE, StepResult
from zilliz_operator.reconcile.children import Live
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.steps.errors import LATER

TYPE = ConditionType.WORKLOAD_READY
KEY_MARK = names.PREFIX + "store-key-digest"
"""On Milvus' pods: the mark of the store's access key that they were started with."""

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable"})
_CRASH = frozenset({"CrashLoopBackOff", "RunContainerError", "CreateContainerError"})
_CONFIG = frozenset({"CreateContainerConfigError"})


def trouble(pods: Iterable[Manifest]) -> StepResult | None:
    """The first pod that cannot start by itself."""
    for pod in pods:
        found = _of(pod)
        if found is not None:
            return found
    return None


def _of(pod: Manifest) -> StepResult | None:
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, said = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _PULL:
            message = (
                f"pod {name} cannot get image {container.get('image')}: {said or reason}. "
                "Push it, or correct spec.versions or spec.images of the DataPlane"
            )
            return StepResult(TYPE, FALSE, Reason.IMAGE_MISSING, message, again_in=LATER)
        if reason in _CRASH:
            ended = (container.get("lastState") or {}).get("terminated") or {}
            message = (
                f"pod {name} ends again and again (exit {ended.get('exitCode', '?')}): kubectl logs --previous {name}"
            )
            return StepResult(TYPE, FALSE, Reason.CRASH_LOOPING, message, again_in=LATER)
        if reason in _CONFIG:
            return StepResult(
                TYPE, FALSE, Reason.WAITING_FOR_PODS, f"pod {name} waits: {said or reason}", again_in=LATER
            )
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _unscheduled(name, condition)
    return None


def _unscheduled(name: str, condition: Mapping[str, Any]) -> StepResult:
    said = condition.get("message", "")
    volume = "PersistentVolumeClaim" in said or "persistent volumes" in said
    reason = Reason.WAITING_FOR_VOLUME if volume else Reason.UNSCHEDULABLE
    return StepResult(TYPE, FALSE, reason, f"pod {name} has no node: {said}", again_in=LATER)


def has_run(pods: Iterable[Manifest], *, container: str, image: str) -> bool:
    """Whether some pod's container was started with this image, however it went."""
    return any(
        status["name"] == container and (_began(status.get("state")) or _began(status.get("lastState")))
        for pod in pods
        if any(c["name"] == container and c["image"] == image for c in pod["spec"]["containers"])
        for status in (pod.get("status") or {}).get("containerStatuses") or ()
    )


def _began(state: Mapping[str, Any] | None) -> bool:
    return bool(state and ("running" in state or "terminated" in state))


def rolled_out(obj: Manifest | None, *, replicas: int) -> bool:
    """Whether a StatefulSet or Deployment runs `replicas` ready pods of its newest template."""
    if obj is None:
        return False
    status = obj.get("status") or {}
    if status.get("observedGeneration", 0) < obj["metadata"].get("generation", 0):
        return False
    ready, updated = status.get("readyReplicas", 0), status.get("updatedReplicas", 0)
    if obj["kind"] == "StatefulSet":
        updated = replicas if status.get("currentRevision") == status.get("updateRevision") else updated
    return bool(ready >= replicas and updated >= replicas and status.get("replicas", 0) == replicas)


def mark(value: str) -> str:
    """What a pod template carries of something that needs a restart when it changes."""
    return sha256(value.encode()).hexdigest()[:16] if value else ""


def run_with_key(live: Live, wanted: str, *, suspended: bool) -> bool:
    """Whether all of Milvus runs with the key of this mark and is ready. Also while nothing of it runs: what starts then starts with
    the key of the day."""
    annotations = [pod["metadata"].get("annotations") or {} for pod in live.of("Pod")]
    if any(found[KEY_MARK] != wanted for found in annotations if KEY_MARK in found):
        return False
    workload = live.get("StatefulSet", "milvus")
    if workload is None or suspended:
        return True
    template = workload["spec"]["template"]["metadata"].get("annotations") or {}
    return template.get(KEY_MARK, "") == wanted and rolled_out(workload, replicas=1)
