"""The form of a drill file: a scenario as data, so that a case can be added without writing Python.

The models below are the documentation of the format; ``tests/drills`` holds examples. Keys the format does not know are errors, and
so are kinds of step that this release cannot play: nothing in a drill is skipped.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from ingest.yamlfile import Located, Name, Strict
from market.errors import ConfigError, UnitError
from market.facts import ClearingStatus, PointQuality, RunType, Segment, SwitchStatus
from market.rules import MarketRules, rules_from
from market.units import instant_ns

__all__ = [
    "AnnouncementExpect",
    "ClearingStep",
    "CommandExpect",
    "Expect",
    "FlowStep",
    "Scenario",
    "SegmentExpect",
    "Step",
    "scenario_from",
]


def _instant(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not an instant; write it in quotes, as in "2026-06-10T12:00:00+08:00"')
    try:
        return instant_ns(value)
    except UnitError as exc:
        raise ValueError(str(exc)) from None


Instant = Annotated[int, BeforeValidator(_instant)]


class ClearingStep(Strict):
    """A clearing run reports; ``price`` is one number, or one per period for a day-ahead result."""

    segment: Segment
    outcome: ClearingStatus
    interval: Instant | None = None
    operating_day: str | None = None
    run_type: RunType = RunType.PRODUCTION
    version: Annotated[int, Field(ge=1)] = 1
    completed_at: Instant | None = None
    reason: str = ""
    price: float | list[float] | None = None

    @model_validator(mode="after")
    def _keyed_by_its_segment(self) -> ClearingStep:
        wanted, other = ("interval", "operating_day") if self.segment is Segment.RT else ("operating_day", "interval")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"a result of {self.segment} is keyed by `{wanted}`, and has no `{other}`")
        return self


class SwitchStep(Strict):
    """A switch of a branch reports its position."""

    element: Name
    status: SwitchStatus
    quality: PointQuality = PointQuality.GOOD


class FlowStep(Strict):
    """The flow on a branch is measured, % of rating at each end."""

    element: Name
    from_pct: float
    to_pct: float
    quality: PointQuality = PointQuality.GOOD


class LoadStep(Strict):
    """The load of an area is measured."""

    area: Name
    mw: float


class PermitStep(Strict):
    """An outage permit: the element may be open in between."""

    element: Name
    from_: Annotated[Instant, Field(alias="from")]
    to: Instant


class SpanStep(Strict):
    """A span of time: a planned switchover exercise, or a closed calendar."""

    from_: Annotated[Instant, Field(alias="from")]
    to: Instant


class CalendarStep(Strict):
    """A segment is not expected to clear in ``closed`` (or directly: from … to)."""

    closed: SpanStep
    segment: Segment = Segment.RT

    @model_validator(mode="before")
    @classmethod
    def _from_to(cls, data: Any) -> Any:
        if isinstance(data, dict) and "closed" not in data and {"from", "to"} <= set(data):
            return {"closed": {"from": data["from"], "to": data["to"]}, **{k: v for k, v in data.items() if k not in ("from", "to")}}
        return data


class ControlStep(Strict):
    """A control site claims or gives up authority."""

    site: Literal["MAIN", "BACKUP"]
    asserted: bool


class SourceStep(Strict):
    """Sight of a source is lost or regained."""

    name: Literal["clearing", "scada"]
    up: bool


class ClockStep(Strict):
    """Seconds passed on the wall clock and on the monotonic clock."""

    wall_s: float
    monotonic_s: float


class CommandStep(Strict):
    """A person orders something."""

    by: str
    role: str
    action: str
    args: dict[str, Name] = Field(default_factory=dict)


class SegmentExpect(Strict):
    """What a segment must look like; keys left out are not looked at."""

    state: str | None = None
    outage_start: Instant | None = None
    condition_met_at: Instant | None = None
    tripped_at: Instant | None = None
    headroom_s: float | None = None
    flags: list[str] | None = None
    basis: str | None = None


class AnnouncementExpect(Strict):
    """An announcement that must exist."""

    kind: str | None = None
    segment: Segment | None = None
    active: bool | None = None
    contains: str | None = None


class CommandExpect(Strict):
    """How the last command ended."""

    accepted: bool | None = None
    refused: bool | None = None
    rule: str | None = None


class Expect(Strict):
    """What must hold at this instant."""

    RT: SegmentExpect | None = None
    DA: SegmentExpect | None = None
    announcements: int | list[AnnouncementExpect] | None = None
    alarms: list[str] | None = None
    last_command: CommandExpect | Literal["accepted", "refused"] | None = None
    duties: dict[str, Literal["open", "met", "late", "overdue", "lifted"]] | None = None
    regime: dict[str, str] | None = None
    price: dict[str, float] | None = None
    audit_ok: bool | None = None


class Step(Strict):
    """One thing that happens, or one thing that must hold, at one instant."""

    at: Instant
    clearing: ClearingStep | None = None
    switch: SwitchStep | None = None
    flow: FlowStep | None = None
    load: LoadStep | None = None
    permit: PermitStep | None = None
    control: ControlStep | None = None
    exercise: SpanStep | None = None
    source: SourceStep | None = None
    clock: ClockStep | None = None
    calendar: CalendarStep | None = None
    command: CommandStep | None = None
    restart: Literal[True] | None = None
    expect: Expect | None = None
    # Kinds of the format that later releases play; named so that the message can say so.
    da_eta: Any = None
    warning: Any = None
    approval: Any = None
    receipt: Any = None
    session: Any = None
    order: Any = None
    login: Any = None

    @model_validator(mode="after")
    def _one_kind(self) -> Step:
        given = [name for name in type(self).model_fields if name != "at" and getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a step is one thing; this one has {', '.join(given) or 'none'}")
        if given[0] in _NOT_PLAYED:
            raise ValueError(f"a step `{given[0]}` is not played by this release; remove it or use a later one")
        return self


_NOT_PLAYED: Final = {"da_eta", "warning", "approval", "receipt", "session", "order", "login"}


class Branch(Strict):
    """One element of the drill's grid."""

    from_: Annotated[Name, Field(alias="from")]
    to: Name
    kv: Annotated[float, Field(gt=0)]


class Grid(Strict):
    """The grid, where topology matters. Every element starts CLOSED, GOOD and carrying 40 % of its rating."""

    loads_mw: dict[Name, float] = Field(default_factory=dict)
    branches: dict[Name, Branch] = Field(default_factory=dict)


class Calendar(Strict):
    """Which segments are expected to clear."""

    rt: Literal["open", "closed"] = "open"
    da: Literal["closed"] = "closed"


class Scenario(Strict):
    """A drill file."""

    id: str
    title: str
    rules: dict[str, Any] = Field(default_factory=dict)
    grid: Grid = Field(default_factory=Grid)
    calendar: Calendar = Field(default_factory=Calendar)
    start: Instant
    steps: Annotated[list[Step], Field(min_length=1)]

    @model_validator(mode="after")
    def _in_order(self) -> Scenario:
        last_ns = self.start
        for number, step in enumerate(self.steps):
            if step.at < last_ns:
                raise ValueError(f"step {number + 1} lies before the one above it; steps stand in arrival order")
            last_ns = step.at
        return self


def scenario_from(located: Located) -> tuple[Scenario, MarketRules]:
    """Read a scenario and the rule set it plays under.

    Raises:
        ConfigError: every problem of the file.
    """
    scenario = located.validate(Scenario)
    rules = rules_from(scenario.rules, where=located.where("rules"))
    problems = [
        located.problem(f"{thing.element!r} is not an element of the drill's grid; add it under grid.branches", "steps", number)
        for number, step in enumerate(scenario.steps)
        for thing in (step.switch, step.flow, step.permit)
        if thing is not None and thing.element not in scenario.grid.branches
    ]
    if problems:
        raise ConfigError(problems)
    return scenario, rules
