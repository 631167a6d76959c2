"""Has the grid fallen apart, how much of the load is cut off, and since when?

The largest part by load is the grid; every other part in which a unit or an infeed can hold the voltage up, and not all of whose
buses of that kind are dead, is an energised island. A part that nothing holds up is a loss of load, and is found as one. An island that
only permits and openings from before anybody watched have made is planned. Shares are those of the load metered when it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from detectors.evidence import Certain, Kind, Level
from market.rules import MarketRules
from market.topology import Part, Topology
from market.units import NS_PER_S, clock_text

__all__ = ["Island", "IslandWatch", "judged", "matured", "next_ns"]

_NAMED_MAX: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Island:
    """An energised part that is not the grid.

    Attributes:
        name: its first bus.
        cut: elements that are out and led to it, sorted.
        share_pct: of the whole load, %.
        formed_ns: when the last of them opened; certain_ns: from when on that was certain.
        unplanned: those of them that no permit covered, and when they opened.
    """

    name: str
    n_buses: int
    cut: tuple[str, ...]
    share_pct: float
    formed_ns: int
    certain_ns: int
    unplanned: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IslandWatch:
    """What is remembered of the parts.

    Attributes:
        out, dead: elements out of service and dead buses at the last judgement; no other one is due while they are the same, and no
            island was joined and cut off again in between.
        islands: by the instant they formed.
        told: levels at which the present islands were found certain.
    """

    out: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    islands: tuple[Island, ...] = ()
    told: tuple[Level, ...] = ()


def judged(
    watch: IslandWatch,
    grid: Topology,
    out: Mapping[str, tuple[int, int]],
    dead: frozenset[str],
    loads_mw: Mapping[str, float],
    unplanned: Callable[[str], bool],
    rules: MarketRules,
) -> IslandWatch:
    """Look at the parts again, if anything has changed.

    Args:
        out: elements that are certainly out of service → when they opened, and from when on that was certain.
        dead: buses without voltage.
        loads_mw: load by area.
        unplanned: whether an element that is out was lost while somebody watched, and no permit covers it.
    """
    names, dark = tuple(sorted(out)), tuple(sorted(dead))
    if names == watch.out and dark == watch.dead and all(_formed_ns(island.cut, out) == island.formed_ns for island in watch.islands):
        return watch
    known = {(island.name, island.cut, island.formed_ns): island for island in watch.islands}
    islands: list[Island] = []
    for part, share_pct in _smaller(grid.parts(frozenset(names)), loads_mw):
        faults = tuple((name, out[name][0]) for name in part.cut if unplanned(name))
        if not faults or all(bus in dead for bus in part.sources):
            continue
        fresh = Island(
            name=part.name,
            n_buses=part.n_buses,
            cut=part.cut,
            share_pct=share_pct,
            formed_ns=_formed_ns(part.cut, out),
            certain_ns=max(out[name][1] for name in part.cut),
            unplanned=faults,
        )
        islands.append(known.get((fresh.name, fresh.cut, fresh.formed_ns), fresh))
    islands.sort(key=lambda island: (island.formed_ns, island.name))
    watch = replace(watch, out=names, dead=dark, islands=tuple(islands))
    return replace(watch, told=tuple(level for level in watch.told if _reached(watch, level, rules)))


def matured(watch: IslandWatch, until_ns: int, rules: MarketRules) -> tuple[IslandWatch, tuple[Certain, ...]]:
    """Return what has become certain by ``until_ns``, once."""
    found = [
        _certain(level, islands, rules)
        for level in Level
        if level not in watch.told and (islands := _reached(watch, level, rules)) and _met_ns(islands, rules) <= until_ns
    ]
    return replace(watch, told=(*watch.told, *(each.level for each in found))), tuple(found)


def next_ns(watch: IslandWatch, rules: MarketRules) -> list[int]:
    """Return the instants at which :func:`matured` finds something."""
    return [_met_ns(islands, rules) for level in Level if level not in watch.told and (islands := _reached(watch, level, rules))]


def _formed_ns(cut: tuple[str, ...], out: Mapping[str, tuple[int, int]]) -> int:
    return max(out[name][0] for name in cut)


def _smaller(parts: tuple[Part, ...], loads_mw: Mapping[str, float]) -> list[tuple[Part, float]]:
    """Return every part but the largest of each grid there was, with its share of the whole load, %."""
    total_mw = sum(loads_mw.values())
    load_mw = {part.name: sum(share * loads_mw.get(area, 0.0) for area, share in part.area_share.items()) for part in parts}
    largest: dict[int, Part] = {}
    for part in parts:
        other = largest.get(part.whole)
        if other is None or (load_mw[part.name], part.n_buses) > (load_mw[other.name], other.n_buses):
            largest[part.whole] = part
    if total_mw <= 0:
        return []
    return [(part, 100.0 * load_mw[part.name] / total_mw) for part in parts if part is not largest[part.whole]]


def _reached(watch: IslandWatch, level: Level, rules: MarketRules) -> tuple[Island, ...]:
    """Return the islands, oldest first, that together reach the limit of a level, or none."""
    share_pct = 0.0
    for number, island in enumerate(watch.islands, start=1):
        share_pct += island.share_pct
        if share_pct >= _limit_pct(level, rules):
            return watch.islands[:number]
    return ()


def _limit_pct(level: Level, rules: MarketRules) -> float:
    return rules.topology_hard.island_pct if level is Level.HARD else rules.topology_soft.island_pct


def _met_ns(islands: tuple[Island, ...], rules: MarketRules) -> int:
    held_ns = max(island.formed_ns for island in islands) + rules.topology_hard.island_hold_s * NS_PER_S
    return max(held_ns, *(island.certain_ns for island in islands))


def _certain(level: Level, islands: tuple[Island, ...], rules: MarketRules) -> Certain:
    share_pct = sum(island.share_pct for island in islands)
    limit = f"limit {_limit_pct(level, rules):g} % for {rules.topology_hard.island_hold_s} s"
    plural = "s" if len(islands) > 1 else ""
    lines = [f"{len(islands)} energised island{plural} with {share_pct:.1f} % of the load cut off ({limit})"]
    lines += [
        f"island of {island.name}: {island.n_buses} bus{'es' * (island.n_buses > 1)}, {island.share_pct:.1f} % of the load, since "
        f"{clock_text(island.formed_ns, rules.zone)}, behind {', '.join(island.cut[:_NAMED_MAX])}{' …' * (len(island.cut) > _NAMED_MAX)}"
        for island in islands[:_NAMED_MAX]
    ]
    return Certain(
        kind=Kind.ISLAND,
        level=level,
        met_at_ns=_met_ns(islands, rules),
        text=tuple(lines),
        subject=f"island of {islands[0].name}",
        elements=tuple(sorted({name for island in islands for name in island.cut})),
        unplanned=tuple(sorted({fault for island in islands for fault in island.unplanned})),
    )
