"""The notice board: what is announced when, what takes whose place, and which promise was not kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.decisions import Announcement, DecisionBody, FindingNoted, Phase, Refused, Transition
from market.facts import CommandGiven, Segment
from market.notices import (
    NoticeBoard,
    active,
    followed,
    issued,
    next_deadline_ns,
    ordered,
    ticked,
    view,
    withdrawn,
)
from market.rules import GUANGDONG_2023 as RULES
from market.rules import rules_from
from market.units import NS_PER_DAY, NS_PER_MIN, instant_text
from tests.kit.seensegments import SeenCondition, SeenSegment, moved, tripped
from tests.kit.table import at_ns

TRIP = at_ns("12:00:30")
FROM = at_ns("15:00") + 3 * NS_PER_DAY
END = FROM + 5 * NS_PER_DAY
OUT = SeenSegment()
DECIDED = SeenSegment(phase=Phase.OVERDUE, suspended_from_ns=FROM, expected_end_ns=END)
SUSPENDED = replace(DECIDED, phase=Phase.SUSPENDED)
LONG = replace(DECIDED, phase=Phase.SUSPENDED_LONG, long_from_ns=FROM + 8 * NS_PER_DAY)
DA_OUT = SeenSegment(condition=SeenCondition(basis="DA_MISSED", evidence=("no result",)), operating_day="2026-06-11")
RESUMING = SeenSegment(phase=Phase.RESUMING, effective_from_ns=at_ns("16:00"))


class Board:
    """A notice board and everything it said."""

    def __init__(self) -> None:
        self.board = NoticeBoard()
        self.said: list[DecisionBody] = []
        self.segments: dict[Segment, SeenSegment] = {
            Segment.RT: SeenSegment(phase=Phase.NORMAL),
            Segment.DA: SeenSegment(phase=Phase.NORMAL),
        }

    def keep(self, step: tuple[NoticeBoard, tuple[DecisionBody, ...]]) -> Board:
        self.board, said = step
        self.said += said
        # What is kept across a restart is what was remembered.
        assert msgspec.json.decode(msgspec.json.encode(self.board), type=NoticeBoard) == self.board
        return self

    def told(self, body: Transition, seen: SeenSegment, now_ns: int = TRIP, *, day_ahead: bool = True, real_time: bool = False) -> Board:
        self.segments[body.segment] = seen
        return self.keep(followed(self.board, body, now_ns, RULES, seen, day_ahead=day_ahead, real_time=real_time))

    def order(self, action: str, now_ns: int = TRIP, **args: str) -> Board:
        command = CommandGiven(ts_event_ns=now_ns, command_id="c", by="chen", role="DISPATCH", action=action, args=args)
        return self.keep(ordered(self.board, command, now_ns, RULES, self.segments))

    def update(self, now_ns: int = TRIP, **args: str) -> Board:
        return self.order("PUBLISH_UPDATE", now_ns, **{"text_zh": "正在抢修。", "text_en": "Repairs go on.", **args})

    def correct(self, number: str, now_ns: int = TRIP) -> Board:
        return self.order("CORRECT_NOTICE", now_ns, number=number, reason="wrong clause", text_zh="应为第二项。", text_en="Item 2.")

    def tick(self, now_ns: int) -> Board:
        return self.keep(ticked(self.board, now_ns, RULES))

    @property
    def notices(self) -> list[Announcement]:
        return [body for body in self.said if isinstance(body, Announcement)]

    @property
    def last(self) -> Announcement:
        return self.notices[-1]

    @property
    def kinds(self) -> str:
        return " ".join(notice.announcement_kind for notice in self.notices)

    @property
    def refusal(self) -> Refused:
        refused = self.said[-1]
        assert isinstance(refused, Refused)
        return refused


def out() -> Board:
    """The real-time market tripped at 12:00:30."""
    return Board().told(tripped(), OUT)


def suspended() -> Board:
    """A suspension that was decided, and began."""
    board = out().told(decided(), DECIDED, FROM - 1)
    return board.told(moved(Phase.OVERDUE, Phase.SUSPENDED, suspended_from_ns=FROM, expected_end_ns=END), SUSPENDED, FROM)


def decided(end_ns: int = END) -> Transition:
    return moved(
        Phase.OVERDUE, Phase.OVERDUE, "SUSPENSION_DECIDED", suspended_from_ns=FROM, expected_end_ns=end_ns, evidence=("no lines",), by="li"
    )


# ── trip and recovery ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trip_is_announced_in_the_words_and_with_the_facts_it_always_had() -> None:
    board = out()
    (notice,) = board.notices
    assert (notice.number, notice.announcement_kind, notice.segment, notice.subject) == ("RT-2026-06-10-01", "TRIP", "RT", "breaker")
    assert (notice.supersedes, notice.published_at_ns) == ("", TRIP)
    assert notice.text_en == (
        "[RT-2026-06-10-01] Market breaker tripped: real-time market. Cause: real-time clearing unavailable for 120 minutes without a "
        "break (Art. 23(1)). Condition met at 2026-06-10 12:00:00; tripped at 2026-06-10 12:00:30. In effect from interval 2026-06-10 "
        "12:00:00. Pricing: Art. 27(2): day-ahead price of the same period for real-time. Next update by 2026-06-10 13:00:30. "
        "Times are UTC+08:00."
    )
    assert notice.text_zh == (
        "【RT-2026-06-10-01】电力现货实时市场熔断公告。原因：实时市场连续 120 分钟未能出清（第二十三条第（一）项）。条件成立时刻："
        "2026年6月10日12:00:00；熔断时刻：2026年6月10日12:00:30。自 2026年6月10日12:00:00 起的时段适用熔断处理。价格规则：按第二十七条："
        "实时市场熔断时段采用日前市场同时段价格。下次通报不晚于 2026年6月10日13:00:30。以上时间均为 UTC+08:00。"
    )
    expected = {
        "article": "Art. 23(1)",
        "condition_met_at": "2026-06-10T12:00:00+08:00",
        "tripped_at": "2026-06-10T12:00:30+08:00",
        "first_interval": "2026-06-10T12:00:00+08:00",
        "limit_min": "120",
        "next_update": "2026-06-10T13:00:30+08:00",
        "evidence": "8 MISSED, 0 FAILED",
        "number": "RT-2026-06-10-01",
        "supersedes": "–",
        "template": "T01",
        "regime": "ART27_2",
    }
    assert expected.items() <= notice.facts.items()
    assert "by_analogy" not in notice.facts
    assert active(board.board) == ("RT-2026-06-10-01",)


def test_a_trip_names_what_was_lost_and_prices_by_analogy_where_nothing_else_prices() -> None:
    condition = SeenCondition(
        basis="TOPOLOGY_HARD", details={"elements": "L1, L2, L3", "load_lost_mw": "16800", "load_before_mw": "120000"}
    )
    notice = Board().told(tripped("TOPOLOGY_HARD"), replace(OUT, condition=condition), day_ahead=False).last
    assert "L1, L2, L3 lost, with 16800 MW of 120000 MW" in notice.text_en
    assert notice.facts["by_analogy"] == "yes"


def test_a_trip_of_the_day_ahead_market_names_its_day_and_its_deadline_and_leaves_real_time_alone() -> None:
    body = tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11")
    board = out().told(body, DA_OUT, at_ns("23:00:30"), day_ahead=False, real_time=True)
    assert board.last.number == "DA-2026-06-10-01"
    assert "operating day 2026-06-11" in board.last.text_en
    assert "before 23:00 (" in board.last.text_en
    assert board.last.facts["regime"] == "ART27_1"
    assert active(board.board) == ("RT-2026-06-10-01", "DA-2026-06-10-01")


def test_a_trip_by_persons_shows_the_cause_and_the_document() -> None:
    body = tripped("OTHER", article="Art. 23(3)", cause="FORCE_MAJEURE", reference="typhoon-red-1", by="wang")
    notice = Board().told(body, replace(OUT, condition=SeenCondition(basis="OTHER", evidence=("typhoon",)))).last
    assert "force majeure (Art. 5(1)): typhoon, shown by typhoon-red-1 (Art. 23(3))" in notice.text_en


def test_a_recovery_takes_the_place_of_the_trip_and_once_in_effect_none_is_in_force() -> None:
    body = moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", article="Art. 29", by="chen", evidence=("override: storm is over",))
    board = out().told(body, RESUMING, at_ns("15:25"))
    notice = board.last
    assert notice.facts["evidence"] == "override: storm is over"
    assert "reason" not in notice.facts
    assert notice.text_en == (
        "[RT-2026-06-10-02] Recovery of the real-time market (supersedes RT-2026-06-10-01). Basis: Art. 29. Decided by dispatch (chen) at "
        "2026-06-10 15:25:00; market prices return from interval 2026-06-10 16:00:00; until then: Art. 27(2): day-ahead price of the same "
        "period for real-time. Times are UTC+08:00."
    )
    assert notice.facts["effective_from"] == "2026-06-10T16:00:00+08:00"
    assert notice.supersedes == "RT-2026-06-10-01"
    assert active(board.board) == ("RT-2026-06-10-02",)
    board.told(moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE", article="Art. 29"), SeenSegment(phase=Phase.NORMAL), at_ns("16:00"))
    assert (active(board.board), len(board.notices)) == ((), 2)


def test_a_day_ahead_market_recovers_by_operating_day() -> None:
    seen = replace(RESUMING, operating_day="2026-06-11", effective_from_ns=at_ns("00:00") + 2 * NS_PER_DAY)
    body = moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", Segment.DA, article="Art. 29", by="chen", operating_day="2026-06-11")
    assert "return from operating day 2026-06-12" in Board().told(body, seen).last.text_en


def test_the_end_of_one_segment_leaves_the_notice_of_the_other_and_of_other_subjects() -> None:
    board = out().told(tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT)
    facts = {"article": "Art. 20", "operating_day": "2026-06-11", "version": "2", "difference": "L7", "published_at": instant_text(TRIP)}
    other, notice = issued(board.board, "BOUNDARY", Segment.RT, facts, TRIP, RULES, subject="boundary/2026-06-11")
    assert notice.supersedes == ""
    board.keep((other, (notice,)))
    board.told(moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE"), SeenSegment(phase=Phase.NORMAL))
    assert active(board.board) == ("DA-2026-06-10-01", "RT-2026-06-10-02")
    assert active(withdrawn(board.board, Segment.RT, "boundary/2026-06-11")) == ("DA-2026-06-10-01",)
    assert withdrawn(board.board, Segment.DA, "boundary/2026-06-11") is board.board


def test_a_trip_during_a_recovery_takes_its_place() -> None:
    board = out().told(moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", article="Art. 29", by="chen"), RESUMING)
    board.told(replace(tripped("SWITCHOVER"), before=Phase.RESUMING), OUT)
    assert (board.last.supersedes, active(board.board)) == ("RT-2026-06-10-02", ("RT-2026-06-10-03",))


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        (Phase.NORMAL, Phase.DEGRADED, SeenSegment(phase=Phase.DEGRADED)),
        (Phase.DEGRADED, Phase.PROPOSED, SeenSegment(phase=Phase.PROPOSED)),
        (Phase.RESUMING, Phase.PROPOSED, replace(RESUMING, phase=Phase.PROPOSED)),
        (Phase.PROPOSED, Phase.RESUMING, RESUMING),
        (Phase.TRIPPED, Phase.OVERDUE, replace(OUT, phase=Phase.OVERDUE)),
    ],
)
def test_what_changes_nothing_for_participants_is_not_announced(before: Phase, after: Phase, seen: SeenSegment) -> None:
    assert Board().told(moved(before, after), seen).said == []


def test_a_proposal_during_a_resumption_is_not_announced_as_a_suspension() -> None:
    body = moved(Phase.RESUMING, Phase.PROPOSED, suspended_from_ns=FROM, expected_end_ns=END)
    assert Board().told(body, replace(RESUMING, phase=Phase.PROPOSED)).said == []


def test_only_transitions_are_announced() -> None:
    noted = FindingNoted(finding="x", article="Art. 23", evidence=())
    board = NoticeBoard()
    assert followed(board, noted, TRIP, RULES, OUT, day_ahead=True, real_time=False) == (board, ())
    assert followed(board, tripped(), TRIP, RULES, None, day_ahead=True, real_time=False) == (board, ())


def test_a_notice_about_an_operating_day_is_forgotten_when_the_day_is_over_and_one_about_the_breaker_is_not() -> None:
    board = Board().told(tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT)
    facts = {"article": "Art. 21", "operating_day": "2026-06-11", "deadline_at": instant_text(TRIP), "reason": "gateway"}
    board.keep((issued(board.board, "DEADLINE", Segment.DA, facts, TRIP, RULES, subject="deadline/2026-06-11")[0], ()))
    case = {"article": "Art. 11", "case": "7", "discovered_at": instant_text(TRIP), "words_zh": "x", "words_en": "x"}
    board.keep((issued(board.board, "ANOMALY", Segment.RT, case, TRIP, RULES, subject="case/7")[0], ()))
    later = {**facts, "operating_day": "2026-06-12"}
    board.keep((issued(board.board, "DEADLINE", Segment.DA, later, TRIP, RULES, subject="deadline/2026-06-12")[0], ()))
    end_ns = at_ns("00:00") + 2 * NS_PER_DAY
    board.tick(end_ns - 2)
    assert ticked(board.board, end_ns - 1, RULES)[0] is board.board, "nothing is over yet"
    assert active(board.tick(end_ns).board) == ("DA-2026-06-10-01", "RT-2026-06-10-01", "DA-2026-06-10-03")


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_numbers_count_by_segment_and_civil_day() -> None:
    board = out()
    for now_ns in (at_ns("13:00"), at_ns("23:59:59.999"), at_ns("24:00"), at_ns("25:00")):
        board.update(now_ns)
    board.told(tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT, at_ns("25:00"))
    assert [notice.number for notice in board.notices] == [
        *("RT-2026-06-10-01", "RT-2026-06-10-02", "RT-2026-06-10-03", "RT-2026-06-11-01", "RT-2026-06-11-02"),
        "DA-2026-06-11-01",
    ]


def test_a_number_goes_beyond_two_digits_and_is_not_given_again_after_a_recovery() -> None:
    board = out()
    for minute in range(1, 101):
        board.update(TRIP + minute * NS_PER_MIN)
    assert board.last.number == "RT-2026-06-10-101"
    board.told(moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE"), SeenSegment(phase=Phase.NORMAL), at_ns("16:00"))
    assert board.told(tripped(), OUT, at_ns("18:00")).last.number == "RT-2026-06-10-102"


# ── suspension ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_suspension_is_announced_when_it_is_decided_with_its_three_facts_and_not_again_when_it_begins() -> None:
    board = suspended()
    assert board.kinds == "TRIP SUSPENSION"
    text = board.last.text_en
    assert "Basis: Art. 26. Reason: no lines. Start: 2026-06-13 15:00:00; expected end: 2026-06-18 15:00:00." in text
    assert "Pricing: Art. 27(2)" in text
    assert (board.last.facts["by"], board.last.facts["template"]) == ("li", "T05")


def test_a_suspension_that_begins_at_once_is_announced_too() -> None:
    body = moved(Phase.OVERDUE, Phase.SUSPENDED, suspended_from_ns=FROM, expected_end_ns=END, evidence=("no lines",))
    assert out().told(body, SUSPENDED, FROM).kinds == "TRIP SUSPENSION"


def test_the_thirty_day_mean_of_a_suspension_is_by_no_analogy() -> None:
    board = out().told(decided(), DECIDED, FROM - 1, day_ahead=False)
    assert board.last.facts["regime"] == "ART27_3"
    assert "by_analogy" not in board.last.facts
    body = moved(Phase.OVERDUE, Phase.RESUMING, "RECOVERED", article="Art. 29", by="chen")
    assert out().told(body, RESUMING, day_ahead=False).last.facts["by_analogy"] == "yes", "a breaker's is"


def test_a_later_expected_end_is_an_extension_and_the_same_one_nothing() -> None:
    board = suspended()
    later = replace(SUSPENDED, expected_end_ns=END + 1)
    body = moved(
        *(Phase.SUSPENDED, Phase.SUSPENDED, "SUSPENSION_EXTENDED"),
        suspended_from_ns=FROM,
        expected_end_ns=END + 1,
        evidence=("more repairs",),
        article="Art. 26",
    )
    board.told(body, later, FROM + 1)
    assert board.kinds == "TRIP SUSPENSION EXTENSION"
    assert (board.last.supersedes, board.last.facts["reason"]) == ("RT-2026-06-13-01", "more repairs")
    applied = moved(Phase.SUSPENDED, Phase.SUSPENDED, "RESUME_APPLIED", suspended_from_ns=FROM, expected_end_ns=END + 1)
    assert board.told(applied, later, FROM + 2).kinds == "TRIP SUSPENSION EXTENSION"


def test_the_handling_of_a_long_suspension_is_announced_once_with_its_first_day() -> None:
    board = suspended()
    known = {"suspended_from_ns": FROM, "expected_end_ns": END}
    board.told(moved(Phase.SUSPENDED, Phase.SUSPENDED_LONG, "REGIME28_CONFIRMED", article="Art. 28", **known), LONG, FROM + 1)
    assert board.kinds == "TRIP SUSPENSION REGIME28"
    assert "From 2026-06-21 15:00:00 on Art. 28 applies" in board.last.text_en
    board.told(moved(Phase.SUSPENDED_LONG, Phase.SUSPENDED_LONG, "RESUME_APPLIED", article="Art. 30", **known), LONG, FROM + 2)
    assert board.kinds == "TRIP SUSPENSION REGIME28"


@pytest.mark.parametrize(
    ("before", "pricing"), [(Phase.SUSPENDED, "Art. 27(2): day-ahead price"), (Phase.SUSPENDED_LONG, "Art. 28: actual volumes")]
)
def test_a_resumption_is_announced_with_what_prices_until_then(before: Phase, pricing: str) -> None:
    seen = replace(RESUMING, suspended_from_ns=FROM, expected_end_ns=END)
    known = {"suspended_from_ns": FROM, "expected_end_ns": END}
    board = suspended().told(moved(before, Phase.RESUMING, "RESUMED", article="Art. 30", by="li", **known), seen, FROM + 1)
    assert board.kinds == "TRIP SUSPENSION RESUMPTION"
    assert f"until then: {pricing}" in board.last.text_en
    assert "Announced by li" in board.last.text_en
    assert "reason" not in board.last.facts, "without evidence there is no reason to give"


# ── updates and corrections ─────────────────────────────────────────────────────────────────────────────────────────────


def test_an_update_takes_the_place_of_the_trip_and_promises_the_next() -> None:
    board = out().update(at_ns("12:40"))
    assert board.last.text_en == (
        "[RT-2026-06-10-02] Update on the real-time market (supersedes RT-2026-06-10-01). Now: tripped at 2026-06-10 12:00:30. "
        "Repairs go on. All else as in RT-2026-06-10-01. Next update by 2026-06-10 13:40:00. Times are UTC+08:00."
    )
    assert active(board.board) == ("RT-2026-06-10-02",)
    board.update(at_ns("13:00"), next_update="2026-06-10T13:00:00.001+08:00")
    assert "All else as in RT-2026-06-10-01. Next update by 2026-06-10 13:00:00.001" in board.last.text_en
    (seen,) = view(board.board)
    assert (seen.number, seen.kind, seen.segment, seen.subject) == ("RT-2026-06-10-03", "UPDATE", "RT", "breaker")
    assert seen.next_update_ns == at_ns("13:00:00.001")


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (replace(OUT, phase=Phase.OVERDUE), "Now: tripped at 2026-06-10 12:00:30, for more than 72 hours."),
        (DECIDED, "Now: to be suspended from 2026-06-13 15:00:00, expected until 2026-06-18 15:00:00."),
        (SUSPENDED, "Now: suspended since 2026-06-13 15:00:00, expected until 2026-06-18 15:00:00."),
        (LONG, "Now: suspended since 2026-06-13 15:00:00, expected until 2026-06-18 15:00:00, handled by Art. 28."),
        (RESUMING, "Now: to return to the market from 2026-06-10 16:00:00."),
        (replace(RESUMING, phase=Phase.PROPOSED), "Now: to return to the market from 2026-06-10 16:00:00."),
    ],
)
def test_an_update_says_how_the_segment_stands(seen: SeenSegment, state: str) -> None:
    board = out()
    board.segments[Segment.RT] = seen
    assert state in board.update().last.text_en


def test_an_update_of_the_day_ahead_market_is_asked_for_by_name() -> None:
    board = out().told(tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT)
    board.update(segment="DA")
    assert "Update on the day-ahead market (operating day 2026-06-11)" in board.last.text_en
    assert active(board.board) == ("RT-2026-06-10-01", "DA-2026-06-10-02")


def test_an_extension_after_an_update_is_still_told_from_the_suspension_it_extends() -> None:
    board = suspended().update(FROM)
    applied = moved(Phase.SUSPENDED, Phase.SUSPENDED, "RESUME_APPLIED", suspended_from_ns=FROM, expected_end_ns=END)
    assert board.told(applied, SUSPENDED, FROM + 1).kinds == "TRIP SUSPENSION UPDATE"
    later = moved(Phase.SUSPENDED, Phase.SUSPENDED, suspended_from_ns=FROM, expected_end_ns=END + 1, evidence=("more",))
    assert board.told(later, SUSPENDED, FROM + 1).kinds == "TRIP SUSPENSION UPDATE EXTENSION"


@pytest.mark.parametrize(
    ("args", "why"),
    [
        ({"segment": "DA"}, "there is no notice of DA to update; in force: RT-2026-06-10-01"),
        ({"segment": "GAS"}, "there is no notice of GAS to update"),
        ({"next_update": "soon"}, "next_update: 'soon' is not an ISO 8601 instant"),
        ({"next_update": "2026-06-10T12:00:30+08:00"}, "is not ahead; it is 2026-06-10T12:00:30"),
    ],
)
def test_an_update_that_cannot_be_is_refused_and_changes_nothing(args: dict[str, str], why: str) -> None:
    board = out()
    before = board.board
    assert why in board.update(TRIP, **args).refusal.why
    assert (board.board, board.refusal.command_id, board.refusal.by) == (before, "c", "chen")


def test_without_a_notice_there_is_nothing_to_update() -> None:
    assert Board().update().refusal.why == "there is no notice of RT to update; in force: none"
    assert Board().update().refusal.rule == "Art. 23"


def test_a_notice_about_something_else_is_not_updated_in_the_place_of_the_breakers() -> None:
    facts = {"article": "Art. 20", "operating_day": "2026-06-11", "version": "2", "difference": "L7", "published_at": instant_text(TRIP)}
    board = Board()
    board.keep((issued(board.board, "BOUNDARY", Segment.RT, facts, TRIP, RULES, subject="boundary/2026-06-11")[0], ()))
    assert "there is no notice of RT to update" in board.update().refusal.why
    board.segments[Segment.RT] = SeenSegment(phase=Phase.PROPOSED)
    board.correct("RT-2026-06-10-01")
    assert (board.last.subject, board.last.supersedes) == ("boundary/2026-06-11", "RT-2026-06-10-01")
    assert board.last.facts["operating_day"] == "2026-06-11", "the day it is about, not that of a breaker"
    assert "Now: in normal operation." in board.last.text_en


def test_a_correction_takes_the_place_of_what_it_corrects_and_keeps_its_promise() -> None:
    board = out().correct("RT-2026-06-10-01", at_ns("12:30"))
    assert board.last.text_en == (
        "[RT-2026-06-10-02] Correction of a notice on the real-time market (supersedes RT-2026-06-10-01). Why: wrong clause. Now: tripped "
        "at 2026-06-10 12:00:30. Corrected: Item 2. All else as in RT-2026-06-10-01. Next update by 2026-06-10 13:00:30. "
        "Times are UTC+08:00."
    )
    assert board.last.supersedes == "RT-2026-06-10-01"
    assert "RT-2026-06-10-01 is not in force; in force: RT-2026-06-10-02" in board.correct("RT-2026-06-10-01").refusal.why
    assert board.correct(" RT-2026-06-10-02 ").last.supersedes == "RT-2026-06-10-02"


def test_a_correction_of_a_notice_that_promised_nothing_promises_nothing() -> None:
    board = suspended()
    board.correct(board.last.number, FROM)
    assert "next_update" not in board.last.facts
    later = moved(Phase.SUSPENDED, Phase.SUSPENDED, suspended_from_ns=FROM, expected_end_ns=END)
    assert board.told(later, SUSPENDED, FROM).kinds == "TRIP SUSPENSION CORRECTION", "it is the same suspension"


# ── promises ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_update_that_was_promised_is_overdue_after_its_instant_and_noted_once() -> None:
    board = out()
    due_ns = at_ns("13:00:30")
    assert next_deadline_ns(board.board, TRIP, RULES) == due_ns + 1
    assert board.tick(due_ns).said[1:] == [], "no later than includes the instant"
    assert next_deadline_ns(board.board, due_ns, RULES) == due_ns + 1
    assert next_deadline_ns(board.board, due_ns + 5, RULES) == due_ns + 6, "a promise that was not looked at in time is late at once"
    (noted,) = board.tick(due_ns + 1).said[1:]
    assert isinstance(noted, FindingNoted)
    assert noted.finding == "UPDATE_OVERDUE"
    assert noted.article == "Art. 23"
    assert noted.evidence == ("notice RT-2026-06-10-01 promised an update by 2026-06-10T13:00:30+08:00",)
    assert board.tick(due_ns + 2).said[2:] == []
    assert next_deadline_ns(board.board, due_ns + 1, RULES) is None


def test_a_promise_that_was_kept_or_that_nobody_needs_any_more_is_not_overdue() -> None:
    board = out().update(at_ns("13:00:30"))
    assert board.tick(at_ns("14:00:30")).said[2:] == []
    assert next_deadline_ns(board.board, at_ns("14:00:30"), RULES) == at_ns("14:00:30") + 1
    board.told(moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE"), SeenSegment(phase=Phase.NORMAL), at_ns("14:00:30"))
    assert next_deadline_ns(board.board, at_ns("14:00:30"), RULES) is None
    assert board.tick(at_ns("15:00")).said[2:] == []


def test_a_missed_promise_is_noted_again_only_after_a_new_promise() -> None:
    board = out().tick(at_ns("14:00"))
    board.correct("RT-2026-06-10-01", at_ns("14:01")).tick(at_ns("14:02"))
    assert len([body for body in board.said if isinstance(body, FindingNoted)]) == 1, "a correction promises nothing new"
    board.update(at_ns("14:03")).tick(at_ns("15:03:00.001"))
    assert len([body for body in board.said if isinstance(body, FindingNoted)]) == 2
    board.correct(board.last.number, at_ns("15:04")).update(at_ns("15:05"))
    board.correct(board.last.number, at_ns("15:06")).tick(at_ns("17:00"))
    assert len([body for body in board.said if isinstance(body, FindingNoted)]) == 3, (
        "a correction keeps a promise that is still to be kept"
    )


def test_what_promises_nothing_is_waited_for_by_nobody() -> None:
    board = suspended().board
    assert next_deadline_ns(board, FROM, RULES) is None
    assert ticked(board, FROM + NS_PER_DAY, RULES) == (board, ())
    assert ticked(board, FROM + NS_PER_DAY, RULES)[0] is board


def test_each_segment_keeps_its_own_promise() -> None:
    board = out().told(tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT, at_ns("12:30"))
    assert next_deadline_ns(board.board, at_ns("12:30"), RULES) == at_ns("13:00:30") + 1
    board.tick(at_ns("13:15"))
    assert len(board.said) == 3
    assert next_deadline_ns(board.board, at_ns("13:15"), RULES) == at_ns("13:30") + 1
    board.tick(at_ns("13:45"))
    assert "DA-2026-06-10-01" in str(board.said[3:])
    assert len(board.said) == 4


def test_the_promise_is_that_of_the_rules() -> None:
    half = rules_from({"duty_clocks": {"update_min": 30}})
    _, (notice,) = followed(NoticeBoard(), tripped(), TRIP, half, OUT, day_ahead=True, real_time=False)
    assert isinstance(notice, Announcement)
    assert notice.facts["next_update"] == "2026-06-10T12:30:30+08:00"


# ── never two ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STEPS: dict[str, Any] = {
    "trip": (tripped(), OUT),
    "trip_da": (tripped("DA_MISSED", Segment.DA, operating_day="2026-06-11"), DA_OUT),
    "decided": (decided(), DECIDED),
    "extended": (decided(END + 1), replace(DECIDED, expected_end_ns=END + 1)),
    "recovered": (moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", article="Art. 29", by="chen"), RESUMING),
    "back": (moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE"), SeenSegment(phase=Phase.NORMAL)),
}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([*STEPS, "update", "correct", "tick"]), max_size=12))
def test_at_most_one_notice_of_a_segment_is_in_force_whatever_happens(names: list[str]) -> None:
    board = Board()
    for minute, name in enumerate(names):
        now_ns = TRIP + minute * 20 * NS_PER_MIN
        if name in STEPS:
            board.told(*STEPS[name], now_ns)
        elif name == "tick":
            board.tick(now_ns)
        else:
            board.update(now_ns) if name == "update" else board.correct("RT-2026-06-10-01", now_ns)
        in_force = [notice.number for notice in board.notices if notice.number in active(board.board)]
        assert in_force == sorted(active(board.board), key=in_force.index)
        assert len({number[:2] for number in in_force}) == len(in_force)
    numbers = [notice.number for notice in board.notices]
    assert len(set(numbers)) == len(numbers)
    assert all(notice.supersedes in ("", *numbers[:place]) for place, notice in enumerate(board.notices))
