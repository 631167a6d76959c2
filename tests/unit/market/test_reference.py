"""The thirty-day mean of Art. 27(3): what counts, what does not, and how far back is looked."""

from __future__ import annotations

from datetime import date, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from market.reference import LeftOut, ReferenceBook, entry_at, mean_at, midnight_after_ns, noted, period_of, profile, trimmed, with_day
from market.rules import MarketRules, rules_from
from market.units import instant_ns

RULES = rules_from({})
FIRST = date(2026, 5, 11)
BROKEN = "2026-06-10"
"""First day of the interruption: the window is 2026-05-11 to 2026-06-09."""


def day(number: int) -> str:
    """Name a day of the window, from 0."""
    return (FIRST + timedelta(days=number)).isoformat()


def book_of(prices: list[int | LeftOut | None], period: int = 12, rules: MarketRules = RULES) -> ReferenceBook:
    """Remember one settlement period of consecutive days; None is a day of which nothing was heard."""
    book = ReferenceBook()
    for number, entry in enumerate(prices):
        if entry is not None:
            book = noted(book, day(number), period, entry, rules)
    return book


def test_the_mean_of_both_markets_out() -> None:
    """GD-27-3: 26 running days, one of them under Art. 27(1) in hour 11."""
    book = ReferenceBook()
    for number in [*range(13), *range(17, 30)]:
        running = number if number < 13 else number - 4
        at_11: int | LeftOut = LeftOut.ART27_1 if number == 9 else 42_750 if running < 5 else 40_000
        book = noted(book, day(number), 11, at_11, RULES)
        book = noted(book, day(number), 12, 38_000 if running % 2 else 40_000, RULES)
    eleven, twelve = mean_at(book, BROKEN, 11, RULES), mean_at(book, BROKEN, 12, RULES)
    assert (eleven.cny_per_mwh, eleven.sample) == (405.5, 25)
    assert (twelve.cny_per_mwh, twelve.sample) == (390.0, 26)
    said = profile(book, "2026-06-14", BROKEN, RULES)
    assert (said.day, said.window) == ("2026-06-14", ("2026-05-11", "2026-06-09"))
    assert said.price_cny_per_mwh[11:13] == (405.5, 390.0)
    assert said.sample[11:13] == (25, 26)
    assert "2026-05-20 11:00–12:00: Art. 27(1)" in said.left_out
    assert "2026-05-24..2026-05-27: no result" in said.left_out, "the days on which the market did not run"


@pytest.mark.parametrize(("values", "price"), [(6, None), (7, 400.0)])
def test_fewer_values_than_a_sample_needs_are_no_price(values: int, price: float | None) -> None:
    mean = mean_at(book_of([None] * (30 - values) + [40_000] * values), BROKEN, 12, RULES)
    assert (mean.cny_per_mwh, mean.sample) == (price, values)


def test_the_window_is_the_thirty_days_before_and_not_the_first_day_itself() -> None:
    book = book_of([90_000, *[40_000] * 30, 80_000])
    mean = mean_at(book, day(31), 12, RULES)
    assert (mean.cny_per_mwh, mean.sample) == (400.0, 30)
    later = mean_at(book, day(32), 12, RULES)
    assert later.cny_per_mwh == round((29 * 400 + 800) / 30, 2)
    assert mean_at(book, day(30), 12, RULES).cny_per_mwh == round((29 * 400 + 900) / 30, 2)


def test_halves_of_a_fen_are_rounded_up() -> None:
    assert mean_at(book_of([40_000, 40_001] * 4), BROKEN, 12, RULES).cny_per_mwh == 400.01


def test_nothing_known_is_no_price_and_no_error() -> None:
    said = profile(ReferenceBook(), BROKEN, BROKEN, RULES)
    assert set(said.price_cny_per_mwh) == {None}
    assert set(said.sample) == {0}
    assert said.left_out == ("2026-05-11..2026-06-09: no result",)
    assert len(said.price_cny_per_mwh) == 24


def test_one_interval_that_does_not_count_leaves_its_period_out() -> None:
    book = noted(ReferenceBook(), BROKEN, 3, 40_000, RULES)
    book = noted(book, BROKEN, 3, LeftOut.ART27_1, RULES)
    assert entry_at(book, BROKEN, 3) is LeftOut.ART27_1
    assert entry_at(noted(book, BROKEN, 3, 40_000, RULES), BROKEN, 3) is LeftOut.ART27_1
    assert entry_at(noted(book, BROKEN, 3, LeftOut.ART27_3, RULES), BROKEN, 3) is LeftOut.ART27_1
    assert entry_at(book, BROKEN, 2) is LeftOut.NO_RESULT
    assert entry_at(book, day(0), 3) is LeftOut.NO_RESULT


def test_a_result_told_late_fills_only_what_had_none() -> None:
    book = noted(noted(ReferenceBook(), BROKEN, 0, 30_000, RULES), BROKEN, 1, LeftOut.ART27_1, RULES)
    late = with_day(book, BROKEN, [50_000] * 24, RULES)
    assert [entry_at(late, BROKEN, period) for period in range(3)] == [30_000, LeftOut.ART27_1, 50_000]
    anew = with_day(late, BROKEN, [60_000] * 24, RULES, anew=True)
    assert [entry_at(anew, BROKEN, period) for period in range(3)] == [60_000, LeftOut.ART27_1, 60_000], "Art. 22"


def test_results_of_days_before_this_service_looked_are_taken() -> None:
    book = noted(ReferenceBook(), BROKEN, 0, 30_000, RULES)
    for number in reversed(range(30)):
        book = with_day(book, day(number), [40_000] * 24, RULES)
    assert book.first_day == day(0)
    assert mean_at(book, BROKEN, 5, RULES).sample == 30


@pytest.mark.parametrize(("back", "taken"), [(59, True), (60, False)])
def test_no_more_than_two_windows_are_kept(back: int, taken: bool) -> None:
    book = noted(ReferenceBook(), BROKEN, 0, 30_000, RULES)
    old = (date.fromisoformat(BROKEN) - timedelta(days=back)).isoformat()
    assert (with_day(book, old, [40_000] * 24, RULES).first_day == old) is taken


def test_what_no_window_reaches_is_forgotten() -> None:
    book = book_of([40_000 + number for number in range(80)])
    kept = trimmed(book, day(75), RULES)
    assert kept.first_day == day(15)
    assert len(kept.packed) == 65 * 24 * 4
    assert [entry_at(kept, day(number), 12) for number in (14, 15, 79)] == [LeftOut.NO_RESULT, 40_015, 40_079]
    assert trimmed(kept, day(75), RULES) == kept
    assert trimmed(book, day(60), RULES) == book, "sixty days before it"
    assert trimmed(ReferenceBook(), day(75), RULES) == ReferenceBook()


def test_a_longer_window_helps_only_where_the_sample_is_short_and_only_its_interruption() -> None:
    book = book_of([10_000] * 4 + [None] * 26 + [20_000] * 4)
    book = with_day(book, day(34), [], RULES)
    for number in range(27, 34):
        book = noted(book, day(number), 5, 30_000, RULES)
    book = noted(book, day(0), 5, 90_000, RULES)
    broken = day(34)
    assert mean_at(book, broken, 12, RULES).cny_per_mwh is None
    longer = replace(book, extended=(broken, 34))
    assert mean_at(longer, broken, 12, RULES).cny_per_mwh == 150.0
    assert mean_at(longer, broken, 5, RULES).cny_per_mwh == 300.0, "its sample was sufficient"
    assert mean_at(longer, day(33), 12, RULES).cny_per_mwh is None
    assert mean_at(replace(book, extended=(broken, 32)), broken, 12, RULES).sample == 6
    assert profile(longer, broken, broken, RULES).window == (day(0), day(33))


def test_settlement_periods_of_another_length_begin_anew() -> None:
    book = book_of([40_000] * 30)
    halves = rules_from({"reference": {"period_min": 30}})
    book = noted(book, BROKEN, 47, 50_000, halves)
    assert (entry_at(book, BROKEN, 47), entry_at(book, day(0), 12)) == (50_000, LeftOut.NO_RESULT)
    assert len(profile(book, BROKEN, BROKEN, halves).sample) == 48


def test_a_negative_price_and_a_high_one_come_back_as_they_were() -> None:
    book = book_of([-8_000, 150_000])
    assert [entry_at(book, day(number), 12) for number in (0, 1)] == [-8_000, 150_000]


@pytest.mark.parametrize(
    ("clock", "period"), [("2026-06-10T00:00:00+08:00", 0), ("2026-06-10T11:59:59.999+08:00", 11), ("2026-06-10T12:00:00+08:00", 12)]
)
def test_the_settlement_period_of_an_instant(clock: str, period: int) -> None:
    assert period_of(instant_ns(clock), RULES) == ("2026-06-10", period)


def test_the_hour_that_a_change_of_clocks_adds_is_the_last_of_its_day() -> None:
    berlin = rules_from({"zone": "Europe/Berlin"})
    assert period_of(instant_ns("2026-10-25T23:30:00+01:00"), berlin) == ("2026-10-25", 23)


@pytest.mark.parametrize("clock", ["2026-06-10T00:00:00+08:00", "2026-06-10T23:59:59.999+08:00"])
def test_the_next_midnight_is_after_the_instant(clock: str) -> None:
    assert midnight_after_ns(instant_ns(clock), RULES) == instant_ns("2026-06-11T00:00:00+08:00")


def test_a_gap_and_days_of_different_reasons_are_told_apart() -> None:
    book = ReferenceBook()
    for period in range(24):
        book = noted(book, "2026-06-08", period, LeftOut.ART27_1, RULES)
        book = noted(book, "2026-06-09", period, LeftOut.GAP if period in (3, 4) else 40_000, RULES)
    assert profile(book, BROKEN, BROKEN, RULES).left_out == (
        "2026-05-11..2026-06-07: no result",
        "2026-06-08: Art. 27(1)",
        "2026-06-09 03:00–05:00: gap",
    )


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 23), st.integers(-50_000, 150_000) | st.sampled_from(LeftOut)), max_size=60),
    st.integers(0, 45),
)
def test_a_mean_uses_market_values_of_its_window_and_none_else(entries: list[tuple[int, int, int | LeftOut]], broken: int) -> None:
    """I15, against a model that keeps everything in a dictionary."""
    book, model = ReferenceBook(), dict[tuple[int, int], list[int | LeftOut]]()
    for number, period, entry in sorted(entries, key=lambda one: one[:2]):
        book = noted(book, day(number), period, entry, RULES)
        model.setdefault((number, period), []).append(entry)
    book = msgspec.json.decode(msgspec.json.encode(book), type=ReferenceBook)
    for period in {period for _, period, _ in entries}:
        counted = list[int]()
        for number in range(broken - 30, broken):
            heard = [entry for entry in model.get((number, period), []) if entry is not LeftOut.NO_RESULT]
            if heard and not any(isinstance(entry, LeftOut) for entry in heard):
                counted += [entry for entry in heard[-1:] if isinstance(entry, int)]
        mean = mean_at(book, day(broken), period, RULES)
        assert mean.sample == len(counted)
        if mean.cny_per_mwh is not None:
            assert abs(mean.cny_per_mwh - sum(counted) / len(counted) / 100) <= 0.005 + 1e-9


def test_what_says_nothing_new_leaves_the_book_as_it_is() -> None:
    book = book_of([40_000, 41_000, 42_000])
    for number, fen in enumerate((40_000, 41_000, 42_000)):
        assert noted(book, day(number), 12, fen, RULES) is book
        assert noted(book, day(number), 12, LeftOut.NO_RESULT, RULES) is book, "an interval without a price takes none from its period"
    assert entry_at(book, day(0), 12) == 40_000


def test_a_day_too_old_to_count_is_not_written_anywhere() -> None:
    book = book_of([40_000])
    old = (FIRST - timedelta(days=60)).isoformat()
    assert with_day(book, old, [1] * 24, RULES) is book


def test_days_are_forgotten_from_the_first_one_that_no_window_reaches() -> None:
    book = book_of([40_000] * 3)
    assert trimmed(ReferenceBook(), BROKEN, RULES) == ReferenceBook()
    edge = (FIRST + timedelta(days=60)).isoformat()
    assert trimmed(book, edge, RULES) is book
    after = trimmed(book, (FIRST + timedelta(days=61)).isoformat(), RULES)
    assert (after.first_day, len(after.packed)) == (day(1), 2 * 24 * 4)


def test_a_row_that_says_nothing_is_kept_as_it_always_was_and_so_are_its_reasons() -> None:
    """The bytes are those of every state that was ever kept."""
    book = noted(ReferenceBook(), day(0), 1, LeftOut.ART27_1, RULES)
    assert book.packed.hex(" ", 4).split()[:3] == ["80000000", "80000001", "80000000"]
    for reason in LeftOut:
        assert entry_at(noted(ReferenceBook(), day(0), 5, reason, RULES), day(0), 5) is reason


def test_a_profile_has_each_settlement_period_of_the_day() -> None:
    rules = rules_from({"reference": {"period_min": 15}})
    assert len(profile(ReferenceBook(), BROKEN, BROKEN, rules).price_cny_per_mwh) == 96
    assert mean_at(ReferenceBook(), BROKEN, 12, RULES).sample == 0


def test_a_book_begins_with_nothing_known_and_nothing_to_tell() -> None:
    assert msgspec.to_builtins(ReferenceBook()) == {
        "first_day": "",
        "period_min": 0,
        "packed": "",
        "part": (),
        "part_start_ns": 0,
        "due_ns": None,
        "extended": None,
        "short": "",
        "told": "",
        "looks_further": False,
    }
