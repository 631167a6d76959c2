"""Each record becomes exactly these lines."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from market.decisions import GENESIS, DecisionBody, FindingNoted, Phase, chained
from market.facts import Segment
from market.outcomes import Binding, Certificate, Cleared, ClearingFailed, FailureReason, OutcomeStatus, Violation
from market.prices import PriceInForce, Regime
from market.units import NS_PER_S, instant_ns
from market.view import MarketView, SegmentView
from streams.alerts import Alert, AlertState, Priority
from streams.breakerlines import BreakerLines
from streams.gridlines import encode_kpis
from streams.kpis import KpiFrame, LineLoading, SourceHealth
from streams.lineprotocol import tag_value
from streams.marketlines import encode_outcome, encode_price, encode_solve
from streams.processreport import SolveTimed
from streams.servicelines import encode_alert
from tests.kit.decided import EVERY_BODY

NOON = instant_ns("2026-06-10T12:00:00+08:00")
"""1781064000 s since the epoch (checked with `date -d 2026-06-10T12:00:00+08:00 +%s`)."""

FRAME = KpiFrame(
    ts_event_ns=NOON + 1_500_000,
    system={"load_mw": 8550.0, "frequency_hz": 49.98},
    areas={"A 1": {"ace_mw": -12.5}},
    generation_mw_by_fuel={"wind": 1000.0},
    worst_lines=(LineLoading(branch="A-B", flow_mw=-80.0, loading_pct=97.25),),
    lines_open=("C-D",),
    sources=(SourceHealth(source="rtu,1", area="A 1", points=10, good=9, age_s=1.5, state="ok"),),
    freshness_s_by_source={"rtu,1": 3.25},
)


def lines(data: bytes) -> list[str]:
    assert data.endswith(b"\n")
    return data.decode()[:-1].split("\n")


def test_key_figures() -> None:
    assert lines(encode_kpis(FRAME)) == [
        "kpi load_mw=8550.0,frequency_hz=49.98,lines_open=1i 1781064000001000000",
        r"kpi_area,area=A\ 1 ace_mw=-12.5 1781064000001000000",
        "fuel,fuel=wind generation_mw=1000.0 1781064000001000000",
        "line_loading,branch=A-B flow_mw=-80.0,loading_pct=97.25 1781064000001000000",
        r'source,area=A\ 1,dev=rtu\,1 state="ok",age_s=1.5,age_p95_s=3.25,points=10i,good=9i 1781064000001000000',
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_left_out(value: float) -> None:
    frame = replace(FRAME, system={"load_mw": value, "frequency_hz": 50.0}, areas={"A": {"ace_mw": value}}, worst_lines=(), sources=())
    assert lines(encode_kpis(frame)) == [
        "kpi frequency_hz=50.0,lines_open=1i 1781064000001000000",
        "fuel,fuel=wind generation_mw=1000.0 1781064000001000000",
    ]


def test_a_figure_that_is_whole_is_still_a_float() -> None:
    frame = replace(FRAME, system={"load_mw": 8550})
    assert "load_mw=8550.0" in lines(encode_kpis(frame))[0]


def test_a_figure_the_schema_does_not_know_is_not_written() -> None:
    with pytest.raises(KeyError, match="kpi has no field mood"):
        encode_kpis(replace(FRAME, system={"mood": 1.0}))


def test_market_view_counts_outage_and_breaker_time() -> None:
    view = MarketView(
        ts_event_ns=NOON,
        segments=(
            SegmentView(
                segment=Segment.RT,
                phase=Phase.TRIPPED,
                version=3,
                basis="RT_120",
                outage_start_ns=NOON - 7_230 * NS_PER_S,
                headroom_s=0.0,
                tripped_at_ns=NOON - 30 * NS_PER_S,
                failed_intervals=9,
                flags=("BLIND", "CLOCK_SUSPECT"),
            ),
            SegmentView(
                segment=Segment.DA,
                phase=Phase.NORMAL,
                version=1,
                expected_p50_ns=NOON - 90 * NS_PER_S,
                expected_p90_ns=NOON + 90 * NS_PER_S,
                outlook="warn",
            ),
        ),
        last_valid_at_ns=NOON - 7_240 * NS_PER_S,
        regime=Regime.ART27_2,
        price_cny_per_mwh=None,
        price_interval_ns=None,
        rule_set="gd-2023-draft/r1",
        rt_limit_s=7_200,
        rt_interval_s=900,
    )
    assert lines(BreakerLines("Asia/Shanghai").market(view)) == [
        (
            'market,segment=RT phase="TRIPPED",basis="RT_120",outage_s=7230.0,headroom_s=0.0,breaker_s=30.0,suspended_s=0.0,'
            "failed_intervals=9i,"
            'shadow_ok=0i,flags="BLIND,CLOCK_SUSPECT",regime="ART27_2",last_valid_age_s=7240.0,'
            "duties_open=0i,duties_overdue=0i,cases_open=0i,approvals_open=0i 1781064000000000000"
        ),
        (
            'market,segment=DA phase="NORMAL",basis="",outage_s=0.0,breaker_s=0.0,suspended_s=0.0,'
            'failed_intervals=0i,shadow_ok=0i,flags="",'
            'expected_p50_s=0.0,expected_p90_s=90.0,outlook="warn" 1781064000000000000'
        ),
    ]


CLEARED = Cleared(
    interval_start_ns=NOON,
    completed_at_ns=NOON - 10 * NS_PER_S,
    status=OutcomeStatus.OK_VIOLATION,
    objective_per_h=1000.5,
    penalty_per_h=2.0,
    dispatch_mw={"G1": 80.0},
    lmp_per_mwh={"101": 388.0, "102": 400.25},
    energy_per_mwh=388.0,
    congestion_per_mwh={"101": 0.0, "102": 12.25},
    flow_mw={"A-B": 50.0},
    uniform_price_per_mwh=390.125,
    certificate=Certificate(passed=True, residuals={"balance_mw": 1e-9}),
    binding=(
        Binding(kind="line", id="A-B", outage=None, flow_mw=50.0, limit_mw=50.0, shadow_price=12.25),
        Binding(kind="line", id="A-B", outage="C-D", flow_mw=49.0, limit_mw=49.0, shadow_price=1.0),
    ),
    violations=(Violation(kind="shed", id="102", mw=3.5), Violation(kind="line", id="E-F", mw=1.5)),
)


def test_cleared_interval() -> None:
    cleared = replace(CLEARED, frozen_at_ns=NOON - 60 * NS_PER_S, loss_per_mwh={"102": 2.25})
    assert lines(encode_outcome(cleared, area_of_bus={"101": "A 1"})) == [
        (
            'clearing,segment=RT status="OK_VIOLATION",valid=1i,reason="",uniform_price_cny_per_mwh=390.125,energy_cny_per_mwh=388.0,'
            "objective_cny_per_h=1000.5,penalty_cny_per_h=2.0,binding=2i,violations=2i,violation_mw=5.0,certified=1i,relaxed=0i,"
            "version=1i,margin_s=10.0,total_s=50.0 1781064000000000000"
        ),
        "certificate,segment=RT balance_mw=1e-09,passed=1i 1781064000000000000",
        r"lmp,area=A\ 1,bus=101,segment=RT price_cny_per_mwh=388.0,energy_cny_per_mwh=388.0,congestion_cny_per_mwh=0.0 1781064000000000000",
        (
            "lmp,area=none,bus=102,segment=RT price_cny_per_mwh=400.25,energy_cny_per_mwh=385.75,congestion_cny_per_mwh=12.25,"
            "loss_cny_per_mwh=2.25 1781064000000000000"
        ),
        "binding,branch=A-B,kind=line,outage=none,segment=RT flow_mw=50.0,limit_mw=50.0,shadow_price_cny_per_mwh=12.25 1781064000000000000",
        "binding,branch=A-B,kind=line,outage=C-D,segment=RT flow_mw=49.0,limit_mw=49.0,shadow_price_cny_per_mwh=1.0 1781064000000000000",
    ]


def test_how_long_the_engine_took_is_one_more_field_of_the_point() -> None:
    timed = SolveTimed(ts_event_ns=NOON, interval_start_ns=NOON, version=2, solve_s=0.25)
    assert encode_solve(timed) == b"clearing,segment=RT solve_s=0.25 1781064000000000001\n"


def test_failed_interval_has_no_price_rather_than_one_of_zero() -> None:
    failed = ClearingFailed(
        interval_start_ns=NOON, completed_at_ns=NOON + NS_PER_S, reason=FailureReason.SOLVER_STATUS, detail='said "no"', version=2
    )
    assert lines(encode_outcome(failed, Segment.DA)) == [
        (
            r'clearing,segment=DA status="FAILED",valid=0i,reason="SOLVER_STATUS",detail="said \"no\"",version=2i,margin_s=-1.0 '
            "1781064000000000001"
        )
    ]


def test_a_later_version_is_another_point() -> None:
    first, second = (encode_outcome(replace(CLEARED, version=version)) for version in (1, 2))
    assert [line.rsplit(" ", 1)[1] for line in lines(first)] == ["1781064000000000000"] * 6
    assert [line.rsplit(" ", 1)[1] for line in lines(second)] == ["1781064000000000001"] * 6


def test_price_in_force_and_its_revision() -> None:
    price = PriceInForce(
        ts_event_ns=NOON,
        segment=Segment.RT,
        interval_start_ns=NOON,
        regime=Regime.MARKET,
        price_cny_per_mwh=388,
        rev=0,
        source="clearing:3",
        provisional=False,
        rule_set="r",
    )
    unknown = replace(price, rev=2, price_cny_per_mwh=None, regime=Regime.GAP, provisional=True, source="day_ahead:10:15", by_analogy=True)
    assert lines(encode_price(price) + encode_price(unknown)) == [
        (
            'price,segment=RT price_cny_per_mwh=388.0,regime="MARKET",rev=0i,provisional=0i,source="clearing:3",by_analogy=0i,version=3i '
            "1781064000000000000"
        ),
        'price,segment=RT regime="GAP",rev=2i,provisional=1i,source="day_ahead:10:15",by_analogy=1i 1781064000000000002',
    ]


def test_alerts_of_one_millisecond_stay_apart() -> None:
    alert = Alert(
        alert_id="trip/RT/1",
        ts_event_ns=NOON,
        name="market_tripped",
        priority=Priority.P1,
        state=AlertState.RAISED,
        text_en="tripped\nnow",
        text_zh="熔断",
        labels={"segment": "RT"},
    )
    one, other = lines(encode_alert(alert) + encode_alert(replace(alert, alert_id="trip/RT/2")))
    head, _, instant = one.rpartition(" ")
    assert head == (
        "alert,area=none,dev=none,name=market_tripped,priority=P1,segment=RT,state=RAISED "
        'alert_id="trip/RT/1",text_en="tripped now",text_zh="熔断"'
    )
    assert 0 <= int(instant) - NOON < 1_000_000
    assert instant != other.rpartition(" ")[2]


@pytest.mark.parametrize("body", EVERY_BODY, ids=lambda body: type(body).__name__)
def test_each_kind_of_decision_is_one_event(body: DecisionBody) -> None:
    decision = chained(body, seq=7, ts_event_ns=NOON, rule_set="gd/r1", prev_hash=GENESIS)
    line, *_ = lines(BreakerLines("Asia/Shanghai").decision(decision))
    segment = getattr(body, "segment", None) or "none"
    assert line.startswith(f'event,kind={type(body).__name__},segment={segment} seq=7i,text_en="')
    assert line.endswith(f'rule_set="gd/r1",hash="{decision.hash}" 1781064000000000007')


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a,b", r"a\,b"),
        ("a=b", r"a\=b"),
        ("a b", r"a\ b"),
        ("广东", "广东"),
        ("", "none"),
        ("C:\\", "C:_"),
        ("a\\\\", "a__"),
        ("a\\b", "a\\b"),
        ("two\nlines", "two_lines"),
        ("nul\x00", "nul_"),
    ],
)
def test_tag_values(text: str, written: str) -> None:
    assert tag_value(text) == written


def test_a_very_long_text_is_cut_and_says_so() -> None:
    decision = chained(
        FindingNoted(finding="x" * 10_000, article="policy", evidence=()), seq=1, ts_event_ns=NOON, rule_set="r", prev_hash=GENESIS
    )
    text = BreakerLines("Asia/Shanghai").decision(decision).decode().split('text_en="')[1].split('"')[0]
    assert (len(text), text[-2:]) == (8_000, "x…")
