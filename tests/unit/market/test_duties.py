"""The duty ledger: what opens and settles a duty, when people are reminded, and who may say that it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import Announcement, DecisionBody, DutyOpened, DutySettled, FindingNoted, Phase, RecoveryProposed, Refused, Transition
from market.duties import DutyLedger, followed, next_deadline_ns, open_for, ordered, ticked, unreported, view
from market.dutyledger import KINDS
from market.facts import CommandGiven, Segment
from market.handling import (
    ApprovalRecorded,
    ApprovalRequested,
    ApprovalVoided,
    CaseNoted,
    CaseOpened,
    DutyReceived,
    DutyReminded,
    RegimeProposed,
)
from market.rules import GUANGDONG_2023 as RULES
from market.rules import MarketRules, rules_from
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S, instant_text
from tests.kit.seensegments import SeenSegment, moved, tripped
from tests.kit.table import at_ns

NOON = at_ns("12:00")
H = NS_PER_H
FROM = NOON + 80 * H
OUT = SeenSegment(limit_from_ns=NOON)
OVERDUE = replace(OUT, phase=Phase.OVERDUE)
DECIDED = replace(OVERDUE, suspended_from_ns=FROM, expected_end_ns=FROM + 5 * NS_PER_DAY)
SUSPENDED = replace(DECIDED, phase=Phase.SUSPENDED)
BACK = SeenSegment(phase=Phase.NORMAL, ended_ns=at_ns("16:00"))
EFFECTIVE = moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE", article="Art. 29")
LATE = moved(Phase.TRIPPED, Phase.OVERDUE, "OVER_72_H")
DECISION = moved(Phase.OVERDUE, Phase.OVERDUE, "SUSPENSION_DECIDED", suspended_from_ns=FROM)
BEGAN = moved(Phase.OVERDUE, Phase.SUSPENDED, "SUSPENSION_BEGAN", suspended_from_ns=FROM)


class Ledger:
    """A duty ledger and everything it said."""

    def __init__(self, rules: MarketRules = RULES) -> None:
        self.ledger = DutyLedger()
        self.rules = rules
        self.said: list[DecisionBody] = []

    def keep(self, step: tuple[DutyLedger, tuple[DecisionBody, ...]]) -> Ledger:
        self.ledger, said = step
        self.said += said
        assert msgspec.json.decode(msgspec.json.encode(self.ledger), type=DutyLedger) == self.ledger
        return self

    def told(self, body: DecisionBody, now_ns: int = NOON, seen: SeenSegment | None = None) -> Ledger:
        return self.keep(followed(self.ledger, body, now_ns, self.rules, seen))

    def tick(self, now_ns: int) -> Ledger:
        return self.keep(ticked(self.ledger, now_ns, self.rules))

    def order(self, action: str, now_ns: int, by: str = "chen", role: str = "DISPATCH", **args: str) -> Ledger:
        command = CommandGiven(ts_event_ns=now_ns, command_id="c", by=by, role=role, action=action, args=args)
        return self.keep(ordered(self.ledger, command, now_ns, self.rules))

    def receipt(self, recipient: str, now_ns: int, duty: str = "explain", **more: str) -> Ledger:
        return self.order("RECEIPT", now_ns, duty=duty, recipient=recipient, **more)

    def done(self, duty: str, now_ns: int = FROM, role: str = "MO", **args: str) -> Ledger:
        return self.order("COMPLETE_DUTY", now_ns, role=role, duty=duty, **args)

    def next_ns(self, now_ns: int) -> int | None:
        return next_deadline_ns(self.ledger, now_ns, self.rules)

    def of(self, kind: type) -> list[Any]:
        return [body for body in self.said if isinstance(body, kind)]

    @property
    def opened(self) -> str:
        return " ".join(body.duty for body in self.of(DutyOpened))

    @property
    def settled(self) -> str:
        return " ".join(f"{body.duty}={body.outcome}({body.margin_s:g})" for body in self.of(DutySettled))

    @property
    def still_open(self) -> str:
        return " ".join(duty.duty for duty in self.ledger.duties)

    @property
    def refusal(self) -> Refused:
        refused = self.said[-1]
        assert isinstance(refused, Refused)
        return refused


def notice(kind: str = "TRIP", at: int = NOON, segment: Segment = Segment.RT, **facts: str) -> Announcement:
    return Announcement(
        number="n",
        announcement_kind=kind,
        segment=segment,
        subject="breaker",
        supersedes="",
        published_at_ns=at,
        text_zh="",
        text_en="",
        facts=facts,
    )


def out(rules: MarketRules = RULES) -> Ledger:
    """The real-time market tripped at noon, and said so at once."""
    return Ledger(rules).told(tripped(), NOON, OUT).told(notice())


def overdue() -> Ledger:
    return out().told(LATE, NOON + 72 * H + 1, OVERDUE)


def suspended() -> Ledger:
    """Overdue, everything of Art. 25 done, suspended."""
    ledger = overdue().receipt("GOV", FROM, "report").receipt("REG", FROM, "report").done("assess").done("measures")
    return ledger.told(DECISION, FROM, DECIDED).told(notice("SUSPENSION", FROM)).told(BEGAN, FROM + NS_PER_S, SUSPENDED)


# ── a trip ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trip_opens_three_duties_and_its_notice_settles_the_first() -> None:
    ledger = out()
    assert ledger.of(DutyOpened) == [
        DutyOpened(
            duty="announce",
            segment=Segment.RT,
            due_ns=NOON + 5 * NS_PER_MIN,
            article="policy Q9",
            key="announce/RT/2026-06-10T12:00:00+08:00",
        ),
        DutyOpened(
            duty="explain",
            segment=Segment.RT,
            due_ns=NOON + 48 * H,
            article="Art. 24",
            key="explain/RT/2026-06-10T12:00:00+08:00",
            recipients=("GOV", "REG", "PARTICIPANTS"),
        ),
        DutyOpened(duty="limit", segment=Segment.RT, due_ns=NOON + 72 * H, article="Art. 25", key="limit/RT/2026-06-10T12:00:00+08:00"),
    ]
    assert ledger.of(DutySettled) == [
        DutySettled(duty="announce", segment=Segment.RT, outcome="met", margin_s=300.0, key="announce/RT/2026-06-10T12:00:00+08:00")
    ]
    assert ledger.still_open == "explain limit"


@pytest.mark.parametrize(
    ("late_ns", "settled"),
    [(5 * NS_PER_MIN, "announce=met(0)"), (5 * NS_PER_MIN + NS_PER_MS, "announce=late(-0.001)")],
)
def test_an_announcement_at_its_target_is_in_time(late_ns: int, settled: str) -> None:
    assert Ledger().told(tripped(), NOON, OUT).told(notice(at=NOON + late_ns), NOON + late_ns).settled == settled


def test_an_announcement_that_does_not_come_alarms_after_five_at_fifteen_and_at_thirty_minutes() -> None:
    ledger = Ledger().told(tripped(), NOON, OUT)
    assert ledger.next_ns(NOON) == NOON + 5 * NS_PER_MIN + 1
    assert ledger.tick(NOON + 5 * NS_PER_MIN).of(DutyReminded) == []
    for minute in (6, 14, 15, 29, 30, 31):
        ledger.tick(NOON + minute * NS_PER_MIN)
    assert [(body.duty, body.hours * 60, body.overdue) for body in ledger.of(DutyReminded)] == [
        ("announce", 5, True),
        ("announce", 15, True),
        ("announce", 30, True),
    ]


def test_other_notices_do_not_stand_for_the_announcement_of_the_trip() -> None:
    ledger = Ledger().told(tripped(), NOON, OUT)
    ledger.told(notice("UPDATE")).told(notice("RECOVERY")).told(notice(segment=Segment.DA)).told(notice("SUSPENSION"))
    assert ledger.settled == ""


@pytest.mark.parametrize(("fact", "opens"), [({"by_analogy": "yes"}, True), ({"regime": "ART27_2"}, False), ({"by_analogy": "no"}, False)])
def test_prices_by_analogy_are_confirmed_by_the_trading_institution(fact: dict[str, str], opens: bool) -> None:
    ledger = Ledger().told(tripped(), NOON, OUT).told(notice(**fact))
    assert ("confirm_analogy" in ledger.still_open) is opens
    if opens:
        ledger.told(notice(**fact), NOON + H)
        task = ledger.of(DutyOpened)[-1]
        assert (ledger.opened.count("confirm_analogy"), task.owner, task.due_ns, task.article) == (1, "TRADING", None, "Art. 27(3)")
        assert "belongs to TRADING; chen acts as DISPATCH" in ledger.done("confirm_analogy", role="DISPATCH").refusal.why
        assert ledger.done("confirm_analogy", role="TRADING").settled.endswith("confirm_analogy=met(0)")


def test_only_the_trip_asks_whether_the_analogy_holds() -> None:
    assert out().told(notice("RECOVERY", by_analogy="yes")).still_open == "explain limit"


def test_two_segments_have_duties_of_their_own() -> None:
    ledger = out().told(tripped("DA_MISSED", Segment.DA), NOON + H, replace(OUT, limit_from_ns=NOON + H))
    assert ledger.still_open == "explain limit announce explain limit"
    ledger.told(EFFECTIVE, at_ns("16:00"), BACK)
    assert [duty.segment for duty in ledger.ledger.duties if duty.duty == "limit"] == ["DA"]


def test_what_opens_and_settles_nothing_changes_nothing() -> None:
    ledger = out()
    before = ledger.ledger
    assert followed(before, FindingNoted(finding="x", article="Art. 23", evidence=()), NOON, RULES, None) == (before, ())
    assert followed(before, moved(Phase.NORMAL, Phase.DEGRADED), NOON, RULES, SeenSegment(phase=Phase.DEGRADED)) == (before, ())


# ── the explanation ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_explanation_is_done_with_the_last_of_three_receipts() -> None:
    ledger = out().receipt("GOV", NOON + 21 * H).receipt("PARTICIPANTS", NOON + 22 * H)
    assert "explain" in ledger.still_open
    assert ledger.receipt("REG", NOON + 48 * H, reference="r-7").settled == "announce=met(300) explain=met(0)"
    assert ledger.of(DutyReceived)[-1] == DutyReceived(
        duty="explain",
        segment=Segment.RT,
        key="explain/RT/2026-06-10T12:00:00+08:00",
        recipient="REG",
        delivered_at_ns=NOON + 48 * H,
        reference="r-7",
        by="chen",
    )
    assert ledger.still_open == "limit"


def test_a_last_receipt_after_the_instant_is_late() -> None:
    ledger = out().receipt("GOV", NOON).receipt("PARTICIPANTS", NOON + H).receipt("REG", NOON + 48 * H + NS_PER_MS)
    assert ledger.settled.endswith("explain=late(-0.001)")


def test_what_counts_is_when_it_was_delivered_and_the_last_delivery_decides_in_whatever_order_they_are_entered() -> None:
    entered_ns = NOON + 60 * H
    ledger = out().tick(entered_ns)
    for recipient, hours in (("REG", 48), ("GOV", 1), ("PARTICIPANTS", 2)):
        ledger.receipt(recipient, entered_ns, delivered_at=instant_text(NOON + hours * H, "Asia/Shanghai"))
    assert ledger.settled.endswith("explain=met(0)"), "though it was said to be overdue, for nobody knew"


def test_reminders_come_at_their_marks_and_overdue_names_who_is_missing() -> None:
    ledger = out().receipt("GOV", NOON + H).receipt("PARTICIPANTS", NOON + 2 * H)
    seen = []
    now_ns: int | None = NOON
    while now_ns is not None and now_ns < NOON + 50 * H:
        seen.append(now_ns - NOON)
        ledger.tick(now_ns - 1).tick(now_ns).tick(now_ns)
        now_ns = ledger.next_ns(now_ns)
    # 48 h is a mark of the 72 h limit as well.
    assert seen == [0, 24 * H, 36 * H, 44 * H, 47 * H, 48 * H, 48 * H + 1]
    explain = [body for body in ledger.of(DutyReminded) if body.duty == "explain"]
    assert [(body.hours, body.overdue, body.missing) for body in explain] == [
        *((hours, False, ("REG",)) for hours in (24, 36, 44, 47)),
        (48, True, ("REG",)),
    ]
    assert {body.due_ns for body in explain} == {NOON + 48 * H}
    assert {body.key for body in explain} == {"explain/RT/2026-06-10T12:00:00+08:00"}
    assert {body.segment for body in explain} == {"RT"}


def test_a_mark_at_the_due_instant_is_a_reminder_and_one_after_it_is_overdue() -> None:
    ledger = out(rules_from({"duty_clocks": {"explain_reminders_h": [48, 49], "limit_reminders_h": [70]}})).tick(NOON + 50 * H)
    assert [(body.hours, body.overdue) for body in ledger.of(DutyReminded)] == [(48, False), (48, True), (49, True)]
    late = Ledger(rules_from({"duty_clocks": {"anomaly_reminders_min": [20, 40]}})).told(CASE, at_ns("09:00")).tick(at_ns("09:31"))
    assert late.next_ns(at_ns("09:31")) == at_ns("09:40")


def test_time_alone_never_meets_a_duty() -> None:
    ledger = out().tick(NOON + 1000 * H)
    assert ledger.still_open == "explain limit"
    assert ledger.settled == "announce=met(300)"
    assert ledger.next_ns(NOON + 1000 * H) is None


def test_the_explanation_survives_the_recovery() -> None:
    assert out().told(EFFECTIVE, at_ns("16:00"), BACK).still_open == "explain"


# ── receipts that are refused ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "role", "why"),
    [
        ({"recipient": "PRESS"}, "DISPATCH", "owes nothing to PRESS; it owes GOV, REG, PARTICIPANTS"),
        ({"recipient": "REG"}, "GOV", "chen acts as GOV and cannot sign for REG"),
        ({"recipient": "GOV"}, "DISPATCH", "GOV has explain/RT/2026-06-10T12:00:00+08:00 already"),
        ({"delivered_at": "yesterday"}, "DISPATCH", "delivered_at: 'yesterday' is not an ISO 8601 instant"),
        ({"delivered_at": "2026-06-10T13:00:00.001+08:00"}, "DISPATCH", "is to come; it is 2026-06-10T13:00:00+08:00 now"),
        ({"delivered_at": "2026-06-10T11:59:59.999+08:00"}, "DISPATCH", "is before explain/RT/2026-06-10T12:00:00+08:00 began"),
        ({"duty": "limit"}, "DISPATCH", "is settled by no receipt but by the end of the breaker"),
        ({"duty": "notice"}, "DISPATCH", "no duty notice is open; open: explain/RT/2026-06-10T12:00:00+08:00, limit/RT/"),
        ({"segment": "DA"}, "DISPATCH", "no duty explain of DA is open"),
    ],
)
def test_a_receipt_that_cannot_be_is_refused_and_changes_nothing(args: dict[str, str], role: str, why: str) -> None:
    ledger = out().receipt("GOV", NOON)
    before = ledger.ledger
    ledger.order("RECEIPT", at_ns("13:00"), role=role, **{"duty": "explain", "recipient": "REG", **args})
    assert why in ledger.refusal.why
    assert (ledger.ledger, ledger.refusal.by, ledger.refusal.role, ledger.refusal.command_id) == (before, "chen", role, "c")


def test_a_receipt_is_entered_by_its_recipient_or_by_an_operator_from_the_beginning_to_now() -> None:
    ledger = out().order("RECEIPT", at_ns("13:00"), role="REG", duty="explain", recipient="REG", delivered_at="2026-06-10T13:00:00+08:00")
    ledger.order("RECEIPT", at_ns("13:00"), role="TRADING", duty="explain", recipient="GOV", delivered_at="2026-06-10T12:00:00+08:00")
    assert [body.delivered_at_ns for body in ledger.of(DutyReceived)] == [at_ns("13:00"), NOON]


def test_a_duty_that_is_open_twice_is_named_by_its_segment_or_its_key() -> None:
    ledger = out().told(tripped("DA_MISSED", Segment.DA), NOON + H, OUT).told(tripped("SWITCHOVER"), NOON + 2 * H, OUT)
    why = ledger.receipt("GOV", NOON + 3 * H).refusal.why
    assert "explain is open 3 times; give one of explain/RT/2026-06-10T12:00:00+08:00, explain/DA/2026-06-10T13:00:00+08:00" in why
    assert "explain of RT is open 2 times" in ledger.receipt("GOV", NOON + 3 * H, segment="RT").refusal.why
    assert ledger.receipt("GOV", NOON + 3 * H, segment="DA").of(DutyReceived)[-1].segment == "DA"
    assert ledger.receipt("GOV", NOON + 3 * H, " explain/RT/2026-06-10T14:00:00+08:00 ").of(DutyReceived)[-1].key.endswith("14:00:00+08:00")


def test_nothing_is_received_where_nothing_is_open() -> None:
    refusal = Ledger().receipt("GOV", NOON).refusal
    assert (refusal.why, refusal.rule) == ("no duty explain is open; open: none", "Art. 24")


# ── the limit ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("hours", "settled"), [(4, "limit=lifted(244800)"), (72, "limit=lifted(0)"), (73, "limit=late(-3600)")])
def test_the_limit_is_lifted_by_the_end_of_the_breaker_and_late_after_it(hours: int, settled: str) -> None:
    end_ns = NOON + hours * H
    ledger = out().told(EFFECTIVE, end_ns + 7, replace(BACK, ended_ns=end_ns))
    assert ledger.settled.endswith(settled)
    assert "limit" not in ledger.still_open


def test_without_a_known_end_the_breaker_ended_now() -> None:
    assert out().told(EFFECTIVE, NOON + H, replace(BACK, ended_ns=None)).settled.endswith(f"limit=lifted({71 * 3600})")


def test_the_limit_reminds_at_its_marks_and_is_overdue_after_seventy_two_hours() -> None:
    ledger = out()
    for hours in range(80):
        ledger.tick(NOON + hours * H)
    limit = [(body.hours, body.overdue) for body in ledger.of(DutyReminded) if body.duty == "limit"]
    assert limit == [(48, False), (60, False), (66, False), (71, False), (72, True)]


def test_a_breaker_that_goes_on_keeps_its_limit_and_is_explained_anew() -> None:
    ledger = out().told(moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED"), NOON + H, replace(OUT, effective_from_ns=NOON + 2 * H))
    ledger.told(replace(tripped("SWITCHOVER"), before=Phase.RESUMING), NOON + H + NS_PER_MIN, OUT)
    assert ledger.opened == "announce explain limit announce explain"


def test_a_limit_that_continues_begins_in_the_past_and_skips_the_marks_that_are_over() -> None:
    again_ns = NOON + 60 * H
    ledger = Ledger().told(tripped(), again_ns, OUT)
    limit = ledger.of(DutyOpened)[-1]
    assert (limit.due_ns, limit.key) == (NOON + 72 * H, "limit/RT/2026-06-10T12:00:00+08:00")
    ledger.told(notice(at=again_ns), again_ns).tick(again_ns + 23 * H)
    assert [(body.hours, body.overdue) for body in ledger.of(DutyReminded)] == [(66, False), (71, False), (72, True)]


def test_marks_are_those_of_the_rules_when_the_duty_began() -> None:
    ledger = out(rules_from({"duty_clocks": {"explain_reminders_h": [10], "limit_reminders_h": [20]}}))
    ledger.rules = RULES
    foreseen = [ledger.tick(NOON + hours * H).next_ns(NOON + hours * H) for hours in (0, 10, 20)]
    assert foreseen == [NOON + 10 * H, NOON + 20 * H, NOON + 48 * H + 1]
    assert ledger.next_ns(NOON + 90 * H) == NOON + 90 * H + 1, "what is late is said at once"


# ── overdue, and suspended ──────────────────────────────────────────────────────────────────────────────────────────────


def test_an_overdue_breaker_opens_the_tasks_of_article_25_once() -> None:
    ledger = overdue().told(LATE, NOON + 73 * H, OVERDUE)
    assert ledger.opened == "announce explain limit report assess measures decide"
    assert [(body.recipients, body.owner, body.due_ns, body.article) for body in ledger.of(DutyOpened)[3:]] == [
        (("GOV", "REG"), "MO", None, "Art. 25"),
        *[((), "MO", None, "Art. 25")] * 3,
    ]
    assert unreported(ledger.ledger, Segment.RT) == (
        "report to GOV",
        "report to REG",
        "assessment of impact and trend",
        "emergency measures",
    )
    assert unreported(ledger.ledger, Segment.DA) == ()


def test_what_is_unreported_shrinks_with_each_step_and_is_empty_when_all_is_done() -> None:
    ledger = overdue().receipt("REG", FROM, "report")
    assert unreported(ledger.ledger, Segment.RT) == ("report to GOV", "assessment of impact and trend", "emergency measures")
    ledger.done("assess", text="two lines for five days").done("measures", role="DISPATCH", text="imports")
    assert unreported(ledger.ledger, Segment.RT) == ("report to GOV",)
    assert unreported(ledger.receipt("GOV", FROM, "report").ledger, Segment.RT) == ()
    assert ledger.settled == "announce=met(300) assess=met(0) measures=met(0) report=met(0)"
    assert ledger.still_open == "explain limit decide"


@pytest.mark.parametrize(("ended_after_ns", "reports"), [(-1, 1), (0, 2), (H, 2)])
def test_the_report_that_is_owed_of_an_earlier_breaker_says_nothing_of_the_next(ended_after_ns: int, reports: int) -> None:
    ledger = overdue()
    ended_ns = ledger.ledger.duties[-1].opened_ns + ended_after_ns
    ledger.told(tripped(), FROM, replace(OUT, ended_ns=ended_ns))
    ledger.told(LATE, FROM + 72 * H, replace(OVERDUE, ended_ns=ended_ns))
    assert ledger.still_open.split().count("report") == reports


def test_another_transition_of_an_overdue_segment_opens_no_tasks_and_decides_nothing() -> None:
    assert out().told(moved(Phase.OVERDUE, Phase.OVERDUE), NOON, OVERDUE).opened == "announce explain limit"
    assert "decide" in overdue().told(moved(Phase.OVERDUE, Phase.OVERDUE), FROM, OVERDUE).still_open


def test_tasks_without_a_clock_remind_of_nothing() -> None:
    ledger = overdue()
    assert ledger.next_ns(NOON) == NOON + 24 * H
    ledger.told(EFFECTIVE, FROM, replace(BACK, ended_ns=FROM)).tick(FROM + 1000 * H)
    assert {body.duty for body in ledger.of(DutyReminded)} == {"explain"}
    for recipient in ("GOV", "REG", "PARTICIPANTS"):
        ledger.receipt(recipient, FROM)
    assert (ledger.still_open, ledger.next_ns(FROM)) == ("report", None)
    assert ticked(ledger.ledger, FROM, RULES)[0] is ledger.ledger
    assert followed(ledger.ledger, moved(Phase.NORMAL, Phase.DEGRADED), FROM, RULES, BACK)[0] is ledger.ledger


def test_the_decision_settles_itself_and_asks_for_the_notice_and_the_start_ends_the_limit_late() -> None:
    assert "limit" in overdue().told(DECISION, FROM - H, DECIDED).still_open, "what is decided for later has not begun"
    ledger = suspended()
    assert ledger.opened.endswith("decide notice")
    assert ledger.settled.endswith(f"decide=met(0) notice=met(0) limit=late({-8 * 3600})")
    assert ledger.still_open == "explain"


def test_a_decision_of_one_segment_leaves_the_task_of_the_other() -> None:
    ledger = overdue().told(moved(Phase.OVERDUE, Phase.OVERDUE, segment=Segment.DA, suspended_from_ns=FROM), FROM, DECIDED)
    assert ledger.settled == "announce=met(300)"
    assert "notice" not in ledger.opened


def test_an_extension_asks_for_no_second_notice() -> None:
    assert suspended().told(moved(Phase.SUSPENDED, Phase.SUSPENDED, suspended_from_ns=FROM), FROM, SUSPENDED).opened.count("notice") == 1


def test_the_decision_cannot_be_reported_done() -> None:
    why = overdue().done("decide").refusal.why
    assert "cannot be reported done: it is settled by the decision to suspend, or the end of the breaker" in why


def test_a_recovery_of_an_overdue_breaker_is_told_to_both_bodies_and_ends_the_tasks_but_not_the_report() -> None:
    ledger = overdue().told(moved(Phase.OVERDUE, Phase.RESUMING, "RECOVERED"), FROM, replace(OVERDUE, effective_from_ns=FROM + H))
    inform = ledger.of(DutyOpened)[-1]
    assert (inform.duty, inform.recipients, inform.article, inform.owner) == ("inform", ("GOV", "REG"), "Art. 29", "DISPATCH")
    ledger.told(EFFECTIVE, FROM + H, replace(BACK, ended_ns=FROM + H))
    assert ledger.still_open == "explain report inform"
    assert ledger.settled.endswith("assess=lifted(0) measures=lifted(0) decide=lifted(0)")


def test_a_recovery_in_time_is_told_to_nobody_else() -> None:
    assert "inform" not in out().told(moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED"), NOON, OUT).opened
    assert "inform" not in overdue().told(DECISION, FROM, DECIDED).opened


def test_recovery_of_a_suspended_market_asks_for_the_application_until_it_is_filed() -> None:
    proposed = RecoveryProposed(segment=Segment.RT, shadow_ok=4)
    ledger = out().told(proposed, NOON, OUT)
    assert "apply" not in ledger.opened, "a breaker needs none"
    assert "apply" not in out().told(proposed, NOON, None).opened
    ledger = suspended().told(proposed, FROM, SUSPENDED).told(proposed, FROM + H, SUSPENDED)
    assert ledger.opened.count("apply") == 1
    assert "apply" in ledger.told(moved(Phase.SUSPENDED, Phase.SUSPENDED, suspended_from_ns=FROM), FROM, SUSPENDED).still_open
    ledger.told(
        moved(Phase.SUSPENDED, Phase.SUSPENDED, "RESUME_APPLIED", suspended_from_ns=FROM), FROM, replace(SUSPENDED, applied_at_ns=FROM)
    )
    assert ledger.settled.endswith("apply=met(0)")
    assert ledger.told(proposed, FROM, replace(SUSPENDED, applied_at_ns=FROM)).opened.count("apply") == 1
    assert suspended().told(proposed, FROM, replace(SUSPENDED, phase=Phase.SUSPENDED_LONG)).opened.endswith("apply")


def test_the_handling_of_a_long_suspension_is_confirmed_by_its_order_alone() -> None:
    regime = RegimeProposed(segment=Segment.RT, regime="ART28", from_ns=FROM, article="Art. 28", evidence=())
    ledger = suspended().told(regime, FROM).told(regime, FROM + H)
    task = ledger.of(DutyOpened)[-1]
    assert (task.duty, task.owner, task.article, ledger.opened.count("regime28")) == ("confirm_regime28", "TRADING", "Art. 28", 1)
    assert "the order CONFIRM_REGIME28" in ledger.done("confirm_regime28", role="TRADING").refusal.why
    assert "regime28" in ledger.told(moved(Phase.SUSPENDED, Phase.SUSPENDED, suspended_from_ns=FROM), FROM, SUSPENDED).still_open
    ledger.told(moved(Phase.SUSPENDED, Phase.SUSPENDED_LONG, suspended_from_ns=FROM), FROM, replace(SUSPENDED, phase=Phase.SUSPENDED_LONG))
    assert ledger.settled.endswith("confirm_regime28=met(0)")


@pytest.mark.parametrize("kind", ["apply", "confirm_regime28"])
@pytest.mark.parametrize("end", [EFFECTIVE, replace(tripped("SWITCHOVER"), before=Phase.RESUMING)])
def test_what_a_suspension_asks_for_is_lifted_when_the_market_is_back_or_breaks_again(kind: str, end: Transition) -> None:
    ledger = suspended()
    if kind == "apply":
        ledger.told(RecoveryProposed(segment=Segment.RT, shadow_ok=4), FROM, SUSPENDED)
    else:
        ledger.told(RegimeProposed(segment=Segment.RT, regime="ART28", from_ns=FROM, article="Art. 28", evidence=()), FROM)
    assert ledger.told(end, FROM, BACK if end is EFFECTIVE else OUT).settled.endswith(f"{kind}=lifted(0)")
    assert ledger.still_open == ("explain" if end is EFFECTIVE else "explain announce explain limit")


# ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────────

CASE = CaseOpened(case="2026-06-10-01", segment=None, anomaly="CANNOT_START", item="Art. 7(5)", discovered_ns=at_ns("09:00"), subject="S")


def test_an_anomaly_of_a_session_is_announced_within_thirty_minutes_of_its_discovery() -> None:
    ledger = Ledger().told(CASE, at_ns("09:00"))
    duty = ledger.of(DutyOpened)[0]
    assert (duty.duty, duty.key, duty.due_ns) == ("announce_anomaly", "announce_anomaly/2026-06-10-01", at_ns("09:30"))
    assert (duty.article, duty.owner, duty.segment) == ("Art. 11", "TRADING", None)
    for minute in range(35):
        ledger.tick(at_ns("09:00") + minute * NS_PER_MIN)
    assert [(round(body.hours * 60), body.overdue) for body in ledger.of(DutyReminded)] == [(20, False), (27, False), (30, True)]


@pytest.mark.parametrize(("clock", "settled"), [("09:30:00.000", "met(0)"), ("09:30:00.001", "late(-0.001)")])
def test_the_announcement_of_an_anomaly_at_the_instant_is_in_time(clock: str, settled: str) -> None:
    ledger = Ledger().told(CASE, at_ns("09:00")).done("announce_anomaly", at_ns(clock), role="TRADING")
    assert ledger.settled == f"announce_anomaly={settled}"
    told = notice("ANOMALY", at_ns(clock), case="2026-06-10-01")
    assert Ledger().told(CASE, at_ns("09:00")).told(told, at_ns(clock)).settled == f"announce_anomaly={settled}"


def test_an_anomaly_that_was_discovered_earlier_has_less_time_and_no_reminder_of_what_is_over() -> None:
    ledger = Ledger().told(CASE, at_ns("09:20"))
    assert ledger.of(DutyOpened)[0].due_ns == at_ns("09:30")
    assert Ledger().told(CASE, at_ns("09:45")).next_ns(at_ns("09:45")) == at_ns("09:45") + 1, "its time was over before it was known"
    assert ledger.tick(at_ns("09:20")).of(DutyReminded) == []
    assert ledger.next_ns(at_ns("09:20")) == at_ns("09:27")


def discovered(at: str, case: str = "2026-06-10-01") -> CaseNoted:
    return CaseNoted(case=case, entry="DISCOVERED", text=instant_text(at_ns(at), "Asia/Shanghai"), by="zhou")


def test_what_staff_discovered_earlier_brings_the_announcement_forward() -> None:
    """GD-11-3: the earliest of machine detection and staff record counts."""
    ledger = Ledger().told(CASE, at_ns("09:00")).tick(at_ns("09:20"))
    ledger.told(discovered("08:55:30.5"), at_ns("09:21"))
    (duty,) = ledger.ledger.duties
    assert (duty.key, duty.due_ns, duty.opened_ns) == ("announce_anomaly/2026-06-10-01", at_ns("09:25:30.5"), at_ns("09:21"))
    assert ledger.settled == "announce_anomaly=lifted(540)", "what was counted from the wrong instant is taken back"
    assert ledger.of(DutyOpened)[-1].due_ns == at_ns("09:25:30.5")
    assert ledger.next_ns(at_ns("09:21")) == at_ns("09:22:30.5"), "27 minutes after it was discovered"
    ledger.tick(at_ns("09:25:30.5")).tick(at_ns("09:25:30.501"))
    assert [body.overdue for body in ledger.of(DutyReminded)] == [False, False, True]


def test_a_discovery_so_early_that_the_time_is_over_makes_the_announcement_overdue_at_once() -> None:
    ledger = Ledger().told(CASE, at_ns("09:00")).told(discovered("08:00"), at_ns("09:40"))
    assert ledger.settled == "announce_anomaly=lifted(-600)"
    assert ledger.tick(at_ns("09:40")).of(DutyReminded)[-1].overdue
    assert ledger.told(notice("ANOMALY", at_ns("09:41"), case="2026-06-10-01"), at_ns("09:41")).settled.endswith("=late(-4260)")


def test_what_is_entered_in_a_case_otherwise_moves_no_clock() -> None:
    ledger = Ledger().told(CASE, at_ns("09:00"))
    before = ledger.ledger
    for other in (discovered("08:55", case="2026-06-10-02"), replace(discovered("08:55"), entry="LINKED")):
        assert ledger.told(other, at_ns("09:05")).ledger == before
    settled = ledger.told(notice("ANOMALY", at_ns("09:06"), case="2026-06-10-01"), at_ns("09:06"))
    assert settled.told(discovered("08:55"), at_ns("09:07")).still_open == "", "what was announced is announced"


def test_an_anomaly_of_the_spot_market_has_no_such_clock_and_another_case_settles_nothing() -> None:
    assert Ledger().told(replace(CASE, segment=Segment.RT), at_ns("09:00")).opened == ""
    ledger = Ledger().told(CASE, at_ns("09:00")).told(notice("ANOMALY", case="2026-06-10-02"))
    assert ledger.still_open == "announce_anomaly"


# ── approvals ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ASKED = ApprovalRequested(measure="RESUME/RT", article="Art. 30", digest="d", scope=(), by="li")


def said(body: str, form: str = "written", verdict: str = "APPROVED", measure: str = "RESUME/RT") -> ApprovalRecorded:
    return ApprovalRecorded(measure=measure, body=body, verdict=verdict, form=form, digest="d", scope=(), by="zhao", reference="")


def test_a_measure_that_is_put_to_both_bodies_is_answered_by_each() -> None:
    ledger = Ledger().told(ASKED, NOON).told(ASKED, NOON)
    assert [(body.key, body.owner, body.article, body.segment) for body in ledger.of(DutyOpened)] == [
        ("approval/RESUME/RT/GOV", "GOV", "Art. 30", "RT"),
        ("approval/RESUME/RT/REG", "REG", "Art. 30", "RT"),
    ]
    ledger.told(said("REG", verdict="REFUSED")).told(said("GOV"))
    assert [body.key for body in ledger.of(DutySettled)] == ["approval/RESUME/RT/REG", "approval/RESUME/RT/GOV"]
    assert ledger.settled == "approval=met(0) approval=met(0)"
    assert ledger.still_open == ""


def test_a_measure_that_was_changed_waits_for_nobody() -> None:
    ledger = Ledger().told(ASKED, NOON).told(ApprovalVoided(measure="RESUME/RT", why="changed", digest="d"))
    assert ledger.settled == "approval=lifted(0) approval=lifted(0)"


def test_what_was_owed_in_writing_is_owed_though_the_measure_was_changed_since() -> None:
    ledger = Ledger().told(ASKED, NOON).told(said("GOV", "oral"), NOON).told(ApprovalVoided(measure="RESUME/RT", why="changed", digest="d"))
    assert ledger.still_open == "written"


def test_a_measure_about_no_segment_has_duties_about_none() -> None:
    ledger = Ledger().told(replace(ASKED, measure="PUBLISH_RESULT/2026-06-11"), NOON)
    assert [body.segment for body in ledger.of(DutyOpened)] == [None, None]


def test_what_was_approved_by_telephone_is_asked_for_in_writing_within_a_day() -> None:
    ledger = Ledger().told(ASKED, NOON).told(said("GOV", "oral"), NOON)
    assert ledger.still_open == "approval written"
    duty = ledger.of(DutyOpened)[-1]
    assert (duty.key, duty.due_ns, duty.owner) == ("written/RESUME/RT/GOV", NOON + 24 * H, "MO")
    ledger.told(said("REG", "oral"), NOON + H)
    assert ledger.told(said("GOV"), NOON + 24 * H).settled.endswith("written=met(0)")
    assert ledger.done("written", NOON + 25 * H + NS_PER_MS).settled.endswith("written=late(-0.001)")
    assert ledger.still_open == ""


def test_what_was_refused_by_telephone_needs_no_writing() -> None:
    assert "written" not in Ledger().told(said("GOV", "oral", "REFUSED")).opened
    assert "written" not in Ledger().told(said("GOV")).opened


def test_a_written_request_that_does_not_come_is_overdue_after_a_day() -> None:
    ledger = Ledger().told(said("GOV", "oral"), NOON)
    assert ledger.next_ns(NOON) == NOON + 24 * H + 1
    assert ledger.tick(NOON + 24 * H).of(DutyReminded) == []
    assert [body.overdue for body in ledger.tick(NOON + 24 * H + 1).of(DutyReminded)] == [True]


# ── what people and cases see ───────────────────────────────────────────────────────────────────────────────────────────


def test_people_see_what_is_open_since_when_until_when_and_who_is_missing() -> None:
    ledger = overdue().receipt("GOV", NOON + H)
    shown = {each.duty: each for each in view(ledger.ledger, NOON + 48 * H)}
    explain = shown["explain"]
    assert (explain.key, explain.segment, explain.article) == ("explain/RT/2026-06-10T12:00:00+08:00", "RT", "Art. 24")
    assert (explain.owner, explain.opened_ns, explain.due_ns, explain.missing) == (
        "DISPATCH",
        NOON,
        NOON + 48 * H,
        ("REG", "PARTICIPANTS"),
    )
    assert not explain.overdue
    later = {each.duty: each.overdue for each in view(ledger.ledger, NOON + 48 * H + 1)}
    assert (later["explain"], later["limit"], later["decide"]) == (True, False, False)


def test_a_case_waits_for_the_duties_of_its_segment_since_it_was_opened_and_for_its_own() -> None:
    ledger = overdue().receipt("GOV", FROM, "report").told(CASE, at_ns("09:00")).told(tripped("DA_MISSED", Segment.DA), NOON, OUT)
    since_ns = NOON + 72 * H + 1
    day = "2026-06-13T12:00:00+08:00"
    assert open_for(ledger.ledger, Segment.RT, since_ns) == (
        f"report/RT/{day} (REG missing)",
        f"assess/RT/{day}",
        f"measures/RT/{day}",
        f"decide/RT/{day}",
    )
    assert len(open_for(ledger.ledger, Segment.RT, NOON)) == 6
    assert open_for(ledger.ledger, Segment.RT, since_ns + 1) == ()
    assert open_for(ledger.ledger, Segment.RT, NOON, NOON) == ()
    assert len(open_for(ledger.ledger, Segment.RT, NOON, since_ns)) == 2, "what is opened when the next case is belongs to that one"
    assert open_for(ledger.ledger, None, 0) == ()
    assert open_for(ledger.ledger, None, 0, None, "2026-06-10-01") == ("announce_anomaly/2026-06-10-01",)
    assert open_for(ledger.ledger, None, 0, None, "2026-06-10-02") == ()


def test_every_kind_says_how_it_ends() -> None:
    by_owner = {kind for kind, each in KINDS.items() if not each.settled_by}
    assert by_owner == {"confirm_analogy", "assess", "measures", "written", "announce_anomaly"}
    assert all(each.settled_by == "receipts" for each in KINDS.values() if each.recipients)


def test_nothing_is_reported_done_that_has_recipients_or_is_not_open() -> None:
    assert "it is settled by receipts" in out().done("explain").refusal.why
    refusal = out().done("assess").refusal
    assert "no duty assess is open" in refusal.why
    assert refusal.rule == "Art. 25"


# ── whenever ticks come ─────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(min_value=0, max_value=80 * 60), max_size=12), st.sampled_from(["", "GOV", "GOV REG PARTICIPANTS"]))
def test_the_same_is_said_whenever_ticks_come_and_however_often(minutes: list[int], receipts: str) -> None:
    def story(ticks: list[int]) -> list[DecisionBody]:
        ledger = Ledger().told(tripped(), NOON, OUT).told(CASE, NOON)
        for recipient in receipts.split():
            ledger.receipt(recipient, NOON)
        last_ns = NOON - 1
        for now_ns in ticks:
            said, due_ns = len(ledger.said), ledger.next_ns(last_ns)
            ledger.tick(now_ns)
            assert (len(ledger.said) > said) is (due_ns is not None and due_ns <= now_ns), "said when it was foreseen"
            assert ledger.next_ns(now_ns - 1) != now_ns, "nothing is left to say"
            last_ns, said = now_ns, len(ledger.said)
            assert len(ledger.tick(now_ns).said) == said, "told once"
        return sorted(ledger.tick(NOON + 80 * H).said, key=repr)

    assert story(sorted(NOON + minute * NS_PER_MIN for minute in minutes)) == story([])


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_an_explanation_is_met_only_by_three_receipts_in_time(data: st.DataObject) -> None:
    ledger = out()
    hours = data.draw(st.lists(st.integers(min_value=0, max_value=60), min_size=0, max_size=3))
    for recipient, hour in zip(("GOV", "REG", "PARTICIPANTS"), sorted(hours), strict=False):
        ledger.receipt(recipient, NOON + hour * H)
    ledger.tick(NOON + 100 * H)
    outcomes = [body.outcome for body in ledger.of(DutySettled) if body.duty == "explain"]
    assert outcomes == ([] if len(hours) < 3 else ["met"] if max(hours) <= 48 else ["late"])
