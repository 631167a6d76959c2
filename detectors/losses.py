"""How many elements were lost within the window, and by which loss was that enough?

A loss is certain at its confirmation, an instant that follows from source times alone (:func:`detectors.elements.confirmed_ns`). The
condition is met at the confirmation that makes the last element needed; the elements are different ones, and all opened within the
window. Planned outages and positions that the state estimate contradicts are no losses, whenever that becomes known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from detectors.evidence import Kind, Level
from market.rules import MarketRules
from market.topology import Topology
from market.units import NS_PER_MIN, clock_text

__all__ = ["COUNTED", "Loss", "Permit", "counted_kind", "enough", "met", "named", "near", "permitted", "text", "told", "window_ns"]

Permit = tuple[str, int, int]
"""Element, from, to: a planned outage."""

COUNTED: Final = (Kind.TOP_VOLTAGE, Kind.SECOND_VOLTAGE)
"""Kinds of evidence that count elements."""

_WORDS: Final = {Kind.TOP_VOLTAGE: "top-voltage", Kind.SECOND_VOLTAGE: "second-voltage"}
_NAMED_MAX: Final = 12
"""Most elements that a notice or a piece of evidence names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """An element that is lost: opened at ``opened_ns``, certain at ``confirmed_ns``; ``by`` says what bears its position out.

    Attributes:
        kind: the row of the table that counts it; None where none does, and it only holds the grid together.
        told: whether soft evidence has counted it.
        noted: whether it was noted as planned.
    """

    element: str
    opened_ns: int
    confirmed_ns: int
    kind: Kind | None = None
    by: str = ""
    told: bool = False
    noted: bool = False


def counted_kind(name: str, rules: MarketRules, grid: Topology) -> Kind | None:
    """Return the row of the table that counts an element, or None for the lower voltages and the unknown."""
    element = grid.elements.get(name)
    if element is None or element.kv < min(rules.top_voltage_kv, rules.second_voltage_kv):
        return None
    return Kind.TOP_VOLTAGE if element.kv >= rules.top_voltage_kv else Kind.SECOND_VOLTAGE


def window_ns(rules: MarketRules) -> int:
    """Return the window in which elements count together, ns."""
    return rules.topology_hard.ehv_window_min * NS_PER_MIN


def enough(kind: Kind, level: Level, rules: MarketRules) -> int:
    """Return how many elements make evidence of a level."""
    each = rules.topology_hard if level is Level.HARD else rules.topology_soft
    return each.ehv_elements if kind is Kind.TOP_VOLTAGE else each.hv_elements


def permitted(permits: tuple[Permit, ...], name: str, at_ns: int, rules: MarketRules) -> bool:
    """Return whether a permit covers an element, or an infeed, at an instant."""
    margin_ns = rules.permit_margin_min * NS_PER_MIN
    return any(element == name and from_ns - margin_ns <= at_ns <= to_ns + margin_ns for element, from_ns, to_ns in permits)


def met(losses: tuple[Loss, ...], number: int, rules: MarketRules, counts: Callable[[Loss], bool]) -> Loss | None:
    """Return the loss whose confirmation met the condition, or None.

    Args:
        losses: by confirmation.
        number: of different elements that is enough.
        counts: whether a loss counts at all.
    """
    within_ns = window_ns(rules)
    counted = [loss for loss in losses if counts(loss)]
    if len({loss.element for loss in counted}) < number:
        return None
    certain: list[Loss] = []
    for loss in counted:
        certain.append(loss)
        around = [other for other in certain if abs(other.opened_ns - loss.opened_ns) <= within_ns]
        for first in around:
            within = {other.element for other in around if 0 <= other.opened_ns - first.opened_ns <= within_ns}
            if first.opened_ns <= loss.opened_ns and len(within) >= number:
                return loss
    return None


def near(losses: tuple[Loss, ...], loss: Loss, rules: MarketRules, counts: Callable[[Loss], bool]) -> list[Loss]:
    """Return the losses that belong with one, each element once, in the order they opened."""
    within = [each for each in losses if abs(each.opened_ns - loss.opened_ns) <= window_ns(rules) and counts(each)]
    return sorted({each.element: each for each in within}.values(), key=lambda each: (each.opened_ns, each.element))


def told(losses: tuple[Loss, ...], kind: Kind, elements: Sequence[str], until_ns: int) -> tuple[Loss, ...]:
    """Mark the losses of elements that soft evidence has counted, those certain by ``until_ns``."""
    return tuple(
        replace(loss, told=True) if loss.kind is kind and loss.element in elements and loss.confirmed_ns <= until_ns else loss
        for loss in losses
    )


def named(elements: Sequence[str]) -> str:
    """Name elements, not more than a reader takes in."""
    return ", ".join(elements[:_NAMED_MAX]) + " …" * (len(elements) > _NAMED_MAX)


def text(kind: Kind, level: Level, lost: list[Loss], rules: MarketRules) -> list[str]:
    """Put counted losses into words: how many in how long, and each of them."""
    minutes = (lost[-1].opened_ns - lost[0].opened_ns) / NS_PER_MIN
    limit = f"limit {enough(kind, level, rules)} within {rules.topology_hard.ehv_window_min} min"
    lines = [f"{len(lost)} {_WORDS[kind]} elements lost within {minutes:.1f} min ({limit}): {named([loss.element for loss in lost])}"]
    return lines + [f"{loss.element}: OPEN since {clock_text(loss.opened_ns, rules.zone)}, {loss.by}" for loss in lost[:_NAMED_MAX]]
