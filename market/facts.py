"""What the market breaker is told: one ordered stream of past-tense facts, the whole input of every decision.

Each fact carries ``ts_event_ns``, the instant it became known to this service (its place in the order), and, where it differs, the
instant it speaks of. Time itself is a fact, :class:`Ticked`, so that silence can be tested and a replay equals the live run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from market.progress import Outlook, Phase
from market.sessionfacts import LoginReported, OrderReported, ParticipantsEntitled, SessionReported
from market.units import NS_PER_S

__all__ = [
    "CalendarClosed",
    "ClearedAgain",
    "ClearingReported",
    "ClearingStatus",
    "ClockCompared",
    "CommandGiven",
    "ControlReported",
    "DayAheadExpected",
    "EstimateReported",
    "EstimateSource",
    "ExercisePlanned",
    "Fact",
    "FlowReported",
    "InfeedReported",
    "InterfaceLimitReported",
    "LoadReported",
    "PermitGranted",
    "PermitRevoked",
    "PointQuality",
    "RunType",
    "Segment",
    "SourceReported",
    "SwitchReported",
    "SwitchStatus",
    "Ticked",
    "TripSignalled",
    "VoltageReported",
    "WarningReported",
]


_SOURCE_CLOCK_NS: Final = NS_PER_S
"""A completion instant further ahead of its arrival than this comes from a clock that is not trusted (spec §1.2)."""


class Segment(StrEnum):
    """The two spot markets that can be broken independently of each other."""

    RT = "RT"
    DA = "DA"


class ClearingStatus(StrEnum):
    """How one run of the clearing ended, as far as the breaker cares."""

    OK = "OK"
    FAILED = "FAILED"


class RunType(StrEnum):
    """Whether a run counts. A study never does."""

    PRODUCTION = "PRODUCTION"
    STUDY = "STUDY"


class SwitchStatus(StrEnum):
    """Position of a switching device; INTERMEDIATE is double-point 00 or 11, that is unknown."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    INTERMEDIATE = "INTERMEDIATE"


class PointQuality(StrEnum):
    """Quality of one reported value, by the top two bits of its OPC UA status code."""

    GOOD = "GOOD"
    UNCERTAIN = "UNCERTAIN"
    BAD = "BAD"
    STALE = "STALE"


class EstimateSource(StrEnum):
    """Whose word an expected instant is; only a person's may ever trip anything."""

    STATISTICAL = "statistical"
    DISPATCHER = "dispatcher"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time reached ``ts_event_ns``; everything that happened before has had its chance to be reported, within the grace."""

    ts_event_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingReported:
    """A clearing run said how it ended.

    Attributes:
        ts_event_ns: when this service heard of it.
        segment: real-time or day-ahead.
        interval_start_ns: the real-time interval; for a day-ahead run the start of the operating day.
        completed_at_ns: when the run finished by the source's clock.
        price_cny_per_mwh: user-side uniform price of each settlement period: one value for a real-time interval, one per period
            of the operating day for a day-ahead result, none for a failure.
        reason: why it failed, one of the reasons of :class:`market.outcomes.FailureReason`; empty when it did not.
        review: why a result that counts must be looked at before it is settled; empty where nothing speaks against it.
    """

    ts_event_ns: int
    segment: Segment
    interval_start_ns: int
    status: ClearingStatus
    completed_at_ns: int
    run_type: RunType = RunType.PRODUCTION
    version: int = 1
    price_cny_per_mwh: tuple[float, ...] = ()
    reason: str = ""
    review: tuple[str, ...] = ()

    @property
    def counted_at_ns(self) -> int:
        """The instant it counts by: when it was completed, if the source's clock can be trusted, else when it arrived (spec §1.2)."""
        trusted = self.completed_at_ns <= self.ts_event_ns + _SOURCE_CLOCK_NS
        return self.completed_at_ns if trusted else self.ts_event_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAheadExpected:
    """How far a day-ahead run is, and when its result is expected; told when its phase or its outlook changes.

    Attributes:
        interval_start_ns: start of the operating day, as in the report of the result.
        source: a statistical estimate warns or proposes, and never trips.
        p50_ns: instant that is as likely to be missed as not, UTC ns; None where nothing is known to judge by.
        p90_ns: instant that one run in ten misses.
        phase: part of the run; None where nobody says.
        gap: how far above the least cost the best commitment so far may be, relative; None before it is known.
        share_done: how much of this phase is done, 0 to 1; None where that cannot be told.
        outlook: what follows for the deadline of 23:00; None without an estimate.
    """

    ts_event_ns: int
    interval_start_ns: int
    source: EstimateSource
    p50_ns: int | None = None
    p90_ns: int | None = None
    phase: Phase | None = None
    gap: float | None = None
    share_done: float | None = None
    outlook: Outlook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchReported:
    """The switch at one end of a branch moved, or the quality of that knowledge changed.

    Attributes:
        end: ``from`` or ``to``; empty where one position stands for the whole branch.
        ts_source_ns: when it held at the device.
        initial: told for the first time, without history: it says how things stand, not that they changed.
        history: overtaken on its way by a later report: it says what was so then, never what is so now.
    """

    ts_event_ns: int
    element: str
    status: SwitchStatus
    quality: PointQuality
    ts_source_ns: int
    end: str = ""
    initial: bool = False
    history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReported:
    """Loading at the ends of a branch, % of its continuous rating, unsigned; None for an end this report does not speak of.

    Reported when an end crosses the dead-flow threshold, not on every measurement.

    Attributes:
        history: overtaken on its way by a later report: it says what was so then, never what is so now.
    """

    ts_event_ns: int
    element: str
    from_pct: float | None
    to_pct: float | None
    quality: PointQuality
    ts_source_ns: int
    history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReported:
    """Total metered load of an area, MW, >= 0."""

    ts_event_ns: int
    area: str
    load_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlReported:
    """A control site claims, or gives up, authority over the grid.

    Attributes:
        site: MAIN or BACKUP.
        ts_source_ns: when it held at the device.
        initial: told for the first time, without history: it says how things stand, not that they changed.
    """

    ts_event_ns: int
    site: str
    asserted: bool
    ts_source_ns: int
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReported:
    """Sight of a source was lost or regained; ``name`` is ``clearing`` or ``scada``."""

    ts_event_ns: int
    name: str
    up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockCompared:
    """Seconds that passed on the wall clock and on the monotonic clock since the last comparison."""

    ts_event_ns: int
    wall_s: float
    monotonic_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarClosed:
    """A segment is not expected to clear in ``[from_ns, to_ns)``."""

    ts_event_ns: int
    segment: Segment
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitGranted:
    """An element may be out of service in ``[from_ns, to_ns]``: a planned outage."""

    ts_event_ns: int
    element: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitRevoked:
    """A permit for an element in ``[from_ns, to_ns]`` was taken back at ``ts_event_ns``: what opens from then on is not planned."""

    ts_event_ns: int
    element: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExercisePlanned:
    """A switchover between control centres is planned in ``[from_ns, to_ns]``: a drill."""

    ts_event_ns: int
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VoltageReported:
    """Voltage of a bus crossed the dead threshold, or the quality of that knowledge changed.

    Attributes:
        pu: per unit of nominal, >= 0.
        ts_source_ns: when it held at the device.
    """

    ts_event_ns: int
    bus: str
    pu: float
    quality: PointQuality
    ts_source_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TripSignalled:
    """Protection tripped a branch: it says on its own that an opening was no switching order."""

    ts_event_ns: int
    element: str
    ts_source_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InfeedReported:
    """Power fed in over a DC link or from a neighbour, MW, positive into the grid; told when it changes much.

    Attributes:
        infeed: name in the network model.
    """

    ts_event_ns: int
    infeed: str
    mw: float
    quality: PointQuality
    ts_source_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InterfaceLimitReported:
    """Transfer limit of a section, MW, > 0, as the coming clearing will use it."""

    ts_event_ns: int
    interface: str
    limit_mw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateReported:
    """What the state estimate says of the measurements it was made of; told when it changes.

    Attributes:
        ts_snapshot_ns: event time of the image that was estimated.
        suspects: measurements that lie, worst first, each as ``point: measured, estimated, normalised residual``.
        doubted: branches whose reported position contradicts the flows, sorted; a doubted position trips nothing.
        chi_square: weighted sum of squared residuals before any measurement was left out; limit: what it may be, at 99 %.
        observable_pct: share of buses whose angle the measurements determine, %.
    """

    ts_event_ns: int
    ts_snapshot_ns: int
    suspects: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()
    chi_square: float = 0.0
    limit: float = 0.0
    observable_pct: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningReported:
    """A warning about the grid or its supply was raised or lifted; while one is active, a recovery needs two people.

    Attributes:
        warning: its identity, as ``typhoon-red-2026-09-01``.
    """

    ts_event_ns: int
    warning: str
    active: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandGiven:
    """A person ordered something of the breaker.

    Attributes:
        command_id: chosen by the sender, so that a repeated delivery is carried out once.
        by: who, as authenticated at the edge.
        role: in which capacity: DISPATCH, TRADING, MO, GOV, REG, VIEWER or ADMIN.
        action: one of :data:`market.commands.ORDERS`, which says who may and what it takes.
        args: the action's own fields.
    """

    ts_event_ns: int
    command_id: str
    by: str
    role: str
    action: str
    args: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearedAgain:
    """An interval was cleared again by order (Art. 22), or could not be.

    Attributes:
        ts_event_ns: when that was done.
        command_id, by, role, why, approvals: of the order.
        version: of the new result, 0 where there is none.
        price_cny_per_mwh: user-side uniform price of the new result, and price_before that of the one it replaces; None without.
        corrected: each value that was put right, before and after.
        hashes, hashes_before: of the new result and of the one it replaces; empty without.
        failure: why there is no new result, one of :class:`market.outcomes.FailureReason`; detail says what it is about.
    """

    ts_event_ns: int
    command_id: str
    by: str
    role: str
    why: str
    interval_start_ns: int
    approvals: dict[str, str] = field(default_factory=dict)
    version: int = 0
    price_cny_per_mwh: float | None = None
    price_before_cny_per_mwh: float | None = None
    corrected: tuple[str, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    hashes_before: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    detail: str = ""


Fact = (
    Ticked
    | ClearingReported
    | ClearedAgain
    | DayAheadExpected
    | SwitchReported
    | FlowReported
    | LoadReported
    | ControlReported
    | SourceReported
    | ClockCompared
    | CalendarClosed
    | PermitGranted
    | PermitRevoked
    | ExercisePlanned
    | VoltageReported
    | TripSignalled
    | InfeedReported
    | InterfaceLimitReported
    | EstimateReported
    | WarningReported
    | ParticipantsEntitled
    | SessionReported
    | LoginReported
    | OrderReported
    | CommandGiven
)
