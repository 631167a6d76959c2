"""What is worth telling, once, in both languages."""

from __future__ import annotations

import pytest

from market.decisions import (
    GENESIS,
    AnomalyNoted,
    Decision,
    DecisionBody,
    DutyOpened,
    DutySettled,
    FindingNoted,
    OutageEnded,
    Phase,
    Transition,
    chained,
)
from market.facts import Segment
from market.handling import DutyReminded
from market.units import NS_PER_H
from streams.alerts import AlertState, Priority, alerts_of, source_alert
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady, SourceFresh, SourceStale
from tests.kit.decided import EVERY_BODY, chain_of
from tests.kit.table import at_ns


def decided(body: DecisionBody, seq: int = 1) -> Decision:
    return chained(body, seq=seq, ts_event_ns=at_ns("12:00:30"), rule_set="r", prev_hash=GENESIS)


def transition(before: Phase, after: Phase, basis: str = "RT_120") -> Decision:
    return decided(
        Transition(segment=Segment.RT, before=before, after=after, basis=basis, article="Art. 23(1)", condition_met_at_ns=at_ns("12:00"))
    )


def ended(**more: object) -> Decision:
    return decided(
        OutageEnded(segment=Segment.RT, outage_start_ns=at_ns("10:00"), outage_end_ns=at_ns("10:07"), failed_intervals=1, **more)
    )


def test_trip_is_the_loudest() -> None:
    (alert,) = alerts_of(transition(Phase.DEGRADED, Phase.TRIPPED))
    assert (alert.name, alert.priority, alert.labels["segment"]) == ("market_tripped", Priority.P1, "RT")
    assert "12:00" in alert.text_en
    assert "熔断" in alert.text_zh


def test_return_to_normal_clears_the_trip() -> None:
    cleared = alerts_of(transition(Phase.RESUMING, Phase.NORMAL))
    assert [(a.name, a.state) for a in cleared] == [("market_tripped", AlertState.CLEARED), ("clearing_failed", AlertState.CLEARED)]
    assert len({a.alert_id for a in cleared}) == 2


def test_steps_nobody_must_act_on_are_quiet() -> None:
    assert alerts_of(transition(Phase.NORMAL, Phase.DEGRADED)) == ()
    assert alerts_of(decided(DutyOpened(duty="explain", segment=Segment.RT, due_ns=1, article="Art. 24"))) == ()


def test_each_failed_interval_has_its_own_identity() -> None:
    ids = [
        alert.alert_id
        for seq, t in enumerate(("10:00", "10:15", "10:00"), start=1)
        for alert in alerts_of(decided(AnomalyNoted(segment=Segment.RT, interval_start_ns=at_ns(t), how="FAILED", reason="x"), seq))
    ]
    assert ids[0] == ids[2] != ids[1], "the same interval told twice is one alert"


def test_stale_device_and_its_return_share_the_episode() -> None:
    stale = source_alert(SourceStale(ts_event_ns=2, device="rtu-1", area="1", since_ns=1, points=3))
    fresh = source_alert(SourceFresh(ts_event_ns=3, device="rtu-1", area="1", since_ns=1))
    assert stale.alert_id == "device_stale/rtu-1/1"
    assert fresh.alert_id.startswith(stale.alert_id)
    assert (stale.state, fresh.state) == (AlertState.RAISED, AlertState.CLEARED)


def test_chinese_texts_carry_no_english_code() -> None:
    anomaly = AnomalyNoted(segment=Segment.RT, interval_start_ns=at_ns("10:00"), how="FAILED", reason="SOLVER_STATUS: no answer")
    for decision in (decided(anomaly), transition(Phase.DEGRADED, Phase.TRIPPED), transition(Phase.RESUMING, Phase.NORMAL)):
        for alert in alerts_of(decision):
            assert not any(code in alert.text_zh for code in ("SOLVER", "FAILED", "RT_120", "condition"))


def test_an_outage_that_is_over_is_cleared() -> None:
    (alert,) = alerts_of(ended())
    assert (alert.state, alert.text_en) == (AlertState.CLEARED, "Real-time clearing is back after 7 min")


def test_nothing_is_back_while_the_next_outage_runs() -> None:
    (alert,) = alerts_of(ended(next_start_ns=at_ns("10:15")))
    assert alert.state is AlertState.RAISED
    assert "out again since 10:15" in alert.text_en
    assert "10:15" in alert.text_zh


def test_a_market_that_closes_is_not_a_clearing_that_is_back() -> None:
    (alert,) = alerts_of(ended(by_calendar=True))
    assert alert.state is AlertState.CLEARED
    assert "back" not in alert.text_en
    assert "calendar" in alert.text_en


@pytest.mark.parametrize(
    ("after", "basis", "names"),
    [
        (Phase.NORMAL, "EVIDENCE_WITHDRAWN", ["trip_proposed"]),
        (Phase.DEGRADED, "REJECTED", ["trip_proposed"]),
        (Phase.RESUMING, "EVIDENCE_WITHDRAWN", ["trip_proposed"]),
        (Phase.TRIPPED, "RT_120", ["trip_proposed", "market_tripped"]),
    ],
)
def test_a_proposal_that_is_over_clears_its_alert(after: Phase, basis: str, names: list[str]) -> None:
    alerts = alerts_of(transition(Phase.PROPOSED, after, basis))
    assert [alert.name for alert in alerts] == names
    assert alerts[0].state is AlertState.CLEARED
    assert len({alert.alert_id for alert in alerts}) == len(names)


def test_a_recovery_that_takes_effect_under_a_proposal_proposes_nothing() -> None:
    assert {a.name for a in alerts_of(transition(Phase.PROPOSED, Phase.PROPOSED, "EFFECTIVE"))} == {"market_tripped", "clearing_failed"}


@pytest.mark.parametrize(
    ("finding", "name", "priority", "state"),
    [
        ("BLIND", "blind", Priority.P1, AlertState.RAISED),
        ("BLIND_OVER", "blind", Priority.P3, AlertState.CLEARED),
        ("CLOCK_SUSPECT", "clock_suspect", Priority.P1, AlertState.RAISED),
        ("SCADA_DOWN", "scada_down", Priority.P2, AlertState.RAISED),
        ("SCADA_UP", "scada_down", Priority.P3, AlertState.CLEARED),
        ("CHATTERING", "chattering", Priority.P3, AlertState.RAISED),
    ],
)
def test_findings_that_end_clear_what_began(finding: str, name: str, priority: Priority, state: AlertState) -> None:
    (alert,) = alerts_of(decided(FindingNoted(finding=finding, article="policy 1.2", evidence=("x",))))
    assert (alert.name, alert.priority, alert.state) == (name, priority, state)
    assert finding not in alert.text_zh


@pytest.mark.parametrize("decision", chain_of(EVERY_BODY), ids=lambda decision: f"{decision.seq}-{decision.kind}")
def test_whatever_is_decided_can_be_told_in_both_languages(decision: Decision) -> None:
    for alert in alerts_of(decision):
        assert "None" not in alert.text_en + alert.text_zh
        assert alert.text_en != alert.text_zh
        assert any("\u4e00" <= letter <= "\u9fff" for letter in alert.text_zh)
        assert all(isinstance(value, str) for value in alert.labels.values())


def reminded(hours: float, *, overdue: bool = False) -> Decision:
    due_ns = at_ns("12:00:30") + round((48 - hours) * NS_PER_H)
    body = DutyReminded(
        duty="explain", segment=Segment.RT, key="explain/RT/1", due_ns=due_ns, hours=hours, overdue=overdue, missing=("REG",)
    )
    return decided(body)


@pytest.mark.parametrize(
    ("hours", "overdue", "priority"),
    [(24, False, Priority.P2), (43.1, False, Priority.P2), (43.3, False, Priority.P1), (48, True, Priority.P1)],
)
def test_a_duty_is_of_the_highest_priority_in_the_last_tenth_of_its_time(hours: float, overdue: bool, priority: Priority) -> None:
    (alert,) = alerts_of(reminded(hours, overdue=overdue))
    assert (alert.name, alert.priority, alert.labels["duty"]) == ("duty_due", priority, "explain/RT/1")
    assert "regulator" in alert.text_en
    assert "监管机构" in alert.text_zh


def test_a_duty_that_is_done_clears_what_was_said_of_it() -> None:
    raised, late = alerts_of(reminded(24))[0], alerts_of(reminded(48, overdue=True))[0]
    (cleared,) = alerts_of(decided(DutySettled(duty="explain", segment=Segment.RT, outcome="late", margin_s=-1.0, key="explain/RT/1")))
    assert (cleared.name, cleared.state, cleared.labels["duty"]) == (raised.name, AlertState.CLEARED, raised.labels["duty"])
    assert len({raised.alert_id, late.alert_id, cleared.alert_id}) == 3


def test_a_notice_that_was_published_in_the_moment_of_the_trip_is_no_news() -> None:
    assert alerts_of(decided(DutySettled(duty="announce", segment=Segment.RT, outcome="met", margin_s=300.0))) == ()
    assert alerts_of(decided(DutySettled(duty="assess", segment=Segment.RT, outcome="met", margin_s=0.0))) == ()


@pytest.mark.parametrize(
    ("before", "after", "basis", "told"),
    [
        (Phase.OVERDUE, Phase.SUSPENDED, "DECIDED", [("breaker_overdue", "CLEARED"), ("market_suspended", "RAISED")]),
        (Phase.OVERDUE, Phase.OVERDUE, "SUSPENSION_DECIDED", []),
        (Phase.SUSPENDED, Phase.SUSPENDED, "SUSPENSION_EXTENDED", []),
        (Phase.SUSPENDED, Phase.SUSPENDED_LONG, "CONFIRM_REGIME28", [("market_suspended", "RAISED")]),
        (Phase.SUSPENDED, Phase.RESUMING, "RESUMED", [("market_suspended", "CLEARED"), ("market_recovering", "RAISED")]),
        (Phase.OVERDUE, Phase.RESUMING, "RECOVERED", [("breaker_overdue", "CLEARED"), ("market_recovering", "RAISED")]),
        (Phase.TRIPPED, Phase.RESUMING, "RECOVERED", [("market_recovering", "RAISED")]),
    ],
)
def test_a_phase_that_is_left_clears_what_was_said_of_it(before: Phase, after: Phase, basis: str, told: list[tuple[str, str]]) -> None:
    assert [(alert.name, alert.state) for alert in alerts_of(transition(before, after, basis))] == told


def test_the_day_ahead_market_is_told_by_its_operating_day() -> None:
    missed = AnomalyNoted(segment=Segment.DA, interval_start_ns=at_ns("00:00"), how="MISSED", reason="")
    (alert,) = alerts_of(decided(missed))
    assert alert.text_en == "Day-ahead market, 2026-06-10: no valid clearing (MISSED)"
    trip = Transition(
        segment=Segment.DA, before=Phase.NORMAL, after=Phase.TRIPPED, basis="DA_MISSED", article="Art. 23(1)", operating_day="2026-06-11"
    )
    (tripped,) = alerts_of(decided(trip))
    assert tripped.text_en == "DA 2026-06-11: MARKET BREAKER TRIPPED (DA_MISSED, Art. 23(1))"
    assert tripped.text_zh == "日前市场 2026-06-11：市场熔断（日前市场未按时出清）"


def test_a_clock_that_jumped_is_one_episode_in_two_languages() -> None:
    since_ns = at_ns("12:00:05")
    common = {"device": "rtu-1", "area": "1", "since_ns": since_ns}
    behind = source_alert(
        SourceClockJumped(ts_event_ns=since_ns + 1, jump_s=3600.4, direction=ClockDirection.BEHIND, **common)  # type: ignore[arg-type]
    )
    unsaid = source_alert(SourceClockJumped(ts_event_ns=since_ns + 1, jump_s=0.0, direction=ClockDirection.AHEAD, **common))  # type: ignore[arg-type]
    right = source_alert(SourceClockSteady(ts_event_ns=since_ns + 2, **common))  # type: ignore[arg-type]
    assert behind.text_en == "Clock of rtu-1 is 3600 s behind since 12:00:05; its values are dated by receipt"
    assert behind.text_zh == "设备 rtu-1 时钟自 12:00:05 起慢 3600 秒，其数据改按接收时间计"
    assert unsaid.text_en == "Clock of rtu-1 is ahead since 12:00:05; its values are dated by receipt"
    assert (behind.state, right.state) == (AlertState.RAISED, AlertState.CLEARED)
    assert behind.name == right.name == "device_clock"
    assert behind.alert_id == f"device_clock/rtu-1/{since_ns}"
    assert right.alert_id == f"{behind.alert_id}/cleared"
    assert behind.labels == {"device": "rtu-1", "area": "1"}


def test_a_finding_is_told_in_chinese_with_its_evidence_in_chinese() -> None:
    evidence = ("operating day 2026-06-11: version 1 of the result", "the boundary data in force lack tie_mw", "as the shift says")
    (alert,) = alerts_of(decided(FindingNoted(finding="BOUNDARY_INCOMPLETE", article="Art. 20", evidence=evidence)))
    assert (alert.priority, alert.text_en) == (Priority.P2, f"BOUNDARY_INCOMPLETE: {'; '.join(evidence)}")
    assert alert.text_zh == "据不完整的边界数据出清：2026-06-11 运行日：结果第 1 版；现行边界条件缺少 tie_mw；as the shift says"
