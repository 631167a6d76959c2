"""Engines for the solver process that do what no engine should: take for ever, die, or never begin."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from market.engine import ClearingEngine, Mode
from market.outcomes import Cleared, ClearingInputs, Outcome
from market.params import ClearingParams
from tests.kit.grids import network, unit

NETWORK = network(("A", "B", "C"), [("A", "B", 0.1, 1000.0), ("A", "C", 0.1, 50.0), ("B", "C", 0.1, 1000.0)])
UNITS = (unit("G1", "A", (200.0, 300.0)), unit("G2", "C", (200.0, 500.0)))

plain = partial(ClearingEngine, NETWORK, UNITS, ClearingParams(), load_buses=("C",))
"""Makes a sound engine."""


def inputs(load_mw: float = 80.0) -> ClearingInputs:
    """What one interval of :data:`plain` is cleared from."""
    return ClearingInputs(
        interval_start_ns=900_000_000_000,
        frozen_at_ns=840_000_000_000,
        load_mw={"C": load_mw},
        output_mw={"G1": 50.0, "G2": 10.0},
        available_mw={},
        used_points=3,
    )


class Stubborn(ClearingEngine):
    """Does what the load at C tells it: 1 MW takes for ever, 2 MW is a segmentation fault, 3 MW is more memory than there is."""

    def clear(self, inputs: ClearingInputs, *, completed_at_ns: int, **how: Any) -> Outcome:
        match inputs.load_mw["C"]:
            case 1.0:
                time.sleep(600.0)
            case 2.0:
                os.kill(os.getpid(), signal.SIGSEGV)
            case 3.0:
                np.ones(1 << 37)
        return super().clear(inputs, completed_at_ns=completed_at_ns, **how)


stubborn = partial(Stubborn, NETWORK, UNITS, ClearingParams(), load_buses=("C",))
"""Makes one of them."""


class Wavering(ClearingEngine):
    """Sound where it is asked officially; warm it finds another cost, and breaks at 90 MW."""

    def clear(self, inputs: ClearingInputs, *, completed_at_ns: int, mode: Mode = Mode.OFFICIAL, **how: Any) -> Outcome:
        outcome = super().clear(inputs, completed_at_ns=completed_at_ns, mode=mode, **how)
        if mode is Mode.OFFICIAL or not isinstance(outcome, Cleared):
            return outcome
        if inputs.load_mw["C"] == 90.0:
            raise ArithmeticError("a pivot of zero")
        return replace(outcome, objective_per_h=1.5 * outcome.objective_per_h)


wavering = partial(Wavering, NETWORK, UNITS, ClearingParams(), load_buses=("C",))
"""Makes one of them."""


def refused() -> ClearingEngine:
    """Make none.

    Raises:
        RuntimeError: always.
    """
    raise RuntimeError("the case has a hole")
