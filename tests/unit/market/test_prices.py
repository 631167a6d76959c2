"""Published prices are rounded once, halves up."""

from __future__ import annotations

import pytest

from market.prices import settled_price


@pytest.mark.parametrize(
    ("raw", "settled"),
    [(405.504999, 405.50), (405.505, 405.51), (1499.9999999999998, 1500.0), (0.005, 0.01), (-0.005, -0.01), (388.0, 388.0)],
)
def test_halves_round_up(raw: float, settled: float) -> None:
    assert settled_price(raw) == settled
