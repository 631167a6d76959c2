"""A picture says what is in service, what is alive and in which island, and how much load is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from ingest.points import PointSpec, PointTable
from market.units import NS_PER_S
from streams.gridpicture import ALL_BELOW, GridPicture, Noticed, Pictures
from streams.image import GridImage
from tests.kit import grids

NET = grids.network(
    ["A", "B", "C", "D", "E"], [("A", "B", 0.1, 100.0), ("B", "C", 0.1, 200.0), ("C", "D", 0.1, np.inf), ("D", "E", 0.1, 100.0)]
)
"""A chain A-B-C-D-E; units stand at A and at D."""
ORDINARY = {"B": 100.0, "C": 50.0, "E": 30.0}
NAMES = [
    *("branch/L1/from_mw", "branch/L2/from_mw", "branch/L3/from_mw"),
    *("bus/A/kv", "bus/B/kv", "load/B/mw", "load/C/mw", "load/E/mw"),
]
TABLE = PointTable(PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_S) for name in NAMES)
CALM = {"branch/L1/from_mw": 80.0, "branch/L2/from_mw": -50.0, "bus/A/kv": 220.0, "bus/B/kv": 231.0, "load/B/mw": 110.0, "load/C/mw": 55.0}


def image(values: Mapping[str, float]) -> GridImage:
    value = np.array([values.get(spec.name, np.nan) for spec in TABLE.specs])
    seen = np.isfinite(value)
    return GridImage(ts_event_ns=10 * NS_PER_S, value=value, age_s=np.ones(len(value)), good=seen, usable=seen, sources=())


def picture(opened: Sequence[str] = (), out: Sequence[str] = (), sources: Sequence[str] = ("A", "D"), **changed: float) -> GridPicture:
    values = CALM | {name.replace("__", "/"): value for name, value in changed.items()}
    return Pictures(NET, TABLE, sources, out, ORDINARY).of(image(values), opened, 97.0, Noticed())[0]


def islands(seen: GridPicture) -> dict[str, int]:
    return dict(zip(seen.buses.bus, seen.buses.island, strict=True))


def test_a_whole_grid() -> None:
    seen = picture()
    assert seen.branches.branch == ("L1", "L2", "L3", "L4")
    assert seen.branches.flow_mw == (80.0, -50.0, None, None), "what is not measured is not 0"
    assert seen.branches.loading_pct == (80.0, 25.0, None, None)
    assert seen.branches.closed == (True,) * 4
    assert islands(seen) == dict.fromkeys("ABCDE", 1)
    assert seen.buses.kv_pu == (1.0, 1.05, None, None, None)
    assert (seen.islands, seen.branches_open, seen.buses_dead, seen.load_lost_mw, seen.observability_pct) == (1, 0, 0, 0.0, 97.0)


def test_islands_are_numbered_from_the_largest_on() -> None:
    seen = picture(opened=["L2"])
    assert islands(seen) == {"A": 2, "B": 2, "C": 1, "D": 1, "E": 1}
    assert (seen.islands, seen.branches_open, seen.buses_dead) == (2, 1, 0)


def test_islands_of_one_size_are_numbered_by_the_order_of_the_buses() -> None:
    assert islands(picture(opened=["L2", "L4"], sources=("A", "D", "E"))) == {"A": 1, "B": 1, "C": 2, "D": 2, "E": 3}


def test_an_island_in_which_nothing_feeds_is_dead_and_its_load_is_lost() -> None:
    """Live buses draw 10 % more than on an ordinary day; E, on an ordinary day, draws 30 MW."""
    seen = picture(opened=["L4"])
    assert islands(seen) == {"A": 1, "B": 1, "C": 1, "D": 1, "E": 0}
    assert (seen.islands, seen.buses_dead) == (1, 1)
    assert seen.load_lost_mw == pytest.approx(33.0)


def test_what_the_case_has_out_of_service_is_open() -> None:
    seen = picture(out=["L4"])
    assert seen.branches.closed == (True, True, True, False)
    assert seen.buses_dead == 1


def test_a_bus_that_measures_no_voltage_is_dead() -> None:
    assert islands(picture(bus__B__kv=2.0)) == {"A": 1, "B": 0, "C": 1, "D": 1, "E": 1}


def test_where_nobody_knows_what_is_drawn_nobody_knows_what_is_lost() -> None:
    seen, _ = Pictures(NET, TABLE, ("A", "D")).of(image(CALM), ["L4"], None, Noticed())
    assert seen.load_lost_mw is None
    assert seen.observability_pct is None


def test_of_a_large_grid_the_most_loaded_branches_are_told_and_what_changed_once_more() -> None:
    """A star of 600 lines: line k carries k MW of 1,000; buses at the end of an open line are dead."""
    n = 600
    net = grids.network(["0", *(f"b{k}" for k in range(1, n + 1))], [("0", f"b{k}", 0.1, 1_000.0) for k in range(1, n + 1)])
    table = PointTable(PointSpec(name=f"branch/L{k}/from_mw", area="1", device="rtu", period_ns=NS_PER_S) for k in range(1, n + 1))
    flow = {f"branch/L{k}/from_mw": float(k) for k in range(1, n + 1)}
    value = np.array([flow[spec.name] for spec in table.specs])
    seen = np.ones(n, dtype=bool)
    now = GridImage(ts_event_ns=0, value=value, age_s=value, good=seen, usable=seen, sources=())
    pictures = Pictures(net, table, ("0",))
    calm, noticed = pictures.of(now, [], None, Noticed())
    assert n > ALL_BELOW
    assert set(calm.branches.branch) == {f"L{k}" for k in range(401, 601)}
    assert calm.buses.bus == ()
    opened, noticed = pictures.of(now, ["L7"], None, noticed)
    assert set(opened.branches.branch) - set(calm.branches.branch) == {"L7"}
    assert (opened.buses.bus, opened.buses.island) == (("b7",), (0,))
    still, noticed = pictures.of(now, ["L7"], None, noticed)
    assert "L7" not in still.branches.branch, "told when it changed"
    assert still.branches_open == 1
    again, noticed = pictures.of(now, [], None, noticed)
    assert "L7" in again.branches.branch
    assert (again.buses.bus, again.buses.island) == (("b7",), (1,)), "what was told to be dead is told to be alive"
    assert pictures.of(now, [], None, noticed)[0].buses.bus == ()
