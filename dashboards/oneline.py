"""How is the one-line diagram drawn, so that it is grey while the grid is as it should be?

Stations stand where :mod:`dashboards.layout` puts them. A bus is a bar with its name and voltage; bars of one station stand below each
other, and the lines of a bar leave it towards where they go. Grafana's canvas draws it, from series that it finds by name:

=====================  ==================================  ===========================================================
series                 value                               what it changes
=====================  ==================================  ===========================================================
``<branch> loading``   loading in %; 1,000 where open      colour, width and number of the line
``<branch> open``      1 where open, else 0                dashes
``<bus> alive``        1 alive, 0 dead                     colour of the bar, and the square behind it
=====================  ==================================  ===========================================================

Nothing is told by colour alone: an open branch is dashed and carries a cross, an overloaded one is wide and carries its number, a dead bus
carries a square. What has no series is dark and says ``?``, unless the grid is so large that there is news of some of it only.

What Grafana's canvas can do was read from its source, 10.4 to 13: a width follows a series only where the series is one number; lines
are drawn over all elements, so numbers stand beside them; no element is smaller than ten pixels.

Deliberately absent: the queries (:mod:`dashboards.topologyboard`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import hypot
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dashboards.elements import GREY, P1, P2, P3, Look, Mark, Step, Text
from dashboards.gridplan import Branch, Bus, GridPlan
from dashboards.layout import Layout

__all__ = [
    "HIGH_PCT",
    "LOADING_LIMITS",
    "LOADING_MARKS",
    "LOADING_STEPS",
    "LOOKS",
    "OPEN_VALUE",
    "OVER_PCT",
    "branch_series",
    "bus_series",
    "drawn",
    "open_series",
]

OPEN_VALUE: Final = 1_000
"""Stands for an open branch among loadings, of which none is as high."""
HIGH_PCT, OVER_PCT = 90.0, 100.5
"""Half a percent over the rating is over it: the clearing holds lines at their limit."""

_WIDTH_PX, _HEIGHT_PX = 1_860.0, 830.0
"""Of the panel on a screen of 1920 × 1080; elsewhere everything but letters is scaled."""
_BACKGROUND: Final = "#181B1F"
_INK: Final = "#111111"
_NO_DATA: Final = "#3A3D42"
_BAR_PX: Final = 13.0
_LEVEL_PX: Final = 36.0
_LETTER_PX: Final = 5.6
_NUMBER_PX: Final = (40.0, 12.0)
_STRUCK_PX2: Final = 100.0
_MARK_PX: Final = 12.0
_FOOT_PX: Final = 22.0
_LEGEND: Final = Text(
    "grey: in service, % of rating · yellow: from 90 % · wide red: over 100 % · dashed, ×: open · red bar, ■: dead",
    "灰：运行，数字为负载率 · 黄：90% 起 · 红粗线：超过 100% · 虚线加 ×：断开 · 红条加 ■：失电",
)
_LEGEND_SILENT: Final = Text(" · ?: no data", " · ?：无数据")
_LEGEND_IN_PART: Final = Text(" · no number: not among the most loaded", " · 无数字：非重载支路")


def branch_series(name: str) -> str:
    """Return the name of the series that says how loaded a branch is."""
    return f"{name} loading"


def open_series(name: str) -> str:
    """Return the name of the series that says whether a branch is open."""
    return f"{name} open"


def bus_series(name: str) -> str:
    """Return the name of the series that says whether a bus is alive."""
    return f"{name} alive"


LOADING_STEPS: Final = (Step(None, GREY), Step(HIGH_PCT, P3), Step(OVER_PCT, P1))
LOADING_MARKS: Final = (Mark(str(OPEN_VALUE), Text("× open", "× 断开"), P2),)
LOADING_LIMITS: Final = (HIGH_PCT, OVER_PCT + 10.0)
"""How a loading is shown; over the limits a line grows to its greatest width."""
LOOKS: Final = {
    f"/{open_series('')}$/": Look(unit="", limits=(0.0, 1.0)),
    f"/{bus_series('')}$/": Look(unit="", marks=(Mark("1", Text("\u00a0", "\u00a0"), GREY), Mark("0", Text("■", "■"), P1))),
}
"""How the other series are shown, by the pattern of their names."""


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle in pixels of the nominal canvas: middle, width and height."""

    x: float
    y: float
    width: float
    height: float

    def placement(self) -> dict[str, float]:
        """Return Grafana's distances from the four edges, %."""
        across, down = self.width / 2, self.height / 2
        edges = {
            "left": (self.x - across) / _WIDTH_PX,
            "right": 1 - (self.x + across) / _WIDTH_PX,
            "top": (self.y - down) / _HEIGHT_PX,
            "bottom": 1 - (self.y + down) / _HEIGHT_PX,
        }
        return {edge: round(100 * share, 3) for edge, share in edges.items()}


def drawn(plan: GridPlan, layout: Layout, language: str, *, in_part: bool = False) -> dict[str, Any]:
    """Return the options of Grafana's canvas panel for a plan whose stations all have a cell.

    Args:
        in_part: not of everything there is news, so what has none is drawn as normal.
    """
    silent = _Silent("", GREY) if in_part else _Silent("?", _NO_DATA)
    bars = _bars(plan, layout)
    lines = _lines(plan, bars)
    free = _Free(bars.values(), lines.values())
    elements = [_bar(plan.bus[name], box, [*_connections(plan, lines, name, silent)], silent) for name, box in bars.items()]
    elements += [_dead_mark(name, box, silent) for name, box in bars.items()]
    elements += [_number(branch.name, free.beside(lines[branch.name]), silent) for branch in plan.branches]
    elements += [*_station_names(plan, bars), _legend(language, in_part)]
    return {
        "inlineEditing": False,
        "panZoom": False,
        "infinitePan": False,
        "zoomToContent": False,
        "showAdvancedTypes": True,
        "tooltip": {"mode": "single", "disableForOneClick": False},
        "root": {
            "name": plan.name,
            "type": "frame",
            "background": {"color": {"fixed": _BACKGROUND}},
            "border": {"color": {"fixed": "transparent"}, "width": 0},
            "constraint": {"horizontal": "left", "vertical": "top"},
            "placement": {"top": 0, "left": 0, "width": 100, "height": 100, "rotation": 0},
            "elements": elements,
        },
    }


@dataclass(frozen=True, slots=True)
class _Silent:
    """How is drawn what there is no news of: its letter, and its colour."""

    letter: str
    colour: str


def _bars(plan: GridPlan, layout: Layout) -> dict[str, _Box]:
    """Return the bar of each bus, two beside each other where a station has several of one voltage."""
    across, down = _WIDTH_PX / layout.columns, (_HEIGHT_PX - _FOOT_PX) / layout.rows
    middle = {name: ((column + 0.5) * across, (row + 0.5) * down) for name, (column, row) in layout.cells.items()}
    bars: dict[str, _Box] = {}
    for station, buses in plan.stations.items():
        x, y = middle[station]
        levels = [*_levels(plan, buses, {name: place[1] for name, place in middle.items()})]
        for number, level in enumerate(levels):
            top = y + (number - (len(levels) - 1) / 2) * min(_LEVEL_PX, down / len(levels))
            for place, bus in enumerate(level):
                width = across * (0.56 if len(level) == 1 else 0.4)
                bars[bus.name] = _Box(x + (place - (len(level) - 1) / 2) * across * 0.46, top, width, _BAR_PX)
    return bars


def _levels(plan: GridPlan, buses: Sequence[Bus], height: dict[str, float]) -> Iterator[Sequence[Bus]]:
    """Yield the bars of a station from the top, by voltage: those whose lines go upwards first, of equals the higher voltage."""
    by_kv: dict[float, list[Bus]] = {}
    for bus in buses:
        by_kv.setdefault(bus.kv, []).append(bus)

    def leaning(kv: float) -> tuple[float, float]:
        inside = {bus.name for bus in by_kv[kv]}
        ends = [(branch.from_bus, branch.to_bus) for branch in plan.branches]
        others = [other for one, other in [*ends, *((t, f) for f, t in ends)] if one in inside]
        away = [height[plan.bus[other].station] - height[buses[0].station] for other in others]
        return (sum(away) / len(away) if away else 0.0, -kv)

    for kv in sorted(by_kv, key=leaning):
        level = by_kv[kv]
        yield from (level[k : k + 2] for k in range(0, len(level), 2))


@dataclass(frozen=True, slots=True)
class _Line:
    """A branch as drawn: where it leaves the bars of its ends, in half widths and half heights from their middle, and in pixels."""

    branch: Branch
    source: tuple[float, float]
    target: tuple[float, float]
    start: tuple[float, float]
    end: tuple[float, float]


def _lines(plan: GridPlan, bars: dict[str, _Box]) -> dict[str, _Line]:
    """Return every branch with its ends spread over the side of the bar that it leaves by, so that none lies on another."""
    leaving: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for branch in plan.branches:
        for one, other in ((branch.from_bus, branch.to_bus), (branch.to_bus, branch.from_bus)):
            side = _side(bars[one], bars[other])
            leaving.setdefault((one, side), []).append((bars[other].x if side in "↑↓" else bars[other].y, branch.name))
    at: dict[tuple[str, str], tuple[float, float]] = {}
    for (bus, side), ends in leaving.items():
        for place, (_, name) in enumerate(sorted(ends)):
            along = round(2 * (place + 1) / (len(ends) + 1) - 1, 3)
            at[bus, name] = {"↑": (along, 1.0), "↓": (along, -1.0), "←": (-1.0, -along), "→": (1.0, -along)}[side]
    return {branch.name: _line(branch, at, bars) for branch in plan.branches}


def _side(bar: _Box, other: _Box) -> str:
    """Return the side by which a line leaves a bar."""
    if abs(other.y - bar.y) > bar.height:
        return "↑" if other.y < bar.y else "↓"
    return "←" if other.x < bar.x else "→"


def _line(branch: Branch, at: dict[tuple[str, str], tuple[float, float]], bars: dict[str, _Box]) -> _Line:
    source, target = at[branch.from_bus, branch.name], at[branch.to_bus, branch.name]

    def pixels(bus: str, place: tuple[float, float]) -> tuple[float, float]:
        box = bars[bus]
        return box.x + place[0] * box.width / 2, box.y - place[1] * box.height / 2

    return _Line(branch, source, target, pixels(branch.from_bus, source), pixels(branch.to_bus, target))


class _Free:
    """Where a number can stand without covering another one or a bar."""

    def __init__(self, taken: Iterable[_Box], lines: Iterable[_Line]) -> None:
        self._taken = [(box.x, box.y, box.width, box.height) for box in taken]
        ends = np.array([(*line.start, *line.end) for line in lines], dtype=np.float64).reshape(-1, 4)
        self._starts, self._along = ends[:, :2], ends[:, 2:] - ends[:, :2]

    def beside(self, line: _Line) -> _Box:
        """Return a place beside a line, as near to its middle as is free."""
        (x1, y1), (x2, y2) = line.start, line.end
        length = max(hypot(x2 - x1, y2 - y1), 1e-9)
        right, up = -(y2 - y1) / length, (x2 - x1) / length
        away = abs(right) * _NUMBER_PX[0] / 2 + abs(up) * _NUMBER_PX[1] / 2 + 2
        places = [
            (x1 + share * (x2 - x1) + side * away * right, y1 + share * (y2 - y1) + side * away * up)
            for share in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)
            for side in (-1, 1)
        ]
        best = places[int(np.argmin(self._covered(places)))]
        self._taken.append((*best, *_NUMBER_PX))
        return _Box(*best, *_NUMBER_PX)

    def _covered(self, places: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Return (n,) how much a number at each place would cover, square pixels; a line through it counts as a part of it."""
        at, taken = np.array(places)[:, None, :], np.array(self._taken)[None]
        over = (np.array(_NUMBER_PX) + taken[..., 2:]) / 2 - np.abs(at - taken[..., :2])
        share = ((at - self._starts) * self._along).sum(axis=2) / np.maximum((self._along**2).sum(axis=1), 1e-9)
        apart = np.abs(at - self._starts - np.clip(share, 0.0, 1.0)[..., None] * self._along)
        # A number is three letters in a wider box: what passes beyond them does not strike it through.
        struck = (apart[..., 0] < _NUMBER_PX[0] / 4) & (apart[..., 1] < _NUMBER_PX[1] / 2)
        covered: NDArray[np.float64] = np.maximum(over, 0.0).prod(axis=2).sum(axis=1) + _STRUCK_PX2 * struck.sum(axis=1)
        return covered


def _element(name: str, kind: str, box: _Box, background: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "type": kind,
        "constraint": {"horizontal": "scale", "vertical": "scale"},
        "placement": box.placement(),
        "background": {"color": background},
        "border": {"color": {"fixed": "transparent"}, "width": 0},
        "config": {"align": "center", "valign": "middle"} | config,
    }


def _bar(bus: Bus, box: _Box, connections: list[dict[str, Any]], silent: _Silent) -> dict[str, Any]:
    letters = int(box.width / _LETTER_PX)
    text = f"{bus.name} {bus.kv:g}" if bus.kv else bus.name
    short = text if len(text) <= letters else bus.name if len(bus.name) <= letters else bus.name[: letters - 1] + "…"
    config = {"text": {"mode": "fixed", "fixed": short}, "color": {"fixed": _INK}, "size": 10}
    element = _element(bus_series(bus.name), "rectangle", box, {"field": bus_series(bus.name), "fixed": silent.colour}, config)
    return element | {"connections": connections}


def _dead_mark(bus: str, bar: _Box, silent: _Silent) -> dict[str, Any]:
    """A square to the left of the bar, where no line leaves it."""
    series = bus_series(bus)
    config = {"text": {"mode": "field", "field": series, "fixed": silent.letter}, "color": {"field": series, "fixed": GREY}, "size": 11}
    box = _Box(bar.x - bar.width / 2 - _MARK_PX / 2, bar.y, _MARK_PX, _MARK_PX)
    return _element(f"{series} mark", "rectangle", box, {"fixed": "transparent"}, config)


def _number(branch: str, box: _Box, silent: _Silent) -> dict[str, Any]:
    series = branch_series(branch)
    config = {"text": {"mode": "field", "field": series, "fixed": silent.letter}, "color": {"field": series, "fixed": GREY}, "size": 10}
    return _element(series, "rectangle", box, {"fixed": "transparent"}, config)


def _connections(plan: GridPlan, lines: dict[str, _Line], bus: str, silent: _Silent) -> Iterator[dict[str, Any]]:
    """Yield the lines that begin at a bus: each as it is, and over it the gaps that make it dashed where it is open."""
    for line in lines.values():
        if line.branch.from_bus == bus:
            name = line.branch.name
            thin = 1.5 + (max(plan.bus[end].kv for end in (bus, line.branch.to_bus)) >= _high_kv(plan))
            width = {"field": branch_series(name), "fixed": thin, "min": thin, "max": thin + 3}
            yield _connection(line, {"field": branch_series(name), "fixed": silent.colour}, width, "solid")
            yield _connection(line, {"fixed": _BACKGROUND}, {"field": open_series(name), "fixed": 0, "min": 0, "max": thin + 4}, "dashed")


def _high_kv(plan: GridPlan) -> float:
    """Return the voltage from which lines are drawn wider: the higher half of the voltages there are."""
    levels = sorted({bus.kv for bus in plan.buses})
    return levels[len(levels) // 2]


def _connection(line: _Line, colour: dict[str, Any], width: dict[str, Any], style: str) -> dict[str, Any]:
    return {
        "path": "straight",
        "source": {"x": line.source[0], "y": line.source[1]},
        "target": {"x": line.target[0], "y": line.target[1]},
        "targetName": bus_series(line.branch.to_bus),
        "color": colour,
        "size": width,
        "direction": {"mode": "fixed", "fixed": "none"},
        "lineStyle": {"style": style, "animate": False},
    }


def _station_names(plan: GridPlan, bars: dict[str, _Box]) -> Iterator[dict[str, Any]]:
    """Yield the name of each station that is not called after one of its buses, above its bars."""
    for station, buses in plan.stations.items():
        if station not in {bus.name for bus in buses}:
            highest = min((bars[bus.name] for bus in buses), key=lambda box: (box.y, box.x))
            config = {"text": {"mode": "fixed", "fixed": station}, "color": {"fixed": GREY}, "size": 11}
            box = _Box(highest.x, highest.y - _BAR_PX, highest.width, _BAR_PX)
            yield _element(f"station {station}", "rectangle", box, {"fixed": "transparent"}, config)


def _legend(language: str, in_part: bool) -> dict[str, Any]:
    more = _LEGEND_IN_PART if in_part else _LEGEND_SILENT
    text = _LEGEND.zh + more.zh if language == "zh" else _LEGEND.en + more.en
    config = {"text": {"mode": "fixed", "fixed": text}, "color": {"fixed": GREY}, "size": 12, "align": "left"}
    return _element(
        "legend", "rectangle", _Box(_WIDTH_PX / 2, _HEIGHT_PX - _FOOT_PX / 2, _WIDTH_PX - 20, 14.0), {"fixed": "transparent"}, config
    )
