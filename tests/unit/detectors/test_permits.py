"""What a revocation leaves of a permit: the time until it was given."""

from __future__ import annotations

import pytest

from detectors.permits import cut_short
from market.facts import PermitRevoked
from market.rules import GUANGDONG_2023 as RULES
from market.units import NS_PER_MIN

MIN = NS_PER_MIN
PERMIT = ("L1", 100 * MIN, 200 * MIN)
OTHERS = (("L1", 100 * MIN, 201 * MIN), ("L2", 100 * MIN, 200 * MIN))


@pytest.mark.parametrize(
    ("at", "left"),
    [
        (70 * MIN, None),
        (70 * MIN + 1, ("L1", 100 * MIN, 40 * MIN + 1)),
        (150 * MIN, ("L1", 100 * MIN, 120 * MIN)),
        (230 * MIN, PERMIT),
        (300 * MIN, PERMIT),
    ],
)
def test_a_revocation_ends_its_permit_where_it_stands_and_no_other(at: int, left: tuple[str, int, int] | None) -> None:
    revoked = PermitRevoked(ts_event_ns=at, element="L1", from_ns=100 * MIN, to_ns=200 * MIN)
    assert cut_short((OTHERS[0], PERMIT, OTHERS[1]), revoked, RULES) == (OTHERS[0], *(() if left is None else (left,)), OTHERS[1])
