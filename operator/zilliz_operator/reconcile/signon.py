"""The signing keys of a DataPlane's sign-on issuers: read every minute, and kept where a restart of ours finds them again.

What is kept is the truth for everybody else: clusters put the keys at their doors from it, and the DataPlane says from it how
its issuers do. It is written only when a key comes or goes, when an issuer fails or recovers, and once a day, when the time
until which keys are trusted moves on.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from zilliz_operator.api import names
from zilliz_operator.api.base import utc
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.dataplane import DataPlane
from zilliz_operator.api.exceptions import InvalidSpec, NotReady, ZillizError
from zilliz_operator.api.fields import SecretRef
from zilliz_operator.api.signon import IssuerKeys, SigningKey
from zilliz_operator.api.sso import SsoIssuer
from zilliz_operator.api.validate import validate
from zilliz_operator.desired.door import NEVER
from zilliz_operator.desired.manifest import manifest, secret_data
from zilliz_operator.policy import drift, jwks
from zilliz_operator.policy.status import FALSE, TRUE, UNKNOWN, StepResult
from zilliz_operator.reconcile.pass_ import World
from zilliz_operator.reconcile.ports import Manifest
from zilliz_operator.reconcile.queue import Key, Outcome
from zilliz_operator.reconcile.vault import decoded

KIND: Final = "SigningKeys"
"""Of the work queue's keys: it is no kind of Kubernetes, and goes by the name of its DataPlane."""
SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is known of one issuer."""

    source: str
    """Where the keys come from; what was read elsewhere is not taken over."""
    keys: IssuerKeys = field(default_factory=IssuerKeys)
    trouble: str = ""
    """Why the last reading failed."""
    ignored: tuple[str, ...] = ()


def read_kept(secret: Manifest | None) -> dict[str, Kept]:
    """Issuer → what is known. What cannot be read is not known."""
    try:
        said = json.loads(decoded(secret).get("issuers.json") or "{}")
        return {issuer: _kept(each) for issuer, each in said.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


async def known(world: World, plane: DataPlane) -> dict[str, Kept]:
    """Of each issuer of a DataPlane."""
    kept = await _stored(world, plane.metadata.name)
    found = {}
    for issuer in plane.spec.sso:
        source = _source(issuer)
        each = kept.get(str(issuer.issuer))
        found[str(issuer.issuer)] = each if each is not None and each.source == source else Kept(source=source)
    return found


async def judged(world: World, plane: DataPlane) -> StepResult:
    """SignOnReady: whether the keys of every issuer are there and fresh."""
    type, now = ConditionType.SIGN_ON_READY, world.clock.now()
    found = await known(world, plane)
    down = {issuer: each for issuer, each in found.items() if not _in_force(each, now)}
    stale = {issuer: each for issuer, each in found.items() if each.trouble and issuer not in down}
    for issuer, each in down.items():
        message = f"{issuer}: {each.trouble or 'its keys have not been read yet'}; nobody of it gets in"
        reason = Reason.IDENTITY_PROVIDER_UNAVAILABLE if each.trouble else Reason.PROGRESSING
        return StepResult(type, FALSE, reason, message)
    for issuer, each in stale.items():
        until = utc(datetime.fromtimestamp(min(each.keys.trusted_until, NEVER), UTC))
        message = f"{issuer}: {each.trouble}; the {len(each.keys.keys)} keys read before are trusted until {until}"
        return StepResult(type, UNKNOWN, Reason.IDENTITY_PROVIDER_UNAVAILABLE, message)
    said = [f"{issuer}: {len(each.keys.keys)} keys{_but(each)}" for issuer, each in found.items()]
    return StepResult(type, TRUE, Reason.KEPT, "; ".join(said))


class SigningKeysReconciler:
    """One pass over all issuers of one DataPlane."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def reconcile(self, key: Key) -> Outcome:
        raw = await self._world.hub.get("DataPlane", key.name)
        deleted = raw is None or bool(raw["metadata"].get("deletionTimestamp"))
        if deleted or raw is None or not (raw.get("spec") or {}).get("sso"):
            await self._forget(key.name)
            return Outcome(alive=False)
        if validate({**raw, "kind": "DataPlane"}):
            return Outcome(sweep_in=SECONDS)  # the DataPlane's own status says what is wrong with it
        plane = DataPlane.parse(raw)
        before = await known(self._world, plane)
        fresh = await asyncio.gather(*(self._issuer(issuer, before[str(issuer.issuer)]) for issuer in plane.spec.sso))
        await self._keep(plane, {str(issuer.issuer): kept for issuer, kept in zip(plane.spec.sso, fresh, strict=True)})
        return Outcome(sweep_in=SECONDS)

    async def _issuer(self, issuer: SsoIssuer, before: Kept) -> Kept:
        try:
            found = jwks.parse(await self._text(issuer))
        except InvalidSpec as error:
            where = "jwksURL" if issuer.jwks_url else "jwksSecretRef"
            return _failed(before, f"what {where} leads to {error.message}")
        except ZillizError as error:
            return _failed(before, str(error))
        until = jwks.trusted_until(self._world.clock.now()) if issuer.jwks_url else NEVER
        keys = IssuerKeys(keys=found.keys, trusted_until=until)
        return Kept(source=before.source, keys=keys, ignored=found.ignored)

    async def _text(self, issuer: SsoIssuer) -> str | bytes:
        if issuer.jwks_url is None:
            return await self._value(issuer.jwks_secret_ref)
        ca = await self._value(issuer.ca_secret_ref) if issuer.ca_secret_ref else None
        return await self._world.signing_keys.read(str(issuer.jwks_url), ca_pem=ca)

    async def _value(self, reference: SecretRef | None) -> str:
        assert reference is not None
        where = f"Secret {self._world.operator_namespace}/{reference.name}"
        secret = await self._world.hub.get("Secret", reference.name, self._world.operator_namespace)
        value = decoded(secret).get(reference.key)
        if not value:
            raise NotReady(f"{where} does not exist or has no key {reference.key}: create it")
        return value

    async def _keep(self, plane: DataPlane, issuers: Mapping[str, Kept]) -> None:
        said = json.dumps({issuer: asdict(kept) for issuer, kept in issuers.items()}, sort_keys=True)
        wanted = manifest(
            "Secret",
            name=names.signing_keys_secret(plane.metadata.name),
            namespace=self._world.operator_namespace,
            labels={names.MANAGED_BY: names.FIELD_MANAGER, names.DATA_PLANE_UID_LABEL: plane.metadata.uid},
            type="Opaque",
            data=secret_data({"issuers.json": said}),
        )
        stored = await self._world.hub.get("Secret", wanted["metadata"]["name"], self._world.operator_namespace)
        if stored is None or drift.needs_apply(wanted, stored):
            await self._world.hub.apply(drift.stamped(wanted))

    async def _forget(self, plane: str) -> None:
        name, namespace = names.signing_keys_secret(plane), self._world.operator_namespace
        stored = await self._world.hub.get("Secret", name, namespace)
        ours = stored is not None and names.DATA_PLANE_UID_LABEL in (stored["metadata"].get("labels") or {})
        if stored is not None and ours and self._world.leads():
            await self._world.hub.delete("Secret", name, namespace, uid=stored["metadata"]["uid"])


async def _stored(world: World, plane: str) -> dict[str, Kept]:
    return read_kept(await world.hub.get("Secret", names.signing_keys_secret(plane), world.operator_namespace))


def _kept(said: Mapping[str, Any]) -> Kept:
    keys = tuple(
        SigningKey(kid=key["kid"], algorithms=tuple(key["algorithms"]), pem=key["pem"], fingerprint=key["fingerprint"])
        for key in said["keys"]["keys"]
    )
    return Kept(
        source=said["source"],
        keys=IssuerKeys(keys=keys, trusted_until=int(said["keys"]["trusted_until"])),
        trouble=str(said["trouble"]),
        ignored=tuple(said["ignored"]),
    )


def _source(issuer: SsoIssuer) -> str:
    """Changes with everything that decides whose keys these are."""
    said = issuer.model_dump_json(include={"issuer", "jwks_url", "jwks_secret_ref", "ca_secret_ref"})
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _failed(before: Kept, why: str) -> Kept:
    return Kept(source=before.source, keys=before.keys, trouble=why, ignored=before.ignored)


def _in_force(kept: Kept, now: datetime) -> bool:
    return bool(kept.keys.keys) and kept.keys.trusted_until > now.timestamp()


def _but(kept: Kept) -> str:
    shown: Sequence[str] = kept.ignored[:3]
    return f" ({len(kept.ignored)} not used: {'; '.join(shown)})" if shown else ""


__all__ = ["KIND", "Kept", "SigningKeysReconciler", "judged", "known", "read_kept"]
