"""How one interval's clearing ended: :class:`Cleared` or :class:`ClearingFailed`, both values, never an exception.

Not cleared is absence plus a reason; it is never a price of zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "Binding",
    "Certificate",
    "Cleared",
    "ClearingFailed",
    "ClearingInputs",
    "FailureReason",
    "InputQuality",
    "Outcome",
    "OutcomeStatus",
    "PeriodAhead",
    "Revision",
    "Violation",
]


class OutcomeStatus(StrEnum):
    """Quality of a result that exists."""

    OK = "OK"
    OK_VIOLATION = "OK_VIOLATION"
    """Cleared with a priced violation of a limit or of the balance."""
    OK_DEGRADED = "OK_DEGRADED"
    """Cleared with a fallback: stale inputs, an older topology."""


class FailureReason(StrEnum):
    """Why there is no result."""

    INPUT_MISSING = "INPUT_MISSING"
    INPUT_STALE = "INPUT_STALE"
    INPUT_INVALID = "INPUT_INVALID"
    TOPOLOGY_CHANGED = "TOPOLOGY_CHANGED"
    SOLVER_TIMEOUT = "SOLVER_TIMEOUT"
    SOLVER_STATUS = "SOLVER_STATUS"
    KKT_FAILED = "KKT_FAILED"
    PRICE_NOT_CREDIBLE = "PRICE_NOT_CREDIBLE"
    SUSPENDED = "SUSPENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodAhead:
    """What is expected of one period after the interval that is cleared; as long as the interval itself.

    Attributes:
        load_mw: forecast withdrawal per bus, MW; every load bus of the network is present.
        available_mw: forecast upper limit of renewable units, MW; of bids the demand, negative.
        out_of_service: branches that will be open, sorted.
        units_off: units that will not be committed or available, sorted.
        tie_mw: scheduled injection of tie-lines per bus, MW, positive into the network.
        test_mw: units under test and the output each is scheduled to run at, MW.
        reserve_mw: reserve requirements that differ from the standing ones, by requirement, MW.
    """

    load_mw: dict[str, float]
    available_mw: dict[str, float]
    out_of_service: tuple[str, ...] = ()
    units_off: tuple[str, ...] = ()
    tie_mw: dict[str, float] = field(default_factory=dict)
    test_mw: dict[str, float] = field(default_factory=dict)
    reserve_mw: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputQuality:
    """How far frozen inputs can be trusted, as it was when they were frozen; :mod:`market.gates` judges it.

    Attributes:
        output_mw: Σ|output| of the units that are measured, MW.
        stale_output_mw: of those whose value is not GOOD and fresh.
        stale_units: their names, sorted.
        replaced_units: units whose output is that of their base point, because telemetry was too old; sorted. replaced_output_mw is theirs.
        generation_mw, load_mw, import_mw: sums as measured, MW; None where a unit or a load is not measured.
        worst_area: where generation, load and interchange as measured contradict each other most, and area_gap_mw by how much; empty
            where no interchange is measured.
        topology_age_s: age of the oldest switch position, s, of switch_point; None without switches.
        horizon_s: from the measurement of the load to the middle of the interval, s.
        load_persisted: why the load is the one measured and no forecast; empty where it was forecast.
    """

    output_mw: float = 0.0
    stale_output_mw: float = 0.0
    stale_units: tuple[str, ...] = ()
    replaced_units: tuple[str, ...] = ()
    replaced_output_mw: float = 0.0
    generation_mw: float | None = None
    load_mw: float | None = None
    import_mw: float = 0.0
    worst_area: str = ""
    area_gap_mw: float = 0.0
    topology_age_s: float | None = None
    switch_point: str = ""
    horizon_s: float = 0.0
    load_persisted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingInputs:
    """What one interval is cleared from, frozen at the gate; the record of it makes the clearing repeatable.

    Attributes:
        interval_start_ns: the interval, UTC ns.
        frozen_at_ns: event time of the freeze.
        load_mw: withdrawal per bus, MW; every load bus of the network is present.
        output_mw: telemetered output per unit, MW; every unit that is in service is present.
        available_mw: upper limit of renewable units, MW; of bids the demand, negative, where it is less than they bid for.
        out_of_service: branches that are open, sorted.
        units_off: units that are not committed or unavailable, sorted.
        stale_points: how many of the points used were not GOOD.
        used_points: how many points were used.
        oldest_s: age of the oldest value used, s.
        notes: what was substituted and with what, for people.
        tie_mw: scheduled injection of tie-lines per bus, MW, positive into the network.
        test_mw: units under test and the output each is scheduled to run at, MW, whether committed or not; they set no price.
        soc_mwh: energy in each storage at the start of the interval, MWh; every storage is present.
        reserve_mw: reserve requirements that differ from the standing ones, by requirement, MW.
        ahead: the periods after this one, in order; empty for a clearing of this interval alone.
        quality: how far they can be trusted; None in records of releases that did not say.
    """

    interval_start_ns: int
    frozen_at_ns: int
    load_mw: dict[str, float]
    output_mw: dict[str, float]
    available_mw: dict[str, float]
    out_of_service: tuple[str, ...] = ()
    units_off: tuple[str, ...] = ()
    stale_points: int = 0
    used_points: int = 0
    oldest_s: float = 0.0
    notes: tuple[str, ...] = ()
    tie_mw: dict[str, float] = field(default_factory=dict)
    test_mw: dict[str, float] = field(default_factory=dict)
    soc_mwh: dict[str, float] = field(default_factory=dict)
    reserve_mw: dict[str, float] = field(default_factory=dict)
    ahead: tuple[PeriodAhead, ...] = ()
    quality: InputQuality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """A limit that shaped the prices.

    Attributes:
        kind: ``line`` for a branch limit in the intact grid, ``n-1`` for one after an outage, ``section`` for an interface.
        id: the branch or section.
        outage: the contingency it binds under, or null for the intact grid.
        flow_mw: flow, positive from ``from`` to ``to``; of a section the weighted sum; after the outage, where there is one.
        limit_mw: the limit in the direction of the flow, MW.
        shadow_price: what one more MW of limit would save, in the case's money per MWh, >= 0.
    """

    kind: str
    id: str
    outage: str | None
    flow_mw: float
    limit_mw: float
    shadow_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something that was exceeded or missed at its penalty.

    Attributes:
        kind: ``line``, ``n-1``, ``section`` (a limit of the network), ``shed`` (load not served), ``spill`` (excess), ``reserve`` (a
            requirement not met) or ``group`` (a limit of a group of units).
        id: the branch, section, requirement or group; of load and excess the first bus of the island, or a dead bus.
        mw: by how much, MW.
        outage: the branch after whose outage the limit would be exceeded.
    """

    kind: str
    id: str
    mw: float
    outage: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Proof that the dispatch and prices belong together, computed without the solver's own flags.

    Attributes:
        passed: every residual is within its tolerance.
        residuals: each residual by name; MW or money per MWh as the name says.
    """

    passed: bool
    residuals: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """By whose order and why an interval was cleared again (Art. 22).

    Attributes:
        corrected: each frozen value that was put right, before and after.
        replaces: hashes of the result before this one; empty where there was none.
    """

    command_id: str
    by: str
    role: str
    reason: str
    corrected: tuple[str, ...] = ()
    replaces: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """A valid result for one interval.

    Money is CNY for the market and whatever the case is written in for a MATPOWER file; power is MW.

    Attributes:
        dispatch_mw: base point per unit.
        lmp_per_mwh: price per bus; a dead bus is absent.
        congestion_per_mwh: the congestion part of each bus price.
        energy_per_mwh: the part common to all buses of the main island; LMP = energy + congestion + loss.
        flow_mw: flow per branch in service.
        uniform_price_per_mwh: load-weighted mean LMP, the user-side settlement price.
        objective_per_h: cost of the dispatch without penalties.
        hashes: SHA-256 of inputs, topology, parameters and result, hex, by name.
        loss_per_mwh: the loss part of each bus price, of the buses that have a delivery factor.
        lmp_raw_per_mwh: price before floor and cap, of the buses where one of them acted.
        substitute_bus: of dead buses that were reached from a live one before they died, the nearest of those: its price stands in.
        storage_mw: what each storage gives less what it takes, MW.
        soc_mwh: energy in each storage at the end of the interval, MWh.
        simultaneous_mw: power that a storage was awarded on both sides at once, MW, where it is not 0 (:mod:`market.storage`).
        reserve_mw: award by product and provider, MW, where it is not 0.
        reserve_price_per_mwh: price of each reserve requirement per MW and hour.
        ahead_energy_per_mwh: energy price of each period of the horizon after this one; advisory; None where no island lives.
        flags: what a reader of the prices should know: ``tied`` (equal offers shared), ``price_degenerate`` (the least of several price
            sets), ``unsettled`` (a choice among equals was not reached and the solver's stands), ``priced_apart`` (the pricing run ended
            elsewhere than the dispatch), ``islanding:N`` (N outages cut the grid and are not screened).
        review: why people must look at it before its prices are settled; empty where nothing speaks against it.
        eased: whether it was secured against no outage, because with them the solver did not end in time.
        revision: by whose order it was cleared again; None for the first result of its interval.
        frozen_at_ns: event time its inputs were frozen at; None in records of releases that did not say, and where it was cleared again.
    """

    interval_start_ns: int
    completed_at_ns: int
    status: OutcomeStatus
    objective_per_h: float
    penalty_per_h: float
    dispatch_mw: dict[str, float]
    lmp_per_mwh: dict[str, float]
    energy_per_mwh: float
    congestion_per_mwh: dict[str, float]
    flow_mw: dict[str, float]
    uniform_price_per_mwh: float
    certificate: Certificate
    binding: tuple[Binding, ...] = ()
    violations: tuple[Violation, ...] = ()
    hashes: dict[str, str] = field(default_factory=dict)
    version: int = 1
    lmp_raw_per_mwh: dict[str, float] = field(default_factory=dict)
    loss_per_mwh: dict[str, float] = field(default_factory=dict)
    substitute_bus: dict[str, str] = field(default_factory=dict)
    storage_mw: dict[str, float] = field(default_factory=dict)
    soc_mwh: dict[str, float] = field(default_factory=dict)
    reserve_mw: dict[str, dict[str, float]] = field(default_factory=dict)
    reserve_price_per_mwh: dict[str, float] = field(default_factory=dict)
    ahead_energy_per_mwh: tuple[float | None, ...] = ()
    flags: tuple[str, ...] = ()
    simultaneous_mw: dict[str, float] = field(default_factory=dict)
    review: tuple[str, ...] = ()
    eased: bool = False
    revision: Revision | None = None
    frozen_at_ns: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearingFailed:
    """No valid result for one interval, with the reason and what is known of it.

    Attributes:
        reason: the class of failure.
        detail: what a person needs to act: the offender by name, and numbers.
        frozen_at_ns: as of a result.
    """

    interval_start_ns: int
    completed_at_ns: int
    reason: FailureReason
    detail: str
    version: int = 1
    frozen_at_ns: int | None = None


Outcome = Cleared | ClearingFailed
