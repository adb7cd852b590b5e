"""A rule of the API: one CEL expression for the API server and its twin in Python, written side by side.

The API server refuses what breaks a rule. The reconciler checks the twin again, because an object may be older than
the rule.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

INVALID: Final = "FieldValueInvalid"
FORBIDDEN: Final = "FieldValueForbidden"
REQUIRED: Final = "FieldValueRequired"


@dataclass(frozen=True, slots=True)
class Rule:
    """`path` is where the CEL stands (`spec.entries[].cidr`; empty for the object itself).

    `check` receives the value there (a model, scalar or tuple) and says whether it is fine. A rule about a change has
    `transition` instead, which receives the new and the old value. `explain` gives a message that depends on the value,
    with `message_expression` as its CEL twin.
    """

    path: str
    rule: str
    message: str
    reason: str = INVALID
    check: Callable[[Any], bool] | None = None
    transition: Callable[[Any, Any], bool] | None = None
    message_expression: str = ""
    explain: Callable[[Any], str] | None = None
    field_path: str = ""
    """Relative to `path`: the field to blame, when it is not the one at `path`."""

    def says(self, value: Any) -> str:
        """The message for this value."""
        return self.explain(value) if self.explain else self.message


_CEL_RESERVED: Final = frozenset(
    {
        "as",
        "break",
        "const",
        "else",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "package",
        "return",
        "var",
        "void",
        "while",
    }
)


def cel_name(field: str) -> str:
    """A field's name inside CEL, where some words are taken."""
    return f"__{field}__" if field in _CEL_RESERVED else field


def _get(value: Any, attributes: tuple[str, ...]) -> Any:
    for attribute in attributes:
        value = None if value is None else getattr(value, attribute)
    return value


def _present(root: str, fields: list[str]) -> str:
    return " && ".join(f"has({root}.{'.'.join(fields[: index + 1])})" for index in range(len(fields)))


def immutable(path: str, field: str, *, attribute: str, remedy: str) -> Rule:
    """`field` of the object at `path` keeps what it was born with; neither adding, removing nor changing it is allowed.

    The rule stands on the parent: on the field itself it would be skipped whenever the field comes or goes.
    """
    fields = [cel_name(each) for each in field.split(".")]
    dotted = ".".join(fields)
    new, old = _present("self", fields), _present("oldSelf", fields)
    rule = f"({new}) == ({old}) && (!({new}) || self.{dotted} == oldSelf.{dotted})"
    names = tuple(attribute.split("."))
    return Rule(
        path=path,
        rule=rule,
        message=f"{field} cannot be changed: {remedy}",
        reason=FORBIDDEN,
        transition=lambda after, before: bool(_get(after, names) == _get(before, names)),
        field_path="." + field,
    )
