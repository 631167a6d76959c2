"""Several spools are one sink: what waits and what was sent is added up, and none is forgotten when the settings change."""

from __future__ import annotations

from pathlib import Path

from streams.influx import FlushState, InfluxTarget
from streams.influxfile import Sinking
from streams.sink import RAW_SPOOL, Sink

MAIN = InfluxTarget(url="http://127.0.0.1:9", org="grid", bucket="grid")
RAW = InfluxTarget(url="http://127.0.0.1:9", org="grid", bucket="grid_raw")
LINE = b"kpi load_mw=1.0 1\n"


def test_without_a_bucket_of_its_own_raw_telemetry_lies_with_the_rest(tmp_path: Path) -> None:
    sink = Sink(tmp_path, MAIN, Sinking())
    assert sink.raw is sink.spool
    assert not (tmp_path / RAW_SPOOL).exists()
    assert [name for name, work in sink.work() if work.close() is None] == ["influx"]
    sink.close()


def test_what_waits_in_two_spools_is_added_up_and_how_it_stands_is_the_worse_of_them(tmp_path: Path) -> None:
    sink = Sink(tmp_path, MAIN, Sinking(raw=RAW))
    assert sink.raw is not sink.spool
    one = sink.spool.append(LINE)
    assert sink.waiting_since_ns() is not None
    other = sink.raw.append(LINE * 3)
    status = sink.status()
    assert (status.waiting_bytes, status.segments, status.directory) == (one + other, 2, str(tmp_path / "spool"))
    assert sink.flushers is not None
    main, raw = sink.flushers.each
    main.status.lines_sent, raw.status.lines_sent = 5, 7
    raw.status.state, raw.status.alarm = FlushState.REFUSED, "no such bucket"
    assert (sink.flushers.status.lines_sent, sink.flushers.status.state, sink.flushers.status.alarm) == (
        12,
        FlushState.REFUSED,
        "no such bucket",
    )
    assert sink.flushers.lag_s(2**62) > 1e9
    sink.close()


def test_lines_that_wait_for_a_bucket_nobody_names_any_more_are_sent_with_the_rest(tmp_path: Path) -> None:
    before = Sink(tmp_path, MAIN, Sinking(raw=RAW))
    before.raw.append(LINE)
    before.close()
    after = Sink(tmp_path, MAIN, Sinking())
    assert after.raw is after.spool
    assert after.flushers is not None
    assert len(after.flushers.each) == 2
    assert after.status().waiting_bytes > 0
    after.close()


def test_without_an_influxdb_everything_stays_in_the_spool(tmp_path: Path) -> None:
    sink = Sink(tmp_path, None, Sinking())
    assert sink.flushers is None
    assert [*sink.work()] == []
    assert sink.waiting_since_ns() is None
    sink.close()
