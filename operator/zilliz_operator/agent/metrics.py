"""What one gateway counts, for monitoring: refusals by reason, whoever is held off, and audit lines.

Few and named, so that an alert can be written on them. No address and no user is in here: those are in the audit lines.
"""

from zilliz_operator.agent.relay import Counts
from zilliz_operator.agent.runtime import Runtime, RuntimeFailure

_REASONS = ("ip_not_allowed", "ip_entry_ended", "throttled", "unknown_key", "milvus_unauthenticated")
"""Shown from the start, so that the first refusal is seen as a rise."""


def text(counts: Counts, *, held: int | None) -> str:
    """In Prometheus' text format. `held` is None when HAProxy does not say."""
    refused = dict.fromkeys(_REASONS, 0) | counts.refused
    lines = [
        *_about("zilliz_gateway_refused_total", "counter", "Requests and connections refused, by reason."),
        *(f'zilliz_gateway_refused_total{{reason="{reason}"}} {refused[reason]}' for reason in sorted(refused)),
        *_about("zilliz_gateway_slowed_total", "counter", "Requests that had to wait after failed logins."),
        f"zilliz_gateway_slowed_total {counts.slowed}",
        *_about("zilliz_gateway_audit_lines_total", "counter", "Audit lines written."),
        f"zilliz_gateway_audit_lines_total {counts.lines}",
        *_about("zilliz_gateway_audit_dropped_total", "counter", "Audit lines that could not be written."),
        f"zilliz_gateway_audit_dropped_total {counts.dropped}",
    ]
    if held is not None:
        lines += _about("zilliz_gateway_held_addresses", "gauge", "Addresses held off now for failed logins.")
        lines.append(f"zilliz_gateway_held_addresses {held}")
    return "\n".join(lines) + "\n"


def held_addresses(runtime: Runtime, *, now: float) -> int | None:
    """How many the running worker refuses now."""
    try:
        worker = runtime.processes().current
        if worker is None:
            return None
        answer = runtime.ask(f"@!{worker.pid} show table st_fail data.gpt0 gt {int(now)}")
    except RuntimeFailure:
        return None
    return sum(line.startswith("0x") for line in answer.splitlines())


def _about(name: str, type: str, help: str) -> tuple[str, str]:
    return f"# HELP {name} {help}", f"# TYPE {name} {type}"
