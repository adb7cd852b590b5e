"""Who may do what behind a door: the table that reality is compared with. Data alone; nothing here asks anybody.

An attempt is an action at a place. What a role or a grant allows follows from docs/kinds/accesspolicy.md; where a server of
before 2.5 cannot be that narrow, it says here what holds there instead.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

GRPC, REST = "grpc", "rest"
DEFAULT, SHOP = "default", "shop"
COLLECTIONS: Mapping[str, tuple[str, ...]] = {DEFAULT: ("docs", "notes"), SHOP: ("docs",)}
"""What there is, by database, on the cluster that is tried."""


class Attempt(NamedTuple):
    """One thing to try."""

    way: str
    action: str
    database: str = DEFAULT
    collection: str = ""

    @property
    def place(self) -> str:
        """Where, as people write it."""
        return ".".join(part for part in (self.database, self.collection) if part)


READ = frozenset({"search", "query"})
DESCRIBE = frozenset({"describe"})
WRITE = frozenset({"insert", "delete", "load", "create partition"})
MAKE = frozenset({"create collection", "drop collection"})
LIST = frozenset({"list collections"})
ALIAS = frozenset({"create alias"})
SEE = frozenset({"list databases"})
SHAPE = frozenset({"rename collection", "create database", "drop database"})
PEOPLE = frozenset(
    {"list users", "create user", "reset a password", "create role", "grant a privilege", "give the role admin"}
)
OF_COLLECTION = READ | DESCRIBE | WRITE | ALIAS
OF_DATABASE = LIST | MAKE
OF_CLUSTER = SEE | SHAPE | PEOPLE
OVER_REST = READ | DESCRIBE | LIST | MAKE | frozenset({"insert", "delete"})

ATTEMPTS: tuple[Attempt, ...] = (
    *(
        Attempt(GRPC, action, database, collection)
        for action in sorted(OF_COLLECTION)
        for database, collections in COLLECTIONS.items()
        for collection in collections
    ),
    *(Attempt(GRPC, action, database) for action in sorted(OF_DATABASE) for database in COLLECTIONS),
    *(Attempt(GRPC, action) for action in sorted(OF_CLUSTER)),
    *(Attempt(REST, action, DEFAULT, "docs") for action in sorted(OVER_REST & OF_COLLECTION)),
    *(Attempt(REST, action) for action in sorted(OVER_REST & OF_DATABASE)),
)
"""Everything that everybody who is let in tries."""
KNOCKS: tuple[Attempt, ...] = (
    Attempt(GRPC, "list collections"),
    Attempt(REST, "list collections"),
    Attempt(REST, "search", DEFAULT, "docs"),
)
"""What somebody tries who should not be let in: few, because the door counts failures."""

EVERYWHERE = "*"


@dataclass(frozen=True, kw_only=True)
class Right:
    """Some actions, in one database or all (`*`), on one collection or all."""

    actions: frozenset[str]
    database: str = EVERYWHERE
    collection: str = EVERYWHERE

    def covers(self, attempt: Attempt) -> bool:
        here = self.database in (EVERYWHERE, attempt.database)
        about = self.collection == EVERYWHERE or not attempt.collection or self.collection == attempt.collection
        return attempt.action in self.actions and here and about


VIEWER = (Right(actions=READ | DESCRIBE | LIST | SEE),)
OPERATOR = (*VIEWER, Right(actions=WRITE))
ADMIN = (*OPERATOR, Right(actions=MAKE | ALIAS | SHAPE))
ROLES: Mapping[str, tuple[Right, ...]] = {
    "DataViewer": VIEWER,
    "DataOperator": OPERATOR,
    "DataAdmin": ADMIN,
    "ProjectAdmin": ADMIN,
}
"""Role of a policy → what it gives on a cluster. Users and roles of Milvus are the operator's alone."""


@dataclass(frozen=True, kw_only=True)
class Custom:
    """A policy with grants of its own choice, and what they come to."""

    grants: tuple[Mapping[str, Any], ...]
    rights: tuple[Right, ...]


def _here(actions: Iterable[str], database: str = DEFAULT, collection: str = EVERYWHERE) -> Right:
    return Right(actions=frozenset(actions), database=database, collection=collection)


GRANTS: Mapping[str, Custom] = {
    # Before 2.5 descriptions are a database's, so they come with a collection for the whole database.
    "reader-of-docs": Custom(
        grants=({"collection": "docs", "privileges": ["CollectionReadOnly"]},),
        rights=(_here(READ, collection="docs"), _here(DESCRIBE)),
    ),
    "writer-of-docs": Custom(
        grants=({"collection": "docs", "privileges": ["CollectionReadWrite"]},),
        rights=(_here(READ | WRITE, collection="docs"), _here(DESCRIBE)),
    ),
    "searcher-of-shop": Custom(
        grants=({"database": SHOP, "collection": "docs", "privileges": ["Search"]},),
        rights=(_here({"search"}, SHOP, "docs"),),
    ),
    "admin-of-shop": Custom(
        grants=({"database": SHOP, "privileges": ["DatabaseAdmin", "CollectionAdmin"]},),
        rights=(_here(READ | DESCRIBE | WRITE | LIST | MAKE | ALIAS, SHOP),),
    ),
    "onlooker": Custom(
        grants=({"database": "*", "collection": "*", "privileges": ["ClusterReadOnly"]},),
        rights=(Right(actions=SEE | frozenset({"list users"})),),
    ),
    "two-of-them": Custom(
        grants=(
            {"collection": "notes", "privileges": ["Insert", "DescribeCollection"]},
            {"collection": "docs", "privileges": ["Query", "DescribeCollection"]},
        ),
        rights=(_here({"insert"}, collection="notes"), _here({"query"}, collection="docs"), _here(DESCRIBE)),
    ),
}
"""Name of a policy with grants → what it says and what that gives on Milvus 2.3."""

DONE, DENIED = "done", "denied"


def expected(rights: Iterable[Right], attempt: Attempt) -> str:
    """What should come of an attempt by somebody who is let in with these rights."""
    return DONE if any(right.covers(attempt) for right in rights) else DENIED
