"""The reference and security pages as Markdown, out of the same data that the product runs on. Pure but for reading
examples."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from zilliz_operator.api.base import Resource
from zilliz_operator.api.conditions import CLUSTER_PROMISES, CONDITION_MEANINGS, REASONS, ConditionType, Reason
from zilliz_operator.api.crd import description, schema
from zilliz_operator.api.flows import ANY_PORT, FLOWS, LISTENERS, OWN, STORE_PORT, Flow, Listener, Party, When
from zilliz_operator.api.kinds import KINDS, SHORT_NAMES
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.privileges import PrivilegeLevel, at
from zilliz_operator.api.promises import PROMISES, Claim, Promise
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.rules import Rule

Schema = Mapping[str, Any]

_NOTICE: Final = "<!-- Generated from operator/zilliz_operator/api: edit there, then `make generate`. -->\n"
_EXAMPLES: Final = "manifests/examples"


def examples(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Every example document by kind, as (path below the repository, text with its comments). Kind pages show the
    first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((root / _EXAMPLES).rglob("*.yaml")):
        for text in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE):
            obj = yaml.safe_load(text)
            if obj and obj["apiVersion"] == API_VERSION:
                found.setdefault(obj["kind"], []).append((str(path.relative_to(root)), text.strip()))
    return found


def index_page() -> str:
    """docs/reference/README.md."""
    rows = (
        (
            f"[{kind}]({kind.lower()}.md)",
            f"`{SHORT_NAMES[kind]}`",
            "namespace" if KINDS[kind].namespaced else "cluster",
            description(model),
        )
        for kind, model in RESOURCES.items()
    )
    return _page(
        f"# Reference: `{API_VERSION}`",
        "All kinds are in the category `zilliz`: `kubectl get zilliz -A`. A tool that compares what it wrote with "
        "what the "
        "cluster holds sees no difference: the server adds defaults for plain values directly under `spec` and "
        "nowhere else, "
        "and the operator never writes a `spec`.",
        _table(("Kind", "Short", "Scope", "What it is"), rows),
        "Statuses: [conditions and reasons](conditions.md). Who may connect to whom: [ports](ports.md). Promises and "
        "their proof: [security](../security.md).",
    )


def kind_page(model: type[Resource], shown: Sequence[tuple[str, str]]) -> str:
    """docs/reference/<kind>.md."""
    kind, info = model.KIND, KINDS[model.KIND]
    structure = schema(model)
    spec, status = structure["properties"]["spec"], structure["properties"]["status"]
    scope = "Lives in a project (a namespace)." if info.namespaced else "Cluster-scoped."
    columns = ", ".join(f"`{column.name.upper()}`" for column in model.COLUMNS if not column.priority)
    return _page(
        f"# {kind}",
        description(model),
        f"`apiVersion: {API_VERSION}`, `kind: {kind}`, short name `{SHORT_NAMES[kind]}`. {scope} "
        f"`kubectl get {SHORT_NAMES[kind]}` prints {columns}.",
        *_example(shown),
        "## spec",
        _table(("Field", "Type", "Default", "Meaning"), _rows(spec, ())),
        *_refusals(model),
        *_privileges(kind),
        "## status",
        _table(("Field", "Type", "Meaning"), ((field, type, text) for field, type, _, text in _rows(status, ()))),
        "Types and reasons of conditions: [conditions](conditions.md).",
    )


def conditions_page() -> str:
    """docs/reference/conditions.md."""
    promises = ((f"`{each}`", CONDITION_MEANINGS[each]) for each in CLUSTER_PROMISES)
    others = ((f"`{each}`", CONDITION_MEANINGS[each]) for each in ConditionType if each not in CLUSTER_PROMISES)
    return _page(
        "# Conditions and reasons",
        "Every object says how it is in `status.conditions`; `status.observedGeneration` says for which version of "
        "its spec. "
        "`Reconciling` and `Stalled` are there only while true: wait for the first, act on the second. "
        "`kubectl wait --for=condition=Ready zc/<name>` works.",
        "## Promises of a cluster",
        _table(("Condition", "True means"), promises),
        "## Other conditions",
        _table(("Condition", "Meaning"), others),
        "## Reasons",
        "A reason marked *Stalled* needs a change by a person; all others heal by themselves once their cause is gone.",
        _table(("Reason", "What it means", "What to do", ""), (_reason(each) for each in sorted(Reason))),
    )


def ports_page() -> str:
    """docs/reference/ports.md."""
    without = [each for each in Party if not any(each in (flow.source, flow.target) for flow in FLOWS)]
    listeners = ((each.party, each.port, each.speaks, _heard_by(each)) for each in LISTENERS)
    return _page(
        "# Ports: who may connect to whom",
        "Every connection that the network policies of a cluster let through. **What is not in these tables is refused, "
        "in both directions.** How it is enforced, checked and proved: [network](../network.md).",
        "## Into a cluster, and inside it",
        _table(_FLOW_HEADING, (_flow(each) for each in FLOWS if each.target in OWN)),
        f"The own node is let through by Kubernetes itself, whatever a policy says: {_KUBELET}.",
        "## Out of a cluster",
        _table(_FLOW_HEADING, (_flow(each) for each in FLOWS if each.target not in OWN)),
        "## What listens",
        _table(("Pods", "Port", "Speaks", "Heard by"), listeners),
        "## Nobody's business",
        "No flow begins or ends at: " + ", ".join(f"*{each}*" for each in without) + ".",
    )


_FLOW_HEADING: Final = ("From", "To", "Ports", "What for", "When")
_KUBELET: Final = "its kubelet has to reach the probes"


def _flow(flow: Flow) -> tuple[str, ...]:
    shown = {ANY_PORT: "any port", STORE_PORT: "the store's port"}
    ports = ", ".join(shown.get(port, str(port)) for port in flow.ports)
    when = "" if flow.when is When.ALWAYS else flow.when
    return flow.source, flow.target, f"{ports} {'/'.join(flow.protocols)}", flow.purpose, when


def _heard_by(listener: Listener) -> str:
    if listener.loopback:
        return "nobody outside of its pod"
    sources = [flow.source for flow in FLOWS if flow.target is listener.party and listener.port in flow.ports]
    return ", ".join(sources) or "its own node only"


def security_page() -> str:
    """docs/security.md."""
    counts = Counter(promise.claim for promise in PROMISES)
    summary = ", ".join(f"{counts[claim]} {claim}" for claim in (Claim.KEPT, Claim.PARTLY, Claim.NOT_YET))
    sections = dict.fromkeys(promise.section for promise in PROMISES)
    return _page(
        "# Security: each sentence, its condition, its tests",
        "The promise is a page of sentences about data security. Here is each of them with the condition of a "
        "`ZillizCluster` "
        "that carries it, the tests that prove it, and how far this version keeps it. `zilliz-operator posture` (also "
        "`kubectl zilliz posture`) prints the same for your clusters, with the evidence of this moment. "
        "What was tried on a real node, and seen: [isolation](evidence/isolation.md), [access](evidence/access.md).",
        f"This version: {summary}.",
        *(part for section in sections for part in _section(section)),
    )


def _section(section: str) -> Iterator[str]:
    yield f"## {section}"
    for promise in PROMISES:
        if promise.section == section:
            yield _promise(promise)


def _promise(promise: Promise) -> str:
    if promise.claim is Claim.NONE:
        return f"> {promise.sentence}\n\n{promise.status_note}"
    condition = f"[`{promise.condition}`](reference/conditions.md)" if promise.condition else "none of its own"
    tests = "\n".join(f"  - `{test}`" for test in promise.tests) or "  - none yet"
    return (
        f"> {promise.sentence}\n\n**{promise.claim.capitalize()}.** {promise.status_note}\n\n"
        f"- Posture id: `{promise.id}`; condition: {condition}\n- Tests:\n{tests}"
    )


def _reason(reason: Reason) -> tuple[str, str, str, str]:
    info = REASONS[reason]
    return f"`{reason}`", info.summary, info.remedy, "Stalled" if info.terminal else ""


def _example(shown: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not shown:
        return
    path, text = min(shown, key=lambda each: "quickstart" in each[0])
    yield "## Example"
    yield f"```yaml\n{text}\n```"
    paths = dict.fromkeys(each for each, _ in shown)
    yield (
        "From "
        + ", ".join(f"[{each}](../../{each})" for each in (path, *(other for other in paths if other != path)))
        + "."
    )


def _refusals(model: type[Resource]) -> Iterator[str]:
    if model.RULES:
        yield "## What is refused"
        yield "The API server refuses these with this message; the operator repeats it for objects older than a rule."
        yield _table(("Field", "Message"), dict.fromkeys((f"`{_blamed(rule)}`", rule.message) for rule in model.RULES))


def _blamed(rule: Rule) -> str:
    return f"{rule.path}{rule.field_path}" or "metadata.name"


def _privileges(kind: str) -> Iterator[str]:
    if kind == "AccessPolicy":
        yield "## Privileges"
        yield "A privilege of level Database needs `collection: '*'`, one of level Cluster also `database: '*'`."
        yield _table(
            ("Level", "Privileges and groups"),
            ((level, ", ".join(f"`{name}`" for name in at(level))) for level in reversed(PrivilegeLevel)),
        )


def _rows(node: Schema, path: tuple[str, ...]) -> Iterator[tuple[str, str, str, str]]:
    """Every field below, in order, as (path, type, default, meaning)."""
    required = node.get("required", ())
    for name, field in node.get("properties", {}).items():
        here = (*path, name)
        default, text = _default(field)
        yield f"`{'.'.join(here)}`", _type(field), "required" if name in required else default, text
        if name == "conditions":
            continue
        if field.get("type") == "array" and field["items"].get("type") == "object":
            yield from _rows(field["items"], (*path, f"{name}[]"))
        elif field.get("properties"):
            yield from _rows(field, here)


def _default(field: Schema) -> tuple[str, str]:
    """What absence means, from the schema or told in the description; and the description without it."""
    text = field.get("description", "")
    told = re.search(r" Default: (\S+)\.$", text)
    if "default" in field:
        return _literal(field["default"]), text
    return (told[1], text[: told.start()]) if told else ("", text)


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def _type(field: Schema) -> str:
    kind = str(field.get("type", ""))
    if kind == "array":
        most = f", at most {field['maxItems']}" if "maxItems" in field else ""
        return f"list of {_type(field['items'])}{most}"
    if kind == "integer" and "minimum" in field and "maximum" in field:
        return f"integer {field['minimum']}–{field['maximum']}"
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if field.get("format") == "date-time":
        return "time"
    return "map of strings" if "additionalProperties" in field else kind


def _table(heading: Sequence[str], rows: Any) -> str:
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    lines += ["| " + " | ".join(_cell(str(cell)) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _page(*parts: str) -> str:
    return _NOTICE + "\n" + "\n\n".join(parts) + "\n"
