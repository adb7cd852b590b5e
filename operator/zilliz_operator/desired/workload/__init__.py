"""Milvus itself, one module an engine. Both give the same `objects(...)` and the same names for others to find."""

from zilliz_operator.desired.context import ClusterContext
from zilliz_operator.desired.manifest import Manifest

from . import builtin, milvus_operator


def objects(
    ctx: ClusterContext,
    *,
    store_ca_pem: str,
    tls_fingerprint: str,
    store_key_digest: str,
    restarted_at: str = "",
    live: Manifest | None = None,
) -> list[Manifest]:
    """Everything that runs Milvus, by the data plane's engine. `live`: the StatefulSet as it is, if there is one."""
    make = builtin.objects if ctx.built_in else milvus_operator.objects
    return make(
        ctx,
        store_ca_pem=store_ca_pem,
        tls_fingerprint=tls_fingerprint,
        store_key_digest=store_key_digest,
        restarted_at=restarted_at,
        live=live,
    )
