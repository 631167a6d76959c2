"""Faust bindings: one thin agent per processor, with no ifs about the market.

Every agent follows the same order: take the record in, make its effects durable, then write the state that remembers them. A crash
between the two makes the same effects again, with the same identities; a crash after them makes them not at all. Each state carries
the offset it has taken in, so a record delivered again is passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import faust

from ingest.frame import TelemetryFrame
from ingest.points import PointTable
from market.day_ahead import DayAhead, clear_day_ahead
from market.errors import CaseError
from market.facts import ClearingReported, ClearingStatus, CommandGiven, Fact, Segment
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from market.prices import settled_price
from market.rules import MarketRules
from market.units import day_start_ns
from streams import breaker, grid, topics
from streams.alerts import alerts_of, source_alert
from streams.clearing import DayAheadPlan, DayAheadWanted, plan_of
from streams.image import AreaSnapshot, decode_snapshot, encode_snapshot
from streams.intake import CLOCK_SOURCE, AreaIntake
from streams.model import MarketModel
from streams.runtime import Shell
from streams.topics import Topic

__all__ = ["ClearingFault", "Hooks", "Observer", "bind"]

_log = logging.getLogger(__name__)

ClearingFault = Callable[[int], str | None]
"""Says what a simulated fault does to the clearing of an interval: ``error``, ``silent`` or nothing."""

_STATE: Final = b"state"


class Observer(Protocol):
    """Wants to see every record of a topic after it was made durable: a sink."""

    async def see(self, topic: Topic, record: Any) -> None:
        """Take one record; it may be seen twice. Raising stops the topic's observers, not the processors."""
        ...


@dataclass(slots=True)
class Hooks:
    """What the composition root attaches to the processors.

    Attributes:
        observers: sinks.
        deadline: told the breaker's next deadline after each fact.
        base_points: told the dispatch of each cleared interval, MW by unit.
        clearing_fault: a simulated fault of the clearing engine.
        begin_ns: event time at which a breaker without history begins to watch.
        progress: event time the breaker and the grid processor have finished, by processor; read by the simulated clock.
        clearing: start of the interval that is being cleared now (for a day-ahead result the instant it was asked for), or None;
            read by the simulated clock.
    """

    observers: Sequence[Observer] = ()
    deadline: Callable[[int], None] = lambda ts_ns: None
    base_points: Callable[[dict[str, float]], Awaitable[None]] | None = None
    clearing_fault: ClearingFault = lambda start_ns: None
    begin_ns: int = 0
    progress: dict[str, int] = field(default_factory=dict)
    clearing: int | None = None


def bind(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    """Attach every processor to its topic."""
    rules, table = model.grid.rules, model.grid.table
    _bind_intake(app, shell, model, table, rules)
    _bind_grid(app, shell, model, hooks)
    _bind_clearing(app, shell, model, hooks)
    _bind_commands(app, shell)
    _bind_breaker(app, shell, model, hooks)
    _bind_alerts(app, shell, rules)
    _bind_observers(app, shell, hooks)


def _agent(app: faust.App, shell: Shell, topic: Topic, name: str, handle: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Run ``handle`` for every record of a topic, in order, one at a time."""

    async def agent(stream: Any) -> AsyncIterator[Any]:
        async for event in shell.guarded(topic, name, stream, handle):
            yield event

    app.agent(shell.topics[topic.name], name=name, concurrency=1)(agent)


def _table(app: faust.App, name: str, topic: Topic) -> Any:
    """Return a table partitioned like ``topic``; bytes on both sides, because our codecs are our own."""
    return app.Table(name, partitions=topic.partitions, key_type=bytes, value_type=bytes)


def _bind_intake(app: faust.App, shell: Shell, model: MarketModel, table: PointTable, rules: MarketRules) -> None:
    kept = _table(app, "intake", topics.FRAMES)
    areas: dict[str, AreaIntake] = {}

    async def take(frame: TelemetryFrame, event: Any) -> None:
        if frame.area not in table.areas:
            why = f"area {frame.area!r} of {frame.source} has no points in the list; add them, or correct the area"
            await shell.bury(topics.FRAMES, event, why)
            return
        intake = areas.get(frame.area)
        if intake is None:
            intake = areas[frame.area] = AreaIntake(frame.area, table.of_area(frame.area), model.rating_mw, rules.dead_flow_pct)
            if (raw := kept.get(frame.area.encode())) is not None:
                intake.restore(decode_snapshot(raw))
        shell.counters["samples intake"] += len(frame)
        taken = intake.tick(frame.ts_ingest_ns) if frame.source == CLOCK_SOURCE else intake.take(frame)
        if len(taken.unknown):
            await shell.bury(topics.FRAMES, event, f"{len(taken.unknown)} samples of {frame.source} are of points nobody listed")
        snapshots = () if taken.snapshot is None else (taken.snapshot,)
        await shell.emit([*taken.facts, *taken.findings, *snapshots])
        if taken.snapshot is not None:
            kept[frame.area.encode()] = encode_snapshot(taken.snapshot)

    _agent(app, shell, topics.FRAMES, "intake", take)


def _bind_grid(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    kept = _table(app, "grid", topics.SNAPSHOTS)
    processor: grid.GridProcessor | None = None

    async def take(record: Any, event: Any) -> None:
        nonlocal processor
        if processor is None:
            raw = kept.get(_STATE)
            processor = grid.GridProcessor(model.grid, None if raw is None else grid.decode_state(raw))
        if event.message.offset <= processor.state.offset:
            return
        effects = processor.take(record)
        await shell.emit(effects)
        processor.state = replace(processor.state, offset=event.message.offset)
        # A snapshot that completed no tick changed nothing that a restart would miss: the next one is on its way.
        if effects or not isinstance(record, AreaSnapshot):
            kept[_STATE] = grid.encode_state(processor.state)
        hooks.progress["grid"] = processor.state.last_tick_ns

    _agent(app, shell, topics.SNAPSHOTS, "grid", take)


def _bind_clearing(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    units, rules = model.grid.units, model.grid.rules

    def solve(inputs: ClearingInputs) -> Outcome:
        try:
            return model.engine.clear(inputs, completed_at_ns=inputs.frozen_at_ns)
        except CaseError as exc:
            return ClearingFailed(
                interval_start_ns=inputs.interval_start_ns,
                completed_at_ns=inputs.frozen_at_ns,
                reason=FailureReason.INPUT_INVALID,
                detail=str(exc),
            )

    async def clear(inputs: ClearingInputs) -> None:
        fault = hooks.clearing_fault(inputs.interval_start_ns)
        if fault == "silent":
            return
        if fault is None:
            outcome = await asyncio.to_thread(solve, inputs)
        else:
            outcome = ClearingFailed(
                interval_start_ns=inputs.interval_start_ns,
                completed_at_ns=inputs.frozen_at_ns,
                reason=FailureReason.SOLVER_STATUS,
                detail="no answer from the engine (simulated fault)",
            )
        outcome = replace(outcome, completed_at_ns=shell.clock.now_ns())
        records: list[Any] = [outcome, _reported(outcome)]
        if isinstance(outcome, Cleared):
            records.append(plan_of(outcome, inputs, units, model.area_of_bus))
        await shell.emit(records)
        if isinstance(outcome, Cleared) and hooks.base_points is not None:
            await hooks.base_points(outcome.dispatch_mw)

    async def day_ahead(wanted: DayAheadWanted) -> None:
        assert model.case is not None, "a day-ahead result is only asked for where there is a series to make it from"
        start_ns = day_start_ns(wanted.day, rules.zone)
        result = await asyncio.to_thread(clear_day_ahead, model.case, model.params, start_ns=start_ns, completed_at_ns=wanted.ts_event_ns)
        await shell.emit(_day_ahead_records(wanted, result, start_ns, shell.clock.now_ns()))

    async def take(record: Any, event: Any) -> None:
        wanted = isinstance(record, DayAheadWanted)
        hooks.clearing = record.ts_event_ns if wanted else record.interval_start_ns
        try:
            await (day_ahead(record) if wanted else clear(record))
        finally:
            hooks.clearing = None

    _agent(app, shell, topics.INPUTS, "clearing", take)


def _reported(outcome: Outcome) -> ClearingReported:
    """Return what the breaker is told of an outcome."""
    cleared = isinstance(outcome, Cleared)
    return ClearingReported(
        ts_event_ns=outcome.completed_at_ns,
        segment=Segment.RT,
        interval_start_ns=outcome.interval_start_ns,
        status=ClearingStatus.OK if cleared else ClearingStatus.FAILED,
        completed_at_ns=outcome.completed_at_ns,
        version=outcome.version,
        price_cny_per_mwh=(settled_price(outcome.uniform_price_per_mwh),) if isinstance(outcome, Cleared) else (),
        reason="" if isinstance(outcome, Cleared) else f"{outcome.reason}: {outcome.detail}",
    )


def _day_ahead_records(wanted: DayAheadWanted, result: DayAhead | ClearingFailed, start_ns: int, now_ns: int) -> list[Any]:
    if isinstance(result, ClearingFailed):
        _log.error("day-ahead result of %s: %s: %s", wanted.day, result.reason, result.detail)
        failed = replace(result, interval_start_ns=start_ns, completed_at_ns=now_ns)
        return [replace(_reported(failed), segment=Segment.DA)]
    hours = range(len(result.committed))
    plan = DayAheadPlan(
        ts_event_ns=now_ns,
        day=wanted.day,
        units_on=tuple(tuple(sorted(set(result.unit_ids) - set(result.units_off(hour)))) for hour in hours),
    )
    report = ClearingReported(
        ts_event_ns=now_ns,
        segment=Segment.DA,
        interval_start_ns=start_ns,
        status=ClearingStatus.OK,
        completed_at_ns=now_ns,
        price_cny_per_mwh=tuple(settled_price(float(price)) for price in result.uniform_price_per_mwh),
    )
    return [plan, report]


def _bind_commands(app: faust.App, shell: Shell) -> None:
    async def forward(command: CommandGiven, event: Any) -> None:
        # The breaker has one input, so that the order of everything it knows is the order of one partition.
        await shell.emit([replace(command, ts_event_ns=shell.clock.now_ns())])

    _agent(app, shell, topics.COMMANDS, "commands", forward)


def _bind_breaker(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    kept = _table(app, "breaker", topics.FACTS)
    rules = model.grid.rules
    state: breaker.BreakerState | None = None

    async def take(fact: Fact, event: Any) -> None:
        nonlocal state
        if state is None:
            raw = kept.get(_STATE)
            state = breaker.begin(hooks.begin_ns or fact.ts_event_ns, rules) if raw is None else breaker.decode_state(raw)
        if event.message.offset <= state.offset:
            return
        after, effects = breaker.step(state, fact, rules, model.elements)
        await shell.emit([*effects, breaker.view(after, rules)])
        state = replace(after, offset=event.message.offset)
        kept[_STATE] = breaker.encode_state(state)
        hooks.progress["breaker"] = state.now_ns
        hooks.deadline(breaker.next_deadline_ns(state, rules))

    _agent(app, shell, topics.FACTS, "breaker", take)


def _bind_alerts(app: faust.App, shell: Shell, rules: MarketRules) -> None:
    async def decision(record: Any, event: Any) -> None:
        await shell.emit(alerts_of(record, rules.zone))

    async def finding(record: Any, event: Any) -> None:
        await shell.emit([source_alert(record, rules.zone)])

    _agent(app, shell, topics.DECISIONS, "decision-alerts", decision)
    _agent(app, shell, topics.FINDINGS, "source-alerts", finding)


def _bind_observers(app: faust.App, shell: Shell, hooks: Hooks) -> None:
    for topic in (topics.FRAMES, topics.KPI, topics.OUTCOMES, topics.DECISIONS, topics.PRICES, topics.ALERTS, topics.DEAD_LETTERS):

        async def show(record: Any, event: Any, topic: Topic = topic) -> None:
            for observer in hooks.observers:
                await observer.see(topic, record)

        _agent(app, shell, topic, f"sinks-{topic.name}", show)
