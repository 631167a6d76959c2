"""What is told of voltages, ties and trip signals, and what is no news."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_NO_COMMUNICATION, GOOD
from market.facts import Fact, InfeedReported, PointQuality, TripSignalled, VoltageReported
from market.units import NS_PER_S
from streams.lastvalues import LastValues
from streams.levels import Levels

NAMES = ("bus/1/kv", "bus/2/kv", "tie/7/mw", "switch/A/trip", "load/1/mw")
TABLE = PointTable([PointSpec(name=name, area="1", device="rtu", period_ns=NS_PER_S) for name in NAMES])


class Story:
    """An area to which samples come one by one."""

    def __init__(self) -> None:
        self.last = LastValues(TABLE)
        self.levels = Levels(TABLE, self.last, {"1": 500.0, "9": 220.0})
        self.now_ns = 0

    def say(self, name: str, value: float, *, quality: int = GOOD) -> list[Fact]:
        self.now_ns += NS_PER_S
        row = TABLE.row(name)
        self.last.quality[row] = quality
        if quality == GOOD:
            self.last.value[row], self.last.ts_value_ns[row] = value, self.now_ns
        return self.levels.changed(np.array([row], dtype=np.int64), self.now_ns + 5)

    def restart(self) -> None:
        state = self.levels.state()
        self.levels = Levels(TABLE, self.last, {"1": 500.0, "9": 220.0})
        self.levels.restore(state)


@pytest.mark.parametrize("restart", [False, True])
def test_a_bus_dies_below_a_tenth_and_revives_from_two_tenths_on(restart: bool) -> None:
    story = Story()
    assert story.say("bus/1/kv", 505.0) == []
    assert story.say("bus/1/kv", 50.0) == []
    assert story.say("bus/1/kv", 49.9) == [
        VoltageReported(ts_event_ns=story.now_ns + 5, bus="1", pu=0.0998, quality=PointQuality.GOOD, ts_source_ns=story.now_ns)
    ]
    if restart:
        story.restart()
    assert story.say("bus/1/kv", 0.0) == []
    assert story.say("bus/1/kv", 99.9) == []
    (revived,) = story.say("bus/1/kv", 100.0)
    assert isinstance(revived, VoltageReported)
    assert revived.pu == 0.2


def test_a_dead_bus_that_is_not_measured_any_more_is_not_known_any_more() -> None:
    story = Story()
    story.say("bus/1/kv", 0.0)
    (bad,) = story.say("bus/1/kv", 0.0, quality=BAD_NO_COMMUNICATION)
    assert isinstance(bad, VoltageReported)
    assert bad.quality is PointQuality.BAD
    assert story.say("bus/1/kv", 0.0, quality=BAD_NO_COMMUNICATION) == []
    story.say("bus/1/kv", 0.0)
    stale = np.arange(len(TABLE)) == TABLE.row("bus/1/kv")
    (old,) = story.levels.aged(stale, story.now_ns + NS_PER_S)
    assert isinstance(old, VoltageReported)
    assert old.quality is PointQuality.STALE
    assert story.levels.aged(stale, story.now_ns + NS_PER_S) == []


def test_what_nobody_asked_for_is_not_told() -> None:
    story = Story()
    assert story.say("bus/2/kv", 0.0) == [], "its nominal voltage is not known"
    assert story.say("load/1/mw", 0.0) == []


@pytest.mark.parametrize("restart", [False, True])
def test_an_infeed_is_told_first_and_when_it_has_changed_by_a_twentieth(restart: bool) -> None:
    story = Story()
    assert story.say("tie/7/mw", 1000.0) == [
        InfeedReported(ts_event_ns=story.now_ns + 5, infeed="tie/7", mw=1000.0, quality=PointQuality.GOOD, ts_source_ns=story.now_ns)
    ]
    if restart:
        story.restart()
    assert story.say("tie/7/mw", 950.1) == []
    assert len(story.say("tie/7/mw", 950.0)) == 1
    assert story.say("tie/7/mw", 901.0) == []
    assert len(story.say("tie/7/mw", 0.0)) == 1
    assert story.say("tie/7/mw", 9.9) == []
    assert len(story.say("tie/7/mw", 10.0)) == 1, "alive again"
    assert len(story.say("tie/7/mw", -9.9)) == 1, "dead again"
    assert story.say("tie/7/mw", 500.0, quality=BAD_NO_COMMUNICATION) == []


@pytest.mark.parametrize("restart", [False, True])
def test_a_trip_signal_is_told_when_it_rises(restart: bool) -> None:
    story = Story()
    assert story.say("switch/A/trip", 0.0) == []
    assert story.say("switch/A/trip", 1.0) == [TripSignalled(ts_event_ns=story.now_ns + 5, element="A", ts_source_ns=story.now_ns)]
    if restart:
        story.restart()
    assert story.say("switch/A/trip", 1.0) == []
    assert story.say("switch/A/trip", 0.0) == []
    assert len(story.say("switch/A/trip", 1.0)) == 1
