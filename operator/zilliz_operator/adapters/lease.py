"""Leader election by a Kubernetes Lease: of several replicas, one works.

It judges another holder by how long the record has not changed on our own monotonic clock, never by comparing clocks of
two machines. It stops leading before anyone else may start: the renew deadline is shorter than the lease. On loss the
process is expected to exit, because work in flight cannot be recalled otherwise.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from zilliz_operator.adapters.kube import Answer, KubeClient, Request, path_of
from zilliz_operator.api.exceptions import Rejected, Unavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """Seconds. A request ends before the next renewal is due; leading ends before the lease does."""

    lease: float = 15.0
    deadline: float = 10.0
    renew: float = 5.0
    request: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.request < self.renew < self.deadline < self.lease:
            raise ValueError("lease times must grow: request < renew < deadline < lease")


class LeaseElection:
    """`await acquire()`, work, `await release()`. `on_lost` is called once, when leadership is lost, never on release.

    `identity` is unique to this process (a restarted one must not pass for its predecessor).
    """

    def __init__(
        self,
        kube: KubeClient,
        *,
        name: str,
        namespace: str,
        identity: str,
        on_lost: Callable[[], None],
        times: LeaseTimes | None = None,
    ) -> None:
        self._kube = kube
        self._name, self._namespace, self._identity = name, namespace, identity
        self._on_lost = on_lost
        self._times = times or LeaseTimes()
        self._record: dict[str, Any] | None = None
        self._record_seen = 0.0
        self._good_until = 0.0
        self._renewing: asyncio.Task[None] | None = None

    def is_held(self) -> bool:
        """Whether we lead at this very moment: ask again before each destructive call."""
        return time.monotonic() < self._good_until

    async def acquire(self) -> None:
        """Wait until we lead, however long outages last; then renew in the background until `release()`."""
        while True:
            if await self._attempt():
                break
            await asyncio.sleep(self._times.renew / 2)
        log.info("leading as %s by lease %s/%s", self._identity, self._namespace, self._name)
        self._renewing = asyncio.create_task(self._renew(), name="lease-renewal")

    async def release(self) -> None:
        """Stop leading and let another replica take over at once."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])
            self._renewing = None
        if not self.is_held() or self._record is None:
            return
        self._good_until = 0.0
        try:
            await self._put(self._record, holder="", lease_seconds=1)
        except (Unavailable, Rejected) as error:
            log.warning("lease not released, it expires by itself: %s", error)

    async def _renew(self) -> None:
        pause = self._times.renew
        while self.is_held():
            started = time.monotonic()
            await asyncio.sleep(max(0.0, min(pause, self._good_until - started)))
            started = time.monotonic()
            renewed = False
            with contextlib.suppress(TimeoutError):  # whatever hangs, we notice the loss on time
                async with asyncio.timeout(max(0.0, self._good_until - started)):
                    renewed = await self._attempt()
            spent = time.monotonic() - started
            pause = max(0.0, self._times.renew - spent) if renewed else self._times.renew / 5
        log.error("leadership of lease %s/%s is lost", self._namespace, self._name)
        self._on_lost()

    async def _attempt(self) -> bool:
        """Try to take or keep the lease. An outage changes nothing: `_good_until` runs out by itself."""
        started = time.monotonic()
        try:
            answer = await self._write()
        except (Unavailable, Rejected) as error:
            log.warning("lease %s/%s: %s", self._namespace, self._name, error)
            return False
        if answer is None or answer.status not in (200, 201):
            if answer is not None and answer.status != 409:
                log.warning("lease %s/%s: the API server answers %s", self._namespace, self._name, answer.status)
            return False
        self._record, self._record_seen = answer.body, time.monotonic()
        self._good_until = started + self._times.deadline
        return True

    async def _write(self) -> Answer | None:
        """The answer to our write, or None when the lease is someone else's."""
        if self.is_held() and self._record is not None:
            answer = await self._put(self._record, holder=self._identity)
            if answer.status not in (404, 409):
                return answer
        found = await self._send("GET")
        if found.status == 404:
            return await self._send("POST", self._body({}, holder=self._identity))
        if found.status != 200:
            return found
        if not self._may_take(found.body):
            self._good_until = 0.0
            return None
        return await self._put(found.body, holder=self._identity)

    def _may_take(self, live: dict[str, Any]) -> bool:
        spec = live.get("spec") or {}
        if self._record is None or (self._record.get("spec") or {}) != spec:
            self._record_seen = time.monotonic()
        self._record = live
        holder = spec.get("holderIdentity") or ""
        if holder in ("", self._identity):
            return True
        patience = float(spec.get("leaseDurationSeconds") or self._times.lease)
        return time.monotonic() - self._record_seen > patience

    def _body(self, live: dict[str, Any], *, holder: str, lease_seconds: int | None = None) -> dict[str, Any]:
        old = live.get("spec") or {}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        same = old.get("holderIdentity") == holder
        changes = 0 if not live else int(old.get("leaseTransitions") or 0) + (0 if same or not holder else 1)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {**live.get("metadata", {}), "name": self._name, "namespace": self._namespace},
            "spec": {
                **old,
                "holderIdentity": holder,
                "leaseDurationSeconds": lease_seconds or max(1, round(self._times.lease)),
                "acquireTime": old.get("acquireTime", now) if same else now,
                "renewTime": now,
                "leaseTransitions": changes,
            },
        }

    async def _put(self, live: dict[str, Any], *, holder: str, lease_seconds: int | None = None) -> Answer:
        # The live resourceVersion goes along: of two replicas that saw the same record, one writes.
        return await self._send("PUT", self._body(live, holder=holder, lease_seconds=lease_seconds))

    async def _send(self, method: str, body: dict[str, Any] | None = None) -> Answer:
        named = method != "POST"
        verb = {"GET": "get", "POST": "create", "PUT": "update"}[method]
        path = path_of("Lease", self._name if named else "", self._namespace)
        return await self._kube.call(
            Request(
                method,
                path,
                verb,
                "Lease",
                name=self._name,
                namespace=self._namespace,
                body=body,
                repeatable=False,
                limit=self._times.request,
            )
        )
