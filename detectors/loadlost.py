"""How much load did the grid lose within ten minutes, of what it had before?

The load before is the greatest total of the last ten minutes. A loss counts once it has stood for the debounce time: areas report one
after the other, and a total in between is none. A total is that of all areas that ever reported; one that falls silent keeps its last.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from detectors.evidence import Certain, Kind, Level, load_limit_pct
from market.facts import LoadReported
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, clock_text

__all__ = ["LoadWatch", "before_mw", "loss_text", "lost_mw", "matured", "next_ns", "total_mw", "with_load"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadWatch:
    """What is remembered of the load.

    Attributes:
        areas_mw: latest load by area.
        history: (instant, total MW) of the last window, one an instant.
        since_ns: since when the loss has been at least the limit, by level.
        told: levels at which the present loss was found certain.
    """

    areas_mw: dict[str, float] = field(default_factory=dict)
    history: tuple[tuple[int, float], ...] = ()
    since_ns: dict[str, int] = field(default_factory=dict)
    told: tuple[Level, ...] = ()


def total_mw(watch: LoadWatch) -> float | None:
    """Return the load now, MW, or None before anybody reported."""
    return watch.history[-1][1] if watch.history else None


def before_mw(watch: LoadWatch) -> float:
    """Return the load before, MW: the greatest total of the window; 0 before anybody reported."""
    return max((mw for _, mw in watch.history), default=0.0)


def lost_mw(watch: LoadWatch) -> float:
    """Return the load lost within the window, MW, >= 0."""
    return max(mw for _, mw in watch.history) - watch.history[-1][1] if watch.history else 0.0


def loss_text(watch: LoadWatch, rules: MarketRules) -> str:
    """Put the loss into words."""
    before = before_mw(watch)
    return f"load lost within {rules.topology_hard.window_min} min: {lost_mw(watch):.0f} MW of {before:.0f} MW"


def with_load(watch: LoadWatch, fact: LoadReported, rules: MarketRules) -> LoadWatch:
    """Take in the load of an area; what was certain before is to be taken out first, see :func:`matured`."""
    now_ns = fact.ts_event_ns
    areas_mw = {**watch.areas_mw, fact.area: fact.load_mw}
    from_ns = now_ns - rules.topology_hard.window_min * NS_PER_MIN
    kept = tuple(entry for entry in watch.history if from_ns <= entry[0] < now_ns)
    watch = replace(watch, areas_mw=areas_mw, history=(*kept, (now_ns, sum(areas_mw.values()))))
    reached = [level for level in Level if _reached(watch, level, rules)]
    return replace(
        watch,
        since_ns={level: watch.since_ns.get(level, now_ns) for level in reached},
        told=tuple(level for level in watch.told if level in reached),
    )


def matured(watch: LoadWatch, until_ns: int, rules: MarketRules) -> tuple[LoadWatch, tuple[Certain, ...]]:
    """Return what has become certain by ``until_ns``, once."""
    found = [
        _certain(watch, level, met_ns, rules)
        for level in Level
        if level in watch.since_ns and level not in watch.told and (met_ns := _met_ns(watch, level, rules)) <= until_ns
    ]
    if not found:
        return watch, ()
    return replace(watch, told=(*watch.told, *(each.level for each in found))), tuple(found)


def next_ns(watch: LoadWatch, rules: MarketRules) -> list[int]:
    """Return the instants at which :func:`matured` finds something."""
    return [_met_ns(watch, level, rules) for level in Level if level in watch.since_ns and level not in watch.told]


def _met_ns(watch: LoadWatch, level: Level, rules: MarketRules) -> int:
    return watch.since_ns[level] + rules.breaker_debounce_s * NS_PER_S


def _reached(watch: LoadWatch, level: Level, rules: MarketRules) -> bool:
    before, lost = before_mw(watch), lost_mw(watch)
    return lost > 0 and 100.0 * lost >= load_limit_pct(level, before, rules) * before


def _certain(watch: LoadWatch, level: Level, met_ns: int, rules: MarketRules) -> Certain:
    before, lost = before_mw(watch), lost_mw(watch)
    limit_pct = load_limit_pct(level, before, rules)
    since = clock_text(watch.since_ns[level], rules.zone)
    share = f"{100.0 * lost / before:.1f} % since {since}, limit {limit_pct:g} %"
    return Certain(
        kind=Kind.LOAD,
        level=level,
        met_at_ns=met_ns,
        text=(f"{loss_text(watch, rules)} ({share})",),
        subject=f"{lost:.0f} MW of {before:.0f} MW of load",
        over_mw=before * (1.0 - limit_pct / 100.0),
    )
