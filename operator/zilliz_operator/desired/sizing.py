"""What a CU is in vCPU and memory, and how the parts of a cluster share it.

1 CU = 1 vCPU and 4 GiB for Milvus. Requests are modest and CPU has no limit, so that small clusters share a node and
use what is idle; memory has a hard limit, so that no cluster takes its neighbours' memory.
"""

from dataclasses import dataclass

from .manifest import Manifest

REQUEST_MILLICPU = 250
REQUEST_MIB = 512
LIMIT_GIB = 4


@dataclass(frozen=True, slots=True)
class Resources:
    """Of one container. CPU has a request and no limit."""

    millicpu: int
    request_mib: int
    limit_mib: int

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            self.millicpu + other.millicpu, self.request_mib + other.request_mib, self.limit_mib + other.limit_mib
        )

    def times(self, count: int) -> "Resources":
        return Resources(self.millicpu * count, self.request_mib * count, self.limit_mib * count)

    def share(self, percent: int) -> "Resources":
        """A part of it, never less than a container can start with."""
        return Resources(
            max(self.millicpu * percent // 100, 50),
            max(self.request_mib * percent // 100, 128),
            max(self.limit_mib * percent // 100, 1024),
        )

    def manifest(self) -> Manifest:
        """As a container has it."""
        return {
            "requests": {"cpu": cpu(self.millicpu), "memory": memory(self.request_mib)},
            "limits": {"memory": memory(self.limit_mib)},
        }


GATEWAY_POD = Resources(millicpu=50, request_mib=192, limit_mib=512)
"""The allowance of one gateway pod in the quota: HAProxy with its agent."""
HELPER = Resources(millicpu=50, request_mib=64, limit_mib=512)
"""An init container, a job, or a pod of cert-manager's that solves a challenge."""


def milvus(cu_size: int) -> Resources:
    """The whole of Milvus, in one pod or spread over many."""
    return Resources(REQUEST_MILLICPU * cu_size, REQUEST_MIB * cu_size, LIMIT_GIB * 1024 * cu_size)


def cpu(millicpu: int) -> str:
    """In the form the API server keeps."""
    return str(millicpu // 1000) if millicpu % 1000 == 0 else f"{millicpu}m"


def memory(mib: int) -> str:
    """In the form the API server keeps."""
    return f"{mib // 1024}Gi" if mib % 1024 == 0 else f"{mib}Mi"


def volume_mib(size: str) -> int:
    """A volume's size (`512Mi`, `10Gi`, `1Ti`) in MiB."""
    unit = {"Mi": 1, "Gi": 1024, "Ti": 1024**2}[size[-2:]]
    return int(size[:-2]) * unit
