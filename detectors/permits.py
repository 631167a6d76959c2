"""Outage permits that are taken back."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.losses import Permit
from market.rules import MarketRules
from market.units import NS_PER_MIN

__all__ = ["PermitRevoked", "cut_short"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRevoked:
    """A permit for an element ``[from_ns, to_ns]`` was taken back at ``ts_event_ns``: what opens from then on is not planned."""

    ts_event_ns: int
    element: str
    from_ns: int
    to_ns: int


def cut_short(permits: tuple[Permit, ...], revoked: PermitRevoked, rules: MarketRules) -> tuple[Permit, ...]:
    """Return the permits after one was taken back; what opened under it before stays planned.

    The margin behind a permit ends where the revocation stands, so the permit itself ends a margin before it.
    """
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    kept: list[Permit] = []
    for permit in permits:
        if permit != (revoked.element, revoked.from_ns, revoked.to_ns):
            kept.append(permit)
        elif permit[1] - margin_ns < revoked.ts_event_ns:
            kept.append((permit[0], permit[1], min(permit[2], revoked.ts_event_ns - margin_ns)))
    return tuple(kept)
