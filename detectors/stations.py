"""Was a whole top-voltage substation lost?

It is lost when every element at its top-voltage buses is certainly out of service, or when all those buses have been without voltage
for the debounce time. One of the elements must have been lost lately and unplanned; a station whose elements are all under permit, or
that was dark when it was first heard of, was not lost. A station that hangs on a single element is lost with it as an element, which is
what a grid is built to bear, and not as a station.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from detectors.evidence import Certain, Kind, Level
from detectors.voltages import DeadBus
from market.rules import MarketRules
from market.topology import Topology
from market.units import NS_PER_S, clock_text

__all__ = ["lost_stations"]

_ELEMENTS_LEAST: Final = 2


def lost_stations(
    candidates: Collection[str],
    grid: Topology,
    out: Mapping[str, tuple[int, int]],
    dead: Mapping[str, DeadBus],
    unplanned: Callable[[str], bool],
    permitted: Callable[[str, int], bool],
    rules: MarketRules,
) -> tuple[Certain, ...]:
    """Return the evidence of every candidate that is lost, by name of the station.

    Args:
        candidates: stations to look at.
        out: elements that are certainly out of service → when they opened, and from when on that was certain.
        dead: buses without voltage.
        unplanned: whether an element that is out was lost lately, while somebody watched, and no permit covers it.
        permitted: whether a permit covers an element at an instant.
    """
    found: list[Certain] = []
    for station in sorted(candidates):
        buses, elements = grid.backbone(station, rules.top_voltage_kv)
        if len(elements) < _ELEMENTS_LEAST:
            continue
        told: list[Certain] = []
        if all(name in out for name in elements) and (faults := [(name, out[name][0]) for name in elements if unplanned(name)]):
            opened_ns = max(out[name][0] for name in elements)
            words = f"all {len(elements)} elements at its top-voltage buses are out since {clock_text(opened_ns, rules.zone)}"
            told.append(_lost(station, elements, max(out[name][1] for name in elements), words, faults, (), rules))
        if all(bus in dead and not dead[bus].initial for bus in buses):
            dark_ns = max(dead[bus].since_ns for bus in buses)
            if faults := [(name, dark_ns) for name in elements if not permitted(name, dark_ns)]:
                words = f"all {len(buses)} of its top-voltage buses are without voltage since {clock_text(dark_ns, rules.zone)}"
                told.append(_lost(station, elements, dark_ns + rules.breaker_debounce_s * NS_PER_S, words, faults, buses, rules))
        if told:
            found.append(min(told, key=lambda each: each.met_at_ns))
    return tuple(found)


def _lost(
    station: str,
    elements: tuple[str, ...],
    met_ns: int,
    words: str,
    faults: list[tuple[str, int]],
    buses: tuple[str, ...],
    rules: MarketRules,
) -> Certain:
    return Certain(
        kind=Kind.SUBSTATION,
        level=Level.HARD,
        met_at_ns=met_ns,
        text=(f"substation {station} lost: {words} (limit {rules.topology_hard.substations})",),
        subject=station,
        elements=elements,
        unplanned=tuple(faults),
        buses=buses,
    )
