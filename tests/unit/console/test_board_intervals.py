"""What became of each interval: later knowledge replaces earlier, repeats change nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from console.board.intervals import IntervalBook
from market.facts import Segment
from market.outcomes import Certificate, Cleared, ClearingFailed, FailureReason, OutcomeStatus, Violation
from market.prices import PriceInForce, Regime
from market.units import NS_PER_DAY, NS_PER_S, instant_ns

T10 = instant_ns("2020-07-10T10:00:00+08:00")

FAILED = ClearingFailed(
    interval_start_ns=T10, completed_at_ns=T10 - 9 * NS_PER_S, reason=FailureReason.SOLVER_TIMEOUT, detail="50000 iterations"
)
CLEARED = Cleared(
    interval_start_ns=T10,
    completed_at_ns=T10 - 5 * NS_PER_S,
    status=OutcomeStatus.OK_VIOLATION,
    objective_per_h=1.0,
    penalty_per_h=0.0,
    dispatch_mw={},
    lmp_per_mwh={},
    energy_per_mwh=388.0,
    congestion_per_mwh={},
    flow_mw={},
    uniform_price_per_mwh=388.004,
    certificate=Certificate(passed=True, residuals={}),
    violations=(Violation(kind="line", id="AB1", mw=12.44),),
)
PRICE = PriceInForce(
    ts_event_ns=T10, segment=Segment.RT, interval_start_ns=T10, regime=Regime.GAP, price_cny_per_mwh=380.0, rev=0,
    source="last_valid:09:45", provisional=True, rule_set="gd-2023-draft/r1",
)  # fmt: skip


def book() -> IntervalBook:
    return IntervalBook(span_ns=NS_PER_DAY)


def only(one: IntervalBook) -> dict[str, Any]:
    (cell,) = one.since(-1)
    return cell


def test_a_failure_says_why():
    one = book()
    assert one.failed(FAILED, version=1)
    cell = only(one)
    assert (cell["start_ms"], cell["outcome"], cell["reason"], cell["detail"]) == (
        T10 // 1_000_000,
        "FAILED",
        "SOLVER_TIMEOUT",
        "50000 iterations",
    )
    assert cell["cleared_price"] is None


def test_a_later_run_replaces_an_earlier_one_and_not_the_other_way_round():
    one = book()
    one.failed(FAILED, version=1)
    assert one.cleared(CLEARED, version=2)
    assert not one.failed(FAILED, version=3)
    cell = only(one)
    assert (cell["outcome"], cell["reason"], cell["detail"], cell["cleared_price"]) == ("OK_VIOLATION", "", "line AB1 12.4 MW", 388.0)


def test_repeats_are_not_sent_again():
    one = book()
    one.cleared(CLEARED, version=1)
    one.priced(PRICE, version=2)
    one.anomaly(T10, "MISSED", "silence", version=3)
    assert not one.cleared(CLEARED, version=4)
    assert not one.priced(PRICE, version=5)
    assert not one.anomaly(T10, "MISSED", "silence", version=6)
    assert one.since(3) == []


def test_the_highest_revision_of_a_price_counts():
    one = book()
    one.priced(replace(PRICE, rev=1, regime=Regime.ART27_2, price_cny_per_mwh=421.0), version=1)
    assert not one.priced(PRICE, version=2)
    cell = only(one)
    assert (cell["regime"], cell["price"], cell["rev"]) == ("ART27_2", 421.0, 1)


def test_a_rule_without_a_price_shows_none_and_never_zero():
    one = book()
    one.priced(replace(PRICE, regime=Regime.ART27_3, price_cny_per_mwh=None), version=1)
    assert only(one)["price"] is None


def test_day_ahead_prices_are_not_shown_among_the_real_time_intervals():
    one = book()
    assert not one.priced(replace(PRICE, segment=Segment.DA), version=1)
    assert one.since(-1) == []


def test_a_day_is_kept():
    one = book()
    one.priced(PRICE, version=1)
    one.priced(replace(PRICE, interval_start_ns=T10 + NS_PER_DAY), version=2)
    assert [cell["start_ms"] for cell in one.since(-1)] == [(T10 + NS_PER_DAY) // 1_000_000]
    assert not one.priced(PRICE, version=3), "older than the book"
