"""Anomaly cases: one object for everything that was found, ordered and done about one anomaly (Art. 4 to 10).

Every anomaly has a case: an outage from its first interval without a result, a trip condition from its proposal, a trading session's
situation from its detection. What is found later of the same anomaly is entered in its case and opens no other; so does what staff
record of it, and the discovery is the earliest of both (Art. 11). A case becomes major when the breaker trips; then Art. 4 asks for an
analysis and for rectification, and it stays open, also over the recovery, until both are done and no duty is open. A minor one closes
by itself when the outage ends (policy).

The machine makes bodies of decisions out of bodies (:func:`followed`), situations (:func:`found`) and orders (:func:`ordered`, in
:mod:`market.caseorders`). Absent on purpose: the timeline of a case, which is the chain of decisions.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from market.caseorders import OpenDuties, ordered, view
from market.caserecord import Case, CaseBook, Closed, Situation, Standing, Step, cause_text, closed, entered, opened, put, running
from market.causes import CAUSE_OF_BASIS, AnomalyClass, Cause
from market.decisions import AnomalyNoted, DecisionBody, FindingNoted, OutageEnded, Phase, Transition
from market.facts import Segment
from market.rules import MarketRules
from market.units import instant_text

__all__ = [
    "BOUNDARY_INCOMPLETE",
    "Case",
    "CaseBook",
    "Closed",
    "OpenDuties",
    "Situation",
    "Standing",
    "followed",
    "found",
    "ordered",
    "review_key",
    "view",
]

_MAJOR: Final = (Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG)
_SAID: Final = (Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG, Phase.RESUMING)
"""Phases that make an entry of their own."""

_SEGMENTS: Final = {Segment.RT: "real-time market", Segment.DA: "day-ahead market"}
BOUNDARY_INCOMPLETE: Final = "BOUNDARY_INCOMPLETE"
"""The finding of a day-ahead result that was cleared from a set that lacks something (Art. 20): it is not by rule (Art. 9(1))."""
_DOUBTED: Final = {"PRICE_UNDER_REVIEW": Segment.RT, BOUNDARY_INCOMPLETE: Segment.DA}
"""Findings that a result may be wrong → the market it is of."""

_RESULT: Final = (AnomalyClass.RESULT, "Art. 9(2)")
_OTHER: Final = (AnomalyClass.CANNOT_CONTINUE, "Art. 8(3)")
_BASES: Final = {
    "OUTAGE": (*_RESULT, "no valid result"),
    "RT_120": (*_RESULT, "no valid result"),
    "DA_EXPECTED": (*_RESULT, "no result expected in time"),
    "DA_MISSED": (*_RESULT, "no valid result"),
    "TOPOLOGY_HARD": (*_OTHER, "major change of the grid's topology"),
    "TOPOLOGY_SOFT": (*_OTHER, "change of the grid's topology"),
    "SWITCHOVER": (*_OTHER, "control moved to the backup dispatch centre"),
}
"""What a transition rests on → class, item and subject of its case."""
_OTHER_CAUSE: Final = (*_OTHER, "other cause")


def review_key(segment: Segment) -> str:
    """Return the key of the case of results that may be wrong, which is another than that of missing ones (Art. 9(1))."""
    return f"{segment}/Art. 9(1)"


def followed(book: CaseBook, body: DecisionBody, now_ns: int, rules: MarketRules) -> Step:
    """Enter what was decided in the case it belongs to, opening one where there is none.

    Args:
        body: any body; those that say nothing of an anomaly change nothing.
        now_ns: event time it was decided at.

    Returns:
        The book, and the bodies that follow from it.
    """
    match body:
        case Transition():
            return _moved(book, body, now_ns, rules)
        case AnomalyNoted():
            return _anomaly(book, body, now_ns, rules)
        case OutageEnded():
            case = running(book, body.segment)
            if case is None or case.major or case.phase is Phase.PROPOSED:
                return book, ()
            why = "the market closed by its calendar" if body.by_calendar else "a valid result ended the outage"
            return _over(book, case, f"{why} at {instant_text(body.outage_end_ns, rules.zone)}", now_ns)
        case FindingNoted(finding=finding) if finding in _DOUBTED:
            return _under_review(book, body, now_ns, rules)
        case FindingNoted() if body.article.startswith("Art. 23"):
            case = running(book, Segment.RT) or running(book, Segment.DA)
            return (book, ()) if case is None else _linked(book, case, _told(body.finding, body.evidence))
        case _:
            return book, ()


def found(book: CaseBook, situation: Situation, now_ns: int, rules: MarketRules) -> Step:
    """Record what a detector saw of a trading session (:mod:`detectors.situations`).

    Returns:
        The book, and the bodies: always a finding, then what becomes of its case.
    """
    noted = FindingNoted(finding=situation.finding, article=situation.item, evidence=situation.evidence)
    key = f"{situation.anomaly}/{situation.subject.casefold()}"
    text = _told(situation.finding, situation.evidence)
    case = running(book, key)
    if case is not None and situation.standing is Standing.OVER:
        book, bodies = _over(book, case, text, now_ns)
        return book, (noted, *bodies)
    if case is not None:
        watched = case.watched or situation.standing is Standing.FOUND
        book, bodies = _linked(book, replace(case, watched=watched), text)
        return book, (noted, *bodies)
    if situation.standing is not Standing.FOUND:
        return book, (noted,)
    case = Case(
        case="",
        key=key,
        segment=None,
        anomaly=situation.anomaly,
        item=situation.item,
        subject=situation.subject,
        discovered_ns=situation.discovered_ns,
        cause=Cause.TECHNICAL,
        presumed=True,
    )
    book, case, said = opened(book, case, now_ns, rules)
    book, _, cause = entered(book, case, "CAUSE", cause_text(case))
    return book, (noted, said, cause)


def _told(name: str, evidence: tuple[str, ...]) -> str:
    return f"{name}: {'; '.join(evidence)}" if evidence else name


def _linked(book: CaseBook, case: Case, text: str) -> Step:
    book, _, said = entered(book, case, "LINKED", text)
    return book, (said,)


def _over(book: CaseBook, case: Case, why: str, now_ns: int) -> Step:
    """The anomaly is over; a minor one of a segment that nobody works on closes by itself."""
    alone = case.segment is not None and not (case.major or case.by_person or case.to_rectify)
    cause = f"; minor, so it closes by itself (policy); cause {cause_text(case)}" if alone else ""
    book, case, said = entered(book, replace(case, over=True), "STATUS", f"over: {why}{cause}")
    if not alone:
        return book, (said,)
    book, end = closed(book, case, now_ns)
    return book, (said, end)


def _of_segment(segment: Segment, basis: str, operating_day: str, now_ns: int) -> Case:
    """Return a new case of a segment, without its number."""
    anomaly, item, what = _BASES.get(basis, _OTHER_CAUSE)
    day = f" of {operating_day}" if operating_day else ""
    return Case(
        case="",
        key=segment,
        segment=segment,
        anomaly=anomaly,
        item=item,
        subject=f"{_SEGMENTS[segment]}{day}: {what}",
        discovered_ns=now_ns,
        cause=CAUSE_OF_BASIS.get(basis, Cause.TECHNICAL if anomaly is AnomalyClass.RESULT else ""),
        presumed=True,
    )


def _anomaly(book: CaseBook, body: AnomalyNoted, now_ns: int, rules: MarketRules) -> Step:
    """One interval without a result: of the running case, or the first of a new one."""
    bodies: tuple[DecisionBody, ...] = ()
    case = running(book, body.segment)
    if case is None:
        book, case, said = opened(book, _of_segment(body.segment, "OUTAGE", "", now_ns), now_ns, rules)
        bodies = (said,)
    # The anomaly stands in the record itself; an entry for each interval would say everything twice.
    return put(book, replace(case, watched=True)), bodies


def _under_review(book: CaseBook, body: FindingNoted, now_ns: int, rules: MarketRules) -> Step:
    """A result that may be wrong (Art. 9(1)): one case for all of them until a person has said what it was."""
    which = _DOUBTED[body.finding]
    key = review_key(which)
    case = running(book, key)
    if case is not None:
        return _linked(book, case, _told(body.finding, body.evidence))
    case = Case(
        case="",
        key=key,
        segment=which,
        anomaly=AnomalyClass.RESULT,
        item="Art. 9(1)",
        subject=f"{_SEGMENTS[which]}: a result that may be wrong",
        discovered_ns=now_ns,
        watched=False,
    )
    book, _, said = opened(book, case, now_ns, rules)
    return book, (said,)


def _moved(book: CaseBook, body: Transition, now_ns: int, rules: MarketRules) -> Step:
    case = running(book, body.segment)
    if body.after is Phase.NORMAL:
        if case is None or not case.watched:
            return book, ()
        return _over(book, replace(case, phase=Phase.NORMAL), f"{body.before} → NORMAL: {body.basis} ({body.article})", now_ns)
    bodies: list[DecisionBody] = []
    major = body.after in _MAJOR
    why = _told(f"{body.before} → {body.after}: {body.basis} ({body.article})", body.evidence)
    if case is None:
        new = replace(_of_segment(body.segment, body.basis, body.operating_day, now_ns), major=major, phase=body.after)
        book, case, said = opened(book, new, now_ns, rules)
        bodies.append(said)
    else:
        became_major = major and not case.major
        entry = "MAJOR" if became_major else "STATUS" if body.after in _SAID else "LINKED"
        case = replace(case, major=case.major or major, watched=True, phase=body.after)
        book, case, noted = entered(book, case, entry, why)
        bodies.append(noted)
    book, caused = _caused(book, case, body)
    return book, (*bodies, *caused)


def _caused(book: CaseBook, case: Case, body: Transition) -> Step:
    """Enter what a trip, or the proposal of one, is said to be caused by; a machine's word takes no person's back.

    The cause of a trip is said in any case, that of a proposal where it is news.
    """
    if body.after not in (Phase.PROPOSED, Phase.TRIPPED):
        return book, ()
    trips, presumed = body.after is Phase.TRIPPED, not body.by
    if not body.cause or (presumed and case.cause and not case.presumed):
        return book, ()
    told = replace(case, cause=body.cause, presumed=presumed, reference=body.reference)
    if told == case and not trips:
        return book, ()
    book, _, said = entered(book, told, "CAUSE", cause_text(told), body.by)
    return book, (said,)
