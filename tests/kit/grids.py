"""Small grids for tests: written in one line, solved on paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from market.grid import Network
from market.matpower import Case
from market.offers import Control, Fuel, Quadratic, Segment, Unit
from market.storage import Storage

Line = tuple[str, str, float, float]
"""from, to, x in p.u. on 100 MVA, rating in MW."""


def network(buses: Sequence[str], lines: Sequence[Line], *, shift_rad: Sequence[float] | None = None) -> Network:
    """Build a lossless network; branches are named L1, L2, … in order."""
    position = {bus: i for i, bus in enumerate(buses)}
    n = len(lines)
    return Network(
        bus_ids=tuple(buses),
        bus_area=("1",) * len(buses),
        base_kv=np.full(len(buses), 220.0),
        branch_ids=tuple(f"L{k + 1}" for k in range(n)),
        from_bus=np.array([position[line[0]] for line in lines], dtype=np.int32),
        to_bus=np.array([position[line[1]] for line in lines], dtype=np.int32),
        r_pu=np.zeros(n),
        x_pu=np.array([line[2] for line in lines]),
        tap=np.ones(n),
        shift_rad=np.array(shift_rad if shift_rad is not None else [0.0] * n),
        rate_mw=np.array([line[3] for line in lines]),
        rate_emergency_mw=np.array([line[3] for line in lines]),
        angle_min_rad=np.full(n, -np.inf),
        angle_max_rad=np.full(n, np.inf),
        base_mva=100.0,
    )


def unit(
    name: str,
    bus: str,
    *offer: tuple[float, float],
    p_min_mw: float = 0.0,
    ramp_mw_per_min: float = 1e6,
    control: Control = Control.DISPATCHABLE,
    quadratic: tuple[float, float] | None = None,
    p_max_mw: float | None = None,
    min_up_h: float = 0.0,
    min_down_h: float = 0.0,
    must_run: bool = False,
) -> Unit:
    """Build a unit from (MW, price) segments above ``p_min_mw``, or from a quadratic (c1, c2) with ``p_max_mw``."""
    return Unit(
        id=name,
        bus=bus,
        area="1",
        fuel=Fuel.OTHER,
        category="",
        control=control,
        p_min_mw=p_min_mw,
        p_max_mw=p_max_mw if p_max_mw is not None else p_min_mw + sum(mw for mw, _ in offer),
        ramp_mw_per_min=ramp_mw_per_min,
        segments=tuple(Segment(mw, price) for mw, price in offer),
        quadratic=Quadratic(linear_per_mwh=quadratic[0], curvature_per_mw2h=quadratic[1]) if quadratic else None,
        min_up_h=min_up_h,
        min_down_h=min_down_h,
        must_run=must_run,
    )


def battery(bus: str) -> Storage:
    """Build a storage of 100 MWh that loses a fifth on its way out, and buys and sells at any price that pays."""
    return Storage(
        id="battery",
        bus=bus,
        area="1",
        charge_mw=50.0,
        discharge_mw=40.0,
        energy_max_mwh=100.0,
        charge_efficiency=1.0,
        discharge_efficiency=0.8,
        offers=(Segment(40.0, 0.0),),
        bids=(Segment(50.0, 0.0),),
    )


def case(net: Network, units: Sequence[Unit], load_mw: dict[str, float]) -> Case:
    """Put a case together, everything in service."""
    return Case(
        name="case",
        network=net,
        in_service=np.ones(net.n_branches, dtype=np.bool_),
        units=tuple(units),
        units_off=(),
        load_mw=np.array([load_mw.get(bus, 0.0) for bus in net.bus_ids]),
        shunt_mw=np.zeros(net.n_buses),
    )


def triangle(limit_13_mw: float = 50.0) -> Case:
    """Three equal lines in a triangle; the cheap unit's path to the load is congested.

    On paper: a MW from bus 1 to bus 3 goes 2/3 over L2 (1-3), one from bus 2 goes 1/3 over it. With p1 + p2 = 100 and
    (2·p1 + p2)/3 = 50 both units give 50 MW. One MW more of load at 3 takes p1 = 49, p2 = 52, so it costs 30; one MW more of limit
    takes p1 = 53, p2 = 47, so it saves 30.
    """
    net = network(("1", "2", "3"), [("1", "2", 0.1, 1000.0), ("1", "3", 0.1, limit_13_mw), ("2", "3", 0.1, 1000.0)])
    return case(net, [unit("cheap", "1", (200.0, 10.0)), unit("dear", "2", (200.0, 20.0))], {"3": 100.0})
