"""Has control of the grid moved from the main to the backup dispatch centre, unplanned (主备调切换, Art. 23(2))?

Authority is what exactly one site claims. A change to BACKUP that stands for the hold time without a planned exercise is a
condition; its instant is the latest change of the claims, and it is reported when nothing has changed for the hold time: for the
real-time market, and for the day-ahead market as a proposal. Two
claimants are no authority: that is reported, and nothing acts on it. The switch back to MAIN is recorded and recovers nothing.

Until it is told otherwise, MAIN is presumed to be in charge. Who is in charge when the service first hears of it did not change
hands while anybody watched, so that is no switchover.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from market.facts import ControlReported, ExercisePlanned, Fact, Segment, Ticked
from market.rules import MarketRules
from market.units import NS_PER_H, NS_PER_S, clock_text, instant_text

__all__ = ["ControlWatch", "next_deadline_ns", "observe"]

_ARTICLE: Final = "Art. 23(2)"
_EXERCISE_KEPT_NS: Final = 24 * NS_PER_H


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlWatch:
    """What the detector remembers.

    Attributes:
        claimants: sites that claim authority, sorted.
        authority: the site that last held it alone.
        since_ns: since when the claims are what they are: the latest source time of a change of them.
        judged: whether the present authority was judged.
        presumed: whether MAIN's authority is a presumption, not yet heard of.
        exercises: (from, to) of planned exercises.
    """

    claimants: tuple[str, ...] = ("MAIN",)
    authority: str = "MAIN"
    since_ns: int = 0
    judged: bool = True
    presumed: bool = True
    exercises: tuple[tuple[int, int], ...] = ()


def observe(watch: ControlWatch, fact: Fact, rules: MarketRules, *, held: bool = False) -> tuple[ControlWatch, tuple[Finding, ...]]:
    """Take in one fact; see :func:`detectors.failed_clearing.observe` for the contract."""
    match fact:
        case ControlReported():
            return _claimed(watch, fact, rules)
        case ExercisePlanned(from_ns=from_ns, to_ns=to_ns) if (from_ns, to_ns) not in watch.exercises:
            # Those long past can excuse no change that is still to be judged.
            kept = tuple(exercise for exercise in watch.exercises if exercise[1] > fact.ts_event_ns - _EXERCISE_KEPT_NS)
            return replace(watch, exercises=(*kept, (from_ns, to_ns))), ()
        case Ticked(ts_event_ns=now_ns) if _stands(watch) and not held:
            if now_ns < watch.since_ns + rules.switchover_hold_s * NS_PER_S:
                return watch, ()
            return replace(watch, judged=True), _judged(watch, rules)
        case _:
            return watch, ()


def next_deadline_ns(watch: ControlWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None."""
    hold_until_ns = watch.since_ns + rules.switchover_hold_s * NS_PER_S
    return hold_until_ns if _stands(watch) and hold_until_ns > now_ns else None


def _stands(watch: ControlWatch) -> bool:
    """Whether there is a new authority, claimed by it alone, that is to be judged."""
    return not watch.judged and watch.claimants == (watch.authority,)


def _claimed(watch: ControlWatch, fact: ControlReported, rules: MarketRules) -> tuple[ControlWatch, tuple[Finding, ...]]:
    claimants = set(watch.claimants)
    if fact.initial and fact.asserted and watch.presumed:
        # Somebody is heard to be in charge for the first time: a presumption is no second claimant.
        claimants.discard("MAIN")
    (claimants.add if fact.asserted else claimants.discard)(fact.site)
    presumed = watch.presumed and fact.initial and not fact.asserted
    if tuple(sorted(claimants)) == watch.claimants:
        return replace(watch, presumed=presumed), ()
    # A source time older than one known already cannot make the present claims older than they are.
    since_ns = max(watch.since_ns, fact.ts_source_ns)
    known_before = not (watch.presumed and fact.initial)
    watch = replace(watch, claimants=tuple(sorted(claimants)), since_ns=since_ns, presumed=presumed)
    found: list[Finding] = []
    if len(claimants) > 1:
        sites = " and ".join(watch.claimants)
        found.append(Noted(what="CONTROL_CONFLICT", article=_ARTICLE, evidence=(f"{sites} both claim control; nothing acts on it",)))
    elif len(claimants) == 1 and watch.claimants[0] != watch.authority:
        site = watch.claimants[0]
        watch = replace(watch, authority=site, judged=site == "MAIN" or not known_before)
        if site == "MAIN":
            why = "control is back at the main centre"
            found += (ConditionGone(basis=Basis.SWITCHOVER, segment=segment, why=why) for segment in (Segment.RT, Segment.DA))
            back = f"control back at MAIN since {clock_text(fact.ts_source_ns, rules.zone)}; the market stays as it is"
            found.append(Noted(what="SWITCHED_BACK", article=_ARTICLE, evidence=(back,)))
    return watch, tuple(found)


def _judged(watch: ControlWatch, rules: MarketRules) -> tuple[Finding, ...]:
    at = instant_text(watch.since_ns, rules.zone)
    if any(from_ns <= watch.since_ns <= to_ns for from_ns, to_ns in watch.exercises):
        return (Noted(what="EXERCISE", article=_ARTICLE, evidence=(f"planned switchover to {watch.authority} at {at}",)),)
    real_time = ConditionMet(
        basis=Basis.SWITCHOVER,
        segment=Segment.RT,
        met_at_ns=watch.since_ns,
        article=_ARTICLE,
        evidence=(f"control moved to {watch.authority} at {at}, unplanned, and stood for {rules.switchover_hold_s} s",),
    )
    return real_time, replace(real_time, segment=Segment.DA, auto_allowed=False)
