"""How long are replies to what was asked together waited for as one?

To be woken once for all of them is cheap, but what came of them waits for the last. So it is not waited for long, and where that was in
vain again and again, replies are taken as they come for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ingest.turns import Cancellable, Turns

__all__ = ["Patience"]

_PATIENCE_S: Final = 0.05
_IMPATIENT_AFTER: Final = 3
_PATIENT_AGAIN: Final = 50
"""How long it is waited; how often in a row in vain; and after how many times more it is tried again."""


class Patience:
    """The patience of one link.

    Args:
        turns: who calls when it has come to an end.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ends: Cancellable | None = None
        self._is_patient = False
        self._in_vain = 0

    def is_left(self) -> bool:
        """Whether the replies that are asked for now may be waited for as one."""
        self._is_patient = self._in_vain < _IMPATIENT_AFTER
        if not self._is_patient:
            self._in_vain = self._in_vain + 1 if self._in_vain < _PATIENT_AGAIN else 0
        return self._is_patient

    def begin(self, take_as_it_comes: Callable[[], None], at_most_s: float) -> None:
        """They are waited for, if so; when it took too long, and ``at_most_s`` in any case, what has come is taken."""

        def enough() -> None:
            self._ends = None
            self._in_vain += 1
            take_as_it_comes()

        if self._is_patient:
            self._ends = self._turns.unless_cancelled(min(_PATIENCE_S, at_most_s), enough)

    def rewarded(self) -> None:
        """All that was owed has come."""
        if self._ends is not None:
            self._ends.cancel()
            self._ends, self._in_vain = None, 0

    def renew(self) -> None:
        """Another connection may be quicker."""
        self._in_vain = 0
