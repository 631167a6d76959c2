"""Deliveries and reports on processes become these lines."""

from __future__ import annotations

from dataclasses import replace

import pytest

from market.units import NS_PER_S, instant_ns
from streams.alerts import Alert, AlertState, Priority
from streams.outbox import Attempt, Claim, DeliveryState
from streams.processreport import ProcessReport, StageReport
from streams.servicelines import encode_attempt, encode_report
from tests.kit.lineparser import parsed

NOON = instant_ns("2026-06-10T12:00:00+08:00")
WALL = instant_ns("2030-01-01T00:00:00+08:00")
ALERT = Alert(
    alert_id="trip/RT/1",
    ts_event_ns=NOON,
    name="market_tripped",
    priority=Priority.P1,
    state=AlertState.RAISED,
    text_en="tripped",
    text_zh="熔断",
    labels={"segment": "RT"},
)
ATTEMPT = Attempt(claim=Claim(1, ALERT, 2, WALL), state=DeliveryState.DELIVERED, at_ns=WALL + 3 * NS_PER_S, latency_ms=20.0, reply="200 ok")


def test_an_attempt_stands_at_the_alerts_own_time_and_the_wall_time_since() -> None:
    (line,) = parsed(encode_attempt(ATTEMPT, "webhook"))
    assert line["time"] // NS_PER_S == NOON // NS_PER_S + 3
    assert {name: value for name, value in line.items() if name != "time"} == {
        "measurement": "delivery",
        "channel": "webhook",
        "priority": "P1",
        "state": "delivered",
        "alert_id": "trip/RT/1",
        "attempt": 2,
        "latency_s": 3.0,
        "reply": "200 ok",
    }


@pytest.mark.parametrize(("state", "told"), [(DeliveryState.WAITING, "failed"), (DeliveryState.UNDELIVERABLE, "undeliverable")])
def test_an_attempt_that_failed_says_whether_there_will_be_another(state: DeliveryState, told: str) -> None:
    (line,) = parsed(encode_attempt(replace(ATTEMPT, state=state), "webhook"))
    assert line["state"] == told


def test_attempts_of_one_millisecond_stay_apart() -> None:
    times = {parsed(encode_attempt(ATTEMPT, channel))[0]["time"] for channel in ("log", "webhook", "mail")}
    assert len(times) == 3


def test_a_process_that_has_no_spool_says_nothing_of_one() -> None:
    report = ProcessReport(
        ts_event_ns=NOON,
        instance="worker-1",
        role="streams",
        up_s=60.0,
        cpu_s=6.5,
        stages=(
            StageReport(stage="breaker", records=7, errors=1, waiting=2, busy_s=0.5),
            StageReport(stage="Recorder/kpi.v1", records=9, errors=0, waiting=3),
        ),
    )
    numbers = "heartbeat=1i,up_s=60.0,loop_delay_s=0.0,cpu_s=6.5,dead_letters=0i,frames_dropped=0i"
    assert encode_report(report).decode().splitlines() == [
        f"pipeline,instance=worker-1,role=streams {numbers} {NOON}",
        f"stage,instance=worker-1,stage=breaker records=7i,errors=1i,waiting=2i,busy_s=0.5 {NOON}",
        f"stage,instance=worker-1,stage=Recorder/kpi.v1 records=9i,errors=0i,waiting=3i {NOON}",
    ]
