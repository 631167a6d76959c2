"""What is worth telling, once, in both languages."""

from __future__ import annotations

from market.decisions import GENESIS, AnomalyNoted, Decision, DecisionBody, DutyOpened, Phase, Transition, chained
from market.facts import Segment
from streams.alerts import AlertState, Priority, alerts_of, source_alert
from streams.findings import SourceFresh, SourceStale
from tests.kit.table import at_ns


def decided(body: DecisionBody, seq: int = 1) -> Decision:
    return chained(body, seq=seq, ts_event_ns=at_ns("12:00:30"), rule_set="r", prev_hash=GENESIS)


def transition(before: Phase, after: Phase) -> Decision:
    return decided(
        Transition(segment=Segment.RT, before=before, after=after, basis="RT_120", article="Art. 23(1)", condition_met_at_ns=at_ns("12:00"))
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
