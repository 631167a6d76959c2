"""Whatever devices and their clocks do, and wherever the service is restarted: findings alternate, and nothing depends on the restart."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.bundle import FrameBundle, is_of_a_device
from ingest.frame import TelemetryFrame, frame_of, heartbeat, point_id
from ingest.points import PointSpec, PointTable
from ingest.quality import BAD_NO_COMMUNICATION, GOOD, Flag
from market.units import NS_PER_MS, NS_PER_S
from streams import wire
from streams.findings import SourceClockJumped, SourceClockSteady, SourceFinding, SourceFresh, SourceStale
from streams.intake import CLOCK_SOURCE, AreaIntake, Taken

T0 = 1_577_840_400 * NS_PER_S
SPECS = [
    PointSpec(name="load/101/mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="branch/A1/from_mw", area="1", device="meter", period_ns=NS_PER_S),
    PointSpec(name="switch/A1/from", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
    PointSpec(name="site/MAIN", area="1", device="scada", period_ns=NS_PER_S, by_exception=True),
]
TABLE = PointTable(SPECS)
OFF_MS = (0, 0, 0, -200, -4_000, -20_000, -20_000, -3_600_000, -3_600_000, 3_000, 3_600_000)
"""How far a source time lies from the receive time; a jump is a spell of the same one."""

OLDEST_S = 10
"""How old a value that just came may be shown: a clock may lag by the bound before that is a jump, and by the bound once it was one."""


@dataclass(frozen=True)
class Spell:
    """A device that sends some frames at a pace, its clock off by so much; or says nothing; or cannot be read."""

    device: str
    kind: str
    frames: int
    step_ms: int
    off_ms: int
    value: float


spells = st.builds(
    Spell,
    device=st.sampled_from(["meter", "scada"]),
    kind=st.sampled_from(["says", "says", "says", "says", "beats", "unread", "silence", "tick"]),
    frames=st.integers(1, 8),
    step_ms=st.sampled_from([1, 500, 1_000, 1_500, 5_000]),
    off_ms=st.sampled_from(OFF_MS),
    value=st.sampled_from([0.0, 0.1, 1.0, 2.0, 40.0]),
)


def frames_of(story: list[Spell]) -> list[TelemetryFrame]:
    """What a story puts on the partition, ticks among it."""
    now_ns, made = T0, list[TelemetryFrame]()
    for spell in story:
        points = [spec.name for spec in SPECS if spec.device == spell.device]
        for k in range(spell.frames):
            now_ns += spell.step_ms * NS_PER_MS
            if spell.kind == "tick" or (spell.kind == "silence" and k % 2):
                made.append(heartbeat(CLOCK_SOURCE, "1", len(made) + 2, now_ns))
            elif spell.kind == "beats":
                made.append(heartbeat(spell.device, "1", len(made), now_ns))
            elif spell.kind == "unread":
                bad = [(point_id(name), now_ns, float("nan"), BAD_NO_COMMUNICATION, int(Flag.TS_ESTIMATED)) for name in points]
                made.append(frame_of(spell.device, "1", len(made), now_ns, bad))
            elif spell.kind == "says":
                at_ns = now_ns + spell.off_ms * NS_PER_MS
                good = [(point_id(name), at_ns, spell.value + (k if n else 0), GOOD, 0) for n, name in enumerate(points)]
                made.append(frame_of(spell.device, "1", len(made), now_ns, good))
    return made


def intake() -> AreaIntake:
    return AreaIntake("1", TABLE, {"A1": 100.0}, dead_flow_pct=1.0)


def records(taken: Taken) -> list[bytes]:
    return [wire.encode(record) for record in (*taken.facts, *taken.findings, *taken.snapshots)]


def findings(frames: list[TelemetryFrame]) -> list[SourceFinding]:
    unit = intake()
    return [finding for offset, frame in enumerate(frames) if (taken := unit.take_in(frame, offset)) for finding in taken.findings]


@settings(max_examples=150, deadline=None)
@given(st.lists(spells, max_size=25))
def test_findings_about_a_device_alternate_and_name_the_same_episode(story: list[Spell]) -> None:
    stale: dict[str, int] = {}
    wrong: dict[str, int] = {}
    for found in findings(frames_of(story)):
        match found:
            case SourceStale():
                assert found.device not in stale
                stale[found.device] = found.since_ns
            case SourceFresh():
                assert stale.pop(found.device) == found.since_ns
            case SourceClockJumped():
                assert found.device not in wrong
                assert found.since_ns <= found.ts_event_ns
                wrong[found.device] = found.since_ns
            case SourceClockSteady():
                assert wrong.pop(found.device) == found.since_ns


@settings(max_examples=150, deadline=None)
@given(st.lists(spells, max_size=20), st.data())
def test_restarts_and_redelivery_anywhere_change_nothing(story: list[Spell], data: st.DataObject) -> None:
    frames = frames_of(story)
    restarts = data.draw(st.dictionaries(st.integers(0, max(0, len(frames) - 1)), st.integers(0, 10), max_size=6))
    unit, plain = intake(), intake()
    for offset, frame in enumerate(frames):
        if offset in restarts:
            again = intake()
            again.restore(unit.encode())
            unit = again
            for before in range(max(0, offset - restarts[offset]), offset):
                assert unit.take_in(frames[before], before) is None
        ours, theirs = unit.take_in(frame, offset), plain.take_in(frame, offset)
        assert ours is not None
        assert theirs is not None
        assert records(ours) == records(theirs)
    assert unit.encode() == plain.encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(spells, max_size=20))
def test_no_value_is_younger_than_its_receipt_and_no_point_goes_back_in_time(story: list[Spell]) -> None:
    unit, held_ns = intake(), defaultdict[int, int](int)
    for offset, frame in enumerate(frames_of(story)):
        unit.take_in(frame, offset)
        for row, ts_ns in enumerate(unit.last.ts_value_ns.tolist()):
            assert held_ns[row] <= ts_ns + 1
            assert ts_ns <= frame.ts_ingest_ns
            held_ns[row] = ts_ns


@settings(max_examples=150, deadline=None)
@given(st.lists(spells, max_size=12), st.sampled_from(sorted({*OFF_MS} - {-20_000})), st.integers(1, 500))
def test_a_clock_that_stays_as_it_is_is_believed_or_found_in_twelve_frames(story: list[Spell], off_ms: int, value: int) -> None:
    """After whatever happened: once a device sends steadily, its newest value is the one that is shown, and is not shown as old.

    (A jump of 20 s may hide in a silence as long: then everything is in order, and old.)
    """
    right = Spell(device="meter", kind="says", frames=1, step_ms=1_000, off_ms=0, value=1.0)
    steady = Spell(device="meter", kind="says", frames=12, step_ms=1_000, off_ms=off_ms, value=float(value))
    frames = frames_of([right, *story, steady])
    unit = intake()
    for offset, frame in enumerate(frames):
        unit.take_in(frame, offset)
    newest = frames[-1]
    for name, shown in (("load/101/mw", float(value)), ("branch/A1/from_mw", value + 11.0)):
        assert unit.last.value[TABLE.row(name)] == shown
        assert newest.ts_ingest_ns - unit.last.ts_value_ns[TABLE.row(name)] <= OLDEST_S * NS_PER_S


@settings(max_examples=100, deadline=None)
@given(st.lists(spells, max_size=20), st.lists(st.integers(1, 9), min_size=1, max_size=30))
def test_frames_that_came_in_one_record_tell_what_they_would_have_told_alone(story: list[Spell], sizes: list[int]) -> None:
    frames = frames_of(story)
    together, alone = intake(), intake()
    told: list[bytes] = []
    offset, at = 0, 0
    while at < len(frames):
        chosen = list(takewhile(is_of_a_device, frames[at : at + sizes[offset % len(sizes)]]))
        record = FrameBundle("1", tuple(chosen)) if chosen else frames[at]
        taken = together.take_in(record, offset)
        assert taken is not None
        assert together.take_in(record, offset) is None
        told += records(taken)
        offset, at = offset + 1, at + max(1, len(chosen))
    apart = [taken for number, frame in enumerate(frames) if (taken := alone.take_in(frame, number)) is not None]
    assert sorted(told) == sorted(record for taken in apart for record in records(taken))
    together.offset = alone.offset
    assert together.encode() == alone.encode()
