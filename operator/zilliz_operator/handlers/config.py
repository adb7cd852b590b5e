"""The operator's own settings, from its environment (the chart sets them)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from zilliz_operator import __version__
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.people import SSO_NAMES, SYSTEM, SsoNames
from zilliz_operator.reconcile.sweeps import SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorConfig:
    """What `zilliz-operator run` needs to know."""

    namespace: str
    identity: str
    operator_image: str
    gateway_image: str
    log_level: str = "info"
    health_port: int = 8080
    metrics_port: int = 9090
    workers: int = 8
    """Objects reconciled at a time."""
    sweep_seconds: float = 300.0
    """How often every object is looked at although nothing woke it; each with its own jitter."""
    cloud_sweep_seconds: float = SECONDS
    """How often a cloud is asked what nothing tells us of; each time with its own jitter."""
    api_key_limit: int = 100
    """API keys that all projects together may have."""
    leader_election: bool = True
    sso: SsoNames = SSO_NAMES
    """How the Kubernetes API names whom an identity provider vouches for."""


def from_environment(environment: Mapping[str, str] = os.environ) -> OperatorConfig:
    """Read `POD_NAMESPACE`, `POD_NAME` and `ZILLIZ_*`; raises InvalidSpec naming the variable that is wrong."""
    return OperatorConfig(
        namespace=environment.get("POD_NAMESPACE") or "zilliz-system",
        identity=environment.get("POD_NAME") or os.uname().nodename,
        operator_image=environment.get("ZILLIZ_OPERATOR_IMAGE") or f"docker.io/zillizbyoc/operator:{__version__}",
        gateway_image=environment.get("ZILLIZ_GATEWAY_IMAGE") or f"docker.io/zillizbyoc/gateway:{__version__}",
        log_level=environment.get("ZILLIZ_LOG_LEVEL") or "info",
        health_port=_number(environment, "ZILLIZ_HEALTH_PORT", 8080),
        metrics_port=_number(environment, "ZILLIZ_METRICS_PORT", 9090),
        workers=_number(environment, "ZILLIZ_WORKERS", 8),
        sweep_seconds=float(_number(environment, "ZILLIZ_SWEEP_SECONDS", 300)),
        cloud_sweep_seconds=float(_number(environment, "ZILLIZ_CLOUD_SWEEP_SECONDS", int(SECONDS))),
        api_key_limit=_number(environment, "ZILLIZ_API_KEY_LIMIT", 100),
        leader_election=environment.get("ZILLIZ_LEADER_ELECTION", "true") != "false",
        sso=SsoNames(
            user_prefix=_prefix(environment, "ZILLIZ_SSO_USERNAME_PREFIX", SSO_NAMES.user_prefix),
            groups_prefix=_prefix(environment, "ZILLIZ_SSO_GROUPS_PREFIX", SSO_NAMES.groups_prefix),
        ),
    )


def _prefix(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    if text.startswith(SYSTEM):
        raise InvalidSpec(name, f"must not begin with {SYSTEM}: those names are Kubernetes' own, got {text!r}")
    return text


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdigit() or int(text) < 1:
        raise InvalidSpec(name, f"must be a whole number above 0, got {text!r}")
    return int(text)
