"""What was cleared is carried out in the field: once, in time, and only while the market's results are in force."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from console.fieldside import BasePoints, gathering, part_of
from ingest.devices import DataType
from ingest.errors import DeviceSilent
from ingest.line import Pace
from ingest.pointlist import PointList
from market.decisions import Phase
from market.errors import ConfigError
from market.facts import Segment
from market.outcomes import Certificate, Cleared, OutcomeStatus
from market.prices import Regime
from market.rules import rules_from
from market.units import NS_PER_MIN, instant_ns
from market.view import MarketView, SegmentView
from streams import topics
from tests.kit.field import modbus_device, modbus_point
from tests.kit.market_run import StandingClock

NOON = instant_ns("2026-06-10T12:00:00+08:00")
RULES = rules_from({"rt_interval_min": 5})


def two_areas() -> PointList:
    return PointList(
        tuple(
            modbus_device(502, modbus_point(f"unit/u{area}/setpoint_mw", 0, DataType.FLOAT32), name=f"plant-{area}", area=area)
            for area in ("1", "2")
        )
    )


def view(phase: Phase, effective_from_ns: int | None = None) -> MarketView:
    rt = SegmentView(segment=Segment.RT, phase=phase, version=1, effective_from_ns=effective_from_ns)
    return MarketView(
        ts_event_ns=NOON,
        segments=(rt,),
        last_valid_at_ns=None,
        regime=Regime.MARKET,
        price_cny_per_mwh=None,
        price_interval_ns=None,
        rule_set="gd/r1",
        rt_limit_s=7200,
        rt_interval_s=300,
    )


def cleared(start_ns: int, **dispatch_mw: float) -> Cleared:
    return Cleared(
        interval_start_ns=start_ns,
        completed_at_ns=start_ns,
        status=OutcomeStatus.OK,
        objective_per_h=0.0,
        penalty_per_h=0.0,
        dispatch_mw=dispatch_mw,
        lmp_per_mwh={},
        energy_per_mwh=0.0,
        congestion_per_mwh={},
        flow_mw={},
        uniform_price_per_mwh=0.0,
        certificate=Certificate(passed=True, residuals={}),
    )


class Field:
    """Takes set-points, unless told to be silent."""

    def __init__(self, *, setpoints: bool = True) -> None:
        self.written: list[tuple[str, float]] = []
        self.silent = False
        settings: Any = type("Settings", (), {"setpoints": setpoints, "rules": RULES})()
        gateway: Any = self
        self.clock = StandingClock(NOON)
        self.base_points = BasePoints(gateway, part_of(two_areas(), ["1"]), settings, self.clock)

    async def write(self, point: str, mw: float) -> None:
        if self.silent:
            raise DeviceSilent(f"{point}: no answer")
        self.written.append((point, mw))

    def sees(self, *records: Any) -> list[tuple[str, float]]:
        async def story() -> None:
            for record in records:
                await self.base_points.see(topics.OUTCOMES, record)
                await asyncio.sleep(0)

        asyncio.run(story())
        written, self.written = self.written, []
        return written


def test_base_points_that_changed_are_written_where_they_are_read() -> None:
    field = Field()
    assert field.sees(view(Phase.NORMAL), cleared(NOON, u1=100.0, u2=50.0)) == [("unit/u1/setpoint_mw", 100.0)]
    assert field.sees(cleared(NOON, u1=100.02)) == []
    assert field.sees(cleared(NOON, u1=101.0)) == [("unit/u1/setpoint_mw", 101.0)]


@pytest.mark.parametrize("phase", [Phase.TRIPPED, Phase.OVERDUE, Phase.RESUMING])
def test_shadow_clearings_stay_shadows(phase: Phase) -> None:
    field = Field()
    assert field.sees(view(phase), cleared(NOON, u1=100.0)) == []
    assert field.sees(view(Phase.NORMAL), cleared(NOON, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]


def test_nothing_is_written_before_an_announced_recovery_takes_effect_whatever_is_proposed_meanwhile() -> None:
    field = Field()
    assert field.sees(view(Phase.PROPOSED, effective_from_ns=NOON + NS_PER_MIN), cleared(NOON, u1=100.0)) == []
    assert field.sees(view(Phase.PROPOSED), cleared(NOON, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]


def test_nothing_is_written_while_the_market_is_not_known_nor_for_an_interval_that_is_over() -> None:
    field = Field()
    assert field.sees(cleared(NOON, u1=100.0)) == []
    assert field.sees(view(Phase.NORMAL), cleared(NOON - 5 * NS_PER_MIN, u1=100.0)) == []
    assert field.sees(cleared(NOON - 5 * NS_PER_MIN + 1, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]


def test_a_device_that_did_not_answer_is_written_to_again() -> None:
    field = Field()
    field.silent = True
    assert field.sees(view(Phase.NORMAL), cleared(NOON, u1=100.0)) == []
    field.silent = False
    assert field.sees(cleared(NOON, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]


def test_without_set_points_nothing_is_written() -> None:
    assert Field(setpoints=False).sees(view(Phase.NORMAL), cleared(NOON, u1=100.0)) == []


def test_an_area_without_devices_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no device in 3, x; it has areas 1, 2"):
        part_of(two_areas(), ["1", "x", "3"])
    assert [device.name for device in part_of(two_areas(), ["2"]).devices] == ["plant-2"]


def test_units_that_come_and_go_with_the_point_list_are_written_to_while_they_are_there() -> None:
    field = Field()
    field.base_points.relist(part_of(two_areas(), ["2"]))
    assert field.sees(view(Phase.NORMAL), cleared(NOON, u1=100.0, u2=50.0)) == [("unit/u2/setpoint_mw", 50.0)]


def test_a_unit_whose_set_point_is_elsewhere_in_another_list_is_told_again_what_it_is_to_do() -> None:
    field = Field()
    assert field.sees(view(Phase.NORMAL), cleared(NOON, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]
    field.base_points.relist(part_of(two_areas(), ["1"]))
    assert field.sees(cleared(NOON, u1=100.0)) == [], "nothing has changed for it"
    moved = modbus_device(502, modbus_point("unit/u1/setpoint_mw", 40, DataType.FLOAT32), name="plant-1", area="1")
    field.base_points.relist(PointList((moved,)))
    assert field.sees(cleared(NOON, u1=100.0)) == [("unit/u1/setpoint_mw", 100.0)]


def test_where_the_clock_runs_fast_frames_gather_for_no_more_event_time() -> None:
    pace = Pace(gather_s=0.25)
    assert gathering(pace, 60.0).gather_s * 60.0 == pytest.approx(0.25)
    assert gathering(pace, 1.0) == gathering(pace, 0.5) == pace
