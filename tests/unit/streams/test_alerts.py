"""What is worth telling, once, in both languages."""

from __future__ import annotations

import pytest

from market.decisions import (
    GENESIS,
    AnomalyNoted,
    Decision,
    DecisionBody,
    DutyOpened,
    FindingNoted,
    OutageEnded,
    Phase,
    Transition,
    chained,
)
from market.facts import Segment
from streams.alerts import AlertState, Priority, alerts_of, source_alert
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady, SourceFresh, SourceStale
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
