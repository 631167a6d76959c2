"""What can be asked of a field that serves nothing yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.simulator.faults import script_of
from ingest.simulator.field import SimulatedField, field_targets
from market.errors import ConfigError
from market.units import NS_PER_MIN
from tests.kit.field import JumpClock
from tests.kit.simulated_grid import MORNING_NS, SEED, physics


def field(tmp_path: Path, clock: JumpClock) -> SimulatedField:
    case = physics().case
    data = {"faults": [{"at": "5m", "kind": "clearing_fails", "for": "5m"}], "story": [{"at": "1m", "en": "quiet", "zh": "平静"}]}
    script = script_of(data, MORNING_NS, field_targets(case))
    return SimulatedField(case, clock, seed=SEED, script=script, push_target=None, data_dir=tmp_path)


def test_injecting_the_same_fault_again_changes_nothing(tmp_path: Path) -> None:
    """A story that is told again after a restart must not break things twice."""
    clock = JumpClock(MORNING_NS)
    mine = field(tmp_path, clock)
    first = mine.inject("clearing_fails", for_s=60.0, at_ns=MORNING_NS - NS_PER_MIN, mode="silent")
    clock.pass_ns(NS_PER_MIN)
    again = mine.inject("clearing_fails", for_s=60.0, at_ns=MORNING_NS - NS_PER_MIN, mode="silent")
    assert first == again
    assert mine.inject("line_trip", "A27").at_ns == MORNING_NS + NS_PER_MIN


def test_clearing_fails_as_scripted_and_as_injected(tmp_path: Path) -> None:
    mine = field(tmp_path, JumpClock(MORNING_NS))
    assert [mine.clearing_fault(MORNING_NS + m * NS_PER_MIN) for m in (0, 5, 10)] == [None, "error", None]
    mine.inject("clearing_fails", mode="silent")
    assert mine.clearing_fault(MORNING_NS) == "silent"


def test_the_story_is_the_scripts(tmp_path: Path) -> None:
    mine = field(tmp_path, JumpClock(MORNING_NS))
    assert mine.script_story(MORNING_NS) is None
    assert mine.script_story(MORNING_NS + NS_PER_MIN) == (1, 1, "quiet", "平静")


def test_what_is_not_there_cannot_break(tmp_path: Path) -> None:
    mine = field(tmp_path, JumpClock(MORNING_NS))
    with pytest.raises(ConfigError, match="there is no RTU 'rtu-1'"):
        mine.inject("rtu_comms_lost", "rtu-1")
