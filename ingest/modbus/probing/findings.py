"""What was found about the devices behind an address. Records only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ingest.devices import Kind
from ingest.modbus.probing.asks import Depth
from ingest.modbus.probing.expected import Match
from ingest.modbus.probing.models import SunspecFound
from ingest.modbus.probing.orders import Certainty, OrderFound
from ingest.modbus.probing.ranges import Table
from ingest.modbus.probing.units import UnitsFound

__all__ = ["BaseFound", "Findings", "UnitFindings"]


@dataclass(frozen=True, slots=True)
class BaseFound:
    """What the maker seems to call the first register, 0 or 1, and what speaks for it."""

    base: int
    certainty: Certainty
    why: str


@dataclass(slots=True)
class UnitFindings:
    """What was found about one unit.

    Attributes:
        identification: what it calls itself, by :data:`ingest.modbus.identify.OBJECT_NAMES`.
        matches: the ways in which each expectation is met, by its text.
        readings: what registers said, by table and address, from time to time; ``moved`` those that said different things.
        floats: addresses at which a float32 seems to begin, by table; likewise ``counters`` of uint32.
    """

    unit: int
    tables: dict[Kind, Table] = field(default_factory=dict)
    identification: dict[str, str] = field(default_factory=dict)
    sunspec: SunspecFound | None = None
    matches: dict[str, list[Match]] = field(default_factory=dict)
    order: OrderFound | None = None
    base: BaseFound | None = None
    readings: list[Mapping[Kind, Mapping[int, int]]] = field(default_factory=list)
    moved: Mapping[Kind, frozenset[int]] = field(default_factory=dict)
    floats: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)
    counters: Mapping[Kind, tuple[int, ...]] = field(default_factory=dict)

    @property
    def last(self) -> Mapping[Kind, Mapping[int, int]]:
        """What registers said last, by table and address."""
        return self.readings[-1] if self.readings else {}

    @property
    def is_readable(self) -> bool:
        """Whether anything of it can be read."""
        return any(table.extents for table in self.tables.values())


@dataclass(slots=True)
class Findings:
    """All of it.

    Attributes:
        units: in the order they were looked at.
        unlooked: units that answer and were not looked at, because they are too many.
        depth: what became of the burst; None where there was none.
        cut_short: whether the cap of requests ended the look.
        asked: requests that were sent.
    """

    found: UnitsFound = field(default_factory=UnitsFound)
    units: list[UnitFindings] = field(default_factory=list)
    unlooked: tuple[int, ...] = ()
    depth: Depth | None = None
    cut_short: bool = False
    asked: int = 0
