"""Allowlist: who may knock at the door. The union of all that select a cluster; none means nobody from outside."""

from typing import Annotated

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import Column, Model, Resource, ResourceStatus, Status, list_map, ready_columns
from zilliz_operator.api.cidrs import cidr_rules, is_anywhere
from zilliz_operator.api.fields import CidrText, ClusterSelection, Labels, Name, selection_rules
from zilliz_operator.api.rules import FORBIDDEN, Rule


class Entry(Model):
    """One address block."""

    cidr: CidrText
    """IPv4 or IPv6 block without host bits, as 203.0.113.0/24; one address is 203.0.113.7/32."""
    comment: Annotated[str, Field(max_length=256)] = ""
    """Whose it is, for the next person."""
    expires_at: AwareDatetime | None = None
    """From then on it admits nobody. Absent: never."""


class Workload(Model):
    """Pods on the data plane itself."""

    namespace: Name
    """Their namespace."""
    pod_labels: Labels
    """Labels that they carry, all of them."""


class AllowlistSpec(Model):
    """Who may knock at which clusters."""

    clusters: ClusterSelection | None = None
    """Clusters of this project. Absent: every one."""
    entries: Annotated[tuple[Entry, ...], Field(max_length=500, json_schema_extra=list_map("cidr"))] = ()
    """Address blocks outside of the data plane."""
    workloads: Annotated[tuple[Workload, ...], Field(max_length=50)] = ()
    """Clients on the data plane itself. Changes reach the network policies and reload the gateways; nothing
    restarts."""
    allow_anywhere: bool = False
    """Permits entries that admit the whole internet."""


class ClusterResult(Status):
    """How it stands on one cluster."""

    name: str
    """Name of the ZillizCluster."""
    state: str = ""
    """Applied, Pending or Failed."""
    message: str = ""
    """More about it."""


ClusterResults = Annotated[tuple[ClusterResult, ...], Field(json_schema_extra=list_map("name"))]


class EntryResult(Status):
    """How it stands with one entry."""

    cidr: str
    """The entry's block."""
    state: str = ""
    """Active, Expired or Refused."""
    expires_at: AwareDatetime | None = None
    """From then on it admits nobody. Absent: never."""
    message: str = ""
    """More about it."""


class AllowlistStatus(ResourceStatus):
    """What is in force."""

    clusters: ClusterResults = ()
    """How it stands on each selected cluster."""
    entries: Annotated[tuple[EntryResult, ...], Field(max_length=500, json_schema_extra=list_map("cidr"))] = ()
    """How it stands with each entry."""
    active_entries: int | None = None
    """Entries that admit now."""
    expired_entries: int | None = None
    """Entries that have expired."""
    refused_entries: int | None = None
    """Entries that admit nobody because something is wrong with them."""


class Allowlist(Resource):
    """Who may knock at the door: address blocks, and workloads on the data plane."""

    KIND = "Allowlist"
    RULES = (
        *selection_rules("spec.clusters"),
        *cidr_rules("spec.entries[].cidr"),
        Rule(
            "spec",
            "self.allowAnywhere || !has(self.entries) || self.entries.all(e, !isCIDR(e.cidr) || "
            "cidr(e.cidr).prefixLength() >= (cidr(e.cidr).ip().family() == 4 ? 8 : 7))",
            "an entry admits the internet at large (0.0.0.0/0, ::/0, or a block nearly as big): list the clients' "
            "own networks, "
            "or set allowAnywhere to true if you mean it",
            reason=FORBIDDEN,
            check=lambda spec: spec.allow_anywhere or not any(is_anywhere(entry.cidr) for entry in spec.entries),
            field_path=".entries",
        ),
        Rule(
            "spec.workloads[].podLabels",
            "size(self) > 0",
            "is empty and would admit every pod of that namespace: name at least one label",
            check=lambda labels: len(labels) > 0,
        ),
    )
    COLUMNS = ready_columns(
        Column("Active", ".status.activeEntries", type="integer", description="Entries that admit now."),
        Column("Expired", ".status.expiredEntries", type="integer"),
        Column("Refused", ".status.refusedEntries", type="integer", priority=1),
        Column("Anywhere", ".spec.allowAnywhere", type="boolean", priority=1),
    )

    spec: AllowlistSpec = AllowlistSpec()
    status: AllowlistStatus = AllowlistStatus()
