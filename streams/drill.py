"""A scenario as data, played through the breaker's processor on a simulated clock.

An operator can rehearse with such a file, and a reviewer can add a case without writing Python. Steps stand in arrival order; time
advances to each step's ``at``, with a tick at every instant the processor has a deadline, as the live shell sends them. A key the
format does not know is an error; a kind of step this release cannot play is an error too, never skipped.

The models below are the form of a file; ``tests/drills`` holds examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from detectors.topology_change import Element
from ingest.yamlfile import Located, Name, Strict
from market import facts
from market.decisions import Decision, first_broken
from market.errors import ConfigError, UnitError
from market.facts import ClearingStatus, Fact, PointQuality, RunType, Segment, SwitchStatus
from market.prices import PriceInForce
from market.rules import MarketRules, rules_from
from market.units import day_start_ns, instant_ns, instant_text
from market.view import MarketView
from streams import breaker
from streams.alerts import Alert, alerts_of

__all__ = ["Check", "DrillResult", "Scenario", "play", "scenario_from"]

_FOREVER_NS: Final = 2**62


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


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a step expected: where, what, what was found, and whether they agree."""

    step: int
    at_ns: int
    key: str
    expected: str
    actual: str
    ok: bool


@dataclass(slots=True)
class DrillResult:
    """How a drill went."""

    scenario_id: str
    title: str
    rule_set: str
    checks: list[Check] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    prices: dict[int, PriceInForce] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything expected was found; a drill that expects nothing proves nothing and does not pass."""
        return bool(self.checks) and all(check.ok for check in self.checks)


def play(scenario: Scenario, rules: MarketRules) -> DrillResult:
    """Play a scenario through the breaker's processor."""
    player = _Player(scenario, rules)
    for number, step in enumerate(scenario.steps, start=1):
        player.play(number, step)
    return player.result


class _Player:
    def __init__(self, scenario: Scenario, rules: MarketRules) -> None:
        self._rules = rules
        self._grid: Mapping[str, Element] = {name: Element(kv=branch.kv) for name, branch in scenario.grid.branches.items()}
        self._state = breaker.begin(scenario.start, rules)
        self._ticked_ns = scenario.start - 1
        self._commands = 0
        self._alerts: dict[str, Alert] = {}
        self.result = DrillResult(scenario.id, scenario.title, rules.id)
        if scenario.calendar.rt == "closed":
            self._take(facts.CalendarClosed(ts_event_ns=scenario.start, segment=Segment.RT, from_ns=0, to_ns=_FOREVER_NS))
        for area, mw in scenario.grid.loads_mw.items():
            self._take(facts.LoadReported(ts_event_ns=scenario.start, area=area, load_mw=mw))
        for name in scenario.grid.branches:
            self._take(_flow(scenario.start, FlowStep(element=name, from_pct=40.0, to_pct=40.0)))

    def play(self, number: int, step: Step) -> None:
        if step.expect is not None:
            self._advance(step.at, inclusive=True)
            self._check(number, step.at, step.expect)
            return
        self._advance(step.at, inclusive=False)
        if step.restart:
            # What a restart keeps is what the table holds.
            self._state = breaker.decode_state(breaker.encode_state(self._state))
            return
        self._take(self._fact(step))

    def _take(self, fact: Fact) -> None:
        self._state, effects = breaker.step(self._state, fact, self._rules, self._grid)
        for effect in effects:
            if isinstance(effect, PriceInForce):
                self.result.prices[effect.interval_start_ns] = effect
            else:
                self.result.decisions.append(effect)
                self._alerts |= {alert.alert_id: alert for alert in alerts_of(effect)}

    def _advance(self, to_ns: int, *, inclusive: bool) -> None:
        """Send the ticks that fall due before ``to_ns`` (and one at it, where something is looked at there)."""
        while (deadline_ns := breaker.next_deadline_ns(self._state, self._rules)) < to_ns and deadline_ns > self._ticked_ns:
            self._tick(deadline_ns)
        if inclusive and to_ns > self._ticked_ns:
            self._tick(to_ns)

    def _tick(self, now_ns: int) -> None:
        self._ticked_ns = now_ns
        self._take(facts.Ticked(ts_event_ns=now_ns))

    def _fact(self, step: Step) -> Fact:
        at = step.at
        if step.clearing is not None:
            return _clearing(at, step.clearing, self._rules)
        if step.switch is not None:
            s = step.switch
            return facts.SwitchReported(ts_event_ns=at, element=s.element, status=s.status, quality=s.quality, ts_source_ns=at)
        if step.flow is not None:
            return _flow(at, step.flow)
        if step.load is not None:
            return facts.LoadReported(ts_event_ns=at, area=step.load.area, load_mw=step.load.mw)
        if step.permit is not None:
            return facts.PermitGranted(ts_event_ns=at, element=step.permit.element, from_ns=step.permit.from_, to_ns=step.permit.to)
        if step.control is not None:
            return facts.ControlReported(ts_event_ns=at, site=step.control.site, asserted=step.control.asserted, ts_source_ns=at)
        if step.exercise is not None:
            return facts.ExercisePlanned(ts_event_ns=at, from_ns=step.exercise.from_, to_ns=step.exercise.to)
        if step.source is not None:
            return facts.SourceReported(ts_event_ns=at, name=step.source.name, up=step.source.up)
        if step.clock is not None:
            return facts.ClockCompared(ts_event_ns=at, wall_s=step.clock.wall_s, monotonic_s=step.clock.monotonic_s)
        if step.calendar is not None:
            closed = step.calendar.closed
            return facts.CalendarClosed(ts_event_ns=at, segment=step.calendar.segment, from_ns=closed.from_, to_ns=closed.to)
        assert step.command is not None, "a step has exactly one kind"
        self._commands += 1
        c = step.command
        return facts.CommandGiven(
            ts_event_ns=at, command_id=f"drill-{self._commands}", by=c.by, role=c.role, action=c.action, args=dict(c.args)
        )

    def _check(self, number: int, at_ns: int, expect: Expect) -> None:
        def check(key: str, expected: object, actual: object) -> None:
            self.result.checks.append(Check(number, at_ns, key, str(expected), str(actual), expected == actual))

        seen = breaker.view(self._state, self._rules)
        for name in ("RT", "DA"):
            wanted: SegmentExpect | None = getattr(expect, name)
            if wanted is not None:
                self._check_segment(name, wanted, seen, check)
        announcements = [d.body for d in self.result.decisions if d.kind == "Announcement"]
        if isinstance(expect.announcements, int):
            check("announcements", expect.announcements, len(announcements))
        elif expect.announcements is not None:
            active = {self._state.rt.announcement, self._state.da.announcement}
            for wanted_notice in expect.announcements:
                found = any(_matches(wanted_notice, notice, active) for notice in announcements)
                check("announcements", wanted_notice.model_dump(exclude_none=True), "present" if found else "none such")
                if found:
                    self.result.checks[-1] = replace(self.result.checks[-1], ok=True)
        raised = {alert.name for alert in self._alerts.values()} | set(self._alerts)
        for alarm in expect.alarms or ():
            check(f"alarm {alarm}", "present", "present" if alarm in raised else "absent")
        if expect.last_command is not None:
            self._check_command(expect.last_command, check)
        duties = self._duties(at_ns)
        for duty, state in (expect.duties or {}).items():
            check(f"duty {duty}", state, duties.get(duty, "unknown"))
        for interval, regime in (expect.regime or {}).items():
            record = self.result.prices.get(instant_ns(interval))
            check(f"regime {interval}", regime, str(record.regime) if record else "none")
        for interval, price in (expect.price or {}).items():
            record = self.result.prices.get(instant_ns(interval))
            check(f"price {interval}", price, record.price_cny_per_mwh if record else "none")
        if expect.audit_ok is not None:
            broken = first_broken(self.result.decisions)
            check("audit_ok", expect.audit_ok, broken is None)

    def _check_segment(self, name: str, wanted: SegmentExpect, seen: MarketView, check: Any) -> None:
        view = next(segment for segment in seen.segments if segment.segment == name)
        zone = self._rules.zone

        def instant(ns: int | None) -> str:
            return "none" if ns is None else instant_text(ns, zone)

        for key in sorted(wanted.model_fields_set):
            expected = getattr(wanted, key)
            match key:
                case "state":
                    check(f"{name}.state", expected, str(view.phase))
                case "outage_start" | "condition_met_at" | "tripped_at":
                    check(f"{name}.{key}", instant(expected), instant(getattr(view, f"{key}_ns")))
                case "flags":
                    check(f"{name}.flags", sorted(expected), sorted(view.flags))
                case _:
                    check(f"{name}.{key}", expected, getattr(view, key))

    def _check_command(self, wanted: CommandExpect | str, check: Any) -> None:
        refusals = {d.body["command_id"]: d.body for d in self.result.decisions if d.kind == "Refused"}
        refusal = refusals.get(f"drill-{self._commands}")
        outcome = "none given" if not self._commands else "refused" if refusal else "accepted"
        if isinstance(wanted, str):
            check("last_command", wanted, outcome)
            return
        if wanted.accepted is not None:
            check("last_command.accepted", wanted.accepted, outcome == "accepted")
        if wanted.refused is not None:
            check("last_command.refused", wanted.refused, outcome == "refused")
        if wanted.rule is not None:
            rule = refusal["rule"] if refusal else "not refused"
            check("last_command.rule", True, wanted.rule in rule)

    def _duties(self, now_ns: int) -> dict[str, str]:
        """Return the state of every duty by its latest opening and settlement."""
        states: dict[str, str] = {}
        for decision in self.result.decisions:
            if decision.kind == "DutyOpened":
                states[decision.body["duty"]] = "overdue" if now_ns > decision.body["due_ns"] else "open"
            elif decision.kind == "DutySettled":
                states[decision.body["duty"]] = decision.body["outcome"]
        return states


def _matches(wanted: AnnouncementExpect, notice: Mapping[str, Any], active: set[str]) -> bool:
    kind_ok = wanted.kind is None or notice["announcement_kind"] == wanted.kind
    segment_ok = wanted.segment is None or notice["segment"] == wanted.segment
    active_ok = wanted.active is None or (notice["number"] in active) is wanted.active
    text = f"{notice['text_zh']}\n{notice['text_en']}\n{' '.join(notice['facts'].values())}"
    return kind_ok and segment_ok and active_ok and (wanted.contains is None or wanted.contains in text)


def _clearing(at_ns: int, step: ClearingStep, rules: MarketRules) -> Fact:
    start_ns = step.interval if step.interval is not None else day_start_ns(str(step.operating_day), rules.zone)
    price = () if step.price is None else (step.price,) if isinstance(step.price, float) else tuple(step.price)
    return facts.ClearingReported(
        ts_event_ns=at_ns,
        segment=step.segment,
        interval_start_ns=start_ns,
        status=step.outcome,
        completed_at_ns=at_ns if step.completed_at is None else step.completed_at,
        run_type=step.run_type,
        version=step.version,
        price_cny_per_mwh=price,
        reason=step.reason,
    )


def _flow(at_ns: int, step: FlowStep) -> Fact:
    return facts.FlowReported(
        ts_event_ns=at_ns, element=step.element, from_pct=step.from_pct, to_pct=step.to_pct, quality=step.quality, ts_source_ns=at_ns
    )
