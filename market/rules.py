"""The rule set: every number the market decides by, with the article it comes from.

All parties must agree on these values, so they are versioned together and the rule-set id stands in every decision. What may
differ from machine to machine (addresses, paths, ports) is ``streams.settings`` instead.

Citations are to the Guangdong measure (consultation draft, 2023-04-25); "policy" marks a value the text leaves open. The Chinese
comparators are kept exactly: 以上 and 以内 include the number, 超过 excludes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from math import isfinite
from typing import Any, cast

from market.errors import ConfigError, Problem, UnitError
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S, civil_day

__all__ = [
    "GUANGDONG_2023",
    "Anchor",
    "BadData",
    "Credibility",
    "DayAhead",
    "Doubt",
    "DutyClocks",
    "InputGates",
    "LoadForecast",
    "MarketRules",
    "Mode",
    "Modes",
    "Reference",
    "ReferencePrices",
    "Requires",
    "Situations",
    "Suspension",
    "TopologyHard",
    "TopologySoft",
    "rules_from",
]


class Mode(StrEnum):
    """Whether a trigger acts by itself or proposes to a person."""

    AUTO = "auto"
    CONFIRM = "confirm"


class Doubt(StrEnum):
    """What becomes of a result that is not credible."""

    REVIEW = "review"
    """It counts, is provisional, and people are told."""
    REFUSE = "refuse"
    """The interval has no result."""
    IGNORE = "ignore"


class Requires(StrEnum):
    """What a suspension needs before it can be decided."""

    REPORT = "report"
    APPROVAL = "approval"


class Anchor(StrEnum):
    """From when the seven days of Art. 28 count."""

    SUSPENSION_START = "suspension_start"
    INTERRUPTION_START = "interruption_start"


class Reference(StrEnum):
    """Whose price is the reference of Art. 27(3)."""

    DA = "DA"
    RT = "RT"


def _cited(default: Any, cite: str) -> Any:
    return field(default=default, metadata={"cite": cite})


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """The mode of each trigger that may be automatic at all; every other trigger only proposes."""

    RT_120: Mode = _cited(Mode.AUTO, "Art. 23(1); shipped profile")
    DA_MISSED: Mode = _cited(Mode.AUTO, "Art. 23(1); shipped profile")
    TOPOLOGY_HARD: Mode = _cited(Mode.AUTO, "Art. 23(2); shipped profile")
    SWITCHOVER: Mode = _cited(Mode.AUTO, "Art. 23(2); shipped profile")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyHard:
    """What makes a topology change *major* beyond doubt (policy, spec §1.5). A figure reached exactly counts."""

    ehv_elements: int = _cited(3, "policy, table 1.5: unplanned top-voltage elements lost, or more")
    ehv_window_min: int = _cited(15, "policy, table 1.5")
    window_min: int = _cited(10, "policy, table 1.5: window over which lost load is counted")
    load_lost_pct: float = _cited(13.0, "State Council Order 599, major: share of the load before, grids of 20 GW or more")
    load_lost_mid_pct: float = _cited(16.0, "State Council Order 599, major: grids of 5 to 20 GW")
    load_lost_small_pct: float = _cited(50.0, "State Council Order 599, major: grids of 1 to 5 GW")
    island_pct: float = _cited(5.0, "policy, table 1.5: share of the load in the smaller of two energised islands")
    island_hold_s: int = _cited(60, "policy, table 1.5: for as long as this")
    hv_elements: int = _cited(6, "policy, table 1.5: elements of the second voltage within the same window")
    substations: int = _cited(1, "policy, table 1.5: whole top-voltage substations lost")
    infeed_pct: float = _cited(5.0, "policy, table 1.5: a lost infeed, share of the load before")


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologySoft:
    """What makes a topology change worth a proposal to a person (policy, spec §1.5). A figure reached exactly counts."""

    ehv_elements: int = _cited(2, "policy, table 1.5")
    load_lost_pct: float = _cited(5.0, "State Council Order 599, ordinary: grids of 20 GW or more")
    load_lost_mid_pct: float = _cited(6.0, "State Council Order 599, ordinary: grids of 5 to 20 GW")
    load_lost_small_pct: float = _cited(10.0, "State Council Order 599, ordinary: grids of 1 to 5 GW")
    island_pct: float = _cited(1.0, "policy, table 1.5")
    hv_elements: int = _cited(4, "policy, table 1.5")
    infeed_pct: float = _cited(2.0, "policy, table 1.5")
    interface_fall_pct: float = _cited(30.0, "policy, table 1.5: fall of a section's limit that the last clearing used")


@dataclass(frozen=True, slots=True, kw_only=True)
class BadData:
    """When a measurement is told to lie (:mod:`detectors.estimation`)."""

    confidence: float = _cited(0.99, "policy: probability below which the sum of squared residuals passes, chi-square test")
    residual: float = _cited(3.0, "Handschin et al. 1975: largest normalised residual above which a measurement is bad")
    sigma_pct: float = _cited(1.0, "policy: standard error of a power measurement, % of its branch's rating")
    sigma_min_mw: float = _cited(0.5, "policy: and at least this")
    suspects_max: int = _cited(16, "policy: most measurements that are left out of one estimate")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAhead:
    """The clocks of the day-ahead market; minutes count from midnight of the day before the operating day."""

    publish_min: int = _cited(17 * 60 + 30, "operating rules: results are published by 17:30; later is an anomaly (Art. 9(2))")
    deadline_min: int = _cited(23 * 60, "Art. 23(1): before 23:00; a result completed at 23:00:00.000 is in time")
    shadow_ok: int = _cited(1, "policy: valid day-ahead results in a row before recovery is proposed")
    expected: bool = _cited(True, "market calendar: whether the day-ahead market runs at all")


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyClocks:
    """The statutory clocks beside those of Art. 24 and 25, and when people are reminded of them."""

    announce_warn_min: int = _cited(15, "policy Q9: an announcement later than this alarms")
    announce_max_min: int = _cited(30, "policy Q9, by analogy with Art. 11: later is a breach")
    explain_reminders_h: tuple[int, ...] = _cited((24, 36, 44, 47), "policy §1.2")
    limit_reminders_h: tuple[int, ...] = _cited((48, 60, 66, 71), "policy §1.2")
    anomaly_announce_min: int = _cited(30, "Art. 11: within 30 minutes of discovery, inclusive")
    anomaly_reminders_min: tuple[int, ...] = _cited((20, 27), "policy §1.2")
    update_min: int = _cited(60, "policy: from a notice to the next update it promises")
    oral_written_h: int = _cited(24, "policy, Art. 18: a written request follows an oral one")
    declaration_notice_min: int = _cited(30, "Art. 21: notice ahead of the new deadline, inclusive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """How a breaker becomes a suspension, and a suspension a long one (Art. 25 to 28, 30)."""

    requires: Requires = _cited(Requires.REPORT, "policy Q6: Art. 25 asks for a report, Art. 30 for consent")
    long_after_days: int = _cited(7, "Art. 28: more than 7 days; civil days, the first not counted (Civil Code Art. 201)")
    long_anchor: Anchor = _cited(Anchor.SUSPENSION_START, "policy Q4")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePrices:
    """The mean of Art. 27(3)."""

    window_days: int = _cited(30, "Art. 27(3): the last 30 days; policy Q5: before the first day of the interruption")
    sample_min: int = _cited(7, "policy Q5: fewer values than this are no sample")
    market: Reference = _cited(Reference.DA, "policy Q5: whose user-side price")
    period_min: int = _cited(60, "operating rules: length of a settlement period")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """When participants who cannot work make an anomaly (Art. 7(5), 8(2))."""

    unable_pct: float = _cited(10.0, "Art. 7(5), 8(2): 10 % and above")
    warn_pct: float = _cited(5.0, "policy: an early warning")
    window_min: int = _cited(5, "policy: orders rejected within this window count together")
    login_window_min: int = _cited(15, "policy: logins count from this long before the session opens")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGates:
    """How old, how incomplete and how contradictory telemetry may be that an interval is cleared from (:mod:`market.gates`)."""

    unit_age_s: int = _cited(60, "policy: older than this, and than twice its period, a unit's output is taken from its base point")
    stale_generation_pct: float = _cited(5.0, "policy: share of the output told by stale telemetry above which there is no result")
    replaced_generation_pct: float = _cited(2.5, "policy: share of the output taken from base points above which a result is degraded")
    balance_pct: float = _cited(
        3.0, "policy: generation less load less export, % of load, above which the measurements contradict each other"
    )
    topology_age_min: float = _cited(20.0, "policy, after ERCOT's desk manual: positions older than this make a result degraded")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadForecast:
    """How the load of an interval is foreseen from the load measured before it (:mod:`streams.loadforecast`)."""

    ratio_max: float = _cited(1.2, "policy: a profile that asks for a larger change, up or down, is not followed; 1 follows none")
    persisted_min: float = _cited(15.0, "policy: a load that is held this long or longer for want of a profile makes a result degraded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credibility:
    """When a result differs so much from the last valid one that its inputs may be manifestly wrong (:mod:`market.credibility`)."""

    doubt: Doubt = _cited(Doubt.REVIEW, "Art. 9(1) makes it an anomaly; policy: a person decides what it was")
    price_ratio: float = _cited(
        3.0, "policy, after AEMO's review trigger: a price beyond this multiple of the one before, or below its inverse"
    )
    price_step_cny_per_mwh: float = _cited(140.0, "policy, after AEMO's 20 a MWh: and further from it than this")
    buses_pct: float = _cited(25.0, "policy: share of buses whose price did so")
    tie_step_pct: float = _cited(10.0, "policy: change of the flow between two areas, % of system load")
    cost_ratio: float = _cited(3.0, "policy: cost per MW of load beyond this multiple of the one before, or below its inverse")
    reference_min: float = _cited(60.0, "policy: an older result is held against nothing")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketRules:
    """One version of the market rules.

    Durations carry their unit in the name; ``*_ns`` properties give them in the unit the machines count in.
    """

    rule_set: str = _cited("gd-2023-draft", "Art. 32: the interpretation in force")
    revision: str = _cited("r1", "Art. 32")
    zone: str = _cited("Asia/Shanghai", "all instants of the measure")

    rt_interval_min: int = _cited(15, "operating rules: length of a real-time interval")
    gap_last_valid_min: int = _cited(120, "policy Q2: a last valid price older than this gives way to the day-ahead price")
    due_offset_s: int = _cited(0, "policy: a result is due at the start of its interval")
    rt_limit_min: int = _cited(120, "Art. 23(1): 120 分钟及以上, so >=")
    grace_s: int = _cited(30, "policy: lateness allowed on the wire before a decision")
    gate_lead_s: int = _cited(60, "operating rules: inputs are frozen this long before the interval")
    reminders_min: tuple[int, ...] = _cited((15, 30, 60, 90, 105), "policy §1.2: reminders while real-time clearing is out")

    proposal_escalate_min: int = _cited(10, "policy §1.2: an unanswered proposal escalates")
    repropose_min: int = _cited(30, "policy: a rejected proposal returns while its condition holds")
    announce_target_min: int = _cited(5, "policy Q9, by analogy with Art. 11")
    explain_h: int = _cited(48, "Art. 24: within 48 hours, inclusive")
    breaker_max_h: int = _cited(72, "Art. 24/25: more than 72 hours is overdue")
    retrip_h: int = _cited(24, "policy Q12: a trip for the same cause sooner after a recovery continues the 72 hours")
    shadow_ok: int = _cited(4, "policy: valid shadow clearings in a row before recovery is proposed")
    recovery_remind_h: int = _cited(4, "policy, GD-29-3: a recovery that nobody orders is proposed again while it is possible")
    resume_notice_min: int = _cited(30, "policy, after AEMO: notice before prices return to the market")

    modes: Modes = field(default_factory=Modes)
    topology_hard: TopologyHard = field(default_factory=TopologyHard)
    topology_soft: TopologySoft = field(default_factory=TopologySoft)
    bad_data: BadData = field(default_factory=BadData)
    day_ahead: DayAhead = field(default_factory=DayAhead)
    duty_clocks: DutyClocks = field(default_factory=DutyClocks)
    suspension: Suspension = field(default_factory=Suspension)
    reference: ReferencePrices = field(default_factory=ReferencePrices)
    situations: Situations = field(default_factory=Situations)
    input_gates: InputGates = field(default_factory=InputGates)
    load_forecast: LoadForecast = field(default_factory=LoadForecast)
    credibility: Credibility = field(default_factory=Credibility)
    second_voltage_kv: float = _cited(220.0, "policy, table 1.5: the voltage below it, with counts of its own")
    top_voltage_kv: float = _cited(500.0, "policy, table 1.5: the voltage from which an element counts")
    breaker_debounce_s: int = _cited(10, "policy, table 1.5: a position counts once it has held this long")
    reclose_s: int = _cited(10, "policy, table 1.5: an opening that recloses in time was no loss")
    chatter_changes: int = _cited(3, "policy, table 1.5: changes within a minute that make a point chatter")
    dead_flow_pct: float = _cited(1.0, "policy, table 1.5: below this share of rating at both ends a branch carries nothing")
    permit_margin_min: int = _cited(30, "policy, table 1.5: a permit covers this much before and after")
    switchover_hold_s: int = _cited(60, "policy, table 1.5: control authority must be stable this long")
    observability_pct: float = _cited(90.0, "policy, table 1.5: share of observed top-voltage elements below which nothing trips by itself")
    clock_jump_s: float = _cited(2.0, "policy §1.2: wall clock against monotonic clock")

    price_floor_cny_per_mwh: float = _cited(0.0, "provincial offer rules")
    price_cap_cny_per_mwh: float = _cited(1500.0, "provincial offer rules")

    @property
    def id(self) -> str:
        """The identity that stands in every decision, as ``gd-2023-draft/r1``."""
        return f"{self.rule_set}/{self.revision}"

    @property
    def rt_interval_ns(self) -> int:
        """Length of a real-time interval, ns."""
        return self.rt_interval_min * NS_PER_MIN

    @property
    def due_offset_ns(self) -> int:
        """From the start of an interval to the instant its result is due, ns."""
        return self.due_offset_s * NS_PER_S

    @property
    def rt_limit_ns(self) -> int:
        """How long real-time clearing may be out before the breaker's condition is met, ns."""
        return self.rt_limit_min * NS_PER_MIN

    @property
    def gap_last_valid_ns(self) -> int:
        """How old a last valid price may be that stands in for a missing one, ns."""
        return self.gap_last_valid_min * NS_PER_MIN

    @property
    def grace_ns(self) -> int:
        """How long a decision waits for facts that are still on the wire, ns."""
        return self.grace_s * NS_PER_S

    @property
    def gate_lead_ns(self) -> int:
        """From the freeze of the inputs to the start of the interval, ns."""
        return self.gate_lead_s * NS_PER_S

    @property
    def resume_notice_ns(self) -> int:
        """Least time from a recovery's announcement to its effect, ns."""
        return self.resume_notice_min * NS_PER_MIN

    @property
    def breaker_max_ns(self) -> int:
        """Longest breaker time before it is overdue, ns."""
        return self.breaker_max_h * NS_PER_H

    @property
    def retrip_ns(self) -> int:
        """How long after a recovery a trip for the same cause continues its breaker's 72 hours, ns."""
        return self.retrip_h * NS_PER_H

    def at(self, ts_ns: int) -> MarketRules:
        """Return itself: a single rule set always holds, so that it may stand where a :class:`market.rulebook.Rulebook` may."""
        return self

    def as_data(self) -> dict[str, Any]:
        """Return the rule set as plain data, for the record of what was in force."""
        return asdict(self)


GUANGDONG_2023 = MarketRules()
"""The shipped rule set: Guangdong consultation draft of 2023-04-25, first reading."""


def rules_from(overrides: Mapping[str, Any], base: MarketRules = GUANGDONG_2023, where: str = "rules") -> MarketRules:
    """Return ``base`` with some values replaced.

    Args:
        overrides: field name to value; ``modes`` and ``topology_hard`` are mappings of their own.
        base: the rule set to start from.
        where: the file (and line) the overrides came from, for the messages.

    Returns:
        A rule set whose ``revision`` says that it was overridden, unless the overrides name a revision themselves.

    Raises:
        ConfigError: unknown names and unusable values, all of them.

    >>> rules_from({"rt_interval_min": 5}).id
    'gd-2023-draft/r1+overrides'
    """
    problems: list[Problem] = []
    values = _checked(overrides, base, where, problems)
    try:
        civil_day(0, values.get("zone", base.zone))
    except UnitError as exc:
        problems.append(Problem(where, f"zone: {exc}"))
    if problems:
        raise ConfigError(problems)
    if values and "revision" not in values:
        values["revision"] = f"{base.revision}+overrides"
    rules = replace(base, **values)
    if 60 % rules.rt_interval_min:
        raise ConfigError([Problem(where, f"rt_interval_min: {rules.rt_interval_min} does not divide an hour; use 5, 15, 30 or 60")])
    if rules.price_floor_cny_per_mwh >= rules.price_cap_cny_per_mwh:
        raise ConfigError([Problem(where, "price_floor_cny_per_mwh must lie below price_cap_cny_per_mwh")])
    return rules


def _checked(overrides: Mapping[str, Any], base: Any, where: str, problems: list[Problem]) -> dict[str, Any]:
    """Check each override against the field it replaces; unusable ones become problems."""
    known = {spec.name: getattr(base, spec.name) for spec in fields(base)}
    values: dict[str, Any] = {}
    for name, value in overrides.items():
        if name not in known:
            problems.append(Problem(where, f"unknown rule {name!r}; known: {', '.join(sorted(known))}"))
            continue
        current = known[name]
        if is_dataclass(current):
            if not isinstance(value, Mapping):
                problems.append(Problem(where, f"{name}: expected names and values, got {value!r}"))
            else:
                values[name] = replace(cast("Any", current), **_checked(value, current, f"{where}: {name}", problems))
        elif isinstance(current, StrEnum):
            kind = type(current)
            if value not in tuple(kind):
                problems.append(Problem(where, f"{name}: {value!r} is not a {kind.__name__.lower()}; use {' or '.join(kind)}"))
            else:
                values[name] = kind(value)
        elif isinstance(current, tuple):
            if not isinstance(value, list | tuple) or not all(type(v) is int and v > 0 for v in value):
                problems.append(Problem(where, f"{name}: expected a list of positive whole numbers, got {value!r}"))
            else:
                values[name] = tuple(sorted(value))
        elif isinstance(current, str):
            if not isinstance(value, str) or not value:
                problems.append(Problem(where, f"{name}: expected text, got {value!r}"))
            else:
                values[name] = value
        elif isinstance(current, bool):
            if not isinstance(value, bool):
                problems.append(Problem(where, f"{name}: expected true or false, got {value!r}"))
            else:
                values[name] = value
        elif isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            problems.append(Problem(where, f"{name}: expected a number, got {value!r}"))
        elif isinstance(current, int) and int(value) != value:
            problems.append(Problem(where, f"{name}: expected a whole number, got {value!r}"))
        elif value < 0 or (value == 0 and name in {"rt_interval_min", "rt_limit_min", "shadow_ok"}):
            problems.append(Problem(where, f"{name}: {value!r} is too small"))
        else:
            values[name] = type(current)(value)
    return values
