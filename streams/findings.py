"""What intake finds out about the sources themselves: they went quiet, they came back; their clocks went wrong, and right again."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["SOURCE_FINDINGS", "ClockDirection", "SourceClockJumped", "SourceClockSteady", "SourceFinding", "SourceFresh", "SourceStale"]


class ClockDirection(StrEnum):
    """Which way a device's clock is wrong."""

    AHEAD = "AHEAD"
    BEHIND = "BEHIND"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStale:
    """Nothing fresh from a device for three of its periods.

    Attributes:
        ts_event_ns: when it was judged.
        since_ns: source time of its last good value; names the episode.
        points: how many points it feeds.
    """

    ts_event_ns: int
    device: str
    area: str
    since_ns: int
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFresh:
    """A stale device answers again; ``since_ns`` names the episode that ended."""

    ts_event_ns: int
    device: str
    area: str
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClockJumped:
    """A device's clock was set to a wrong time; until it is right again, its values are dated by when we receive them.

    Attributes:
        ts_event_ns: when that was certain.
        since_ns: when the first values dated so were received; names the episode.
        jump_s: by how much its time lies off ours, s, >= 0; 0 where whoever read the device did not say.
        direction: whether it lies ahead of ours or behind.
    """

    ts_event_ns: int
    device: str
    area: str
    since_ns: int
    jump_s: float
    direction: ClockDirection


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClockSteady:
    """A clock that was wrong is right again, and its times are used again; ``since_ns`` names the episode that ended."""

    ts_event_ns: int
    device: str
    area: str
    since_ns: int


SourceFinding = SourceStale | SourceFresh | SourceClockJumped | SourceClockSteady

SOURCE_FINDINGS: Final = (SourceStale, SourceFresh, SourceClockJumped, SourceClockSteady)
"""Every kind, in the order of :data:`SourceFinding`."""
