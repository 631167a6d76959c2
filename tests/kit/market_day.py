"""A day of the shipped grid, as many lines as the demonstration writes in one: what a board has to be quick on.

Loads, outputs and flows are those of the case's own series, with a swing of half a per cent; all of it is arrays, so an expected answer is
a line of numpy. The day ends in the middle of the story of :mod:`tests.kit.market_hour`, 44 minutes into its hour: clearing
is out for 14 minutes, there are duties, a case, a notice, alerts that were delivered and one that was not. Besides, two branches are open
and a bus is dead, so nothing that a board can show is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ingest.account import DeviceAccount, LostReason
from ingest.frame import TelemetryFrame
from market.certificate import TOLERANCES
from market.facts import Segment
from market.outcomes import Binding, Certificate, Cleared, OutcomeStatus
from market.prices import PriceInForce, Regime
from market.rts_gmlc import load
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from market.view import MarketView
from streams.accounts import AreaAccounts
from streams.alerts import Alert, AlertState, Priority
from streams.gridpicture import BranchColumns, BusColumns, GridPicture
from streams.indicative import Places
from streams.kpis import KPIS, KpiFrame, LineLoading, SourceHealth
from streams.processreport import ProcessReport, SolveTimed, StageReport
from streams.recordlines import RecordLines
from streams.rollups import Rollups
from streams.servicelines import encode_attempt
from streams.telemetrylines import TelemetryEncoder
from tests.kit import market_hour
from tests.kit.rts_day import frames_at, rts_table, values_at

__all__ = ["END_NS", "STUCK", "MarketDay"]

_Floats = NDArray[np.float64]

END_NS: Final = market_hour.START_NS + 44 * NS_PER_MIN
_TICK_NS: Final = 10 * NS_PER_S
_INTERVAL_NS: Final = 5 * NS_PER_MIN
_OPEN_SINCE_NS: Final = END_NS - 25 * NS_PER_MIN
_OPEN: Final = ("A1", "B7")
_DEAD_BUS: Final = "207"
_STAGES: Final = (
    *("intake-1", "intake-2", "intake-3", "grid", "clearing", "breaker", "decision-alerts"),
    *("Recorder/kpi.v1", "Recorder/decisions.v1"),
)
STUCK: Final = "load/101/mw"
_REASONS: Final = tuple(LostReason)


@dataclass(frozen=True)
class MarketDay:
    """The day before :data:`END_NS`; its last ``fine_hours`` have a tick every ten seconds, as the service has, the rest one a minute."""

    fine_hours: int = 24

    @property
    def start_ns(self) -> int:
        """First instant of the day."""
        return END_NS - 24 * NS_PER_H

    @property
    def fine_ns(self) -> int:
        """From when on there is a tick every ten seconds."""
        return END_NS - self.fine_hours * NS_PER_H

    @cached_property
    def ticks_ns(self) -> NDArray[np.int64]:
        """(n,) every tick."""
        coarse = np.arange(self.start_ns, self.fine_ns, NS_PER_MIN, dtype=np.int64)
        return np.concatenate([coarse, np.arange(self.fine_ns, END_NS, _TICK_NS, dtype=np.int64)])

    @cached_property
    def _periods(self) -> NDArray[np.int64]:
        """(n,) which 5-minute period of the case's day each tick lies in."""
        return (self.ticks_ns // _INTERVAL_NS) % 288

    @cached_property
    def _swing(self) -> _Floats:
        """(n,) factor around 1 with which loads, outputs and flows move between periods."""
        return 1.0 + 0.005 * np.sin(2 * np.pi * np.arange(len(self.ticks_ns)) / 90)

    @cached_property
    def branches(self) -> tuple[str, ...]:
        """Every branch."""
        return load().network.branch_ids

    @cached_property
    def _known(self) -> dict[int, dict[str, float]]:
        return {period: values_at(period) for period in sorted(set(self._periods.tolist()))}

    def _of_ticks(self, by_period: dict[int, Any]) -> _Floats:
        """Return (n, …) a value of each period at every tick, swinging."""
        periods, where = np.unique(self._periods, return_inverse=True)
        rows = np.array([by_period[period] for period in periods.tolist()], dtype=np.float64)[where]
        swinging: _Floats = rows * self._swing.reshape(-1, *[1] * (rows.ndim - 1))
        return swinging

    @cached_property
    def closed(self) -> NDArray[np.bool_]:
        """(n, branches) whether each is in service."""
        closed = np.ones((len(self.ticks_ns), len(self.branches)), dtype=np.bool_)
        closed[np.ix_(self.ticks_ns >= _OPEN_SINCE_NS, np.isin(self.branches, _OPEN))] = False
        return closed

    @cached_property
    def flow_mw(self) -> _Floats:
        """(n, branches) flow at the from end, to the kilowatt; 0 where open."""
        flows = {period: [known[f"branch/{branch}/from_mw"] for branch in self.branches] for period, known in self._known.items()}
        return np.round(self._of_ticks(flows) * self.closed, 3)

    @cached_property
    def loading_pct(self) -> _Floats:
        """(n, branches) of the rating."""
        return np.round(100 * np.abs(self.flow_mw) / load().network.rate_mw, 3)

    @cached_property
    def load_mw(self) -> _Floats:
        """(n,) of the system."""
        return self._of_ticks({p: sum(v for k, v in known.items() if k.startswith("load/")) for p, known in self._known.items()})

    @cached_property
    def output_mw(self) -> dict[str, _Floats]:
        """(n,) by fuel."""
        by_fuel: dict[str, list[str]] = {}
        for unit in load().units:
            by_fuel.setdefault(unit.fuel.value, []).append(f"unit/{unit.id}/mw")
        return {
            fuel: self._of_ticks({period: sum(known[name] for name in names) for period, known in self._known.items()})
            for fuel, names in by_fuel.items()
        }

    @cached_property
    def intervals_ns(self) -> list[int]:
        """Beginnings of the real-time intervals before those of the story."""
        first = -(-self.start_ns // _INTERVAL_NS) * _INTERVAL_NS
        return list(range(first, market_hour.START_NS, _INTERVAL_NS))

    def lmp_cny_per_mwh(self, start_ns: int) -> _Floats:
        """Return (buses,) the price at each bus in an interval: follows the load, and fans out where a limit binds."""
        tick = min(int(np.searchsorted(self.ticks_ns, start_ns)), len(self.ticks_ns) - 1)
        base = 0.05 * self.load_mw[tick]
        return np.round(base + (self.binds(start_ns) * np.linspace(-40.0, 60.0, load().network.n_buses)), 2)

    def binds(self, start_ns: int) -> bool:
        """Return whether a limit binds in an interval: in every third one."""
        return (start_ns // _INTERVAL_NS) % 3 == 0

    def lines(self, ticks_at_once: int = 180) -> Iterator[bytes]:
        """Yield the day as the encoders write it, some ten thousand lines at a time, in the order of time."""
        case = load()
        area_of_bus = dict(zip(case.network.bus_ids, case.network.bus_area, strict=True))
        places = Places.of(case.network, case.unit, {})
        rollups = Rollups(rts_table())
        rollups.begin_anew()
        made = RecordLines(
            TelemetryEncoder(rts_table()),
            "Asia/Shanghai",
            area_of_bus=area_of_bus,
            places=places,
            interval_ns=_INTERVAL_NS,
            rollups=rollups,
        )
        for first in range(0, len(self.ticks_ns), ticks_at_once):
            rows = range(first, min(first + ticks_at_once, len(self.ticks_ns)))
            records = [record for row in rows for record in self._at(row)]
            yield b"".join(map(made.of_record, records))
            yield b"".join(made.rolled_up(record) for record in records if isinstance(record, TelemetryFrame))
        story = [record for record in market_hour.records() if not isinstance(record, KpiFrame | GridPicture | MarketView | ProcessReport)]
        # One alert of each priority is not over.
        names = zip(("market_tripped", "duty_due", "dead_letters", "case_open"), Priority, strict=True)
        story += [_alert(_OPEN_SINCE_NS, name, priority, AlertState.RAISED, {}) for name, priority in names]
        yield b"".join(map(made.of_record, story))
        yield b"".join(encode_attempt(attempt, channel) for channel, attempt in market_hour.attempts())

    def _at(self, row: int) -> Iterator[Any]:
        ts_ns = int(self.ticks_ns[row])
        yield self._kpis(row, ts_ns)
        yield self._picture(row, ts_ns)
        yield market_hour.view(ts_ns)
        yield self._report(row, ts_ns)
        if ts_ns % NS_PER_MIN < _TICK_NS:
            yield from self._accounts(ts_ns - ts_ns % NS_PER_MIN)
        if ts_ns >= END_NS - (10 if ts_ns % NS_PER_MIN else 65) * NS_PER_MIN:
            yield from frames_at(ts_ns, row, self.measured(row))
        if ts_ns in self._starts:
            for version in (1, 2) if ts_ns == self.again_ns else (1,):
                yield self._cleared(ts_ns, version)
                yield SolveTimed(ts_event_ns=ts_ns, interval_start_ns=ts_ns, version=version, solve_s=0.4)
                yield self._price(ts_ns, Segment.RT, version)
            yield from (_alert(ts_ns, "device_stale", Priority.P3, state, {"area": "1", "device": "plants-1"}) for state in AlertState)
        if ts_ns % (15 * NS_PER_MIN) < _TICK_NS:
            yield self._price(ts_ns - ts_ns % (15 * NS_PER_MIN), Segment.DA)

    def measured(self, row: int) -> dict[str, float]:
        """Return what the devices measure: all swings but the load of bus 101, whose meter is stuck, and what is switched."""
        known, swing = self._known[int(self._periods[row])], float(self._swing[row])
        return {name: 100.0 if name == STUCK else value if name.startswith("switch/") else value * swing for name, value in known.items()}

    @property
    def again_ns(self) -> int:
        """The interval that was cleared a second time."""
        return self.intervals_ns[-12]

    @cached_property
    def _starts(self) -> frozenset[int]:
        return frozenset(self.intervals_ns)

    def _kpis(self, row: int, ts_ns: int) -> KpiFrame:
        load_mw = float(self.load_mw[row])
        system = {kpi.name: 10.0 + row % 7 for kpi in KPIS if kpi.scope == "system"}
        system |= {"load_mw": load_mw, "generation_mw": 1.01 * load_mw, "frequency_hz": 50.0 + 0.01 * (row % 5)}
        area = {kpi.name: 5.0 + row % 3 for kpi in KPIS if kpi.scope == "area"}
        worst = np.argsort(-self.loading_pct[row], kind="stable")[:10].tolist()
        return KpiFrame(
            ts_event_ns=ts_ns,
            system=system,
            areas={name: area | {"frequency_hz": 50.0 + 0.01 * number} for number, name in enumerate("123")},
            generation_mw_by_fuel={fuel: float(mw[row]) for fuel, mw in self.output_mw.items()},
            worst_lines=tuple(
                LineLoading(branch=self.branches[k], flow_mw=float(self.flow_mw[row, k]), loading_pct=float(self.loading_pct[row, k]))
                for k in worst
            ),
            lines_open=tuple(branch for branch, closed in zip(self.branches, self.closed[row].tolist(), strict=True) if not closed),
            sources=tuple(self._health(device, row) for device in self.devices),
            freshness_s_by_source=dict.fromkeys(self.devices, 2.0),
        )

    def _health(self, device: str, row: int) -> SourceHealth:
        state = "stale" if row % 500 < 3 else "ok"
        return SourceHealth(source=device, area=device[-1], points=64, good=64 - row % 2, age_s=float(row % 10), state=state)

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """Every device."""
        return tuple(sorted({spec.device for spec in rts_table().specs}))

    def _picture(self, row: int, ts_ns: int) -> GridPicture:
        network = load().network
        cut = ts_ns >= _OPEN_SINCE_NS
        return GridPicture(
            ts_event_ns=ts_ns,
            branches=BranchColumns(
                branch=self.branches,
                flow_mw=tuple(self.flow_mw[row].tolist()),
                loading_pct=tuple(self.loading_pct[row].tolist()),
                closed=tuple(self.closed[row].tolist()),
            ),
            buses=BusColumns(
                bus=network.bus_ids,
                area=network.bus_area,
                island=tuple(0 if cut and bus == _DEAD_BUS else 1 for bus in network.bus_ids),
                kv_pu=tuple(0.0 if cut and bus == _DEAD_BUS else 1.0 for bus in network.bus_ids),
            ),
            islands=1,
            branches_open=len(_OPEN) * cut,
            buses_dead=int(cut),
            load_lost_mw=80.0 * cut,
            observability_pct=98.0,
        )

    def _report(self, row: int, ts_ns: int) -> ProcessReport:
        up_s = 10.0 * row
        stages = tuple(StageReport(stage=name, records=8 * row, errors=row // 1000, waiting=row % 3, busy_s=0.5 * row) for name in _STAGES)
        return ProcessReport(
            ts_event_ns=ts_ns,
            instance="gridfuse-1",
            role="all",
            up_s=up_s,
            spool_waiting_bytes=1_000.0 * (row % 5),
            spool_waiting_s=float(row % 5),
            sink_lag_s=float(row % 5),
            lines_sent=250 * row,
            lines_rejected=row // 2000,
            retries=row // 500,
            not_spooled=0,
            loop_delay_s=0.002,
            rss_bytes=300e6,
            cpu_s=2.0 * row,
            dead_letters=row // 3000,
            frames_dropped=0,
            stages=stages,
        )

    def _accounts(self, from_ns: int) -> Iterator[AreaAccounts]:
        lost = {_REASONS[(from_ns // NS_PER_MIN) % len(_REASONS)]: 6}
        for area in "123":
            devices = tuple(
                DeviceAccount(device=device, expected=384, good=370, uncertain=4, bad=2, late=2, lost=lost)
                for device in self.devices
                if device.endswith(area)
            )
            yield AreaAccounts(ts_event_ns=from_ns + NS_PER_MIN, area=area, from_ns=from_ns, devices=devices)

    def _cleared(self, start_ns: int, version: int) -> Cleared:
        case = load()
        lmp = dict(zip(case.network.bus_ids, self.lmp_cny_per_mwh(start_ns).tolist(), strict=True))
        energy = min(lmp.values()) if self.binds(start_ns) else next(iter(lmp.values()))
        known = self._known[(start_ns // _INTERVAL_NS) % 288]
        bound = (
            (Binding(kind="line", id="A12", outage=None, flow_mw=500.0, limit_mw=500.0, shadow_price=35.0),) if self.binds(start_ns) else ()
        )
        return Cleared(
            interval_start_ns=start_ns,
            completed_at_ns=start_ns - 40 * NS_PER_S,
            frozen_at_ns=start_ns - 60 * NS_PER_S,
            status=OutcomeStatus.OK,
            objective_per_h=1e6,
            penalty_per_h=0.0,
            dispatch_mw={unit.id: known[f"unit/{unit.id}/mw"] for unit in case.units},
            lmp_per_mwh=lmp,
            energy_per_mwh=energy,
            congestion_per_mwh={bus: price - energy for bus, price in lmp.items()},
            flow_mw={"A12": 500.0},
            uniform_price_per_mwh=energy + 1.0,
            certificate=Certificate(passed=True, residuals={**dict.fromkeys(TOLERANCES, 1e-9), "range_widened_mw": 0.0}),
            binding=bound if self.binds(start_ns) else (),
            version=version,
        )

    def _price(self, start_ns: int, segment: Segment, version: int = 1) -> PriceInForce:
        return PriceInForce(
            ts_event_ns=start_ns,
            segment=segment,
            interval_start_ns=start_ns,
            regime=Regime.MARKET,
            price_cny_per_mwh=float(self.lmp_cny_per_mwh(start_ns).mean()),
            rev=version - 1,
            source=f"clearing:{version}",
            provisional=False,
            rule_set="gd/r1",
            clearing_start_ns=start_ns,
        )


def _alert(ts_ns: int, name: str, priority: Priority, state: AlertState, labels: dict[str, str]) -> Alert:
    raised = state is AlertState.RAISED
    return Alert(
        alert_id=f"{name}/{ts_ns}",
        ts_event_ns=ts_ns + (0 if raised else NS_PER_MIN),
        name=name,
        priority=priority,
        state=state,
        text_en="begun" if raised else "over",
        text_zh="触发" if raised else "恢复",
        labels=labels,
    )
