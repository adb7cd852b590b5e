"""The dedicated namespace of a cluster.

With the built-in engine every pod meets Pod Security `restricted`, so anything less is refused. The Milvus operator's
pods cannot meet it; there `baseline` is enforced and what falls short of `restricted` is warned about and audited.
"""

from .context import ClusterContext
from .manifest import Manifest, manifest

_POD_SECURITY = "pod-security.kubernetes.io"


def namespace(ctx: ClusterContext) -> Manifest:
    """The namespace, marked with the cluster's UID: without that mark it is never touched."""
    enforce = "restricted" if ctx.built_in else "baseline"
    levels = {
        f"{_POD_SECURITY}/enforce": enforce,
        f"{_POD_SECURITY}/audit": "restricted",
        f"{_POD_SECURITY}/warn": "restricted",
    }
    return manifest("Namespace", name=ctx.namespace, labels={**ctx.labels(), **levels})
