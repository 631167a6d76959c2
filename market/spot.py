"""Boundary data and declarations of the spot market: published in versions, with deadlines that move by the rules (Art. 20, 21).

The boundary data of an operating day are a JSON object; what they hold is the operators' business, and three things are this module's:

* **Versions.** Each publication is compared with the one before it, value by value, and a day without all its values is incomplete: what
  is ``null``, and what an earlier version had and this one has not. No clearing may use an incomplete set (:func:`incomplete`).
* **Deadlines.** The deadline of declarations may be postponed because the data changed (Art. 20) or because declarations failed and the
  trading institution confirmed it (Art. 21), with notice ahead of the new deadline, and where possible ahead of the old one.
* **Paper.** Once failures are confirmed, a stamped paper declaration may be entered, by two persons.

A day is forgotten once it begins. Absent on purpose: declarations themselves, and the words of the notices, which the notice board
writes from what :func:`ordered` hands over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from market.commands import ORDERS, refused
from market.decisions import DecisionBody, FindingNoted
from market.errors import UnitError
from market.facts import CommandGiven
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S, day_start_ns, instant_ns, instant_text

__all__ = ["Boundary", "NoticeWanted", "Paper", "SpotBook", "incomplete", "ordered"]

_VALUES_MAX: Final = 512
"""Values of one day's boundary data; what is larger is published elsewhere and named here."""
_DIFFERENCES_TOLD: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """A stamped paper declaration in force: its version, and the digest of what was entered."""

    participant: str
    version: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """The boundary data and the declarations of one operating day.

    Attributes:
        day: ``2026-06-11``.
        version: of the boundary data, 0 before the first; digest: SHA-256 of their canonical JSON.
        values: path → value as JSON, of the version in force.
        missing: paths without a value; empty for a complete set.
        deadline_ns: of declarations; None before one is published.
        failed: whether the trading institution confirmed that declarations failed.
    """

    day: str
    version: int = 0
    digest: str = ""
    values: dict[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    deadline_ns: int | None = None
    failed: bool = False
    papers: tuple[Paper, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotBook:
    """The operating days ahead that something was published of."""

    days: tuple[Boundary, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeWanted:
    """A notice that follows from an order: kind and facts of its template (:mod:`market.announcements`), of the day-ahead market."""

    kind: str
    subject: str
    facts: dict[str, str]


Step = tuple[SpotBook, tuple[DecisionBody, ...], tuple[NoticeWanted, ...]]


def incomplete(book: SpotBook, day: str) -> tuple[str, ...]:
    """Return what the boundary data of an operating day lack, so that nothing may be cleared from them (Art. 20).

    A day nobody published anything of is not judged here.
    """
    return next((known.missing for known in book.days if known.day == day), ())


def ordered(book: SpotBook, command: CommandGiven, now_ns: int, rules: MarketRules) -> Step:
    """Carry out an order, or refuse it.

    Args:
        command: one that :func:`market.commands.refusal` lets pass.
        now_ns: event time.

    Returns:
        The book, what was done, and the notices it asks for; where it is refused, the book as it was and the refusal alone.
    """
    book_ahead = SpotBook(days=tuple(known for known in book.days if day_start_ns(known.day, rules.zone) > now_ns))
    day = command.args["operating_day"].strip()
    try:
        begins_ns = day_start_ns(day, rules.zone)
    except UnitError as exc:
        return _no(book, command, f"operating_day: {exc}", "policy")
    if begins_ns <= now_ns:
        return _no(book, command, f"operating day {day} began at {instant_text(begins_ns, rules.zone)}; name one that is ahead")
    known = next((known for known in book_ahead.days if known.day == day), Boundary(day=day))
    answer: _Answer | _Refusal
    match command.action:
        case "PUBLISH_BOUNDARY":
            answer = _published(known, command, now_ns, begins_ns, rules)
        case "MOVE_DEADLINE":
            answer = _deadline_moved(known, command, now_ns, begins_ns, rules)
        case "CONFIRM_DECLARATION_FAILURE":
            answer = _failure_confirmed(known, command)
        case _:
            assert command.action == "PAPER_DECLARATION", f"{command.action} is no order of the spot market"
            answer = _paper(known, command)
    if isinstance(answer, _Refusal):
        return _no(book, command, answer.why, answer.rule)
    if isinstance(answer, str):
        return _no(book, command, answer)
    changed, bodies, notices = answer
    days = (*(other for other in book_ahead.days if other.day != day), changed)
    return SpotBook(days=tuple(sorted(days, key=lambda each: each.day))), bodies, notices


def _no(book: SpotBook, command: CommandGiven, why: str, rule: str = "") -> Step:
    return book, (refused(command, rule or ORDERS[command.action].article, why),), ()


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why an order is refused by another article than its own."""

    rule: str
    why: str


_Done = tuple[Boundary, tuple[DecisionBody, ...], tuple[NoticeWanted, ...]]
_Answer = _Done | str
"""What became of a day, or why nothing did."""


def _published(known: Boundary, command: CommandGiven, now_ns: int, begins_ns: int, rules: MarketRules) -> _Answer | _Refusal:
    values = _values(command.args["content"])
    if isinstance(values, str):
        return values
    deadline = command.args.get("deadline", "").strip()
    digest = hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
    first_deadline = deadline and known.deadline_ns is None
    if digest == known.digest and not first_deadline:
        return f"these are the boundary data of version {known.version} already; publish what changed, or use MOVE_DEADLINE"
    gone = tuple(path for path in known.values if path not in values)
    missing = tuple(sorted({*(path for path, value in values.items() if value == "null"), *gone}))
    after = replace(known, version=known.version + 1, digest=digest, values=values | dict.fromkeys(gone, "null"), missing=missing)
    differences = _differences(known.values, after.values) if known.version else ()
    told = (
        f"operating day {known.day}: boundary data version {after.version}, {len(values)} values, digest {digest[:16]}",
        *differences,
        *((f"incomplete, nothing may be cleared from it: {', '.join(missing)}",) if missing else ()),
    )
    bodies: list[DecisionBody] = [FindingNoted(finding="BOUNDARY_PUBLISHED", article="Art. 20", evidence=told)]
    facts = {
        "article": "Art. 20",
        "operating_day": known.day,
        "version": str(after.version),
        "difference": "; ".join(differences) or "–",
        "published_at": instant_text(now_ns, rules.zone),
    }
    notices = [NoticeWanted(kind="BOUNDARY", subject=f"boundary/{known.day}", facts=facts)]
    if deadline:
        reason = command.args.get("reason", "").strip() or f"boundary data version {after.version}"
        moved = _with_deadline(after, deadline, reason, "Art. 20", now_ns, begins_ns, rules)
        if isinstance(moved, str):
            return _Refusal("Art. 21", moved)
        after, said, wanted = moved
        bodies += said
        notices += wanted
    return after, tuple(bodies), tuple(notices)


def _values(content: str) -> dict[str, str] | str:
    """Lay out boundary data as path → value, or say why that cannot be done."""
    try:
        data = json.loads(content)
    except ValueError as exc:
        return f'content is not JSON: {exc}; give an object such as {{"load_mw": [1, 2]}}'
    if not isinstance(data, dict) or not data:
        return 'content is not a JSON object with names and values; give one such as {"load_mw": [1, 2]}'
    values = dict(_laid_out("", data))
    if len(values) > _VALUES_MAX:
        return f"content has more than {_VALUES_MAX} values; publish it elsewhere and name it here with its digest"
    return values


def _laid_out(path: str, data: Any) -> Iterator[tuple[str, str]]:
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from _laid_out(f"{path}.{name}" if path else str(name), value)
    elif isinstance(data, list) and data:
        for place, value in enumerate(data):
            yield from _laid_out(f"{path}[{place}]", value)
    else:
        yield path, json.dumps(data, ensure_ascii=False)


def _differences(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    """Return each value that changed, before and after; beyond the first ones they are counted."""
    paths = [*before, *(path for path in after if path not in before)]
    changed = [(path, before.get(path, "none"), after.get(path, "none")) for path in paths if before.get(path) != after.get(path)]
    told = [f"{path}: {old} → {new}" for path, old, new in changed[:_DIFFERENCES_TOLD]]
    return (*told, f"and {len(changed) - _DIFFERENCES_TOLD} more") if len(changed) > _DIFFERENCES_TOLD else tuple(told)


def _deadline_moved(known: Boundary, command: CommandGiven, now_ns: int, begins_ns: int, rules: MarketRules) -> _Answer:
    if known.deadline_ns is None:
        return f"operating day {known.day} has no deadline yet; publish one with its boundary data (PUBLISH_BOUNDARY deadline=…)"
    if not known.failed and known.version < 2:
        return (
            f"nothing failed on operating day {known.day} that the trading institution confirmed (CONFIRM_DECLARATION_FAILURE), "
            "and its boundary data did not change"
        )
    article = "Art. 21" if known.failed else "Art. 20"
    return _with_deadline(known, command.args["deadline"].strip(), command.args["reason"].strip(), article, now_ns, begins_ns, rules)


def _with_deadline(known: Boundary, text: str, reason: str, article: str, now_ns: int, begins_ns: int, rules: MarketRules) -> _Answer:
    """Set the deadline of declarations, or postpone it; a postponement needs its notice ahead of the new one (Art. 21)."""
    try:
        deadline_ns = instant_ns(text)
    except UnitError as exc:
        return f"deadline: {exc}"
    written = instant_text(deadline_ns, rules.zone)
    if deadline_ns >= begins_ns:
        return f"deadline {written} is not before operating day {known.day} begins"
    old_ns = known.deadline_ns
    facts = {"article": article, "operating_day": known.day, "deadline_at": written, "reason": reason}
    if old_ns is None:
        if deadline_ns <= now_ns:
            return f"deadline {written} is over; it is {instant_text(now_ns, rules.zone)}"
        told: tuple[str, ...] = (f"operating day {known.day}: declarations until {written}",)
        body = FindingNoted(finding="DEADLINE_SET", article=article, evidence=told)
        return replace(known, deadline_ns=deadline_ns), (body,), ()
    notice_min = rules.duty_clocks.declaration_notice_min
    # Whole seconds, upwards: what is offered is lawful still when it is given as offered.
    earliest_ns = -(-(now_ns + notice_min * NS_PER_MIN) // NS_PER_S) * NS_PER_S
    if deadline_ns <= old_ns:
        return f"deadline {written} does not postpone that of {instant_text(old_ns, rules.zone)}; name a later one"
    if deadline_ns < now_ns + notice_min * NS_PER_MIN:
        offered = instant_text(earliest_ns, rules.zone)
        return f"deadline {written} is less than {notice_min} min ahead; the earliest lawful one is {offered}"
    ahead = f"{(deadline_ns - now_ns) / NS_PER_MIN:g} min ahead of the new deadline"
    if now_ns <= old_ns:
        old = f"{(old_ns - now_ns) / NS_PER_MIN:g} min ahead of the old one"
    else:
        old = f"{(now_ns - old_ns) / NS_PER_MIN:g} min after the old one, which Art. 21 asks to come before it where possible"
    told = (f"operating day {known.day}: deadline {instant_text(old_ns, rules.zone)} → {written}", f"published {ahead}, {old}", reason)
    body = FindingNoted(finding="DEADLINE_MOVED", article=article, evidence=told)
    notice = NoticeWanted(kind="DEADLINE", subject=f"deadline/{known.day}", facts=facts)
    return replace(known, deadline_ns=deadline_ns), (body,), (notice,)


def _failure_confirmed(known: Boundary, command: CommandGiven) -> _Answer:
    if known.failed:
        return f"that declarations for operating day {known.day} failed is confirmed already"
    told = (
        f"operating day {known.day}: declarations failed for a reason of the system",
        command.args["reason"].strip(),
        f"by {command.by}",
    )
    return replace(known, failed=True), (FindingNoted(finding="DECLARATION_FAILURE", article="Art. 21", evidence=told),), ()


def _paper(known: Boundary, command: CommandGiven) -> _Answer:
    if not known.failed:
        return f"no declaration failure of operating day {known.day} is confirmed; paper is taken once it is (CONFIRM_DECLARATION_FAILURE)"
    participant, second = command.args["participant"].strip(), command.args["second"].strip()
    if second.casefold() == command.by.strip().casefold():
        return f"a paper declaration is entered by two persons; second={second} is who orders it"
    digest = hashlib.sha256(command.args["content"].encode()).hexdigest()
    before = next((paper for paper in known.papers if paper.participant == participant), None)
    if before is not None and before.digest == digest:
        return f"this is the paper declaration of {participant} that is entered already, version {before.version}"
    paper = Paper(participant=participant, version=before.version + 1 if before else 1, digest=digest)
    told = (
        f"operating day {known.day}: paper declaration of {participant}, version {paper.version}, digest {digest[:16]}",
        f"entered by {command.by} and {second}",
        command.args["content"].strip(),
    )
    papers = (*(other for other in known.papers if other.participant != participant), paper)
    return replace(known, papers=papers), (FindingNoted(finding="PAPER_DECLARATION", article="Art. 21", evidence=told),), ()
