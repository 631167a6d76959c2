"""Was an infeed lost, and has the limit of an interface fallen since the last clearing used it?

An infeed (a DC link, a tie to a neighbour) is lost when less than one per cent of what it fed in within the last ten minutes is left,
and that has stood for the debounce time; how much that is, is told as a share of the load before. A value whose quality is not GOOD
says nothing. The limit of an interface is compared with the one the last valid real-time clearing used, or with the first one told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from detectors.evidence import Certain, Kind, Level
from market.facts import InfeedReported, InterfaceLimitReported, PointQuality
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, clock_text

__all__ = ["InfeedState", "Limit", "fallen", "lost", "next_ns", "used", "with_infeed", "with_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InfeedState:
    """What is remembered of an infeed.

    Attributes:
        history: (source time, MW) of the last window, and one before.
        lost_since_ns: since when it has fed in next to nothing; None while it does, or did not before.
        before_mw: what it fed in before that.
        told: whether the present loss was judged.
    """

    history: tuple[tuple[int, float], ...]
    lost_since_ns: int | None = None
    before_mw: float = 0.0
    told: bool = False

    @property
    def mw(self) -> float:
        """What it feeds in, MW, as last told."""
        return self.history[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Limit of an interface as last told, MW, and as the last clearing used it; ``told`` whether its fall was reported."""

    mw: float
    used_mw: float
    told: bool = False


def with_infeed(state: InfeedState | None, fact: InfeedReported, rules: MarketRules) -> InfeedState | None:
    """Take in what an infeed feeds in; the same object where that says nothing new."""
    if fact.quality is not PointQuality.GOOD:
        return state
    at_ns = fact.ts_source_ns
    if state is None:
        return InfeedState(history=((at_ns, fact.mw),))
    if at_ns < state.history[-1][0]:
        return state
    history = (*state.history, (at_ns, fact.mw))
    from_ns = at_ns - rules.topology_hard.window_min * NS_PER_MIN
    while history[1][0] <= from_ns:  # the newest is inside the window
        history = history[1:]
    before_mw = state.before_mw if state.lost_since_ns is not None else max(mw for _, mw in history)
    if 100.0 * fact.mw >= rules.dead_flow_pct * before_mw:
        return InfeedState(history=history)
    since_ns = at_ns if state.lost_since_ns is None else state.lost_since_ns
    return replace(state, history=history, lost_since_ns=since_ns, before_mw=before_mw)


def next_ns(state: InfeedState, rules: MarketRules) -> int | None:
    """Return when the present loss is certain, or None where nothing is to be judged."""
    if state.lost_since_ns is None or state.told:
        return None
    return state.lost_since_ns + rules.breaker_debounce_s * NS_PER_S


def lost(
    name: str, state: InfeedState, until_ns: int, load_before_mw: float, rules: MarketRules, permitted: Callable[[str, int], bool]
) -> tuple[InfeedState, Certain | None]:
    """Judge the loss of an infeed that is certain by ``until_ns``, once.

    Args:
        load_before_mw: of the whole grid; 0 where nobody reported any, then the share is not known and nothing is found.
        permitted: whether a permit covers the infeed at an instant.
    """
    since_ns, met_ns = state.lost_since_ns, next_ns(state, rules)
    if met_ns is None or met_ns > until_ns:
        return state, None
    assert since_ns is not None, "what is certain began"
    state = replace(state, told=True)
    level = _level(state.before_mw, load_before_mw, rules)
    if level is None or permitted(name, since_ns):
        return state, None
    limit_pct = rules.topology_hard.infeed_pct if level is Level.HARD else rules.topology_soft.infeed_pct
    share = f"{100.0 * state.before_mw / load_before_mw:.1f} % of the load of {load_before_mw:.0f} MW, limit {limit_pct:g} %"
    since = clock_text(since_ns, rules.zone)
    found = Certain(
        kind=Kind.INFEED,
        level=level,
        met_at_ns=met_ns,
        text=(f"infeed {name} lost since {since}: {state.before_mw:.0f} MW before, {state.mw:.0f} MW now ({share})",),
        subject=name,
        unplanned=((name, since_ns),),
    )
    return state, found


def _level(lost_mw: float, load_before_mw: float, rules: MarketRules) -> Level | None:
    if load_before_mw <= 0:
        return None
    if 100.0 * lost_mw >= rules.topology_hard.infeed_pct * load_before_mw:
        return Level.HARD
    return Level.SOFT if 100.0 * lost_mw >= rules.topology_soft.infeed_pct * load_before_mw else None


def with_limit(limit: Limit | None, fact: InterfaceLimitReported) -> Limit:
    """Take in the limit of an interface."""
    return Limit(mw=fact.limit_mw, used_mw=fact.limit_mw) if limit is None else replace(limit, mw=fact.limit_mw)


def used(limit: Limit) -> Limit:
    """Return the limit after a clearing has used it."""
    return limit if limit.used_mw == limit.mw else replace(limit, used_mw=limit.mw)


def fallen(name: str, limit: Limit, now_ns: int, rules: MarketRules) -> tuple[Limit, Certain | None]:
    """Judge the limit of an interface against the one the last clearing used; a fall is found once."""
    fall_pct = rules.topology_soft.interface_fall_pct
    if limit.used_mw <= 0 or 100.0 * (limit.used_mw - limit.mw) < fall_pct * limit.used_mw:
        return replace(limit, told=False), None
    if limit.told:
        return limit, None
    share = f"{100.0 * (limit.used_mw - limit.mw) / limit.used_mw:.1f} %, limit {fall_pct:g} %"
    found = Certain(
        kind=Kind.INTERFACE,
        level=Level.SOFT,
        met_at_ns=now_ns,
        text=(f"limit of interface {name} fell from {limit.used_mw:.0f} MW, as the last clearing used it, to {limit.mw:.0f} MW ({share})",),
        subject=name,
    )
    return replace(limit, told=True), found
