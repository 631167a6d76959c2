"""What has a device taught us about what may be read from it?

A block that is refused with "illegal address" or "illegal value" is halved until the point at fault stands alone, or both halves answer.
That costs some requests, once: what it taught is remembered, also over a restart, and planned around.

==========================================  ==============================================================
what was seen                               what it teaches
==========================================  ==============================================================
a point is refused on its own               it is not there: it is not asked for, nor read across
a block is refused, both halves answer,     the hole between them may not be read across
and something lies between them
a block is refused, both halves answer,     the device gives no more in one reply than the longer half has
and nothing lies between them
==========================================  ==============================================================

Devices are mended and get new firmware, so nothing is believed for longer than a day of event time: a point is then asked for once
more, and what was learned of holes and lengths is learned again.

Values in, values out: no clock, no file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from ingest.devices import Kind
from ingest.modbus.plan import Barred, Block
from market.units import NS_PER_H

__all__ = ["BELIEVED_NS", "Lessons", "Suspicion"]

BELIEVED_NS: Final = 24 * NS_PER_H


class _Wire(msgspec.Struct):
    v: int
    absent: dict[str, int]
    gaps: list[tuple[Kind, int, int]]
    longest: dict[Kind, int]
    learned_ns: int | None


_VERSION: Final = 1
_DECODER: Final = msgspec.json.Decoder(_Wire)


@dataclass(slots=True)
class Suspicion:
    """A block that was refused as a whole and is read in two halves; whether both answer is not known yet."""

    left: Block
    right: Block
    answered: int = 0


@dataclass(slots=True)
class Lessons:
    """What one device has taught.

    Attributes:
        absent: point → event time at which it was last refused, ns.
        gaps: what may not be read across.
        longest: table → most registers or bits it gives in one reply, where that is less than the protocol's.
        learned_ns: event time of the oldest of ``gaps`` and ``longest``, None while there is none.
    """

    absent: dict[str, int] = field(default_factory=dict)
    gaps: set[Barred] = field(default_factory=set)
    longest: dict[Kind, int] = field(default_factory=dict)
    learned_ns: int | None = None

    def __bool__(self) -> bool:
        return bool(self.absent or self.gaps or self.longest)

    def refused(self, point: str, now_ns: int) -> None:
        """Learn that a point is not there."""
        self.absent[point] = now_ns

    def there(self, point: str) -> bool:
        """Learn that a point is there; returns whether that is news."""
        return self.absent.pop(point, None) is not None

    def both_answered(self, halves: Suspicion, now_ns: int) -> None:
        """Learn from a block that was refused while its halves answer."""
        left, right = halves.left, halves.right
        if right.address > left.end:
            self.gaps.add(Barred(left.kind, left.end, right.address))
        else:
            longest = max(left.count, right.count)
            self.longest[left.kind] = min(longest, self.longest.get(left.kind, longest))
        self.learned_ns = now_ns if self.learned_ns is None else self.learned_ns

    def doubted(self, now_ns: int) -> list[str]:
        """Return the points that were refused so long ago that they are to be asked for again."""
        return [point for point, since_ns in self.absent.items() if now_ns - since_ns >= BELIEVED_NS]

    def forget_old(self, now_ns: int) -> bool:
        """Forget holes and lengths that were learned too long ago; returns whether there were any."""
        if self.learned_ns is None or now_ns - self.learned_ns < BELIEVED_NS:
            return False
        self.gaps.clear()
        self.longest.clear()
        self.learned_ns = None
        return True

    def forget(self) -> None:
        """Forget everything: who refuses everything is at fault as a whole, and teaches nothing about its parts."""
        self.absent.clear()
        self.gaps.clear()
        self.longest.clear()
        self.learned_ns = None

    def encode(self) -> bytes:
        """Write it down."""
        gaps = sorted((gap.kind, gap.start, gap.end) for gap in self.gaps)
        return msgspec.json.encode(_Wire(_VERSION, self.absent, gaps, self.longest, self.learned_ns))

    @classmethod
    def decode(cls, raw: bytes) -> Lessons | None:
        """Read what :meth:`encode` wrote; None where these bytes are something else: it is learned again then."""
        try:
            wire = _DECODER.decode(raw)
        except msgspec.DecodeError:
            return None
        if wire.v != _VERSION:
            return None
        return cls(wire.absent, {Barred(*gap) for gap in wire.gaps}, wire.longest, wire.learned_ns)
