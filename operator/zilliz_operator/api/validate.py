"""The rules of the API again, in Python: an object may be older than a rule.

Pure. Transition rules (what may not change) need the old object too; the API server always has it, we have it in
`plan`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from zilliz_operator.api.base import Resource, problems
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.rules import Rule


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, by the field's path, with the remedy."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path} {self.message}" if self.path else self.message


def validate(obj: Resource | Mapping[str, Any], old: Resource | Mapping[str, Any] | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong with the object, or with changing `old` into it. Empty: nothing is."""
    try:
        resource, before = _parsed(obj), None if old is None else _parsed(old)
    except ValidationError as error:
        return tuple(Finding(path, message) for path, message in problems(error))
    except KeyError as error:
        return (Finding("kind", f"{error.args[0]!r} is none of ours: write one of {', '.join(RESOURCES)}"),)
    found = (finding for rule in type(resource).RULES for finding in _findings(rule, resource, before))
    return tuple(dict.fromkeys(found))


def _parsed(obj: Resource | Mapping[str, Any]) -> Resource:
    return obj if isinstance(obj, Resource) else RESOURCES[str(obj.get("kind", ""))].model_validate(obj)


def _findings(rule: Rule, resource: Resource, old: Resource | None) -> Iterator[Finding]:
    if rule.check is not None:
        for path, value in walk(resource, rule.path):
            if not rule.check(value):
                yield Finding(path + rule.field_path, rule.says(value))
    if rule.transition is not None and old is not None:
        before = dict(walk(old, rule.path))
        for path, value in walk(resource, rule.path):
            if path in before and not rule.transition(value, before[path]):
                yield Finding(path + rule.field_path, rule.says(value))


def walk(resource: Resource, path: str) -> Iterator[tuple[str, Any]]:
    """Every value at `spec.entries[].cidr`, each with its concrete path `spec.entries[2].cidr`. Absent ones are
    skipped."""
    found: list[tuple[str, Any]] = [("", resource)]
    for step in re.findall(r"[^.\[\]]+|\[\]", path):
        found = list(_step(found, step))
    yield from found


def _step(found: list[tuple[str, Any]], step: str) -> Iterator[tuple[str, Any]]:
    for path, value in found:
        if step == "[]":
            yield from ((f"{path}[{index}]", item) for index, item in enumerate(value))
        else:
            child = getattr(value, _attribute(value, step))
            if child is not None:
                yield (f"{path}.{step}" if path else step, child)


def _attribute(model: BaseModel, alias: str) -> str:
    return next(name for name, field in type(model).model_fields.items() if (field.alias or name) == alias)
