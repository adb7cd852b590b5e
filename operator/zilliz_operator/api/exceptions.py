"""What can go wrong, by what has to happen next. Adapters raise these, reconcilers turn them into conditions.

Messages are shown to users: they name the field or the thing, the cause and the remedy, and never carry a secret.
"""


class ZillizError(Exception):
    """Base of everything this product raises on purpose."""


class InvalidSpec(ZillizError):
    """The user's object is wrong; no retry cures it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class CredentialsMissing(InvalidSpec):
    """A Secret that a DataPlane refers to does not exist or lacks a key; `path` is the field that refers to it."""


class KubeconfigRefused(InvalidSpec):
    """A kubeconfig that exists and is not used: garbled, or it asks for what a Secret must not make us do."""


class NameTaken(ZillizError):
    """Something of that name exists and is not ours; we touch nothing."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.what = what
        self.message = message


class Unavailable(ZillizError):
    """An outage: the same call may work later."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.what = what
        self.message = message


class Unreachable(Unavailable):
    """Nothing answered at all, not even with an error."""


class Rejected(ZillizError):
    """The other side answered and refused our credentials or rights."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(f"{what}: {message}")
        self.what = what
        self.message = message


class NotReady(ZillizError):
    """On its way, not there yet."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Conflict(ZillizError):
    """The object changed under us: read again and decide again."""
