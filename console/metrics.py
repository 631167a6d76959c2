"""What does this service say about itself to Prometheus?

``GET /metrics`` reads what the parts of the service count anyway; nothing is counted for it. Everything is read from memory on the
event loop, except the outbox, which is counted in a thread: a scrape waits a second for it at most and tells the last counts
otherwise. What has not been started yet is left out, or 0.

Labels are topics, partitions, agents, areas, devices, channels and named reasons: bounded by the point list and the code. Counters
begin at 0 with the process; those of intake are part of its state, so they go on where they were, as of the last tick.

Deliberately absent: the grid's and the market's figures, which go to InfluxDB with their event time.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from console.board.stream import BoardStream
from console.livelist import LiveList, Outcome
from console.logs import lost_lines
from console.loopdelay import LoopDelay
from console.observers import Recorder
from ingest.clock import Clock
from ingest.forwarder import Forwarder
from ingest.gateway import Gateway
from ingest.line import Line
from ingest.source import DeviceHealth
from market.units import NS_PER_S
from market.version import CODE
from streams.errors import SinkError
from streams.influx import FlushState
from streams.lanes import Lane
from streams.notify import Dispatcher
from streams.outbox import DeliveryState, Outbox
from streams.positions import open_log, positions, waiting_records
from streams.runtime import Shell
from streams.sink import Flushers, Sink
from streams.solverprocess import SolverHealth
from streams.topics import TOPICS

__all__ = ["Metrics", "Watched"]

_OUTBOX_S: Final = 1.0
"""Longest wait of a scrape for the outbox's counts, wall s."""

_INTAKE: Final = "intake "
"""What the names of intake's counters begin with: an area and an outcome follow."""

_ACCOUNT: Final = "account "
"""Likewise of the counters of accounts."""

_REASONS_MAX: Final = 20
"""Reasons told of one device; a device that finds ever new ways to be wrong gets the rest as ``other``."""

Sample = tuple[tuple[str, ...], float]
"""Label values and the number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The parts of the service that are read; those that its role does not have are None.

    Attributes:
        rule_set: id of the rules in force.
        last_tick_ns: gives the event time of the last tick, 0 before the first one.
        lanes: gives what waits for each sink.
        missing: gives what is missing to be ready.
        stream: gives the board's stream, None where it is not served.
        live_list: the point list in force.
        solver: how the solver process is.
    """

    shell: Shell
    gateway: Gateway | None
    forwarder: Forwarder | None = None
    spool: Sink | None
    recorder: Recorder | None
    flusher: Flushers | None
    outbox: Outbox | None
    dispatcher: Dispatcher | None
    clock: Clock
    loop_delay: LoopDelay
    rule_set: str
    last_tick_ns: Callable[[], int]
    lanes: Callable[[], Sequence[Lane]] = tuple
    missing: Callable[[], Sequence[str]] = tuple
    stream: Callable[[], BoardStream | None] = lambda: None
    live_list: LiveList | None = None
    solver: SolverHealth | None = None


class Metrics(Collector):
    """Reads the service when it is asked; uptime counts from here."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._started_s = time.monotonic()
        self._deliveries: dict[tuple[str, DeliveryState], int] = {}
        self._counting: asyncio.Task[dict[tuple[str, DeliveryState], int]] | None = None
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def page(self, accept: str) -> tuple[bytes, str]:
        """Return the body of an answer and its content type.

        Args:
            accept: the request's Accept header: Prometheus' own text format, or OpenMetrics where that is asked for.
        """
        if self._watched.outbox is not None:
            await self._count_deliveries(self._watched.outbox)
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    async def _count_deliveries(self, outbox: Outbox) -> None:
        # A database that hangs must not get a second thread for every scrape.
        if self._counting is None:
            self._counting = asyncio.create_task(asyncio.to_thread(outbox.counts))
        done, _ = await asyncio.wait((self._counting,), timeout=_OUTBOX_S)
        if not done:
            return
        counted, self._counting = self._counting, None
        if isinstance(cause := counted.exception(), SinkError):
            return  # the dispatcher logs it; the last counts stand
        if cause is not None:
            raise cause
        self._deliveries = counted.result()

    def collect(self) -> Iterator[Metric]:
        """Read everything (:class:`prometheus_client.registry.Collector`)."""
        watched = self._watched
        yield from _processors(watched.shell)
        yield from _topics(watched.shell)
        if watched.gateway is not None:
            yield from _devices(watched.gateway.health(), watched.gateway.frames_waiting())
            what = "Rounds of heartbeats given up because too many waited to be sent."
            yield _counter("gateway_dropped_beats_total", what, (), [((), watched.gateway.beats_dropped())])
        if watched.forwarder is not None:
            yield from _field_spool(watched.forwarder, watched.clock.now_ns())
        if watched.spool is not None and watched.recorder is not None:
            yield from _spool(watched.spool, watched.recorder)
        if watched.flusher is not None:
            yield from _influx(watched.flusher, time.time_ns())
        if watched.dispatcher is not None:
            yield from _deliveries(watched.dispatcher, self._deliveries)
        if watched.live_list is not None:
            yield from _point_list(watched.live_list)
        if watched.solver is not None:
            yield from _solver(watched.solver)
        yield from _sinks(watched.lanes())
        if (stream := watched.stream()) is not None:
            yield _gauge("board_clients", "Browsers that watch the live board.", stream.clients)
            what = "Browsers that were dropped because they did not read; each begins again with all of it."
            yield _counter("board_dropped_clients_total", what, (), [((), stream.dropped)])
            what = "Browsers that were sent away because too many watched."
            yield _counter("board_refused_clients_total", what, (), [((), stream.refused)])
        yield from self._service()

    def _service(self) -> Iterator[Metric]:
        watched = self._watched
        delay, tick_ns = watched.loop_delay, watched.last_tick_ns()
        yield _gauge("event_loop_delay_seconds", "How late the event loop came round, measured every 100 ms.", delay.last_s)
        yield _gauge("event_loop_delay_max_seconds", "The largest such delay since the last scrape.", delay.take_max_s())
        yield _gauge("clock_step_seconds", "By how much the machine's clock has parted from event time.", watched.clock.step_s())
        if tick_ns:
            yield _gauge("last_tick_timestamp_seconds", "Event time of the last tick, since the epoch.", tick_ns / NS_PER_S)
        yield _counter("lost_messages_total", "Lines of log that nobody took in time.", (), [((), lost_lines())])
        yield _gauge("ready", "1 while nothing is missing at /ready, else 0.", float(not watched.missing()))
        yield _gauge("uptime_seconds", "Wall time since the service was made.", time.monotonic() - self._started_s)
        yield InfoMetricFamily("gridfuse_build", "Which code decides, by which rules.", {"version": CODE, "rule_set": watched.rule_set})


def _counter(name: str, what: str, labels: Iterable[str], samples: Iterable[Sample]) -> Metric:
    family = CounterMetricFamily(f"gridfuse_{name}", what, labels=tuple(labels))
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _gauges(name: str, what: str, labels: Iterable[str], samples: Iterable[Sample]) -> Metric:
    family = GaugeMetricFamily(f"gridfuse_{name}", what, labels=tuple(labels))
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _gauge(name: str, what: str, number: float) -> Metric:
    return _gauges(name, what, (), [((), number)])


def _processors(shell: Shell) -> Iterator[Metric]:
    names, counters = sorted(shell.app.agents), shell.counters
    label = ("processor",)
    yield _counter("processor_records_total", "Records dealt with.", label, [((n,), counters[f"taken {n}"]) for n in names])
    what = "Wall time of dealing with them, waits for the disk included."
    yield _counter("processor_work_seconds_total", what, label, [((n,), shell.seconds.get(n, 0.0)) for n in names])
    what = "Records that could not be decoded, or whose processing raised; they are dead letters."
    yield _counter("processor_errors_total", what, label, [((n,), counters[f"failed {n}"]) for n in names])
    what = "Records that were read for a processor and not taken by it yet."
    yield _gauges("processor_waiting_records", what, label, [((n,), count) for n, count in sorted(waiting_records(shell.app).items())])
    what = "Samples since the very first start, by what became of them: taken, duplicate, reordered, late, unknown."
    counted = [(name.rpartition(" "), count) for name, count in counters.items() if name.startswith(_INTAKE)]
    samples = [((area.removeprefix(_INTAKE), outcome), count) for (area, _, outcome), count in counted]
    yield _counter("intake_samples_total", what, ("area", "outcome"), samples)
    what = "Samples of the minutes that are accounted for: expected, and by what became of them, which sums up to that."
    counted = [(name.rpartition(" "), count) for name, count in counters.items() if name.startswith(_ACCOUNT)]
    samples = [((area.removeprefix(_ACCOUNT), outcome), count) for (area, _, outcome), count in counted]
    yield _counter("account_samples_total", what, ("area", "outcome"), samples)


def _topics(shell: Shell) -> Iterator[Metric]:
    counters = shell.counters
    by_topic = ("topic",)
    what = "Records put among the dead letters, by the topic they were on."
    yield _counter("dead_letters_total", what, by_topic, [((t.name,), counters[f"dead {t.name}"]) for t in TOPICS])
    yield _counter("records_sent_total", "Records sent.", by_topic, [((t.name,), counters[f"sent {t.name}"]) for t in TOPICS])
    labels = ("topic", "partition")
    found = [((p.topic, str(p.partition)), p) for p in positions(shell.app)]
    yield _gauges("topic_end_offset", "Offset behind the newest record.", labels, [(place, p.end) for place, p in found])
    committed = [(place, p.committed) for place, p in found if p.committed is not None]
    yield _gauges("topic_committed_offset", "Offset at which processing goes on after a crash.", labels, committed)
    lags = [(place, p.lag) for place, p in found if p.lag is not None]
    yield _gauges("topic_lag_records", "Records that are not dealt with and committed yet.", labels, lags)
    if (log := open_log(shell.app)) is not None:
        yield _gauge("log_backlog_bytes", "Bytes of the embedded log on their way to disk.", log.backlog_bytes)
        stalled = log.stalled
        stalled_s = 0.0 if stalled is None else max(0.0, (time.time_ns() - stalled.since_ns) / NS_PER_S)
        yield _gauge(
            "log_stalled", "1 while the disk takes nothing of the embedded log, /ready says why; else 0.", float(stalled is not None)
        )
        yield _gauge("log_stalled_seconds", "For how long the disk has taken nothing, 0 while it does.", stalled_s)


def _devices(devices: Iterable[DeviceHealth], waiting: Mapping[str, int]) -> Iterator[Metric]:
    labels = ("device", "area")
    each = [((device.device, device.area), device) for device in devices]
    yield _gauges("gateway_waiting_frames", "Frames read and not sent yet.", labels, [(who, waiting[d.device]) for who, d in each])
    answering = [(who, float(d.available)) for who, d in each if d.available is not None]
    yield _gauges("device_available", "1 while the device answers, 0 while not; absent before it was asked.", labels, answering)
    heard = [(who, d.last_good_ns / NS_PER_S) for who, d in each if d.last_good_ns is not None]
    yield _gauges("device_last_good_timestamp_seconds", "Event time of the last good sample, since the epoch.", labels, heard)
    samples = [((*who, quality), getattr(d, quality)) for who, d in each for quality in ("good", "uncertain", "bad")]
    yield _counter("device_samples_total", "Samples published.", (*labels, "quality"), samples)
    flagged = [((*who, flag.lower()), count) for who, d in each for flag, count in d.flagged.items()]
    yield _counter("device_flagged_samples_total", "Samples in which a check found something.", (*labels, "check"), flagged)
    expected = [(who, d.expected) for who, d in each if d.expected]
    yield _counter("device_expected_samples_total", "Samples that were due, as far as it is known.", labels, expected)
    lost = [((*who, why), count) for who, d in each for why, count in d.lost.items()]
    yield _counter("device_lost_samples_total", "Samples that were due and never sent, by reason.", (*labels, "reason"), lost)
    yield _counter("device_polls_total", "Polls, publishes or pushes taken.", labels, [(who, d.polls) for who, d in each])
    what = "Periods without a poll because the one before had not ended."
    yield _counter("device_skipped_polls_total", what, labels, [(who, d.skipped) for who, d in each])
    yield _counter("device_reconnects_total", "Connections made after the first.", labels, [(who, d.reconnects) for who, d in each])
    by_reason = (*labels, "reason")
    dropped = [((*who, why), count) for who, d in each for why, count in _reasons(d.dropped)]
    yield _counter("device_dropped_frames_total", "Frames lost after they were built.", by_reason, dropped)
    refused = [((*who, why), count) for who, d in each for why, count in _reasons(d.refused)]
    yield _counter("device_refusals_total", "Replies, frames and connections not taken.", by_reason, refused)


def _solver(health: SolverHealth) -> Iterator[Metric]:
    yield _gauge("solver_up", "1 while a process is there to clear, else 0.", float(health.pid is not None))
    yield _counter("solver_starts_total", "Solver processes begun.", (), [((), health.starts)])
    what = "Solver processes that ended: killed at a deadline, or died by themselves."
    yield _counter("solver_ends_total", what, ("how",), [((how,), health.ends[how]) for how in ("killed", "died")])
    yield _gauge("solver_last_solve_seconds", "How long the last answer took, the way there and back included.", health.solve_s)
    if health.warm_gap is not None:
        what = "How far the objective of the last warm check was from the official one, relative; more than 1e-8 is a contradiction."
        yield _gauge("solver_warm_gap", what, health.warm_gap)
        yield _gauge("solver_warm_seconds", "How long the last warm check took.", health.warm_s)
    yield _gauge("solver_resident_bytes", "Memory of the solver process at its last answer.", health.resident_bytes)
    yield _gauge("solver_peak_bytes", "The most memory it ever had.", health.peak_bytes)


def _point_list(live: LiveList) -> Iterator[Metric]:
    what = "Times the point list was read again, by what became of it."
    yield _counter("point_list_reloads_total", what, ("outcome",), [((outcome.value,), live.reloads[outcome]) for outcome in Outcome])
    what = "Devices that were changed, added or removed so while the service ran."
    changes = ("changed", "added", "removed")
    yield _counter("point_list_devices_total", what, ("change",), [((change,), live.devices[change]) for change in changes])
    last = live.last
    is_refused = last is not None and last.outcome is Outcome.REFUSED
    yield _gauge("point_list_refused", "1 while the list that was read last is not the one in force, else 0.", float(is_refused))
    if last is not None:
        yield _gauge("point_list_reload_timestamp_seconds", "Event time it was read again last, since the epoch.", last.ts_ns / NS_PER_S)


def _reasons(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the first reasons seen, and the rest of them as one."""
    pairs = list(counts.items())
    rest = sum(count for _, count in pairs[_REASONS_MAX:])
    return pairs[:_REASONS_MAX] + ([("other", rest)] if rest else [])


def _field_spool(forwarder: Forwarder, now_ns: int) -> Iterator[Metric]:
    status = forwarder.spool.status()
    lines = [((line.value,), float(forwarder.line is line)) for line in Line]
    yield _gauges("field_spool_state", "1 for how it stands between the field and the broker.", ("state",), lines)
    yield _gauge("field_spool_waiting_bytes", "Bytes of telemetry that wait for the broker on disk.", status.waiting_bytes)
    yield _gauge("field_spool_disk_bytes", "Bytes of the whole spool of the field.", status.disk_bytes)
    yield _gauge("field_spool_limit_bytes", "Bytes it may have; beyond them the oldest samples of least weight go.", status.bytes_max)
    age_s = 0.0 if status.oldest_ns is None else max(0.0, (now_ns - status.oldest_ns) / NS_PER_S)
    yield _gauge("field_spool_oldest_age_seconds", "For how long the oldest of them has waited, 0 while none waits.", age_s)
    yield _counter("field_spool_stored_samples_total", "Samples put into it.", (), [((), forwarder.spooled)])
    yield _counter("field_spool_replayed_samples_total", "Samples sent from it.", (), [((), forwarder.replayed)])
    what = "Samples per second that are sent from it at most."
    yield _gauge("field_spool_replay_limit_samples_per_second", what, forwarder.pace.replay_per_s)
    dropped = [(tuple(kind.split(" ")), samples) for kind, samples in sorted(status.dropped.items())]
    what = "Samples let go of since the very first start, because it was full or they were too old."
    yield _counter("field_spool_dropped_samples_total", what, ("priority", "reason"), dropped)
    yield _counter("field_spool_damaged_bytes_total", "Bytes passed over as damaged.", (), [((), status.damaged_bytes)])


def _spool(spool: Sink, recorder: Recorder) -> Iterator[Metric]:
    status = spool.status()
    yield _gauge("spool_waiting_bytes", "Bytes that InfluxDB has not accepted.", status.waiting_bytes)
    yield _gauge("spool_disk_bytes", "Bytes of the whole spool, what was sent included.", status.bytes_on_disk)
    what = "Lines that a limit removed before they were accepted."
    yield _counter("spool_dropped_lines_total", what, (), [((), status.dropped_lines)])
    yield _counter("spool_damaged_bytes_total", "Bytes passed over as damaged.", (), [((), status.damaged_bytes)])
    since_ns = spool.waiting_since_ns()
    waits_s = 0.0 if since_ns is None else max(0.0, (time.time_ns() - since_ns) / NS_PER_S)
    yield _gauge("spool_waiting_seconds", "For how long the oldest line that waits has waited, 0 while none does.", waits_s)
    what = "Records that the disk did not take for so long that they were left on their topics."
    yield _counter("spool_not_spooled_records_total", what, (), [((), recorder.not_spooled)])
    yield _gauge("spool_missing_records", "Of these, those that are still to be taken again from their topics.", spool.gaps.records)
    what = "Of these, those that their topics did not have any more."
    yield _counter("spool_lost_records_total", what, (), [((), spool.gaps.lost)])
    what = "Good samples that are in no roll-up, because their minute is not known from its beginning, or not any more."
    yield _counter("rollup_left_out_samples_total", what, (), [((), recorder.left_out)])


def _influx(flusher: Flushers, now_ns: int) -> Iterator[Metric]:
    status = flusher.status
    states = [((state.value,), float(status.state is state)) for state in FlushState]
    yield _gauges("influx_state", "1 for the state that the flusher is in.", ("state",), states)
    numbers: dict[str, tuple[str, int]] = {
        "influx_sent_lines_total": ("Lines accepted by InfluxDB.", status.lines_sent),
        "influx_backlog_lines_total": ("Of these, lines that had waited.", status.lines_backlog),
        "influx_sent_bytes_total": ("Bytes accepted by InfluxDB.", status.bytes_sent),
        "influx_requests_total": ("Requests made.", status.requests),
        "influx_failures_total": ("Requests that failed as a whole; they are made again.", status.retries),
        "influx_rejected_lines_total": ("Lines that InfluxDB refused; they are in dead_letters.jsonl.", status.lines_rejected),
    }
    for name, (what, number) in numbers.items():
        yield _counter(name, what, (), [((), number)])
    what = "For how long the oldest line that is not backlog has waited, wall s."
    yield _gauge("influx_lag_seconds", what, flusher.lag_s(now_ns))


def _sinks(lanes: Iterable[Lane]) -> Iterator[Metric]:
    waiting: Counter[tuple[str, ...]] = Counter()
    skipped: Counter[tuple[str, ...]] = Counter()
    for lane in lanes:
        waiting[lane.sink, lane.topic.name] += lane.waiting
        skipped[lane.sink, lane.topic.name] += lane.skipped
    labels = ("sink", "topic")
    yield _gauges("sink_waiting_records", "Records that a sink has not seen yet.", labels, waiting.items())
    what = "Records that were given up for a sink that was too far behind; they are still on their topics."
    yield _counter("sink_skipped_records_total", what, labels, skipped.items())


def _deliveries(dispatcher: Dispatcher, counts: Mapping[tuple[str, DeliveryState], int]) -> Iterator[Metric]:
    channels = sorted({*dispatcher.status, *(channel for channel, _ in counts)})
    rows: Counter[Any] = Counter(counts)
    samples = [((channel, state.value), rows[channel, state]) for channel in channels for state in DeliveryState]
    yield _gauges("alert_deliveries", "Alerts in the outbox, by what came of them.", ("channel", "state"), samples)
    failed = [((channel,), status.failed_attempts) for channel, status in dispatcher.status.items()]
    in_flight = [((channel,), status.in_flight) for channel, status in dispatcher.status.items()]
    yield _gauges("alert_attempts_in_flight", "Deliveries that are being attempted now.", ("channel",), in_flight)
    yield _counter("alert_failed_attempts_total", "Attempts at a delivery that failed.", ("channel",), failed)
