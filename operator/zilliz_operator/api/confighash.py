"""The one way to name a gateway configuration, for the operator that wrote it and the agent that runs it.

Standard library only: both sides must agree to the bit, and the agent must stay small.
"""

from collections.abc import Mapping
from hashlib import sha256

CONFIG_PREFIX = "config/"
MAPS_PREFIX = "maps/"


def config_hash(files: Mapping[str, bytes]) -> str:
    """SHA-256 over the sorted files, each as name, NUL, SHA-256 of its content.

    Names are `config/<key>` for the keys of ConfigMap gateway-config and `maps/<key>` for those of Secret gateway-maps.
    """
    total = sha256()
    for name in sorted(files):
        total.update(name.encode() + b"\0" + sha256(files[name]).digest())
    return total.hexdigest()
