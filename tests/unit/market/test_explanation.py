"""What is gathered of a case from the record, and what is not."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ingest.yamlfile import load_yaml
from market.decisions import Announcement, CommandAccepted, Decision, DutyOpened, DutySettled, FindingNoted, Phase, Refused, Transition
from market.explanation import Explanation, Receipt, UnknownCase, explain
from market.facts import Segment
from market.handling import ApprovalRecorded, DutyReceived, DutyReminded
from market.prices import PriceInForce, Regime
from market.rules import GUANGDONG_2023
from market.units import NS_PER_H, NS_PER_MIN, instant_ns
from streams.drill import DrillResult, play
from streams.drillfile import scenario_from
from tests.kit.cased import Chained, with_cases
from tests.kit.table import at_ns

DRILLS = Path(__file__).parents[2] / "drills"
NUMBER = "2026-06-10-01"
LATER = instant_ns("2026-06-11T10:00:00+08:00")


@lru_cache
def drill(name: str) -> DrillResult:
    return play(*scenario_from(load_yaml(DRILLS / f"{name}.yaml")))


def recovered() -> Chained:
    return with_cases(drill("gd_29_1").decisions, GUANGDONG_2023)


def told(chain: list[Decision], as_of_ns: int = LATER, prices: Any = (), number: str = NUMBER) -> Explanation:
    return explain(chain, prices, number, GUANGDONG_2023, as_of_ns)


def moved(before: Phase, after: Phase, basis: str = "RT_120", **more: Any) -> Transition:
    return Transition(**{"segment": Segment.RT, "before": before, "after": after, "basis": basis, "article": "Art. 23(1)"} | more)


def kinds(explanation: Explanation) -> list[str]:
    return [d.kind for d in explanation.records]


def test_a_trip_and_its_recovery_are_gathered_from_the_drill() -> None:
    result = drill("gd_29_1")
    case = told(recovered().chain, prices=result.prices.values())
    assert (case.tripped_at_ns, case.effective_from_ns, case.over_ns) == (at_ns("12:00:30"), at_ns("16:00"), at_ns("16:00"))
    assert case.out_until_ns == at_ns("16:00")
    assert (case.segment, case.major, case.cause, case.closed_ns) == ("RT", True, "TECHNICAL (Art. 5(3)), presumed", None)
    assert [(span.phase, span.from_ns, span.to_ns) for span in case.phases] == [
        ("DEGRADED", at_ns("10:00:30"), at_ns("12:00:30")),
        ("TRIPPED", at_ns("12:00:30"), at_ns("15:25")),
        ("RESUMING", at_ns("15:25"), at_ns("16:00")),
    ]
    spans = [(span.regime, span.from_ns, span.to_ns, span.intervals, span.provisional, span.mean) for span in case.regimes]
    assert spans == [
        ("MARKET", at_ns("09:45"), at_ns("10:00"), 1, 0, 388.0),
        ("GAP", at_ns("10:00"), at_ns("12:00"), 8, 8, 388.0),
        ("ART27_2", at_ns("12:00"), at_ns("16:00"), 16, 16, 420.0),
        ("MARKET", at_ns("16:00"), at_ns("16:15"), 1, 0, 391.5),
    ]
    assert [(duty.duty, duty.outcome, duty.settled_ns) for duty in case.duties] == [
        ("announce", "met", at_ns("12:00:30")),
        ("explain", "open", None),
        ("limit", "lifted", at_ns("16:00")),
    ]
    assert case.duties[0].margin_s == 300.0
    assert (case.chain.first, case.chain.decisions, case.chain.whole, case.chain.broken) == (1, len(case.records), True, "")
    assert case.chain.last_hash == case.records[-1].hash
    assert case.rule_sets == ("gd-2023-draft/r1",)
    assert "Refused" in kinds(case)  # the recovery that was ordered too soon


def test_nothing_later_than_its_instant_is_in_it() -> None:
    tripped = told(recovered().chain, at_ns("15:24:59.999"))
    assert (tripped.effective_from_ns, tripped.over_ns, tripped.phases[-1].to_ns) == (None, None, None)
    assert tripped.out_until_ns == at_ns("15:24:59.999")
    resuming = told(recovered().chain, at_ns("15:25"))
    assert (resuming.effective_from_ns, resuming.out_until_ns) == (at_ns("16:00"), at_ns("15:25"))


def test_a_case_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownCase, match=r"no case 'x' in \d+ decisions; there are: 2026-06-10-01"):
        told(recovered().chain, number="x")
    with pytest.raises(UnknownCase, match="there are: none"):
        told(recovered().chain, at_ns("10:00:29"))


def test_repeats_are_told_once_and_a_changed_record_is_named() -> None:
    chain = recovered().chain
    assert told([*chain[:3], *chain]).records == told(chain).records
    forged = [*chain]
    forged[5] = chain[7]
    assert told(forged).chain.broken == "decision 7 follows decision 5: decision 6 is missing"
    assert not told(chain[1:]).chain.whole
    assert told(chain[1:]).chain.broken == ""


def test_the_next_outage_of_a_segment_is_another_story() -> None:
    recorded = recovered()
    recorded.add(at_ns("18:00"), moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE"))
    recorded.add(at_ns("18:10"), moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"))
    first, second = told(recorded.chain), told(recorded.chain, number="2026-06-10-02")
    assert first.records[-1].ts_event_ns == at_ns("16:00")
    assert kinds(second) == ["Transition", "CaseOpened", "Transition", "CaseNoted", "CaseClosed"]
    assert (second.over_ns, second.closed_ns, second.major) == (at_ns("18:10"), at_ns("18:10"), False)


def test_outages_that_meet_in_one_instant_are_told_apart() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("10:00"), moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE"))
    recorded.add(at_ns("10:30"), moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"), moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE"))
    second = told(recorded.chain, number="2026-06-10-02")
    assert kinds(second) == ["Transition", "CaseOpened"]
    assert second.records[0].body["after"] == "DEGRADED"


def test_what_made_a_case_is_of_it_also_where_its_number_came_later() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("10:00"), FindingNoted(finding="CHATTERING", article="policy 1.5", evidence=()))
    trip = moved(Phase.NORMAL, Phase.TRIPPED, "TOPOLOGY_HARD", tripped_at_ns=at_ns("10:00:01"), evidence=("three lines",))
    recorded.add(
        at_ns("10:00:01"), DutyOpened(duty="explain", segment=Segment.RT, due_ns=None, article="Art. 24", key="explain/RT/1"), trip
    )
    case = told(recorded.chain)
    assert kinds(case)[:3] == ["DutyOpened", "Transition", "CaseOpened"]
    assert case.duties[0].key == "explain/RT/1"


def test_duties_live_on_after_the_anomaly_and_strangers_stay_out() -> None:
    recorded = recovered()
    key = "explain/RT/x"
    recorded.chain.clear()
    recorded = Chained(GUANGDONG_2023)
    due_ns = at_ns("12:00") + 48 * NS_PER_H
    recorded.add(at_ns("12:00"), moved(Phase.NORMAL, Phase.TRIPPED, tripped_at_ns=at_ns("12:00")))
    opened = DutyOpened(
        duty="explain", segment=Segment.RT, due_ns=due_ns, article="Art. 24", key=key, recipients=("GOV", "REG", "PARTICIPANTS"), owner="MO"
    )
    recorded.add(at_ns("12:00"), opened)
    recorded.add(at_ns("13:00"), moved(Phase.TRIPPED, Phase.RESUMING, effective_from_ns=at_ns("14:00")))
    recorded.add(at_ns("14:00"), moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE"))
    has = {"duty": "explain", "segment": Segment.RT, "key": key, "by": "li"}
    reminded = DutyReminded(duty="explain", segment=Segment.RT, key=key, due_ns=due_ns, hours=24.0, overdue=False)
    recorded.add(at_ns("15:00"), DutyReceived(**has, recipient="REG", delivered_at_ns=at_ns("14:30"), reference="R-1"), reminded)
    recorded.add(at_ns("15:01"), DutyReceived(**has, recipient="REG", delivered_at_ns=at_ns("14:59"), reference="R-2"))
    recorded.add(at_ns("15:02"), DutyReceived(**has, recipient="PRESS", delivered_at_ns=at_ns("15:00"), reference=""))
    other = DutyOpened(duty="report", segment=Segment.RT, due_ns=None, article="Art. 25", key="report/RT/y")
    recorded.add(at_ns("16:00"), other, DutySettled(duty="report", segment=Segment.RT, outcome="met", margin_s=0.0, key="report/RT/y"))
    (duty,) = told(recorded.chain, due_ns).duties
    assert (duty.key, duty.owner, duty.outcome, duty.reminders, duty.opened_ns) == (key, "MO", "open", 1, at_ns("12:00"))
    assert duty.receipts == (
        Receipt(recipient="GOV"),
        Receipt(recipient="REG", delivered_at_ns=at_ns("14:30"), reference="R-1", by="li"),
        Receipt(recipient="PARTICIPANTS"),
        Receipt(recipient="PRESS", delivered_at_ns=at_ns("15:00"), by="li"),
    )
    assert told(recorded.chain, due_ns + 1).duties[0].outcome == "overdue"
    recorded.add(due_ns + 2, DutySettled(duty="explain", segment=Segment.RT, outcome="late", margin_s=-60.0, key=key))
    (duty,) = told(recorded.chain, due_ns + 2).duties
    assert (duty.outcome, duty.margin_s, duty.settled_ns) == ("late", -60.0, due_ns + 2)


def test_a_task_without_a_clock_is_never_overdue_and_has_no_margin() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("12:00"), moved(Phase.NORMAL, Phase.TRIPPED))
    recorded.add(at_ns("12:00"), DutyOpened(duty="assess", segment=Segment.RT, due_ns=None, article="Art. 25"))
    assert told(recorded.chain).duties[0].outcome == "open"
    recorded.add(at_ns("12:30"), DutySettled(duty="assess", segment=Segment.RT, outcome="met", margin_s=0.0))
    assert (told(recorded.chain).duties[0].outcome, told(recorded.chain).duties[0].margin_s) == ("met", None)


def test_what_is_about_another_segment_or_a_session_stays_out() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("12:00"), moved(Phase.NORMAL, Phase.TRIPPED, tripped_at_ns=at_ns("12:00")))
    strangers = (
        moved(Phase.NORMAL, Phase.TRIPPED, "DA_MISSED", segment=Segment.DA),
        FindingNoted(finding="LOGINS_FAIL", article="Art. 7(5)", evidence=()),
        FindingNoted(finding="BOUNDARY_PUBLISHED", article="Art. 20", evidence=()),
        Refused(command_id="c", by="x", role="MO", action="OPEN_CASE", rule="Art. 6", why="x"),
        Refused(command_id="c", by="x", role="MO", action="NONSENSE", rule="policy", why="x"),
        ApprovalRecorded(measure="RESUME/DA", body="GOV", verdict="APPROVED", form="written", digest="", scope=(), by="x", reference=""),
    )
    ours = (
        FindingNoted(finding="SWITCHED_BACK", article="Art. 23(2)", evidence=()),
        FindingNoted(finding="BLIND", article="policy 1.2", evidence=()),
        Refused(command_id="c", by="x", role="VIEWER", action="CONFIRM_RECOVER", rule="Art. 29", why="x"),
        ApprovalRecorded(measure="RESUME/RT", body="GOV", verdict="APPROVED", form="written", digest="", scope=(), by="x", reference=""),
    )
    recorded.add(at_ns("12:01"), *strangers)
    recorded.add(at_ns("12:02"), *ours)
    case = told(recorded.chain)
    assert {d.ts_event_ns for d in case.records} == {at_ns("12:00"), at_ns("12:02")}
    assert [d.kind for d in case.of_kind("FindingNoted", "Refused", "ApprovalRecorded")] == [
        "FindingNoted",
        "FindingNoted",
        "Refused",
        "ApprovalRecorded",
    ]


def test_orders_for_both_markets_are_of_either_case() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("12:00"), moved(Phase.NORMAL, Phase.TRIPPED, tripped_at_ns=at_ns("12:00")))
    for segments in ("RT,DA", "DA", "RT", None):
        args = {} if segments is None else {"segment": segments}
        recorded.add(
            at_ns("12:01"),
            CommandAccepted(command_id="c", by="li", role="DISPATCH", action="CONFIRM_RECOVER", args=args, article="Art. 29"),
        )
    accepted = told(recorded.chain).of_kind("CommandAccepted")
    assert [d.body["args"].get("segment") for d in accepted] == ["RT,DA", "RT", None]


def test_what_staff_enter_after_the_end_is_of_the_case_and_so_is_a_notice_that_names_it() -> None:
    recorded = recovered()
    recorded.order("2026-06-10T17:00:00+08:00", "NOTE_ACTION", case=NUMBER, text="restarted")
    facts = {"facts": {"case": NUMBER}, "text_zh": "", "text_en": "", "supersedes": "", "subject": "anomaly"}
    notice = Announcement(number="RT-9", announcement_kind="ANOMALY", segment=Segment.RT, published_at_ns=0, **facts)
    recorded.add(at_ns("17:01"), notice)
    case = told(recorded.chain)
    assert [d.body["text"] for d in case.noted("ACTION")] == ["restarted"]
    assert case.of_kind("Announcement")[-1].body["number"] == "RT-9"


def test_a_second_trip_takes_an_announced_recovery_back() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("12:00"), moved(Phase.NORMAL, Phase.TRIPPED, tripped_at_ns=at_ns("12:00")))
    recorded.add(at_ns("13:00"), moved(Phase.TRIPPED, Phase.RESUMING, effective_from_ns=at_ns("14:00")))
    assert told(recorded.chain).effective_from_ns == at_ns("14:00")
    recorded.add(at_ns("13:30"), moved(Phase.RESUMING, Phase.TRIPPED, tripped_at_ns=at_ns("13:30")))
    case = told(recorded.chain)
    assert (case.effective_from_ns, case.tripped_at_ns, len(case.trips)) == (None, at_ns("12:00"), 2)


def price(
    clock: str, regime: Regime = Regime.MARKET, value: float | None = 400.0, rev: int = 0, segment: Segment = Segment.RT
) -> PriceInForce:
    return PriceInForce(
        ts_event_ns=0,
        segment=segment,
        interval_start_ns=at_ns(clock),
        regime=regime,
        price_cny_per_mwh=value,
        rev=rev,
        source="x",
        provisional=False,
        rule_set="r",
    )


def outage() -> Chained:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("10:00:30"), moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE", outage_start_ns=at_ns("10:00")))
    recorded.add(at_ns("10:40"), moved(Phase.DEGRADED, Phase.NORMAL, "RESULT_OK"))
    return recorded


def test_prices_of_an_hour_before_and_after_are_shown_and_no_others() -> None:
    around = [price(clock) for clock in ("08:45", "09:00", "11:30", "11:45")]
    case = told(outage().chain, prices=[*around, price("10:00", segment=Segment.DA)])
    assert [point.interval_start_ns for point in case.points] == [at_ns("09:00"), at_ns("11:30")]


def test_the_latest_revision_of_an_interval_counts() -> None:
    prices = [
        price("10:00", Regime.GAP, 1.0, rev=1),
        price("10:00", Regime.GAP, 2.0, rev=0),
        price("10:15", rev=0),
        price("10:15", value=5.0),
    ]
    case = told(outage().chain, prices=prices)
    assert [(point.price_cny_per_mwh, point.rev) for point in case.points] == [(1.0, 1), (5.0, 0)]


def test_a_rule_ends_where_an_interval_is_missing_and_unknown_prices_are_not_zero() -> None:
    prices = [
        price("10:00", Regime.ART27_3, None),
        price("10:15", Regime.ART27_3, 300.0),
        price("10:30", Regime.ART27_3, 310.0),
        price("11:00", Regime.ART27_3, None),
    ]
    first, second = told(outage().chain, prices=prices).regimes
    assert (first.intervals, first.priced, first.low, first.high, first.mean) == (3, 2, 300.0, 310.0, 305.0)
    assert (first.from_ns, first.to_ns) == (at_ns("10:00"), at_ns("10:45"))
    assert (second.intervals, second.priced, second.low, second.mean) == (1, 0, None, None)


def test_a_day_ahead_case_shows_its_own_prices_or_those_that_follow_from_it() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("10:00"), moved(Phase.NORMAL, Phase.TRIPPED, "DA_MISSED", segment=Segment.DA))
    both = [price("10:00"), price("10:15", segment=Segment.DA)]
    assert [point.segment for point in told(recorded.chain, at_ns("11:00"), both).points] == [Segment.DA]
    assert [point.segment for point in told(recorded.chain, at_ns("11:00"), both[:1]).points] == [Segment.RT]


def test_a_session_has_a_case_without_a_market() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.order("2026-06-10T09:00:00+08:00", "OPEN_CASE", **{"class": "CANNOT_START", "item": "7(1)", "subject": "session S"})
    recorded.add(at_ns("09:01"), moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE"))
    recorded.order("2026-06-10T09:05:00+08:00", "SET_CAUSE", case=NUMBER, cause="TECHNICAL")
    recorded.order("2026-06-10T09:06:00+08:00", "CLOSE_CASE", case=NUMBER)
    case = told(recorded.chain, prices=[price("09:00")])
    assert kinds(case) == ["CaseOpened", "CaseNoted", "CaseClosed"]
    assert (case.segment, case.phases, case.points, case.closed_ns) == (None, (), (), at_ns("09:06"))
    assert case.out_until_ns - NS_PER_MIN < LATER
