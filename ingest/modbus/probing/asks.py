"""What may be asked of a device that nobody knows yet, and what may come of it?

Everything that looks at a device is a generator of these: it yields an ask and is sent the reply. Nothing here can write, because there
is no ask for it. :class:`Asker` counts what was asked, asks again where a device is busy, and ends the look when the cap is reached.

Values in, values out: no clock, no connection.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeVar

from ingest.devices import Kind
from ingest.modbus.frames import ExceptionCode
from ingest.modbus.identify import Identification

__all__ = ["Ask", "Asker", "Asking", "Burst", "Depth", "Identify", "Pause", "Read", "Refused", "Reply", "Said", "Silent", "Spent"]

_T = TypeVar("_T")

_BUSY: Final = frozenset({ExceptionCode.ACKNOWLEDGE, ExceptionCode.BUSY})
_BUSY_TRIES: Final = 3
_BUSY_WAIT_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Read:
    """Registers or bits of a table."""

    unit: int
    kind: Kind
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Identify:
    """What the device calls itself (:mod:`ingest.modbus.identify`)."""

    unit: int
    category: int
    first: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing, for so many seconds."""

    s: float


@dataclass(frozen=True, slots=True)
class Burst:
    """The same reading ``times`` times, without waiting for replies: how many of them does the peer bear?"""

    read: Read
    times: int


@dataclass(frozen=True, slots=True)
class Said:
    """A reply that answers what was asked.

    Attributes:
        data: two bytes of each register, bits eight to a byte; of an identification what it says.
    """

    data: bytes
    identification: Identification | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An exception of the device's own."""

    code: int


@dataclass(frozen=True, slots=True)
class Silent:
    """No reply that answers what was asked.

    Attributes:
        is_connected: whether there was a connection to ask over.
    """

    why: str
    is_connected: bool = True


@dataclass(frozen=True, slots=True)
class Depth:
    """What became of a burst: how many requests the link had on their way in the end, and how many were answered."""

    depth: int
    answered: int


Ask = Read | Identify | Pause | Burst
Reply = Said | Refused | Silent | Depth | None
"""None answers a pause."""

Asking = Generator[Ask, Reply, _T]


class Spent(Exception):
    """As many requests have been sent as were allowed."""


class Asker:
    """Counts requests, up to a cap.

    Attributes:
        asked: requests sent so far.
    """

    def __init__(self, requests_max: int) -> None:
        self._requests_max = requests_max
        self.asked = 0

    @property
    def left(self) -> int:
        """Requests that may still be sent."""
        return self._requests_max - self.asked

    def read(self, unit: int, kind: Kind, address: int, count: int = 1) -> Asking[Said | Refused | Silent]:
        """Read, again where the device says that it is busy.

        Raises:
            Spent: the cap is reached.
        """
        return (yield from self._ask(Read(unit, kind, address, count)))

    def identify(self, unit: int, category: int, first: int) -> Asking[Said | Refused | Silent]:
        """Ask a device what it calls itself.

        Raises:
            Spent: the cap is reached.
        """
        return (yield from self._ask(Identify(unit, category, first)))

    def burst(self, read: Read, times: int) -> Asking[Depth | None]:
        """Read the same many times at once; None where the cap does not allow it."""
        if self.left < times:
            return None
        self.asked += times
        reply = yield Burst(read, times)
        assert isinstance(reply, Depth)
        return reply

    def _ask(self, ask: Read | Identify) -> Asking[Said | Refused | Silent]:
        tries = 0
        while True:
            if self.left <= 0:
                raise Spent
            self.asked += 1
            tries += 1
            reply = yield ask
            assert isinstance(reply, Said | Refused | Silent)
            if not isinstance(reply, Refused) or reply.code not in _BUSY or tries == _BUSY_TRIES:
                return reply
            yield Pause(_BUSY_WAIT_S)
