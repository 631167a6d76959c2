"""Outage permits that are taken back."""

from __future__ import annotations

from detectors.losses import Permit
from market.facts import PermitRevoked
from market.rules import MarketRules
from market.units import NS_PER_MIN

__all__ = ["cut_short"]


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
