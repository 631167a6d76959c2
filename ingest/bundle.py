"""Frames of many devices in one record: what was read in one turn leaves together.

A record on a topic costs more than a frame of a meter: it is sent, numbered, synced, fetched, acknowledged. Where thousands of devices
answer in a second, the frames of an area that leave together are one record, in their order. Each stays what it is, with its own source,
number and time. A frame that leaves alone is a record of its own (:func:`ingest.frame.encode_frame`); so is every frame that is no
device's: those that tell the time, and accounts.

On the wire a bundle is a MessagePack array of a version, the area and the encoded frames, which no frame begins like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from ingest.errors import FrameError
from ingest.frame import TelemetryFrame, decode_frame

__all__ = ["BUNDLE_BYTES_MAX", "FrameBundle", "decode_telemetry", "encode_bundle", "frames_of", "is_of_a_device"]

BUNDLE_BYTES_MAX: Final = 64 * 1024
"""Most bytes of frames that are put together: what queues that count records reckon with for one."""

_VERSION: Final = 1
_NO_DEVICE: Final = "@"
"""How the names of sources begin that are no devices."""

_ARRAY_OF_THREE: Final = b"\x93"
"""How a bundle begins. Frames are maps, and begin otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameBundle:
    """Frames of one area, in the order in which they were made.

    Attributes:
        frames: at least one, each a device's.
    """

    area: str
    frames: tuple[TelemetryFrame, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise FrameError(f"area {self.area}: a bundle without frames")
        for frame in self.frames:
            if frame.area != self.area:
                raise FrameError(f"{frame.source}: of area {frame.area}, in a bundle of area {self.area}")
            if not is_of_a_device(frame):
                raise FrameError(f"area {self.area}: {frame.source} in a bundle; what is no device's is a record of its own")

    def __len__(self) -> int:
        return sum(map(len, self.frames))

    @property
    def source(self) -> str:
        """Name whom it is from, for people."""
        first = self.frames[0].source
        return first if len(self.frames) == 1 else f"{first} and {len(self.frames) - 1} others"

    @property
    def ts_ingest_ns(self) -> int:
        """When the last of it was received, UTC ns."""
        return max(frame.ts_ingest_ns for frame in self.frames)


def is_of_a_device(frame: TelemetryFrame) -> bool:
    """Return whether a frame is what a device said, and may leave in a bundle."""
    return not frame.source.startswith(_NO_DEVICE) and frame.accounts is None


def frames_of(record: TelemetryFrame | FrameBundle) -> tuple[TelemetryFrame, ...]:
    """Return the frames of a record of telemetry, in their order."""
    return record.frames if isinstance(record, FrameBundle) else (record,)


def encode_bundle(area: str, frames: Sequence[bytes]) -> bytes:
    """Encode frames of an area, each encoded already, for a topic."""
    return msgspec.msgpack.encode((_VERSION, area, frames))


_DECODER: Final = msgspec.msgpack.Decoder(tuple[int, str, list[bytes]])


def decode_telemetry(raw: bytes) -> TelemetryFrame | FrameBundle:
    """Decode a record of telemetry; columns are read-only views of it.

    Raises:
        FrameError: neither a frame nor a bundle of them, of a later version, or one of its frames is damaged.
    """
    if raw[:1] != _ARRAY_OF_THREE:
        return decode_frame(raw)
    try:
        version, area, frames = _DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise FrameError(f"not a bundle of telemetry frames: {exc}") from exc
    if version != _VERSION:
        raise FrameError(f"bundle of version {version}; this release reads version {_VERSION}")
    return FrameBundle(area, tuple(map(decode_frame, frames)))
