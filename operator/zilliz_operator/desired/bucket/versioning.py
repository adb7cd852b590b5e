"""Versioning: what a mistake overwrites or deletes can be brought back."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioning:
    """On, in every bucket; the lifecycle says for how long old versions stay."""

    status: str = "Enabled"

    def configuration(self) -> dict[str, Any]:
        return {"Status": self.status}
