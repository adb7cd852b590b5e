"""CustomResourceDefinitions out of the models: structural schemas, rules in CEL, columns. Pure and deterministic.

Only constant scalars directly under `spec` get a schema default. A default inside a list item or an optional object
would show up as a difference in GitOps tools for ever; those defaults live in the models and are told in the
description.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from zilliz_operator.api import registry
from zilliz_operator.api.base import Column, Resource
from zilliz_operator.api.kinds import KINDS, SHORT_NAMES
from zilliz_operator.api.names import CATEGORY, GROUP, VERSION
from zilliz_operator.api.rules import Rule

Schema = dict[str, Any]

_KEPT: Final = (
    "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
    "maxProperties", "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
)  # fmt: skip

CONDITION: Final[Schema] = {
    "type": "object",
    "required": ["type", "status", "reason", "message", "lastTransitionTime"],
    "properties": {
        "type": {"type": "string", "maxLength": 63, "description": "Which condition."},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds."},
        "reason": {"type": "string", "maxLength": 63, "description": "Why, in one word."},
        "message": {"type": "string", "maxLength": 4096, "description": "Why, in a sentence, with the evidence."},
        "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation it talks about."},
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When status last changed."},
    },
}
_KEY_MESSAGE: Final = "has a key that is no label key: write app, or example.com/app"


def crds() -> list[Schema]:
    """All CustomResourceDefinitions."""
    return [crd(resource) for resource in registry.RESOURCES.values()]


def crd(resource: type[Resource]) -> Schema:
    """The CustomResourceDefinition of one kind."""
    kind = KINDS[resource.KIND]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}", "labels": {"app.kubernetes.io/part-of": "zilliz-byoc"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.kind.lower(),
                "shortNames": [SHORT_NAMES[kind.kind]],
                "categories": [CATEGORY],
            },
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": [_column(column) for column in resource.COLUMNS],
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema(resource)},
                }
            ],
        },
    }


def schema(resource: type[Resource]) -> Schema:
    """The structural schema of one kind, rules included."""
    fields = resource.model_fields
    root: Schema = {
        "type": "object",
        "description": description(resource),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": _model(_class(fields["spec"]), top=True),
            "status": _model(_class(fields["status"])),
        },
    }
    for rule in resource.RULES:
        _attach(root, rule)
    return root


def description(model: type[BaseModel]) -> str:
    """A model's docstring in one line."""
    return " ".join((inspect.getdoc(model) or "").split())


@cache
def attribute_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """The docstring under each attribute, inherited ones included. Read from the source here, so that running costs
    nothing."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            docs |= _own_docs(base)
    return docs


def _own_docs(model: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            docs[field.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return docs


def _class(field: FieldInfo) -> type[BaseModel]:
    assert isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    return field.annotation


def _model(model: type[BaseModel], *, top: bool = False) -> Schema:
    raw = model.model_json_schema(by_alias=True)
    classes = {each.__name__: each for each in _classes(model)}
    return _object(raw, raw.get("$defs", {}), model, classes, top=top)


def _classes(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The model and every model below it."""
    yield model
    for field in model.model_fields.values():
        for found in _mentioned(field.annotation):
            yield from _classes(found)


def _mentioned(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _mentioned(argument)


def _object(
    raw: Schema, defs: Schema, model: type[BaseModel], classes: Mapping[str, type[BaseModel]], *, top: bool = False
) -> Schema:
    docs = attribute_docs(model)
    properties: Schema = {}
    for name, field in model.model_fields.items():
        alias = field.alias or name
        node = _node(raw["properties"][alias], defs, classes)
        default = _scalar(field)
        text = docs.get(name, "") or node.get("description", "")
        if default is not None and top:
            node["default"] = default
        if default is not None and default != "" and not top and "Default:" not in text:
            text = f"{text} Default: {json.dumps(default)}."
        properties[alias] = {"description": text} | {key: value for key, value in node.items() if key != "description"}
    built: Schema = {"type": "object", "description": description(model)}
    if raw.get("required"):
        built["required"] = raw["required"]
    return built | {"properties": properties}


def _scalar(field: FieldInfo) -> Any:
    value = field.default
    value = value.value if isinstance(value, Enum) else value
    return value if isinstance(value, bool | int | str) else None


def _node(raw: Schema, defs: Schema, classes: Mapping[str, type[BaseModel]]) -> Schema:
    raw = _resolved(raw, defs)
    if raw.get("title") == "Condition":
        return json.loads(json.dumps(CONDITION))  # type: ignore[no-any-return]
    if "properties" in raw:
        return _object(raw, defs, classes[raw["title"]], classes)
    node: Schema = {key: raw[key] for key in _KEPT if key in raw}
    if node.get("type") == "array":
        node["items"] = _node(raw["items"], defs, classes)
        node.setdefault("x-kubernetes-list-type", "atomic")
    if node.get("type") == "object":
        node |= _map(raw, defs, classes)
    return node


def _map(raw: Schema, defs: Schema, classes: Mapping[str, type[BaseModel]]) -> Schema:
    """A map from text to text. Kubernetes knows no patterns for keys, so that becomes a rule."""
    patterns: Schema = raw.get("patternProperties", {})
    if not patterns:
        return {"additionalProperties": _node(raw["additionalProperties"], defs, classes)}
    ((pattern, value),) = patterns.items()
    names = raw.get("propertyNames", {})
    rule = f"self.all(key, size(key) <= {names.get('maxLength', 317)} && key.matches('{pattern}'))"
    return {
        "additionalProperties": _node(value, defs, classes),
        "x-kubernetes-validations": [{"rule": rule, "message": _KEY_MESSAGE, "reason": "FieldValueInvalid"}],
    }


def _resolved(raw: Schema, defs: Schema) -> Schema:
    """Without $ref, and without the null of an optional field: absent is how Kubernetes says it."""
    if "$ref" in raw:
        return _resolved(defs[raw["$ref"].rpartition("/")[2]], defs)
    if "anyOf" in raw:
        (given,) = (each for each in raw["anyOf"] if each.get("type") != "null")
        return _resolved(given | {key: value for key, value in raw.items() if key.startswith("x-")}, defs)
    if "const" in raw:
        return {key: value for key, value in raw.items() if key != "const"} | {"enum": [raw["const"]]}
    return raw


def _attach(root: Schema, rule: Rule) -> None:
    node = root
    for step in re.findall(r"[^.\[\]]+|\[\]", rule.path):
        node = node["items"] if step == "[]" else node["properties"][step]
    written: Schema = {"rule": rule.rule, "message": rule.message, "reason": rule.reason}
    if rule.message_expression:
        written["messageExpression"] = rule.message_expression
    if rule.field_path:
        written["fieldPath"] = rule.field_path
    node.setdefault("x-kubernetes-validations", []).append(written)


def _column(column: Column) -> Schema:
    written: Schema = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.description:
        written["description"] = column.description
    if column.priority:
        written["priority"] = column.priority
    return written
