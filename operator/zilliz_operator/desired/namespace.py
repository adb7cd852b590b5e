"""The dedicated namespace of a cluster.

With the built-in engine every pod meets Pod Security `restricted`, so anything less is refused. The Milvus operator's
pods cannot meet it; there `baseline` is enforced and what falls short of `restricted` is warned about and audited.
The versions are said, too: left open, a label with an old one would quietly loosen the level.
"""

from .context import ClusterContext
from .manifest import Manifest, manifest

_POD_SECURITY = "pod-security.kubernetes.io"


def namespace(ctx: ClusterContext) -> Manifest:
    """The namespace, marked with the cluster's UID: without that mark it is never touched."""
    enforce = "restricted" if ctx.built_in else "baseline"
    levels = {"enforce": enforce, "audit": "restricted", "warn": "restricted"}
    pod_security = {f"{_POD_SECURITY}/{mode}": level for mode, level in levels.items()}
    pod_security |= {f"{_POD_SECURITY}/{mode}-version": "latest" for mode in levels}
    return manifest("Namespace", name=ctx.namespace, labels={**ctx.labels(), **pod_security})
