"""What a step of a drill tells the breaker: the facts it stands for, made here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from market import facts
from market.causes import Role
from market.facts import Fact, Segment
from market.rules import MarketRules
from market.sessionfacts import LoginReported, OrderReported, ParticipantsEntitled, SessionReported
from market.units import day_start_ns, instant_text
from streams.drillfile import Scenario, Step
from streams.drillsteps import ApprovalStep, ClearingStep, ControlStep, EtaStep, FlowStep, ReceiptStep, SwitchStep

__all__ = ["FactMaker", "opening_facts"]

_FOREVER_NS: Final = 2**62
_LOADED_PCT: Final = 40.0
"""What every branch carries as a drill starts, % of rating."""


def opening_facts(scenario: Scenario) -> Iterator[Fact]:
    """Yield what is known as a drill starts: what is closed by the calendar, the loads, the flows, the infeeds, the limits."""
    start, grid, calendar = scenario.start, scenario.grid, scenario.calendar
    for segment, said in ((Segment.RT, calendar.rt), (Segment.DA, calendar.da)):
        if said == "closed":
            yield facts.CalendarClosed(ts_event_ns=start, segment=segment, from_ns=0, to_ns=_FOREVER_NS)
    if grid.silent:
        return
    for area, mw in grid.loads_mw.items():
        yield facts.LoadReported(ts_event_ns=start, area=area, load_mw=mw)
    for name, interface in grid.interfaces.items():
        yield facts.InterfaceLimitReported(ts_event_ns=start, interface=name, limit_mw=interface.limit_mw)
    for name, infeed in grid.infeeds.items():
        yield facts.InfeedReported(ts_event_ns=start, infeed=name, mw=infeed.mw, quality=facts.PointQuality.GOOD, ts_source_ns=start)
    for name in grid.branches:
        yield facts.FlowReported(
            ts_event_ns=start,
            element=name,
            from_pct=_LOADED_PCT,
            to_pct=_LOADED_PCT,
            quality=facts.PointQuality.GOOD,
            ts_source_ns=start,
        )


class FactMaker:
    """Makes the facts of one drill's steps; orders are numbered as they come, so that what came of each can be found.

    Args:
        rules: the rule set the drill starts under; its zone names the days.
    """

    def __init__(self, rules: MarketRules) -> None:
        self._zone = rules.zone
        self._orders = 0

    @property
    def last_command(self) -> str:
        """Id of the last order; empty before the first."""
        return f"drill-{self._orders}" if self._orders else ""

    def facts(self, step: Step) -> Iterator[Fact]:
        """Yield what a step tells, in order; nothing for `restart` and `expect`."""
        yield from self._field(step)
        yield from self._session(step)
        yield from self._people(step)

    def _field(self, step: Step) -> Iterator[Fact]:
        at = step.at
        if step.clearing is not None:
            yield _clearing(at, step.clearing, self._zone)
        if (switch := step.switch) is not None:
            yield facts.SwitchReported(
                ts_event_ns=at,
                element=switch.element,
                status=switch.status,
                quality=switch.quality,
                ts_source_ns=_source(switch, at),
                end=switch.end,
                initial=switch.initial,
                history=switch.history,
            )
        if (flow := step.flow) is not None:
            yield facts.FlowReported(
                ts_event_ns=at,
                element=flow.element,
                from_pct=flow.from_pct,
                to_pct=flow.to_pct,
                quality=flow.quality,
                ts_source_ns=_source(flow, at),
                history=flow.history,
            )
        if (voltage := step.voltage) is not None:
            yield facts.VoltageReported(ts_event_ns=at, bus=voltage.bus, pu=voltage.pu, quality=voltage.quality, ts_source_ns=at)
        if step.trip_signal is not None:
            yield facts.TripSignalled(ts_event_ns=at, element=step.trip_signal.element, ts_source_ns=at)
        if step.load is not None:
            yield facts.LoadReported(ts_event_ns=at, area=step.load.area, load_mw=step.load.mw)
        if (infeed := step.infeed) is not None:
            yield facts.InfeedReported(ts_event_ns=at, infeed=infeed.infeed, mw=infeed.mw, quality=infeed.quality, ts_source_ns=at)
        if (limit := step.interface_limit) is not None:
            yield facts.InterfaceLimitReported(ts_event_ns=at, interface=limit.interface, limit_mw=limit.mw)
        if (estimate := step.estimate) is not None:
            yield facts.EstimateReported(
                ts_event_ns=at,
                ts_snapshot_ns=at,
                suspects=tuple(estimate.suspects),
                doubted=tuple(sorted(estimate.doubted)),
                chi_square=estimate.chi_square,
                limit=estimate.limit,
                observable_pct=estimate.observable_pct,
            )
        if (permit := step.permit) is not None:
            yield facts.PermitGranted(ts_event_ns=at, element=permit.element, from_ns=permit.from_, to_ns=permit.to)
        if (control := step.control) is not None:
            yield facts.ControlReported(
                ts_event_ns=at,
                site=control.site,
                asserted=control.asserted,
                ts_source_ns=_source(control, at),
                initial=control.initial,
            )
        if step.exercise is not None:
            yield facts.ExercisePlanned(ts_event_ns=at, from_ns=step.exercise.from_, to_ns=step.exercise.to)
        if step.source is not None:
            yield facts.SourceReported(ts_event_ns=at, name=step.source.name, up=step.source.up)
        if step.clock is not None:
            yield facts.ClockCompared(ts_event_ns=at, wall_s=step.clock.wall_s, monotonic_s=step.clock.monotonic_s)
        if (calendar := step.calendar) is not None:
            span = calendar.closed
            yield facts.CalendarClosed(ts_event_ns=at, segment=calendar.segment, from_ns=span.from_, to_ns=span.to)
        if (warning := step.warning) is not None:
            yield facts.WarningReported(ts_event_ns=at, warning=warning.id, active=warning.active, text=warning.text)

    def _session(self, step: Step) -> Iterator[Fact]:
        at = step.at
        if (session := step.session) is not None:
            if session.entitled is not None:
                yield ParticipantsEntitled(ts_event_ns=at, session=session.name, participants=session.entitled)
            if session.event is not None:
                yield SessionReported(
                    ts_event_ns=at,
                    session=session.name,
                    event=session.event,
                    opens_ns=session.opens,
                    closes_ns=session.closes,
                    product=session.product,
                )
        if (login := step.login) is not None:
            for participant in login.names:
                yield LoginReported(ts_event_ns=at, session=login.session, participant=participant, result=login.result)
        if (order := step.order) is not None:
            for participant in order.names:
                yield OrderReported(
                    ts_event_ns=at,
                    session=order.session,
                    participant=participant,
                    order=order.order,
                    result=order.result,
                    withdrawal=order.withdrawal,
                )

    def _people(self, step: Step) -> Iterator[Fact]:
        if (command := step.command) is not None:
            yield self._order(step.at, command.by, command.role, command.action, dict(command.args))
        if step.da_eta is not None:
            yield self._expected(step.at, step.da_eta)
        if (approval := step.approval) is not None:
            yield self._order(step.at, approval.by or approval.body, approval.body, "APPROVE", _approval_args(approval))
        if (receipt := step.receipt) is not None:
            yield self._order(step.at, receipt.by, Role.MO, "RECEIPT", self._receipt_args(receipt))

    def _order(self, at_ns: int, by: str, role: str, action: str, args: dict[str, str]) -> Fact:
        self._orders += 1
        return facts.CommandGiven(ts_event_ns=at_ns, command_id=self.last_command, by=by, role=role, action=action, args=args)

    def _expected(self, at_ns: int, eta: EtaStep) -> Fact:
        if eta.source is facts.EstimateSource.DISPATCHER:
            args = {"operating_day": eta.operating_day, "eta": instant_text(eta.eta, self._zone)}
            return self._order(at_ns, eta.by, Role.DISPATCH, "DA_ETA", args)
        return facts.DayAheadExpected(
            ts_event_ns=at_ns,
            interval_start_ns=day_start_ns(eta.operating_day, self._zone),
            source=eta.source,
            p50_ns=eta.eta,
            p90_ns=eta.eta if eta.p90 is None else eta.p90,
        )

    def _receipt_args(self, receipt: ReceiptStep) -> dict[str, str]:
        args = {"duty": receipt.duty, "recipient": receipt.recipient, "segment": str(receipt.segment or ""), "reference": receipt.reference}
        if receipt.delivered_at is not None:
            args["delivered_at"] = instant_text(receipt.delivered_at, self._zone)
        return {name: value for name, value in args.items() if value}


def _source(said: SwitchStep | FlowStep | ControlStep, at_ns: int) -> int:
    return at_ns if said.source_at is None else said.source_at


def _approval_args(approval: ApprovalStep) -> dict[str, str]:
    names = ("measure", "verdict", "form", "scope", "digest", "reference", "contact")
    return {name: value for name in names if (value := str(getattr(approval, name)))}


def _clearing(at_ns: int, step: ClearingStep, zone: str) -> Fact:
    start_ns = step.interval if step.interval is not None else day_start_ns(str(step.operating_day), zone)
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
        review=tuple(step.review),
    )
