"""Units, their offers, and the columns made of them."""

from __future__ import annotations

import numpy as np
import pytest

from market.errors import CaseError
from market.offers import OfferBook, Segment, with_offer
from tests.kit.grids import unit


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unit("G", "1", (10.0, 20.0), (10.0, 19.0)), "falls in segment 2"),
        (lambda: unit("G", "1", (0.0, 20.0)), "segment 1 has 0.0 MW"),
        (lambda: unit("G", "1", (10.0, float("nan"))), "segment 1"),
        (lambda: unit("G", "1", p_min_mw=5.0, p_max_mw=4.0), r"p_min 5.0 MW above p_max 4.0 MW"),
        (lambda: unit("G", "1", p_max_mw=float("inf")), "no number"),
        (lambda: unit("G", "1", (10.0, 1.0), ramp_mw_per_min=-1.0), "no number"),
        (lambda: unit("G", "1", quadratic=(1.0, -0.1), p_max_mw=10.0), r"curvature -0.1"),
        (lambda: unit("G", "1", (10.0, 1.0), quadratic=(1.0, 0.1)), "both segments and a quadratic"),
    ],
)
def test_an_impossible_unit_is_refused_by_name(make, message):
    with pytest.raises(CaseError, match=f"unit G: .*{message}"):
        make()


def test_an_offer_from_zero_is_cut_at_the_minimum():
    plant = with_offer(unit("G", "1", (60.0, 1.0), p_min_mw=40.0), [Segment(30.0, 10.0), Segment(30.0, 20.0), Segment(20.0, 30.0)])
    assert plant.cost_at_min_per_h == 30 * 10 + 10 * 20
    assert plant.segments == (Segment(20.0, 20.0), Segment(20.0, 30.0))
    assert plant.p_max_mw == 80.0  # of 100 MW only 80 are offered


def test_falling_prices_are_refused_unless_the_market_takes_segments_as_blocks():
    plant, falling = unit("G", "1", (60.0, 1.0), p_min_mw=40.0), [Segment(30.0, 20.0), Segment(30.0, 10.0), Segment(20.0, 30.0)]
    with pytest.raises(CaseError, match="unit G: the price falls in segment 2"):
        with_offer(plant, falling)
    in_order = with_offer(plant, [Segment(30.0, 10.0), Segment(30.0, 20.0), Segment(20.0, 30.0)])
    assert with_offer(plant, falling, monotone=False) == in_order


def test_blocks_at_no_price_are_refused_whatever_the_order():
    with pytest.raises(CaseError, match="at nan"):
        with_offer(unit("G", "1", (60.0, 1.0)), [Segment(5.0, 3.0), Segment(5.0, float("nan"))], monotone=False)


def test_an_offer_below_the_minimum_is_refused():
    with pytest.raises(CaseError, match=r"ends at 30.0 MW, below its p_min of 40.0 MW"):
        with_offer(unit("G", "1", (60.0, 1.0), p_min_mw=40.0), [Segment(30.0, 10.0)])


def test_the_book_is_in_the_order_of_ids_whatever_it_is_given():
    a, b = unit("a", "2", (10.0, 5.0), (5.0, 6.0), p_min_mw=2.0), unit("b", "1", quadratic=(3.0, 0.5), p_max_mw=20.0)
    index = {"1": 0, "2": 1}
    book = OfferBook([b, a], index)
    assert book.ids == ("a", "b")
    assert book.bus.tolist() == [1, 0]
    assert book.seg_from_mw.tolist() == [2.0, 12.0]
    assert book.p_max_mw.tolist() == [17.0, 20.0]
    assert OfferBook([a, b], index).digest == book.digest


def test_the_last_megawatt_on_paper():
    """a: 2 to 12 MW at 5, to 17 MW at 6; b: slope 3 + 2·0.5·p."""
    a, b = unit("a", "1", (10.0, 5.0), (5.0, 6.0), p_min_mw=2.0), unit("b", "1", quadratic=(3.0, 0.5), p_max_mw=20.0)
    book = OfferBook([a, b], {"1": 0})
    for output_mw, expected in (
        ((2.0, 0.0), (np.nan, np.nan)),
        ((2.0 + 1e-9, 1e-9), (np.nan, np.nan)),
        ((3.0, 10.0), (5.0, 13.0)),
        ((12.0, 20.0), (5.0, 23.0)),
        ((12.0 + 1e-9, 20.0), (5.0, 23.0)),
        ((12.1, 1.0), (6.0, 4.0)),
        ((17.0, 1.0), (6.0, 4.0)),
    ):
        np.testing.assert_allclose(book.last_mw_per_mwh(np.array(output_mw)), expected)


def test_the_last_megawatt_is_what_one_less_would_save():
    units = [unit(f"u{k}", "1", (10.0, 5.0 + k), (5.0, 9.0 + k), p_min_mw=2.0) for k in range(4)]
    book = OfferBook([*units, unit("q", "1", quadratic=(3.0, 0.5), p_max_mw=20.0)], {"1": 0})
    output_mw, on, step_mw = np.array([4.0, 12.0, 13.0, 17.0, 8.0]), np.ones(5, dtype=bool), 1e-4
    for k, price in enumerate(book.last_mw_per_mwh(output_mw)):
        less = output_mw - step_mw * (np.arange(5) == k)
        assert (book.cost_per_h(output_mw, on) - book.cost_per_h(less, on)) / step_mw == pytest.approx(price, rel=1e-3)


def test_cost_on_paper():
    a, b = unit("a", "1", (10.0, 5.0), (5.0, 6.0), p_min_mw=2.0), unit("b", "1", quadratic=(3.0, 0.5), p_max_mw=20.0)
    book = OfferBook([a, b], {"1": 0})
    both = np.array([True, True])
    assert book.cost_per_h(np.array([14.0, 10.0]), both) == pytest.approx(10 * 5 + 2 * 6 + 3 * 10 + 0.5 * 100)
    assert book.cost_per_h(np.array([14.0, 0.0]), np.array([True, False])) == pytest.approx(62.0)


def test_segments_between_two_outputs():
    book = OfferBook([unit("a", "1", (10.0, 5.0), (5.0, 6.0), p_min_mw=2.0)], {"1": 0})
    assert book.segments_between(np.array([4.0]), np.array([13.0])).tolist() == [8.0, 1.0]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ([unit("a", "1", (1.0, 1.0)), unit("a", "1", (1.0, 1.0))], "used twice: a"),
        ([unit("a", "9", (1.0, 1.0))], "a at 9"),
    ],
)
def test_a_book_that_contradicts_the_network_is_refused(units, message):
    with pytest.raises(CaseError, match=message):
        OfferBook(units, {"1": 0})
