"""Faust bindings: one thin agent per processor, with no ifs about the market.

Every agent follows the same order: take the record in, make its effects durable, then write the state that remembers them. A crash
between the two makes the same effects again, with the same identities; a crash after them makes them not at all. Each state carries
the offset it has taken in, so a record delivered again is passed over.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import faust

from ingest.bundle import FrameBundle
from ingest.frame import TelemetryFrame
from market.facts import CommandGiven, Fact
from market.outcomes import ClearingInputs
from market.rules import MarketRules
from streams import breaker, grid, pieces, topics
from streams.alerts import alerts_of, letter_alert, letter_episode, source_alert
from streams.clearings import ClearingFault, Clearings, Solver
from streams.heldsnapshots import HeldSnapshots
from streams.image import AreaSnapshot
from streams.intake import CLOCK_SOURCE, AreaIntake, state_offset
from streams.lanes import SHOWN, Lane, Lanes, Observer
from streams.marketmodel import MarketModel
from streams.notes import Notes
from streams.roles import Part
from streams.runtime import Dealt, Handle, Shell
from streams.topics import Topic
from streams.transport.link import partition_of
from streams.wire import DeadLetter, encode

__all__ = ["ClearingFault", "Hooks", "Observer", "Solver", "bind"]

_log = logging.getLogger(__name__)

Relist = Callable[[MarketModel], None]
"""Has a processor go on with other points, between two records."""

_STATE: Final = b"state"


@dataclass(slots=True)
class Hooks:
    """What the composition root attaches to the processors.

    Attributes:
        observers: sinks; each sees every record, whatever becomes of the others.
        in_field: sees what was cleared and how the market is, to carry it out in the field; no sink can hold it up.
        deadline: told the breaker's next deadline after each fact.
        known_ns: gives the event time that the breaker's kept state has come to, None where there is none; set by :func:`bind`.
        clearing_fault: a simulated fault of the clearing engine.
        progress: event time the breaker and the grid processor have finished, by processor; read by the simulated clock.
        clearing: start of the interval that is being cleared now (for a day-ahead result the instant it was asked for), or None;
            read by the simulated clock.
        lanes: gives what waits for the observers; set by :func:`bind`.
        relist: has the processors go on with other points of the same areas; set by :func:`bind`.
        solver: clears in a process of its own; without one intervals are cleared in a thread.
    """

    observers: Sequence[Observer] = ()
    in_field: Observer | None = None
    deadline: Callable[[int], None] = lambda ts_ns: None
    known_ns: Callable[[], int | None] = lambda: None
    clearing_fault: ClearingFault = lambda start_ns: None
    progress: dict[str, int] = field(default_factory=dict)
    clearing: int | None = None
    lanes: Callable[[], Sequence[Lane]] = tuple
    relist: Relist = lambda model: None
    solver: Solver | None = None


def bind(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks, parts: frozenset[Part]) -> None:
    """Attach every processor of these parts to its topic."""
    if Part.PROCESSORS in parts:
        processors = (_bind_intake(app, shell, model), _bind_grid(app, shell, model, hooks))

        def relist(other: MarketModel) -> None:
            for processor in processors:
                processor(other)

        hooks.relist = relist
        _bind_clearing(app, shell, model, hooks)
        _bind_commands(app, shell)
        _bind_breaker(app, shell, model, hooks)
        _bind_alerts(app, shell, model.grid.rules)
    if Part.FIELD in parts and hooks.in_field is not None:
        _bind_field(app, shell, hooks.in_field)
    if Part.PEOPLE in parts:
        _bind_observers(app, shell, hooks)


def _agent(
    app: faust.App, shell: Shell, topic: Topic, name: str, handle: Handle, *, held: bool = False, interruptible: bool = False
) -> None:
    """Run ``handle`` for every record of a topic, in order, one at a time; see :meth:`streams.runtime.Shell.guarded`.

    Args:
        interruptible: a stop does not wait for it: a sink that is away may keep it for hours, and its record is shown again.
    """

    async def agent(stream: Any) -> AsyncIterator[Any]:
        async for event in shell.guarded(topic, name, stream, handle, held=held):
            yield event

    app.agent(shell.topics[topic.name], name=name, concurrency=1)(agent).interruptible = interruptible


def _table(app: faust.App, name: str, topic: Topic) -> Any:
    """Return a table partitioned like ``topic``; bytes on both sides, because our codecs are our own."""
    return app.Table(name, partitions=topic.partitions, key_type=bytes, value_type=bytes)


def _bind_intake(app: faust.App, shell: Shell, model: MarketModel) -> Relist:
    kept = _table(app, "intake", topics.FRAMES)
    areas: dict[str, AreaIntake] = {}

    def forget() -> None:
        """Whoever has an area from now on counts its samples: no two workers do."""
        for name in [name for name in shell.counters if name.startswith(("intake ", "account "))]:
            del shell.counters[name]
        areas.clear()

    shell.at_revocation(forget)

    def state_at(partition: int) -> int | None:
        keys = [area.encode() for area in model.grid.areas]
        states = [pieces.kept(kept, key) for key in keys if partition_of(key, topics.FRAMES.partitions) == partition]
        return min((state_offset(raw) + 1 for raw in states if raw is not None), default=None)

    shell.reads_from(topics.FRAMES, state_at)

    async def take(frame: TelemetryFrame | FrameBundle, event: Any) -> Dealt:
        if frame.area not in model.grid.areas:
            why = f"area {frame.area!r} of {frame.source} has no points in the list; add them, or correct the area"
            await shell.bury(topics.FRAMES, event, why)
            return Dealt.NOTHING_KEPT
        key = frame.area.encode()
        intake = areas.get(frame.area)
        if intake is None:
            intake = areas[frame.area] = model.intake(frame.area)
            if (raw := pieces.kept(kept, key)) is not None:
                intake.restore(raw)
        if (taken := intake.take_in(frame, event.message.offset)) is None:
            return Dealt.NOTHING_KEPT
        shell.counters["samples read again" if event.message.timestamp < shell.started_s else "samples intake"] += len(frame)
        if taken.unlisted:
            whose, raw = _of_bundle(frame, taken.unlisted)
            await shell.bury(topics.FRAMES, event, f"{len(taken.unknown)} samples of {whose} are of points nobody listed", raw=raw)
        for failed, exc in taken.failed:
            shell.counters["failed intake"] += 1
            _log.error(
                "taking in a frame of %s failed", failed.source, exc_info=exc, extra={"processor": "intake", "device": failed.source}
            )
            whose, raw = _of_bundle(frame, [failed])
            await shell.bury(topics.FRAMES, event, f"{whose}: {type(exc).__name__}: {exc}", raw=raw)
        for account in taken.accounts:
            for outcome, samples in account.outcomes().items():
                shell.counters[f"account {frame.area} {outcome}"] += samples
        await shell.emit([*taken.facts, *taken.findings, *taken.accounts, *taken.snapshots])
        if frame.source != CLOCK_SOURCE:
            return Dealt.KEPT
        for what, count in intake.last.counters.items():
            shell.counters[f"intake {frame.area} {what}"] = count
        pieces.keep(kept, key, intake.encode())
        return Dealt.SAVED

    def relist(other: MarketModel) -> None:
        nonlocal model
        model = other
        for area, intake in areas.items():
            areas[area] = other.continued(intake)

    _agent(app, shell, topics.FRAMES, "intake", take, held=True)
    return relist


def _of_bundle(record: TelemetryFrame | FrameBundle, frames: Sequence[TelemetryFrame]) -> tuple[str, bytes | None]:
    """Return whose frames of a record these are, and their bytes where they are not all of it: a letter is about no others."""
    if not isinstance(record, FrameBundle) or len(frames) == len(record.frames):
        return record.source, None
    some = FrameBundle(record.area, tuple(frames))
    return some.source, encode(some)


def _bind_grid(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> Relist:
    kept = _table(app, "grid", topics.SNAPSHOTS)
    processor: grid.GridProcessor | None = None
    held: HeldSnapshots | None = None

    def forget() -> None:
        nonlocal processor, held
        processor = held = None

    shell.at_revocation(forget)
    shell.reads_from(topics.SNAPSHOTS, lambda _: None if (raw := kept.get(_STATE)) is None else grid.decode_state(raw).offset + 1)

    async def take(record: Any, event: Any) -> None:
        nonlocal processor, held
        if processor is None or held is None:
            raw = kept.get(_STATE)
            held = HeldSnapshots(kept)
            processor = grid.GridProcessor(model.grid, None if raw is None else grid.decode_state(raw), held.found)
        if event.message.offset <= processor.state.offset:
            return
        effects = processor.take(record)
        await shell.emit(effects)
        processor.state = replace(processor.state, offset=event.message.offset)
        # Snapshots first, then the state: a state must not say that a tick was computed of which nothing is held any more.
        if isinstance(record, AreaSnapshot):
            held.keep(record, processor.held(record.area))
        # A snapshot that completed no tick changed nothing but those held of its area.
        if effects or not isinstance(record, AreaSnapshot):
            kept[_STATE] = grid.encode_state(processor.state)
        hooks.progress["grid"] = processor.state.last_tick_ns

    def relist(other: MarketModel) -> None:
        nonlocal model, processor
        model = other
        if processor is not None:
            snapshots = [part for area in other.grid.areas for part in processor.held(area)]
            processor = grid.GridProcessor(other.grid, processor.state, snapshots)

    _agent(app, shell, topics.SNAPSHOTS, "grid", take)
    return relist


def _bind_clearing(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    clearings = Clearings(shell, model, _table(app, "clearing", topics.INPUTS), hooks.clearing_fault, lambda: hooks.solver)

    async def take(record: Any, event: Any) -> None:
        hooks.clearing = record.interval_start_ns if isinstance(record, ClearingInputs) else record.ts_event_ns
        try:
            await clearings.take(record, event)
        finally:
            hooks.clearing = None

    _agent(app, shell, topics.INPUTS, "clearing", take)


_ARRIVALS_KEPT: Final = 64


def _bind_commands(app: faust.App, shell: Shell) -> None:
    arrivals = Notes(shell, _table(app, "commands", topics.COMMANDS), int, _ARRIVALS_KEPT)

    async def forward(command: CommandGiven, event: Any) -> None:
        arrived_ns = arrivals.get(command.command_id)
        if arrived_ns is None:
            arrived_ns = await arrivals.note(command.command_id, shell.now_ns(), event)
        # The breaker has one input, so that the order of everything it knows is the order of one partition.
        await shell.emit([replace(command, ts_event_ns=arrived_ns)])

    _agent(app, shell, topics.COMMANDS, "commands", forward)


def _bind_breaker(app: faust.App, shell: Shell, model: MarketModel, hooks: Hooks) -> None:
    kept = _table(app, "breaker", topics.FACTS)
    rules = model.rules_in_force
    state: breaker.BreakerState | None = None

    def forget() -> None:
        nonlocal state
        state = None

    hooks.known_ns = lambda: None if (raw := kept.get(_STATE)) is None else breaker.decode_state(raw).now_ns
    shell.at_revocation(forget)
    shell.reads_from(topics.FACTS, lambda _: None if (raw := kept.get(_STATE)) is None else breaker.decode_state(raw).offset + 1)

    async def take(fact: Fact, event: Any) -> None:
        nonlocal state
        if state is None:
            raw = kept.get(_STATE)
            state = (
                breaker.begin(fact.ts_event_ns, rules, day_ahead_runs=model.grid.day_ahead) if raw is None else breaker.decode_state(raw)
            )
        if event.message.offset <= state.offset:
            return
        after, effects = breaker.step(state, fact, rules, model.topology)
        await shell.emit([*effects, breaker.view(after, rules)])
        state = breaker.at_offset(after, event.message.offset)
        kept[_STATE] = breaker.encode_state(state)
        hooks.progress["breaker"] = state.now_ns
        hooks.deadline(breaker.next_deadline_ns(state, rules))

    _agent(app, shell, topics.FACTS, "breaker", take)


def _bind_alerts(app: faust.App, shell: Shell, rules: MarketRules) -> None:
    async def decision(record: Any, event: Any) -> None:
        await shell.emit(alerts_of(record, rules.zone))

    async def finding(record: Any, event: Any) -> None:
        await shell.emit([source_alert(record, rules.zone)])

    told = _table(app, "letter-alerts", topics.DEAD_LETTERS)

    async def letter(record: DeadLetter, event: Any) -> None:
        key, episode = record.topic.encode(), letter_episode(record.topic, record.ts_event_ns).encode()
        if told.get(key) != episode:
            place = f"partition {record.partition} offset {record.offset}"
            await shell.emit([letter_alert(record.topic, place, record.reason, record.ts_event_ns)])
            told[key] = episode

    _agent(app, shell, topics.DEAD_LETTERS, "letter-alerts", letter)
    _agent(app, shell, topics.DECISIONS, "decision-alerts", decision)
    _agent(app, shell, topics.FINDINGS, "source-alerts", finding)


def _bind_field(app: faust.App, shell: Shell, observer: Observer) -> None:
    for topic in (topics.OUTCOMES, topics.KPI):

        async def carry_out(record: Any, event: Any, topic: Topic = topic) -> None:
            await observer.see(topic, record)

        _agent(app, shell, topic, f"field-{topic.name}", carry_out, interruptible=True)


def _bind_observers(app: faust.App, shell: Shell, hooks: Hooks) -> None:
    lanes = Lanes(shell, lambda: hooks.observers)
    hooks.lanes = lanes.lanes
    for topic in SHOWN:

        async def show(record: Any, event: Any, topic: Topic = topic) -> Dealt:
            return await lanes.show(topic, record, event)

        _agent(app, shell, topic, f"sinks-{topic.name}", show, interruptible=True)
