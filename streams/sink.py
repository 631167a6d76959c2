"""What stands between the records and InfluxDB: a spool for each bucket, what sends it, and what is missing in them.

There is one spool, and a second one where raw telemetry goes to a bucket of its own: which bucket a line goes to is settled by the kind of
its record when it is written, and never by looking at lines. A second spool that is there from earlier settings is sent as well.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from streams.gaps import Gaps
from streams.influx import Flusher, FlushPace, FlushState, FlushStatus
from streams.influxapi import InfluxTarget
from streams.influxfile import Sinking
from streams.spool import Spool, SpoolStatus

__all__ = ["RAW_SPOOL", "SPOOL", "Flushers", "Sink"]

SPOOL = "spool"
RAW_SPOOL = "spool-raw"


class Flushers:
    """All that send, seen as one."""

    def __init__(self, flushers: Sequence[Flusher]) -> None:
        self.each = tuple(flushers)

    @property
    def status(self) -> FlushStatus:
        """What has happened: counts of all together, and of how it stands the worst."""
        statuses = [flusher.status for flusher in self.each]
        worst = max(statuses, key=lambda status: list(FlushState).index(status.state))
        counts = [field.name for field in fields(FlushStatus) if field.type in (int, "int")]
        return replace(worst, **{name: sum(getattr(status, name) for status in statuses) for name in counts})

    def lag_s(self, now_ns: int) -> float:
        """Return for how long the oldest line has waited that is not backlog, wall s."""
        return max(flusher.lag_s(now_ns) for flusher in self.each)


class Sink:
    """The spools, and what sends them.

    Args:
        home: the service's data directory.
        target: where lines go; None where they stay in the spool.
        sinking: how they go there.
        pace: how patient it is with the server; its rate of the backlog is that of ``sinking``.

    Attributes:
        spool: of everything, or of all but raw telemetry.
        raw: of raw telemetry; the same one where it has no bucket of its own.
        gaps: what could not be spooled, and is taken again.
        flushers: what sends; None without a target.

    Raises:
        StoreError: a spool cannot be opened.
        ConfigError: the token that is configured cannot be read.
    """

    def __init__(self, home: Path, target: InfluxTarget | None, sinking: Sinking, pace: FlushPace | None = None) -> None:
        self.spool = Spool(home / SPOOL)
        self._spools = [(self.spool, target)]
        if sinking.raw is not None or (home / RAW_SPOOL / "lock").exists():
            self._spools.append((Spool(home / RAW_SPOOL), sinking.raw or target))
        self.raw = self.spool if sinking.raw is None else self._spools[1][0]
        self.gaps = Gaps(self.spool.directory / "missing")
        paced = replace(pace or FlushPace(), backlog_per_s=sinking.backlog_per_s)
        flushers = [Flusher(spool, to, paced) for spool, to in self._spools if to is not None]
        self.flushers = Flushers(flushers) if flushers else None

    def status(self) -> SpoolStatus:
        """Describe the spools as one: places are added up too, which keeps them comparable."""
        first, *others = [spool.status() for spool, _ in self._spools]
        for other in others:
            numbers = [field.name for field in fields(SpoolStatus) if field.name not in ("directory", "oldest_ns")]
            summed = {name: getattr(first, name) + getattr(other, name) for name in numbers}
            oldest_ns = min((each.oldest_ns for each in (first, other) if each.oldest_ns), default=0)
            first = replace(first, **summed, oldest_ns=oldest_ns)
        return first

    def waiting_since_ns(self) -> int | None:
        """Return when the oldest line that waits was spooled, UTC ns by the wall clock; None where none waits."""
        return min((since_ns for spool, _ in self._spools if (since_ns := spool.waiting_since_ns()) is not None), default=None)

    def work(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what runs for as long as the service does, by name."""
        for number, flusher in enumerate(self.flushers.each if self.flushers else ()):
            yield "influx" if not number else "influx of raw telemetry", flusher.run()

    def close(self) -> None:
        """Bring everything to the disk and let go of the directories."""
        self.gaps.close()
        for spool, _ in self._spools:
            spool.close()
