"""Field types that several kinds share. Each has an upper bound, so that the API server can price the rules."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from zilliz_operator.api.base import LIST_SET, Model
from zilliz_operator.api.rules import Rule

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""A Kubernetes name that is a DNS label."""
LongName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]
"""A Kubernetes name that is a DNS subdomain."""
HostName = LongName
Key = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a Secret or ConfigMap."""
VersionText = Annotated[str, Field(min_length=5, max_length=32, pattern=r"^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$")]
Image = Annotated[str, Field(min_length=1, max_length=512, pattern=r"^[a-z0-9][-a-zA-Z0-9._/:@]*$")]
CidrText = Annotated[str, Field(min_length=2, max_length=49)]
"""Text of a CIDR block; rules say what is wrong with it."""
Url = Annotated[str, Field(min_length=8, max_length=512, pattern=r"^https?://[^\s/?#]+[^\s?#]*$")]
Arn = Annotated[
    str, Field(min_length=20, max_length=512, pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{0,12}:\S+$")
]
Region = Annotated[str, Field(min_length=2, max_length=32, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Hours = Annotated[str, Field(min_length=2, max_length=6, pattern=r"^[1-9][0-9]{0,4}h$")]
"""A duration in whole hours, as `720h`."""
MilvusName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""Name of a Milvus database or collection."""
Size = Annotated[str, Field(min_length=3, max_length=12, pattern=r"^[1-9][0-9]{0,8}(Mi|Gi|Ti)$")]
"""A volume size, as `10Gi`."""
LabelKey = Annotated[
    str,
    Field(min_length=1, max_length=317, pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"),
]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]


class SecretRef(Model):
    """One key of a Secret in the operator's namespace."""

    name: LongName
    """Name of the Secret."""
    key: Key
    """Key in the Secret."""


class SecretName(Model):
    """A Secret whose keys are fixed by its use."""

    name: LongName
    """Name of the Secret."""


class LabelSelector(Model):
    """Selects by labels; all must match."""

    match_labels: Labels
    """Labels that the object must carry, all of them."""


class ClusterSelection(Model):
    """Which clusters of this project: by name, or by labels."""

    names: Annotated[tuple[Name, ...], Field(max_length=100, json_schema_extra=LIST_SET)] = ()
    """Names of ZillizClusters in this namespace."""
    selector: LabelSelector | None = None
    """Labels of ZillizClusters in this namespace."""


def selection_rules(path: str) -> tuple[Rule, ...]:
    """The rules for a ClusterSelection at `path`."""
    return (
        Rule(
            path,
            "(has(self.names) && size(self.names) > 0) != has(self.selector)",
            "needs exactly one of names and selector: write clusters: {names: [<cluster>]}, or clusters: {selector: "
            "{matchLabels: {…}}}; leave clusters out for every cluster of this project",
            check=lambda chosen: bool(chosen.names) != (chosen.selector is not None),
        ),
    )


def https_rule(path: str) -> Rule:
    """The URL at `path` must be https."""
    return Rule(
        path,
        "self.startsWith('https://')",
        "must begin with https://: nothing travels unencrypted",
        check=lambda url: bool(url.startswith("https://")),
    )


def hours(text: str) -> timedelta:
    """`720h` as a duration."""
    return timedelta(hours=int(text.removesuffix("h")))
