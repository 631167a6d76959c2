"""What time is it at a polled device that keeps its own?

A clock register counts ticks since an instant. It is read with the points, in one of the blocks of a poll; the other blocks of that
poll were read a little earlier or later, by as much as our own clock says (:func:`carried`). Whether a device's time is believed is
decided where that of a device that pushes is: :mod:`ingest.sourcetime`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.devices import ClockRegister
from ingest.modbus.plan import Block
from ingest.modbus.wholenumbers import integer_at
from ingest.sourcetime import NO_TIME

__all__ = ["carried", "holds", "time_at"]

_MAX_NS: Final = int(np.iinfo(np.int64).max)


def holds(block: Block, clock: ClockRegister) -> bool:
    """Whether a block holds the whole of a clock."""
    end = block.address + block.count
    return clock.kind is block.kind and block.address <= clock.address and clock.address + clock.type.registers <= end


def time_at(clock: ClockRegister, data: bytes, address: int) -> int:
    """Return what a clock says.

    Args:
        data: registers of its table that hold it.
        address: of the first of them.

    Returns:
        UTC ns, held within what int64 can say: a clock that is far off is found to be wrong, and no error.
    """
    count = integer_at(data, 2 * (clock.address - address), clock.type, clock.order)
    return max(0, min(clock.since_ns + count * clock.tick_ns, _MAX_NS))


def carried(read_ns: Sequence[int], claimed_ns: Sequence[int]) -> NDArray[np.int64]:
    """Return the device's time at each block of a poll, from the blocks that held its clock.

    Args:
        read_ns: (k,) when each block was read, by our clock.
        claimed_ns: (k,) what :meth:`~ingest.modbus.decode.BlockDecoder.device_time_ns` says of each.

    Returns:
        (k,) int64; of a block without the clock, what the clock of the block that was read nearest in time says, moved by the time
        between; NO_TIME for all where no block held it.

    >>> carried([1000, 1030], [NO_TIME, 5000]).tolist()
    [4970, 5000]
    """
    told = [place for place, claimed in enumerate(claimed_ns) if claimed != NO_TIME]
    times = np.array(claimed_ns, dtype=np.int64)
    for place, read in enumerate(read_ns if told else ()):
        nearest = min(told, key=lambda other: abs(read_ns[other] - read))
        times[place] = max(0, min(claimed_ns[nearest] + read - read_ns[nearest], _MAX_NS))
    return times
