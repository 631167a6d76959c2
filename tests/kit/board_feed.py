"""One eventful day as the board hears it: the real records, on a made-up three-area grid, without any other part of the service.

The day is written as a script. Real-time clearing fails from 10:00 and the breaker trips at the 120th minute; clearing comes back in
the shadow, a dispatcher recovers the market, and an hour later three top-voltage lines are lost and it trips again. `SCENES` names
the instants worth looking at. Values follow smooth curves with a fixed seed, so a picture taken twice is the same picture.

:mod:`tests.kit.board_server` serves it to a browser.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from console.board.state import BoardRecord, BoardState
from market.announcements import notice_text
from market.decisions import (
    GENESIS,
    Announcement,
    AnomalyNoted,
    Decision,
    DecisionBody,
    DutyOpened,
    DutySettled,
    Phase,
    RecoveryProposed,
    Reminded,
    Transition,
    chained,
)
from market.facts import Segment
from market.outcomes import Certificate, Cleared, ClearingFailed, FailureReason, OutcomeStatus, Violation
from market.prices import PriceInForce, Regime
from market.rules import GUANGDONG_2023
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, floor_ns, instant_ns
from market.view import MarketView, SegmentView
from streams.alerts import Alert, alerts_of, source_alert
from streams.findings import SourceFresh, SourceStale
from streams.kpis import KpiFrame, LineLoading, SourceHealth
from tests.kit import board_handling

__all__ = ["DAY", "SCENES", "STORY", "board_at", "kpi_at", "records", "view_at"]

DAY: Final = "2020-07-10"
_OFFSET: Final = "+08:00"
RULES: Final = GUANGDONG_2023


def at(clock: str, day: str = DAY) -> int:
    """Return an instant of the day by the market's clock, ns."""
    return instant_ns(f"{day}T{clock}+08:00")


BEGIN: Final = at("13:00:00", "2020-07-09")
OUTAGE: Final = at("10:00:00")
CONDITION: Final = at("12:00:00")
TRIP: Final = at("12:00:30")
CLEARS_AGAIN: Final = at("12:15:00")
PROPOSED: Final = at("13:00:10")
RECOVER: Final = at("13:22:40")
EFFECTIVE: Final = at("14:00:00")
THIRD_LINE: Final = at("15:06:58")
SECOND_TRIP: Final = at("15:07:12")
OVERDUE: Final = SECOND_TRIP + 72 * NS_PER_H
SUSPENDED: Final = at("18:00:00", "2020-07-13")
SUSPENDED_UNTIL: Final = at("18:00:00", "2020-07-16")
DAY_AHEAD_OUT: Final = at("23:00:30", "2020-07-12")
SILENT: Final = (at("09:34:00"), at("09:52:00"))
"""When device rtu-215 said nothing."""

SCENES: Final = {
    "normal": at("09:20:07"),
    "device_stale": at("09:41:15"),
    "failing": at("11:23:00"),
    "tripped": at("12:03:20"),
    "shadow": at("13:11:05"),
    "resuming": at("13:40:00"),
    "resumed": at("14:21:30"),
    "second_trip": at("15:12:45"),
    "suspended": at("20:04:10", "2020-07-13"),
}

STORY: Final = {
    "normal": (
        "A normal morning: three areas, 5-second telemetry, one clearing each 15 minutes.",
        "平常的上午：三个区域，遥测 5 秒一次，每 15 分钟出清一次。",
    ),
    "device_stale": (
        "RTU 215 has gone silent. Its points are stale; the market goes on with substituted values.",
        "RTU 215 失去响应，其测点过期；市场用替代值继续出清。",
    ),
    "failing": (
        "Clearing has failed since 10:00. At the 120th minute the breaker will trip by itself.",
        "10:00 起连续未出清。满 120 分钟时将自动熔断。",
    ),
    "tripped": (
        "The breaker has tripped: announced in both languages, prices follow Art. 27(2), clocks run.",
        "市场已熔断：双语公告已发布，按第27条(2)定价，法定时限开始计时。",
    ),
    "shadow": (
        "Clearing works again, in the shadow. Only a person may recover the market.",
        "出清已恢复，但仅作影子运行。恢复市场须由人员确认。",
    ),
    "resuming": ("The dispatcher has confirmed the recovery; market prices return at 14:00.", "调度人员已确认恢复；14:00 起恢复市场价。"),
    "resumed": ("Back to market prices. The 48-hour explanation is still owed.", "已恢复市场价。48 小时内仍须提交说明。"),
    "second_trip": (
        "Three top-voltage lines are gone within four minutes: a major topology change trips at once.",
        "四分钟内失去三条最高电压等级线路：拓扑重大变化，立即熔断。",
    ),
    "suspended": (
        "After 72 hours the operators have suspended the market; both bodies must approve before it resumes.",
        "熔断超过 72 小时，市场运营机构已中止市场；恢复须经两部门批准。",
    ),
}

_AREAS: Final = {"A1": 1900.0, "A2": 2150.0, "A3": 2050.0}
_FUELS: Final = {
    "nuclear": 396.0,
    "coal": 1600.0,
    "gas": 1500.0,
    "hydro": 620.0,
    "wind": 700.0,
    "solar": 900.0,
    "oil": 24.0,
    "other": 12.0,
}
_LINES: Final = ("A25-1", "B22", "C7", "A11", "AB1", "CA-1", "B18", "C25-2", "A30", "C31", "AB3")
_DEVICES: Final = tuple(
    [f"rtu-{100 * area + n}" for area in (1, 2, 3) for n in (2, 7, 13, 15, 18, 21, 23)] + ["scada-a1", "scada-a2", "scada-a3"]
)


def _shape(ts_ns: int) -> float:
    """Share of the day's peak load: a night valley and an afternoon peak."""
    hour = (ts_ns / NS_PER_H + 8.0) % 24.0
    return float(0.80 + 0.13 * np.sin((hour - 9.0) / 24.0 * 2 * np.pi) + 0.05 * np.sin((hour - 16.0) / 12.0 * 2 * np.pi))


def _wobble(ts_ns: int, seed: float) -> float:
    """A smooth, repeatable disturbance in [-1, 1]."""
    t_min = ts_ns / NS_PER_MIN
    return float(np.sin(t_min * 0.61 + seed) * 0.4 + np.sin(t_min * 0.173 + 2.1 * seed) * 0.4 + np.sin(t_min * 2.9 + 0.7 * seed) * 0.2)


def _lost(ts_ns: int) -> bool:
    return ts_ns >= at("15:03:20")


def kpi_at(ts_ns: int) -> KpiFrame:
    """Return the key figures the feed has at an instant."""
    dip_s = (ts_ns - THIRD_LINE) / NS_PER_S
    dip_hz = -0.31 * np.exp(-dip_s / 240.0) if dip_s >= 0 else 0.0
    hertz = 50.0 + 0.022 * _wobble(ts_ns, 1.0) + float(dip_hz)
    areas: dict[str, dict[str, float]] = {}
    for n, (area, peak_mw) in enumerate(_AREAS.items()):
        load_mw = peak_mw * _shape(ts_ns) * (1 + 0.004 * _wobble(ts_ns, n + 3.0))
        export_mw = (180.0, -320.0, 140.0)[n] + 14 * _wobble(ts_ns, n + 7.0)
        ace_mw = 22 * _wobble(ts_ns, n + 7.0) + 800 * float(dip_hz) * (0.2, 0.5, 0.3)[n]
        areas[area] = {
            "load_mw": load_mw,
            "generation_mw": load_mw + export_mw,
            "interchange_mw": export_mw,
            "tie_deviation_mw": export_mw - (180.0, -320.0, 140.0)[n],
            "ace_mw": ace_mw,
            "frequency_hz": hertz + 0.001 * _wobble(ts_ns, n + 11.0),
        }
        if n != 1 or ts_ns > BEGIN + 15 * NS_PER_MIN:
            areas[area]["cps1_pct"] = (182.0, 164.0, 175.0)[n] + 4 * _wobble(ts_ns // 10, n + 2.0)
    load_mw = sum(figures["load_mw"] for figures in areas.values())
    sun = max(0.0, float(np.sin(((ts_ns / NS_PER_H + 8.0) % 24.0 - 6.0) / 12.0 * np.pi)))
    fuel = dict(_FUELS, solar=_FUELS["solar"] * sun, wind=_FUELS["wind"] * (0.7 + 0.3 * _wobble(ts_ns // 30, 5.0)))
    fuel["gas"] += load_mw - sum(fuel.values())
    quiet = [_loading(line, n, ts_ns) for n, line in enumerate(_LINES)]
    stale = SILENT[0] + 15 * NS_PER_S <= ts_ns < SILENT[1]
    good = 684 - (22 if stale else 0)
    system = {
        "load_mw": load_mw,
        "generation_mw": load_mw,
        "frequency_hz": hertz,
        "frequency_deviation_hz": hertz - 50.0,
        "reserve_margin_pct": 21.4 - 8 * (_shape(ts_ns) - 0.8) / 0.18 - (3.1 if _lost(ts_ns) else 0.0),
        "renewable_share_pct": 100 * (fuel["wind"] + fuel["solar"] + fuel["hydro"]) / load_mw,
        "curtailment_pct": 2.4 * sun,
        "telemetry_availability_pct": 100 * good / 684,
        "telemetry_freshness_s": 1.7 + 0.4 * _wobble(ts_ns, 9.0),
        "average_lmp_cny_per_mwh": _price(ts_ns) + 6.2,
        "uniform_price_cny_per_mwh": _price(ts_ns),
        "congestion_rent_cny_per_h": 18_400.0 + 3_000 * _wobble(ts_ns // 15, 4.0),
    }
    if OUTAGE <= ts_ns < CLEARS_AGAIN:
        for name in ("average_lmp_cny_per_mwh", "uniform_price_cny_per_mwh", "congestion_rent_cny_per_h"):
            del system[name]
    return KpiFrame(
        ts_event_ns=ts_ns,
        system=system,
        areas=areas,
        generation_mw_by_fuel=fuel,
        worst_lines=tuple(sorted((line for line in quiet if line is not None), key=lambda line: -line.loading_pct)[:10]),
        lines_open=("A19", "AB2", "B34", "C35") if _lost(ts_ns) else ("A19",),
        sources=tuple(_source(name, n, ts_ns, stale) for n, name in enumerate(_DEVICES)),
    )


def _loading(line: str, n: int, ts_ns: int) -> LineLoading | None:
    pct = (97.0, 91.0, 84.0, 79.0, 74.0, 71.0, 66.0, 63.0, 58.0, 55.0, 47.0)[n] + 3 * _wobble(ts_ns, n + 20.0)
    if _lost(ts_ns):
        pct += 9.0 if n in (1, 4) else 0.0
    return LineLoading(branch=line, flow_mw=(500.0 if n % 3 else 175.0) * pct / 100 * (1 if n % 2 else -1), loading_pct=min(pct, 108.4))


def _source(name: str, n: int, ts_ns: int, stale: bool) -> SourceHealth:
    points = 64 if name.startswith("scada") else 22
    if stale and name == "rtu-215":
        return SourceHealth(source=name, area="A2", points=points, good=0, age_s=(ts_ns - SILENT[0]) / NS_PER_S, state="stale")
    return SourceHealth(source=name, area=f"A{name[4] if name.startswith('rtu') else name[-1]}", points=points, good=points,
                        age_s=1.2 + 0.9 * abs(_wobble(ts_ns, n + 0.5)), state="ok")  # fmt: skip


def _price(ts_ns: int) -> float:
    interval_ns = ts_ns - ts_ns % RULES.rt_interval_ns
    return round(405.0 + 480 * (_shape(interval_ns) - 0.8) + 18 * _wobble(interval_ns, 6.0), 2)


def _da_price(ts_ns: int) -> float:
    return round(_price(ts_ns - ts_ns % NS_PER_H) - 11.5, 2)


def _phase(ts_ns: int) -> Phase:
    for limit, phase in ((SUSPENDED, Phase.SUSPENDED), (OVERDUE, Phase.OVERDUE), (SECOND_TRIP, Phase.TRIPPED), (EFFECTIVE, Phase.NORMAL),
                         (RECOVER, Phase.RESUMING), (TRIP, Phase.TRIPPED), (OUTAGE + 30 * NS_PER_S, Phase.DEGRADED)):  # fmt: skip
        if ts_ns >= limit:
            return phase
    return Phase.NORMAL


def _regime(interval_ns: int) -> Regime:
    if OUTAGE <= interval_ns < CONDITION:
        return Regime.GAP
    if CONDITION <= interval_ns < EFFECTIVE or interval_ns >= SECOND_TRIP - RULES.rt_interval_ns:
        return Regime.ART27_2
    return Regime.MARKET


def _price_in_force(interval_ns: int) -> PriceInForce:
    regime = _regime(interval_ns)
    price, source = {
        Regime.MARKET: (_price(interval_ns), "clearing:1"),
        Regime.GAP: (_price(OUTAGE - RULES.rt_interval_ns), "last_valid:09:45"),
        Regime.ART27_2: (_da_price(interval_ns), f"day_ahead:{(interval_ns // NS_PER_H + 8) % 24:02d}:00"),
    }[regime]
    return PriceInForce(ts_event_ns=interval_ns, segment=Segment.RT, interval_start_ns=interval_ns, regime=regime, price_cny_per_mwh=price,
                        rev=0, source=source, provisional=regime is not Regime.MARKET, rule_set=RULES.id)  # fmt: skip


def view_at(ts_ns: int) -> MarketView:
    """Return the market as the breaker sees it at an instant."""
    phase = _phase(ts_ns)
    out = OUTAGE <= ts_ns < TRIP
    first = TRIP <= ts_ns < EFFECTIVE
    second = ts_ns >= SECOND_TRIP
    left_s = max(0.0, RULES.rt_limit_min * 60 - (ts_ns - OUTAGE) / NS_PER_S)
    headroom_s = 0.0 if phase in (Phase.TRIPPED, Phase.OVERDUE, Phase.SUSPENDED) else left_s if out else 7200.0
    intervals = (min(ts_ns, CONDITION) - OUTAGE) // RULES.rt_interval_ns + 1
    real_time = SegmentView(
        segment=Segment.RT,
        phase=phase,
        version=int(ts_ns >= OUTAGE) + int(ts_ns >= TRIP) + int(ts_ns >= RECOVER) + int(ts_ns >= EFFECTIVE) + int(second),
        basis="RT_120" if first else "TOPOLOGY_HARD" if second else "",
        outage_start_ns=OUTAGE if out or first else None,
        headroom_s=headroom_s,
        condition_met_at_ns=CONDITION if first else THIRD_LINE if second else None,
        tripped_at_ns=TRIP if first else SECOND_TRIP if second else None,
        effective_from_ns=EFFECTIVE if phase is Phase.RESUMING else None,
        failed_intervals=int(min(intervals, 8)) if out or first else 0,
        cause="TECHNICAL" if first or second else "",
        suspended_from_ns=SUSPENDED if ts_ns >= SUSPENDED else None,
        expected_end_ns=SUSPENDED_UNTIL if ts_ns >= SUSPENDED else None,
        shadow_ok=int(max(0, (ts_ns - CLEARS_AGAIN) // RULES.rt_interval_ns + 1)) if first and ts_ns >= CLEARS_AGAIN else 0,
    )
    interval_ns = ts_ns - ts_ns % RULES.rt_interval_ns
    price = _price_in_force(interval_ns)
    return MarketView(
        ts_event_ns=ts_ns,
        segments=(real_time, _day_ahead(ts_ns)),
        last_valid_at_ns=OUTAGE - RULES.rt_interval_ns - 9 * NS_PER_S if OUTAGE <= ts_ns < CLEARS_AGAIN else interval_ns - 9 * NS_PER_S,
        regime=price.regime,
        price_cny_per_mwh=price.price_cny_per_mwh,
        price_interval_ns=interval_ns,
        rule_set=RULES.id,
        rt_limit_s=RULES.rt_limit_min * 60,
        rt_interval_s=RULES.rt_interval_min * 60,
        **board_handling.at(ts_ns, _HANDLED),
    )


def _day_ahead(ts_ns: int) -> SegmentView:
    if ts_ns < DAY_AHEAD_OUT:
        return SegmentView(segment=Segment.DA, phase=Phase.NORMAL, version=0)
    return SegmentView(segment=Segment.DA, phase=Phase.TRIPPED, version=1, basis="DA_MISSED", tripped_at_ns=DAY_AHEAD_OUT,
                       operating_day="2020-07-13", cause="TECHNICAL")  # fmt: skip


def _outcome(interval_ns: int) -> Cleared | ClearingFailed:
    done_ns = interval_ns - 9 * NS_PER_S
    if OUTAGE <= interval_ns < CLEARS_AGAIN:
        reason = FailureReason.SOLVER_TIMEOUT if interval_ns < OUTAGE + NS_PER_H else FailureReason.INPUT_MISSING
        detail = (
            "iteration limit reached at 50000"
            if reason is FailureReason.SOLVER_TIMEOUT
            else "load of area A2: 17 of 24 buses have no value"
        )
        return ClearingFailed(interval_start_ns=interval_ns, completed_at_ns=done_ns, reason=reason, detail=detail)
    status, violations = OutcomeStatus.OK, ()
    if interval_ns == at("09:45:00"):
        status = OutcomeStatus.OK_DEGRADED
    if interval_ns in (at("05:30:00"), at("15:15:00")):
        status, violations = OutcomeStatus.OK_VIOLATION, (Violation(kind="line", id="AB1", mw=12.4),)
    price = _price(interval_ns)
    return Cleared(interval_start_ns=interval_ns, completed_at_ns=done_ns, status=status, objective_per_h=812_000.0, penalty_per_h=0.0,
                   dispatch_mw={}, lmp_per_mwh={}, energy_per_mwh=price, congestion_per_mwh={}, flow_mw={}, uniform_price_per_mwh=price,
                   certificate=Certificate(passed=True, residuals={}), violations=violations)  # fmt: skip


_HANDLED: Final = board_handling.Instants(trip=TRIP, effective=EFFECTIVE, second_trip=SECOND_TRIP, overdue=OVERDUE, suspended=SUSPENDED,
                                          until=SUSPENDED_UNTIL, day_ahead_out=DAY_AHEAD_OUT)  # fmt: skip


_PRICING: Final = {
    "pricing_zh": "按第二十七条第（二）项，执行日前同时段价格",
    "pricing_en": "Art. 27(2), the day-ahead price of the same period",
}


def _moved(before: Phase, after: Phase, basis: str, article: str = "Art. 23(1)", **instants: int) -> Transition:
    return Transition(segment=Segment.RT, before=before, after=after, basis=basis, article=article, **instants)


def _trip_notice(n: int, supersedes: str, basis: str, tripped_ns: int, **facts: str) -> Announcement:
    dated = {name: value if name == "article" else f"{DAY}T{value}{_OFFSET}" for name, value in facts.items()}
    return _notice(
        n,
        "TRIP",
        basis,
        supersedes,
        tripped_ns,
        {"limit_min": "120", "elements": "B33-1, B33-2, B34", "next_update": f"{DAY}T17:00{_OFFSET}", **dated},
    )


def _notice(n: int, kind: str, basis: str, supersedes: str, at_ns: int, facts: dict[str, str]) -> Announcement:
    number = f"RT-{DAY}-{n:02d}"
    text_zh, text_en = notice_text(kind, "RT", basis, {"number": number, "supersedes": supersedes, **_PRICING, **facts})
    return Announcement(
        number=number,
        announcement_kind=kind,
        segment=Segment.RT,
        subject="breaker",
        supersedes=supersedes,
        published_at_ns=at_ns,
        text_zh=text_zh,
        text_en=text_en,
    )


def _duty_key(duty: str, at_ns: int) -> str:
    return f"{duty}/RT/{at_ns}"


def _duties(at_ns: int) -> list[tuple[int, DecisionBody]]:
    opened = [("announce", 5 * NS_PER_MIN, "Art. 24"), ("explain", 48 * NS_PER_H, "Art. 24"), ("limit", 72 * NS_PER_H, "Art. 24/25")]
    owed = {"explain": ("GOV", "REG", "PARTICIPANTS")}
    bodies: list[tuple[int, DecisionBody]] = [
        (
            at_ns,
            DutyOpened(
                duty=duty,
                segment=Segment.RT,
                due_ns=at_ns + left_ns,
                article=article,
                key=_duty_key(duty, at_ns),
                recipients=owed.get(duty, ()),
            ),
        )
        for duty, left_ns, article in opened
    ]
    done = DutySettled(duty="announce", segment=Segment.RT, outcome="met", margin_s=299.6, key=_duty_key("announce", at_ns))
    return [*bodies, (at_ns, done)]


def _decision_bodies() -> list[tuple[int, DecisionBody]]:
    began = _moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE", "Art. 9(2)", outage_start_ns=OUTAGE)
    bodies: list[tuple[int, DecisionBody]] = [(OUTAGE + RULES.grace_ns, began)]
    for n in range(8):
        interval_ns = OUTAGE + n * RULES.rt_interval_ns
        reason = "SOLVER_TIMEOUT" if n < 4 else "INPUT_MISSING"
        noted = AnomalyNoted(segment=Segment.RT, interval_start_ns=interval_ns, how="FAILED", reason=reason)
        bodies.append((interval_ns + RULES.grace_ns, noted))
    for mark in RULES.reminders_min:
        reminded = Reminded(segment=Segment.RT, outage_start_ns=OUTAGE, minutes=mark, headroom_min=RULES.rt_limit_min - mark)
        bodies.append((OUTAGE + mark * NS_PER_MIN, reminded))
    first = {"article": "Art. 23(1)", "condition_met_at": "12:00", "tripped_at": "12:00:30", "first_interval": "12:00"}
    second = {"article": "Art. 23(2)", "condition_met_at": "15:06:58", "tripped_at": "15:07:12", "first_interval": "15:00"}
    recovery = {"article": "Art. 29", "by": "d.wang", "published_at": f"{DAY}T13:22:40{_OFFSET}", "effective_from": f"{DAY}T14:00{_OFFSET}"}
    bodies += [
        (TRIP, _moved(Phase.DEGRADED, Phase.TRIPPED, "RT_120", outage_start_ns=OUTAGE, condition_met_at_ns=CONDITION, tripped_at_ns=TRIP)),
        (TRIP, _trip_notice(1, "", "RT_120", TRIP, **first)),
        *_duties(TRIP),
        (PROPOSED, RecoveryProposed(segment=Segment.RT, shadow_ok=4)),
        (RECOVER, _moved(Phase.TRIPPED, Phase.RESUMING, "RECOVERED", "Art. 29", effective_from_ns=EFFECTIVE)),
        (RECOVER, _notice(2, "RECOVERY", "", f"RT-{DAY}-01", RECOVER, recovery)),
        (EFFECTIVE, _moved(Phase.RESUMING, Phase.NORMAL, "EFFECTIVE", "Art. 29")),
        (EFFECTIVE, DutySettled(duty="limit", segment=Segment.RT, outcome="lifted", margin_s=252_030.0, key=_duty_key("limit", TRIP))),
        (SECOND_TRIP, _moved(Phase.NORMAL, Phase.TRIPPED, "TOPOLOGY_HARD", "Art. 23(2)", condition_met_at_ns=THIRD_LINE)),
        (SECOND_TRIP, _trip_notice(3, f"RT-{DAY}-02", "TOPOLOGY_HARD", SECOND_TRIP, **second)),
        *_duties(SECOND_TRIP),
        *board_handling.bodies(_HANDLED),
    ]
    return sorted(bodies, key=lambda one: one[0])


def _decisions() -> list[Decision]:
    chain: list[Decision] = []
    for seq, (at_ns, body) in enumerate(_decision_bodies(), start=1):
        prev = chain[-1].hash if chain else GENESIS
        chain.append(chained(body, seq=seq, ts_event_ns=at_ns, rule_set=RULES.id, prev_hash=prev))
    return chain


def _alerts() -> list[Alert]:
    """What the service tells people about these decisions, and about the device that went quiet."""
    spoken = [alert for decision in _decisions() for alert in alerts_of(decision, RULES.zone)]
    silent = SourceStale(ts_event_ns=SILENT[0] + 15 * NS_PER_S, device="rtu-215", area="A2", points=22, since_ns=SILENT[0])
    back = SourceFresh(ts_event_ns=SILENT[1], device="rtu-215", area="A2", since_ns=SILENT[0])
    return [*spoken, source_alert(silent, RULES.zone), source_alert(back, RULES.zone)]


def records(until_ns: int, step_ns: int = 60 * NS_PER_S) -> Iterator[BoardRecord]:
    """Yield the day's records up to an instant, in the order of their event time."""
    timed: list[tuple[int, int, BoardRecord]] = []
    # Trends and intervals of a day are all that is kept of these.
    begin_ns = max(BEGIN, floor_ns(until_ns - 31 * NS_PER_H, RULES.rt_interval_ns))
    for ts_ns in [*range(begin_ns, until_ns + 1, step_ns), until_ns]:
        timed += [(ts_ns, 1, kpi_at(ts_ns)), (ts_ns, 2, view_at(ts_ns))]
    for interval_ns in range(begin_ns, until_ns + RULES.rt_interval_ns, RULES.rt_interval_ns):
        outcome = _outcome(interval_ns)
        timed += [(outcome.completed_at_ns, 0, outcome), (interval_ns, 0, _price_in_force(interval_ns))]
    timed += [(decision.ts_event_ns, 0, decision) for decision in _decisions()]
    timed += [(alert.ts_event_ns, 0, alert) for alert in _alerts()]
    timed.sort(key=lambda one: one[:2])
    return (record for ts_ns, _, record in timed if ts_ns <= until_ns)


def board_at(scene: str) -> BoardState:
    """Return the board as it stands at a scene, having heard the whole day so far."""
    state = BoardState(RULES, simulated=True)
    for record in records(SCENES[scene]):
        state.apply(record)
    step = list(SCENES).index(scene) + 1
    state.set_story(*STORY[scene], step, len(SCENES))
    state.set_clock(SCENES[scene], 60.0)
    return state
