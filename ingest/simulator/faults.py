"""What breaks in the field, and when?

A script is data: a list of faults with their times, and beside it what a narrator has to say. What holds at an instant is a function
of the script and of the faults injected so far, so a field that is started in mid-day stands as if it had lived through the morning,
each switch with the time at which it moved::

    faults:
    - {at: 10m, kind: line_trip, target: A25-1}                       # permanent; with `for`, it recloses
    - {at: 12m, kind: line_trip, target: A27, for: 3s}
    - {at: 20m, kind: line_restore, target: A25-1}
    - {at: 30m, kind: device_silent, target: feeder-1a, for: 5m}      # accepts connections, answers nothing
    - {at: 30m, kind: device_down, target: scada-2, for: 5m}          # refuses connections
    - {at: 40m, kind: device_lying, target: plant-101, mode: factor, value: 1.2, for: 5m}    # also: offset (value), frozen
    - {at: 50m, kind: rtu_comms_lost, target: rtu-3, for: 5m}
    - {at: 55m, kind: clock_off, target: rtu-1, value: -3600, for: 10m}                      # its clock is an hour behind
    - {at: "2026-06-10T12:00:00+08:00", kind: switchover, for: 10m}   # site/MAIN drops, site/BACKUP claims
    - {at: 60m, kind: clearing_fails, mode: silent, for: 130m}        # also: error (the default)
    story:
    - {at: 0s, en: "A quiet morning", zh: "平静的早晨"}

``at`` is an instant, or a length of time from the script's origin. Without ``for`` a fault stays. ``reclose_after_s`` (a number) is
another way to write a line trip's ``for``.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field

from ingest.yamlfile import DurationNs, Located, Name, Strict, duration_ns, load_yaml
from market.errors import ConfigError, Problem, UnitError
from market.units import NS_PER_S, instant_ns

__all__ = ["Condition", "Fault", "FaultKind", "Faults", "Lie", "Script", "StoryLine", "Targets", "fault_of", "read_script", "script_of"]

_HAND_OVER_NS: Final = 2 * NS_PER_S
"""Between one site giving up control and the other claiming it; two claims at once would be a conflict, not a switchover."""


class FaultKind(StrEnum):
    """What can break."""

    LINE_TRIP = "line_trip"
    LINE_RESTORE = "line_restore"
    DEVICE_SILENT = "device_silent"
    DEVICE_DOWN = "device_down"
    DEVICE_LYING = "device_lying"
    RTU_COMMS_LOST = "rtu_comms_lost"
    CLOCK_OFF = "clock_off"
    SWITCHOVER = "switchover"
    CLEARING_FAILS = "clearing_fails"


_MODES: Final[Mapping[FaultKind, tuple[str, ...]]] = {
    FaultKind.DEVICE_LYING: ("factor", "offset", "frozen"),
    FaultKind.CLEARING_FAILS: ("error", "silent"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that breaks.

    Attributes:
        at_ns: when, UTC ns.
        target: a branch, a device or an RTU; empty where the kind has none.
        for_ns: how long it lasts, ns; None for ever.
        mode: how a device lies, or how clearing fails; empty otherwise.
        value: the factor or the offset of a lie; by how much a clock is ahead, s.
    """

    at_ns: int
    kind: FaultKind
    target: str = ""
    for_ns: int | None = None
    mode: str = ""
    value: float = 0.0

    @property
    def until_ns(self) -> int | None:
        """When it is over, or None."""
        return None if self.for_ns is None else self.at_ns + self.for_ns

    def holds(self, ts_ns: int) -> bool:
        """Whether it lasts at an instant; its end is not part of it."""
        return self.at_ns <= ts_ns and (self.for_ns is None or ts_ns < self.at_ns + self.for_ns)


@dataclass(frozen=True, slots=True)
class Lie:
    """How a device's values are wrong; ``since_ns`` tells one spell of lying from the next."""

    mode: str
    value: float
    since_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is broken at one instant.

    Attributes:
        open_branches: branch → when its switches opened.
        moved_ns: branch → when its switches last moved, whichever way.
        silent: devices that answer nothing.
        down: devices that refuse connections.
        lost: RTUs that are cut off.
        lying: device → how.
        clock_off_s: RTU → by how much its clock is ahead of the true time, s.
        authority: the site that claims control, empty during a hand-over.
        authority_ns: when that began; 0 if it was never otherwise.
    """

    open_branches: Mapping[str, int] = field(default_factory=dict)
    moved_ns: Mapping[str, int] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    down: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    lying: Mapping[str, Lie] = field(default_factory=dict)
    clock_off_s: Mapping[str, float] = field(default_factory=dict)
    authority: str = "MAIN"
    authority_ns: int = 0


class StoryLine(NamedTuple):
    """Where the script stands: chapter ``step`` of ``of``, and what to say about it."""

    step: int
    of: int
    text_en: str
    text_zh: str


class Faults:
    """Faults, scripted and injected, as a function of time.

    Args:
        faults: in any order; of two that begin together the later one in the list has the last word.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.all: tuple[Fault, ...] = tuple(sorted(faults, key=lambda fault: fault.at_ns))
        edges = {fault.at_ns for fault in self.all} | {fault.until_ns for fault in self.all if fault.until_ns is not None}
        edges |= {edge + _HAND_OVER_NS for fault in self.all if fault.kind is FaultKind.SWITCHOVER for edge in _ends(fault)}
        self._edges = sorted(edges)

    def also(self, fault: Fault) -> Faults:
        """Return these faults and one more."""
        return Faults((*self.all, fault))

    def next_change_ns(self, ts_ns: int) -> int | None:
        """Return the first instant after ``ts_ns`` at which something breaks or mends, or None."""
        return next((edge for edge in self._edges if edge > ts_ns), None)

    def at(self, ts_ns: int) -> Condition:
        """Return what is broken at an instant (UTC ns)."""
        moves = sorted(move for fault in self.all for move in _moves(fault) if move[0] <= ts_ns)
        moved_ns: dict[str, int] = {}
        open_ns: dict[str, int] = {}
        for move_ns, _, branch, opens in moves:
            if opens is not (branch in open_ns):
                moved_ns[branch] = move_ns
            if opens:
                open_ns.setdefault(branch, move_ns)
            else:
                open_ns.pop(branch, None)
        held = [fault for fault in self.all if fault.holds(ts_ns)]
        authority, authority_ns = self._authority(ts_ns)

        def targets(kind: FaultKind) -> frozenset[str]:
            return frozenset(fault.target for fault in held if fault.kind is kind)

        return Condition(
            open_branches=open_ns,
            moved_ns=moved_ns,
            silent=targets(FaultKind.DEVICE_SILENT),
            down=targets(FaultKind.DEVICE_DOWN),
            lost=targets(FaultKind.RTU_COMMS_LOST),
            lying={f.target: Lie(f.mode, f.value, f.at_ns) for f in held if f.kind is FaultKind.DEVICE_LYING},
            clock_off_s={f.target: f.value for f in held if f.kind is FaultKind.CLOCK_OFF},
            authority=authority,
            authority_ns=authority_ns,
        )

    def clearing_fault(self, ts_ns: int) -> str | None:
        """Return how clearing fails for an interval that begins then: ``error``, ``silent``, or None where it does not."""
        modes = [fault.mode for fault in self.all if fault.kind is FaultKind.CLEARING_FAILS and fault.holds(ts_ns)]
        return modes[-1] if modes else None

    def _authority(self, ts_ns: int) -> tuple[str, int]:
        site, since_ns = "MAIN", 0
        for fault in self.all:
            if fault.kind is not FaultKind.SWITCHOVER:
                continue
            for edge_ns, to in zip(_ends(fault), ("BACKUP", "MAIN"), strict=False):
                if edge_ns <= ts_ns:
                    handed_over = ts_ns >= edge_ns + _HAND_OVER_NS
                    site, since_ns = (to, edge_ns + _HAND_OVER_NS) if handed_over else ("", edge_ns)
        return site, since_ns


def _ends(fault: Fault) -> tuple[int, ...]:
    return (fault.at_ns,) if fault.until_ns is None else (fault.at_ns, fault.until_ns)


def _moves(fault: Fault) -> list[tuple[int, int, str, bool]]:
    """Return (when, order among equals, branch, opens) for each movement of a branch's switches; closing goes before opening."""
    if fault.kind is FaultKind.LINE_RESTORE:
        return [(fault.at_ns, 0, fault.target, False)]
    if fault.kind is not FaultKind.LINE_TRIP:
        return []
    opening = (fault.at_ns, 1, fault.target, True)
    return [opening] if fault.until_ns is None else [opening, (fault.until_ns, 0, fault.target, False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What can be named: branches of the network, devices that serve (polled or subscribed to), RTUs that dial in."""

    branches: frozenset[str]
    devices: frozenset[str]
    rtus: frozenset[str]

    def of(self, kind: FaultKind) -> tuple[str, frozenset[str]]:
        """Return what a kind's target is called, and which there are; an empty name where it has none."""
        match kind:
            case FaultKind.LINE_TRIP | FaultKind.LINE_RESTORE:
                return "branch", self.branches
            case FaultKind.DEVICE_SILENT | FaultKind.DEVICE_DOWN:
                return "device", self.devices
            case FaultKind.DEVICE_LYING:
                return "device", self.devices | self.rtus
            case FaultKind.RTU_COMMS_LOST | FaultKind.CLOCK_OFF:
                return "RTU", self.rtus
            case _:
                return "", frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A script as it was read.

    Attributes:
        faults: in the order written.
        story: (from when, English, Chinese), in the order of their times.
    """

    faults: tuple[Fault, ...] = ()
    story: tuple[tuple[int, str, str], ...] = ()

    def told(self, now_ns: int) -> StoryLine | None:
        """Return the chapter that is being told, or None before the first."""
        begun = [k for k, (at_ns, _, _) in enumerate(self.story, 1) if at_ns <= now_ns]
        return StoryLine(begun[-1], len(self.story), *self.story[begun[-1] - 1][1:]) if begun else None


# ---- reading ---------------------------------------------------------------------------------------------------------------


def _at(value: object) -> int | str:
    """Take a length of time (to be added to the origin) as ns, an instant as text."""
    if value == "0s":
        return 0
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no time; write a length such as 10m, or an instant with an offset, in quotes")
    try:
        return duration_ns(value)
    except ValueError:
        pass
    try:
        instant_ns(value)
    except UnitError:
        raise ValueError(f"{value!r} is no time; write a length such as 10m, or an instant such as 2026-06-10T12:00:00+08:00") from None
    return value


_At = Annotated[int | str, BeforeValidator(_at)]


class _FaultModel(Strict):
    at: _At
    kind: FaultKind
    target: Name = ""
    for_: Annotated[DurationNs | None, Field(alias="for")] = None
    reclose_after_s: Annotated[float, Field(gt=0)] | None = None
    mode: str = ""
    value: float | None = None


class _StoryModel(Strict):
    at: _At
    en: str
    zh: str


class _ScriptModel(Strict):
    faults: Annotated[list[_FaultModel], Field(default_factory=list)]
    story: Annotated[list[_StoryModel], Field(default_factory=list)]


def read_script(path: str | Path, origin_ns: int, targets: Targets) -> Script:
    """Read a script file.

    Args:
        path: a YAML file with ``faults`` and ``story``.
        origin_ns: what lengths of time in ``at`` are counted from, UTC ns.
        targets: what there is to break.

    Raises:
        ConfigError: unknown kinds, targets, times and keys, each with its line.
    """
    return _script(load_yaml(path), origin_ns, targets)


def script_of(data: Mapping[str, Any], origin_ns: int, targets: Targets, where: str = "script") -> Script:
    """Take a script as plain data, as :func:`read_script` does from a file; ``where`` names it in messages."""
    return _script(Located(Path(where), data, {}), origin_ns, targets)


def fault_of(
    at_ns: int, kind: str, target: str, for_s: float | None, targets: Targets, *, mode: str = "", value: float | None = None
) -> Fault:
    """Check a fault given on command.

    Raises:
        ConfigError: an unknown kind or target, or a mode or value that does not go with the kind.
    """
    where = "fault"
    if kind not in tuple(FaultKind):
        raise ConfigError([Problem(where, f"there is no kind {kind!r}; use {', '.join(FaultKind)}")])
    if for_s is not None and not for_s > 0:
        raise ConfigError([Problem(where, f"{for_s} s is no time at all; give more than zero seconds, or none for ever")])
    for_ns = None if for_s is None else round(for_s * NS_PER_S)
    fault, complaints = _checked(at_ns, FaultKind(kind), target, for_ns, mode, value, targets)
    if complaints:
        raise ConfigError([Problem(where, what) for _, what in complaints])
    return fault


def _script(located: Located, origin_ns: int, targets: Targets) -> Script:
    model = located.validate(_ScriptModel)
    problems: list[Problem] = []
    faults: list[Fault] = []
    for index, entry in enumerate(model.faults):
        for_ns, both = entry.for_, entry.for_ is not None and entry.reclose_after_s is not None
        if entry.reclose_after_s is not None:
            for_ns = round(entry.reclose_after_s * NS_PER_S)
            if both or entry.kind is not FaultKind.LINE_TRIP:
                what = "goes with line_trip only, in the place of `for`; remove it"
                problems.append(located.problem(what, "faults", index, "reclose_after_s"))
        fault, complaints = _checked(_instant(entry.at, origin_ns), entry.kind, entry.target, for_ns, entry.mode, entry.value, targets)
        problems += [located.problem(what, "faults", index, key) for key, what in complaints]
        faults.append(fault)
    if problems:
        raise ConfigError(problems)
    story = sorted((_instant(entry.at, origin_ns), entry.en, entry.zh) for entry in model.story)
    return Script(faults=tuple(faults), story=tuple(story))


def _instant(at: int | str, origin_ns: int) -> int:
    return instant_ns(at) if isinstance(at, str) else origin_ns + at


def _checked(
    at_ns: int, kind: FaultKind, target: str, for_ns: int | None, mode: str, value: float | None, targets: Targets
) -> tuple[Fault, list[tuple[str, str]]]:
    """Return the fault, and (key, what is wrong with it) for everything that does not go with its kind."""
    complaints: list[tuple[str, str]] = []
    called, known = targets.of(kind)
    if not called and target:
        complaints.append(("target", f"{kind} has no target; remove {target!r}"))
    elif called and target not in known:
        complaints.append(("target", _unknown(called, target, known)))
    if kind is FaultKind.LINE_RESTORE and for_ns is not None:
        complaints.append(("for", "a line is restored for good; remove it"))
    modes = _MODES.get(kind, ())
    mode = mode or ("error" if kind is FaultKind.CLEARING_FAILS else "")
    if modes and mode not in modes:
        complaints.append(("mode", f"{mode!r} is no way for {kind}; use {', '.join(modes)}"))
    elif not modes and mode:
        complaints.append(("mode", f"{kind} has no mode; remove it"))
    wants_value = mode in ("factor", "offset") or kind is FaultKind.CLOCK_OFF
    if wants_value is (value is None):
        what = f"{mode or kind} needs a number" if wants_value else "goes with factor, offset and clock_off only; remove it"
        complaints.append(("value", what))
    return Fault(at_ns=at_ns, kind=kind, target=target, for_ns=for_ns, mode=mode, value=value or 0.0), complaints


def _unknown(called: str, target: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(target, sorted(known), n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"for example {min(known)!r}" if known else "there are none"
    return f"there is no {called} {target!r}; {remedy}"
