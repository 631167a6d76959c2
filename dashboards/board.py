"""What is a board, and how do boards lead to each other?

Boards are of four levels (ISA-101): the wall that everybody sees, a task, its details, and what only the people behind the service need.
A board is one module with a ``BOARD``; :mod:`dashboards.boards` lists them. From any board the others are one step away, by level in its
head; a panel leads down by itself (:class:`dashboards.elements.Drill`).

Deliberately absent: Grafana's JSON (:mod:`dashboards.classic`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dashboards.elements import Panel, Query, Text, select
from streams.measurements import EVENT, KPI_AREA, LMP, Measurement

__all__ = ["AREA", "AREAS", "BUS", "BUSES", "DA", "EVENT_MARKS", "FOLDERS", "INTERVAL", "LANGUAGES", "RT", "Board", "Level", "Variable"]

LANGUAGES: Final = ("zh", "en")


class Level(StrEnum):
    """How far a board is from the wall."""

    WALL = "L1"
    TASK = "L2"
    DETAIL = "L3"
    SUPPORT = "L4"


FOLDERS: Final = {
    Level.WALL: Text("L1-Wall", "L1-总览大屏"),
    Level.TASK: Text("L2-Tasks", "L2-业务监视"),
    Level.DETAIL: Text("L3-Details", "L3-明细分析"),
    Level.SUPPORT: Text("L4-Support", "L4-运维支持"),
}
"""Grafana names a folder after its last directory only: one name in two languages would be one folder."""


@dataclass(frozen=True, slots=True)
class Variable:
    """What a viewer chooses; its values are read again on every change of the time shown.

    Queries use it as ``"tag" =~ /^$name$/``, which also holds for several values and for all of them.

    Attributes:
        one: one value at a time, the first to begin with, where all of them would be too many.
    """

    name: str
    label: Text
    influxql: str
    one: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One board.

    Attributes:
        uid: without the language, as ``gridfuse-wall``; links and alert rules use it, with ``-zh`` or ``-en``.
        question: what it answers, in a sentence.
        variables: beside the data source, which every board has.
        links: uids of the boards a viewer goes to next.
        shown: beginning of the time shown when it is opened, as Grafana writes it.
    """

    uid: str
    level: Level
    title: Text
    question: Text
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    links: tuple[str, ...] = ()
    shown: str = "now-6h"

    @property
    def name(self) -> str:
        """Its file's name."""
        return self.uid.removeprefix("gridfuse-")


def _values(measurement: Measurement, tag: str, where: str = "") -> str:
    """Write the query that lists the values of a tag."""
    if tag not in {known.name for known in measurement.tags}:
        raise KeyError(f"measurement {measurement.name} has no tag {tag}")
    return f'SHOW TAG VALUES FROM "{measurement.name}" WITH KEY = "{tag}"' + (f" WHERE {where}" if where else "")


AREAS: Final = '"area" =~ /^$area$/'
"""Condition: of the areas chosen, for boards with :data:`AREA`."""
BUSES: Final = '"bus" =~ /^$bus$/'
"""Condition: of the buses chosen, for boards with :data:`BUS`."""
INTERVAL: Final = "5m"
"""Least step of courses with one value an interval, which is no shorter in any market here. Finer steps are empty, and cost as much."""
RT: Final = "\"segment\" = 'RT'"
DA: Final = "\"segment\" = 'DA'"

AREA: Final = Variable("area", Text("Area", "区域"), _values(KPI_AREA, "area"))
BUS: Final = Variable("bus", Text("Bus", "节点"), _values(LMP, "bus"))

EVENT_MARKS: Final[Query] = select(
    '"text_en", "text_zh", "segment"',
    EVENT,
    where="(\"kind\" = 'Transition' OR \"kind\" = 'Announcement')",
    label=Text("Breaker and announcements", "熔断与公告"),
)
"""Drawn as vertical marks over every course of every board."""
