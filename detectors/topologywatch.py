"""What the detector of topology changes remembers: little while all is well, and only what can still decide something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
from msgspec import Struct, structs

from detectors.elements import ElementState
from detectors.evidence import Certain, Kind, Standing
from detectors.infeeds import InfeedState, Limit
from detectors.islands import IslandWatch
from detectors.loadlost import LoadWatch
from detectors.losses import Loss, Permit
from detectors.sight import SightWatch
from detectors.voltages import DeadBus

__all__ = ["TopologyWatch", "refuted"]


class TopologyWatch(Struct, frozen=True, kw_only=True):
    """What the detector remembers.

    Attributes:
        began_ns: when it heard its first fact; 0 before. What was so then was not lost while anybody watched.
        elements: elements that deviate, by name.
        losses: losses not reported yet as hard evidence, by confirmation; all of them while a condition waits, else the last windows'.
        certain: evidence that is certain and not reported yet.
        standing: evidence that was reported and is not over.
        permits: planned outages.
        doubted: elements whose position the state estimate contradicts, sorted.
        dead: buses without voltage.
        stations: stations whose present loss was found, sorted.
        scada_down: whether sight of the switches is lost.
        judge_after_ns: no judgement before this instant (back-fill after sight returned).
    """

    began_ns: int = 0
    elements: dict[str, ElementState] = msgspec.field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    certain: tuple[Certain, ...] = ()
    standing: tuple[Standing, ...] = ()
    permits: tuple[Permit, ...] = ()
    doubted: tuple[str, ...] = ()
    dead: dict[str, DeadBus] = msgspec.field(default_factory=dict)
    stations: tuple[str, ...] = ()
    islands: IslandWatch = msgspec.field(default_factory=IslandWatch)
    load: LoadWatch = msgspec.field(default_factory=LoadWatch)
    infeeds: dict[str, InfeedState] = msgspec.field(default_factory=dict)
    limits: dict[str, Limit] = msgspec.field(default_factory=dict)
    sight: SightWatch = msgspec.field(default_factory=SightWatch)
    scada_down: bool = False
    judge_after_ns: int = 0


def refuted(watch: TopologyWatch, at_ns: int, against: Callable[[Certain], bool]) -> TopologyWatch:
    """Let go of evidence that was not certain after all: at ``at_ns``, before it was, something spoke against it.

    It is found again by whoever looks next, if it holds all the same.
    """
    gone = [each for each in watch.certain if at_ns <= each.met_at_ns and against(each)]
    if not gone:
        return watch
    levels = [each.level for each in gone if each.kind is Kind.ISLAND]
    stations = [each.subject for each in gone if each.kind is Kind.SUBSTATION]
    return structs.replace(
        watch,
        certain=tuple(each for each in watch.certain if each not in gone),
        islands=replace(watch.islands, told=tuple(level for level in watch.islands.told if level not in levels)),
        stations=tuple(station for station in watch.stations if station not in stations),
    )
