"""A topology change in words: what is put on record, and what a notice names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from detectors import loadlost, losses
from detectors.evidence import BASIS, Certain, Kind, Level, Standing
from detectors.findings import ConditionGone, ConditionMet, Noted
from detectors.loadlost import LoadWatch
from detectors.losses import Loss
from market.facts import Segment
from market.rules import MarketRules
from market.units import clock_text

__all__ = ["condition", "gone", "planned_note"]

_ARTICLE: Final = "Art. 23(2)"


def condition(
    found: Certain, lost: Sequence[str], doubted: Sequence[str], load: LoadWatch, rules: MarketRules, *, auto_allowed: bool
) -> tuple[ConditionMet, ConditionMet]:
    """Return a condition for the real-time market, and the same as a proposal for the day-ahead market.

    Args:
        found: the evidence.
        lost: elements lost about the same time, for the notice.
        doubted: elements whose open position the state estimate contradicts; they were not counted.
        load: what is known of the load.
        auto_allowed: whether hard evidence may trip by itself now.
    """
    text = found.text
    if doubted:
        text += (f"not counted, as the state estimate contradicts their position: {', '.join(doubted)}",)
    details = {"elements": losses.named(lost) or found.subject, "evidence": str(found.kind)}
    if loadlost.total_mw(load) is not None:
        if found.kind is not Kind.LOAD:
            text += (loadlost.loss_text(load, rules),)
        details |= {"load_lost_mw": f"{loadlost.lost_mw(load):.0f}", "load_before_mw": f"{loadlost.before_mw(load):.0f}"}
    real_time = ConditionMet(
        basis=BASIS[found.level],
        segment=Segment.RT,
        met_at_ns=found.met_at_ns,
        article=_ARTICLE,
        evidence=text,
        auto_allowed=auto_allowed and found.level is Level.HARD,
        details=details,
    )
    return real_time, replace(real_time, segment=Segment.DA, auto_allowed=False)


def gone(level: Level, over: Sequence[Standing]) -> tuple[ConditionGone, ConditionGone]:
    """Return the end of all evidence of a level, for both markets."""
    counted = all(each.kind in losses.COUNTED for each in over)
    why = "every element of the finding is closed again" if counted else "what the finding rests on is over"
    real_time = ConditionGone(basis=BASIS[level], segment=Segment.RT, why=why)
    return real_time, replace(real_time, segment=Segment.DA)


def planned_note(loss: Loss, rules: MarketRules) -> Noted:
    """Return the note that an element opened under a permit."""
    what = f"{loss.element}: OPEN since {clock_text(loss.opened_ns, rules.zone)}, under a permit; not counted"
    return Noted(what="PLANNED_OUTAGE", article="policy 1.5", evidence=(what,))
