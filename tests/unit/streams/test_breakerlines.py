"""What is open is told as open, what is over is told once more, and entries find their case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from market.causes import AnomalyClass
from market.decisions import GENESIS, Announcement, AnomalyNoted, DecisionBody, FindingNoted, Phase, Transition, chained
from market.facts import Segment
from market.handling import CaseClosed, CaseNoted, CaseOpened
from market.prices import Regime
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, instant_ns
from market.view import CaseView, DutyView, MarketView, NoticeView, SegmentView
from streams.breakerlines import BreakerLines
from tests.kit.lineparser import parsed

NOON = instant_ns("2026-06-10T12:00:00+08:00")
CALM = MarketView(
    ts_event_ns=NOON,
    segments=(SegmentView(segment=Segment.RT, phase=Phase.NORMAL, version=1),),
    last_valid_at_ns=NOON,
    regime=Regime.MARKET,
    price_cny_per_mwh=300.0,
    price_interval_ns=NOON,
    rule_set="r",
    rt_limit_s=7_200,
    rt_interval_s=300,
)
CASE = CaseView(
    case="2026-06-10-01",
    version=1,
    segment=Segment.RT,
    anomaly=AnomalyClass.RESULT,
    item="Art. 9(2)",
    subject="no valid result",
    status="OPEN",
    cause="TECHNICAL",
    discovered_ns=NOON,
    major=False,
)


def duty(key: str, due_ns: int | None, kind: str = "explain", segment: Segment | None = Segment.RT) -> DutyView:
    return DutyView(
        key=key,
        duty=kind,
        segment=segment,
        article="Art. 24",
        owner="DISPATCH",
        opened_ns=NOON,
        due_ns=due_ns,
        overdue=due_ns is not None and due_ns < NOON,
        missing=("GOV", "REG"),
    )


def fresh() -> BreakerLines:
    return BreakerLines("Asia/Shanghai")


def of(measurement: str, data: bytes) -> list[dict[str, Any]]:
    return [line for line in parsed(data) if line["measurement"] == measurement]


def decided(lines: BreakerLines, body: DecisionBody, seq: int = 7, at_ns: int = NOON) -> bytes:
    return lines.decision(chained(body, seq=seq, ts_event_ns=at_ns, rule_set="r", prev_hash=GENESIS))


def test_a_duty_says_how_much_time_is_left_whose_it_is_and_of_which_case() -> None:
    view = replace(CALM, duties=(duty("explain/RT", NOON + 48 * NS_PER_H),), cases=(CASE,))
    (line,) = of("duty", fresh().market(view))
    assert line == {
        "measurement": "duty",
        "duty": "explain",
        "segment": "RT",
        "left_s": 172_800.0,
        "overdue": 0,
        "due": "2026-06-12T12:00:00+08:00",
        "case": "2026-06-10-01",
        "title_en": "Explain in writing (48 h)",
        "title_zh": "书面说明（48 小时）",
        "key": "explain/RT",
        "owner": "DISPATCH",
        "missing": "GOV, REG",
        "open": 1,
        "time": NOON + 1_000,
    }


def test_of_several_duties_of_one_kind_the_most_urgent_is_the_last() -> None:
    duties = (duty("b", NOON - NS_PER_MIN), duty("a", NOON + NS_PER_H), duty("c", None))
    found = of("duty", fresh().market(replace(CALM, duties=duties)))
    assert [(line["key"], line.get("left_s"), line["overdue"]) for line in found] == [("c", None, 0), ("a", 3_600.0, 0), ("b", -60.0, 1)]
    assert [line["time"] - NOON for line in found] == [1_000, 1_001, 1_002]


def test_a_duty_that_concerns_no_market_is_of_none_and_of_no_case() -> None:
    (line,) = of("duty", fresh().market(replace(CALM, duties=(duty("x", None, segment=None),), cases=(replace(CASE, segment=None),))))
    assert (line["segment"], line["case"]) == ("none", "")


def test_a_duty_that_was_settled_is_told_once_more_before_those_that_are_open() -> None:
    lines, later = fresh(), replace(CALM, ts_event_ns=NOON + NS_PER_S, duties=(duty("b", NOON + NS_PER_H),))
    lines.market(replace(CALM, duties=(duty("a", NOON - NS_PER_H), duty("b", NOON + NS_PER_H))))
    found = of("duty", lines.market(later))
    assert [(line["key"], line["open"], line["overdue"], line["time"] - later.ts_event_ns) for line in found] == [
        ("a", 0, 0, 0),
        ("b", 1, 0, 1_000),
    ]
    again = of("duty", lines.market(later))
    assert again == found[1:], "shown twice, nothing stands where something else stood"


def test_an_announcement_is_in_force_until_no_view_has_it() -> None:
    lines = fresh()
    body = Announcement(
        number="RT-2026-06-10-02",
        announcement_kind="TRIP",
        segment=Segment.RT,
        subject="breaker",
        supersedes="RT-2026-06-10-01",
        published_at_ns=NOON,
        text_zh="熔断",
        text_en="tripped",
    )
    (told,) = of("announcement", decided(lines, body))
    assert (told["kind"], told["segment"], told["active"], told["supersedes"]) == ("TRIP", "RT", 1, "RT-2026-06-10-01")
    assert told["time"] == NOON + 7
    notice = NoticeView(number=body.number, kind="TRIP", segment=Segment.RT, subject="breaker")
    assert of("announcement", lines.market(replace(CALM, notices=(notice,)))) == []
    (over,) = of("announcement", lines.market(replace(CALM, ts_event_ns=NOON + NS_PER_S)))
    assert over == {
        "measurement": "announcement",
        "kind": "TRIP",
        "segment": "RT",
        "number": "RT-2026-06-10-02",
        "subject": "breaker",
        "active": 0,
        "time": NOON + NS_PER_S,
    }


def test_what_was_found_has_its_evidence_and_when_its_condition_was_met() -> None:
    body = Transition(
        segment=Segment.RT,
        before=Phase.NORMAL,
        after=Phase.TRIPPED,
        basis="TOPOLOGY_HARD",
        article="Art. 8(3)",
        condition_met_at_ns=NOON - 30 * NS_PER_S,
        evidence=("L1 open", "L2 open"),
    )
    (line,) = of("finding", decided(fresh(), body))
    assert (line["kind"], line["evidence"], line["met_at"]) == ("TOPOLOGY_HARD", "L1 open; L2 open", "2026-06-10T11:59:30+08:00")
    assert of("finding", decided(fresh(), replace(body, after=Phase.RESUMING))) == []


def test_what_changed_no_state_was_found_all_the_same() -> None:
    (note,) = of("finding", decided(fresh(), FindingNoted(finding="SCADA_DOWN", article="policy", evidence=("no scan",))))
    assert (note["kind"], note["segment"], note["evidence"]) == ("SCADA_DOWN", "none", "no scan")
    anomaly = AnomalyNoted(segment=Segment.DA, interval_start_ns=NOON, how="MISSED", reason="no message")
    (missed,) = of("finding", decided(fresh(), anomaly))
    assert (missed["kind"], missed["segment"], missed["evidence"]) == ("MISSED", "DA", "no message")


def test_entries_of_a_case_know_its_segment_class_and_cause() -> None:
    lines = fresh()
    opened = CaseOpened(
        case="c1", segment=Segment.RT, anomaly=AnomalyClass.RESULT, item="Art. 9(2)", discovered_ns=NOON, subject="no valid result"
    )
    said = [opened, CaseNoted(case="c1", entry="CAUSE", text="a technical cause"), CaseClosed(case="c1", by="op7")]
    found = [line for seq, body in enumerate(said, 1) for line in of("case", decided(lines, body, seq))]
    assert [(line["segment"], line["state"], line["class"], line["cause"]) for line in found] == [
        ("RT", "OPENED", "RESULT", ""),
        ("RT", "NOTED", "RESULT", "a technical cause"),
        ("RT", "CLOSED", "RESULT", "a technical cause"),
    ]


def test_a_case_that_was_opened_before_the_start_is_known_from_a_view() -> None:
    lines = fresh()
    lines.market(replace(CALM, cases=(CASE,)))
    (line,) = of("case", decided(lines, CaseNoted(case=CASE.case, entry="ACTION", text="called the vendor")))
    assert (line["segment"], line["class"], line["cause"]) == ("RT", "RESULT", "TECHNICAL")
    (unknown,) = of("case", decided(lines, CaseNoted(case="other", entry="ACTION", text="x")))
    assert (unknown["segment"], unknown["class"]) == ("none", "")


def test_only_so_many_cases_are_remembered_and_the_newest_are() -> None:
    lines = fresh()
    for number in range(100):
        lines.market(replace(CALM, cases=(replace(CASE, case=f"c{number}"),)))
    assert of("case", decided(lines, CaseClosed(case="c99", by="x")))[0]["segment"] == "RT"
    assert of("case", decided(lines, CaseClosed(case="c0", by="x")))[0]["segment"] == "none"


def test_announcements_that_end_together_each_have_a_line_of_their_own() -> None:
    lines = fresh()
    notices = tuple(NoticeView(number=number, kind="TRIP", segment=Segment.RT, subject="breaker") for number in ("1", "2"))
    lines.market(replace(CALM, notices=notices))
    over = of("announcement", lines.market(replace(CALM, ts_event_ns=NOON + NS_PER_S)))
    assert [(line["number"], line["active"], line["time"] - NOON - NS_PER_S) for line in over] == [("1", 0, 0), ("2", 0, 1)]


def test_of_two_announcements_of_one_kind_the_one_still_in_force_stays_so() -> None:
    lines = fresh()
    for seq, number in enumerate(("AN-1", "AN-2"), 7):
        body = Announcement(
            number=number,
            announcement_kind="ANOMALY",
            segment=None,
            subject=f"session {number}",
            supersedes="",
            published_at_ns=NOON,
            text_zh="异常",
            text_en=f"text of {number}",
        )
        decided(lines, body, seq)
    notices = tuple(NoticeView(number=number, kind="ANOMALY", segment=None, subject=f"session {number}") for number in ("AN-1", "AN-2"))
    lines.market(replace(CALM, notices=notices))
    told = of("announcement", lines.market(replace(CALM, ts_event_ns=NOON + NS_PER_S, notices=notices[:1])))
    assert [(line["number"], line["active"], line["time"] - NOON - NS_PER_S) for line in told] == [("AN-2", 0, 0), ("AN-1", 1, 1)]
    assert (told[1]["text_en"], told[1]["subject"]) == ("text of AN-1", "session AN-1")
    assert of("announcement", lines.market(replace(CALM, ts_event_ns=NOON + NS_PER_S, notices=notices[:1]))) == []
    (over,) = of("announcement", lines.market(replace(CALM, ts_event_ns=NOON + NS_PER_S)))
    assert (over["number"], over["active"], over["time"] - NOON - NS_PER_S) == ("AN-1", 0, 2), "in another view of the same instant"
