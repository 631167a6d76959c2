"""One hour of records of every kind that is written to InfluxDB, smooth and invented, so that any value of it can be worked out by hand.

Every ten seconds key figures and a market view, every minute the accounts of three devices, every five minutes a clearing and a price;
clearing fails from minute 30 to 45, and the interval at minute 50 is cleared a second time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ingest.account import DeviceAccount, LostReason
from market.decisions import GENESIS, Announcement, DecisionBody, OutageEnded, Phase, Reminded, Transition, chained
from market.facts import Segment
from market.outcomes import Binding, Certificate, Cleared, ClearingFailed, FailureReason, Outcome, OutcomeStatus
from market.prices import PriceInForce, Regime
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from market.view import MarketView, SegmentView
from streams.accounts import AreaAccounts
from streams.alerts import Alert, AlertState, Priority
from streams.kpis import KPIS, KpiFrame, LineLoading, SourceHealth
from streams.lineprotocol import encode_accounts, encode_alert, encode_decision, encode_kpis, encode_market, encode_outcome, encode_price

__all__ = ["END_NS", "START_NS", "accounts", "hour", "lmp_cny_per_mwh", "load_mw"]

START_NS = instant_ns("2026-06-10T10:00:00+08:00")
END_NS = START_NS + 60 * NS_PER_MIN
BUSES = ("101", "102", "103")


def load_mw(ts_ns: int) -> float:
    """System load: 8,000 MW and a wave of 500 MW with a period of an hour."""
    return 8_000.0 + 500.0 * math.sin(2 * math.pi * (ts_ns - START_NS) / (60 * NS_PER_MIN))


def lmp_cny_per_mwh(bus: str, start_ns: int, version: int = 1) -> float:
    """Price at a bus: rises by 1 with each interval, by 10 from bus to bus, by 100 in a second version."""
    return 300.0 + 10.0 * BUSES.index(bus) + (start_ns - START_NS) / (5 * NS_PER_MIN) + 100.0 * (version - 1)


def _kpis(ts_ns: int) -> KpiFrame:
    system = {kpi.name: 10.0 for kpi in KPIS if kpi.scope == "system"}
    system |= {"load_mw": load_mw(ts_ns), "generation_mw": load_mw(ts_ns) + 80.0, "frequency_hz": 50.01}
    area = {kpi.name: 5.0 for kpi in KPIS if kpi.scope == "area"}
    return KpiFrame(
        ts_event_ns=ts_ns,
        system=system,
        areas={name: area | {"frequency_hz": 50.0 + 0.01 * number} for number, name in enumerate("123")},
        generation_mw_by_fuel={"coal": 5_000.0, "wind": 2_000.0, "hydro": 1_000.0},
        worst_lines=tuple(LineLoading(branch=f"L{n}", flow_mw=100.0 + n, loading_pct=70.0 + n) for n in range(10)),
        lines_open=("L77",),
        sources=tuple(SourceHealth(source=f"rtu-{n}", area="1", points=40, good=40 - n, age_s=float(n), state="ok") for n in range(3)),
        freshness_s_by_source={f"rtu-{n}": 2.0 * n for n in range(3)},
    )


def _view(ts_ns: int) -> MarketView:
    out = START_NS + 30 * NS_PER_MIN <= ts_ns < START_NS + 45 * NS_PER_MIN
    outage_start_ns = START_NS + 30 * NS_PER_MIN if out else None
    headroom_s = 7_200.0 - (ts_ns - START_NS - 30 * NS_PER_MIN) / NS_PER_S if out else 7_200.0
    rt = SegmentView(
        segment=Segment.RT,
        phase=Phase.DEGRADED if out else Phase.NORMAL,
        version=1,
        outage_start_ns=outage_start_ns,
        headroom_s=headroom_s,
    )
    return MarketView(
        ts_event_ns=ts_ns,
        segments=(rt, SegmentView(segment=Segment.DA, phase=Phase.NORMAL, version=1)),
        last_valid_at_ns=START_NS,
        regime=Regime.GAP if out else Regime.MARKET,
        price_cny_per_mwh=305.0,
        price_interval_ns=START_NS,
        rule_set="gd/r1",
        rt_limit_s=7_200,
        rt_interval_s=300,
    )


def _outcome(start_ns: int, version: int = 1) -> Outcome:
    completed_at_ns = start_ns - 20 * NS_PER_S
    if START_NS + 30 * NS_PER_MIN <= start_ns < START_NS + 45 * NS_PER_MIN:
        return ClearingFailed(
            interval_start_ns=start_ns,
            completed_at_ns=completed_at_ns,
            reason=FailureReason.SOLVER_TIMEOUT,
            detail="no answer",
            version=version,
        )
    lmp = {bus: lmp_cny_per_mwh(bus, start_ns, version) for bus in BUSES}
    return Cleared(
        interval_start_ns=start_ns,
        completed_at_ns=completed_at_ns,
        status=OutcomeStatus.OK,
        objective_per_h=1e6,
        penalty_per_h=0.0,
        dispatch_mw={"G1": 100.0},
        lmp_per_mwh=lmp,
        energy_per_mwh=300.0,
        congestion_per_mwh={bus: price - 300.0 for bus, price in lmp.items()},
        flow_mw={"L1": 50.0},
        uniform_price_per_mwh=lmp["102"],
        certificate=Certificate(passed=True, residuals={}),
        binding=(Binding(kind="line", id="L1", outage=None, flow_mw=50.0, limit_mw=50.0, shadow_price=10.0),),
        version=version,
    )


def _price(start_ns: int, value: float, rev: int = 0) -> PriceInForce:
    return PriceInForce(
        ts_event_ns=start_ns,
        segment=Segment.RT,
        interval_start_ns=start_ns,
        regime=Regime.MARKET,
        price_cny_per_mwh=value,
        rev=rev,
        source="clearing:1",
        provisional=False,
        rule_set="gd/r1",
    )


def _decisions() -> Iterator[bytes]:
    at_ns = START_NS + 30 * NS_PER_MIN
    bodies: list[DecisionBody] = [
        Transition(segment=Segment.RT, before=Phase.NORMAL, after=Phase.DEGRADED, basis="RESULT_MISSING", article="Art. 9(2)"),
        Reminded(segment=Segment.RT, outage_start_ns=at_ns, minutes=15, headroom_min=105),
        Announcement(
            number="RT-2026-06-10-01",
            announcement_kind="TRIP",
            segment=Segment.RT,
            subject="drill",
            supersedes="",
            published_at_ns=at_ns,
            text_zh="演练公告",
            text_en="a drill",
        ),
        OutageEnded(segment=Segment.RT, outage_start_ns=at_ns, outage_end_ns=at_ns + 15 * NS_PER_MIN, failed_intervals=3),
    ]
    prev_hash = GENESIS
    for seq, body in enumerate(bodies, start=1):
        decision = chained(body, seq=seq, ts_event_ns=at_ns, rule_set="gd/r1", prev_hash=prev_hash)
        prev_hash = decision.hash
        yield encode_decision(decision)


def accounts(from_ns: int) -> AreaAccounts:
    """A minute of three devices: 60 samples are due of each, and rtu-1 loses the more of them, by each reason in turn."""
    reasons = list(LostReason)
    devices = [DeviceAccount(device="rtu-0", expected=60, good=60, uncertain=0, bad=0)]
    reason = reasons[(from_ns - START_NS) // NS_PER_MIN % len(reasons)]
    devices.append(DeviceAccount(device="rtu-1", expected=60, good=30, uncertain=5, bad=4, late=1, lost={reason: 20}))
    devices.append(DeviceAccount(device="rtu-2", expected=60, good=57, uncertain=3, bad=0))
    return AreaAccounts(ts_event_ns=from_ns + NS_PER_MIN, area="1", from_ns=from_ns, devices=tuple(devices))


def hour() -> bytes:
    """Return the hour as the encoders write it."""
    lines: list[bytes] = []
    for ts_ns in range(START_NS, END_NS, 10 * NS_PER_S):
        lines += [encode_kpis(_kpis(ts_ns)), encode_market(_view(ts_ns))]
    for start_ns in range(START_NS, END_NS, 5 * NS_PER_MIN):
        lines += [encode_outcome(_outcome(start_ns)), encode_price(_price(start_ns, 305.0))]
    again_ns = START_NS + 50 * NS_PER_MIN
    lines += [encode_outcome(_outcome(again_ns, version=2)), encode_price(_price(again_ns, 405.0, rev=1))]
    lines += [encode_accounts(accounts(start_ns)) for start_ns in range(START_NS, END_NS, NS_PER_MIN)]
    lines += list(_decisions())
    for number, priority in enumerate(Priority):
        alert = Alert(
            alert_id=f"clearing_failed/{number}",
            ts_event_ns=START_NS + 30 * NS_PER_MIN,
            name="clearing_failed",
            priority=priority,
            state=AlertState.RAISED,
            text_en="no result",
            text_zh="无结果",
            labels={"segment": "RT"},
        )
        lines.append(encode_alert(alert))
    return b"".join(lines)
