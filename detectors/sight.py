"""How much of the grid is seen, and who has fallen silent?

Below the limit of observed top-voltage elements nothing trips by itself. Elements whose position has not been seen for one grace are
told as one: a station that falls silent, or twelve that do, are one note, and another one only tells who fell silent since.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from detectors.elements import ElementState
from detectors.findings import Noted
from market.rules import MarketRules
from market.topology import Topology
from market.units import clock_text

__all__ = ["SightWatch", "judged", "next_ns"]

_ARTICLE: Final = "policy 1.5"
_NAMED_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class SightWatch:
    """What is remembered.

    Attributes:
        low: whether too few top-voltage elements are observed for automatic action.
        unseen_ns: elements that are not observed and not told yet → since when.
        told: those that were told, sorted.
    """

    low: bool = False
    unseen_ns: dict[str, int] = field(default_factory=dict)
    told: tuple[str, ...] = ()


def judged(
    watch: SightWatch, elements: Mapping[str, ElementState], n_backbone: int, now_ns: int, rules: MarketRules, grid: Topology
) -> tuple[SightWatch, tuple[Noted, ...]]:
    """Look at what is seen, and say what is new.

    Args:
        elements: everything that deviates.
        n_backbone: how many top-voltage elements the grid has.
    """
    unseen = sorted(name for name, state in elements.items() if state.unseen)
    if not unseen and not watch.low and not watch.unseen_ns and not watch.told:
        return watch, ()
    watch, low = _observability(watch, [name for name in unseen if grid.elements[name].kv >= rules.top_voltage_kv], n_backbone, rules)
    watch, silent = _silence(watch, unseen, now_ns, rules, grid)
    return watch, (*low, *silent)


def next_ns(watch: SightWatch, rules: MarketRules) -> list[int]:
    """Return the instants at which :func:`judged` has something to say."""
    return [min(watch.unseen_ns.values()) + rules.grace_ns] if watch.unseen_ns else []


def _observability(watch: SightWatch, unseen: list[str], n_backbone: int, rules: MarketRules) -> tuple[SightWatch, tuple[Noted, ...]]:
    if not n_backbone:
        return watch, ()
    seen_pct = 100.0 * (n_backbone - len(unseen)) / n_backbone
    low = seen_pct < rules.observability_pct
    if low and not watch.low:
        what = f"{len(unseen)} of {n_backbone} top-voltage elements unobserved ({seen_pct:.1f} % seen): {', '.join(unseen[:_NAMED_MAX])}"
        return replace(watch, low=low), (Noted(what="OBSERVABILITY_LOW", article=_ARTICLE, evidence=(what,)),)
    return replace(watch, low=low), ()


def _silence(watch: SightWatch, unseen: list[str], now_ns: int, rules: MarketRules, grid: Topology) -> tuple[SightWatch, tuple[Noted, ...]]:
    told = tuple(name for name in watch.told if name in unseen)
    waiting = {name: watch.unseen_ns.get(name, now_ns) for name in unseen if name not in told}
    over: tuple[Noted, ...] = ()
    if watch.told and not told:
        over = (Noted(what="DATA_QUALITY_OVER", article=_ARTICLE, evidence=("every position that was told to be unseen is seen again",)),)
    if not waiting or now_ns < min(waiting.values()) + rules.grace_ns:
        return replace(watch, unseen_ns=waiting, told=told), over
    since = clock_text(min(waiting.values()), rules.zone)
    stations = sorted({station for name in waiting for station in grid.stations_of(name)})
    where = f" at {len(stations)} stations ({_named(stations)})" if stations else ""
    what = f"positions of {len(waiting)} elements{where} not seen since {since}, held as last told: {_named(sorted(waiting))}"
    note = Noted(what="DATA_QUALITY", article=_ARTICLE, evidence=(what,))
    return replace(watch, unseen_ns={}, told=tuple(sorted({*told, *waiting}))), (*over, note)


def _named(names: list[str]) -> str:
    return ", ".join(names[:_NAMED_MAX]) + " …" * (len(names) > _NAMED_MAX)
