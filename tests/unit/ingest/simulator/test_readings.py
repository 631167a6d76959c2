"""What instruments show, against the state they look at."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.simulator.faults import Condition
from ingest.simulator.readings import CLOSED, OPEN, Instruments
from tests.kit.simulated_grid import MORNING_NS, SEED, all_closed, opened, physics, run

CALM = Condition()


def shown(condition: Condition = CALM, in_service: np.ndarray | None = None) -> tuple[dict[str, float], object]:
    grid = physics()
    instruments = Instruments(grid, SEED)
    state = run(grid, grid.start(MORNING_NS, all_closed()), 3, in_service)[-1]
    return dict(zip(instruments.names, instruments.values(state, condition).tolist(), strict=True)), state


def test_meters_are_right_to_a_tenth_of_a_per_cent() -> None:
    values, state = shown()
    grid = physics()
    for k, unit in enumerate(grid.case.units):
        assert values[f"unit/{unit.id}/mw"] == pytest.approx(state.output_mw[k], rel=1e-3, abs=1e-9)
    bus = grid.case.network.bus_ids.index("101")
    assert values["load/101/mw"] == pytest.approx(state.load_mw[bus], rel=1e-3)
    assert values["area/1/hz"] == pytest.approx(50.0 + grid.area_deviation_hz(state)[0], abs=3e-3)
    assert values["branch/A27/to_mw"] == pytest.approx(-values["branch/A27/from_mw"], rel=2e-3)
    assert any(values[f"branch/{b}/to_mw"] != -values[f"branch/{b}/from_mw"] for b in grid.case.network.branch_ids)


def test_voltages_are_a_few_per_cent_around_nominal() -> None:
    values, _ = shown()
    net = physics().case.network
    per_unit = [values[f"bus/{bus}/kv"] / kv for bus, kv in zip(net.bus_ids, net.base_kv, strict=True)]
    assert 0.95 < min(per_unit) < max(per_unit) < 1.06
    assert max(per_unit) - min(per_unit) > 0.01


def test_an_open_branch_carries_exactly_nothing_and_says_where_it_stands() -> None:
    condition = Condition(open_branches={"A27": MORNING_NS + 5}, moved_ns={"A27": MORNING_NS + 5})
    values, _ = shown(condition, opened("A27"))
    assert values["branch/A27/from_mw"] == values["branch/A27/to_mw"] == 0.0
    assert (values["switch/A27/from"], values["switch/A27/to"], values["switch/A28/from"]) == (OPEN, OPEN, CLOSED)
    moved = Instruments(physics(), SEED).moved_ns(condition)
    assert moved == {"switch/A27/from": MORNING_NS + 5, "switch/A27/to": MORNING_NS + 5}


def test_a_dead_bus_reads_no_voltage() -> None:
    net = physics().case.network
    bus = net.bus_index["108"]
    around = [net.branch_ids[k] for k in range(net.n_branches) if bus in (net.from_bus[k], net.to_bus[k])]
    values, _ = shown(in_service=opened(*around))
    assert values["bus/108/kv"] == 0.0
    assert values["load/108/mw"] == 0.0
    assert values["bus/107/kv"] > 100.0


@pytest.mark.parametrize(("authority", "expected"), [("MAIN", (1.0, 0.0)), ("", (0.0, 0.0)), ("BACKUP", (0.0, 1.0))])
def test_sites_say_who_is_in_charge(authority: str, expected: tuple[float, float]) -> None:
    values, _ = shown(Condition(authority=authority))
    assert (values["site/MAIN"], values["site/BACKUP"]) == expected
