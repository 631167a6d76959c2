"""What do the panels of the registry show, without a database? Fed with the lines that the service writes.

``static/panels.json`` is rendered from the dashboards' registry (``python -m dashboards.build``), its queries in parts. A query is followed
once however many panels have it, and keeps what they draw: a day in minutes, changes of a state, the newest value, or the newest lines
(:mod:`console.board.series`).

Memory is bounded: :data:`GROUPS_MAX` days of minutes of one query and :data:`COURSES_MAX` in all (40 KB each, so 40 MB), and
:data:`LATEST_MAX` newest values of one query. What is beyond is counted, and the page says so.

Deliberately absent: how a panel is drawn (``static/panels.js``); raw telemetry, which the points page shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from console.board.conditions import Condition, condition_of
from console.board.lines import Line, lines_of
from console.board.series import AGGREGATES, Course, Newest, Rows, States
from market.units import NS_PER_MS

__all__ = ["COURSES_MAX", "GROUPS_MAX", "PANELS_FILE", "PanelBook", "PanelPage"]

PANELS_FILE: Final = Path(__file__).parent / "static" / "panels.json"

GROUPS_MAX: Final = 100
"""Days of minutes of one query: more lines than that nobody can tell apart."""
LATEST_MAX: Final = 2_000
"""Newest values of one query."""
COURSES_MAX: Final = 1_000
"""Days of minutes in all."""

_EVERYTHING: Final = -1


class _Latest:
    """The newest value of one series."""

    def __init__(self) -> None:
        self._ts_ns = -1
        self._value: float | str | None = None
        self.stamp = -1

    def add(self, ts_ns: int, value: float | str, version: int) -> None:
        if ts_ns > self._ts_ns:
            self._ts_ns, self._value, self.stamp = ts_ns, value, version

    def since(self, version: int) -> dict[str, Any] | None:
        """Return ``last``, the instant (ms) and the value, where it is newer than ``version``."""
        return None if self.stamp <= version else {"last": [self._ts_ns // NS_PER_MS, self._value]}


class _Wish(NamedTuple):
    """What a query of a panel asks for; two panels that ask for the same share its memory."""

    measurement: str
    field: str
    how: str
    by: str
    where: str
    having: str
    within_s: int
    kept: str
    """``latest``, ``course``, ``states``, ``rows`` or ``newest``."""


_Memory = _Latest | Course | States | Rows | Newest


class _Follower:
    """One wish, and what is kept of it by the tags that it tells apart."""

    def __init__(self, wish: _Wish, book: PanelBook) -> None:
        how, _, over = wish.how.partition("/")
        self._book = book
        self._wish = wish
        self._how, _, self._of = how.partition("@")
        self._over = float(over or 1.0)
        self._holds: Condition = condition_of(wish.where)
        self._by = tuple(wish.by.split(",")) if wish.by else ()
        self._fields = tuple(wish.field.split(","))
        self._whole = wish.kept in ("rows", "newest")
        self.groups: dict[str, _Memory] = {}
        self.left_out: set[str] = set()

    def take(self, line: Line, version: int) -> None:
        value = line.fields.get(self._fields[0])
        if (value is None and not self._whole) or not self._holds(line.tags, line.fields):
            return
        group = " · ".join([line.tags.get(tag, "") for tag in self._by])
        memory = self.groups.get("" if self._whole else group) or self._begun("" if self._whole else group)
        match memory:
            case None:
                return
            case Newest():
                memory.add(group, line.ts_ns, {**line.tags, **line.fields}, version)
            case Rows():
                memory.add(line.ts_ns, {**line.tags, **line.fields}, version)
            case Course() if isinstance(value, float) or self._how == "count":
                value = value if isinstance(value, float) else 1.0
                memory.add("\0".join(line.tags.values()), line.ts_ns, value, version)
            case States() if value is not None:
                memory.add(line.ts_ns, value, version)
            case _Latest() if value is not None:
                memory.add(line.ts_ns, value / self._over if isinstance(value, float) else value, version)

    def _begun(self, group: str) -> _Memory | None:
        """Begin to keep a series, or leave it out and count it."""
        course = self._wish.kept == "course"
        if len(self.groups) >= (GROUPS_MAX if course else LATEST_MAX) or (course and self._book.courses >= COURSES_MAX):
            if len(self.left_out) < LATEST_MAX:
                self.left_out.add(group)
            return None
        memory = self._made()
        self._book.courses += isinstance(memory, Course)
        self.groups[group] = memory
        return memory

    def _made(self) -> _Memory:
        match self._wish.kept:
            case "course":
                return Course(self._how, self._over, newest=self._of == "last")
            case "states":
                return States()
            case "rows":
                return Rows(self._fields)
            case "newest":
                aggregate = self._how.removeprefix("now:") if self._how.startswith("now:") else ""
                return Newest(self._fields, condition_of(self._wish.having), self._wish.within_s, aggregate, self._over)
            case _:
                return _Latest()


_KEPT: Final = {"timeseries": "course", "heatmap": "course", "state-timeline": "states", "status-history": "states"}


def _wish(panel: dict[str, Any], series: dict[str, Any]) -> _Wish:
    how = series["how"].partition("/")[0].partition("@")[0]
    if how == "rows":
        kept = "rows"
    elif how == "newest" or how.startswith("now:"):
        kept = "newest"
    else:
        kept = _KEPT.get(panel["kind"], "course" if panel["sparkline"] or how != "last" else "latest")
    asked = {name: series[name] for name in ("measurement", "field", "how", "by", "where", "having", "within_s")}
    return _Wish(**asked, kept=kept)


class PanelBook:
    """What all panels of the registry show. Not safe to use from two threads.

    Args:
        registry: content of ``panels.json``.

    Attributes:
        version: counts up with every batch of lines.
        courses: days of minutes that are kept.
        unread: lines that could not be read; our own encoders write none.

    Raises:
        ValueError: a query asks for what the board cannot follow; the registry and the board have come apart.
    """

    def __init__(self, registry: dict[str, Any]) -> None:
        self.version = 0
        self.courses = 0
        self.unread = 0
        self._followers: dict[_Wish, _Follower] = {}
        self._of_measurement: dict[str, list[_Follower]] = {}
        self.pages = {board["uid"].removeprefix("gridfuse-"): PanelPage(self, board) for board in registry["boards"]}

    @classmethod
    def shipped(cls) -> PanelBook:
        """Return the book of the registry that is shipped with the board."""
        return cls(msgspec.json.decode(PANELS_FILE.read_bytes()))

    def take(self, lines: bytes) -> None:
        """Take in lines as they are written; what no panel asks for is passed over."""
        self.version += 1
        for line in lines_of(lines, self._of_measurement.keys() - {""}):
            if line is None:
                self.unread += 1
                continue
            for follower in self._of_measurement[line.measurement]:
                try:
                    follower.take(line, self.version)
                except (ValueError, TypeError, OverflowError):
                    # What is shown must never hold up what is written.
                    self.unread += 1

    def followed(self, panel: dict[str, Any]) -> Iterator[_Follower]:
        """Return what follows each query of a panel."""
        for series in panel["series"]:
            wish = _wish(panel, series)
            if wish.kept not in ("rows", "newest") and wish.how.partition("/")[0].partition("@")[0] not in AGGREGATES:
                raise ValueError(f"panel {panel['id']} ({panel['title']['en']}): the board cannot compute {wish.how!r}")
            follower = self._followers.get(wish)
            if follower is None:
                follower = self._followers[wish] = _Follower(wish, self)
                self._of_measurement.setdefault(wish.measurement, []).append(follower)
            yield follower


class PanelPage:
    """One page: the panels of one board (:class:`console.board.stream.PageSource`)."""

    def __init__(self, book: PanelBook, board: dict[str, Any]) -> None:
        self._book = book
        self._panels = {str(panel["id"]): tuple(book.followed(panel)) for panel in board["panels"]}

    @property
    def version(self) -> int:
        """The book's."""
        return self._book.version

    def snapshot(self) -> dict[str, Any]:
        """Return what every panel shows; ``full`` says that nothing of before holds."""
        return {"full": True, **self._since(_EVERYTHING)}

    def delta(self, since: int) -> dict[str, Any] | None:
        """Return what changed after version ``since``, or None.

        Returns:
            ``version`` and ``panels``: number of the panel → for each of its queries what changed, by the value of its tag; ``left_out``:
            number of the panel → series that are not kept.
        """
        changed = self._since(since)
        return changed if changed["panels"] else None

    def _since(self, version: int) -> dict[str, Any]:
        panels: dict[str, list[dict[str, Any]]] = {}
        for number, followers in self._panels.items():
            parts = [
                {group: part for group, memory in follower.groups.items() if (part := memory.since(version)) is not None}
                for follower in followers
            ]
            if any(parts):
                panels[number] = parts
        left_out = {number: n for number, all_ in self._panels.items() if (n := sum(len(one.left_out) for one in all_))}
        return {"version": self._book.version, "panels": panels, "left_out": left_out}
