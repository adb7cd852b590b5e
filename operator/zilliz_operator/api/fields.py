"""Field types that several kinds share. Each has an upper bound, so that the API server can price the rules."""

from datetime import timedelta
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from zilliz_operator.api.base import Model

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
Arn = Annotated[str, Field(min_length=20, max_length=512, pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{0,12}:\S+$")]
Region = Annotated[str, Field(min_length=2, max_length=32, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Hours = Annotated[str, Field(min_length=2, max_length=6, pattern=r"^[1-9][0-9]{0,4}h$")]
"""A duration in whole hours, as `720h`."""
Size = Annotated[str, Field(min_length=3, max_length=12, pattern=r"^[1-9][0-9]{0,8}(Mi|Gi|Ti)$")]
"""A volume size, as `10Gi`."""
LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=32)]
Day = AwareDatetime
"""A moment, RFC 3339 with time zone."""


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

    names: Annotated[tuple[Name, ...], Field(max_length=100)] = ()
    """Names of ZillizClusters in this namespace."""
    selector: LabelSelector | None = None
    """Labels of ZillizClusters in this namespace."""


def hours(text: str) -> timedelta:
    """`720h` as a duration."""
    return timedelta(hours=int(text.removesuffix("h")))
