"""The points page's memory: the newest sample of each point, and only what changed goes out."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from console.board import points as module
from console.board.points import PointBook
from ingest.frame import TelemetryFrame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_NO_COMMUNICATION, GOOD
from market.units import NS_PER_S

T0 = 1_600_000_000 * NS_PER_S
NAMES = ("bus/1/kv", "bus/2/kv", "load/9/mw", "unit/7/mw")
TABLE = PointTable(
    PointSpec(name=name, area="A", device=f"d{n % 2}", period_ns=NS_PER_S, unit="MW" if "mw" in name else "kV", by_exception=n == 3)
    for n, name in enumerate(NAMES)
)


def said(*samples: tuple[str, float, float], source: str = "d0", quality: int = GOOD) -> TelemetryFrame:
    """A frame of (point, seconds after the beginning, value)."""
    rows = [(point_id(name), T0 + int(at_s * NS_PER_S), value, quality, 0) for name, at_s, value in samples]
    return frame_of(source, "A", 1, T0, rows)


def column(packed: str, dtype: str) -> list[Any]:
    return np.frombuffer(base64.b64decode(packed), dtype=dtype).tolist()


def shown(message: dict[str, Any]) -> dict[str, tuple[float, int | None, str]]:
    """What a message says of each point: value, instant (ms) and status code."""
    places = list(range(len(NAMES))) if message["rows"] is None else column(message["rows"], "<u4")
    value, ago, quality = column(message["v"], "<f8"), column(message["ago"], "<u4"), column(message["q"], "<u2")
    at_ms = [None if one == 0xFFFFFFFF else message["at_ms"] - one for one in ago]
    return {NAMES[p]: (value[i], at_ms[i], message["codes"][quality[i]]) for i, p in enumerate(places)}


def test_a_new_client_gets_every_point_in_the_order_of_names():
    book = PointBook(TABLE)
    book.take(said(("unit/7/mw", 2.0, 81.25)))
    snapshot = book.snapshot()
    assert snapshot["names"] == list(NAMES)
    assert [snapshot["units"][n] for n in snapshot["unit"]] == ["kV", "kV", "MW", "MW"]
    assert [snapshot["devices"][n] for n in snapshot["device"]] == ["d0", "d1", "d0", "d1"]
    assert snapshot["stale_s"] == [3.0] * 4
    assert snapshot["told"] == [0, 0, 0, 1]
    points = shown(snapshot)
    assert points["unit/7/mw"] == (81.25, T0 // 1_000_000 + 2_000, "Good")
    assert points["bus/1/kv"][1:] == (None, "Bad_WaitingForInitialData")


def test_only_what_was_said_since_goes_out():
    book = PointBook(TABLE)
    book.take(said(("bus/1/kv", 1.0, 220.0), ("bus/2/kv", 1.0, 221.0)))
    version = (book.snapshot(), book.version)[1]
    assert book.delta(version) is None
    book.take(said(("bus/2/kv", 2.0, 222.0)))
    delta = book.delta(version)
    assert delta is not None
    assert shown(delta) == {"bus/2/kv": (222.0, T0 // 1_000_000 + 2_000, "Good")}
    assert delta["version"] == book.version


def test_the_newest_sample_stays_however_frames_overtake_each_other():
    book = PointBook(TABLE)
    book.take(said(("bus/1/kv", 5.0, 5.0)))
    book.take(said(("bus/1/kv", 3.0, 3.0)))
    book.take(said(("bus/1/kv", 4.0, 4.0), ("load/9/mw", 4.0, 40.0)))
    points = shown(book.snapshot())
    assert points["bus/1/kv"][0] == 5.0
    assert points["load/9/mw"][0] == 40.0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 50), st.sampled_from(("d0", "d1"))), min_size=1, max_size=30))
def test_whatever_the_order_the_newest_of_each_point_is_shown(samples: list[tuple[str, int, str]]):
    book = PointBook(TABLE)
    for name, at_s, source in samples:
        book.take(said((name, at_s, float(at_s)), source=source))
    points = shown(book.snapshot())
    for name in {name for name, _, _ in samples}:
        assert points[name][0] == max(at_s for other, at_s, _ in samples if other == name)


def test_a_bad_sample_keeps_the_last_usable_value_and_its_instant():
    book = PointBook(TABLE)
    book.take(said(("bus/1/kv", 1.0, 220.0)))
    book.fold()
    book.take(said(("bus/1/kv", 9.0, float("nan")), quality=BAD_NO_COMMUNICATION))
    assert shown(book.snapshot())["bus/1/kv"] == (220.0, T0 // 1_000_000 + 1_000, "Bad_NoCommunication")


def test_a_sign_of_life_is_passed_on_for_devices_that_tell_by_exception_only():
    book = PointBook(TABLE)
    for source in ("d0", "d1", "stranger"):
        book.take(heartbeat(source, "A", 1, T0 + 7 * NS_PER_S))
    assert book.snapshot()["heard"] == {"d1": T0 // 1_000_000 + 7_000}


def test_points_that_nobody_listed_and_empty_tables_change_nothing():
    book = PointBook(TABLE)
    book.take(said(("ghost/1/mw", 1.0, 1.0)))
    assert not book.fold()
    nobody = PointBook(PointTable([]))
    nobody.take(said(("bus/1/kv", 1.0, 1.0)))
    assert nobody.snapshot()["names"] == []


def test_another_list_keeps_what_is_known_of_points_that_stay_and_is_sent_whole():
    book = PointBook(TABLE)
    book.take(said(("bus/1/kv", 1.0, 220.0)))
    book.fold()
    version = book.version
    book.relist(PointTable(spec for spec in TABLE.specs if spec.name != "bus/2/kv"))
    delta = book.delta(version)
    assert delta is not None
    assert delta["full"]
    assert delta["names"] == ["bus/1/kv", "load/9/mw", "unit/7/mw"]
    assert column(delta["v"], "<f8")[0] == 220.0


def test_sources_that_never_repeat_themselves_stay_bounded(monkeypatch: Any):
    monkeypatch.setattr(module, "_WAITING_MAX", 3)
    book = PointBook(TABLE)
    for n in range(8):
        book.take(said(("bus/1/kv", float(n), float(n)), source=f"s{n}"))
    assert len(book._waiting) <= 3
    assert shown(book.snapshot())["bus/1/kv"][0] == 7.0


def test_more_points_than_a_page_bears_are_left_out_and_counted(monkeypatch: Any):
    monkeypatch.setattr(module, "POINTS_MAX", 3)
    book = PointBook(TABLE)
    book.take(said(("unit/7/mw", 1.0, 1.0), ("bus/1/kv", 1.0, 2.0)))
    snapshot = book.snapshot()
    assert (snapshot["left_out"], len(snapshot["names"])) == (1, 3)
    assert column(snapshot["v"], "<f8")[0] == 2.0
