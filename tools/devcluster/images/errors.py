"""The one error of the image pipeline: it names what failed and what to do about it."""

from __future__ import annotations


class BuildFailed(Exception):
    """An image could not be built; the message says why and names the remedy or the log."""
