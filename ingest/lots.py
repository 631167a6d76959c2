"""Which frames that wait leave together, in one record (:mod:`ingest.bundle`)?

Frames in, lots out: nothing is sent here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ingest.bundle import BUNDLE_BYTES_MAX, is_of_a_device
from ingest.frame import TelemetryFrame, Ticket

__all__ = ["Live", "lots"]


@dataclass(slots=True, eq=False)
class Live:
    """A frame in memory, and its bytes.

    Attributes:
        stored: whether it is in the spool too.
        done: whether it arrived.
    """

    frame: TelemetryFrame
    ticket: Ticket | None
    raw: bytes
    stored: bool = False
    done: bool = False

    def nth(self) -> int:
        """Return which of its area it is, as its ticket says; -1 without one."""
        return -1 if self.ticket is None else self.ticket.nth


def lots(waiting: Iterable[Live]) -> list[list[Live]]:
    """Put together what leaves together: frames of devices of an area, in their order, up to the size of a bundle.

    What is no device's is a lot of its own, behind all of its area that came before and before all that came later.
    """
    made: list[list[Live]] = []
    growing: dict[str, list[Live]] = {}
    sizes: Counter[str] = Counter()
    for item in waiting:
        area = item.frame.area
        lot = growing.get(area)
        if not is_of_a_device(item.frame):
            growing.pop(area, None)
            made.append([item])
        elif lot is None or sizes[area] + len(item.raw) > BUNDLE_BYTES_MAX:
            growing[area] = [item]
            sizes[area] = len(item.raw)
            made.append(growing[area])
        else:
            lot.append(item)
            sizes[area] += len(item.raw)
    return made
