"""Can the times of a device be believed, and which of its samples are merely out of order?

Theory of operation. Of each device the newest credible source time is known; less the device's bound it is the *watermark*. A sample
older than its point's newest is *reordered* down to the watermark and *late* below it (:mod:`streams.lastvalues`); one that is its
point's newest is always taken, however old, so nothing that is news waits.

No sample can have held after it was received: one dated later is dated by receipt, so that a future date hides nothing that follows.

A clock has jumped when frame after frame speaks against it, and none for it:

* *ahead*: everything in them was dated beyond belief and has our time by now (:mod:`ingest.sourcetime`);
* *back*: everything new in them is older than the watermark, some of it older than what its own point said before, by an amount that
  stays the same while receive time goes on. A store that is read out after an outage is older too, but catches up; what only took
  long to reach us is in order, point by point.

After three such frames over a period and a half (two seconds at least) that is certain: a finding is told, and what was late since the
first of them is read again. From then on the values are dated by receipt and marked CLOCK_SUSPECT: the newest of a frame by when we
received it, the others as much older as the device says. Their quality is the device's: a wrong clock does not make a voltage uncertain.
The episode ends, once, when as many frames are credible again: as old when they come as they were before the jump.

Samples without a time of the device's own, those from a store, repeats, and what we say ourselves of an unanswered poll, speak neither
for nor against a clock. Deliberately absent: clocks that drift, clocks that were behind from the first frame on or set back by no more
than a silence before (what they say is in order, and old), steps back smaller than the bound (what they say counts as reordered for as
long), and one wrong clock among several behind the same server.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from ingest.frame import TelemetryFrame, decode_frame, encode_frame
from ingest.points import PointTable
from ingest.quality import Flag
from ingest.sourcetime import AHEAD_MAX_NS, clock_off_ns, settle_source_times
from market.units import NS_PER_S
from streams.findings import ClockDirection, SourceClockJumped, SourceClockSteady
from streams.lastvalues import NO_WATERMARK_NS, LastValues

__all__ = ["ClockState", "Reading", "SourceClocks"]

_FRAMES_MIN: Final = 3
"""Frames in a row that it takes to believe that a clock jumped, or is right again."""

_STEADY_MIN_NS: Final = 2 * NS_PER_S
"""They span this at least, or one and a half of the device's shortest periods, and agree on the jump to within as much."""

_DRIFT_MAX: Final = 4
"""Over the time they span, the jump may change by this part of it at most: a device's clock goes as fast as ours, a store does not."""

_HELD_MAX: Final = 64
"""Frames kept to be read again; of more the oldest are let go."""

_NO_CLOCK: Final = np.uint16(Flag.TS_ESTIMATED | Flag.REPLAYED)
_STORED: Final = np.uint16(Flag.REPLAYED)
_SUSPECT: Final = np.uint16(Flag.CLOCK_SUSPECT)
_BY_RECEIPT: Final = np.uint16(Flag.TS_ESTIMATED | Flag.CLOCK_SUSPECT)
_NEVER: Final = -1


class ClockState(msgspec.Struct, array_like=True):
    """What is remembered of one device.

    Attributes:
        newest_ns: newest credible source time; -1 before the first.
        told_ns: newest time that its own clock told while it was right; -1 before the first.
        heard_ns: when we received that.
        run: frames in a row that speak against what is taken for true, that the clock is right or that it is wrong.
        run_since_ns: when the first of them was received.
        run_off_ns: by how much it was off.
        wrong_since_ns: when the first frame of a clock that is known to be wrong was received; None while it is right.
        held: what was late in the frames of the run, dated by receipt, as encoded frames.
    """

    newest_ns: int = _NEVER
    told_ns: int = _NEVER
    heard_ns: int = _NEVER
    run: int = 0
    run_since_ns: int = 0
    run_off_ns: int = 0
    wrong_since_ns: int | None = None
    held: list[bytes] = []


class Reading(NamedTuple):
    """How a frame is to be taken.

    Attributes:
        frames: what to take in its place, in order: itself, perhaps with other times, after what was held until its clock was judged.
        watermark_ns: what is older than this, and older than its point's newest, is late.
        finding: what became certain with this frame.
        doubt_ns: its device may be this much behind; what is late in it is to be held (:meth:`SourceClocks.hold`). None if it is not.
    """

    frames: tuple[TelemetryFrame, ...]
    watermark_ns: int
    finding: SourceClockJumped | SourceClockSteady | None = None
    doubt_ns: int | None = None


class _Evidence(NamedTuple):
    """What a frame says of the clock it came from.

    Attributes:
        told_ns: the newest time it told.
        off_ns: by how much that lies ahead of ours, where it speaks against the clock; None where it speaks for it.
        news: (n,) bool, samples that carry the device's time and no known one; None where they are dated by receipt already.
    """

    told_ns: int
    off_ns: int | None = None
    news: NDArray[np.bool_] | None = None


class SourceClocks:
    """The clocks of an area's devices.

    Args:
        area: the control area.
        table: its points.
    """

    def __init__(self, area: str, table: PointTable) -> None:
        self._area = area
        self._table = table
        self._place = {device: number for number, device in enumerate(table.devices)}
        self._bound_ns: list[int] = table.reorder_ns.tolist()
        self._steady_ns = [max(_STEADY_MIN_NS, 3 * period_ns // 2) for period_ns in table.shortest_ns.tolist()]
        self._states = [ClockState() for _ in table.devices]

    def watermarks_ns(self) -> NDArray[np.int64]:
        """Return (d,) the watermarks of the devices, UTC ns; negative before the first credible sample."""
        return np.array([state.newest_ns for state in self._states], dtype=np.int64) - self._table.reorder_ns

    def read(self, frame: TelemetryFrame, last: LastValues, *, answered: bool) -> Reading:
        """Judge the times of a frame with samples, and the clock they came from.

        Args:
            frame: the next frame of its source.
            last: what is known of its points, before the frame.
            answered: whether the device said it; what we say in its place moves no watermark.
        """
        newest_ns = int(frame.ts_event_ns.max())
        if newest_ns > frame.ts_ingest_ns:
            frame = _received(frame)
            newest_ns = frame.ts_ingest_ns
        place = self._place.get(frame.source)
        if place is None:
            return Reading((frame,), NO_WATERMARK_NS)
        state = self._states[place]
        frames: tuple[TelemetryFrame, ...] = (frame,)
        finding: SourceClockJumped | SourceClockSteady | None = None
        doubt_ns: int | None = None
        evidence = self._evidence(frame, newest_ns, place, last)
        if evidence is not None and evidence.off_ns is None:
            finding = self._spoken_for(state, place, frame, evidence.told_ns)
        elif evidence is not None and evidence.off_ns is not None:
            finding = self._spoken_against(state, place, frame, evidence.off_ns)
            if state.wrong_since_ns is None:
                doubt_ns = None if evidence.news is None else -evidence.off_ns
            elif evidence.news is not None:
                frames = (*map(decode_frame, state.held), _by_receipt(frame, evidence.news, -evidence.off_ns))
                newest_ns = int(frames[-1].ts_event_ns.max())
                state.held = []
        if answered and newest_ns > state.newest_ns:
            state.newest_ns = newest_ns
        return Reading(frames, state.newest_ns - self._bound_ns[place], finding, doubt_ns)

    def hold(self, late: TelemetryFrame, doubt_ns: int) -> None:
        """Keep what was late in a frame until it is known whether its clock was set back.

        Args:
            late: the samples.
            doubt_ns: as :class:`Reading` gave it.
        """
        state = self._states[self._place[late.source]]
        held = _by_receipt(late, np.ones(len(late), dtype=bool), doubt_ns)
        state.held = [*state.held, encode_frame(held)][-_HELD_MAX:]

    def _evidence(self, frame: TelemetryFrame, newest_ns: int, place: int, last: LastValues) -> _Evidence | None:
        """Return what a frame says of its device's clock; None where it says nothing."""
        state, now_ns, ts_ns = self._states[place], frame.ts_ingest_ns, frame.ts_event_ns
        clocked = None
        if np.count_nonzero(frame.flags):
            clocked = (frame.flags & _NO_CLOCK) == 0
            if not clocked.any():
                # What comes from a store says how the clock was when it was put there.
                suspect = ((frame.flags & _SUSPECT) != 0)[(frame.flags & _STORED) == 0].any()
                return _Evidence(now_ns, frame.clock_off_ns) if suspect else None
        told_ns = newest_ns if clocked is None else int(ts_ns[clocked].max())
        wrong = state.wrong_since_ns is not None
        mark_ns = state.told_ns - self._bound_ns[place]
        if state.told_ns < 0:
            mark_ns = now_ns - self._bound_ns[place] if wrong else told_ns
        elif wrong or state.run:
            mark_ns += now_ns - state.heard_ns
        if told_ns >= mark_ns:
            return _Evidence(told_ns)
        rows = self._table.rows(frame.point)
        known_ns = last.ts_value_ns[rows]
        news = (rows >= 0) & (ts_ns != known_ns) & (ts_ns != last.ts_seen_ns[rows])
        if clocked is not None:
            news &= clocked
        # A change that was long on its way is old too; only a point that goes back in time says that its clock did.
        if not (news if wrong else news & (ts_ns < known_ns)).any():
            return None
        told_ns = int(ts_ns[news].max())
        return _Evidence(told_ns, told_ns - now_ns, news)

    def _spoken_for(self, state: ClockState, place: int, frame: TelemetryFrame, told_ns: int) -> SourceClockSteady | None:
        now_ns, since_ns = frame.ts_ingest_ns, state.wrong_since_ns
        if since_ns is not None:
            if not state.run:
                state.run_since_ns = now_ns
            state.run += 1
            if state.run < _FRAMES_MIN or now_ns - state.run_since_ns < self._steady_ns[place]:
                return None
            state.wrong_since_ns = None
            state.told_ns = _NEVER
        state.run, state.held = 0, []
        if told_ns > state.told_ns:
            state.told_ns, state.heard_ns = told_ns, now_ns
        if since_ns is None:
            return None
        return SourceClockSteady(ts_event_ns=now_ns, device=frame.source, area=self._area, since_ns=since_ns)

    def _spoken_against(self, state: ClockState, place: int, frame: TelemetryFrame, off_ns: int) -> SourceClockJumped | None:
        now_ns, steady_ns = frame.ts_ingest_ns, self._steady_ns[place]
        if state.wrong_since_ns is not None:
            state.run = 0
            return None
        if not state.run or abs(off_ns - state.run_off_ns) > steady_ns:
            state.run, state.run_since_ns, state.run_off_ns, state.held = 0, now_ns, off_ns, []
        state.run += 1
        span_ns = now_ns - state.run_since_ns
        if state.run < _FRAMES_MIN or span_ns < steady_ns or abs(off_ns - state.run_off_ns) > span_ns // _DRIFT_MAX:
            return None
        state.run, state.wrong_since_ns = 0, state.run_since_ns
        return SourceClockJumped(
            ts_event_ns=now_ns,
            device=frame.source,
            area=self._area,
            since_ns=state.run_since_ns,
            jump_s=abs(off_ns) / NS_PER_S,
            direction=ClockDirection.AHEAD if off_ns >= 0 else ClockDirection.BEHIND,
        )

    def states(self) -> dict[str, ClockState]:
        """Return what is remembered of each device that was heard of, by name."""
        return {device: self._states[place] for device, place in self._place.items() if self._states[place].newest_ns >= 0}

    def restore(self, states: dict[str, ClockState]) -> None:
        """Go on from :meth:`states`; devices that are no longer listed are forgotten."""
        for device, state in states.items():
            if device in self._place:
                self._states[self._place[device]] = state


def _received(frame: TelemetryFrame) -> TelemetryFrame:
    """Date nothing later than it was received; what lies beyond belief is marked, as whoever reads a device does."""
    now_ns, claimed_ns = frame.ts_ingest_ns, frame.ts_event_ns
    ts_ns, flags = settle_source_times(claimed_ns, now_ns)
    beyond = claimed_ns > now_ns + AHEAD_MAX_NS
    if not beyond.any():
        return replace(frame, ts_event_ns=np.minimum(claimed_ns, now_ns))
    off_ns = frame.clock_off_ns or clock_off_ns(claimed_ns, np.where(beyond, flags, np.uint16(0)), now_ns)
    flags = np.where(beyond, frame.flags | flags, frame.flags)
    return replace(frame, ts_event_ns=np.where(beyond, ts_ns, np.minimum(claimed_ns, now_ns)), flags=flags, clock_off_ns=off_ns)


def _by_receipt(frame: TelemetryFrame, which: NDArray[np.bool_], younger_ns: int) -> TelemetryFrame:
    """Make samples, (n,) bool, younger by as much as their clock is behind, and say so."""
    ts_ns = np.where(which, np.minimum(frame.ts_event_ns + younger_ns, frame.ts_ingest_ns), frame.ts_event_ns)
    return replace(frame, ts_event_ns=ts_ns, flags=np.where(which, frame.flags | _BY_RECEIPT, frame.flags))
