"""What a scrape tells: every number where it belongs, before the start as well as under load, whatever is away."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from faust.types import TP
from prometheus_client.parser import text_string_to_metric_families

from console.api import build_api
from console.board.state import BoardState
from console.livelist import LiveList
from console.loopdelay import LoopDelay
from console.metrics import Metrics, Watched
from ingest.clock import SimulatedClock, WallClock
from ingest.errors import DeviceError
from ingest.forwarder import Forwarder
from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.framespool import FrameSpool
from ingest.pointlist import PointList
from ingest.priority import Priorities
from ingest.relisting import Relisting
from ingest.source import DeviceHealth
from market.rules import GUANGDONG_2023
from market.units import NS_PER_S
from market.version import CODE
from streams import topics
from streams.alerts import Alert, AlertState, Priority
from streams.errors import SinkUnavailable
from streams.influx import FlushState, FlushStatus
from streams.influxfile import Sinking
from streams.ledger import open_engine
from streams.notify import Dispatcher, LogChannel
from streams.outbox import Outbox
from streams.sink import Sink
from streams.solverprocess import SolverHealth
from streams.transport.log import Log
from tests.kit.board_feed import SCENES
from tests.kit.eventually import eventually, eventually_async
from tests.kit.fulldisk import no_room

T0 = SCENES["failing"]
RTU = DeviceHealth(
    device="rtu-1",
    area="1",
    available=True,
    polls=7,
    skipped=1,
    good=50,
    uncertain=3,
    bad=2,
    refused={"exception 2": 4},
    dropped={"queue_full": 9},
    reconnects=1,
    kicks=0,
    last_good_ns=T0,
    why="",
    flagged={"OUT_OF_RANGE": 3, "COUNTER_ROLLOVER": 1},
    expected=62,
    lost={"not_polled": 7},
)
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Devices:
    """A gateway that says what it is told to."""

    def __init__(self, *devices: DeviceHealth) -> None:
        self._devices = devices

    def health(self) -> tuple[DeviceHealth, ...]:
        return self._devices

    def beats_dropped(self) -> int:
        return 8

    def frames_waiting(self) -> dict[str, int]:
        return {device.device: 5 for device in self._devices}


def shell(**app: Any) -> Any:
    """A shell before its app was started, or with parts of one."""
    monitor = SimpleNamespace(tp_end_offsets={}, tp_committed_offsets={})
    made = {
        "agents": {"breaker": None, "intake": None},
        "transport": SimpleNamespace(opened=None),
        "monitor": monitor,
        "conf": SimpleNamespace(id="gridfuse"),
    }
    return SimpleNamespace(app=SimpleNamespace(**{**made, **app}), counters=Counter(), seconds=defaultdict(float))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    sink = Sink(tmp_path, None, Sinking())
    engine = open_engine(f"sqlite:///{tmp_path / 'outbox.db'}")
    outbox = Outbox(engine)
    yield Watched(
        shell=shell(),
        gateway=cast("Any", Devices(RTU)),
        spool=sink,
        recorder=cast("Any", SimpleNamespace(not_spooled=6, left_out=8)),
        flusher=None,
        outbox=outbox,
        dispatcher=Dispatcher(outbox, [LogChannel()]),
        clock=WallClock(utc_ns=lambda: 0, steady_ns=chain([0], repeat(9 * NS_PER_S)).__next__),
        loop_delay=LoopDelay(),
        rule_set="gd/r1",
        last_tick_ns=lambda: T0,
    )
    engine.dispose()
    sink.close()


async def get(metrics: Metrics, **headers: str) -> httpx.Response:
    board = BoardState(GUANGDONG_2023, simulated=True)
    app = build_api(board, None, cast("Any", None), clock=SimulatedClock(T0, 1e-9), metrics=metrics.page)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1:8080") as client:
        return await client.get("/metrics", headers=headers)


def parsed(answer: httpx.Response) -> Page:
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    page = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(page) == len(samples), "a name and its labels are told once"
    return page


def scraped(watched: Watched) -> Page:
    return parsed(asyncio.run(get(Metrics(watched))))


def at(page: Page, name: str, **labels: str) -> float | None:
    return page.get((f"gridfuse_{name}", tuple(sorted(labels.items()))))


def named(page: Page, name: str) -> dict[tuple[str, ...], float]:
    """Samples of a name by their label values."""
    return {tuple(value for _, value in labels): number for (found, labels), number in page.items() if found == f"gridfuse_{name}"}


# ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_service_that_is_not_started_is_told_as_zeros_and_gaps(watched: Watched) -> None:
    page = scraped(replace(watched, last_tick_ns=lambda: 0))
    assert at(page, "processor_records_total", processor="intake") == 0
    assert at(page, "dead_letters_total", topic="telemetry.frames.v1") == 0
    assert named(page, "topic_lag_records") == {}
    assert at(page, "log_backlog_bytes") is None
    assert at(page, "last_tick_timestamp_seconds") is None
    assert named(page, "influx_state") == {}
    assert at(page, "build_info", version=CODE, rule_set="gd/r1") == 1
    assert 0 <= (at(page, "uptime_seconds") or 0) < 60


def test_processors_tell_records_work_and_errors(watched: Watched) -> None:
    watched.shell.counters.update({"taken intake": 12, "failed intake": 2, "dead telemetry.frames.v1": 3})
    watched.shell.seconds["intake"] = 0.75
    page = scraped(watched)
    assert at(page, "processor_records_total", processor="intake") == 12
    assert at(page, "processor_work_seconds_total", processor="intake") == 0.75
    assert at(page, "processor_errors_total", processor="intake") == 2
    assert at(page, "processor_errors_total", processor="breaker") == 0
    assert at(page, "dead_letters_total", topic="telemetry.frames.v1") == 3


def test_what_became_of_samples_is_told_by_area(watched: Watched) -> None:
    watched.shell.counters.update({"intake 1 taken": 70, "intake 1 late": 2, "intake North West taken": 5, "samples intake": 99})
    watched.shell.counters.update({"account North West expected": 9, "account North West lost": 2})
    page = scraped(watched)
    assert at(page, "intake_samples_total", area="1", outcome="taken") == 70
    assert at(page, "intake_samples_total", area="1", outcome="late") == 2
    assert at(page, "account_samples_total", area="North West", outcome="expected") == 9
    assert at(page, "account_samples_total", area="North West", outcome="lost") == 2
    assert at(page, "intake_samples_total", area="North West", outcome="taken") == 5
    assert len(named(page, "intake_samples_total")) == 3


def test_a_point_list_that_was_refused_is_seen(watched: Watched, tmp_path: Path) -> None:
    async def take(points: PointList) -> Relisting:
        raise AssertionError("there is none to take")

    live = LiveList(tmp_path / "points.yaml", take, lambda: T0)
    told = replace(watched, live_list=live)
    assert at(scraped(told), "point_list_refused") == 0
    asyncio.run(live.reload())
    page = scraped(told)
    assert at(page, "point_list_refused") == 1
    assert named(page, "point_list_reloads_total") == {("applied",): 0, ("unchanged",): 0, ("refused",): 1}
    assert at(page, "point_list_reload_timestamp_seconds") == T0 / NS_PER_S
    assert named(page, "point_list_devices_total") == {("changed",): 0, ("added",): 0, ("removed",): 0}


def test_the_embedded_log_tells_how_far_each_partition_is_read(watched: Watched, tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.declare("telemetry.frames.v1", partitions=4)
    log.declare("gridfuse-intake-changelog", partitions=1, compacted=True)
    for _ in range(5):
        log.append("telemetry.frames.v1", 2, b"k", b"v")
    log.append("telemetry.frames.v1", 3, b"k", b"v")
    log.append("gridfuse-intake-changelog", 0, b"k", b"v")
    log.wait(log.commit("gridfuse", {("telemetry.frames.v1", 2): 3}), 5)
    page = scraped(replace(watched, shell=shell(transport=SimpleNamespace(opened=SimpleNamespace(log=log)))))
    log.close()
    assert at(page, "topic_end_offset", topic="telemetry.frames.v1", partition="2") == 5
    assert at(page, "topic_committed_offset", topic="telemetry.frames.v1", partition="2") == 3
    assert named(page, "topic_lag_records") == {(n, "telemetry.frames.v1"): lag for n, lag in zip("0123", (0, 0, 2, 1), strict=True)}
    assert at(page, "topic_committed_offset", topic="telemetry.frames.v1", partition="3") is None
    assert at(page, "log_backlog_bytes") == 0


def test_a_stalled_log_tells_for_how_long(watched: Watched, tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    log.declare("kpi.v1", partitions=1)
    log.wait(log.last_ticket, 5)
    watched = replace(watched, shell=shell(transport=SimpleNamespace(opened=SimpleNamespace(log=log))))
    sound = scraped(watched)
    assert (at(sound, "log_stalled"), at(sound, "log_stalled_seconds")) == (0, 0)
    with no_room(log):
        log.append("kpi.v1", 0, b"k", b"x" * 500_000)
        eventually("the log is stalled", lambda: log.stalled is not None)
        page = scraped(watched)
        assert at(page, "log_stalled") == 1
        assert 0 < (at(page, "log_stalled_seconds") or 0) < 60
        assert (at(page, "log_backlog_bytes") or 0) > 500_000
    log.close()


def test_on_kafka_it_is_what_the_worker_saw_last(watched: Watched) -> None:
    read, unread, foreign = TP("kpi.v1", 0), TP("alerts.v1", 0), TP("gridfuse-grid-changelog", 0)
    monitor = SimpleNamespace(tp_end_offsets={read: 10, unread: 4, foreign: 99}, tp_committed_offsets={read: 7})
    page = scraped(replace(watched, shell=shell(transport=SimpleNamespace(), monitor=monitor)))
    assert named(page, "topic_end_offset") == {("0", "kpi.v1"): 10, ("0", "alerts.v1"): 4}
    assert named(page, "topic_lag_records") == {("0", "kpi.v1"): 3}


def test_devices_tell_what_became_of_them(watched: Watched) -> None:
    silent = replace(RTU, device="rtu-2", available=False, last_good_ns=None)
    unasked = replace(RTU, device="rtu-3", available=None)
    page = scraped(replace(watched, gateway=cast("Any", Devices(RTU, silent, unasked))))
    assert named(page, "device_available") == {("1", "rtu-1"): 1, ("1", "rtu-2"): 0}
    who = {"device": "rtu-1", "area": "1"}
    assert [at(page, "device_samples_total", **who, quality=quality) for quality in ("good", "uncertain", "bad")] == [50, 3, 2]
    assert [at(page, "device_flagged_samples_total", **who, check=check) for check in ("out_of_range", "counter_rollover")] == [3, 1]
    assert at(page, "device_expected_samples_total", **who) == 62
    assert at(page, "device_lost_samples_total", **who, reason="not_polled") == 7
    assert at(page, "device_dropped_frames_total", **who, reason="queue_full") == 9
    assert at(page, "device_refusals_total", **who, reason="exception 2") == 4
    assert at(page, "device_reconnects_total", **who) == 1
    assert at(page, "gateway_waiting_frames", **who) == 5


def test_names_are_escaped_and_reasons_are_bounded(watched: Watched) -> None:
    odd = replace(RTU, device='a "b" \\ c\nd', refused={f"exception {code}": 1 for code in range(255)})
    page = scraped(replace(watched, gateway=cast("Any", Devices(odd))))
    refusals = named(page, "device_refusals_total")
    assert {labels[1] for labels in refusals} == {'a "b" \\ c\nd'}
    assert (len(refusals), sum(refusals.values())) == (21, 255)
    assert at(page, "device_refusals_total", device=odd.device, area="1", reason="other") == 235


def test_sinks_tell_what_waits_and_what_was_lost(watched: Watched) -> None:
    watched.spool.spool.append(b"kpi load_mw=1.0 1\n")
    for offset in (7, 8):
        watched.spool.gaps.add(topics.KPI.name, 0, offset)
    status = FlushStatus(state=FlushState.REFUSED, requests=8, lines_sent=100, bytes_sent=2_000, retries=3, lines_rejected=1)
    watched.outbox.put(
        Alert(
            alert_id="a",
            ts_event_ns=5,
            name="market_tripped",
            priority=Priority.P2,
            state=AlertState.RAISED,
            text_en="tripped",
            text_zh="熔断",
            labels={},
        ),
        ("log", "webhook"),
        1,
    )
    page = scraped(replace(watched, flusher=cast("Any", SimpleNamespace(status=status, lag_s=lambda now_ns: 2.5))))
    assert at(page, "spool_waiting_bytes") == watched.spool.spool.end
    assert at(page, "spool_not_spooled_records_total") == 6
    assert at(page, "rollup_left_out_samples_total") == 8
    assert at(page, "spool_dropped_lines_total") == 0
    assert at(page, "spool_missing_records") == 2
    assert at(page, "spool_lost_records_total") == 0
    assert 0 < at(page, "spool_waiting_seconds") < 60
    assert at(page, "influx_lag_seconds") == 2.5
    assert named(page, "influx_state") == {("ok",): 0, ("waiting",): 0, ("refused",): 1}
    assert at(page, "influx_sent_lines_total") == 100
    assert at(page, "influx_requests_total") == 8
    assert at(page, "influx_failures_total") == 3
    assert at(page, "alert_deliveries", channel="webhook", state="waiting") == 1
    assert at(page, "alert_deliveries", channel="log", state="delivered") == 0


def test_the_solver_process_tells_how_it_is(watched: Watched) -> None:
    assert not [name for name, _ in scraped(watched) if name.startswith("gridfuse_solver")]
    health = SolverHealth(pid=7, starts=3, solve_s=0.25, resident_bytes=90 << 20, peak_bytes=120 << 20)
    health.ends.update(killed=1, died=1)
    page = scraped(replace(watched, solver=health))
    assert page["gridfuse_solver_up", ()] == 1
    assert page["gridfuse_solver_starts_total", ()] == 3
    assert page["gridfuse_solver_ends_total", (("how", "killed"),)] == page["gridfuse_solver_ends_total", (("how", "died"),)] == 1
    assert page["gridfuse_solver_last_solve_seconds", ()] == 0.25
    assert ("gridfuse_solver_warm_gap", ()) not in page, "nothing was checked yet"
    checked = scraped(replace(watched, solver=replace(health, warm_gap=2e-12, warm_s=0.003)))
    assert (checked["gridfuse_solver_warm_gap", ()], checked["gridfuse_solver_warm_seconds", ()]) == (2e-12, 0.003)
    assert (page["gridfuse_solver_resident_bytes", ()], page["gridfuse_solver_peak_bytes", ()]) == (90 << 20, 120 << 20)
    health.pid = None
    assert scraped(replace(watched, solver=health))["gridfuse_solver_up", ()] == 0


def test_time_is_told_in_seconds(watched: Watched) -> None:
    page = scraped(watched)
    assert at(page, "last_tick_timestamp_seconds") == T0 / 1e9
    assert at(page, "clock_step_seconds") == -9


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_outbox_that_hangs_holds_no_scrape_up_and_gets_one_thread(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.metrics._OUTBOX_S", 0.01)
    release, asked = threading.Event(), []

    def counts() -> dict[Any, int]:
        asked.append(1)
        assert release.wait(10)
        return {}

    monkeypatch.setattr(watched.outbox, "counts", counts)
    metrics = Metrics(watched)

    async def thrice() -> list[httpx.Response]:
        try:
            return [await get(metrics) for _ in range(3)]
        finally:
            release.set()

    pages = [parsed(answer) for answer in asyncio.run(thrice())]
    assert [at(page, "alert_deliveries", channel="log", state="waiting") for page in pages] == [0, 0, 0]
    assert len(asked) == 1


def test_an_outbox_that_is_away_leaves_the_last_counts(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics(watched)
    before = parsed(asyncio.run(get(metrics)))

    def away() -> dict[Any, int]:
        raise SinkUnavailable("the disk is gone")

    monkeypatch.setattr(watched.outbox, "counts", away)
    assert named(parsed(asyncio.run(get(metrics))), "alert_deliveries") == named(before, "alert_deliveries")


def test_the_text_format_unless_openmetrics_is_asked_for(watched: Watched) -> None:
    plain = asyncio.run(get(Metrics(watched)))
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"


def test_openmetrics_for_who_asks(watched: Watched) -> None:
    answer = asyncio.run(get(Metrics(watched), accept="application/openmetrics-text; version=1.0.0"))
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_sinks_viewers_and_what_is_missing_are_told(watched: Watched) -> None:
    lanes = [SimpleNamespace(sink=sink, topic=topics.FRAMES, waiting=n, skipped=2 * n) for n, sink in enumerate(("A", "B", "B"), 1)]
    stream = cast("Any", SimpleNamespace(clients=3, dropped=4, refused=5))
    page = scraped(replace(watched, lanes=lambda: cast("Any", lanes), missing=lambda: ("time",), stream=lambda: stream))
    assert named(page, "sink_waiting_records") == {("A", "telemetry.frames.v1"): 1, ("B", "telemetry.frames.v1"): 5}
    assert named(page, "sink_skipped_records_total") == {("A", "telemetry.frames.v1"): 2, ("B", "telemetry.frames.v1"): 10}
    assert (at(page, "board_clients"), at(page, "board_dropped_clients_total"), at(page, "ready")) == (3, 4, 0)
    assert (at(page, "board_refused_clients_total"), at(page, "gateway_dropped_beats_total")) == (5, 8)
    assert at(scraped(watched), "ready") == 1


def test_lines_of_log_that_were_lost_are_told(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.metrics.lost_lines", lambda: 3)
    assert at(scraped(watched), "lost_messages_total") == 3


def test_what_was_read_for_a_processor_and_not_taken_is_told(watched: Watched) -> None:
    def actor(size: int) -> Any:
        return SimpleNamespace(stream=SimpleNamespace(channel=SimpleNamespace(queue=SimpleNamespace(qsize=lambda: size))))

    agents = {"breaker": SimpleNamespace(_actors=[actor(7)]), "intake": SimpleNamespace(_actors=[])}
    page = scraped(replace(watched, shell=shell(agents=agents)))
    assert named(page, "processor_waiting_records") == {("breaker",): 7, ("intake",): 0}


UNITS = ("seconds", "bytes", "records", "frames", "lines", "samples", "polls", "reconnects", "refusals", "errors", "letters", "attempts")
THINGS = (
    "requests",
    "failures",
    "messages",
    "clients",
    "beats",
    "deliveries",
    "in_flight",
    "sent",
    "offset",
    "state",
    "available",
    "ready",
    "stalled",
    "info",
)


def test_every_metric_is_named_and_explained_as_prometheus_asks(watched: Watched, tmp_path: Path) -> None:
    """Base units as a suffix, ``_total`` on counters and on nothing else, and a sentence of help on each."""
    log = Log(tmp_path / "log")
    flusher = cast("Any", SimpleNamespace(status=FlushStatus(), lag_s=lambda now_ns: 0.0))
    stream = cast("Any", SimpleNamespace(clients=0, dropped=0, refused=0))
    whole = replace(
        watched, shell=shell(transport=SimpleNamespace(opened=SimpleNamespace(log=log))), flusher=flusher, stream=lambda: stream
    )
    answer = asyncio.run(get(Metrics(whole)))
    log.close()
    families = [f for f in text_string_to_metric_families(answer.text) if f.name.startswith("gridfuse_")]
    assert len(families) >= 45
    for family in families:
        assert family.documentation.endswith("."), family.name
        assert f"# HELP {family.name}" in answer.text, family.name
        counter = family.type == "counter"
        assert all(sample.name.endswith("_total") is counter for sample in family.samples), family.name
        assert family.name.removesuffix("_total").endswith((*UNITS, *THINGS)), family.name
        assert not re.search(r"_(ms|ns|minutes|hours|kb|mb|percent|count)(_|$)", family.name), family.name


def test_a_foreign_name_is_refused_here_too(watched: Watched) -> None:
    assert asyncio.run(get(Metrics(watched), host="evil.example")).status_code == 421


# ── the event loop's delay ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.integration
def test_a_loop_that_is_held_up_shows_until_it_was_told_once() -> None:
    async def held_up() -> LoopDelay:
        delay = LoopDelay()
        running = asyncio.create_task(delay.run())
        await asyncio.sleep(0)
        time.sleep(0.25)  # noqa: ASYNC251 this is what is measured
        while not delay.last_s:
            await asyncio.sleep(0.01)
        running.cancel()
        return delay

    delay = asyncio.run(held_up())
    assert 0.1 < delay.last_s < 5
    delay.last_s, first_s = 0.0, delay.last_s
    assert (delay.take_max_s(), delay.take_max_s()) == (first_s, 0.0)


def test_what_waits_in_front_of_the_broker(watched: Watched, tmp_path: Path) -> None:
    async def story() -> Page:
        async def refuse(frame: TelemetryFrame, raw: bytes) -> Any:
            raise DeviceError("nobody is there")

        spool = FrameSpool(tmp_path / "field", Priorities(["load/1/mw"]))
        forwarder = Forwarder(refuse, spool)
        forwarder.start()
        await forwarder.emit(frame_of("rtu", "1", 0, T0 - 9 * NS_PER_S, [(point_id("load/1/mw"), T0, 1.0, 0, 0)] * 4))
        await eventually_async("it is spooled", lambda: forwarder.spooled == 4)
        spool._counted["other spool_full"] = 3
        try:
            return parsed(await get(Metrics(replace(watched, forwarder=forwarder, clock=SimulatedClock(T0, 1e-9)))))
        finally:
            await forwarder.stop(0.0)

    page = asyncio.run(story())
    assert page["gridfuse_field_spool_state", (("state", "away"),)] == 1.0
    assert page["gridfuse_field_spool_waiting_bytes", ()] == page["gridfuse_field_spool_disk_bytes", ()] > 100
    assert page["gridfuse_field_spool_limit_bytes", ()] == 1 << 30
    assert page["gridfuse_field_spool_oldest_age_seconds", ()] == 9.0
    assert page["gridfuse_field_spool_stored_samples_total", ()] == 4.0
    assert page["gridfuse_field_spool_replayed_samples_total", ()] == 0.0
    assert page["gridfuse_field_spool_dropped_samples_total", (("priority", "other"), ("reason", "spool_full"))] == 3.0
