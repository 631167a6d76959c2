"""The invariants of spec §6.3, held against every step of a breaker by a model that keeps its own books from the records alone.

Each assertion names its invariant. What the model knows it has read from decisions, prices and orders, never from the machine's own
functions, so that a fault there does not hide itself.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from market.decisions import Decision, Phase
from market.facts import (
    CalendarClosed,
    ClearedAgain,
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    CommandGiven,
    DayAheadExpected,
    Fact,
    RunType,
    Segment,
    SourceReported,
    Ticked,
)
from market.prices import PriceInForce, Regime
from market.rules import MarketRules, Mode
from market.segment import SegmentState
from market.units import civil_day, day_start_ns, instant_text
from streams.breaker import BreakerState, view

__all__ = ["Law"]

_OUT: Final = (Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG, Phase.RESUMING)
_AFTER_72_H: Final = (Phase.OVERDUE, Phase.SUSPENDED, Phase.SUSPENDED_LONG)
_BY_PERSONS: Final = (
    "PROPOSE_TRIP",
    "REJECTED",
    "RECOVERED",
    "SUSPENSION_DECIDED",
    "SUSPENSION_EXTENDED",
    "REGIME28_CONFIRMED",
    "RESUME_APPLIED",
    "RESUMED",
)
_OF_THE_MACHINE: Final = ("RT_120", "DA_MISSED", "TOPOLOGY_HARD", "SWITCHOVER")
_OWN: Final = ("MARKET", "ART27_1")
_STATE_NOTICES: Final = ("TRIP", "RECOVERY", "SUSPENSION", "EXTENSION", "REGIME28", "RESUMPTION")
_EXPLAINED_TO: Final = {"GOV", "REG", "PARTICIPANTS"}
_BOOKS: Final = ("rt", "da", "duties", "approvals", "notices", "cases", "spot", "watch", "days", "topology", "warnings")


class Law:
    """The model: what is announced, owed and approved, by what was put on record.

    Args:
        state: of the breaker at its beginning.
        rules: that hold.
    """

    def __init__(self, state: BreakerState, rules: MarketRules) -> None:
        self.rules = rules
        self.blind = self.suspect = False
        self.seen_commands: set[str] = set()
        self.notices: dict[tuple[str, str], str] = {}
        self.numbers: set[str] = set()
        self.standing: dict[str, tuple[str, dict[str, str]]] = {}
        self.owed: dict[str, str] = {}
        self.receipts: dict[str, set[str]] = {}
        self.explained = self.trips = 0
        self.proposer: dict[str, str] = {}
        self.asked: dict[str, tuple[str, dict[str, str]]] = {}
        self.announced: dict[str, int] = {}
        self.records: dict[tuple[str, int], tuple[int, str]] = {}
        self.next_start_ns: int | None = None
        self.headroom_s: float | None = view(state, rules).segments[0].headroom_s
        self.closed_cases: set[str] = set()

    def step(self, before: BreakerState, after: BreakerState, fact: Fact, decisions: list[Decision], prices: list[PriceInForce]) -> None:
        """Hold one step against the law."""
        bodies = [(decision.kind, decision.body) for decision in decisions]
        self._audit(before, after, fact, decisions)
        for kind, body in bodies:
            match kind:
                case "Transition":
                    self._moved(before, after, fact, body, bodies)
                case "Announcement":
                    self._announced(after, body)
                case "DutyOpened":
                    assert body["key"] not in self.owed, f"a duty is opened once: {body['key']}"
                    self.owed[body["key"]] = body["duty"]
                    self.explained += body["duty"] == "explain"
                case "DutyReceived":
                    self.receipts.setdefault(body["key"], set()).add(body["recipient"])
                case "DutySettled":
                    self._settled(fact, body, bodies)
                case "ApprovalRequested":
                    self.asked[body["measure"]] = (body["digest"], {})
                case "ApprovalRecorded":
                    assert body["digest"] == self.asked[body["measure"]][0], "I4: an approval is of the content that was asked for"
                    self.asked[body["measure"]][1][body["body"]] = body["verdict"]
                case "ApprovalVoided":
                    self.asked.pop(body["measure"])
                case "ResultRevised" if body["segment"] == "DA":
                    self._approved(f"PUBLISH_RESULT/{civil_day(body['interval_start_ns'], self.rules.zone)}", "a published result")
                case "ClearingOrdered":
                    assert set(body["approvals"]) == {"GOV", "REG"}, "I4: nothing is cleared again without both approvals"
                case "CaseClosed":
                    assert body["case"] not in self.closed_cases, "a case is closed once"
                    self.closed_cases.add(body["case"])
                case "ProfilePublished":
                    self._reference(before, after, body)
                case _:
                    pass
        if isinstance(fact, SourceReported) and fact.name == "clearing":
            self.blind = not fact.up
        if isinstance(fact, ClockCompared):
            self.suspect = abs(fact.wall_s - fact.monotonic_s) > self.rules.clock_jump_s
        self._notices(after)
        self._overdue(after, fact)
        self._priced(fact, prices)
        self._seen(before, after, fact, bodies)

    # ── the record ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _audit(self, before: BreakerState, after: BreakerState, fact: Fact, decisions: list[Decision]) -> None:
        prev = before.prev_hash
        for number, decision in enumerate(decisions, before.seq + 1):
            assert (decision.seq, decision.prev_hash) == (number, prev), "I5: the chain goes on without a gap"
            assert decision.ts_event_ns == after.now_ns, "I10: a decision is never back-dated"
            prev = decision.hash
        assert (after.seq, after.prev_hash) == (before.seq + len(decisions), prev), "I5: the state knows the end of the chain"
        for then, now in ((before.rt, after.rt), (before.da, after.da)):
            moves = [d.body for d in decisions if d.kind == "Transition" and d.body["segment"] == now.segment]
            assert now.version == then.version + len(moves), "I5: one version for each transition on record"
            assert [then.phase, *(m["after"] for m in moves)] == [*(m["before"] for m in moves), now.phase], "I5: every move is on record"
        if isinstance(fact, CommandGiven):
            self._answered(before, after, fact, decisions)
        else:
            assert isinstance(fact, ClearedAgain) or all(d.kind != "Refused" for d in decisions), "I5: only orders are refused"
        if isinstance(fact, DayAheadExpected):
            assert all(d.body["after"] != "TRIPPED" for d in decisions if d.kind == "Transition"), "what is only expected trips nothing"

    def _answered(self, before: BreakerState, after: BreakerState, fact: CommandGiven, decisions: list[Decision]) -> None:
        answers = [d.kind for d in decisions if d.kind in ("CommandAccepted", "Refused")]
        if fact.command_id in self.seen_commands:
            assert not answers, "I6: an order that is delivered again is passed over"
            return
        self.seen_commands.add(fact.command_id)
        assert len(answers) == 1, f"I5: an order is accepted or refused, once: {answers} of {fact.action}"
        if answers == ["Refused"] and not any(d.kind == "Transition" for d in decisions):
            for book in _BOOKS:
                assert getattr(before, book) == getattr(after, book), f"I5: a refused order changes nothing, {fact.action} changed {book}"

    # ── what moves ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _moved(
        self, before: BreakerState, after: BreakerState, fact: Fact, body: dict[str, Any], bodies: list[tuple[str, dict[str, Any]]]
    ) -> None:
        name, basis, by, ordered = body["segment"], body["basis"], body["by"], isinstance(fact, CommandGiven)
        if basis in _BY_PERSONS:
            assert ordered, f"I11: {basis} only by a person's order"
            assert by == getattr(fact, "by", ""), f"I11: {basis} names who ordered it"
        if by:
            assert isinstance(fact, CommandGiven), "only a person's order has a name"
        if body["after"] == "PROPOSED" and basis != "EFFECTIVE":
            self.proposer[name] = by
        if basis == "OVER_72_H":
            assert not self.suspect, "I9: nothing becomes overdue by a suspect clock"
        if body["after"] == "TRIPPED":
            self._tripped(before, after, body, bodies, ordered=ordered)
        if basis in ("RECOVERED", "RESUMED"):
            effective_ns = body["effective_from_ns"]
            assert effective_ns >= after.now_ns + self.rules.resume_notice_ns, "I17: participants have their notice"
            self.announced[name] = effective_ns
            step_ns = self.rules.rt_interval_ns
            on_day = day_start_ns(civil_day(effective_ns, self.rules.zone), self.rules.zone) == effective_ns
            assert on_day if name == "DA" else effective_ns % step_ns == 0, "I17: effective_from lies on a boundary"
        if basis == "RESUMED":
            self._approved(f"RESUME/{name}", "a resumption")
        if basis == "SUSPENSION_DECIDED":
            assert body["suspended_from_ns"] >= after.now_ns, "a suspension is never back-dated"
            assert body["expected_end_ns"] > body["suspended_from_ns"], "Art. 26: the notice names a start and a later end"
            left = {kind for key, kind in self.owed.items() if f"/{name}/" in key}
            assert not left & {"report", "assess", "measures"}, "Art. 25: reports, assessment and measures come first"
        if basis == "SUSPENSION_BEGAN":
            assert (before.rt if name == "RT" else before.da).suspended_from_ns is not None or ordered, "I11: it was decided before"
        if basis == "EFFECTIVE":
            assert self.announced.pop(name) <= after.now_ns, "I11: a market is back when it was announced, and not before"
        recovering = body["evidence"] and basis == "RECOVERED"
        for said in body["evidence"] if recovering else ():
            _, _, second = said.partition("second person: ")
            assert not second or second != by, "I19: an override is the decision of two"

    def _tripped(
        self, before: BreakerState, after: BreakerState, body: dict[str, Any], bodies: list[tuple[str, dict[str, Any]]], *, ordered: bool
    ) -> None:
        name, basis, by = body["segment"], body["basis"], body["by"]
        self.trips += 1
        self.announced.pop(name, None)
        assert body["evidence"] or by, "I8: a trip has evidence or a named dispatcher"
        assert body["cause"], "Art. 5: a trip has a cause"
        assert body["tripped_at_ns"] == after.now_ns, "I10: tripped when it was decided"
        assert after.now_ns >= body["condition_met_at_ns"], "I10: never before the condition"
        if not by:
            assert basis in _OF_THE_MACHINE, f"I8: {basis} never trips by itself"
            assert getattr(self.rules.modes, basis) is Mode.AUTO, f"I8: {basis} is for a person to confirm"
            assert not self.suspect, "I9: nothing trips by itself on a suspect clock"
            assert not self.blind, "I9: nor while the results are not seen"
            assert not before.clock_suspect, "I9: the flag says so"
            assert name == "RT" or basis == "DA_MISSED", f"I7: {basis} only proposes to the day-ahead market"
        elif basis == "OTHER":
            assert ordered, "I8: a dispatcher's order"
            assert by != self.proposer[name], "I19: who proposes does not confirm"
        if basis == "RT_120":
            assert body["condition_met_at_ns"] - body["outage_start_ns"] == self.rules.rt_limit_ns, "I8: the limit is the rule's"
        if basis == "DA_MISSED":
            into_ns = body["condition_met_at_ns"] - day_start_ns(civil_day(body["condition_met_at_ns"], self.rules.zone), self.rules.zone)
            assert into_ns == 23 * 3600 * 10**9, "I8: the deadline is 23:00"
        notices = [b for kind, b in bodies if kind == "Announcement" and b["segment"] == name and b["announcement_kind"] == "TRIP"]
        assert len(notices) == 1, "every trip is announced, once"
        assert notices[0]["published_at_ns"] >= body["tripped_at_ns"], "I10: announced when it had tripped"
        opened = [b for kind, b in bodies if kind == "DutyOpened" and b["segment"] == name and b["duty"] == "explain"]
        assert len(opened) == 1, "I12: every trip is to be explained"
        assert opened[0]["due_ns"] == after.now_ns + self.rules.explain_h * 3600 * 10**9, "I12: within 48 h of the trip"
        assert set(opened[0]["recipients"]) == _EXPLAINED_TO, "I12: to both bodies and to the participants"

    def _approved(self, measure: str, what: str) -> None:
        _, said = self.asked.pop(measure, ("", {}))
        assert said == {"GOV": "APPROVED", "REG": "APPROVED"}, f"I4: {what} needs both approvals, {measure} has {said}"

    def _overdue(self, after: BreakerState, fact: Fact) -> None:
        for seg in (after.rt, after.da):
            if seg.tripped_at_ns is None or seg.effective_from_ns is not None or seg.limit_from_ns is None:
                continue
            over = after.now_ns > seg.limit_from_ns + self.rules.breaker_max_ns
            if over and isinstance(fact, Ticked) and not self.suspect:
                assert seg.phase in _AFTER_72_H, f"I2: {seg.segment} is beyond its limit and {seg.phase}"
            if seg.phase is Phase.OVERDUE and seg.suspended_from_ns is None:
                kinds = [kind for key, kind in self.owed.items() if f"/{seg.segment}/" in key]
                assert kinds.count("decide") == 1, "I2: the decision is a task"

    # ── notices and duties ──────────────────────────────────────────────────────────────────────────────────────────────

    def _announced(self, after: BreakerState, body: dict[str, Any]) -> None:
        subject = (body["segment"], body["subject"])
        assert body["number"] not in self.numbers, "a number is given once"
        self.numbers.add(body["number"])
        active = {(each.segment, each.subject): each.number for each in after.notices.notices}
        before = self.notices.get(subject, "")
        assert body["supersedes"] == before, f"I1: a notice takes the place of the one in force, {before}, not of {body['supersedes']}"
        assert subject not in active or active[subject] not in self.notices.values() or active[subject] != before, "I1: what is superseded"
        self.notices[subject] = body["number"]
        if body["announcement_kind"] in _STATE_NOTICES:
            self.standing[body["segment"]] = (body["announcement_kind"], body["facts"])

    def _notices(self, after: BreakerState) -> None:
        active = [(each.segment, each.subject) for each in after.notices.notices]
        assert len(active) == len(set(active)), "I1: one notice for each segment and subject"
        # What the record does not say, because it follows from the end of a day or of a breaker, is forgotten here as well.
        self.notices = {subject: number for subject, number in self.notices.items() if subject in active}
        assert self.notices == {(each.segment, each.subject): each.number for each in after.notices.notices}, "I1: those in force"
        for seg in (after.rt, after.da):
            is_out = seg.phase in _OUT or seg.effective_from_ns is not None
            assert ((seg.segment, "breaker") in active) is is_out, f"I1: {seg.segment} is {seg.phase}, its notice says otherwise"
            if is_out:
                self._says(seg, *self.standing[seg.segment])

    def _says(self, seg: SegmentState, kind: str, facts: dict[str, str]) -> None:
        said = {name: facts.get(name) for name in ("effective_from", "suspended_from", "expected_end")}
        zone = self.rules.zone
        if seg.effective_from_ns is not None:
            assert kind in ("RECOVERY", "RESUMPTION"), f"I1: {seg.segment} resumes and the notice is a {kind}"
            assert said["effective_from"] == instant_text(seg.effective_from_ns, zone), "I1: the notice names the instant"
        elif seg.suspended_from_ns is not None:
            assert kind in ("SUSPENSION", "EXTENSION", "REGIME28"), f"I1: {seg.segment} is suspended and the notice is a {kind}"
            assert said["suspended_from"] == instant_text(seg.suspended_from_ns, zone), "I1: the notice names its start"
            assert seg.expected_end_ns is not None, "Art. 26: a suspension has an expected end"
            assert said["expected_end"] == instant_text(seg.expected_end_ns, zone), "I1: the notice names its expected end"
            if seg.phase is Phase.SUSPENDED_LONG:
                assert "regime_from" in facts, "I1: the notice of Art. 28 names its day"
        else:
            assert kind == "TRIP", f"I1: {seg.segment} is tripped and the notice is a {kind}"

    def _settled(self, fact: Fact, body: dict[str, Any], bodies: list[tuple[str, dict[str, Any]]]) -> None:
        kind = self.owed.pop(body["key"])
        if kind in ("explain", "report", "inform"):
            wanted = _EXPLAINED_TO if kind == "explain" else {"GOV", "REG"}
            assert self.receipts.get(body["key"]) == wanted, f"I12: {kind} is closed by its receipts, has {self.receipts.get(body['key'])}"
        if isinstance(fact, Ticked) and body["outcome"] == "met":
            fresh = any(name == "DutyOpened" and b["key"] == body["key"] for name, b in bodies)
            assert fresh, f"I20: time alone met {body['key']}"
        assert (body["outcome"] == "late") is (body["margin_s"] < 0), "I20: late is what came after its time"

    # ── prices, and what people see ─────────────────────────────────────────────────────────────────────────────────────

    def _priced(self, fact: Fact, prices: list[PriceInForce]) -> None:
        step_ns = self.rules.rt_interval_ns
        for price in prices:
            key = (str(price.segment), price.interval_start_ns)
            known = self.records.get(key)
            assert price.rev == (0 if known is None else known[0] + 1), f"I13: revisions of {key} count up from 0"
            if known is not None and known[1] in _OWN:
                assert price.regime in _OWN, f"I14: {known[1]} was overwritten by {price.regime}"
                assert isinstance(fact, ClearedAgain | CommandGiven), "I14: a price of the market is revised by order only"
            if known is None and price.segment is Segment.RT:
                assert self.next_start_ns in (None, price.interval_start_ns), "I13: every interval has its price, in order"
                assert price.interval_start_ns % step_ns == 0, "I13: a price is of an interval"
                self.next_start_ns = price.interval_start_ns + step_ns
            if price.regime is Regime.ART27_3:
                assert price.by_analogy or price.segment is Segment.DA or price.source, "Q1"
                day = price.source.removeprefix("profile:").partition(" ")[0]
                if price.segment is Segment.RT:
                    assert day <= civil_day(price.interval_start_ns, self.rules.zone), "I15: the reference days lie before"
            self.records[key] = (price.rev, str(price.regime))

    def _reference(self, before: BreakerState, after: BreakerState, body: dict[str, Any]) -> None:
        first, last = body["window"]
        assert first <= last < body["day"], f"I15: the days looked at lie before the day: {first}..{last}, {body['day']}"
        began = [seg.substituted_from_ns for seg in (after.rt, after.da) if seg.substituted_from_ns is not None]
        if began and before.rt.substituted_from_ns in (None, *began):
            assert last < civil_day(min(began), self.rules.zone), "I15: none of them from the interruption"

    def _seen(self, before: BreakerState, after: BreakerState, fact: Fact, bodies: list[tuple[str, dict[str, Any]]]) -> None:
        shown = view(after, self.rules)
        assert {duty.key for duty in shown.duties} == set(self.owed), "I18: every duty that is open is shown"
        assert shown.warnings == after.warnings, "I18: every warning is shown"
        flags = shown.segments[0].flags
        assert ("BLIND" in flags, "CLOCK_SUSPECT" in flags) == (self.blind, self.suspect), "I18: every flag is shown"
        assert shown.segments[0].phase is after.rt.phase, "I21: the view is the state's"
        left, was = shown.segments[0].headroom_s, self.headroom_s
        self.headroom_s = left
        if left is None or was is None:
            return
        assert 0.0 <= left <= self.rules.rt_limit_min * 60, "I16: headroom is 120 min less the outage"
        result = isinstance(fact, ClearingReported) and fact.status is ClearingStatus.OK and fact.run_type is RunType.PRODUCTION
        ended = any(kind == "OutageEnded" or (kind == "Transition" and body["basis"] == "EFFECTIVE") for kind, body in bodies)
        assert left <= was or result or ended or isinstance(fact, CalendarClosed), "I16: headroom rises by a valid result only"

    # ── the whole of it ─────────────────────────────────────────────────────────────────────────────────────────────────

    def whole(self) -> None:
        """Hold what can only be said at the end."""
        assert self.trips == self.explained, "I12: as many explanations as trips"
        starts = sorted(start_ns for segment, start_ns in self.records if segment == "RT")
        step_ns = self.rules.rt_interval_ns
        assert all(b - a == step_ns for a, b in pairwise(starts)), "I13: the periods add up to the day"
