"""The one error of the local cluster: what failed, and what to do about it."""

from __future__ import annotations


class DevclusterError(Exception):
    """Something the user must know; its message names the cause and the remedy."""
