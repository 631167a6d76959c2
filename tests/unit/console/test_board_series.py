"""What panels keep: a day in minutes by the aggregate that is asked for, changes of a state, the newest lines."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from console.board import series as module
from console.board.conditions import condition_of
from console.board.series import BUCKETS, Course, Newest, Rows, States
from market.units import NS_PER_MIN, NS_PER_S

T0 = 27_000_000 * NS_PER_MIN
MS = 1_000_000


@pytest.mark.parametrize(
    ("how", "expected"),
    [("last", 6.0), ("mean", 4.0), ("min", 1.0), ("max", 6.0), ("sum", 12.0), ("count", 3.0)],
)
def test_a_minute_is_summed_up_as_the_panel_asks(how: str, expected: float):
    course = Course(how)
    for second, value in ((0, 1.0), (20, 5.0), (59, 6.0)):
        course.add("a", T0 + second * NS_PER_S, value, 1)
    course.add("a", T0 + 60 * NS_PER_S, 9.0, 2)
    part = course.since(0)
    assert part is not None
    assert (part["start_s"], part["step_s"]) == (T0 // NS_PER_S, 60)
    assert part["values"] == [expected, 1.0 if how == "count" else 9.0]


def test_series_that_a_panel_does_not_tell_apart_are_one_number_as_in_the_database():
    course = Course("sum", over=10.0)
    for name in ("north", "south"):
        course.add(name, T0, 40.0, 1)
    assert (course.since(0) or {})["values"] == [8.0]


def test_a_line_that_comes_twice_counts_once():
    course = Course("sum")
    for _ in range(2):
        course.add("a", T0, 7.0, 1)
    assert (course.since(0) or {})["values"] == [7.0]


def test_a_delta_has_the_buckets_written_since_and_what_lies_between():
    course = Course("last")
    course.add("a", T0, 1.0, 1)
    assert course.since(1) is None
    course.add("a", T0 + 3 * NS_PER_MIN, 4.0, 2)
    part = course.since(1)
    assert part is not None
    assert (part["start_s"], part["values"]) == ((T0 + 3 * NS_PER_MIN) // NS_PER_S, [4.0])
    assert (course.since(0) or {})["values"] == [1.0, None, None, 4.0]


def test_a_late_value_goes_into_its_own_minute():
    course = Course("mean")
    course.add("a", T0, 1.0, 1)
    course.add("a", T0 + NS_PER_MIN, 9.0, 2)
    course.add("b", T0 + NS_PER_S, 3.0, 3)
    part = course.since(2)
    assert part is not None
    assert part["values"] == [2.0, 9.0]


def test_what_is_older_than_a_day_is_gone_and_changes_nothing():
    course = Course("last")
    course.add("a", T0, 1.0, 1)
    course.add("a", T0 + BUCKETS * NS_PER_MIN, 2.0, 2)
    course.add("b", T0, 5.0, 3)
    assert (course.since(0) or {})["values"] == [2.0]
    assert course.since(2) is None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_not_drawn(value: float):
    course = Course("mean")
    course.add("a", T0, value, 1)
    assert course.since(0) is None


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 8), st.floats(-100, 100)), min_size=1, max_size=40))
def test_buckets_are_what_they_are_whatever_the_order(samples: list[tuple[int, float]]):
    course = Course("max")
    for n, (minute, value) in enumerate(samples):
        course.add(f"s{n}", T0 + minute * NS_PER_MIN, value, n)
    part = course.since(-1)
    assert part is not None
    first = part["start_s"] // 60 - T0 // NS_PER_MIN
    for minute in range(9):
        held = [value for at, value in samples if at == minute]
        shown = part["values"][minute - first] if 0 <= minute - first < len(part["values"]) else None
        assert shown == (pytest.approx(max(held), rel=1e-5, abs=1e-9) if held else None)


def test_a_state_is_kept_as_its_changes():
    states = States()
    for minute, state in enumerate(("NORMAL", "NORMAL", "TRIPPED", "TRIPPED")):
        states.add(T0 + minute * NS_PER_MIN, state, minute)
    states.add(T0, "LATE", 9)
    assert states.since(-1) == {
        "changes": [[T0 // MS, "NORMAL"], [(T0 + 2 * NS_PER_MIN) // MS, "TRIPPED"]],
        "until_ms": (T0 + 3 * NS_PER_MIN) // MS,
    }
    assert states.since(2) == {"changes": [], "until_ms": (T0 + 3 * NS_PER_MIN) // MS}
    assert states.since(3) is None


def test_the_newest_lines_come_first_each_once(monkeypatch: pytest.MonkeyPatch):
    rows = Rows(("kind", "text"))
    for second in (5, 1, 9, 9):
        rows.add(T0 + second * NS_PER_S, {"kind": "k", "text": str(second), "hash": "…"}, second)
    part = rows.since(0)
    assert part is not None
    assert [row[2] for row in part["rows"]] == ["9", "5", "1"]
    assert part["rows"][0][:2] == [(T0 + 9 * NS_PER_S) // MS, "k"]
    assert rows.since(9) is None


def test_lines_beyond_the_most_that_are_kept_push_out_the_oldest():
    rows = Rows(("n",))
    for second in range(module._ROWS_MAX + 5):
        rows.add(T0 + second * NS_PER_S, {"n": second}, second)
    rows.add(T0, {"n": -1}, 999)
    part = rows.since(0)
    assert part is not None
    assert (len(part["rows"]), part["rows"][-1][1]) == (module._ROWS_MAX, 5)


def test_of_each_series_the_newest_line_counts_and_only_while_it_holds():
    newest = Newest(("closed", "branch"), condition_of('"closed" = 0'), 0)
    for second, branch, closed in ((1, "A", 0.0), (2, "B", 1.0), (3, "C", 0.0), (4, "A", 1.0), (2, "C", 1.0)):
        newest.add(branch, T0 + second * NS_PER_S, {"closed": closed, "branch": branch}, second)
    assert newest.since(0) == {"rows": [[(T0 + 3 * NS_PER_S) // MS, 0.0, "C"]], "until_ms": (T0 + 4 * NS_PER_S) // MS}
    assert newest.since(4) is None


def test_series_that_are_told_no_more_count_no_more():
    newest = Newest(("left_s",), condition_of(""), 120, "min", 60.0)
    newest.add("settled", T0, {"left_s": 60.0}, 1)
    newest.add("open", T0 + 121 * NS_PER_S, {"left_s": 600.0}, 2)
    assert newest.since(0) == {"last": [(T0 + 121 * NS_PER_S) // MS, 10.0]}


@pytest.mark.parametrize(("how", "expected"), [("min", 1.0), ("max", 5.0), ("sum", 9.0), ("mean", 3.0), ("count", 4.0)])
def test_one_number_over_the_newest_of_all_series(how: str, expected: float):
    newest = Newest(("v",), condition_of(""), 0, how)
    for n, value in enumerate((1.0, 3.0, 5.0, "text" if how == "count" else 99.0)):
        newest.add(f"s{n}", T0, {"v": value}, 1)
    if how != "count":
        newest.add("s3", T0 + 1, {"w": 0.0}, 2)
    assert (newest.since(0) or {})["last"][1] == expected


@pytest.mark.parametrize("late", [False, True])
def test_of_an_interval_that_was_cleared_again_only_the_last_version_counts(late: bool):
    """A later version stands one nanosecond later, for every bus; that holds hours later too, and the first one told again is not it."""
    course = Course("mean", newest=True)
    for bus, price in (("A", 100.0), ("B", 200.0)):
        course.add(bus, T0, price, 1)
    if late:
        course.add("A", T0 + 3 * NS_PER_MIN, 7.0, 2)
    for bus, price in (("A", 300.0), ("B", 500.0)):
        course.add(bus, T0 + 1, price, 3)
    course.add("C", T0, 999.0, 4)
    assert (course.since(0) or {})["values"][0] == 400.0


def test_the_last_value_of_a_minute_is_the_newest_one_in_whatever_order_they_come():
    course = Course("last")
    course.add("a", T0 + 9, 9.0, 1)
    course.add("b", T0 + 5, 5.0, 2)
    assert (course.since(0) or {})["values"] == [9.0]
