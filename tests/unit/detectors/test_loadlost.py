"""Load that is lost: how much of what was there, since when, and from which share on."""

from __future__ import annotations

import pytest

from detectors.evidence import Level
from detectors.loadlost import LoadWatch, before_mw, loss_text, lost_mw, matured, next_ns, total_mw, with_load
from market.facts import LoadReported
from market.rules import GUANGDONG_2023 as RULES
from market.units import NS_PER_MIN, NS_PER_S, instant_ns

MIN, S = NS_PER_MIN, NS_PER_S
T = instant_ns("2026-06-10T14:00:00+08:00")


def loads(*told: tuple[float, str, float]) -> LoadWatch:
    """Take in loads, given as (minute, area, MW)."""
    watch = LoadWatch()
    for minute, area, mw in told:
        watch = with_load(watch, LoadReported(ts_event_ns=T + round(minute * MIN), area=area, load_mw=mw), RULES)
    return watch


def test_before_anybody_reported_nothing_is_lost() -> None:
    assert (total_mw(LoadWatch()), before_mw(LoadWatch()), lost_mw(LoadWatch())) == (None, 0.0, 0.0)
    assert (next_ns(LoadWatch(), RULES), matured(LoadWatch(), T, RULES)) == ([], (LoadWatch(), ()))


def test_what_is_lost_is_what_is_missing_of_the_greatest_total_of_the_window() -> None:
    watch = loads((0, "A", 60_000), (0, "B", 40_000), (1, "A", 80_000), (2, "A", 50_000))
    assert (total_mw(watch), before_mw(watch), lost_mw(watch)) == (90_000, 120_000, 30_000)
    assert watch.history[0] == (T, 100_000), "one total an instant"
    assert loss_text(watch, RULES) == "load lost within 10 min: 30000 MW of 120000 MW"


def test_a_total_counts_for_ten_minutes_to_the_instant() -> None:
    assert before_mw(loads((0, "A", 100_000), (10, "A", 99_000))) == 100_000
    assert before_mw(loads((0, "A", 100_000), (10.00001, "A", 99_000))) == 99_000


@pytest.mark.parametrize(
    ("before", "after", "levels"),
    [
        (100_000, 87_000, ["HARD", "SOFT"]),
        (100_000, 87_001, ["SOFT"]),
        (100_000, 95_000, ["SOFT"]),
        (100_000, 95_001, []),
        (100_000, 100_000, []),
        (0, 0, []),
        (2, 1, ["HARD", "SOFT"]),
    ],
)
def test_a_share_that_is_reached_exactly_counts(before: float, after: float, levels: list[str]) -> None:
    watch = loads((0, "A", before), (1, "A", after))
    assert sorted(watch.since_ns) == levels
    assert set(watch.since_ns.values()) <= {T + MIN}


def test_a_loss_is_certain_once_it_has_stood_and_is_told_once() -> None:
    watch = loads((0, "A", 100_000), (1, "A", 90_000))
    due_ns = T + MIN + 10 * S
    assert next_ns(watch, RULES) == [due_ns]
    assert matured(watch, due_ns - 1, RULES) == (watch, ())
    assert matured(watch, due_ns - 1, RULES)[0] is watch, "asked at every tick, and nothing is made anew"
    after, (found,) = matured(watch, due_ns, RULES)
    assert (found.level, found.met_at_ns, found.subject, found.over_mw) == (Level.SOFT, due_ns, "10000 MW of 100000 MW of load", 95_000.0)
    assert found.text == ("load lost within 10 min: 10000 MW of 100000 MW (10.0 % since 14:01, limit 5 %)",)
    assert (after.told, next_ns(after, RULES), matured(after, due_ns + 1, RULES)) == ((Level.SOFT,), [], (after, ()))


def test_a_loss_that_goes_on_keeps_its_beginning_and_one_that_was_over_begins_anew() -> None:
    assert loads((0, "A", 100_000), (1, "A", 90_000), (2, "A", 91_000)).since_ns == {"SOFT": T + MIN}
    again = loads((0, "A", 100_000), (1, "A", 90_000), (2, "A", 99_000), (3, "A", 90_000))
    assert again.since_ns == {"SOFT": T + 3 * MIN}
    told, _ = matured(loads((0, "A", 100_000), (1, "A", 90_000)), T + 2 * MIN, RULES)
    assert with_load(told, LoadReported(ts_event_ns=T + 3 * MIN, area="A", load_mw=90_500), RULES).told == (Level.SOFT,)
    assert with_load(told, LoadReported(ts_event_ns=T + 3 * MIN, area="A", load_mw=99_500), RULES).told == ()
