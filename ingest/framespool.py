"""Where do telemetry frames wait while the stream side takes none, and which are let go of when there is no more room?

In one directory, a lane of segment files (:mod:`ingest.segmentlog`) for each priority (:mod:`ingest.priority`). A frame is split by the
priority of its points, and each part waits in its lane, flagged ``REPLAYED``, with its source and receive times as they were. Read back,
the lanes are one backlog: oldest first, by when the frames were received.

Limits: when all lanes together have more bytes than they may, the oldest segment of the last priority goes that has any; what is older
than it may be goes, whatever its priority. Every sample that goes is counted, with the reason, and its account is corrected
(:mod:`ingest.dropped`). What is counted is on disk before the segment is removed, so a crash between the two counts nothing twice.

Deliberately absent: sending (:mod:`ingest.forwarder`), and merging of parts: each is a frame of its own, with the ticket of the whole.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import replace

from ingest.account import Accounts, LostReason
from ingest.dropped import DroppedFile, DroppedSamples
from ingest.errors import DiskRefused, FrameError, SpoolError
from ingest.frame import ACCOUNTS_PART, TelemetryFrame, Ticket, decode_frame, encode_frame
from ingest.priority import Priorities, Priority
from ingest.quality import Flag
from ingest.segmentlog import SegmentForm, SegmentLog
from ingest.segments import Segment
from market.units import NS_PER_S

__all__ = ["Backlogged", "FrameSpool", "FrameSpoolLimits", "FrameSpoolStatus"]

_SUFFIX: Final = ".gff"
_REPLAYED: Final = np.uint16(Flag.REPLAYED)
_SEGMENTS: Final = 64
"""A full spool has so many segments: what is let go of at once is that part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSpoolLimits:
    """How much is kept.

    Attributes:
        bytes_max: most bytes of all lanes together.
        age_max_s: what was received longer ago goes.
        sync_s: longest time until an appended frame is on the disk; a process that is killed loses none.
    """

    bytes_max: int = 1 << 30
    age_max_s: int = 3 * 86_400
    sync_s: float = 0.2

    @property
    def segment_bytes(self) -> int:
        """Size at which a segment is closed."""
        return min(16 << 20, max(4 << 10, self.bytes_max // _SEGMENTS))

    @property
    def segment_age_s(self) -> int:
        """Age at which a segment is closed."""
        return min(3_600, max(1, self.age_max_s // 24))


class Backlogged(NamedTuple):
    """A frame of the backlog.

    Attributes:
        priority: its lane.
        end: place behind it in its lane, for :meth:`FrameSpool.sent`.
        frame: the frame; None where a place in the lane holds none that can be read.
    """

    priority: Priority
    end: int
    frame: TelemetryFrame | None


class FrameSpoolStatus(NamedTuple):
    """How full the spool is.

    Attributes:
        waiting_bytes: bytes that are to be sent.
        disk_bytes: bytes of all files, what was sent included.
        bytes_max: what they may be.
        oldest_ns: when the oldest frame that waits was received, UTC ns; None where none waits.
        dropped: samples let go of since the very first start, by ``priority reason``.
        damaged_bytes: bytes that hold no frame that can be read, since the spool was opened.
    """

    waiting_bytes: int
    disk_bytes: int
    bytes_max: int
    oldest_ns: int | None
    dropped: Counter[str]
    damaged_bytes: int


class FrameSpool:
    """The one writer and reader of a directory of spooled frames.

    All of it belongs to one thread, but :meth:`sent`, which may be called on another.

    Args:
        directory: made where it does not exist.
        priorities: of the points; may be set anew, for what is put in from then on.
        limits: how much is kept.
        now_ns: the wall clock, UTC ns, which ages are counted by.

    Raises:
        SpoolLocked: another process has it open.
        SpoolError: the directory cannot be used.
    """

    def __init__(
        self, directory: Path, priorities: Priorities, limits: FrameSpoolLimits | None = None, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.directory = directory
        self.limits = limits or FrameSpoolLimits()
        self.dropped = DroppedSamples()
        self.priorities = priorities
        self._now_ns = now_ns
        self._counted: Counter[str] = Counter()
        self._damaged_bytes = 0
        form = SegmentForm(
            suffix=_SUFFIX,
            segment_bytes=self.limits.segment_bytes,
            segment_age_s=self.limits.segment_age_s,
            items_max=0,
            bytes_max=0,
            sync_s=self.limits.sync_s,
        )
        self._lanes: dict[Priority, SegmentLog] = {}
        try:
            for priority in Priority:
                self._lanes[priority] = SegmentLog(directory / priority.name.lower(), form, now_ns)
            self._finish_drop()
        except Exception:
            self.close()
            raise
        self._read = {priority: lane.acked for priority, lane in self._lanes.items()}
        self._heads: dict[Priority, deque[Backlogged]] = {priority: deque() for priority in Priority}

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def put(self, frame: TelemetryFrame, ticket: Ticket) -> None:
        """Keep a frame; when this returns it survives the death of the process.

        Raises:
            DiskRefused: the disk took it not at all, or only some of its parts; the same may be put again, its ticket tells them apart.
            SpoolError: what was put earlier could not be brought to the disk.
        """
        for priority, part in self.priorities.parts(frame):
            kept = replace(part, flags=part.flags | _REPLAYED) if len(part) else part
            number = ACCOUNTS_PART if part.accounts is not None else int(priority)
            # The line break lets a reader find the next block behind a damaged one.
            begins = self._lanes[priority].append(encode_frame(kept, ticket._replace(part=number)) + b"\n", len(part))
            if begins or self.disk_bytes() > self.limits.bytes_max:
                self._enforce()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch(self, samples_max: int, frames_max: int) -> list[Backlogged]:
        """Return the next frames to send, about so many samples, at least one frame where one waits."""
        batch: list[Backlogged] = []
        samples = 0
        while samples < samples_max and len(batch) < frames_max and (each := self.next()) is not None:
            batch.append(each)
            samples += 0 if each.frame is None else len(each.frame)
        return batch

    def next(self) -> Backlogged | None:
        """Return the oldest frame that was not given out yet, or None; it waits until :meth:`sent`."""
        for priority in Priority:
            self._look(priority)
        heads = [lane[0] for lane in self._heads.values() if lane]
        if not heads:
            return None
        # Of frames received together, the one that matters most; accounts behind all they are about.
        first = min(heads, key=_turn)
        self._heads[first.priority].popleft()
        return first

    def _look(self, priority: Priority) -> None:
        head, lane = self._heads[priority], self._lanes[priority]
        while head and head[0].end <= lane.acked:
            head.popleft()
        while not head:
            chunk = lane.read(max(self._read[priority], lane.acked))
            if chunk is None:
                return
            self._read[priority] = chunk.end
            try:
                head.append(Backlogged(priority, chunk.end, decode_frame(chunk.data[:-1]) if chunk.data else None))
            except FrameError:
                self._damaged_bytes += len(chunk.data)
                head.append(Backlogged(priority, chunk.end, None))

    def sent(self, ends: dict[Priority, int]) -> None:
        """Note on disk that everything before these places was taken by the stream side; may be called on another thread.

        Raises:
            DiskRefused: it could not be noted; it is sent again after a restart, under the same tickets.
        """
        for priority, end in ends.items():
            self._lanes[priority].ack(end)

    def tidy(self) -> None:
        """Remove segments of which everything was sent, and what is too old."""
        for lane in self._lanes.values():
            kept = lane.segments()
            if lane.acked >= kept[-1].end > kept[-1].base:
                lane.rotate()
                kept = lane.segments()
            for segment in kept[:-1]:
                if lane.acked < segment.end:
                    break
                lane.let_go_of_oldest()
        self._enforce()

    def again(self) -> None:
        """Give out everything again that was not noted as sent."""
        for priority, lane in self._lanes.items():
            self._read[priority] = lane.acked
            self._heads[priority].clear()

    # ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _enforce(self) -> None:
        now_ns = self._now_ns()
        cutoff_ns = now_ns - self.limits.age_max_s * NS_PER_S
        self.dropped.forget(cutoff_ns - self.limits.age_max_s * NS_PER_S)
        for priority, lane in self._lanes.items():
            while (kept := lane.segments()) and _newest_ns(kept) < cutoff_ns and self._drop(priority, LostReason.SPOOL_TOO_OLD):
                pass
        while self.disk_bytes() > self.limits.bytes_max:
            if not any(self._drop(priority, LostReason.SPOOL_FULL) for priority in reversed(Priority)):
                return

    def _drop(self, priority: Priority, reason: LostReason) -> bool:
        """Let go of the oldest segment of a lane, counted; False where there is nothing."""
        lane = self._lanes[priority]
        kept = lane.segments()
        if kept[0].end == kept[0].base:
            return False
        if len(kept) == 1:
            lane.rotate()
        samples = 0
        for frame in self._waiting_in(lane, kept[0]):
            self.dropped.add(reason, frame)
            samples += len(frame)
        if samples:
            self._counted[f"{priority.name.lower()} {reason}"] += samples
            self._note(going=(f"{priority.name.lower()}/{kept[0].path.name}",))
        lane.let_go_of_oldest()
        return True

    def _waiting_in(self, lane: SegmentLog, segment: Segment) -> Iterator[TelemetryFrame]:
        place = max(lane.acked, segment.base)
        while place < segment.end and (chunk := lane.read(place)) is not None and chunk.end <= segment.end:
            place = chunk.end
            if chunk.data:
                try:
                    yield decode_frame(chunk.data[:-1])
                except FrameError:
                    self._damaged_bytes += len(chunk.data)

    def give_up(self, refused: Backlogged, reason: LostReason) -> None:
        """Count the samples of a frame that will never be taken; it is left behind with :meth:`sent`.

        Raises:
            DiskRefused: it could not be noted.
        """
        if refused.frame is not None and len(refused.frame):
            self.dropped.add(reason, refused.frame)
            self._counted[f"{refused.priority.name.lower()} {reason}"] += len(refused.frame)
            self._note()

    def settle(self, accounts: Accounts) -> None:
        """Note that accounts, as they were before they were corrected, have left."""
        if self.dropped.settled(accounts):
            self._note()

    def _note(self, going: tuple[str, ...] = ()) -> None:
        noted = DroppedFile(going=list(going), dropped=self.dropped.state(), samples=dict(self._counted))
        draft = self.directory / "dropped.new"
        try:
            with draft.open("wb") as file:
                file.write(msgspec.json.encode(noted))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.directory / "dropped.json")
        except OSError as exc:
            raise DiskRefused(f"spool {self.directory}: cannot note what was dropped: {exc.strerror}; free space") from exc

    def _finish_drop(self) -> None:
        """Read what was noted, and remove what was counted and is there still."""
        try:
            noted = msgspec.json.decode((self.directory / "dropped.json").read_bytes(), type=DroppedFile)
        except FileNotFoundError:
            return
        except msgspec.DecodeError as exc:
            what = f"{self.directory / 'dropped.json'} is damaged ({exc}); remove it: accounts then do not say what was dropped before"
            raise SpoolError(what) from exc
        self.dropped.restore(noted.dropped)
        self._counted.update(noted.samples)
        for name in noted.going:
            folder, _, file = name.partition("/")
            for priority, lane in self._lanes.items():
                if priority.name.lower() == folder and lane.segments()[0].path.name == file and len(lane.segments()) > 1:
                    lane.let_go_of_oldest()

    # ── how it stands ────────────────────────────────────────────────────────────────────────────────────────────────

    def disk_bytes(self) -> int:
        """Return how many bytes all lanes have on disk."""
        return sum(lane.end - lane.segments()[0].base for lane in self._lanes.values())

    def waiting_bytes(self) -> int:
        """Return how many bytes were not noted as sent."""
        return sum(lane.waiting_bytes() for lane in self._lanes.values())

    def status(self) -> FrameSpoolStatus:
        """Describe the spool as it is now."""
        for priority in Priority:
            self._look(priority)
        oldest = [each.frame.ts_ingest_ns for lane in self._heads.values() for each in lane if each.frame is not None]
        damaged = self._damaged_bytes + sum(lane.damaged_bytes for lane in self._lanes.values())
        waiting = self.waiting_bytes()
        return FrameSpoolStatus(waiting, self.disk_bytes(), self.limits.bytes_max, min(oldest, default=None), +self._counted, damaged)

    def close(self) -> None:
        """Bring everything to the disk and let go of the directory."""
        for lane in self._lanes.values():
            with closing(lane):
                pass


def _turn(each: Backlogged) -> tuple[int, bool, int]:
    if each.frame is None:
        return 0, False, each.priority
    return each.frame.ts_ingest_ns, each.frame.accounts is not None, each.priority


def _newest_ns(kept: list[Segment]) -> int:
    """Return when the last block of the oldest segment was written, at the latest; UTC ns."""
    return kept[1].created_ns if len(kept) > 1 else _modified_ns(kept[0])


def _modified_ns(segment: Segment) -> int:
    try:
        return segment.path.stat().st_mtime_ns
    except FileNotFoundError:
        return segment.created_ns
