"""The state estimate on what the simulated field's own instruments show: an honest field is never accused, a lie is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from ingest.points import PointSpec, PointTable
from ingest.simulator.faults import Condition
from ingest.simulator.readings import CLOSED, OPEN, Instruments
from market.facts import EstimateReported
from market.grid import FloatArray
from market.rules import BadData
from market.units import NS_PER_S
from streams.image import GridImage
from streams.stateestimate import EstimateState, StateEstimate
from tests.kit.simulated_grid import MORNING_NS, SEED, all_closed, opened, physics, run

TICKS = range(10, 70, 10)
"""Seconds after the start at which there is an image."""

Change = Callable[[int, Mapping[str, int], FloatArray], None]
"""Alters what the instruments show at a second, given the row of each name."""


@cache
def field() -> tuple[StateEstimate, PointTable, Instruments]:
    grid = physics()
    instruments = Instruments(grid, SEED)
    table = PointTable(PointSpec(name=name, area="1", device="all", period_ns=10 * NS_PER_S) for name in instruments.names)
    units = {unit.id: unit for unit in grid.case.units}
    return StateEstimate(grid.case.network, units, table, BadData()), table, instruments


def told(change: Change = lambda second, row, shown: None, *, tripped: str = "", late_s: int = 0) -> list[EstimateReported]:
    """Run a minute of the field and return what is told; a branch trips after 20 s, and every second meter may be read late."""
    estimate, table, instruments = field()
    grid = physics()
    states = run(grid, grid.start(MORNING_NS, all_closed()), 20)
    states += run(grid, states[-1], 50, opened(tripped) if tripped else None)
    order = np.array([instruments.row[spec.name] for spec in table.specs])
    power = np.array([spec.name.endswith("mw") for spec in table.specs])
    remembered, reports = EstimateState(), list[EstimateReported]()
    for second in TICKS:
        fallen = {tripped: MORNING_NS + 20 * NS_PER_S} if tripped and second > 20 else {}
        shown = instruments.values(states[second - 1], Condition(open_branches=fallen))
        change(second, instruments.row, shown)
        before = instruments.values(states[max(second - 1 - late_s, 0)], Condition(open_branches=fallen))
        late = power & (np.arange(len(order)) % 2 == 0) & (late_s > 0)
        value = np.where(late, before[order], shown[order])
        image = GridImage(
            ts_event_ns=MORNING_NS + second * NS_PER_S,
            value=value,
            age_s=np.where(late, 1.0 + late_s, 1.0),
            good=np.ones(len(order), dtype=np.bool_),
            usable=np.ones(len(order), dtype=np.bool_),
            sources=(),
        )
        switches = [(name.split("/")[1], row) for name, row in instruments.row.items() if name.startswith("switch/")]
        reported = tuple(sorted({branch for branch, row in switches if shown[row] == OPEN}))
        remembered, report = estimate.taken(image, reported, remembered)
        reports += [] if report is None else [report]
    assert remembered.estimated_ns >= MORNING_NS + 60 * NS_PER_S
    assert remembered.observable_pct == 100.0
    return reports


def test_an_honest_field_is_not_accused() -> None:
    assert told() == []


def test_nor_when_a_line_trips() -> None:
    assert told(tripped="A27") == []


def test_nor_when_half_of_its_meters_are_read_ten_seconds_late() -> None:
    assert told(late_s=10, tripped="CA-1") == []


def test_a_feeder_meter_that_reads_half_as_much_again_is_named() -> None:
    def lie(second: int, row: Mapping[str, int], shown: FloatArray) -> None:
        shown[row["load/106/mw"]] *= 1.5

    (report,) = told(lie)
    assert [suspect.split(":")[0] for suspect in report.suspects] == ["load/106/mw"]
    assert report.doubted == ()


def test_switches_that_report_a_line_open_which_still_carries_power_are_doubted() -> None:
    def lie(second: int, row: Mapping[str, int], shown: FloatArray) -> None:
        if second > 20:
            shown[[row["switch/A27/from"], row["switch/A27/to"]]] = OPEN

    (report,) = told(lie)
    assert (report.doubted, report.suspects) == (("A27",), ())
    assert report.ts_event_ns <= MORNING_NS + 60 * NS_PER_S, "before the hold of 10 s and the grace of 30 s are over"


def test_switches_that_report_a_tripped_line_closed_are_doubted() -> None:
    def lie(second: int, row: Mapping[str, int], shown: FloatArray) -> None:
        shown[[row["switch/A27/from"], row["switch/A27/to"]]] = CLOSED

    (report,) = told(lie, tripped="A27")
    assert (report.doubted, report.suspects) == (("A27",), ())
