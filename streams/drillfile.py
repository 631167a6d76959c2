"""The form of a drill file: a scenario as data, so that a case can be added without writing Python.

The kinds of step stand in :mod:`streams.drillsteps`, what may be expected in :mod:`streams.drillexpect`; ``docs/drills.md`` shows them
with examples and ``tests/drills`` holds a hundred. Keys the format does not know are errors: nothing in a drill is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ingest.yamlfile import Located, Name
from market.errors import ConfigError, Problem, UnitError
from market.rulebook import ALWAYS_NS, Rulebook, RulesInForce, Version
from market.rules import MarketRules, rules_from
from market.units import day_start_ns, instant_ns
from streams import drillsteps as kinds
from streams.drillexpect import Expect
from streams.drillsteps import Described, Instant

__all__ = ["Scenario", "Step", "played", "scenario_from", "schema"]

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Step(Described):
    """One thing that happens, or one thing that must hold, at one instant: `at` and exactly one other key."""

    at: Instant
    clearing: kinds.ClearingStep | None = None
    da_eta: kinds.EtaStep | None = None
    switch: kinds.SwitchStep | None = None
    flow: kinds.FlowStep | None = None
    voltage: kinds.VoltageStep | None = None
    trip_signal: kinds.TripSignalStep | None = None
    load: kinds.LoadStep | None = None
    infeed: kinds.InfeedStep | None = None
    interface_limit: kinds.InterfaceLimitStep | None = None
    estimate: kinds.EstimateStep | None = None
    permit: kinds.PermitStep | None = None
    control: kinds.ControlStep | None = None
    exercise: kinds.SpanStep | None = None
    source: kinds.SourceStep | None = None
    clock: kinds.ClockStep | None = None
    calendar: kinds.CalendarStep | None = None
    warning: kinds.WarningStep | None = None
    command: kinds.CommandStep | None = None
    approval: kinds.ApprovalStep | None = None
    receipt: kinds.ReceiptStep | None = None
    session: kinds.SessionStep | None = None
    login: kinds.LoginStep | None = None
    order: kinds.OrderStep | None = None
    restart: Literal[True] | None = None
    """The process is killed and recovers from what its table keeps."""
    expect: Expect | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        given = [name for name in type(self).model_fields if name != "at" and getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a step is one thing; this one has {', '.join(given) or 'none'}")
        return self

    @property
    def kind(self) -> str:
        """The key that says what it is."""
        return next(name for name in type(self).model_fields if name != "at" and getattr(self, name) is not None)


class Branch(Described):
    """One element of the drill's grid."""

    from_: Annotated[Name, Field(alias="from")]
    """A bus, or the area that stands for one."""
    to: Name
    kv: _Positive
    element: Literal["line", "transformer"] = "line"
    rating_mw: _Positive | None = None


class Bus(Described):
    """A bus, where substations or islands matter; a bus that is not listed has the name of an area, and all of its load."""

    area: Name | None = None
    """The area whose load it carries part of."""
    share_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """Its part of that load; an equal part where it is not given."""
    kv: _Positive | None = None


class Station(Described):
    """A substation."""

    buses: Annotated[list[Name], Field(min_length=1)]
    kv: _Positive


class Infeed(Described):
    """A DC link or a neighbour that feeds in; `mw` as the drill starts."""

    bus: Name
    mw: Annotated[float, Field(allow_inf_nan=False)]


class Interface(Described):
    """A section whose transfer is limited; `limit_mw` as the last clearing used it."""

    branches: Annotated[list[Name], Field(min_length=1)]
    limit_mw: _Positive


class Grid(Described):
    """The grid, where topology matters. Every element starts CLOSED, GOOD and carrying 40 % of its rating; loads start as given."""

    loads_mw: dict[Name, float] = Field(default_factory=dict)
    branches: dict[Name, Branch] = Field(default_factory=dict)
    buses: dict[Name, Bus] = Field(default_factory=dict)
    stations: dict[Name, Station] = Field(default_factory=dict)
    infeeds: dict[Name, Infeed] = Field(default_factory=dict)
    interfaces: dict[Name, Interface] = Field(default_factory=dict)
    silent: bool = False
    """Nothing of it is told as the drill starts; the steps tell how it stands. Recordings are such drills."""

    @property
    def bus_names(self) -> set[str]:
        """Every bus there is: those that are listed, and the ends of branches."""
        ends = {end for branch in self.branches.values() for end in (branch.from_, branch.to)}
        return ends | set(self.buses) | {bus for station in self.stations.values() for bus in station.buses}


class Calendar(Described):
    """Which segments are expected to clear."""

    rt: Literal["open", "closed"] = "open"
    da: Literal["open", "closed"] = "closed"


class RuleChange(Described):
    """Other rules from an instant on."""

    from_: Annotated[Instant, Field(alias="from")]
    rules: dict[str, Any]
    """Overrides of the rules in force before; name a `revision` of their own."""


class Scenario(Described):
    """A drill file."""

    id: str
    title: str
    rules: dict[str, Any] = Field(default_factory=dict)
    """Overrides of the shipped rule set; `gridfuse rules show` prints every name."""
    rule_changes: list[RuleChange] = Field(default_factory=list)
    grid: Grid = Field(default_factory=Grid)
    calendar: Calendar = Field(default_factory=Calendar)
    start: Instant
    """When the breaker begins to watch."""
    steps: Annotated[list[Step], Field(min_length=1)]
    """In arrival order; time advances to each `at`, ticks included."""

    @model_validator(mode="after")
    def _in_order(self) -> Scenario:
        last_ns = self.start
        for number, step in enumerate(self.steps):
            if step.at < last_ns:
                raise ValueError(f"step {number + 1} lies before the one above it; steps stand in arrival order")
            last_ns = step.at
        return self


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a drill file, for editors and for other programs that write one."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Scenario.model_json_schema(by_alias=True)}


def scenario_from(located: Located) -> tuple[Scenario, RulesInForce]:
    """Read a scenario and the rules it plays under: one rule set, or a rulebook where they change.

    Raises:
        ConfigError: every problem of the file.
    """
    scenario = located.validate(Scenario)
    rules = rules_from(scenario.rules, where=located.where("rules"))
    problems = [*_strangers(scenario, located), *_rows(scenario, rules, located)]
    if problems:
        raise ConfigError(problems)
    return scenario, _book(scenario, rules, located) if scenario.rule_changes else rules


def _book(scenario: Scenario, first: MarketRules, located: Located) -> Rulebook:
    versions = [Version(from_ns=ALWAYS_NS, rules=first, source=located.where("rules"))]
    for number, change in enumerate(scenario.rule_changes):
        where = located.where("rule_changes", number)
        if change.from_ <= versions[-1].from_ns:
            raise ConfigError([Problem(where, "lies at or before the change above it; changes stand in order, one at an instant")])
        versions.append(Version(from_ns=change.from_, rules=rules_from(change.rules, versions[-1].rules, where=where), source=where))
    return Rulebook(versions)


def _strangers(scenario: Scenario, located: Located) -> Iterator[Problem]:
    """Say what a step or a part of the grid names that is not in the grid."""
    grid = scenario.grid
    for name, interface in grid.interfaces.items():
        for branch in interface.branches:
            if branch not in grid.branches:
                yield located.problem(_unknown(branch, "an element", "branches"), "grid", "interfaces", name)
    for name, bus in grid.buses.items():
        if bus.area is not None and bus.area not in grid.loads_mw:
            yield located.problem(_unknown(bus.area, "an area", "loads_mw"), "grid", "buses", name)
    for name, infeed in grid.infeeds.items():
        if infeed.bus not in grid.bus_names:
            yield located.problem(_unknown(infeed.bus, "a bus", "buses"), "grid", "infeeds", name)
    for number, step in enumerate(scenario.steps):
        for thing in (step.switch, step.flow, step.permit, step.trip_signal):
            if thing is not None and thing.element not in grid.branches:
                yield located.problem(_unknown(thing.element, "an element", "branches"), "steps", number)
        for element in step.estimate.doubted if step.estimate else ():
            if element not in grid.branches:
                yield located.problem(_unknown(element, "an element", "branches"), "steps", number)
        if grid.silent:
            continue  # a recording names what the service's network has, of which the file tells the branches only
        if step.voltage is not None and step.voltage.bus not in grid.bus_names:
            yield located.problem(_unknown(step.voltage.bus, "a bus", "buses"), "steps", number)
        if step.infeed is not None and step.infeed.infeed not in grid.infeeds:
            yield located.problem(_unknown(step.infeed.infeed, "an infeed", "infeeds"), "steps", number)
        if step.interface_limit is not None and step.interface_limit.interface not in grid.interfaces:
            yield located.problem(_unknown(step.interface_limit.interface, "an interface", "interfaces"), "steps", number)


def _unknown(name: str, what: str, key: str) -> str:
    return f"{name!r} is not {what} of the drill's grid; add it under grid.{key}"


def _rows(scenario: Scenario, rules: MarketRules, located: Located) -> Iterator[Problem]:
    """Say which days and ends of rows of results cannot be read."""
    for number, step in enumerate(scenario.steps):
        try:
            if step.da_eta is not None:
                day_start_ns(step.da_eta.operating_day, rules.zone)
            if step.clearing is not None and step.clearing.operating_day is not None:
                day_start_ns(step.clearing.operating_day, rules.zone)
            if step.clearing is not None and step.clearing.through is not None and len(_row(step, rules)) < 2:
                yield located.problem("`through` must lie after the first of the row", "steps", number, "clearing", "through")
        except UnitError as exc:
            yield located.problem(str(exc), "steps", number, step.kind)


def played(scenario: Scenario, rules: MarketRules) -> list[tuple[int, Step]]:
    """Return the steps as they are played, each with its number in the file: rows of results are written out, in their place in time."""
    written = [(number, each) for number, step in enumerate(scenario.steps, 1) for each in _row(step, rules)]
    return sorted(written, key=lambda numbered: numbered[1].at)


def _row(step: Step, rules: MarketRules) -> list[Step]:
    first = step.clearing
    if first is None or first.through is None:
        return [step]
    row, shift_ns = [], 0
    step_ns = rules.rt_interval_ns
    if first.interval is not None:
        last_ns = instant_ns(first.through)
        while first.interval + shift_ns <= last_ns:
            row.append(_shifted(step, first, shift_ns, {"interval": first.interval + shift_ns}))
            shift_ns += step_ns
        return row
    day, last = date.fromisoformat(str(first.operating_day)), first.through
    start_ns, last_ns = day_start_ns(day.isoformat(), rules.zone), day_start_ns(last, rules.zone)
    while start_ns + shift_ns <= last_ns:
        row.append(_shifted(step, first, shift_ns, {"operating_day": day.isoformat()}))
        day += timedelta(days=1)
        shift_ns = day_start_ns(day.isoformat(), rules.zone) - start_ns
    return row


def _shifted(step: Step, first: kinds.ClearingStep, shift_ns: int, key: dict[str, Any]) -> Step:
    completed_at = None if first.completed_at is None else first.completed_at + shift_ns
    clearing = first.model_copy(update={**key, "completed_at": completed_at, "through": None})
    return step.model_copy(update={"at": step.at + shift_ns, "clearing": clearing})
