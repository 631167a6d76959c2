"""Did every decision follow from its inputs? What is on the log is computed again, and compared byte for byte with what was recorded.

Four stages, each a fold over the inputs on its own topics, exactly as the agents ran it:

========  ==========================================  ==========================================================
intake    frames of each area                         snapshots, facts of telemetry, findings about sources
grid      snapshots, schedules, day-ahead plans       key figures, frozen inputs, day-ahead requests, estimates
clearing  frozen inputs, requests, orders             outcomes, schedules, day-ahead plans, what the breaker is told
breaker   facts                                       decisions, orders to clear again, prices in force
========  ==========================================  ==========================================================

A stage takes its inputs as recorded, not as another stage recomputed them, so one difference does not spread. What was recorded more
than once (a crash makes effects again) must be the same each time. Two things are taken from the record, because no computation gives
them: when a clearing was completed, and that an engine failed from outside (a fault, a time limit).

Deliberately absent: where records come from (:class:`RecordSource`: a log, or an archive of one) and how differences are shown.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final, NamedTuple, Protocol

from market import facts
from market.credibility import Reference
from market.decisions import Decision
from market.outcomes import Cleared, ClearingFailed, ClearingInputs
from market.prices import PriceInForce
from market.reclear import ClearAgain
from market.units import day_start_ns
from streams import again, breaker, grid, topics, wire
from streams.accounts import AreaAccounts
from streams.clearing import DayAheadPlan, DayAheadWanted, IntervalPlan
from streams.difference import differences
from streams.errors import DecodeError
from streams.findings import SOURCE_FINDINGS
from streams.gridpicture import GridPicture
from streams.identity import identity_of, instant_of
from streams.image import AreaSnapshot, decode_snapshots, encode_snapshots
from streams.intake import AreaIntake, Taken
from streams.kpis import KpiFrame
from streams.marketmodel import MarketModel
from streams.outcome import (
    clearing_records,
    day_ahead_records,
    day_ahead_result,
    eased,
    from_before,
    from_outside,
    held_against,
    marked,
    refused,
    solved,
    timed,
    told_before,
)
from streams.topics import Topic
from streams.transport.records import Record

__all__ = ["STAGES", "Base", "Difference", "RecordSource", "Span", "StageReport", "base_before", "replay"]

_SHOWN: Final = 20
"""Differences a stage reports in full; the others are counted."""

_TELEMETRY_FACTS: Final = (
    *(facts.SwitchReported, facts.FlowReported, facts.LoadReported, facts.ControlReported),
    *(facts.VoltageReported, facts.InfeedReported, facts.TripSignalled),
)


class RecordSource(Protocol):
    """Recorded topics."""

    def partitions(self, topic: str) -> int:
        """Return how many partitions of a topic there are; 0 where it was not recorded."""
        ...

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Record]:
        """Yield the records of one partition in order, from an offset on."""
        ...

    def done(self, topic: str, partition: int) -> int:
        """Return the offset before which every record was certainly dealt with when the recording ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Event time that is compared, ``from_ns`` to before ``to_ns``; what lies before is computed all the same."""

    from_ns: int = 0
    to_ns: int = 2**63 - 1

    def __contains__(self, ts_ns: int) -> bool:
        return self.from_ns <= ts_ns < self.to_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The states at the beginning of the records, where that is not the beginning of everything.

    Attributes:
        breaker, grid: encoded states, None for a beginning.
        held: area → encoded snapshots that wait for the other areas.
        intake: area → encoded intake.
    """

    breaker: bytes | None = None
    grid: bytes | None = None
    held: Mapping[str, bytes] = field(default_factory=dict)
    intake: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One record that did not come out as recorded.

    Attributes:
        identity: what it is about.
        ts_ns: its event time.
        what: ``differs``, ``missing`` (recorded, not recomputed), ``extra`` (the other way round) or ``told twice`` (recorded with
            two contents).
        lines: how recorded and recomputed differ, for people.
    """

    identity: str
    ts_ns: int
    what: str
    lines: tuple[str, ...]


@dataclass(slots=True)
class StageReport:
    """What one stage found.

    Attributes:
        taken: input records.
        same: records that came out byte for byte.
        repeats: recorded again with the same bytes.
        external: failures that inputs do not explain, taken as recorded.
        pending: records that come of inputs which nobody had dealt with when the recording ended.
        unreadable: input records that could not be decoded; the agents dead-lettered them too.
        different: number of differences; the first ones in ``differences``.
    """

    name: str
    taken: int = 0
    same: int = 0
    repeats: int = 0
    external: int = 0
    pending: int = 0
    unreadable: int = 0
    different: int = 0
    differences: list[Difference] = field(default_factory=list)

    def note(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        self.different += 1
        if len(self.differences) < _SHOWN:
            self.differences.append(difference)


class _Input(NamedTuple):
    record: Any
    raw: bytes
    partition: int
    offset: int
    done: bool


class _Place(NamedTuple):
    digest: bytes
    topic: Topic
    offset: int
    ts_ns: int


class _Recorded:
    """What the log says came out, by identity; digests only, and where to find the bytes again."""

    def __init__(self, source: RecordSource, kinds: Mapping[Topic, tuple[type[Any], ...]], span: Span, report: StageReport) -> None:
        self._source, self._report, self._span = source, report, span
        self._known: dict[str, _Place] = {}
        self._came: set[str] = set()
        for topic, types in kinds.items():
            for found in _decoded(source, topic, StageReport("")):
                if isinstance(found.record, types) and instant_of(found.record) in span:
                    self._add(found, topic)

    def _add(self, found: _Input, topic: Topic) -> None:
        identity, digest = identity_of(found.record), _digest(found.raw)
        known = self._known.setdefault(identity, _Place(digest, topic, found.offset, instant_of(found.record)))
        if known.digest != digest:
            lines = differences(self._fetched(known), found.record)
            self._report.note(Difference(identity=identity, ts_ns=known.ts_ns, what="told twice", lines=lines))
        elif known.offset != found.offset:
            self._report.repeats += 1

    def _fetched(self, place: _Place) -> Any:
        record = next(iter(self._source.records(place.topic.name, 0, place.offset)))
        return wire.decode(place.topic, record.value or b"")

    def compare(self, record: Any, cause: _Input) -> None:
        """Hold a recomputed record against the recorded one."""
        if instant_of(record) not in self._span:
            return
        identity, raw = identity_of(record), wire.encode(record)
        place = self._known.get(identity)
        if place is None:
            if not cause.done:
                self._report.pending += 1
                return
            self._report.note(Difference(identity=identity, ts_ns=instant_of(record), what="extra", lines=(str(record)[:400],)))
        elif place.digest == _digest(raw):
            self._came.add(identity)
            self._report.same += 1
        else:
            self._came.add(identity)
            lines = differences(self._fetched(place), record) or ("the same content, written in other bytes",)
            self._report.note(Difference(identity=identity, ts_ns=place.ts_ns, what="differs", lines=lines))

    def close(self) -> None:
        """Report what was recorded and never came out."""
        for identity, place in self._known.items():
            if identity not in self._came:
                self._report.note(Difference(identity=identity, ts_ns=place.ts_ns, what="missing", lines=()))


def _digest(raw: bytes) -> bytes:
    return blake2b(raw, digest_size=16).digest()


def _decoded(source: RecordSource, topic: Topic, report: StageReport) -> Iterator[_Input]:
    """Yield every readable record of a topic, partition by partition."""
    for partition in range(source.partitions(topic.name)):
        done = source.done(topic.name, partition)
        for record in source.records(topic.name, partition):
            report.taken += 1
            raw = record.value or b""
            try:
                yield _Input(wire.decode(topic, raw), raw, partition, record.offset, done=record.offset < done)
            except DecodeError:
                report.unreadable += 1


def _intake(source: RecordSource, model: MarketModel, base: Base, span: Span, report: StageReport) -> None:
    recorded = _Recorded(
        source,
        {topics.SNAPSHOTS: (AreaSnapshot,), topics.FACTS: _TELEMETRY_FACTS, topics.FINDINGS: SOURCE_FINDINGS, topics.KPI: (AreaAccounts,)},
        span,
        report,
    )
    for cause, taken in _taken_in({}, _decoded(source, topics.FRAMES, report), model, base):
        for fact in taken.facts:
            recorded.compare(fact, cause)
        for finding in taken.findings:
            recorded.compare(finding, cause)
        for account in taken.accounts:
            recorded.compare(account, cause)
        for snapshot in taken.snapshots:
            recorded.compare(snapshot, cause)
    recorded.close()


def base_before(source: RecordSource, model: MarketModel, starts: Mapping[tuple[str, int], int]) -> Base:
    """Compute the states that the records before some offsets lead to.

    Args:
        source: the recording, from its beginning.
        starts: (topic, partition) → first offset that is not taken in any more.
    """
    silent = StageReport("")

    def before(topic: Topic) -> Iterator[_Input]:
        for cause in _decoded(source, topic, silent):
            if cause.offset < starts.get((topic.name, cause.partition), 0):
                yield cause

    units: dict[str, AreaIntake] = {}
    processor = grid.GridProcessor(model.grid)
    watch = _Breaker(model, None)
    for folded in (
        _taken_in(units, before(topics.FRAMES), model, Base()),
        _grid_effects(processor, before(topics.SNAPSHOTS)),
        watch.effects(before(topics.FACTS)),
    ):
        deque(folded, maxlen=0)
    return Base(
        breaker=None if watch.state is None else breaker.encode_state(watch.state),
        grid=grid.encode_state(processor.state) if processor.state.offset >= 0 else None,
        held={area: encode_snapshots(held) for area in model.grid.areas if (held := processor.held(area))},
        intake={area: unit.encode() for area, unit in units.items()},
    )


def _taken_in(units: dict[str, AreaIntake], causes: Iterable[_Input], model: MarketModel, base: Base) -> Iterator[tuple[_Input, Taken]]:
    """Take frames in, each by the intake of its area; those of areas nobody listed are passed over."""
    for cause in causes:
        area = cause.record.area
        if area not in model.grid.areas:
            continue
        if area not in units:
            units[area] = model.intake(area)
            if area in base.intake:
                units[area].restore(base.intake[area])
        if (taken := units[area].take_in(cause.record, cause.offset)) is not None:
            yield cause, taken


def _grid_effects(processor: grid.GridProcessor, causes: Iterable[_Input]) -> Iterator[tuple[_Input, Any]]:
    for cause in causes:
        if cause.offset > processor.state.offset:
            effects = processor.take(cause.record)
            processor.state = replace(processor.state, offset=cause.offset)
            yield from ((cause, effect) for effect in effects)


class _Breaker:
    """Folds facts; ``state`` is None before the first."""

    def __init__(self, model: MarketModel, raw: bytes | None) -> None:
        self._model = model
        self.state = None if raw is None else breaker.decode_state(raw)

    def effects(self, causes: Iterable[_Input]) -> Iterator[tuple[_Input, Any]]:
        rules = self._model.rules_in_force
        for cause in causes:
            state = self.state or breaker.begin(cause.record.ts_event_ns, rules, day_ahead_runs=self._model.grid.day_ahead)
            if cause.offset > state.offset:
                after, effects = breaker.step(state, cause.record, rules, self._model.topology)
                self.state = breaker.at_offset(after, cause.offset)
                yield from ((cause, effect) for effect in effects)


def _grid(source: RecordSource, model: MarketModel, base: Base, span: Span, report: StageReport) -> None:
    made: dict[Topic, tuple[type[Any], ...]] = {topics.KPI: (KpiFrame, GridPicture), topics.INPUTS: (ClearingInputs, DayAheadWanted)}
    recorded = _Recorded(source, made | {topics.FACTS: (facts.EstimateReported,)}, span, report)
    state = None if base.grid is None else grid.decode_state(base.grid)
    held = [snapshot for raw in base.held.values() for snapshot in decode_snapshots(raw)]
    processor = grid.GridProcessor(model.grid, state, held)
    for cause, effect in _grid_effects(processor, _decoded(source, topics.SNAPSHOTS, report)):
        recorded.compare(effect, cause)
    recorded.close()


def _clearing(source: RecordSource, model: MarketModel, base: Base, span: Span, report: StageReport) -> None:
    outcomes: dict[int, Cleared | ClearingFailed] = {}
    revisions: dict[str, Cleared] = {}
    for found in _decoded(source, topics.OUTCOMES, StageReport("")):
        if isinstance(found.record, Cleared) and found.record.revision is not None:
            revisions[found.record.revision.command_id] = found.record
        else:
            outcomes.setdefault(found.record.interval_start_ns, found.record)
    said = (found.record for found in _decoded(source, topics.FACTS, StageReport("")))
    told = {record.command_id: record for record in said if isinstance(record, facts.ClearedAgain)}
    orders = again.Recomputed(model, revisions, told)
    completed_ns = _day_ahead_completed(source)
    kinds: dict[Topic, tuple[type[Any], ...]] = {
        topics.OUTCOMES: (Cleared, ClearingFailed),
        topics.SNAPSHOTS: (IntervalPlan, DayAheadPlan),
        topics.FACTS: (facts.ClearingReported, facts.ClearedAgain),
    }
    recorded = _Recorded(source, kinds, span, report)
    asked: set[str] = set()
    last: Reference | None = None
    for cause in _decoded(source, topics.INPUTS, report):
        record = cause.record
        if identity_of(record) in asked:
            continue  # a request that was made again got the same answer again
        asked.add(identity_of(record))
        if isinstance(record, DayAheadWanted):
            start_ns = day_start_ns(record.day, model.grid.rules.zone)
            if completed_ns[start_ns]:  # the first request of a day got the first answer
                for answer in day_ahead_records(record, day_ahead_result(record, model), model, completed_ns[start_ns].popleft()):
                    recorded.compare(answer, cause)
            continue
        if isinstance(record, ClearAgain):
            for answer in orders.answers(record):
                recorded.compare(answer, cause)
            continue
        known = outcomes.get(record.interval_start_ns)
        orders.begun(record, known)
        if known is None:
            continue  # never answered: the process died, or a silent engine; the breaker counts it as missing
        outcome: Cleared | ClearingFailed
        if from_outside(known):
            report.external += 1
            outcome = known
        else:
            rules = model.grid.rules
            without = isinstance(known, Cleared) and known.eased
            cleared = eased(solved(model.eased_engine, record)) if without else solved(model.engine, record)
            computed = refused(record, rules) or marked(cleared, record, rules)
            outcome, reference = held_against(computed, record, last, model)
            if last is None:
                # Where the recording begins, nobody knows what the first result was held against.
                review = known.review if isinstance(known, Cleared) else ()
                outcome = told_before(outcome, known if from_before(known) else None, review)
            last = reference if isinstance(outcome, Cleared) and reference is not None else last
            outcome = timed(outcome, known.completed_at_ns, record)
        for answer in clearing_records(outcome, record, model):
            recorded.compare(answer, cause)
    report.external += orders.external
    recorded.close()


def _day_ahead_completed(source: RecordSource) -> dict[int, deque[int]]:
    """Return when the day-ahead results of each day (by its start) were completed, in order."""
    completed_ns: dict[int, deque[int]] = defaultdict(deque)
    for found in _decoded(source, topics.FACTS, StageReport("")):
        fact = found.record
        if isinstance(fact, facts.ClearingReported) and fact.segment is facts.Segment.DA:
            known = completed_ns[fact.interval_start_ns]
            if fact.completed_at_ns not in known:
                known.append(fact.completed_at_ns)
    return completed_ns


def _breaker(source: RecordSource, model: MarketModel, base: Base, span: Span, report: StageReport) -> None:
    kinds: dict[Topic, tuple[type[Any], ...]] = {
        topics.DECISIONS: (Decision,),
        topics.INPUTS: (ClearAgain,),
        topics.PRICES: (PriceInForce,),
    }
    recorded = _Recorded(source, kinds, span, report)
    for cause, effect in _Breaker(model, base.breaker).effects(_decoded(source, topics.FACTS, report)):
        recorded.compare(effect, cause)
    recorded.close()


_Stage = Callable[[RecordSource, MarketModel, Base, Span, StageReport], None]

STAGES: Final[Mapping[str, _Stage]] = {"intake": _intake, "grid": _grid, "clearing": _clearing, "breaker": _breaker}
"""Every stage by name, in the order data flow."""


def replay(
    source: RecordSource, model: MarketModel, names: Iterable[str] = STAGES, base: Base | None = None, span: Span | None = None
) -> list[StageReport]:
    """Compute stages again and compare.

    Args:
        source: what was recorded.
        model: the grid and the rules, as they were then.
        names: stages of :data:`STAGES`.
        base: states at the beginning of the records.
        span: event time to compare.

    Returns:
        One report a stage, in the order of ``names``.
    """
    reports = []
    for name in names:
        report = StageReport(name)
        STAGES[name](source, model, base or Base(), span or Span(), report)
        reports.append(report)
    return reports
