"""Was a whole top-voltage substation lost?

It is lost when every element at its top-voltage buses is certainly out of service, or when all those buses have been without voltage
for the debounce time. One of the elements must have been lost lately and unplanned; a station whose elements are all under permit, or
that was dark when it was first heard of, was not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from detectors.evidence import Certain, Kind, Level
from detectors.voltages import DeadBus
from market.rules import MarketRules
from market.topology import Topology
from market.units import NS_PER_S, clock_text

__all__ = ["lost_stations"]


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
        if not elements:
            continue
        told: list[tuple[int, str]] = []
        if all(name in out for name in elements) and any(unplanned(name) for name in elements):
            opened_ns = max(out[name][0] for name in elements)
            words = f"all {len(elements)} elements at its top-voltage buses are out since {clock_text(opened_ns, rules.zone)}"
            told.append((max(out[name][1] for name in elements), words))
        if all(bus in dead and not dead[bus].initial for bus in buses):
            dark_ns = max(dead[bus].since_ns for bus in buses)
            if not all(permitted(name, dark_ns) for name in elements):
                words = f"all {len(buses)} of its top-voltage buses are without voltage since {clock_text(dark_ns, rules.zone)}"
                told.append((dark_ns + rules.breaker_debounce_s * NS_PER_S, words))
        if told:
            met_ns, words = min(told)
            line = f"substation {station} lost: {words} (limit {rules.topology_hard.substations})"
            found.append(
                Certain(kind=Kind.SUBSTATION, level=Level.HARD, met_at_ns=met_ns, text=(line,), subject=station, elements=elements)
            )
    return tuple(found)
