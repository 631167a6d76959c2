"""What the detector of topology changes remembers: little while all is well, and only what can still decide something."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from detectors.elements import ElementState
from detectors.evidence import Certain, Standing
from detectors.infeeds import InfeedState, Limit
from detectors.islands import IslandWatch
from detectors.loadlost import LoadWatch
from detectors.losses import Loss, Permit
from detectors.sight import SightWatch
from detectors.voltages import DeadBus

__all__ = ["TopologyWatch"]


class TopologyWatch(Struct, frozen=True, kw_only=True):
    """What the detector remembers.

    Attributes:
        began_ns: when it heard its first fact; 0 before. What was so then was not lost while anybody watched.
        elements: elements that deviate, by name.
        losses: losses not reported yet as hard evidence, by confirmation; all of them while a condition waits, else the last windows'.
        certain: evidence that is certain and not reported yet.
        standing: evidence that was reported and is not over.
        permits: planned outages.
        planned: elements whose present opening was noted as planned, sorted.
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
    planned: tuple[str, ...] = ()
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
