"""Lines of telemetry, made by columns, are to the byte those that a plain encoder makes sample by sample."""

from __future__ import annotations

import math
from itertools import groupby

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD, is_bad
from market.units import NS_PER_MS
from streams.lineprotocol import tag_value
from streams.measurements import TELEMETRY
from streams.telemetrylines import TelemetryEncoder, series_key

NAMES = [f"unit/U{n}/{quantity}" for n in range(3) for quantity in ("mw", "mvar", "kv")] + ["switch/A B/from", "meter/7", "load/广东/mw"]
TABLE = PointTable(PointSpec(name=name, area="1, N", device="rtu", period_ns=10**9) for name in NAMES)
T_NS = 1_790_000_000_123_456_789

SAMPLES = st.lists(
    st.tuples(
        st.sampled_from([point_id(name) for name in NAMES] + [12345]),
        st.sampled_from([T_NS, T_NS + 100, T_NS + NS_PER_MS, T_NS + 7 * NS_PER_MS]),
        st.floats() | st.sampled_from([0.0, -0.0, 1000.7000000000001, 5.0, 1e22, 1e-7]),
        st.sampled_from([0, 0, 0, 0x80310000, 0x40000000, 0x40920000, 0xC0000000, 0x80000000]),
        st.just(0),
    ),
    max_size=30,
)


def plainly(frame: TelemetryFrame) -> bytes:
    """Write a frame sample by sample, as the schema says it."""
    spec_of = {point_id(spec.name): spec for spec in TABLE.specs}
    rows = []
    columns = (frame.point.tolist(), frame.ts_event_ns.tolist(), frame.value.tolist(), frame.quality.tolist())
    for place, (point, ts_ns, value, quality) in enumerate(zip(*columns, strict=True)):
        if (spec := spec_of.get(point)) is None:
            continue
        kind, element, quantity = series_key(spec.name)
        tags = {"area": spec.area, "dev": spec.device, "element": element, "kind": kind}
        head = TELEMETRY.name + "".join(f",{tag.name}={tag_value(tags[tag.name])}" for tag in TELEMETRY.tags) + " "
        bad = bool(is_bad(np.array([quality], dtype=np.uint32))[0])
        if bad or not math.isfinite(value):
            said = f"{quantity}_quality={quality if quality >> 31 else BAD}i"
        else:
            said = f"{quantity}={msgspec.json.encode(value).decode()}" + (f",{quantity}_quality={quality}i" if quality else "")
        rows.append((head.encode(), quantity.encode(), place, ts_ns // NS_PER_MS, said.encode()))
    rows.sort(key=lambda row: row[:3])
    lines: list[tuple[tuple[bytes, bytes | None, int], list[bytes]]] = []
    for head, quantity, _, ts_ms, said in rows:
        if lines and lines[-1][0][0] == head and lines[-1][0][2] == ts_ms and lines[-1][0][1] != quantity:
            lines[-1] = ((head, quantity, ts_ms), [*lines[-1][1], said])
        else:
            lines.append(((head, quantity, ts_ms), [said]))
    return b"".join(b"%b%b %d000000\n" % (head, b",".join(said), ts_ms) for (head, _, ts_ms), said in lines)


@given(st.lists(SAMPLES, min_size=1, max_size=4))
def test_every_frame_becomes_the_lines_a_plain_encoder_makes_of_it(frames: list[list[tuple[int, int, float, int, int]]]) -> None:
    encoder = TelemetryEncoder(TABLE)
    for seq, samples in enumerate(frames):
        frame = frame_of("rtu", "1, N", seq, T_NS, samples)
        encoded = encoder.encode(frame)
        assert encoded.data == plainly(frame)
        assert encoded.lines == encoded.data.count(b"\n")
        assert encoded.values + encoded.withheld + encoded.unknown == len(frame)
        again = encoder.encode(frame)
        assert again == encoded, "the layout that was prepared gives the same"


@given(st.integers(2, 40), st.lists(st.sampled_from([0, 0x80310000, 0x40000000]), min_size=40, max_size=40))
def test_wide_lines_of_one_poll_are_plain_lines_too(n: int, quality: list[int]) -> None:
    samples = [(point_id(NAMES[place % len(NAMES)]), T_NS, 0.1 * place, quality[place], 0) for place in range(min(n, len(NAMES)))]
    frame = frame_of("rtu", "1, N", 1, T_NS, samples)
    data = TelemetryEncoder(TABLE).encode(frame).data
    assert data == plainly(frame)
    heads = [line.split(b" ")[0] for line in data.splitlines()]
    assert [head for head, _ in groupby(heads)] == sorted(set(heads))
