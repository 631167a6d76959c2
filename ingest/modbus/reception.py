"""What stands between a listener and those it receives devices for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from ingest.addresses import DialIn

__all__ = ["Arrival", "Station"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A device that has said who it is.

    Attributes:
        peer: address and port it dials from.
        said: the bytes that said who it is; empty where it did not have to.
    """

    id: str
    peer: str
    said: bytes


class Station(Protocol):
    """One device that may dial in, or several behind one connection."""

    dial_in: DialIn

    @property
    def look_ns(self) -> int | None:
        """Event time between two looks at it, ns; None where none are needed."""
        ...

    def welcome(self, arrival: Arrival) -> asyncio.Protocol | None:
        """Return who speaks with it from now on; None where it is turned away, which has been counted."""
        ...

    def begin(self, wire: asyncio.Protocol) -> None:
        """Go on: the connection of the protocol that was returned is made."""
        ...

    def refuse(self, reason: str, detail: str) -> None:
        """Count that it was not let in, and why."""
        ...

    def look(self) -> None:
        """Watch over its silence."""
        ...

    def close(self) -> None:
        """Close its connection."""
        ...
