"""What is published of prices, and by whose order: reference prices every day, a result that was cleared again, a longer window.

The reference prices of Art. 27(3) are published at every midnight, as they would hold if an interruption began on that day, so that
nobody meets them for the first time in one. While one runs, they are those of its first day. A newer version of a published day-ahead
result waits: the version that is *published* last counts for execution and settlement (Art. 22), and publishing it needs both approvals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

from msgspec.structs import replace

from market.commands import refused
from market.dayaheadprices import DayAheadPrices
from market.decisions import DecisionBody, FindingNoted, ResultRevised
from market.errors import UnitError
from market.facts import CommandGiven, Segment
from market.handling import ProfilePublished
from market.pricebook import PriceBook, in_force
from market.prices import fen_of, mean_fen
from market.reference import KEPT_WINDOWS, midnight_after_ns, profile, trimmed
from market.regimes import Interruptions
from market.rules import MarketRules
from market.units import civil_day, day_start_ns

__all__ = ["content", "ordered", "published"]

_MEAN, _RESULT = "Art. 27(3)", "Art. 22"


def published(book: PriceBook, now_ns: int, rules: MarketRules, interruptions: Interruptions) -> tuple[PriceBook, tuple[DecisionBody, ...]]:
    """Publish what is due at this instant; called after the intervals were priced.

    Args:
        book: what is known.
        now_ns: event time.
        rules: the rule set in force.
        interruptions: when the markets are out.

    Returns:
        The book, and the bodies: reference prices at midnight; once per interruption that a sample is insufficient; once for each
        result that waits to be published.
    """
    bodies: list[DecisionBody] = []
    known = book.reference
    if known.due_ns is None:
        known = replace(known, due_ns=midnight_after_ns(now_ns, rules))
    elif known.due_ns <= now_ns:
        day, began_ns = civil_day(now_ns, rules.zone), interruptions.began_ns
        # A day-ahead market that goes out from a day to come has interrupted nothing yet.
        first_day = day if began_ns is None else min(day, civil_day(began_ns, rules.zone))
        known = replace(trimmed(known, first_day, rules), due_ns=midnight_after_ns(now_ns, rules))
        if began_ns is None:
            known = replace(known, extended=None, short="", told="")
        bodies.append(profile(known, day, first_day, rules))
    if known.short != known.told:
        known = replace(known, told=known.short)
        bodies.append(_short(profile(known, known.short, known.short, rules), rules))
    if known is not book.reference:
        book = replace(book, reference=known)
    waiting = {_name(day, rules): day for day in book.waiting}
    if tuple(waiting) != book.waiting_told:
        bodies.extend(_waits(day, book, rules) for name, day in waiting.items() if name not in book.waiting_told)
        book = replace(book, waiting_told=tuple(waiting))
    return book, tuple(bodies)


def ordered(
    book: PriceBook,
    command: CommandGiven,
    now_ns: int,
    rules: MarketRules,
    unapproved: tuple[str, ...],
    approvals: Mapping[str, str] | None = None,
) -> tuple[PriceBook, tuple[DecisionBody, ...]]:
    """Carry out PUBLISH_RESULT or EXTEND_WINDOW, or refuse it; the prices that follow come with the next ones that are given.

    Args:
        book: what is known.
        command: that :func:`market.commands.refusal` let pass.
        now_ns: event time.
        rules: the rule set in force.
        unapproved: what Art. 22 asks for before a result is published and is missing, in words.
        approvals: reference of each approval of the result, by who gave it; for the record.
    """
    if command.action == "PUBLISH_RESULT":
        return _publish(book, command, now_ns, rules, unapproved, dict(approvals or {}))
    return _extend(book, command, rules)


def content(book: PriceBook, operating_day: str, version: int, rules: MarketRules) -> str | None:
    """Return what both bodies approve when a waiting result is to be published, as canonical text; None where none waits."""
    day = _waiting(book, operating_day, version, rules)
    return None if day is None else _content(day, rules)


def _publish(
    book: PriceBook, command: CommandGiven, now_ns: int, rules: MarketRules, unapproved: tuple[str, ...], approvals: dict[str, str]
) -> tuple[PriceBook, tuple[DecisionBody, ...]]:
    operating_day, text = command.args["operating_day"], command.args["result_version"]
    try:
        start_ns = day_start_ns(operating_day, rules.zone)
    except UnitError as exc:
        return book, (refused(command, "policy", f"operating_day: {exc}"),)
    day = _waiting(book, operating_day, int(text), rules) if text.isdecimal() else None
    if day is None:
        names = ", ".join(_name(one, rules) for one in book.waiting) or "none"
        return book, (refused(command, _RESULT, f"no version {text} of {operating_day} waits to be published; waiting: {names}"),)
    if unapproved:
        return book, (refused(command, _RESULT, f"{operating_day} version {text} is not approved: {'; '.join(unapproved)}"),)
    before = _stands(book, start_ns)
    book = in_force(book, day, rules, now_ns, anew=True)
    book = replace(book, waiting=tuple(one for one in book.waiting if one is not day))
    revised = ResultRevised(
        segment=Segment.DA,
        interval_start_ns=start_ns,
        version=day.version,
        command_id=command.command_id,
        by=command.by,
        role=command.role,
        reason=command.args.get("reason", ""),
        approvals=approvals,
        corrected=(),
        hashes={"prices": _digest(day, rules)},
        hashes_before={"prices": _digest(before, rules)},
        price_cny_per_mwh=_mean(day),
        price_before_cny_per_mwh=_mean(before),
        price_rev=None,
    )
    return book, (revised,)


def _extend(book: PriceBook, command: CommandGiven, rules: MarketRules) -> tuple[PriceBook, tuple[DecisionBody, ...]]:
    known, text = book.reference, command.args["days"]
    if not known.short:
        least = rules.reference.sample_min
        return book, (refused(command, _MEAN, f"no interruption lacks reference prices: every period it met has {least} values or more"),)
    most = rules.reference.window_days * KEPT_WINDOWS
    days = known.extended[1] if known.extended is not None and known.extended[0] == known.short else rules.reference.window_days
    if not text.isdecimal() or not days < int(text) <= most:
        return book, (refused(command, _MEAN, f"days={text} is no longer window; give a whole number above {days} and up to {most}"),)
    known = replace(known, extended=(known.short, int(text)), looks_further=True)
    said = profile(known, known.short, known.short, rules)
    # What is still short is told again, with what the longer window found.
    known = replace(known, told="", short=known.short if None in said.price_cny_per_mwh else "")
    return replace(book, reference=known), (said,)


def _waiting(book: PriceBook, operating_day: str, version: int, rules: MarketRules) -> DayAheadPrices | None:
    return next((day for day in book.waiting if (civil_day(day.day_start_ns, rules.zone), day.version) == (operating_day, version)), None)


def _name(day: DayAheadPrices, rules: MarketRules) -> str:
    return f"{civil_day(day.day_start_ns, rules.zone)} version {day.version}"


def _stands(book: PriceBook, start_ns: int) -> DayAheadPrices:
    """Return the result of an operating day that is in force; what waits is forgotten with it."""
    return next(day for day in book.day_ahead if day.day_start_ns == start_ns)


def _waits(day: DayAheadPrices, book: PriceBook, rules: MarketRules) -> FindingNoted:
    stands = _stands(book, day.day_start_ns).version
    what = f"{_name(day, rules)} was made after publication; version {stands} stays the basis of execution and settlement"
    return FindingNoted(finding="RESULT_WAITS", article=_RESULT, evidence=(what, "PUBLISH_RESULT needs the approval of GOV and REG"))


def _short(said: ProfilePublished, rules: MarketRules) -> FindingNoted:
    few = [
        f"{period * said.period_min // 60:02d}:{period * said.period_min % 60:02d}: {said.sample[period]}"
        for period, price in enumerate(said.price_cny_per_mwh)
        if price is None
    ]
    needs = f"fewer than {rules.reference.sample_min} values in {said.window[0]}..{said.window[1]}"
    what = f"{needs}: {', '.join(few)}"
    return FindingNoted(finding="INSUFFICIENT_SAMPLE", article=_MEAN, evidence=(what, "EXTEND_WINDOW looks further back"))


def _content(day: DayAheadPrices, rules: MarketRules) -> str:
    said = {  # by name: whoever writes it down anew comes to the same digest
        "operating_day": civil_day(day.day_start_ns, rules.zone),
        "price_cny_per_mwh": day.price_cny_per_mwh,
        "version": day.version,
    }
    return json.dumps(said, separators=(",", ":"))


def _digest(day: DayAheadPrices, rules: MarketRules) -> str:
    return sha256(_content(day, rules).encode()).hexdigest()


def _mean(day: DayAheadPrices) -> float:
    """Return the mean price of a day, CNY/MWh; every price of it stands in its digest."""
    return mean_fen([fen_of(price) for price in day.price_cny_per_mwh]) / 100
