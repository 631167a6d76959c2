"""Stations stand where they belong, each on a cell of its own, and stay there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.diagram import DEMONSTRATION, drawn_again, read_diagram
from dashboards.gridplan import GridPlan
from dashboards.layout import Layout, crossings, laid_out, run_through
from tests.kit.gridplans import plan_of

LETTERS = "ABCDEFGHIJ"
LADDER = ("AB", "CD", "EF", "GH", "AC", "CE", "EG", "BD", "DF", "FH")

pairs = st.lists(st.permutations(LETTERS).map(lambda order: "".join(order[:2])), min_size=1, max_size=10)


@settings(max_examples=8, deadline=None)
@given(pairs)
def test_every_station_has_a_cell_of_its_own_within_the_grid(branches: list[str]) -> None:
    plan = plan_of(*branches)
    layout = laid_out(plan)
    assert set(layout.cells) == set(plan.stations)
    assert len(set(layout.cells.values())) == len(layout.cells)
    assert all(0 <= column < layout.columns and 0 <= row < layout.rows for column, row in layout.cells.values())


@settings(max_examples=5, deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_the_same_grid_is_laid_out_the_same_in_whatever_order_it_is_given(branches: list[str], shuffled: object) -> None:
    plan = plan_of(*branches)
    order = list(plan.branches)
    shuffled.shuffle(order)  # type: ignore[attr-defined]
    assert laid_out(replace(plan, branches=tuple(order), buses=plan.buses[::-1])) == laid_out(plan)


@settings(max_examples=8, deadline=None)
@given(pairs, pairs)
def test_stations_stay_whatever_else_changes(before: list[str], after: list[str]) -> None:
    first = laid_out(plan_of(*before))
    again = laid_out(plan_of(*after), first)
    assert {name: cell for name, cell in first.cells.items() if name in again.cells} == {
        name: again.cells[name] for name in first.cells if name in again.cells
    }
    assert len(set(again.cells.values())) == len(again.cells)


def test_a_new_station_stands_beside_what_it_is_joined_to() -> None:
    first = laid_out(plan_of("AB", "BC", "CD", "DE"))
    again = laid_out(plan_of("AB", "BC", "CD", "DE", "EF"), first)
    (column, row), (new_column, new_row) = again.cells["E"], again.cells["F"]
    assert max(abs(column - new_column), abs(row - new_row)) == 1


def test_a_full_grid_grows_and_nobody_moves() -> None:
    full = Layout(columns=2, rows=1, cells={"A": (0, 0), "B": (1, 0)})
    again = laid_out(plan_of("AB", "BC", "CD"), full)
    assert (again.cells["A"], again.cells["B"]) == ((0, 0), (1, 0))
    assert again.columns * again.rows >= 4


def test_the_map_is_kept_where_there_is_one() -> None:
    at = {"A": (0.0, 0.0), "B": (10.0, 0.0), "C": (0.0, 10.0), "D": (10.0, 10.0), "E": (5.0, 5.0)}
    cells = laid_out(plan_of("AE", "BE", "CE", "DE", at=at)).cells
    assert cells["A"][0] < cells["E"][0] < cells["B"][0]
    assert cells["C"][1] < cells["E"][1] < cells["A"][1], "north is at the top"


@pytest.mark.parametrize(
    "branches",
    [("AB", "BC", "CD", "DE", "EF"), ("AB", "BC", "CD", "DE", "EF", "FA"), ("AB", "AC", "AD", "AE", "AF", "AG"), LADDER],
    ids=["chain", "ring", "star", "ladder"],
)
def test_lines_that_need_not_cross_do_not(branches: tuple[str, ...]) -> None:
    plan = plan_of(*branches)
    layout = laid_out(plan)
    assert (crossings(plan, layout), run_through(plan, layout)) == (0, 0)


def test_islands_and_lone_stations_are_laid_out_too() -> None:
    plan = plan_of("AB", "CD", alone="EF")
    assert len(set(laid_out(plan).cells.values())) == 6
    assert len(laid_out(plan_of(alone="A")).cells) == 1


def test_what_crosses_is_counted() -> None:
    square = Layout(columns=2, rows=2, cells={"A": (0, 0), "B": (1, 0), "C": (1, 1), "D": (0, 1)})
    assert crossings(plan_of("AC", "BD"), square) == 1
    assert crossings(plan_of("AB", "CD"), square) == 0
    row = Layout(columns=3, rows=1, cells={"A": (0, 0), "B": (1, 0), "C": (2, 0)})
    assert run_through(plan_of("AC", "AB"), row) == 1


def test_the_demonstration_grid_has_few_crossings_and_no_line_through_a_station() -> None:
    diagram = read_diagram(DEMONSTRATION)
    assert run_through(diagram.plan, diagram.layout) == 0
    assert crossings(diagram.plan, diagram.layout) <= 7
    assert drawn_again(diagram.plan, diagram) == diagram, "a second build changes nothing"


def test_a_grid_too_large_for_one_canvas_keeps_its_highest_voltages() -> None:
    low = plan_of("AB", "BC", "CD", "DE")
    buses = tuple(replace(bus, kv=500.0) if bus.name in "AE" else bus for bus in low.buses)
    plan = GridPlan(name="mixed", buses=buses, branches=low.branches)
    diagram = drawn_again(plan, most=3)
    # Of the four of 110 kV, B, C and D have two branches each; the first by name stays.
    assert (set(diagram.plan.stations), diagram.left_out) == ({"A", "E", "B"}, 2)
    assert [branch.name for branch in diagram.plan.branches] == ["AB0"]
