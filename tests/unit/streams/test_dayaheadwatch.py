"""What is told of day-ahead runs, and when the log warns."""

from __future__ import annotations

import logging

import pytest

from market.facts import DayAheadExpected, EstimateSource
from market.progress import Outlook, Phase, Progress
from market.units import NS_PER_H, NS_PER_S, instant_ns
from streams.dayaheadwatch import DayAheadWatch, deadline_ns

ZONE, DAY = "Asia/Shanghai", "2026-06-11"
DEADLINE_NS = instant_ns("2026-06-10T23:00:00+08:00")


class Rig:
    """A watch with a hand on its clock."""

    def __init__(self, start_ns: int) -> None:
        self.start_ns, self.elapsed_s = start_ns, 0.0
        self.told: list[DayAheadExpected] = []
        self.watch = DayAheadWatch(ZONE, lambda: self.elapsed_s, lambda: self.start_ns + round(self.elapsed_s * NS_PER_S))

    def run(self, seconds: dict[Phase, float], *, end: bool = True) -> None:
        tell = self.watch.begin(DAY, self.told.append)
        for phase, length_s in seconds.items():
            tell(Progress(phase=phase))
            self.elapsed_s += length_s
        if end:
            tell(Progress(phase=Phase.DONE))
            self.watch.ended()


def test_the_result_of_a_day_is_due_at_eleven_in_the_evening_before() -> None:
    assert deadline_ns(DAY, ZONE) == DEADLINE_NS


def test_the_first_run_has_nothing_to_be_judged_by() -> None:
    rig = Rig(DEADLINE_NS - 3_600 * NS_PER_S)
    rig.run({Phase.COMMITMENT: 5.0}, end=False)
    assert rig.watch.expected() is None
    assert rig.watch.progress == Progress(phase=Phase.COMMITMENT)


def test_a_run_is_expected_to_end_when_those_before_it_did() -> None:
    rig = Rig(DEADLINE_NS - 3_600 * NS_PER_S)
    rig.run({Phase.COMMITMENT: 60.0, Phase.DISPATCH: 10.0})
    rig.run({Phase.COMMITMENT: 20.0}, end=False)
    found = rig.watch.expected()
    assert found is not None
    assert found.outlook is Outlook.IN_TIME
    assert found.p50_ns == DEADLINE_NS - 3_600 * NS_PER_S + (70 + 20 + 50) * NS_PER_S


def test_a_run_that_will_miss_the_deadline_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(DEADLINE_NS - 100 * NS_PER_S)
    with caplog.at_level(logging.WARNING, logger="streams.dayaheadwatch"):
        rig.run({Phase.COMMITMENT: 60.0, Phase.DISPATCH: 5.0})
        tell = rig.watch.begin(DAY)
        for _ in range(3):
            tell(Progress(phase=Phase.COMMITMENT))
    found = rig.watch.expected()
    assert found is not None
    assert found.outlook is Outlook.PROPOSE
    assert len(caplog.records) == 1
    assert "P50 23:00:30" in caplog.records[0].getMessage()


def test_a_run_that_failed_on_its_way_tells_nothing_of_the_next() -> None:
    rig = Rig(DEADLINE_NS - 3_600 * NS_PER_S)
    rig.run({Phase.COMMITMENT: 60.0}, end=False)
    rig.watch.ended()
    rig.run({Phase.COMMITMENT: 5.0}, end=False)
    assert rig.watch.expected() is None


def test_a_day_whose_deadline_is_past_has_none() -> None:
    rig = Rig(DEADLINE_NS + NS_PER_S)
    rig.run({Phase.COMMITMENT: 60.0})
    rig.run({Phase.COMMITMENT: 5.0}, end=False)
    assert rig.watch.expected() is None


def test_the_breaker_is_told_of_each_phase_and_each_change_of_outlook_and_of_nothing_else() -> None:
    rig = Rig(DEADLINE_NS - 115 * NS_PER_S)
    rig.run({Phase.COMMITMENT: 50.0, Phase.DISPATCH: 5.0})
    assert [(fact.phase, fact.outlook) for fact in rig.told] == [
        (Phase.COMMITMENT, None),
        (Phase.DISPATCH, None),
        (Phase.DONE, Outlook.IN_TIME),
    ]
    rig.told.clear()
    tell = rig.watch.begin(DAY, rig.told.append)
    for _ in range(70):
        tell(Progress(phase=Phase.COMMITMENT, gap=0.25))
        rig.elapsed_s += 1.0
    outlooks = [Outlook.IN_TIME, Outlook.PROPOSE]
    assert [(fact.phase, fact.outlook) for fact in rig.told] == [(Phase.COMMITMENT, outlook) for outlook in outlooks]
    assert rig.told[0] == DayAheadExpected(
        ts_event_ns=DEADLINE_NS - 60 * NS_PER_S,
        interval_start_ns=DEADLINE_NS + NS_PER_H,
        source=EstimateSource.STATISTICAL,
        p50_ns=DEADLINE_NS - 5 * NS_PER_S,
        p90_ns=DEADLINE_NS - 5 * NS_PER_S,
        phase=Phase.COMMITMENT,
        gap=0.25,
        outlook=Outlook.IN_TIME,
    )


def test_a_run_that_another_one_followed_is_not_heard_any_more() -> None:
    rig = Rig(DEADLINE_NS - 3_600 * NS_PER_S)
    given_up = rig.watch.begin(DAY, rig.told.append)
    rig.watch.begin(DAY)(Progress(phase=Phase.RELAXATION))
    given_up(Progress(phase=Phase.DISPATCH))
    assert rig.watch.progress == Progress(phase=Phase.RELAXATION)
    assert rig.told == []
