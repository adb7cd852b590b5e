"""How the terminal commands read: with the person's own kubeconfig and rights, and nothing is written."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from zilliz_operator.adapters.access import ClusterAccess
from zilliz_operator.adapters.kube import KubeClient

T = TypeVar("T")


def with_kube(options: argparse.Namespace, work: Callable[[KubeClient], Awaitable[T]]) -> T:
    """Run `work` with a client of the cluster that the options name."""

    async def run() -> T:
        access = (
            ClusterAccess.from_kubeconfig(options.kubeconfig, context=options.context)
            if options.kubeconfig
            else _default(options.context)
        )
        client = KubeClient(access)
        try:
            return await work(client)
        finally:
            await client.close()
            await access.close()

    return asyncio.run(run())


def _default(context: str) -> ClusterAccess:
    usual = Path("~/.kube/config").expanduser()
    return ClusterAccess.from_kubeconfig(usual, context=context) if usual.is_file() else ClusterAccess.from_in_cluster()


async def clusters(kube: KubeClient, *, namespace: str | None, name: str | None = None) -> list[dict[str, Any]]:
    """ZillizClusters, by project and name."""
    found = [c for c in await kube.list("ZillizCluster", namespace) if name in (None, c["metadata"]["name"])]
    return sorted(found, key=lambda c: (c["metadata"]["namespace"], c["metadata"]["name"]))
