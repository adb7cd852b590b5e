"""What all custom resources share: frozen models in camelCase, metadata, and `parse` with errors that name the
field."""

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from zilliz_operator.api.conditions import Condition, ConditionType
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.api.names import API_VERSION
from zilliz_operator.api.rules import Rule

_UPPER = {"cidrs": "CIDRs", "url": "URL", "mfa": "MFA", "rbac": "RBAC", "ca": "CA"}


def camel(name: str) -> str:
    """`pod_cidrs` → `podCIDRs`: Kubernetes writes acronyms in capitals, but not at the start."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(_UPPER.get(word, word.capitalize()) for word in rest)


LIST_SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""A list of scalars without duplicates, merged by value."""


def list_map(*keys: str) -> dict[str, Any]:
    """A list of objects with unique keys, merged by them."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


class Model(BaseModel):
    """A part of a spec: unknown fields are errors."""

    model_config = ConfigDict(
        frozen=True, alias_generator=camel, populate_by_name=True, extra="forbid", use_enum_values=False
    )


class Status(BaseModel):
    """A part of a status: unknown fields are somebody else's, for instance a newer operator's."""

    model_config = ConfigDict(frozen=True, alias_generator=camel, populate_by_name=True, extra="ignore")


class Meta(Status):
    """The part of ObjectMeta that we read."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


def _condition(value: Any) -> Any:
    return Condition.from_dict(value) if isinstance(value, Mapping) else value


ConditionField = Annotated[Condition, BeforeValidator(_condition)]
Conditions = Annotated[tuple[ConditionField, ...], Field(max_length=32, json_schema_extra=list_map("type"))]


class ResourceStatus(Status):
    """What every kind's status has."""

    observed_generation: int | None = None
    """The generation of the spec that this status talks about."""
    conditions: Conditions = ()
    """One a promise, then Ready. `Reconciling` and `Stalled` are there only while true."""

    def condition(self, type: ConditionType | str) -> Condition | None:
        """The condition of that type, if it is there."""
        return next((each for each in self.conditions if each.type == type), None)


class Resource(Model):
    """A custom resource. Subclasses add `spec` and `status`, and the rules that hold between their fields."""

    KIND: ClassVar[str]
    RULES: ClassVar[tuple[Rule, ...]] = ()
    COLUMNS: ClassVar[tuple["Column", ...]] = ()
    NAMESPACED: ClassVar[bool] = True

    api_version: str = API_VERSION
    kind: str = ""
    metadata: Meta = Meta()

    @classmethod
    def parse(cls, obj: Mapping[str, Any]) -> Self:
        """The object as a model; raises InvalidSpec for the first field that is wrong."""
        try:
            return cls.model_validate(obj)
        except ValidationError as error:
            path, message = first_problem(error)
            raise InvalidSpec(path, message) from None

    @property
    def ref(self) -> str:
        """`namespace/name`, for people."""
        return f"{self.metadata.namespace}/{self.metadata.name}" if self.metadata.namespace else self.metadata.name


class Column:
    """A printer column of `kubectl get`."""

    __slots__ = ("description", "name", "path", "priority", "type")

    def __init__(self, name: str, path: str, *, type: str = "string", priority: int = 0, description: str = "") -> None:
        self.name, self.path, self.type, self.priority, self.description = name, path, type, priority, description


def ready_columns(*between: Column) -> tuple[Column, ...]:
    """READY · REASON · what a tired person needs · AGE · (wide) MESSAGE."""
    ready = '.status.conditions[?(@.type=="Ready")]'
    return (
        Column("Ready", f"{ready}.status", description="Whether every promise of this object is kept."),
        Column("Reason", f"{ready}.reason", description="Why, in one word: docs/reference/conditions.md."),
        *between,
        Column("Age", ".metadata.creationTimestamp", type="date"),
        Column("Message", f"{ready}.message", priority=1, description="Why, in a sentence."),
    )


def path_of(location: tuple[int | str, ...]) -> str:
    """`("spec", "entries", 2, "cidr")` → `spec.entries[2].cidr`."""
    text = ""
    for step in location:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def problems(error: ValidationError) -> tuple[tuple[str, str], ...]:
    """Every problem as (path, message). Input values are left out: they may be secrets."""
    found = error.errors(include_url=False)
    told = [each for each in found if not (each["type"] == "too_short" and _has_inner(each, found))]
    return tuple((path_of(each["loc"]), _words(each)) for each in told)


def _has_inner(error: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """A list whose items are wrong is not too short as well."""
    where = error["loc"]
    return any(len(each["loc"]) > len(where) and each["loc"][: len(where)] == where for each in found)


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The first problem as (path, message)."""
    return problems(error)[0]


def _words(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "is not a field of this kind: remove it or correct its spelling"
        case "missing":
            return "is required: set it"
        case "enum":
            return _lower(error["msg"]) + _nearest(error)
        case _:
            return _lower(error["msg"])


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _nearest(error: ErrorDetails) -> str:
    """The word that was meant, when one is near. What was written is not repeated."""
    expected = re.findall(r"'([^']*)'", str((error.get("ctx") or {}).get("expected", "")))
    found = difflib.get_close_matches(str(error["input"])[:64], expected, n=1)
    return f": did you mean {found[0]}?" if found else ""


def utc(value: datetime) -> str:
    """A time as Kubernetes writes it."""
    try:
        there = value.astimezone(UTC)
    except OverflowError:  # The first or last hours that a date can say, seen from another time zone.
        there = value
    return there.strftime("%Y-%m-%dT%H:%M:%SZ")
