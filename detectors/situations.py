"""Can participants take part in a trading session, and does it end when it should (Art. 7(5), 8(2), 10)?

Watched are the sessions that were announced, each from ``login_window_min`` before it opens until an hour after it closed:

* **Logins** (Art. 7(5)). A participant cannot log in whose latest attempt failed for a reason of the system; a wrong password is none,
  and a later success takes the failure back.
* **Orders** (Art. 8(2)). While the session is open, a participant cannot send whose latest order within the window was rejected or timed
  out; an order that was refused by a rule reached the market.
* **The end** (Art. 10). What is accepted at the end of the window or later, by this service's clock, is quarantined: recorded one by one,
  deleted by nobody. The first of it is the anomaly; when the window closes all of it is told once more.

Shares are of the participants entitled to the session, distinct ones; without that number nothing is found. A share reached exactly
counts. What was found is over when the share falls below the early warning, not at once below the limit, so that a case does not
flicker. Nothing is paused by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from typing import Final

from market.caserecord import Situation, Standing
from market.causes import AnomalyClass
from market.facts import Fact, Ticked
from market.rules import MarketRules
from market.sessionfacts import (
    LoginReported,
    LoginResult,
    OrderReported,
    OrderResult,
    ParticipantsEntitled,
    SessionEvent,
    SessionReported,
)
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, clock_text, instant_text

__all__ = ["Level", "SessionWatch", "SituationWatch", "next_deadline_ns", "observe", "quarantined"]

_NAMED: Final = 10
"""Participants a finding names; the others are counted."""
_LATE_NAMED: Final = 200
"""Late items that are told once more when the window closes; the others are counted."""
_AFTER_CLOSE_NS: Final = NS_PER_H
_NEVER_CLOSED_NS: Final = NS_PER_DAY
_UNPLANNED_NS: Final = 7 * NS_PER_DAY
"""How long a session is remembered after it closed, after it should have, and where nobody says when it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Participants who cannot do something, and what was said of them.

    Attributes:
        failing: participant → instant of the failure that counts, oldest first.
        said: 0 nothing, 1 an early warning, 2 an anomaly.
    """

    failing: dict[str, int] = field(default_factory=dict)
    said: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionWatch:
    """One trading session.

    Attributes:
        opens_ns, closes_ns: the window as planned, half-open.
        opened: whether it was told to have opened; closed_ns: when it was told to have closed.
        entitled: participants who may take part; 0 before it is known.
        late: what was accepted after the end, as text; late_count: how much that is, also beyond what is kept as text.
        told_late: how much of it was told when the window closed; stuck: whether it was said that the window stays open.
        forget_ns: from when nothing of it can be found any more.
    """

    session: str
    forget_ns: int
    product: str = ""
    opens_ns: int | None = None
    closes_ns: int | None = None
    opened: bool = False
    closed_ns: int | None = None
    entitled: int = 0
    logins: Level = field(default_factory=Level)
    orders: Level = field(default_factory=Level)
    late: tuple[str, ...] = ()
    late_count: int = 0
    told_late: int = 0
    stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationWatch:
    """All sessions that are watched, in the order they were announced."""

    sessions: tuple[SessionWatch, ...] = ()


def quarantined(watch: SituationWatch, session: str) -> tuple[str, ...]:
    """Return what was accepted after a session's end, as text; empty for a session that is not watched."""
    return next((seen.late for seen in watch.sessions if seen.session == session), ())


def observe(watch: SituationWatch, fact: Fact, rules: MarketRules) -> tuple[SituationWatch, tuple[Situation, ...]]:
    """Take in one fact.

    Args:
        watch: what is known so far.
        fact: any fact; those that say nothing of a session change nothing, and logins and orders of an unknown session neither.
        rules: the rule set in force.

    Returns:
        What is known now, and what was found, in order (:func:`market.casebook.found`).
    """
    match fact:
        case SessionReported():
            return _session(watch, fact, rules)
        case ParticipantsEntitled():
            now_ns = fact.ts_event_ns
            known = _known(watch, fact.session) or _new(fact.session, now_ns)
            entitled = replace(known, entitled=fact.participants, orders=_in_window(known.orders, now_ns, rules))
            return _judged(_put(watch, entitled), entitled, now_ns, rules)
        case LoginReported() if (seen := _known(watch, fact.session)) is not None:
            return _login(watch, seen, fact, rules)
        case OrderReported() if (seen := _known(watch, fact.session)) is not None:
            return _order(watch, seen, fact, rules)
        case Ticked():
            return _ticked(watch, fact.ts_event_ns, rules)
        case _:
            return watch, ()


def next_deadline_ns(watch: SituationWatch, now_ns: int, rules: MarketRules) -> int | None:
    """Return the next instant after ``now_ns`` at which a tick could find something, or None."""
    candidates: list[int] = []
    for seen in watch.sessions:
        if (stuck_ns := _stuck_ns(seen, rules)) is not None:
            candidates.append(stuck_ns)
        if seen.orders.said and (falls_ns := _falls_ns(seen, rules)) is not None:
            candidates.append(falls_ns)
        if _unfinished(seen):
            candidates.append(seen.forget_ns)
    return min((at for at in candidates if at > now_ns), default=None)


def _falls_ns(seen: SessionWatch, rules: MarketRules) -> int | None:
    """Return when so many failed orders have left the window that their share falls below the early warning, without another one."""
    enough = max(1, ceil(rules.situations.warn_pct * seen.entitled / 100))
    leaving = len(seen.orders.failing) - enough
    if leaving < 0:
        return None
    at_ns = next(islice(seen.orders.failing.values(), leaving, None))
    return at_ns + rules.situations.window_min * NS_PER_MIN + 1


def _known(watch: SituationWatch, session: str) -> SessionWatch | None:
    return next((seen for seen in watch.sessions if seen.session == session), None)


def _new(session: str, now_ns: int) -> SessionWatch:
    return SessionWatch(session=session, forget_ns=now_ns + _UNPLANNED_NS)


def _put(watch: SituationWatch, seen: SessionWatch) -> SituationWatch:
    if _known(watch, seen.session) is None:
        return replace(watch, sessions=(*watch.sessions, seen))
    return replace(watch, sessions=tuple(seen if kept.session == seen.session else kept for kept in watch.sessions))


def _session(watch: SituationWatch, fact: SessionReported, rules: MarketRules) -> tuple[SituationWatch, tuple[Situation, ...]]:
    now_ns = fact.ts_event_ns
    seen = _known(watch, fact.session) or _new(fact.session, now_ns)
    seen = replace(seen, product=fact.product or seen.product)
    match fact.event:
        case SessionEvent.PLANNED:
            seen = _planned(seen, fact, rules)
        case SessionEvent.OPENED:
            seen = replace(seen, opened=True, closed_ns=None, forget_ns=_forget_ns(seen, now_ns))
        case SessionEvent.CLOSED if seen.closed_ns is None:
            seen = replace(seen, closed_ns=now_ns, forget_ns=now_ns + _AFTER_CLOSE_NS)
            seen, found = _finished(seen, f"the window closed at {instant_text(now_ns, rules.zone)}", now_ns)
            return _put(watch, seen), found
        case _:
            # A window that was told to close is open until it is closed; that it was told changes nothing of when it ends.
            pass
    return _put(watch, seen), ()


def _planned(seen: SessionWatch, fact: SessionReported, rules: MarketRules) -> SessionWatch:
    """Take in a plan, also a new one; failures before the new login window no longer count."""
    opens_ns = seen.opens_ns if fact.opens_ns is None else fact.opens_ns
    closes_ns = seen.closes_ns if fact.closes_ns is None else fact.closes_ns
    seen = replace(seen, opens_ns=opens_ns, closes_ns=closes_ns, stuck=False)
    seen = replace(seen, forget_ns=_forget_ns(seen, fact.ts_event_ns))
    kept = {who: at_ns for who, at_ns in seen.logins.failing.items() if _login_counts(seen, at_ns, rules)}
    return replace(seen, logins=replace(seen.logins, failing=kept))


def _forget_ns(seen: SessionWatch, now_ns: int) -> int:
    return now_ns + _UNPLANNED_NS if seen.closes_ns is None else seen.closes_ns + _NEVER_CLOSED_NS


def _login_counts(seen: SessionWatch, at_ns: int, rules: MarketRules) -> bool:
    """Whether a login at an instant is one for the session: so long before it opens, or any where nobody says when it does."""
    return seen.opens_ns is None or at_ns >= seen.opens_ns - rules.situations.login_window_min * NS_PER_MIN


def _ended(seen: SessionWatch, now_ns: int) -> bool:
    """Whether the window has ended, by the plan or in fact."""
    return seen.closed_ns is not None or (seen.closes_ns is not None and now_ns >= seen.closes_ns)


def _login(
    watch: SituationWatch, seen: SessionWatch, fact: LoginReported, rules: MarketRules
) -> tuple[SituationWatch, tuple[Situation, ...]]:
    now_ns = fact.ts_event_ns
    if _ended(seen, now_ns) or not _login_counts(seen, now_ns, rules) or fact.result is LoginResult.BAD_CREDENTIALS:
        return watch, ()
    level = _attempted(seen.logins, fact.participant, now_ns, failed=fact.result is LoginResult.SERVER_ERROR)
    if level is seen.logins:
        return watch, ()
    seen = replace(seen, logins=level)
    return _judged(_put(watch, seen), seen, now_ns, rules)


def _attempted(level: Level, participant: str, now_ns: int, *, failed: bool) -> Level:
    """Enter how a participant's latest attempt ended; failures stand in the order of their instants."""
    if not failed and participant not in level.failing:
        return level
    failing = dict(level.failing)
    failing.pop(participant, None)
    if failed:
        failing[participant] = now_ns
    return replace(level, failing=failing)


def _order(
    watch: SituationWatch, seen: SessionWatch, fact: OrderReported, rules: MarketRules
) -> tuple[SituationWatch, tuple[Situation, ...]]:
    now_ns = fact.ts_event_ns
    if _ended(seen, now_ns):
        return _late(watch, seen, fact, rules) if fact.result is OrderResult.ACCEPTED else (watch, ())
    if not (seen.opened or (seen.opens_ns is not None and now_ns >= seen.opens_ns)):
        return watch, ()
    failed = fact.result in (OrderResult.REJECTED, OrderResult.TIMED_OUT)
    seen = replace(seen, orders=_attempted(_in_window(seen.orders, now_ns, rules), fact.participant, now_ns, failed=failed))
    return _judged(_put(watch, seen), seen, now_ns, rules)


def _in_window(level: Level, now_ns: int, rules: MarketRules) -> Level:
    """Leave out failures older than the window; one that is exactly as old counts."""
    from_ns = now_ns - rules.situations.window_min * NS_PER_MIN
    return replace(level, failing={who: at_ns for who, at_ns in level.failing.items() if at_ns >= from_ns})


def _ticked(watch: SituationWatch, now_ns: int, rules: MarketRules) -> tuple[SituationWatch, tuple[Situation, ...]]:
    found: list[Situation] = []
    for seen in watch.sessions:
        if now_ns >= seen.forget_ns:
            _, more = _finished(seen, "the session is over and watched no longer", now_ns)
            watch = replace(watch, sessions=tuple(kept for kept in watch.sessions if kept.session != seen.session))
            found += more
            continue
        if seen.orders.said:
            current = replace(seen, orders=_in_window(seen.orders, now_ns, rules))
            watch, more = _judged(_put(watch, current), current, now_ns, rules)
            found += more
        stuck_ns = _stuck_ns(seen, rules)
        if stuck_ns is not None and now_ns >= stuck_ns:
            judged = _known(watch, seen.session)
            assert judged is not None, "it is watched"
            watch = _put(watch, replace(judged, stuck=True))
            what = (f"the window should have closed at {instant_text(stuck_ns - rules.grace_ns, rules.zone)} and is open",)
            found.append(_situation(seen, "WINDOW_NOT_CLOSED", Standing.WARNING, _NOT_ENDED, now_ns, what))
    return watch, tuple(found)


def _stuck_ns(seen: SessionWatch, rules: MarketRules) -> int | None:
    """Return from when it is to be said of a window that it stays open beyond its end; None where it is not, or was."""
    if seen.closes_ns is None or seen.closed_ns is not None or seen.stuck:
        return None
    return seen.closes_ns + rules.grace_ns


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is counted: its finding, class and item, and the words for it."""

    finding: str
    what: tuple[AnomalyClass, str]
    verb: str


_LOGINS: Final = _Kind("LOGINS_FAIL", (AnomalyClass.CANNOT_START, "Art. 7(5)"), "cannot log in")
_ORDERS: Final = _Kind("ORDERS_FAIL", (AnomalyClass.CANNOT_CONTINUE, "Art. 8(2)"), "cannot send")
_NOT_ENDED: Final = (AnomalyClass.NOT_ENDED, "Art. 10")


def _situation(
    seen: SessionWatch, finding: str, standing: Standing, what: tuple[AnomalyClass, str], now_ns: int, evidence: tuple[str, ...]
) -> Situation:
    anomaly, item = what
    return Situation(
        finding=finding,
        standing=standing,
        anomaly=anomaly,
        item=item,
        subject=f"session {seen.session}",
        discovered_ns=now_ns,
        evidence=(*evidence, f"product: {seen.product}") if seen.product else evidence,
    )


def _judged(watch: SituationWatch, seen: SessionWatch, now_ns: int, rules: MarketRules) -> tuple[SituationWatch, tuple[Situation, ...]]:
    """Compare both shares with what was said of them."""
    found: list[Situation] = []
    logins = _compared(seen, seen.logins, _LOGINS, now_ns, rules, found)
    orders = _compared(seen, seen.orders, _ORDERS, now_ns, rules, found)
    return _put(watch, replace(seen, logins=logins, orders=orders)), tuple(found)


def _compared(seen: SessionWatch, level: Level, kind: _Kind, now_ns: int, rules: MarketRules, found: list[Situation]) -> Level:
    if seen.entitled <= 0:
        return level
    limits, share = rules.situations, 100 * len(level.failing)
    reached = 2 if share >= limits.unable_pct * seen.entitled else 1 if share >= limits.warn_pct * seen.entitled else 0
    if not level.failing:
        reached = 0
    if reached == level.said or (reached == 1 and level.said == 2):
        return level
    standing = (Standing.OVER, Standing.WARNING, Standing.FOUND)[reached]
    if reached or level.said == 2:
        found.append(_situation(seen, kind.finding, standing, kind.what, now_ns, _evidence(seen, level, kind.verb, rules)))
    return replace(level, said=reached)


def _evidence(seen: SessionWatch, level: Level, what: str, rules: MarketRules) -> tuple[str, ...]:
    count = len(level.failing)
    share = f"{count} of {seen.entitled} entitled participants {what} for reasons of the system: {100 * count / seen.entitled:.2f} %"
    if not count:
        return (share,)
    times = list(level.failing.values())
    when = f"failures from {instant_text(times[0], rules.zone)} to {instant_text(times[-1], rules.zone)}"
    named = ", ".join(islice(level.failing, _NAMED))
    return share, when, named if count <= _NAMED else f"{named} and {count - _NAMED} more"


def _late(
    watch: SituationWatch, seen: SessionWatch, fact: OrderReported, rules: MarketRules
) -> tuple[SituationWatch, tuple[Situation, ...]]:
    """Quarantine what was accepted after the end; the first of it is the anomaly."""
    now_ns = fact.ts_event_ns
    ended_ns = _end_ns(seen)
    what = "withdrawal of order" if fact.withdrawal else "order"
    item = f"{what} {fact.order} of {fact.participant}, accepted {instant_text(now_ns, rules.zone)}"
    if item in seen.late:
        return watch, ()  # told twice
    first = not _untold(seen)
    late = (*seen.late, item) if len(seen.late) < _LATE_NAMED else seen.late
    seen = replace(seen, late=late, late_count=seen.late_count + 1)
    after = f"{(now_ns - ended_ns) / NS_PER_S:g} s after the end at {clock_text(ended_ns, rules.zone)}"
    standing, finding = (Standing.FOUND, "NOT_ENDED") if first else (Standing.MORE, "QUARANTINED")
    evidence = (item, after, "quarantined, not deleted; Art. 14 or 16 decides")
    return _put(watch, seen), (_situation(seen, finding, standing, _NOT_ENDED, now_ns, evidence),)


def _end_ns(seen: SessionWatch) -> int:
    """Return when a window ended: as planned, or when it was closed where that was earlier or nothing was planned."""
    return min(at_ns for at_ns in (seen.closes_ns, seen.closed_ns) if at_ns is not None)


def _untold(seen: SessionWatch) -> bool:
    """Whether something came late that was not told in full yet."""
    return seen.late_count > seen.told_late


def _unfinished(seen: SessionWatch) -> bool:
    """Whether something was found of a session that is not over."""
    return _untold(seen) or seen.logins.said == 2 or seen.orders.said == 2


def _finished(seen: SessionWatch, why: str, now_ns: int) -> tuple[SessionWatch, tuple[Situation, ...]]:
    """What was found of a session is over, and what came late is told in full."""
    found = [
        _situation(seen, kind.finding, Standing.OVER, kind.what, now_ns, (why,))
        for kind, level in ((_LOGINS, seen.logins), (_ORDERS, seen.orders))
        if level.said == 2
    ]
    if _untold(seen):
        more = seen.late_count - len(seen.late)
        evidence = (
            f"{why}; {seen.late_count} items were accepted after its end and are quarantined",
            *seen.late,
            *((f"and {more} more, each recorded as QUARANTINED",) if more else ()),
        )
        found.append(_situation(seen, "NOT_ENDED", Standing.OVER, _NOT_ENDED, now_ns, evidence))
    return replace(seen, logins=Level(), orders=Level(), told_late=seen.late_count), tuple(found)
