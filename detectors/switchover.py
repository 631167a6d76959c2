"""Has control of the grid moved from the main to the backup dispatch centre, unplanned (主备调切换, Art. 23(2))?

Authority is what exactly one site claims. A change to BACKUP that stands for the hold time without a planned exercise is a
condition; its instant is the change, and it is reported when the hold has passed. Two claimants are no authority: that is reported,
and nothing acts on it. The switch back to MAIN is recorded and recovers nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from detectors.findings import Basis, ConditionGone, ConditionMet, Finding, Noted
from market.facts import ControlReported, ExercisePlanned, Fact, Segment, Ticked
from market.rules import MarketRules
from market.units import NS_PER_S, clock_text, instant_text

__all__ = ["ControlWatch", "next_deadline_ns", "observe"]

_ARTICLE = "Art. 23(2)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlWatch:
    """What the detector remembers.

    Attributes:
        claimants: sites that claim authority, sorted.
        authority: the site that last held it alone.
        since_ns: since when.
        judged: whether the present authority was judged.
        exercises: (from, to) of planned exercises.
    """

    claimants: tuple[str, ...] = ("MAIN",)
    authority: str = "MAIN"
    since_ns: int = 0
    judged: bool = True
    exercises: tuple[tuple[int, int], ...] = ()


def observe(watch: ControlWatch, fact: Fact, rules: MarketRules, *, held: bool = False) -> tuple[ControlWatch, tuple[Finding, ...]]:
    """Take in one fact; see :func:`detectors.failed_clearing.observe` for the contract."""
    match fact:
        case ControlReported():
            return _claimed(watch, fact, rules)
        case ExercisePlanned(from_ns=from_ns, to_ns=to_ns):
            return replace(watch, exercises=(*watch.exercises, (from_ns, to_ns))), ()
        case Ticked(ts_event_ns=now_ns) if not watch.judged and not held and len(watch.claimants) == 1:
            if now_ns < watch.since_ns + rules.switchover_hold_s * NS_PER_S:
                return watch, ()
            return replace(watch, judged=True), (_judged(watch, rules),)
        case _:
            return watch, ()


def next_deadline_ns(watch: ControlWatch, rules: MarketRules) -> int | None:
    """Return the next instant at which a tick could find something, or None."""
    return None if watch.judged else watch.since_ns + rules.switchover_hold_s * NS_PER_S


def _claimed(watch: ControlWatch, fact: ControlReported, rules: MarketRules) -> tuple[ControlWatch, tuple[Finding, ...]]:
    claimants = set(watch.claimants)
    (claimants.add if fact.asserted else claimants.discard)(fact.site)
    if tuple(sorted(claimants)) == watch.claimants:
        return watch, ()
    watch = replace(watch, claimants=tuple(sorted(claimants)))
    found: list[Finding] = []
    if len(claimants) > 1:
        sites = " and ".join(watch.claimants)
        found.append(Noted(what="CONTROL_CONFLICT", article=_ARTICLE, evidence=(f"{sites} both claim control; nothing acts on it",)))
    elif len(claimants) == 1 and watch.claimants[0] != watch.authority:
        site = watch.claimants[0]
        watch = replace(watch, authority=site, since_ns=fact.ts_source_ns, judged=False)
        if site == "MAIN":
            watch = replace(watch, judged=True)
            found.append(ConditionGone(basis=Basis.SWITCHOVER, segment=Segment.RT, why="control is back at the main centre"))
            back = f"control back at MAIN since {clock_text(fact.ts_source_ns, rules.zone)}; the market stays as it is"
            found.append(Noted(what="SWITCHED_BACK", article=_ARTICLE, evidence=(back,)))
    return watch, tuple(found)


def _judged(watch: ControlWatch, rules: MarketRules) -> Finding:
    at = instant_text(watch.since_ns, rules.zone)
    if any(from_ns <= watch.since_ns <= to_ns for from_ns, to_ns in watch.exercises):
        return Noted(what="EXERCISE", article=_ARTICLE, evidence=(f"planned switchover to {watch.authority} at {at}",))
    return ConditionMet(
        basis=Basis.SWITCHOVER,
        segment=Segment.RT,
        met_at_ns=watch.since_ns,
        article=_ARTICLE,
        evidence=(f"control moved to {watch.authority} at {at}, unplanned, and stood for {rules.switchover_hold_s} s",),
    )
