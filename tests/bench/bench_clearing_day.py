"""How long does a whole five-minute day take, looking two hours ahead, and is every load served in it?

Run with ``python -m tests.bench.bench_clearing_day`` (``--periods 36`` for its first hours, ``--reserve 0`` without reserve). RTS-GMLC, the
shipped day: 73 buses, 154 units, 288 intervals of real-time load, wind, sun and water. The day-ahead market, unit commitment and 96
quarters, says which units are on; each interval is an official run over 24 periods of five minutes, ramps from the dispatch of the interval
before, and holds spinning reserve for 3 % of the load in every period, offered by every unit that is on, with a shortage priced in steps.
CPU time, one thread.

Asked: a day with its day ahead within 60 s, nothing unserved, and every certificate passed.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is loaded

import numpy as np

from market import rts_gmlc
from market.day_ahead import DayAhead, clear_day_ahead
from market.engine import ClearingEngine
from market.outcomes import Cleared, ClearingInputs, Outcome, PeriodAhead
from market.params import ClearingParams
from market.reserves import Direction, ReserveProduct, ReserveRequirement, ShortageStep, standing_offers
from market.resources import Resources
from market.units import NS_PER_MIN

DAY_BAR_S = 60.0
PERIODS = 24
SPIN = ReserveProduct(id="spin", direction=Direction.UP, minutes=10.0)
STEPS = (ShortageStep(100.0, 500.0), ShortageStep(100.0, 1500.0))


def cleared(outcome: Outcome) -> Cleared:
    """Return the outcome, which must be one."""
    assert isinstance(outcome, Cleared), outcome
    assert outcome.certificate.passed
    return outcome


def main() -> None:
    """Clear the day and print what it took and what it came to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--periods", type=int, default=288, help="how many intervals")
    parser.add_argument("--reserve", type=float, default=0.03, help="spinning reserve as a share of the load")
    asked = parser.parse_args()
    case = rts_gmlc.load()
    real = case.real_time

    started = time.process_time()
    day = clear_day_ahead(case, ClearingParams(), start_ns=0, completed_at_ns=0)
    day_ahead_s = time.process_time() - started
    assert isinstance(day, DayAhead), day

    params = ClearingParams(interval_min=5.0)
    resources = Resources(
        products=(SPIN,),
        requirements=(ReserveRequirement(id="spin", product="spin", mw=0.0, shortage=STEPS),),
        reserve_offers=standing_offers(case.units, SPIN),
    )
    engine = ClearingEngine(
        case.network, case.units, params, load_buses=case.load_buses, resources=resources if asked.reserve > 0 else None
    )

    def period(k: int) -> PeriodAhead:
        load = case.bus_load_mw(real, k)
        return PeriodAhead(
            load_mw=dict(zip(case.network.bus_ids, load.tolist(), strict=True)),
            available_mw=case.available_mw(real, k),
            units_off=day.units_off(k // 3),
            reserve_mw={"spin": asked.reserve * float(load.sum())} if asked.reserve > 0 else {},
        )

    horizon = [period(k) for k in range(real.periods)]

    def inputs(k: int, output_mw: dict[str, float]) -> ClearingInputs:
        now = horizon[k]
        return ClearingInputs(
            interval_start_ns=5 * k * NS_PER_MIN,
            frozen_at_ns=0,
            load_mw=now.load_mw,
            available_mw=now.available_mw,
            units_off=now.units_off,
            reserve_mw=now.reserve_mw,
            output_mw=output_mw,
            ahead=tuple(horizon[k + 1 : k + PERIODS]),
        )

    # Where the units stand at midnight is not known: where the day-ahead market puts them.
    output_mw = day.periods[0].dispatch_mw
    took_s, unserved_mwh, spilled_mwh, congested, short = [], 0.0, 0.0, 0, 0
    flags: dict[str, int] = {}
    violations: dict[str, int] = {}
    for k in range(min(asked.periods, real.periods)):
        now = inputs(k, output_mw)
        started = time.process_time()
        outcome = engine.clear(now, completed_at_ns=0)
        took_s.append(time.process_time() - started)
        output_mw = cleared(outcome).dispatch_mw
        for violation in outcome.violations:
            violations[violation.kind] = violations.get(violation.kind, 0) + 1
            unserved_mwh += violation.mw / 12 * (violation.kind == "shed")
            spilled_mwh += violation.mw / 12 * (violation.kind == "spill")
        congested += any(line.kind == "line" for line in outcome.binding)
        short += any(price > 1e-6 for price in outcome.reserve_price_per_mwh.values())
        for flag in outcome.flags:
            flags[flag] = flags.get(flag, 0) + 1
    times = np.array(took_s)
    whole_s = day_ahead_s + times.sum()
    met = "" if whole_s <= DAY_BAR_S and unserved_mwh == 0 else " !"
    print(f"{len(times)} intervals of {PERIODS} periods; load of the machine {os.getloadavg()[0]:.1f}; every certificate passed")
    print(f"day ahead             {day_ahead_s:>8.2f} s")
    print(f"all intervals         {times.sum():>8.2f} s, one: median {np.median(times) * 1e3:.0f} ms, max {times.max() * 1e3:.0f} ms")
    print(f"the day               {whole_s:>8.2f} s /{DAY_BAR_S:g}{met}")
    print(f"unserved, in excess   {unserved_mwh:>8.3f} MWh, {spilled_mwh:.3f} MWh; violations {violations or 'none'}")
    print(f"intervals congested {congested}, with a price for reserve {short}, flagged {flags or 'none'}")


if __name__ == "__main__":
    main()
