"""How lost elements are counted: which row counts them, within which window, under which permit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from detectors.evidence import Kind, Level
from detectors.losses import Loss, counted_kind, enough, met, named, near, permitted, text, told, window_ns
from market.rules import GUANGDONG_2023 as RULES
from market.rules import rules_from
from market.topology import Element, Topology
from market.units import NS_PER_MIN, instant_ns

MIN = NS_PER_MIN
T = instant_ns("2026-06-10T14:00:00+08:00")
GRID = Topology.of({"E": Element(kv=500.0), "D": Element(kv=499.9), "S": Element(kv=220.0), "V": Element(kv=219.9)})


def loss(name: str, opened_min: float, confirmed_min: float | None = None, kind: Kind = Kind.TOP_VOLTAGE) -> Loss:
    confirmed = opened_min + 1 if confirmed_min is None else confirmed_min
    return Loss(element=name, opened_ns=T + int(opened_min * MIN), confirmed_ns=T + int(confirmed * MIN), kind=kind, by="x")


def every(_: Loss) -> bool:
    return True


@pytest.mark.parametrize(
    ("name", "kind"), [("E", Kind.TOP_VOLTAGE), ("D", Kind.SECOND_VOLTAGE), ("S", Kind.SECOND_VOLTAGE), ("V", None), ("X", None)]
)
def test_a_voltage_counts_from_its_limit_on(name: str, kind: Kind | None) -> None:
    assert counted_kind(name, RULES, GRID) is kind


def test_how_many_are_enough_stands_in_the_rules() -> None:
    rows = [(kind, level) for kind in (Kind.TOP_VOLTAGE, Kind.SECOND_VOLTAGE) for level in (Level.HARD, Level.SOFT)]
    assert [enough(kind, level, RULES) for kind, level in rows] == [3, 2, 6, 4]
    assert window_ns(RULES) == 15 * MIN
    assert Loss(element="E", opened_ns=1, confirmed_ns=1).told is False


@pytest.mark.parametrize(
    ("at_min", "covered"),
    [(69.999, False), (70, True), (100, True), (230, True), (230.001, False)],
)
def test_a_permit_covers_its_margin_too(at_min: float, covered: bool) -> None:
    permits = (("F", 0, 10**30), ("E", T + 100 * MIN, T + 200 * MIN))
    assert permitted(permits, "E", T + int(at_min * MIN), RULES) is covered
    assert not permitted((), "E", T, RULES)


def test_the_loss_that_makes_it_enough_is_the_one_whose_confirmation_met_it() -> None:
    losses = (loss("A", 0), loss("B", 3), loss("C", 15))
    assert met(losses, 3, RULES, every) is losses[2]
    assert met(losses, 4, RULES, every) is None
    assert met(losses, 3, RULES, lambda each: each.element != "B") is None
    assert met((*losses[:2], loss("C", 15.001)), 3, RULES, every) is None, "a moment beyond the window"
    late = (loss("B", 3), loss("C", 6), loss("A", 0, 9))
    assert met(late, 3, RULES, every) is late[2], "opened first, certain last"


def test_one_element_counts_once_however_often_it_opens() -> None:
    assert met((loss("A", 0), loss("A", 3), loss("B", 4)), 3, RULES, every) is None
    assert met((loss("A", 0), loss("B", 1), loss("A", 20), loss("C", 21)), 3, RULES, every) is None, "two of them in each window"
    assert met((loss("A", 0), loss("B", 10), loss("C", 20)), 3, RULES, every) is None, "twenty minutes lie between first and last"
    assert met((loss("A", 0), loss("C", 20), loss("B", 10, 30)), 3, RULES, every) is None, "though the one between them is certain last"


def test_what_belongs_with_a_loss_is_named_once_in_the_order_it_opened() -> None:
    losses = (loss("C", 2), loss("B", 2), loss("A", 0), loss("A", 5), loss("Z", 15), loss("Y", 15.001), loss("X", -15), loss("W", -15.001))
    found = near(losses, loss("Q", 0), RULES, every)
    assert [each.element for each in found] == ["X", "B", "C", "A", "Z"]
    assert near(losses, loss("Q", 0), RULES, lambda each: each.element == "B") == [losses[1]]


def test_what_soft_evidence_counted_is_marked_if_it_was_certain_by_then() -> None:
    losses = (loss("A", 0, 1), loss("B", 0, 2), loss("C", 0, 1), loss("D", 0, 1, Kind.SECOND_VOLTAGE))
    after = told(losses, Kind.TOP_VOLTAGE, ("A", "B", "D"), T + 1 * MIN)
    assert after == (replace(losses[0], told=True), *losses[1:])


def test_a_dozen_are_named_and_each_is_told_with_what_bears_it_out() -> None:
    names = [f"L{n:02d}" for n in range(13)]
    assert named(names[:12]) == ", ".join(names[:12])
    assert named(names) == f"{', '.join(names[:12])} …"
    lost = [replace(loss(name, n), by="tripped by protection") for n, name in enumerate(names)]
    told_ = text(Kind.SECOND_VOLTAGE, Level.SOFT, lost, rules_from({"topology_soft": {"hv_elements": 5}}))
    assert told_[0] == f"13 second-voltage elements lost within 12.0 min (limit 5 within 15 min): {named(names)}"
    assert told_[1] == "L00: OPEN since 14:00, tripped by protection"
    assert len(told_) == 13
