"""Is the market contested, and what do its prices say? Formulas only; nothing here is remembered.

Suppliers are the plants of one bus: the data name no owners. Shares are by metered output, by what is available and by what was
awarded. Power is MW, a price CNY/MWh.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["hhi", "lerner", "limit_hits", "nodal_spread", "price_spread", "rsi", "supplied_mw", "top4_pct"]

_Array = NDArray[np.float64]


def supplied_mw(supplier: NDArray[np.integer[Any]], mw: _Array) -> _Array:
    """Return the sum of (k,) units' MW by supplier, (m,): numbers from 0 up; a unit that draws power counts as nothing."""
    return np.asarray(np.bincount(supplier, weights=np.maximum(mw, 0.0)), dtype=np.float64)


def hhi(mw: _Array) -> float | None:
    """Herfindahl–Hirschman index of (m,) suppliers: ``Σ(100·s_i)²``, 0 to 10,000, s_i = mw_i/Σmw; None where nothing is supplied.

    >>> hhi(np.array([60.0, 40.0]))
    5200.0
    """
    total = float(mw.sum())
    return float(((100.0 * mw / total) ** 2).sum()) if total > 0 and np.isfinite(total) else None


def top4_pct(mw: _Array) -> float | None:
    """Share of the four largest of (m,) suppliers, ``100·(s₁ + … + s₄)``, %; None where nothing is supplied."""
    total = float(mw.sum())
    return 100.0 * float(np.sort(mw)[-4:].sum()) / total if total > 0 and np.isfinite(total) else None


def rsi(available_mw: _Array, load_mw: float) -> _Array:
    """Residual supply index of (m,) suppliers: ``(S − S_i)/D``; below 1 a supplier is pivotal: without it the load is not served.

    Args:
        available_mw: (m,) what each could give, MW; S is their sum.
        load_mw: D, MW, > 0.

    >>> rsi(np.array([60.0, 80.0]), 70.0).tolist()
    [1.1428571428571428, 0.8571428571428571]
    """
    return np.asarray((available_mw.sum() - available_mw) / load_mw)


def lerner(price_cny_per_mwh: _Array, marginal_cny_per_mwh: _Array, output_mw: _Array) -> float | None:
    """Lerner index of an interval: ``(P − MC)/P``, P and MC the output-weighted means over (k,) units: (Σq·P − Σq·MC)/Σq·P.

    At one price for all it is Σ s_i·(P − MC_i)/P, the index that Cowling and Waterson (1976) set against concentration. At most 1 where
    costs are not negative; 0 where every unit is paid the cost of its last MW; negative where units run below it (a ramp holds them).

    The marginal cost is that of the offer, which is all the model has. Where offers are costs, as in the shipped data, the index shows the
    rent of units that are cheaper than the price, and no conduct. The caller decides which units count; a NaN leaves a unit out.

    Args:
        price_cny_per_mwh: (k,) what each is paid: the price at its bus.
        marginal_cny_per_mwh: (k,) what its last MW costs (:meth:`market.offers.OfferBook.last_mw_per_mwh`).
        output_mw: (k,) what it was awarded, > 0.

    Returns:
        The index, or None where nothing is earned: with prices of 0 it is no number.

    >>> lerner(np.array([400.0, 400.0]), np.array([400.0, 200.0]), np.array([300.0, 100.0]))
    0.125
    """
    known = np.isfinite(price_cny_per_mwh) & np.isfinite(marginal_cny_per_mwh)
    earned = float((output_mw * price_cny_per_mwh)[known].sum())
    margin = float((output_mw * (price_cny_per_mwh - marginal_cny_per_mwh))[known].sum())
    return margin / earned if earned > 0 else None


def price_spread(day_ahead_cny_per_mwh: float, real_time_cny_per_mwh: float) -> float:
    """Return P_DA − P_RT of one settlement period, CNY/MWh: positive where who bought the day before paid more (spec §4)."""
    return day_ahead_cny_per_mwh - real_time_cny_per_mwh


def nodal_spread(lmp_cny_per_mwh: _Array) -> float | None:
    """Return the highest less the lowest of (n,) bus prices, CNY/MWh, ≥ 0; 0 without congestion, None without buses (spec §4)."""
    return float(lmp_cny_per_mwh.max() - lmp_cny_per_mwh.min()) if len(lmp_cny_per_mwh) else None


def limit_hits(lmp_cny_per_mwh: _Array, floor_cny_per_mwh: float, cap_cny_per_mwh: float) -> tuple[int, int]:
    """Count the buses of (n,) whose price stands at the cap, and those at the floor; prices are clipped to both (offer rules)."""
    at_cap, at_floor = lmp_cny_per_mwh >= cap_cny_per_mwh, lmp_cny_per_mwh <= floor_cny_per_mwh
    return int(np.count_nonzero(at_cap)), int(np.count_nonzero(at_floor))
