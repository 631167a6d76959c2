"""Which inputs a price may be made of: each gate at its limit and just beyond."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from market.gates import Judgement, judged
from market.outcomes import ClearingInputs, FailureReason, InputQuality
from market.rules import rules_from

RULES = rules_from({})
SOUND = InputQuality(
    output_mw=1_000.0, generation_mw=1_000.0, load_mw=1_000.0, topology_age_s=5.0, switch_point="switch/B1/from", horizon_s=510.0
)


def of(**changed: Any) -> Judgement:
    quality = replace(SOUND, **changed)
    inputs = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={}, output_mw={}, available_mw={}, quality=quality)
    return judged(inputs, RULES)


def test_sound_inputs_and_those_of_releases_that_said_nothing_pass() -> None:
    assert of() == Judgement()
    silent = ClearingInputs(interval_start_ns=0, frozen_at_ns=0, load_mw={}, output_mw={}, available_mw={})
    assert judged(silent, RULES) == Judgement()


def test_up_to_a_twentieth_of_the_output_may_be_stale() -> None:
    assert of(stale_output_mw=50.0, stale_units=("G1",)) == Judgement()
    refused = of(stale_output_mw=50.1, stale_units=tuple(f"G{k}" for k in range(1, 8))).refused
    assert refused is not None
    assert refused[0] is FailureReason.INPUT_STALE
    assert refused[1] == (
        "50 of 1,000 MW of output is told by stale telemetry, more than 5 %: units G1, G2, G3, G4, G5 and 2 more; "
        "restore the telemetry of these units"
    )


@pytest.mark.parametrize(
    ("generation_mw", "import_mw", "passes"),
    [
        (970.0, 0.0, True),
        (969.0, 0.0, False),
        (1_030.0, 0.0, True),
        (1_031.0, 0.0, False),
        (900.0, 100.0, True),
        (1_000.0, 100.0, False),
    ],
)
def test_generation_load_and_ties_may_differ_by_three_per_cent(generation_mw: float, import_mw: float, *, passes: bool) -> None:
    refused = of(generation_mw=generation_mw, import_mw=import_mw, worst_area="2", area_gap_mw=-31.0).refused
    assert (refused is None) is passes
    if refused is not None:
        assert refused[0] is FailureReason.INPUT_INVALID
        assert "more than 3 % of load; most of all in area 2, by -31 MW; find the meter" in refused[1]


def test_what_is_not_measured_as_a_whole_is_not_held_against_anything() -> None:
    assert of(generation_mw=None, load_mw=None) == Judgement()


def test_without_load_there_must_be_no_generation() -> None:
    assert of(generation_mw=0.0, load_mw=0.0) == Judgement()
    assert of(generation_mw=1.0, load_mw=0.0).refused is not None


def test_positions_are_old_after_twenty_minutes() -> None:
    assert of(topology_age_s=1_200.0) == Judgement()
    assert of(topology_age_s=None) == Judgement()
    (why,) = of(topology_age_s=1_500.0).degraded
    assert why == "the position switch/B1/from is 25 min old, at most 20; restore its telemetry, or confirm it"


def test_base_points_and_a_load_held_for_long_degrade() -> None:
    assert of(replaced_units=("G1",), replaced_output_mw=25.0) == Judgement()
    (why,) = of(replaced_units=("G2", "G1"), replaced_output_mw=26.0).degraded
    assert why == "26 of 1,000 MW of output is that of base points, for want of telemetry: units G1, G2"
    assert of(load_persisted="there is no profile of the day") == Judgement(), "a few minutes are no harm"
    (why,) = of(load_persisted="there is no profile of the day", horizon_s=900.0).degraded
    assert why == "the load is held for 15 min: there is no profile of the day"


def test_one_that_is_refused_is_not_degraded_as_well() -> None:
    found = of(stale_output_mw=900.0, replaced_units=("G1",))
    assert found.refused is not None
    assert found.degraded == ()
