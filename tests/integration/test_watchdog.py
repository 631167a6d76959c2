"""The second watchdog as committed, over a real server: quiet when all is well, and each rule fires when its story has come to pass.

What Grafana would compute of each answer is in :mod:`tests.kit.alertrules`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from market.decisions import Phase
from market.facts import Segment
from market.outcomes import Certificate, Cleared, ClearingFailed, FailureReason, OutcomeStatus
from market.prices import Regime
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from market.view import MarketView, SegmentView
from streams.breakerlines import BreakerLines
from streams.marketlines import encode_outcome
from streams.processreport import ProcessReport
from streams.servicelines import encode_report
from tests.kit.alertrules import NO_DATA, firing, holds
from tests.kit.influx import Influxd, influxd

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
BEGIN_NS = instant_ns("2026-06-10T10:00:00+08:00")
RULES = {
    rule["uid"]: rule
    for rule in yaml.safe_load((ROOT / "dashboards/grafana/provisioning/alerting/rules.yaml").read_text(encoding="utf-8"))["groups"][0][
        "rules"
    ]
}


def at(minutes: float) -> int:
    return BEGIN_NS + round(minutes * 60) * NS_PER_S


def heartbeat(ts_ns: int, lag_s: float | None = 0.1, instance: str = "gridfuse-1", role: str = "all") -> bytes:
    return encode_report(ProcessReport(ts_event_ns=ts_ns, instance=instance, role=role, up_s=60.0, sink_lag_s=lag_s))


def view(ts_ns: int, tripped: dict[Segment, int]) -> bytes:
    def segment(one: Segment) -> SegmentView:
        since = tripped.get(one)
        return SegmentView(segment=one, phase=Phase.NORMAL if since is None else Phase.TRIPPED, version=1, tripped_at_ns=since)

    return BreakerLines("Asia/Shanghai").market(
        MarketView(
            ts_event_ns=ts_ns,
            segments=(segment(Segment.RT), segment(Segment.DA)),
            last_valid_at_ns=BEGIN_NS,
            regime=Regime.MARKET,
            price_cny_per_mwh=300.0,
            price_interval_ns=BEGIN_NS,
            rule_set="gd/r1",
            rt_limit_s=7_200,
            rt_interval_s=900,
        )
    )


def result(start_ns: int) -> bytes:
    return encode_outcome(
        Cleared(
            interval_start_ns=start_ns,
            completed_at_ns=start_ns - 20 * NS_PER_S,
            status=OutcomeStatus.OK,
            objective_per_h=1e6,
            penalty_per_h=0.0,
            dispatch_mw={"G1": 100.0},
            lmp_per_mwh={},
            energy_per_mwh=300.0,
            congestion_per_mwh={},
            flow_mw={},
            uniform_price_per_mwh=300.0,
            certificate=Certificate(passed=True, residuals={}),
            binding=(),
        )
    )


def failure(start_ns: int) -> bytes:
    return encode_outcome(
        ClearingFailed(
            interval_start_ns=start_ns,
            completed_at_ns=start_ns - 20 * NS_PER_S,
            reason=FailureReason.SOLVER_TIMEOUT,
            detail="no answer",
        )
    )


def alive(first: float, last: float, tripped: dict[Segment, int] | None = None, lag_s: dict[int, float] | None = None) -> Iterator[bytes]:
    """Heartbeats and market views every ten seconds of ``[first, last)`` minutes; lags by the minute they begin in."""
    for ts_ns in range(at(first), at(last), 10 * NS_PER_S):
        lags = [lag for minute, lag in (lag_s or {}).items() if ts_ns >= at(minute)]
        yield heartbeat(ts_ns, lags[-1] if lags else 0.1)
        yield view(ts_ns, {one: since for one, since in (tripped or {}).items() if ts_ns >= since})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    with influxd(tmp_path_factory.mktemp("watchdog") / "influx") as running:
        yield running


def story(server: Influxd, name: str, *parts: Any) -> str:
    server.create(name)
    assert server.write(b"".join(line for part in parts for line in part), name) == 204
    return name


def fires(server: Influxd, minute: float, database: str) -> dict[str, dict[str, float | None]]:
    """Every rule whose condition holds, with its instances."""
    found = {uid: firing(server, rule, at(minute), database) for uid, rule in RULES.items()}
    return {uid: instances for uid, instances in found.items() if instances}


def test_a_healthy_hour_calls_nobody(server: Influxd) -> None:
    database = story(server, "healthy", alive(0, 120), (result(at(minute)) for minute in range(0, 120, 15)))
    for minute in (45, 45.01, 59.99, 60, 75, 89.5, 119.9):
        assert fires(server, minute, database) == {}, minute


def test_results_that_stay_away_are_missed_after_three_intervals_whether_they_failed_or_never_came(server: Influxd) -> None:
    before = [result(at(minute)) for minute in range(0, 60, 15)]  # the last one begins at 45
    failed = story(server, "failed", alive(0, 120), before, (failure(at(minute)) for minute in range(60, 120, 15)))
    silent = story(server, "silent", alive(0, 120), before)
    for database in (failed, silent):
        assert fires(server, 89.9, database) == {}
        assert set(fires(server, 90.1, database)) == {"gridfuse-no-clearing"}
    back = story(server, "back", alive(0, 120), before, [result(at(105))])
    assert set(fires(server, 104.9, back)) == {"gridfuse-no-clearing"}
    assert fires(server, 105.1, back) == {}


def test_a_day_ahead_result_is_no_real_time_result(server: Influxd) -> None:
    day_ahead = result(at(60)).replace(b"segment=RT", b"segment=DA")
    database = story(server, "day_ahead", alive(0, 70), [day_ahead])
    assert set(fires(server, 65, database)) == {"gridfuse-no-clearing"}


def test_a_service_that_has_gone_is_missed_within_two_minutes(server: Influxd) -> None:
    database = story(server, "gone", alive(0, 60), (result(at(minute)) for minute in range(0, 75, 15)))
    assert fires(server, 60.5, database) == {}
    assert fires(server, 60.9, database) == {"gridfuse-heartbeat": {NO_DATA: None}}
    assert set(fires(server, 62.1, database)) == {"gridfuse-heartbeat", "gridfuse-process-gone", "gridfuse-breaker-silent"}
    assert set(fires(server, 110, database)) == {"gridfuse-heartbeat", "gridfuse-breaker-silent", "gridfuse-no-clearing"}


def test_a_breaker_that_says_nothing_is_missed_though_the_service_writes(server: Influxd) -> None:
    beats = (heartbeat(ts_ns) for ts_ns in range(at(0), at(60), 10 * NS_PER_S))
    database = story(server, "headless", alive(0, 30), beats, (result(at(minute)) for minute in range(0, 60, 15)))
    assert fires(server, 31.7, database) == {}
    assert set(fires(server, 32.1, database)) == {"gridfuse-breaker-silent"}


def test_a_sink_that_lags_is_named_by_its_process_and_only_after_two_minutes_of_it(server: Influxd) -> None:
    other = (heartbeat(ts_ns, instance="gridfuse-2") for ts_ns in range(at(0), at(60), 10 * NS_PER_S))
    lines = (alive(0, 60, lag_s={20: 61.0, 30: 60.0}), other, (result(at(minute)) for minute in range(0, 60, 15)))
    database = story(server, "lags", *lines)
    rule = RULES["gridfuse-sink-lag"]
    assert fires(server, 19.9, database) == {}
    assert fires(server, 20.1, database) == {"gridfuse-sink-lag": {"gridfuse-1": 61.0}}
    assert [holds(server, rule, at(minute), database) for minute in (20.1, 21.9, 22.1, 30.1)] == [False, False, True, False]


def test_a_process_that_stops_among_others_is_named_until_it_is_forgotten(server: Influxd) -> None:
    worker = (heartbeat(ts_ns, None, "worker-2", "streams") for ts_ns in range(at(0), at(30), 10 * NS_PER_S))
    database = story(server, "one_gone", alive(0, 60), worker, (result(at(minute)) for minute in range(0, 60, 15)))
    assert [fires(server, minute, database) for minute in (29.9, 30.05, 30.9)] == [{}, {}, {}]
    assert fires(server, 31.1, database) == {"gridfuse-process-gone": {"worker-2,streams": 0.0}}
    assert set(fires(server, 44.9, database)) == {"gridfuse-process-gone"}
    # Nobody misses for ever what was taken out of service.
    assert fires(server, 46, database) == {}


@pytest.mark.parametrize("segments", [(Segment.RT,), (Segment.DA,), (Segment.RT, Segment.DA)], ids=lambda s: "+".join(s))
def test_a_breaker_that_has_tripped_is_told_by_market_until_it_is_over(server: Influxd, segments: tuple[Segment, ...]) -> None:
    tripped = dict.fromkeys(segments, at(30))
    lines = (alive(0, 45, tripped), alive(45, 60), (result(at(minute)) for minute in range(0, 60, 15)))
    database = story(server, "tripped_" + "_".join(segments), *lines)
    assert fires(server, 29.9, database) == {}
    ten_seconds_later = {segment.value: 10.0 for segment in segments}
    assert fires(server, 30.2, database) == {"gridfuse-tripped": ten_seconds_later}
    assert fires(server, 45.1, database) == {}


def test_the_clock_of_the_story_is_that_of_the_rules() -> None:
    """Three intervals of the default rule set are what the story above is told in."""
    assert RULES["gridfuse-no-clearing"]["data"][0]["relativeTimeRange"]["from"] * NS_PER_S == 45 * NS_PER_MIN
