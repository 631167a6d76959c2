"""One hour of records of every kind that is written to InfluxDB, smooth and invented, so that any value of it can be worked out by hand.

Every ten seconds key figures, a picture of the grid, telemetry of three devices, a market view and reports of two processes; every minute
accounts of the devices, every five minutes a clearing and a price with what it comes to. Clearing fails from minute 30 to 45: there is a
case, there are duties (one of them overdue from minute 40 on), a notice and findings; the interval at minute 50 is cleared a second time.
Branch L7 is open from minute 20 on, and bus 106, which it fed, is dead. There is an alert of every priority, one of them of a device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

from ingest.account import DeviceAccount, LostReason
from ingest.frame import TelemetryFrame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from market.causes import AnomalyClass
from market.certificate import TOLERANCES
from market.decisions import (
    GENESIS,
    Announcement,
    AnomalyNoted,
    Decision,
    DecisionBody,
    FindingNoted,
    OutageEnded,
    Phase,
    Reminded,
    Transition,
    chained,
)
from market.facts import Segment
from market.handling import CaseClosed, CaseNoted, CaseOpened
from market.outcomes import Binding, Certificate, Cleared, ClearingFailed, FailureReason, Outcome, OutcomeStatus
from market.prices import PriceInForce, Regime
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from market.view import CaseView, DutyView, MarketView, NoticeView, SegmentView
from streams.accounts import AreaAccounts
from streams.alerts import Alert, AlertState, Priority
from streams.gridpicture import BranchColumns, BusColumns, GridPicture
from streams.indicative import Places
from streams.intake import CLOCK_SOURCE
from streams.kpis import KPIS, KpiFrame, LineLoading, SourceHealth
from streams.outbox import Attempt, Claim, DeliveryState
from streams.processreport import ProcessReport, SolveTimed, StageReport
from streams.recordlines import RecordLines
from streams.rollups import Rollups
from streams.servicelines import encode_attempt
from streams.telemetrylines import TelemetryEncoder

__all__ = [
    "ALERTS",
    "BRANCHES",
    "BUSES",
    "DEVICES",
    "END_NS",
    "START_NS",
    "accounts",
    "hour",
    "lmp_cny_per_mwh",
    "load_mw",
    "output_mw",
    "picture",
    "records",
    "report",
    "solve_time",
]

START_NS = instant_ns("2026-06-10T10:00:00+08:00")
END_NS = START_NS + 60 * NS_PER_MIN
OUT_NS = START_NS + 30 * NS_PER_MIN
BACK_NS = START_NS + 45 * NS_PER_MIN
BUSES = ("101", "102", "103")
BRANCHES = tuple(f"L{n}" for n in range(10))
DEVICES = ("rtu-0", "rtu-1", "rtu-2")
DEAD_BUS = "106"
CASE = "2026-06-10-01"

UNITS = {"G1": ("coal", "101"), "W1": ("wind", "103")}
PLACES = Places(units=UNITS, storages={"S1": "102"}, branches={"L1": ("101", "102")})

TABLE = PointTable(
    PointSpec(name=name, area="1", device=f"rtu-{n}", period_ns=10 * NS_PER_S)
    for n in range(3)
    for name in (f"unit/G{n}/mw", f"bus/10{n + 1}/kv", f"branch/L{n}/from_mw", f"switch/L{n}/from", f"load/10{n + 1}/mw")
)


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


def output_mw(unit: int, ts_ns: int) -> float:
    """Output of a unit as its device measures it: 100 MW and 10 MW more each minute of the hour, 1,000 MW more from unit to unit."""
    return 100.0 + 1_000.0 * unit + 10.0 * ((ts_ns - START_NS) // NS_PER_MIN)


def _frame(device: int, ts_ns: int) -> TelemetryFrame:
    bad = 0x8000_0000 if device == 2 and ts_ns < START_NS + 5 * NS_PER_MIN else 0
    told = {
        f"unit/G{device}/mw": output_mw(device, ts_ns),
        f"bus/10{device + 1}/kv": 230.0 + device,
        f"branch/L{device}/from_mw": 50.0 + device,
        f"switch/L{device}/from": 2.0,
        f"load/10{device + 1}/mw": load_mw(ts_ns) / 3,
    }
    samples = [(point_id(name), ts_ns, value, bad, 0) for name, value in told.items()]
    return frame_of(f"rtu-{device}", "1", (ts_ns - START_NS) // (10 * NS_PER_S), ts_ns, samples)


def picture(ts_ns: int) -> GridPicture:
    """How the grid stands at an instant of the hour."""
    opened = ts_ns >= START_NS + 20 * NS_PER_MIN
    buses = (*BUSES, "104", "105", DEAD_BUS)
    alive = [not (opened and bus == DEAD_BUS) for bus in buses]
    closed = [not (opened and branch == "L7") for branch in BRANCHES]
    return GridPicture(
        ts_event_ns=ts_ns,
        branches=BranchColumns(
            branch=BRANCHES,
            flow_mw=tuple((100.0 + n) * on for n, on in enumerate(closed)),
            loading_pct=tuple((70.0 + n) * on for n, on in enumerate(closed)),
            closed=tuple(closed),
        ),
        buses=BusColumns(
            bus=buses,
            area=tuple("112233"),
            island=tuple(int(on) for on in alive),
            kv_pu=tuple(1.0 + 0.001 * n if on else 0.0 for n, on in enumerate(alive)),
        ),
        islands=1,
        branches_open=closed.count(False),
        buses_dead=alive.count(False),
        load_lost_mw=80.0 if opened else 0.0,
        observability_pct=98.0,
    )


def _duties(ts_ns: int) -> tuple[DutyView, ...]:
    if not OUT_NS <= ts_ns < BACK_NS:
        return ()
    due = {"announce_anomaly": OUT_NS + 10 * NS_PER_MIN, "explain": OUT_NS + 48 * 60 * NS_PER_MIN, "limit": OUT_NS + 72 * 60 * NS_PER_MIN}
    due["report"] = OUT_NS + 7 * 24 * 60 * NS_PER_MIN
    return tuple(
        DutyView(
            key=f"{duty}/RT",
            duty=duty,
            segment=Segment.RT,
            article="Art. 24",
            owner="DISPATCH",
            opened_ns=OUT_NS,
            due_ns=due_ns,
            overdue=ts_ns > due_ns,
            missing=("GOV",) if duty == "report" else (),
        )
        for duty, due_ns in due.items()
    )


def view(ts_ns: int) -> MarketView:
    out = OUT_NS <= ts_ns < BACK_NS
    headroom_s = 7_200.0 - (ts_ns - OUT_NS) / NS_PER_S if out else 7_200.0
    rt = SegmentView(
        segment=Segment.RT,
        phase=Phase.DEGRADED if out else Phase.NORMAL,
        version=1,
        outage_start_ns=OUT_NS if out else None,
        headroom_s=headroom_s,
    )
    case = CaseView(
        case=CASE,
        version=1,
        segment=Segment.RT,
        anomaly=AnomalyClass.RESULT,
        item="Art. 9(2)",
        subject="no valid result",
        status="OPEN",
        cause="TECHNICAL",
        discovered_ns=OUT_NS,
        major=False,
    )
    notice = NoticeView(number="RT-2026-06-10-01", kind="ANOMALY", segment=Segment.RT, subject="drill")
    return MarketView(
        ts_event_ns=ts_ns,
        segments=(
            rt,
            SegmentView(
                segment=Segment.DA,
                phase=Phase.NORMAL,
                version=1,
                expected_p50_ns=START_NS + 30 * NS_PER_MIN,
                expected_p90_ns=START_NS + 40 * NS_PER_MIN,
                outlook="in_time",
            ),
        ),
        last_valid_at_ns=START_NS,
        regime=Regime.GAP if out else Regime.MARKET,
        price_cny_per_mwh=305.0,
        price_interval_ns=START_NS,
        rule_set="gd/r1",
        rt_limit_s=7_200,
        rt_interval_s=300,
        duties=_duties(ts_ns),
        cases=(case,) if out else (),
        notices=(notice,) if out else (),
    )


def _outcome(start_ns: int, version: int = 1) -> Outcome:
    completed_at_ns = start_ns - 20 * NS_PER_S
    frozen_at_ns = start_ns - 60 * NS_PER_S
    if OUT_NS <= start_ns < BACK_NS:
        return ClearingFailed(
            interval_start_ns=start_ns,
            completed_at_ns=completed_at_ns,
            frozen_at_ns=frozen_at_ns,
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
        dispatch_mw={"G1": 100.0, "W1": 20.0},
        storage_mw={"S1": -12.0},
        lmp_per_mwh=lmp,
        energy_per_mwh=300.0,
        congestion_per_mwh={bus: price - 300.0 for bus, price in lmp.items()},
        flow_mw={"L1": 50.0},
        uniform_price_per_mwh=lmp["102"],
        loss_per_mwh=dict.fromkeys(BUSES, 0.0),
        certificate=Certificate(passed=True, residuals={**dict.fromkeys(TOLERANCES, 1e-9), "range_widened_mw": 0.0}),
        binding=(Binding(kind="line", id="L1", outage=None, flow_mw=50.0, limit_mw=50.0, shadow_price=10.0),),
        version=version,
        frozen_at_ns=frozen_at_ns,
    )


def solve_time(start_ns: int) -> SolveTimed:
    """A quarter of a second and a hundredth more from interval to interval; 10 s where the solver gave nothing."""
    took_s = 10.0 if OUT_NS <= start_ns < BACK_NS else 0.25 + 0.01 * ((start_ns - START_NS) // (5 * NS_PER_MIN))
    return SolveTimed(ts_event_ns=start_ns - 20 * NS_PER_S, interval_start_ns=start_ns, version=1, solve_s=took_s)


def _price(start_ns: int, value: float, rev: int = 0) -> PriceInForce:
    out = OUT_NS <= start_ns < BACK_NS
    return PriceInForce(
        ts_event_ns=start_ns,
        segment=Segment.RT,
        interval_start_ns=start_ns,
        regime=Regime.GAP if out else Regime.MARKET,
        price_cny_per_mwh=value,
        rev=rev,
        source="last_valid:10:25" if out else f"clearing:{rev + 1}",
        provisional=out,
        rule_set="gd/r1",
        clearing_start_ns=OUT_NS - 5 * NS_PER_MIN if out else start_ns,
    )


def _day_ahead_price(start_ns: int) -> PriceInForce:
    return PriceInForce(
        ts_event_ns=START_NS,
        segment=Segment.DA,
        interval_start_ns=start_ns,
        regime=Regime.MARKET,
        price_cny_per_mwh=320.0 + (start_ns - START_NS) / (15 * NS_PER_MIN),
        rev=0,
        source="day_ahead:10:00",
        provisional=False,
        rule_set="gd/r1",
    )


def _decisions() -> Iterator[Decision]:
    bodies: list[DecisionBody] = [
        Transition(
            segment=Segment.RT,
            before=Phase.NORMAL,
            after=Phase.PROPOSED,
            basis="TOPOLOGY_SOFT",
            article="Art. 8(3)",
            condition_met_at_ns=OUT_NS,
            evidence=("L7 open at both ends", "bus 106 dead"),
        ),
        Transition(segment=Segment.RT, before=Phase.PROPOSED, after=Phase.DEGRADED, basis="RESULT_MISSING", article="Art. 9(2)"),
        AnomalyNoted(segment=Segment.RT, interval_start_ns=OUT_NS, how="FAILED", reason="SOLVER_TIMEOUT"),
        FindingNoted(finding="SCADA_DOWN", article="policy 1.5", evidence=("no scan since 10:29",)),
        CaseOpened(
            case=CASE,
            segment=Segment.RT,
            anomaly=AnomalyClass.RESULT,
            item="Art. 9(2)",
            discovered_ns=OUT_NS,
            subject="no valid result",
        ),
        CaseNoted(case=CASE, entry="CAUSE", text="a technical cause (presumed)"),
        Reminded(segment=Segment.RT, outage_start_ns=OUT_NS, minutes=15, headroom_min=105),
        Announcement(
            number="RT-2026-06-10-01",
            announcement_kind="ANOMALY",
            segment=Segment.RT,
            subject="drill",
            supersedes="",
            published_at_ns=OUT_NS,
            text_zh="演练公告",
            text_en="a drill",
        ),
        OutageEnded(segment=Segment.RT, outage_start_ns=OUT_NS, outage_end_ns=BACK_NS, failed_intervals=3),
        CaseClosed(case=CASE, by="engine"),
    ]
    prev_hash = GENESIS
    for seq, body in enumerate(bodies, start=1):
        ts_ns = BACK_NS if isinstance(body, OutageEnded | CaseClosed) else OUT_NS
        decision = chained(body, seq=seq, ts_event_ns=ts_ns, rule_set="gd/r1", prev_hash=prev_hash)
        prev_hash = decision.hash
        yield decision


def accounts(from_ns: int) -> AreaAccounts:
    """A minute of three devices: 60 samples are due of each, and rtu-1 loses the more of them, by each reason in turn."""
    reasons = list(LostReason)
    devices = [DeviceAccount(device="rtu-0", expected=60, good=60, uncertain=0, bad=0)]
    reason = reasons[(from_ns - START_NS) // NS_PER_MIN % len(reasons)]
    devices.append(DeviceAccount(device="rtu-1", expected=60, good=30, uncertain=5, bad=4, late=1, lost={reason: 20}))
    devices.append(DeviceAccount(device="rtu-2", expected=60, good=57, uncertain=3, bad=0))
    return AreaAccounts(ts_event_ns=from_ns + NS_PER_MIN, area="1", from_ns=from_ns, devices=tuple(devices))


ALERTS: dict[str, dict[str, str]] = {
    "market_degraded": {"segment": "RT"},
    "clearing_failed": {"segment": "RT"},
    "source_stale": {"area": "1", "device": "rtu-2"},
    "duty_reminder": {"segment": "RT"},
}


def _alert(number: int, priority: Priority) -> Alert:
    name, labels = list(ALERTS.items())[number]
    return Alert(
        alert_id=f"{name}/{number}",
        ts_event_ns=OUT_NS,
        name=name,
        priority=priority,
        state=AlertState.RAISED,
        text_en="no result",
        text_zh="无结果",
        labels=labels,
    )


def attempts() -> Iterator[tuple[str, Attempt]]:
    """The webhook fails once for each alert and then delivers it, and never delivers the last; the log takes all of them at once."""
    for number, priority in enumerate(Priority):
        alert, lost = _alert(number, priority), number == len(Priority) - 1
        last = DeliveryState.UNDELIVERABLE if lost else DeliveryState.DELIVERED
        told = [("log", 1, DeliveryState.DELIVERED), ("webhook", 1, DeliveryState.WAITING), ("webhook", 2, last)]
        for channel, attempt, state in told:
            claim = Claim(number, alert, attempt, OUT_NS)
            at_ns, failed = OUT_NS + (attempt + number) * NS_PER_S, state is not DeliveryState.DELIVERED
            yield channel, Attempt(claim=claim, state=state, at_ns=at_ns, latency_ms=20.0, reply="503" if failed else "200 ok")


def report(ts_ns: int) -> ProcessReport:
    """InfluxDB is away from minute 10 to 15."""
    up_s = (ts_ns - START_NS) / NS_PER_S
    away = START_NS + 10 * NS_PER_MIN <= ts_ns < START_NS + 15 * NS_PER_MIN
    waits_s = (ts_ns - START_NS - 10 * NS_PER_MIN) / NS_PER_S if away else 0.0
    agents = ("intake", "grid", "clearing", "breaker", "alerts")
    return ProcessReport(
        ts_event_ns=ts_ns,
        instance="gridfuse-1",
        role="all",
        up_s=up_s,
        spool_waiting_bytes=10_000.0 * waits_s,
        spool_waiting_s=waits_s,
        sink_lag_s=waits_s,
        lines_sent=int(100 * up_s),
        lines_rejected=0,
        retries=int(waits_s),
        not_spooled=0,
        loop_delay_s=0.002,
        rss_bytes=300e6,
        cpu_s=0.1 * up_s,
        dead_letters=0,
        frames_dropped=0,
        stages=(
            *(StageReport(stage=name, records=int(up_s), errors=0, waiting=0, busy_s=0.01 * up_s) for name in agents),
            StageReport(stage="Recorder/kpi.v1", records=int(up_s), errors=0, waiting=3),
        ),
    )


def records() -> Iterator[Any]:
    """Yield the hour's records, by kind, each kind in the order of time."""
    for ts_ns in range(START_NS, END_NS, 10 * NS_PER_S):
        yield from (_kpis(ts_ns), picture(ts_ns), view(ts_ns), report(ts_ns))
        yield from (_frame(device, ts_ns) for device in range(3))
    for start_ns in range(START_NS, END_NS, 5 * NS_PER_MIN):
        yield from (_outcome(start_ns), solve_time(start_ns), _price(start_ns, 305.0))
    yield from map(_day_ahead_price, range(START_NS, END_NS, 15 * NS_PER_MIN))
    again_ns = START_NS + 50 * NS_PER_MIN
    yield from (_outcome(again_ns, version=2), _price(again_ns, 405.0, rev=1))
    yield from map(accounts, range(START_NS, END_NS, NS_PER_MIN))
    yield from _decisions()
    yield from (_alert(number, priority) for number, priority in enumerate(Priority))


@cache
def hour() -> bytes:
    """Return the hour as the encoders write it."""
    area_of_bus = dict(zip(BUSES, "112", strict=True))
    rollups = Rollups(TABLE)
    rollups.begin_anew()
    lines = RecordLines(
        TelemetryEncoder(TABLE),
        "Asia/Shanghai",
        area_of_bus=area_of_bus,
        places=PLACES,
        interval_ns=5 * NS_PER_MIN,
        rollups=rollups,
    )
    told_whom = (encode_attempt(attempt, channel) for channel, attempt in attempts())
    later = heartbeat(CLOCK_SOURCE, "1", 0, END_NS + NS_PER_MIN)
    told = list(records())
    rolled_up = (lines.rolled_up(record) for record in [*told, later] if isinstance(record, TelemetryFrame))
    return b"".join([*map(lines.of_record, told), *rolled_up, *told_whom])
