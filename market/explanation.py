"""What has to be explained of a case within 48 hours (Art. 24), gathered from the record alone.

The explanation is a function of the chain of decisions and of the price records: whoever has both can make it again and gets the same
bytes. Here it is gathered, without words; :mod:`market.explanationpage` says it in Chinese or English and :mod:`market.explanationtext`
writes it as Markdown or as one self-contained HTML file.

Absent on purpose: judgement. What nobody entered (an analysis, a cause) is shown as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any, Final

from market.commands import ORDERS, Owner
from market.decisions import GENESIS, Decision, first_broken
from market.errors import GridfuseError
from market.prices import PriceInForce
from market.rules import MarketRules
from market.units import floor_ns

__all__ = ["Chain", "DutyRecord", "Explanation", "PhaseSpan", "Receipt", "RegimeSpan", "UnknownCase", "explain", "key_of"]

_MARGIN_INTERVALS: Final = 4
"""Intervals before the outage and after its end whose prices are shown beside those that were substituted."""
_ABOUT_SEGMENTS: Final = (Owner.SEGMENT, Owner.DAY_AHEAD, Owner.NOTICES, Owner.DUTIES, Owner.APPROVALS)
_OF_SESSIONS: Final = ("Art. 7", "Art. 8", "Art. 10", "Art. 20", "Art. 21")
_DUTIES: Final = ("DutyOpened", "DutySettled", "DutyReminded", "DutyReceived")


class UnknownCase(GridfuseError, LookupError):
    """The decisions hold no such case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseSpan:
    """A segment was in a phase in ``[from_ns, to_ns)``; ``to_ns`` is None while it is."""

    phase: str
    from_ns: int
    to_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeSpan:
    """Consecutive intervals that one rule priced, CNY/MWh; ``to_ns`` is the end of the last one.

    Attributes:
        priced: intervals that have a price; low, high and mean are of those, None without one.
    """

    regime: str
    from_ns: int
    to_ns: int
    intervals: int
    priced: int
    provisional: int
    low: float | None
    high: float | None
    mean: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Whether a recipient has what a duty owes it; ``delivered_at_ns`` is None while it has not."""

    recipient: str
    delivered_at_ns: int | None = None
    reference: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyRecord:
    """One duty from its opening to its end.

    Attributes:
        outcome: met, late, lifted or done as recorded; ``open`` or ``overdue`` where it is not settled.
        margin_s: time left when it was settled, negative where it was late; None without a clock or while it is open.
        reminders: how often people were reminded.
    """

    key: str
    duty: str
    article: str
    owner: str
    opened_ns: int
    due_ns: int | None
    outcome: str = "open"
    settled_ns: int | None = None
    margin_s: float | None = None
    receipts: tuple[Receipt, ...] = ()
    reminders: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Where in the audit chain the case stands.

    Attributes:
        first, last: decisions of the case; last_hash: of the last one.
        whole: whether the chain was given from its first decision, so that it could be verified; broken: where it does not hold.
    """

    first: int
    last: int
    last_hash: str
    decisions: int
    whole: bool
    broken: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A case, as it is to be explained.

    Attributes:
        number: of the case; ``opened`` is the body of its CaseOpened.
        as_of_ns: instant it is told at; nothing later is in it.
        major: whether Art. 4 asks for analysis and rectification.
        cause: as it was entered last, with its article; empty before anybody said.
        trips, resumptions: transitions to TRIPPED and to RESUMING; over_ns: when the anomaly was over; closed_ns: when the case was.
        records: every decision of the case, in order; evidence: those transitions among them that carry some.
        points: latest price record of each interval, in order, with some of the market's before and after.
    """

    number: str
    as_of_ns: int
    rules: MarketRules
    opened: dict[str, Any]
    opened_ns: int
    major: bool
    cause: str
    trips: tuple[Decision, ...]
    resumptions: tuple[Decision, ...]
    over_ns: int | None
    closed_ns: int | None
    records: tuple[Decision, ...]
    phases: tuple[PhaseSpan, ...]
    points: tuple[PriceInForce, ...]
    regimes: tuple[RegimeSpan, ...]
    duties: tuple[DutyRecord, ...]
    chain: Chain
    rule_sets: tuple[str, ...] = field(default=())

    @property
    def segment(self) -> str | None:
        """The market segment it is about; None for a trading session."""
        return self.opened["segment"]  # type: ignore[no-any-return]

    @property
    def tripped_at_ns(self) -> int | None:
        """When the market tripped first; None where it did not."""
        return self.trips[0].body["tripped_at_ns"] if self.trips else None

    @property
    def effective_from_ns(self) -> int | None:
        """First interval of the market again, once a recovery is announced that was not overtaken by another trip."""
        if not self.resumptions or (self.trips and self.trips[-1].seq > self.resumptions[-1].seq):
            return None
        return self.resumptions[-1].body["effective_from_ns"]  # type: ignore[no-any-return]

    @property
    def out_until_ns(self) -> int:
        """Until when the market was, or is, out."""
        return min(self.as_of_ns, self.effective_from_ns or self.over_ns or self.as_of_ns)

    @property
    def suspended(self) -> tuple[Decision, ...]:
        """The decisions to suspend the market, and to extend that; none where it was not suspended."""
        return tuple(d for d in self.of_kind("Transition") if d.body["basis"] in ("SUSPENSION_DECIDED", "SUSPENSION_EXTENDED"))

    def noted(self, entry: str) -> tuple[Decision, ...]:
        """Return the entries of the case of one sort, as ACTION or ANALYSIS."""
        return tuple(d for d in self.records if d.kind == "CaseNoted" and d.body["entry"] == entry)

    def of_kind(self, *kinds: str) -> tuple[Decision, ...]:
        """Return the decisions of the case of some kinds."""
        return tuple(d for d in self.records if d.kind in kinds)


def explain(decisions: Iterable[Decision], prices: Iterable[PriceInForce], number: str, rules: MarketRules, as_of_ns: int) -> Explanation:
    """Gather what the record holds of a case.

    Args:
        decisions: of the chain, in order, repeats allowed; from its first one where it is to be verified.
        prices: records of the time around the case, all revisions; others are left out.
        number: of the case, as ``2026-06-10-01``.
        rules: the rule set the case was decided by, for its zone and its intervals.
        as_of_ns: instant it is told at.

    Raises:
        UnknownCase: the decisions hold no such case by then.
    """
    known = {d.seq: d for d in decisions if d.ts_event_ns <= as_of_ns}
    chain = [known[seq] for seq in sorted(known)]
    opening = next((d for d in chain if d.kind == "CaseOpened" and d.body["case"] == number), None)
    if opening is None:
        cases = ", ".join(d.body["case"] for d in chain if d.kind == "CaseOpened") or "none"
        raise UnknownCase(f"no case {number!r} in {len(chain)} decisions; there are: {cases}")
    records = tuple(_of_case(chain, opening))
    segment = opening.body["segment"]
    moves = [d for d in records if d.kind == "Transition" and d.body["segment"] == segment]
    over_ns = _over_ns(records, opening)
    points = _points(prices, segment, _price_from_ns(moves, opening), over_ns or as_of_ns, rules)
    causes = [d.body["text"] for d in records if d.kind == "CaseNoted" and d.body["entry"] == "CAUSE"]
    broken = first_broken(chain) if chain[0].seq == 1 else None
    return Explanation(
        number=number,
        as_of_ns=as_of_ns,
        rules=rules,
        opened=opening.body,
        opened_ns=opening.ts_event_ns,
        major=opening.body["major"] or any(d.kind == "CaseNoted" and d.body["entry"] == "MAJOR" for d in records),
        cause=causes[-1] if causes else "",
        trips=tuple(d for d in moves if d.body["after"] == "TRIPPED"),
        resumptions=tuple(d for d in moves if d.body["after"] == "RESUMING"),
        over_ns=over_ns,
        closed_ns=next((d.ts_event_ns for d in records if d.kind == "CaseClosed"), None),
        records=records,
        phases=tuple(_phases(moves)),
        points=points,
        regimes=tuple(_regimes(points, rules)),
        duties=_duties(records, as_of_ns),
        chain=Chain(
            first=records[0].seq,
            last=records[-1].seq,
            last_hash=records[-1].hash,
            decisions=len(records),
            whole=chain[0].seq == 1 and chain[0].prev_hash == GENESIS,
            broken=f"decision {broken.seq} {broken.why}" if broken else "",
        ),
        rule_sets=tuple(dict.fromkeys(d.rule_set for d in records)),
    )


def _of_case(chain: Sequence[Decision], opening: Decision) -> Iterator[Decision]:
    """Yield the decisions of a case: what is about it, and, until its anomaly is over, what is about its segment."""
    number, segment = opening.body["case"], opening.body["segment"]
    first_seq = _first_seq(chain, opening)
    over, keys = False, set[str]()
    for d in chain:
        if d.seq < first_seq:
            continue
        about_it = d.body.get("case") == number or d.body.get("facts", {}).get("case") == number
        about_it = about_it or d.body.get("args", {}).get("case") == number or number in d.body.get("key", "")
        if d.kind in _DUTIES:
            about_it = about_it or key_of(d) in keys
        # What was found of a session is recorded right before its case.
        about_it = about_it or (segment is None and d.kind == "FindingNoted" and first_seq <= d.seq < opening.seq)
        if not (about_it or (not over and segment is not None and _about(d, segment))):
            continue
        if d.kind == "DutyOpened":
            keys.add(key_of(d))
        yield d
        over = over or (d.seq > opening.seq and _ends(d, segment))


def _first_seq(chain: Sequence[Decision], opening: Decision) -> int:
    """Return the first decision of the step that opened a case that is of it: those after the end of the anomaly before."""
    first = opening.seq
    for d in reversed([d for d in chain if d.seq < opening.seq]):
        if d.ts_event_ns != opening.ts_event_ns or _ends(d, opening.body["segment"]) or d.kind == "CaseClosed":
            break
        first = d.seq
    return first


def _about(d: Decision, segment: str) -> bool:
    """Whether a decision is about a segment, as far as it says."""
    match d.kind:
        case "CaseOpened" | "CaseNoted" | "CaseClosed":
            return False
        case "FindingNoted":
            article: str = d.body["article"]
            return not article.startswith(_OF_SESSIONS)
        case "Refused":
            order = ORDERS.get(d.body["action"])
            return order is not None and order.owner in _ABOUT_SEGMENTS
        case "CommandAccepted":
            order = ORDERS.get(d.body["action"])
            return order is not None and order.owner in _ABOUT_SEGMENTS and segment in d.body["args"].get("segment", "RT").split(",")
        case "ApprovalRequested" | "ApprovalRecorded" | "ApprovalVoided":
            return str(d.body["measure"]).endswith(f"/{segment}")
        case _:
            return bool(d.body.get("segment") == segment)


def _ends(d: Decision, segment: str | None) -> bool:
    """Whether an anomaly of a segment is over with this decision."""
    return d.kind == "Transition" and bool(d.body["segment"] == segment and d.body["after"] == "NORMAL")


def _over_ns(records: Sequence[Decision], opening: Decision) -> int | None:
    segment, number = opening.body["segment"], opening.body["case"]
    for d in records:
        said = d.kind == "CaseNoted" and d.body["case"] == number and d.body["entry"] == "STATUS" and d.body["text"].startswith("over: ")
        if d.seq > opening.seq and (said or _ends(d, segment)):
            return d.ts_event_ns
    return None


def _phases(moves: Sequence[Decision]) -> Iterator[PhaseSpan]:
    # What keeps the phase, as a suspension that is decided and still to begin, begins no other.
    moves = [*moves[:1], *(d for d in moves[1:] if d.body["before"] != d.body["after"])]
    for d, after in zip_longest(moves, moves[1:]):
        if d.body["after"] != "NORMAL":
            yield PhaseSpan(phase=d.body["after"], from_ns=d.ts_event_ns, to_ns=after.ts_event_ns if after else None)


def _price_from_ns(moves: Sequence[Decision], opening: Decision) -> int:
    starts: list[int] = [d.body["outage_start_ns"] for d in moves[:1] if d.body["outage_start_ns"] is not None]
    return min([opening.ts_event_ns, *starts])


def _points(prices: Iterable[PriceInForce], segment: str | None, from_ns: int, to_ns: int, rules: MarketRules) -> tuple[PriceInForce, ...]:
    """Return the latest record of each interval of a segment around its outage."""
    step = rules.rt_interval_ns
    first_ns, last_ns = floor_ns(from_ns, step) - _MARGIN_INTERVALS * step, to_ns + _MARGIN_INTERVALS * step
    latest: dict[int, PriceInForce] = {}
    around = [price for price in prices if segment is not None and first_ns <= price.interval_start_ns < last_ns]
    # A day-ahead market without records of its own shows in the real-time ones that follow from it.
    shown = segment if any(price.segment == segment for price in around) else "RT"
    for price in around:
        start_ns = price.interval_start_ns
        if price.segment == shown:
            before = latest.get(start_ns)
            latest[start_ns] = price if before is None or price.rev >= before.rev else before
    return tuple(latest[start_ns] for start_ns in sorted(latest))


def _regimes(points: Sequence[PriceInForce], rules: MarketRules) -> Iterator[RegimeSpan]:
    run: list[PriceInForce] = []
    step = rules.rt_interval_ns
    for point, after in zip_longest(points, points[1:]):
        run.append(point)
        if after is not None and after.regime == point.regime and after.interval_start_ns == point.interval_start_ns + step:
            continue
        known = [each.price_cny_per_mwh for each in run if each.price_cny_per_mwh is not None]
        yield RegimeSpan(
            regime=point.regime,
            from_ns=run[0].interval_start_ns,
            to_ns=point.interval_start_ns + step,
            intervals=len(run),
            priced=len(known),
            provisional=sum(each.provisional for each in run),
            low=min(known, default=None),
            high=max(known, default=None),
            mean=sum(known) / len(known) if known else None,
        )
        run = []


def key_of(d: Decision) -> str:
    """Return the identity of a duty; records of releases that gave it none are told by what they are of."""
    key: str = d.body.get("key") or f"{d.body['duty']}/{d.body['segment']}"
    return key


def _duties(records: Sequence[Decision], as_of_ns: int) -> tuple[DutyRecord, ...]:
    duties: dict[str, DutyRecord] = {}
    for d in records:
        if d.kind not in _DUTIES:
            continue
        key, body = key_of(d), d.body
        duty = duties.get(key)
        if d.kind == "DutyOpened":
            receipts = tuple(Receipt(recipient=name) for name in body.get("recipients", ()))
            owner = body.get("owner", "DISPATCH")
            duties[key] = DutyRecord(
                key=key,
                duty=body["duty"],
                article=body["article"],
                owner=owner,
                opened_ns=d.ts_event_ns,
                due_ns=body["due_ns"],
                receipts=receipts,
            )
        elif duty is not None:
            duties[key] = _duty_after(duty, d)
    return tuple(
        replace(duty, outcome="overdue") if duty.settled_ns is None and duty.due_ns is not None and as_of_ns > duty.due_ns else duty
        for duty in duties.values()
    )


def _duty_after(duty: DutyRecord, d: Decision) -> DutyRecord:
    body = d.body
    if d.kind == "DutySettled":
        margin_s = None if duty.due_ns is None else body["margin_s"]
        return replace(duty, outcome=body["outcome"], settled_ns=d.ts_event_ns, margin_s=margin_s)
    if d.kind == "DutyReminded":
        return replace(duty, reminders=duty.reminders + 1)
    has = Receipt(recipient=body["recipient"], delivered_at_ns=body["delivered_at_ns"], reference=body["reference"], by=body["by"])
    if all(receipt.recipient != has.recipient for receipt in duty.receipts):
        return replace(duty, receipts=(*duty.receipts, has))
    # The first receipt counts; one that is recorded again says nothing new.
    kept = (has if each.recipient == has.recipient and each.delivered_at_ns is None else each for each in duty.receipts)
    return replace(duty, receipts=tuple(kept))
