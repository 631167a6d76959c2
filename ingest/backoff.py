"""How long to leave a device alone after it failed?

Exponential with full jitter: each failure doubles the longest wait, and the wait is drawn between a floor and that, so that a
thousand devices behind one switch do not come back in step. The cap is short: a connection attempt every ten seconds costs
nothing, and a control room wants its data back.

Waits are wall time. Under a simulated clock that runs fast the cap is shorter, down to the first wait, so that a device's return is
not noticed a simulated hour late.
"""

from __future__ import annotations

import random
import time
from typing import Final

__all__ = ["Backoff"]

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 10.0
_FLOOR: Final = 0.5
"""Share of the longest wait that is always waited."""


class Backoff:
    """Counts failures in a row and says when to try again.

    Args:
        first_s: longest wait after the first failure, s.
        longest_s: longest wait ever, s.
        speed: event seconds per wall second.
    """

    __slots__ = ("_failures", "_first_s", "_longest_s", "_until_s")

    def __init__(self, first_s: float = BACKOFF_FIRST_S, longest_s: float = BACKOFF_MAX_S, speed: float = 1.0) -> None:
        self._first_s = first_s
        self._longest_s = max(first_s, longest_s / max(1.0, speed))
        self._failures = 0
        self._until_s = 0.0

    @property
    def has_failed(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    @property
    def left_s(self) -> float:
        """Wall seconds until the next try is due; 0 when it is."""
        return max(0.0, self._until_s - time.monotonic())

    def failed(self) -> float:
        """Note a failure; return the wall seconds to wait."""
        longest_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        wait_s = longest_s * random.uniform(_FLOOR, 1.0)  # noqa: S311 (spreads load, guards no secret)
        self._until_s = time.monotonic() + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._until_s = 0.0
