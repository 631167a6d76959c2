"""What is written is read back as it was, and whatever else is read is refused in words, never with a crash."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.account import Accounts
from ingest.bundle import FrameBundle, decode_telemetry, encode_bundle, is_of_a_device
from ingest.errors import FrameError
from ingest.frame import TelemetryFrame, account_frame, decode_frame, encode_frame, heartbeat
from ingest.points import PointSpec, PointTable
from market.facts import DayAheadExpected, EstimateSource
from market.progress import Outlook, Phase
from streams import topics, wire
from streams.errors import DecodeError
from streams.identity import identity_of
from streams.image import AreaSnapshot, decode_snapshot, encode_snapshot
from streams.intake import AreaIntake
from streams.kpis import SourceHealth
from streams.lastvalues import LastValues

COLUMNS = ("point", "ts_event_ns", "value", "quality", "flags")
TABLE = PointTable(PointSpec(name=f"x/{n}/v", area="1", device="d", period_ns=10**9) for n in range(5))


@st.composite
def frames(draw: st.DrawFn) -> TelemetryFrame:
    rows = draw(
        st.lists(
            st.tuples(
                st.sampled_from(TABLE.ids.tolist()) | st.integers(0, 2**64 - 1),
                st.integers(0, 2**62),
                st.floats(),
                st.integers(0, 2**32 - 1),
                st.integers(0, 2**16 - 1),
            ),
            max_size=8,
        )
    )
    point, ts_event_ns, value, quality, flags = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return TelemetryFrame(
        source=draw(st.text(max_size=5)),
        area="1",
        seq=draw(st.integers(0, 2**40)),
        ts_ingest_ns=draw(st.integers(0, 2**62)),
        point=np.array(point, dtype=np.uint64),
        ts_event_ns=np.array(ts_event_ns, dtype=np.int64),
        value=np.array(value, dtype=np.float64),
        quality=np.array(quality, dtype=np.uint32),
        flags=np.array(flags, dtype=np.uint16),
        clock_off_ns=draw(st.just(0) | st.integers(-(2**62), 2**62)),
    )


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "value") for name in COLUMNS)


@given(frames())
def test_a_frame_is_read_back_to_the_bit(frame: TelemetryFrame) -> None:
    raw = encode_frame(frame)
    again = decode_frame(raw)
    assert same(frame, again)
    assert encode_frame(again) == raw


@given(st.integers(1, 40), st.sets(st.sampled_from(COLUMNS[1:])), st.booleans())
def test_columns_that_hold_one_value_are_written_once_and_read_back_whole(n: int, alike: set[str], has_one_other: bool) -> None:
    columns = {
        "ts_event_ns": np.arange(n, dtype=np.int64),
        "value": np.arange(n, dtype=np.float64),
        "quality": np.arange(n, dtype=np.uint32),
        "flags": np.arange(n, dtype=np.uint16),
    }
    for name in alike:
        columns[name][:] = 7
        if has_one_other:
            columns[name][-1] = 8
    frame = TelemetryFrame(source="rtu", area="1", seq=1, ts_ingest_ns=9, point=np.arange(n, dtype=np.uint64), **columns)
    raw = encode_frame(frame)
    again = decode_frame(raw)
    assert same(frame, again)
    assert not any(getattr(again, name).flags.writeable for name in COLUMNS)
    assert encode_frame(again) == raw
    if n >= 16 and not has_one_other and alike >= {"ts_event_ns", "quality", "flags"}:
        assert len(raw) < 17 * n + 100
    with pytest.raises(FrameError, match=r"bytes for|columns of different"):
        decode_frame(msgspec.msgpack.encode(msgspec.msgpack.decode(raw) | {"n": n + 1}))


def test_a_frame_of_the_first_release_is_read_and_one_of_a_later_release_is_refused() -> None:
    frame = TelemetryFrame(
        source="rtu",
        area="1",
        seq=1,
        ts_ingest_ns=9,
        point=np.arange(20, dtype=np.uint64),
        ts_event_ns=np.full(20, 5, dtype=np.int64),
        value=np.arange(20, dtype=np.float64),
        quality=np.zeros(20, dtype=np.uint32),
        flags=np.zeros(20, dtype=np.uint16),
    )
    body = msgspec.msgpack.decode(encode_frame(frame))
    assert body["v"] == 2
    first = body | {"v": 1, "ts": frame.ts_event_ns.tobytes(), "quality": frame.quality.tobytes(), "flags": frame.flags.tobytes()}
    assert same(decode_frame(msgspec.msgpack.encode(first)), frame)
    with pytest.raises(FrameError, match="column ts has 8 bytes for 20 samples"):
        decode_frame(msgspec.msgpack.encode(body | {"v": 1}))
    with pytest.raises(FrameError, match="version 3"):
        decode_frame(msgspec.msgpack.encode(body | {"v": 3}))


@given(st.lists(frames(), min_size=1, max_size=5))
def test_a_bundle_is_read_back_as_the_frames_that_were_put_in(given_frames: list[TelemetryFrame]) -> None:
    frames = [frame for frame in given_frames if is_of_a_device(frame)]
    raw = encode_bundle("1", [encode_frame(frame) for frame in frames])
    if not frames:
        with pytest.raises(FrameError, match="without frames"):
            decode_telemetry(raw)
        return
    again = wire.decode(topics.FRAMES, raw)
    assert isinstance(again, FrameBundle)
    assert len(again) == sum(map(len, frames))
    assert all(same(one, other) and one.source == other.source for one, other in zip(frames, again.frames, strict=True))
    assert wire.encode(again) == raw


@given(frames(), st.binary(max_size=20), st.integers(0, 400))
def test_a_bundle_that_is_damaged_is_refused_in_words(frame: TelemetryFrame, garbage: bytes, at: int) -> None:
    raw = encode_bundle("1", [encode_frame(frame)] * 2)
    for damaged in (raw[:at], raw[: at + 1] + garbage + raw[at + 1 + len(garbage) :], b"\x93" + garbage):
        with contextlib.suppress(FrameError):
            decode_telemetry(damaged)
    with pytest.raises(FrameError, match="version 9"):
        decode_telemetry(b"\x93\x09" + raw[2:])
    with pytest.raises(FrameError, match="of area 1, in a bundle of area 2"):
        decode_telemetry(encode_bundle("2", [encode_frame(frame)]))


@pytest.mark.parametrize("frame", [heartbeat("@clock", "1", 1, 5), account_frame("1", 5, Accounts(from_ns=0, to_ns=5, devices=()))])
def test_what_tells_the_time_or_gives_accounts_is_never_in_a_bundle(frame: TelemetryFrame) -> None:
    with pytest.raises(FrameError, match="record of its own"):
        decode_telemetry(encode_bundle("1", [encode_frame(frame)]))


INSTANTS = st.integers(0, 2**62)
EXPECTED = st.builds(
    DayAheadExpected,
    ts_event_ns=INSTANTS,
    interval_start_ns=INSTANTS,
    source=st.sampled_from(EstimateSource),
    p50_ns=st.none() | INSTANTS,
    p90_ns=st.none() | INSTANTS,
    phase=st.none() | st.sampled_from(Phase),
    gap=st.none() | st.floats(0, 1),
    share_done=st.none() | st.floats(0, 1),
    outlook=st.none() | st.sampled_from(Outlook),
)


@given(EXPECTED)
def test_what_is_expected_of_a_day_ahead_run_is_read_back_as_it_was(fact: DayAheadExpected) -> None:
    again = wire.decode(topics.FACTS, wire.encode(fact))
    assert again == fact
    assert identity_of(again) == identity_of(fact)


@given(frames(), st.dictionaries(st.sampled_from(["taken", "late"]), st.integers(0, 2**40)))
def test_a_snapshot_is_read_back_to_the_bit(frame: TelemetryFrame, counters: dict[str, int]) -> None:
    source = SourceHealth(source="d", area="1", points=5, good=3, age_s=1.5, state="ok")
    snapshot = AreaSnapshot(ts_event_ns=7, area="1", values=frame, sources=(source,), counters=counters)
    assert encode_snapshot(decode_snapshot(encode_snapshot(snapshot))) == encode_snapshot(snapshot)


@given(st.lists(frames(), max_size=6))
def test_intake_goes_on_from_its_state_as_if_nothing_had_happened(given_frames: list[TelemetryFrame]) -> None:
    unit = AreaIntake("1", TABLE, {}, 1.0)
    for number, frame in enumerate(given_frames):
        again = AreaIntake("1", TABLE, {}, 1.0)
        again.restore(unit.encode())
        assert again.encode() == unit.encode()
        ours, theirs = (unit.take(frame), again.take(frame)) if number % 2 else (unit.tick(number), again.tick(number))
        assert ours.facts == theirs.facts
        assert again.encode() == unit.encode()


@given(st.lists(frames(), max_size=6))
def test_every_sample_is_counted_once(given_frames: list[TelemetryFrame]) -> None:
    last = LastValues(TABLE)
    for frame in given_frames:
        for turn in last.in_turns(frame):
            last.take(turn)
    assert sum(last.counters.values()) == sum(len(frame) for frame in given_frames)


@pytest.mark.parametrize("topic", topics.TOPICS, ids=lambda topic: topic.name)
@given(data=st.data())
def test_arbitrary_bytes_are_refused_in_words(topic: topics.Topic, data: st.DataObject) -> None:
    raw = data.draw(
        st.binary(max_size=60)
        | st.builds(lambda kind, body: b'{"kind":"%b","v":1,"body":%b}' % (kind, body), st.binary(max_size=8), st.binary(max_size=30))
    )
    with contextlib.suppress(DecodeError):
        wire.decode(topic, raw)


@given(frames(), st.data())
def test_a_state_that_was_cut_or_altered_is_refused_or_read_and_never_crashes(frame: TelemetryFrame, data: st.DataObject) -> None:
    unit = AreaIntake("1", TABLE, {}, 1.0)
    unit.take(frame)
    raw = bytearray(unit.encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with_cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for spoilt in (bytes(raw), with_cut):
        with contextlib.suppress(FrameError):
            AreaIntake("1", TABLE, {}, 1.0).restore(spoilt)
