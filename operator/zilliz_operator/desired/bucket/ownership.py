"""Ownership: nothing can be shared by an access control list."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """`BucketOwnerEnforced` turns ACLs off and makes the bucket's owner the owner of every object."""

    object_ownership: str = "BucketOwnerEnforced"

    def configuration(self) -> dict[str, Any]:
        return {"Rules": [{"ObjectOwnership": self.object_ownership}]}
