"""Which processes may a service be split into, and what does each of them do?

One process does everything by default. On a Kafka cluster the work can be spread:

* ``ingest`` reads the field: one process for all areas, or several with some of the areas each;
* ``streams`` computes and decides: as many workers as one likes, and Kafka hands the work of one that dies to the others;
* ``api`` shows and keeps: board, ledger, spool and the people on call; one process, because its stores are its own.

Each has a consumer group of its own, so that none holds up another, and what one of them has seen is not lost to the others.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Final

__all__ = ["Part", "Role"]


class Part(Enum):
    """What a process may do."""

    FIELD = "field"
    """Read devices, tell the areas the time, write base points."""
    PROCESSORS = "processors"
    """Intake, grid, clearing, breaker, alerts."""
    PEOPLE = "people"
    """Board, orders, ledger, spool, deliveries."""


class Role(StrEnum):
    """How much of the service one process is."""

    ALL = "all"
    INGEST = "ingest"
    STREAMS = "streams"
    API = "api"

    @property
    def parts(self) -> frozenset[Part]:
        """What it does."""
        return _PARTS[self]

    def group(self, instance: str) -> str:
        """Return the consumer group: Faust's app id, and the prefix of the changelogs.

        Every process that reads the field follows the market for itself; workers share one group, which is that of a whole service.
        """
        match self:
            case Role.INGEST:
                return f"gridfuse-ingest-{instance}"
            case Role.API:
                return "gridfuse-api"
            case _:
                return "gridfuse"


_PARTS: Final = {
    Role.ALL: frozenset(Part),
    Role.INGEST: frozenset({Part.FIELD}),
    Role.STREAMS: frozenset({Part.PROCESSORS}),
    Role.API: frozenset({Part.PEOPLE}),
}
