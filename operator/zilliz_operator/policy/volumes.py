"""Whether the class of a cluster's volume encrypts: read off the provisioner's parameters where they tell, else said not to be known.

Milvus' catalogue, write-ahead log and cache lie on that volume. A class is judged by what it says now; what a volume was made with
before somebody replaced the class cannot be seen, and is not claimed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

Manifest = dict[str, Any]

DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


class Told(Enum):
    """What a class says of encryption."""

    ENCRYPTED = auto()
    NOT_ENCRYPTED = auto()
    UNTOLD = auto()


@dataclass(frozen=True, slots=True)
class ClassVerdict:
    """One class as judged; `said` begins with its name."""

    name: str | None
    told: Told
    said: str


@dataclass(frozen=True, slots=True)
class Provisioner:
    """How a provisioner says it. `switch`: the parameter that turns encryption on; empty: it always encrypts."""

    switch: str
    key: str = ""
    """The parameter that names a customer's key, for evidence."""


_EBS: Final = Provisioner(switch="encrypted", key="kmskeyid")
_GOOGLE: Final = Provisioner(switch="", key="disk-encryption-kms-key")
_AZURE: Final = Provisioner(switch="", key="diskencryptionsetid")

PROVISIONERS: Final[dict[str, Provisioner]] = {
    "ebs.csi.aws.com": _EBS,
    "ebs.csi.eks.amazonaws.com": _EBS,
    "kubernetes.io/aws-ebs": _EBS,
    "pd.csi.storage.gke.io": _GOOGLE,
    "kubernetes.io/gce-pd": _GOOGLE,
    "disk.csi.azure.com": _AZURE,
    "kubernetes.io/azure-disk": _AZURE,
    "driver.longhorn.io": Provisioner(switch="encrypted"),
}
"""Those whose parameters tell. Parameter names are lower-cased, as these provisioners read them."""


def judge(name: str | None, storage_class: Manifest | None, *, unreadable: str = "") -> ClassVerdict:
    """What a class says. `name` None: the default one; empty: no class at all. `unreadable`: why it could not be looked at."""
    what = "the default StorageClass" if name is None else f"StorageClass {name}"
    if name == "":
        return ClassVerdict(name, Told.UNTOLD, "a volume without a StorageClass does not tell whether it is encrypted")
    if unreadable:
        return ClassVerdict(name, Told.UNTOLD, f"{what} cannot be read ({unreadable})")
    if storage_class is None:
        return ClassVerdict(name, Told.UNTOLD, f"{what} does not exist")
    provisioner = str(storage_class.get("provisioner", ""))
    what = f"StorageClass {storage_class['metadata']['name']} ({provisioner})"
    known = PROVISIONERS.get(provisioner)
    if known is None:
        return ClassVerdict(name, Told.UNTOLD, f"{what} does not tell whether it encrypts")
    given = {key.lower(): str(value) for key, value in (storage_class.get("parameters") or {}).items()}
    told, how = _told(known, given)
    return ClassVerdict(name, told, f"{what} {how}")


def _told(known: Provisioner, given: dict[str, str]) -> tuple[Told, str]:
    key = given.get(known.key, "") if known.key else ""
    under = f" under {known.key} {key}" if key else ""
    if not known.switch:
        return Told.ENCRYPTED, f"always encrypts{under}"
    match given.get(known.switch, ""):
        case "true":
            return Told.ENCRYPTED, f"encrypts ({known.switch}: true){under}"
        case "false":
            return Told.NOT_ENCRYPTED, f"does not encrypt ({known.switch}: false)"
        case "":
            return Told.UNTOLD, f"does not tell whether it encrypts (no parameter {known.switch})"
        case value:
            return (
                Told.UNTOLD,
                f"does not tell whether it encrypts ({known.switch} is {value!r}, neither true nor false)",
            )


def default_class(classes: Sequence[Manifest]) -> Manifest | None:
    """The class of a claim that names none: of several defaults Kubernetes takes the newest, then the first by name."""
    marked = [c for c in classes if (c["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    by_name = sorted(marked, key=lambda c: str(c["metadata"]["name"]))
    return max(by_name, key=lambda c: str(c["metadata"].get("creationTimestamp") or ""), default=None)


@dataclass(frozen=True, slots=True)
class Summary:
    """All classes of one cluster. `known`: encrypted by evidence or by declaration."""

    broken: bool
    known: bool
    said: str


def summarize(verdicts: Sequence[ClassVerdict], *, declared: str | None) -> Summary:
    """`declared`: the class that the DataPlane vouches for. Its word never outweighs parameters that say otherwise."""
    broken = any(verdict.told is Told.NOT_ENCRYPTED for verdict in verdicts)
    known, said = not broken, []
    for verdict in verdicts:
        text = verdict.said
        if verdict.told is Told.UNTOLD and declared is not None and verdict.name == declared:
            text += "; the DataPlane declares it encrypted: declared, not verified"
        elif verdict.told is Told.UNTOLD:
            known = False
        said.append(text)
    return Summary(broken=broken, known=known, said="; ".join(said))
