"""What can go wrong at the edges of the stream. See :mod:`market.errors` for the whole tree."""

from __future__ import annotations

from market.errors import GridfuseError

__all__ = ["DecodeError", "SinkError", "SinkRejected", "SinkUnavailable", "StoreError", "StoreLocked"]


class DecodeError(GridfuseError, ValueError):
    """Bytes on a topic that are not one of its records."""


class SinkError(GridfuseError):
    """A sink did not take what it was given."""


class SinkUnavailable(SinkError):
    """Not now: keep the data and try again after a back-off."""


class SinkRejected(SinkError):
    """Never: the data or the configuration is wrong, and repeating will not help."""


class StoreError(GridfuseError):
    """The embedded store cannot be used: disk full, permission, damage. The service stops rather than go on without a record."""


class StoreLocked(StoreError):
    """Another process owns the store's directory."""
