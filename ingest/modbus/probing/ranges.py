"""Which registers of a table can be read, and how many at a time?

65,536 addresses cannot all be tried. A table is asked at addresses where devices often begin something (:func:`anchors`), and from each
that answers the readable run around it is measured: the longest reading that is answered is found by doubling and halving, upwards and
downwards. A run ends either where the next register cannot be read at all, or where it can, by itself: then the device gives no more
in one reply, or does not read across that seam. Behind the end of a run it is looked for another one, in case of a small hole.

Devices differ in how they refuse; what is not answered at all counts as refused, and costs a timeout, so that few such are borne.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ingest.devices import Kind
from ingest.modbus.frames import BITS_MAX, REGISTERS_MAX, ExceptionCode
from ingest.modbus.probing.asks import Asker, Asking, Refused, Said, Silent

__all__ = ["Extent", "Table", "anchors", "survey"]

_SILENCES_MAX: Final = 3
_FAILURES_MAX: Final = 8
"""Replies of failure that are no word on the address, before a table is given up."""

_REQUESTS_MAX: Final = 150
"""Requests to one table."""

_BLOCKS_MAX: Final = 4
"""Readings of the greatest length that one run is followed for; where it does not end within, it goes on."""

_BEHIND: Final = (1, 2, 4, 8, 16)
_PAIRS_AT: Final = 12
_ADDRESSES: Final = 65_536

_NEAR: Final = (*range(9), 10, 12, 16, 20, 24, 32, 40, 50, 64, 80, *range(100, 1000, 100), 128, 256, 512)
_FAR: Final = (*range(1000, 10_000, 1000), 1024, 2048, 4096, 8192, *range(10_000, 60_001, 10_000))
_NUMBERED: Final = (30_001, 40_001, 50_001)


@dataclass(frozen=True, slots=True)
class Extent:
    """Registers or bits that can be read, ``start`` to before ``end``; ``goes_on``: it was not followed to its end."""

    start: int
    end: int
    goes_on: bool = False


@dataclass(slots=True)
class Table:
    """What is known of one table of a unit.

    Attributes:
        verdict: ``answers``; ``refuses`` every address it was asked for; ``absent``, it does not know the function; ``silent``;
            ``fails``, with exceptions that say nothing of the address.
        extents: by address, without overlaps.
        longest: most registers or bits it gave in one reply.
        seams: lengths that were read where one more was refused though it can be read by itself.
        step: registers that can be read at once only, 2 where a single one is refused.
        words: what was read last, by address.
        cut_short: whether there was more to ask than is allowed.
    """

    kind: Kind
    verdict: str = "silent"
    extents: list[Extent] = field(default_factory=list)
    longest: int = 0
    seams: list[int] = field(default_factory=list)
    step: int = 1
    words: dict[int, int] = field(default_factory=dict)
    cut_short: bool = False

    @property
    def most(self) -> int:
        """Most registers or bits the protocol allows in one reading."""
        return BITS_MAX if self.kind.is_bits else REGISTERS_MAX

    @property
    def is_limit(self) -> bool:
        """Whether :attr:`longest` is all it gives in one reply, rather than all that happened to lie together."""
        return bool(self.seams) and all(seam == self.longest for seam in self.seams) and self.longest < self.most

    def holds(self, address: int) -> bool:
        """Whether an address is known to be readable."""
        return any(extent.start <= address < extent.end for extent in self.extents)

    def goes_on(self, end: int) -> bool:
        """Whether the run that was followed to an address goes on behind it."""
        return any(extent.end == end and extent.goes_on for extent in self.extents)

    def add(self, extent: Extent) -> None:
        """Note what can be read, joined with what it touches."""
        touching = [other for other in self.extents if other.start <= extent.end and extent.start <= other.end]
        for other in touching:
            self.extents.remove(other)
        every = [extent, *touching]
        end = max(each.end for each in every)
        goes_on = any(each.goes_on for each in every if each.end == end)
        self.extents.append(Extent(min(each.start for each in every), end, goes_on))
        self.extents.sort(key=lambda each: each.start)

    def note(self, address: int, count: int, data: bytes) -> None:
        """Keep what was read."""
        for k in range(count):
            bits = data[k // 8] >> k % 8 & 1 if self.kind.is_bits else int.from_bytes(data[2 * k : 2 * k + 2], "big")
            self.words[address + k] = bits


def anchors(scan: range | None) -> list[int]:
    """Return the addresses a table is asked at: those devices often begin something at, or a grid over what is to be scanned."""
    if scan is None:
        return sorted({*_NEAR, *_FAR, *_NUMBERED})
    return list(range(scan.start, scan.stop, max(1, len(scan) // 100)))


def survey(asker: Asker, unit: int, table: Table, at: Sequence[int]) -> Asking[None]:
    """Find out what of a table can be read; ``table`` is filled in as it is asked.

    Raises:
        Spent: the cap of all requests is reached.
    """
    surveyor = _Surveyor(asker, unit, table)
    try:
        yield from surveyor.look(at, 1)
        if table.verdict == "refuses" and not table.kind.is_bits:
            table.step = 2
            yield from surveyor.look(at[:_PAIRS_AT], 2)
            table.step = 2 if table.extents else 1
    except _EnoughError:
        table.cut_short = True


class _EnoughError(Exception):
    """No more of this table."""


class _Surveyor:
    def __init__(self, asker: Asker, unit: int, table: Table) -> None:
        self._asker = asker
        self._unit = unit
        self._table = table
        self._begun = asker.asked
        self._silences = self._failures = 0
        self._refused: set[int] = set()

    def look(self, at: Sequence[int], step: int) -> Asking[None]:
        table = self._table
        pending = [address for address in at if address + step <= _ADDRESSES]
        while pending:
            address = pending.pop(0)
            if table.holds(address) or (step == 1 and address in self._refused):
                continue
            if not (yield from self._can_read(address, step)):
                if table.verdict in ("absent", "silent", "fails") and self._is_hopeless():
                    return
                continue
            end = yield from self._measure(address, step)
            if table.goes_on(end):
                continue
            # What comes next is often a few registers away.
            pending[:0] = [end + gap for gap in _BEHIND if end + gap + step <= _ADDRESSES]

    def _is_hopeless(self) -> bool:
        verdict = self._table.verdict
        return verdict == "absent" or (verdict == "silent" and self._silences >= _SILENCES_MAX) or self._failures >= _FAILURES_MAX

    def _can_read(self, address: int, count: int) -> Asking[bool]:
        """Read, and draw from it what can be drawn of the table."""
        table = self._table
        is_tired = self._silences >= _SILENCES_MAX and table.verdict != "silent"
        if is_tired or self._asker.asked - self._begun >= _REQUESTS_MAX:
            raise _EnoughError
        reply = yield from self._asker.read(self._unit, table.kind, address, count)
        match reply:
            case Said(data):
                table.verdict = "answers"
                table.longest = max(table.longest, count)
                table.note(address, count, data)
                return True
            case Silent():
                self._silences += 1
            case Refused(code):
                if code in (ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE):
                    table.verdict = table.verdict if table.extents or table.verdict == "answers" else "refuses"
                elif code == ExceptionCode.ILLEGAL_FUNCTION and table.verdict != "answers":
                    table.verdict = "absent"
                elif table.verdict == "silent":
                    table.verdict = "fails"
                self._failures += code not in (ExceptionCode.ILLEGAL_ADDRESS, ExceptionCode.ILLEGAL_VALUE)
        if count == 1:
            self._refused.add(address)
        return False

    def _measure(self, address: int, step: int) -> Asking[int]:
        """Measure the run around an address that can be read; return its end."""
        table = self._table
        start, end = address, address + step
        table.add(Extent(start, end))
        known = step
        for blocks in range(_BLOCKS_MAX + 1):
            if blocks == _BLOCKS_MAX:
                table.add(Extent(start, end, goes_on=True))
                break
            count = yield from self._longest_above(end - known, known, step)
            end += count - known
            table.add(Extent(start, end))
            if end + step > _ADDRESSES or not (yield from self._can_read(end, step)):
                break
            if count < table.most // step * step:
                table.seams.append(count)
            end += step
            known = step
            table.add(Extent(start, end))
        for _ in range(_BLOCKS_MAX):
            if start < step or table.holds(start - 1):
                break
            count = yield from self._longest_below(start, step)
            if not count:
                break
            start -= count
            table.add(Extent(start, end))
        return end

    def _longest_above(self, at: int, known: int, step: int) -> Asking[int]:
        """Return how many registers can be read at once from an address on, of which some are known."""
        table = self._table
        most = min(table.most, _ADDRESSES - at) // step * step
        # First as many as it gave before, and one more than that: a device is as it is.
        guesses = [min(table.seams[-1] + step, most), min(table.seams[-1], most)] if table.seams else [most]
        good, bad = known, most + step
        for guess in guesses:
            if good < guess < bad:
                if (yield from self._can_read(at, guess)):
                    good = guess
                    break
                bad = guess
        while good + step < bad:
            middle = (good + bad) // (2 * step) * step
            if (yield from self._can_read(at, middle)):
                good = middle
            else:
                bad = middle
        return good

    def _longest_below(self, end: int, step: int) -> Asking[int]:
        """Return how many registers can be read at once below an address; 0 where none can."""
        table = self._table
        most = min(table.longest, end) // step * step
        good, bad, width = 0, max(most, step) + step, step
        while good + step < bad:
            count = min(good + width, bad - step)
            if (yield from self._can_read(end - count, count)):
                good, width = count, 2 * width
            else:
                bad, width = count, step if good + step >= count else max(step, (count - good) // (2 * step) * step)
        return good
