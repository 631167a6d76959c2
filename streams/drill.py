"""A scenario as data, played through the breaker's processor on a simulated clock.

An operator can rehearse with such a file. Steps stand in arrival order; time advances to each step's ``at``, with a tick at every
instant the processor has a deadline, as the live shell sends them.

The form of a file stands in :mod:`streams.drillfile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from market import facts
from market.decisions import Decision, first_broken
from market.facts import Fact, Segment
from market.prices import PriceInForce
from market.rules import MarketRules
from market.topology import Element, Topology
from market.units import day_start_ns, instant_ns, instant_text
from market.view import MarketView
from streams import breaker
from streams.alerts import Alert, alerts_of
from streams.drillfile import (
    AnnouncementExpect,
    ClearingStep,
    CommandExpect,
    Expect,
    FlowStep,
    Scenario,
    SegmentExpect,
    Step,
)

__all__ = ["Check", "DrillResult", "play"]

_FOREVER_NS: Final = 2**62


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
        self._grid = Topology.of(
            {name: Element(kv=each.kv, from_bus=each.from_, to_bus=each.to) for name, each in scenario.grid.branches.items()}
        )
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
            elif isinstance(effect, Decision):
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
