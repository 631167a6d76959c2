"""How do results and prices become lines: clearings with their proof, bus prices, binding limits, prices in force, indicative amounts?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isclose
from typing import Final

from market.facts import Segment
from market.outcomes import Cleared, ClearingFailed, Outcome
from market.prices import PriceInForce
from market.units import NS_PER_S
from streams import measurements as m
from streams.indicative import ClassAmount
from streams.lineprotocol import Values, line
from streams.processreport import SolveTimed

__all__ = ["encode_amounts", "encode_outcome", "encode_price", "encode_solve"]

_OF_CLEARING: Final = "clearing:"
"""What the source of a price begins with that is a clearing's; its version follows."""


def _span_s(from_ns: int | None, to_ns: int) -> float | None:
    return None if from_ns is None else (to_ns - from_ns) / NS_PER_S


def encode_outcome(outcome: Outcome, segment: Segment = Segment.RT, area_of_bus: Mapping[str, str] | None = None) -> bytes:
    """Encode how an interval was cleared: its status, and for a result its proof, the price of every bus and the limits that bind.

    Args:
        outcome: of the interval.
        segment: the market it was cleared for.
        area_of_bus: control area by bus; a bus it does not know is of area ``none``.
    """
    ts_ns = outcome.interval_start_ns + outcome.version - 1
    common: Values = {
        "version": outcome.version,
        "margin_s": (outcome.interval_start_ns - outcome.completed_at_ns) / NS_PER_S,
        "total_s": _span_s(outcome.frozen_at_ns, outcome.completed_at_ns),
    }
    match outcome:
        case ClearingFailed():
            failed: Values = {"status": "FAILED", "valid": 0, "reason": outcome.reason, "detail": outcome.detail}
            return line(m.CLEARING, ts_ns, {"segment": segment}, {**failed, **common})
        case Cleared():
            return b"".join(_cleared_lines(outcome, segment, ts_ns, common, area_of_bus or {}))


def _cleared_lines(outcome: Cleared, segment: Segment, ts_ns: int, common: Values, area_of_bus: Mapping[str, str]) -> Iterable[bytes]:
    cleared: Values = {
        "status": outcome.status,
        "valid": 1,
        "reason": "",
        "uniform_price_cny_per_mwh": outcome.uniform_price_per_mwh,
        "energy_cny_per_mwh": outcome.energy_per_mwh,
        "objective_cny_per_h": outcome.objective_per_h,
        "penalty_cny_per_h": outcome.penalty_per_h,
        "binding": len(outcome.binding),
        "violations": len(outcome.violations),
        "violation_mw": sum(violation.mw for violation in outcome.violations),
        "certified": outcome.certificate.passed,
        "relaxed": outcome.eased,
    }
    yield line(m.CLEARING, ts_ns, {"segment": segment}, {**cleared, **common})
    proof = outcome.certificate
    yield line(m.CERTIFICATE, ts_ns, {"segment": segment}, {**proof.residuals, "passed": proof.passed})
    for bus, price in outcome.lmp_per_mwh.items():
        congestion, loss = outcome.congestion_per_mwh.get(bus), outcome.loss_per_mwh.get(bus)
        parts: Values = {
            "price_cny_per_mwh": price,
            "energy_cny_per_mwh": _energy(price, congestion, loss, outcome.energy_per_mwh),
            "congestion_cny_per_mwh": congestion,
            "loss_cny_per_mwh": loss,
        }
        yield line(m.LMP, ts_ns, {"area": area_of_bus.get(bus, m.NONE), "bus": bus, "segment": segment}, parts)
    for limit in outcome.binding:
        tags = {"branch": limit.id, "kind": limit.kind, "outage": limit.outage or m.NONE, "segment": segment}
        shadow: Values = {"flow_mw": limit.flow_mw, "limit_mw": limit.limit_mw, "shadow_price_cny_per_mwh": limit.shadow_price}
        yield line(m.BINDING, ts_ns, tags, shadow)


def encode_solve(timed: SolveTimed) -> bytes:
    """Encode how long the engine took: one more field of the interval's point."""
    return line(m.CLEARING, timed.interval_start_ns + timed.version - 1, {"segment": Segment.RT}, {"solve_s": timed.solve_s})


def _energy(price: float, congestion: float | None, loss: float | None, main: float) -> float | None:
    """Return what is left of a price without its other parts: that of the main island, but for rounding, unless it stands in another."""
    if congestion is None:
        return None
    left = price - congestion - (loss or 0.0)
    return main if isclose(left, main, rel_tol=1e-9, abs_tol=1e-9) else left


def encode_price(price: PriceInForce) -> bytes:
    """Encode the price in force; a revision is appended after the price it replaces."""
    values: Values = {
        "price_cny_per_mwh": price.price_cny_per_mwh,
        "regime": price.regime,
        "rev": price.rev,
        "provisional": price.provisional,
        "source": price.source,
        "age_s": None if price.age_ns is None else price.age_ns / NS_PER_S,
        "by_analogy": price.by_analogy,
        "version": _version(price.source),
    }
    return line(m.PRICE, price.interval_start_ns + price.rev, {"segment": price.segment}, values)


def _version(source: str) -> int | None:
    """Return the version of the clearing that a price is of, None where it is of none.

    >>> _version("clearing:2"), _version("day_ahead:10:15")
    (2, None)
    """
    version = source.removeprefix(_OF_CLEARING)
    return int(version) if source.startswith(_OF_CLEARING) and version.isdigit() else None


def encode_amounts(price: PriceInForce, amounts: Iterable[ClassAmount]) -> bytes:
    """Encode what an interval comes to, appended like the price it is reckoned by."""
    return b"".join(
        line(
            m.SETTLEMENT,
            price.interval_start_ns + price.rev,
            {"class": amount.name, "segment": price.segment},
            {
                "energy_mwh": amount.energy_mwh,
                "amount_cny": amount.amount_cny,
                "congestion_rent_cny": amount.congestion_rent_cny,
                "rev": price.rev,
            },
        )
        for amount in amounts
    )
