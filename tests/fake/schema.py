"""Our own CRDs' schemas, held against what is written: unknown fields are dropped, wrong ones refused, as the API server does."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from zilliz_operator.api.crd import crds
from zilliz_operator.api.exceptions import InvalidSpec


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    return {
        crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for crd in crds()
    }


def checked_status(kind: str, status: Any) -> Any:
    """The status as it is stored; raises InvalidSpec for one that the API server refuses."""
    schema = _schemas().get(kind)
    return status if schema is None or status is None else _checked(f"{kind} status", status, schema["status"])


def checked_spec(kind: str, spec: Any) -> Any:
    schema = _schemas().get(kind)
    return spec if schema is None or spec is None else _checked(f"{kind} spec", spec, schema["spec"])


_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list, tuple),
    "number": (int, float),
}


def _checked(path: str, value: Any, schema: Mapping[str, Any]) -> Any:
    wanted = schema.get("type")
    if wanted and not isinstance(value, _TYPES[wanted]):
        raise InvalidSpec(path, f"must be of type {wanted}, is {type(value).__name__}")
    if "enum" in schema and value not in schema["enum"]:
        raise InvalidSpec(path, f"{value!r} is none of {schema['enum']}")
    if isinstance(value, str):
        if len(value) > schema.get("maxLength", 10**6) or len(value) < schema.get("minLength", 0):
            raise InvalidSpec(path, "has a wrong length")
        return value
    if isinstance(value, dict):
        return _object(path, value, schema)
    if isinstance(value, list | tuple):
        return _array(path, list(value), schema)
    return value


def _object(path: str, value: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    if properties is None:
        return value
    missing = [key for key in schema.get("required", ()) if key not in value]
    if missing:
        raise InvalidSpec(path, f"{missing[0]} is required")
    return {key: _checked(f"{path}.{key}", each, properties[key]) for key, each in value.items() if key in properties}


def _array(path: str, value: list[Any], schema: Mapping[str, Any]) -> list[Any]:
    if len(value) > schema.get("maxItems", 10**6):
        raise InvalidSpec(path, "has too many items")
    items = [_checked(f"{path}[{n}]", each, schema["items"]) for n, each in enumerate(value)]
    keys = schema.get("x-kubernetes-list-map-keys")
    if keys:
        ids = [tuple(item.get(key) for key in keys) for item in items]
        if len(set(ids)) != len(ids):
            raise InvalidSpec(path, f"duplicate value for {keys}")
    return items
