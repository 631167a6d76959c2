"""What intake finds out about the sources themselves: they went quiet, they came back."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SourceFresh", "SourceStale"]


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
