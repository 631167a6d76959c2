"""Infeeds that stop and limits that fall: from which share on, since when, and told once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.evidence import Kind, Level
from detectors.infeeds import InfeedState, Limit, fallen, lost, next_ns, used, with_infeed, with_limit
from market.facts import InfeedReported, InterfaceLimitReported, PointQuality
from market.rules import GUANGDONG_2023 as RULES
from market.units import NS_PER_MIN, NS_PER_S, instant_ns

MIN, S = NS_PER_MIN, NS_PER_S
T = instant_ns("2026-06-10T14:00:00+08:00")


def infeed(*told: tuple[float, float], quality: PointQuality = PointQuality.GOOD) -> InfeedState | None:
    state: InfeedState | None = None
    for minute, mw in told:
        at_ns = T + round(minute * MIN)
        state = with_infeed(state, InfeedReported(ts_event_ns=at_ns, infeed="DC", mw=mw, quality=quality, ts_source_ns=at_ns), RULES)
    return state


def known(*told: tuple[float, float]) -> InfeedState:
    state = infeed(*told)
    assert state is not None
    return state


def never(_: str, __: int) -> bool:
    return False


def test_what_is_not_good_says_nothing_of_an_infeed() -> None:
    assert infeed((0, 5000), quality=PointQuality.STALE) is None
    state = known((0, 5000))
    assert (state.mw, state.lost_since_ns, state.before_mw, state.told) == (5000, None, 0.0, False)


@pytest.mark.parametrize(("mw", "is_lost"), [(50.0, False), (49.9, True), (0.0, True)])
def test_an_infeed_is_lost_when_less_than_a_hundredth_is_left(mw: float, is_lost: bool) -> None:
    state = known((0, 5000), (1, mw))
    assert state.lost_since_ns == (T + MIN if is_lost else None)
    assert state.before_mw == (5000 if is_lost else 0.0)


def test_a_loss_keeps_its_beginning_and_what_was_before_it() -> None:
    state = known((0, 4000), (1, 5000), (2, 0), (5, 10))
    assert (state.lost_since_ns, state.before_mw, state.mw) == (T + 2 * MIN, 5000, 10)
    back = known((0, 5000), (1, 0), (2, 3000))
    assert (back.lost_since_ns, back.told) == (None, False)


def test_what_was_before_is_the_greatest_of_ten_minutes_and_one_word_before_them() -> None:
    assert [at_ns - T for at_ns, _ in known((0, 1), (1, 2), (11, 3)).history] == [MIN, 11 * MIN], (
        "as old as the window is the one before it"
    )
    assert [at_ns - T for at_ns, _ in known((0, 1), (1.001, 2), (11, 3)).history] == [0, round(1.001 * MIN), 11 * MIN]


def test_what_is_older_than_what_is_known_says_nothing_and_what_is_as_old_does() -> None:
    state = known((1, 5000))
    late = InfeedReported(ts_event_ns=T + 2 * MIN, infeed="DC", mw=0.0, quality=PointQuality.GOOD, ts_source_ns=T + MIN - 1)
    assert with_infeed(state, late, RULES) is state
    assert known((1, 5000), (1, 0)).lost_since_ns == T + MIN


LOST = InfeedState(history=((T, 0.0),), lost_since_ns=T, before_mw=5000.0)


def test_a_loss_is_certain_after_ten_seconds_and_judged_once() -> None:
    assert next_ns(LOST, RULES) == T + 10 * S
    assert next_ns(replace(LOST, told=True), RULES) is None
    assert next_ns(replace(LOST, lost_since_ns=None), RULES) is None
    assert lost("DC", LOST, T + 10 * S - 1, 100_000, RULES, never) == (LOST, None)
    state, found = lost("DC", LOST, T + 10 * S, 100_000, RULES, never)
    assert state.told
    assert found is not None
    assert (found.kind, found.level, found.met_at_ns, found.subject) == (Kind.INFEED, Level.HARD, T + 10 * S, "DC")
    assert found.text == ("infeed DC lost since 14:00: 5000 MW before, 0 MW now (5.0 % of the load of 100000 MW, limit 5 %)",)


@pytest.mark.parametrize(
    ("load_mw", "level"),
    [(100_000, Level.HARD), (100_001, Level.SOFT), (250_000, Level.SOFT), (250_001, None), (0, None), (-1, None), (1, Level.HARD)],
)
def test_an_infeed_counts_by_its_share_of_a_load_that_is_known(load_mw: float, level: Level | None) -> None:
    state, found = lost("DC", LOST, T + MIN, load_mw, RULES, never)
    assert (state.told, None if found is None else found.level) == (True, level)
    if found is not None:
        assert found.text[0].endswith("limit 5 %)" if level is Level.HARD else "limit 2 %)")


def test_a_limit_may_be_as_small_as_it_is() -> None:
    assert fallen("N", Limit(mw=0.0, used_mw=0.5), T, RULES)[1] is not None


def test_a_permit_covers_the_instant_an_infeed_was_lost() -> None:
    asked: list[tuple[str, int]] = []
    state, found = lost("DC", LOST, T + MIN, 100_000, RULES, lambda name, at_ns: not asked.append((name, at_ns)))
    assert (state.told, found, asked) == (True, None, [("DC", T)])


def test_a_limit_falls_against_what_the_last_clearing_used() -> None:
    fact = InterfaceLimitReported(ts_event_ns=T, interface="N", limit_mw=700.0)
    assert with_limit(None, fact) == Limit(mw=700.0, used_mw=700.0)
    limit = with_limit(Limit(mw=1000.0, used_mw=1000.0), fact)
    assert limit == Limit(mw=700.0, used_mw=1000.0)
    after, found = fallen("N", limit, T, RULES)
    assert found is not None
    assert (found.level, found.met_at_ns, after.told) == (Level.SOFT, T, True)
    assert found.text == ("limit of interface N fell from 1000 MW, as the last clearing used it, to 700 MW (30.0 %, limit 30 %)",)
    assert fallen("N", after, T + 1, RULES) == (after, None), "once"
    assert used(limit) == Limit(mw=700.0, used_mw=700.0)
    steady = Limit(mw=700.0, used_mw=700.0)
    assert used(steady) is steady


@pytest.mark.parametrize(
    "limit", [Limit(mw=700.1, used_mw=1000.0, told=True), Limit(mw=0.0, used_mw=0.0, told=True), Limit(mw=5.0, used_mw=-1.0, told=True)]
)
def test_a_smaller_fall_and_one_from_nothing_are_none(limit: Limit) -> None:
    assert fallen("N", limit, T, RULES) == (replace(limit, told=False), None)
    assert Limit(mw=1.0, used_mw=1.0).told is False
