"""The two pictures of an explanation, as SVG: the states of the market over time, and the prices in force coloured by their rule.

Each colour has its own hatching or its name written on it, so that they can be told apart on paper without colours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from market.explanation import Explanation
from market.explanationwords import Language, clock, name
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, instant_text

__all__ = ["COLOURS", "phases_svg", "prices_svg"]

COLOURS: Final = {
    "DEGRADED": "#e3b341",
    "PROPOSED": "#d9822b",
    "TRIPPED": "#b3261e",
    "OVERDUE": "#7a0f14",
    "SUSPENDED": "#5b3a8c",
    "SUSPENDED_LONG": "#3f2669",
    "RESUMING": "#2f7d6b",
    "MARKET": "#5f7f9f",
    "GAP": "#e3b341",
    "ART27_1": "#7d5ba6",
    "ART27_2": "#b3261e",
    "ART27_3": "#7a0f14",
    "ART28": "#3f2669",
}
_PALE: Final = ("DEGRADED", "PROPOSED")
"""Phases whose colour bears dark writing."""
_WIDTH: Final = 960.0
_LEFT: Final = 48.0
_RIGHT: Final = 26.0
_STEPS_NS: Final = (
    *(minutes * NS_PER_MIN for minutes in (5, 15, 30)),
    *(hours * NS_PER_H for hours in (1, 2, 3, 6, 12)),
    *(days * NS_PER_DAY for days in (1, 2, 7)),
)
_TICKS_MAX: Final = 12


class _Axis:
    """Instants on the picture's width."""

    def __init__(self, from_ns: int, to_ns: int, zone: str, left: float = _LEFT) -> None:
        self.from_ns, self.to_ns, self._zone, self._left = from_ns, max(to_ns, from_ns + NS_PER_MIN), zone, left

    def x(self, ns: int) -> float:
        share = (min(max(ns, self.from_ns), self.to_ns) - self.from_ns) / (self.to_ns - self.from_ns)
        return self._left + share * (_WIDTH - self._left - _RIGHT)

    def ticks(self) -> Iterator[tuple[float, str]]:
        span = self.to_ns - self.from_ns
        step = next((step for step in _STEPS_NS if span <= step * _TICKS_MAX), _STEPS_NS[-1])
        offset_ns = _offset_ns(self.from_ns, self._zone)
        first = -(-(self.from_ns + offset_ns) // step) * step - offset_ns
        for ns in range(first, self.to_ns + 1, step):
            written = clock(ns, self._zone)
            yield self.x(ns), instant_text(ns, self._zone)[5:10] if written == "00:00" else written


def _offset_ns(ns: int, zone: str) -> int:
    """Return the offset of a zone at an instant, so that ticks fall on its whole hours and days."""
    written = instant_text(ns, zone)[-6:]
    minutes = int(written[1:3]) * 60 + int(written[4:6])
    return (-minutes if written[0] == "-" else minutes) * NS_PER_MIN


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {_WIDTH:g} {height:g}" role="img" aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _ticks(axis: _Axis, top: float, bottom: float) -> list[str]:
    parts = []
    for x, written in axis.ticks():
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:g}" y2="{bottom:g}" class="grid"/>')
        parts.append(_text(x, bottom + 15, written, "tick"))
    return parts


def phases_svg(told: Explanation, language: Language, caption: str) -> str:
    """Draw the states of the market from the beginning of the case to its end; empty where the market changed none."""
    if not told.phases:
        return ""
    end_ns = told.over_ns or told.as_of_ns
    axis = _Axis(told.phases[0].from_ns, end_ns, told.rules.zone, left=2.0)
    parts = _ticks(axis, 26, 72)
    for span in told.phases:
        x, until = axis.x(span.from_ns), axis.x(span.to_ns if span.to_ns is not None else end_ns)
        width = max(until - x, 2.0)
        said = name(span.phase, language)
        parts.append(f'<rect x="{x:.1f}" y="30" width="{width:.1f}" height="34" fill="{COLOURS.get(span.phase, "#777")}"/>')
        needs = len(said) * (13 if language is Language.ZH else 7) + 10
        if width > needs:
            parts.append(_text(x + width / 2, 52, said, "on pale" if span.phase in _PALE else "on"))
        else:
            parts.append(f'<line x1="{x + width / 2:.1f}" x2="{x + width / 2:.1f}" y1="20" y2="30" class="lead"/>')
            parts.append(_text(x + width / 2, 15, said, "tick", "start" if x < 40 else "middle"))
    return _svg(94, caption, parts)


def prices_svg(told: Explanation, language: Language, caption: str) -> str:
    """Draw the price in force of each interval; empty without prices."""
    known = [point.price_cny_per_mwh for point in told.points if point.price_cny_per_mwh is not None]
    if not known:
        return ""
    step_ns = told.rules.rt_interval_ns
    axis = _Axis(told.points[0].interval_start_ns, told.points[-1].interval_start_ns + step_ns, told.rules.zone)
    top, bottom = 34.0, 196.0
    levels = _levels(min(known), max(known) + 0.05 * (max(known) - min(known)))

    def y(price: float) -> float:
        return bottom - (price - levels[0]) / (levels[-1] - levels[0]) * (bottom - top)

    parts = _ticks(axis, top, bottom)
    for level in levels:
        parts.append(f'<line x1="{_LEFT:g}" x2="{_WIDTH - _RIGHT:g}" y1="{y(level):.1f}" y2="{y(level):.1f}" class="grid"/>')
        parts.append(_text(_LEFT - 6, y(level) + 4, f"{level:g}", "tick", "end"))
    for span in told.regimes:
        x, until = axis.x(span.from_ns), axis.x(span.to_ns)
        if span.regime != "MARKET":
            colour = COLOURS.get(span.regime, "#777")
            parts.append(f'<rect x="{x:.1f}" y="{top:g}" width="{until - x:.1f}" height="{bottom - top:g}" fill="{colour}" class="under"/>')
    for before, point in zip([None, *told.points], told.points, strict=False):
        if point.price_cny_per_mwh is None:
            continue
        colour, at_y = COLOURS.get(point.regime, "#777"), y(point.price_cny_per_mwh)
        x, until = axis.x(point.interval_start_ns), axis.x(point.interval_start_ns + step_ns)
        if before is not None and before.price_cny_per_mwh is not None and before.interval_start_ns + step_ns == point.interval_start_ns:
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(before.price_cny_per_mwh):.1f}" y2="{at_y:.1f}" class="riser"/>')
        parts.append(f'<line x1="{x:.1f}" x2="{until:.1f}" y1="{at_y:.1f}" y2="{at_y:.1f}" stroke="{colour}" class="price"/>')
    x = _LEFT
    for regime in dict.fromkeys(span.regime for span in told.regimes):
        said = name(regime, language)
        parts.append(f'<rect x="{x:.1f}" y="9" width="14" height="10" fill="{COLOURS.get(regime, "#777")}"/>')
        parts.append(_text(x + 20, 18, said, "tick", "start"))
        x += 40 + len(said) * (12.5 if language is Language.ZH else 6.0)
    return _svg(218, caption, parts)


def _levels(low: float, high: float) -> list[float]:
    """Return round levels that hold a range of prices, five or fewer steps apart."""
    span = max(high - low, 1.0)
    rough = span / 4
    magnitude = 10.0 ** floor(log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 2.5, 5, 10) if factor * magnitude >= rough)
    first, last = floor(low / step), max(ceil(high / step), floor(low / step) + 1)
    return [step * place for place in range(first, last + 1)]
