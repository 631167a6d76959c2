"""Noise is a function of seed, stream and time, and has the size it says."""

from __future__ import annotations

import numpy as np

from ingest.simulator.noise import Stream, normals, wandering


def test_a_block_does_not_depend_on_the_blocks_before_it() -> None:
    np.testing.assert_array_equal(normals(3, Stream.METER, 1_000_000_000, 5), normals(3, Stream.METER, 1_000_000_000, 5))
    assert not (normals(3, Stream.METER, 1, 5) == normals(3, Stream.METER, 2, 5)).any()
    assert not (normals(3, Stream.METER, 1, 5) == normals(3, Stream.NATURE, 1, 5)).any()
    assert not (normals(3, Stream.METER, 1, 5) == normals(4, Stream.METER, 1, 5)).any()


def test_it_is_standard_normal() -> None:
    draws = np.concatenate([normals(3, Stream.METER, k, 100) for k in range(200)])
    assert abs(draws.mean()) < 0.03
    assert abs(draws.std() - 1.0) < 0.03


def test_wandering_noise_is_a_straight_line_between_its_knots() -> None:
    at = [wandering(3, Stream.AREA_LOAD, 600.0 + s, 60.0, 4) for s in (0.0, 15.0, 30.0, 60.0)]
    np.testing.assert_allclose(at[2], (at[0] + at[3]) / 2.0)
    np.testing.assert_allclose(at[1], at[0] * 0.75 + at[3] * 0.25)
    np.testing.assert_array_equal(at[0], normals(3, Stream.AREA_LOAD, 10, 4))
