"""What do the sinks have to be told again after a restart, of what was recorded before it?

The board shows the newest records of a few topics. The spool needs some of them too, and the newest frames, so that a minute that the
restart fell into is rolled up from its beginning (:mod:`streams.rollups`); but only those that will not be shown to it once more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from ingest.bundle import FrameBundle, frames_of
from ingest.frame import TelemetryFrame
from streams import topics, wire
from streams.errors import DecodeError
from streams.gaps import Gap
from streams.recordings import Recording, open_recording
from streams.roles import Role
from streams.rollups import Rollups
from streams.topics import Topic
from streams.transport import log_directory

__all__ = ["Recalled", "last_event_ns", "last_records", "recall_telemetry"]

_FRAMES: Final = 8_000
"""Newest records of each partition of telemetry that are read back, some 20 µs each: a minute at a hundred a second."""


class Recalled(NamedTuple):
    """A record, whether the sinks were done with it, and its offset."""

    record: Any
    done: bool
    offset: int


def last_event_ns(broker: str) -> int | None:
    """Return the event time the last run had reached by what it recorded, or None where there was none.

    Raises:
        StoreError: there is a log, and it cannot be read.
    """
    newest = last_records(broker, {topics.FACTS: 50, topics.SNAPSHOTS: 50})
    return max((each.record.ts_event_ns for records in newest.values() for each in records), default=None)


def last_records(broker: str, most: Mapping[Topic, int], group: str = Role.ALL.group("")) -> dict[Topic, list[Recalled]]:
    """Read back the newest records of topics of one partition; none where nothing was recorded yet.

    Args:
        broker: as in the settings.
        most: how many of each topic.
        group: consumer group of the sinks, which says what they were done with.

    Raises:
        StoreError: there is a recording, and it cannot be read.
    """
    if _is_new(broker):
        return {}
    with open_recording(broker, group) as recording:
        return {topic: _newest(recording, topic, 0, count) for topic, count in most.items() if recording.partitions(topic.name)}


def recall_telemetry(broker: str, rollups: Rollups, gaps: Collection[Gap] = ()) -> None:
    """Tell the roll-ups the newest frames; only the log of this machine says which of them were dealt with.

    Args:
        broker: as in the settings.
        rollups: of the frames.
        gaps: records that were left and will be taken again.

    Raises:
        StoreError: there is a log, and it cannot be read.
    """
    if log_directory(broker) is None:
        return
    if _is_new(broker):
        rollups.begin_anew()
        return
    known_from_ns, found = 0, list[TelemetryFrame | FrameBundle]()
    with open_recording(broker) as recording:
        for partition in range(recording.partitions(topics.FRAMES.name)):
            records = _newest(recording, topics.FRAMES, partition, _FRAMES)
            if records and records[0].offset:  # there were some before it, which are not read or not there any more
                known_from_ns = max(known_from_ns, records[0].record.ts_ingest_ns)
            left = [range(gap.first, gap.last + 1) for gap in gaps if (gap.topic, gap.partition) == (topics.FRAMES.name, partition)]
            found += [each.record for each in records if each.done and not any(each.offset in offsets for offsets in left)]
    # Areas side by side again, by the time their frames came.
    found.sort(key=lambda record: record.ts_ingest_ns)
    rollups.recall((frame for record in found for frame in frames_of(record)), known_from_ns)


def _is_new(broker: str) -> bool:
    directory = log_directory(broker)
    return directory is not None and not any(directory.glob("*"))


def _newest(recording: Recording, topic: Topic, partition: int, most: int) -> list[Recalled]:
    found, done = [], recording.done(topic.name, partition)
    for record in recording.newest(topic.name, partition, most):
        with contextlib.suppress(DecodeError):
            found.append(Recalled(wire.decode(topic, record.value or b""), record.offset < done, record.offset))
    return found
