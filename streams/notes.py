"""What cannot be computed again, noted before it is told.

When something was completed, or arrived, is known once. A record that is read again after a crash, or by the next worker, must
get the answer that was given before; so the answer is noted in a table, and told only when the note is safe
(:meth:`streams.runtime.Shell.confirmed`).
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

import msgspec

from streams.runtime import Shell

__all__ = ["Notes"]

_T = TypeVar("_T")
_KEY: Final = b"state"


class Notes(Generic[_T]):
    """The newest notes of one agent, by what they are about.

    Args:
        shell: says when a note is safe.
        table: keeps them.
        kind: what a note is.
        most: notes kept.
    """

    def __init__(self, shell: Shell, table: Any, kind: type[_T], most: int) -> None:
        self._shell, self._table, self._most = shell, table, most
        self._decoder = msgspec.json.Decoder(dict[str, kind])  # type: ignore[valid-type]

    def get(self, about: str) -> _T | None:
        """Return what was noted, None where nothing was."""
        return self._all().get(about)

    async def note(self, about: str, note: _T, event: Any) -> _T:
        """Note something, and return it once it may be told.

        Args:
            event: what it is noted for.

        Raises:
            PartitionsWent: the event is another worker's by now; its note counts.
        """
        newest = [*self._all().items(), (about, note)][-self._most :]
        self._table[_KEY] = msgspec.json.encode(dict(newest))
        # On Kafka the table's change and the answer go to different partitions, and another worker might answer meanwhile.
        await self._shell.confirmed(event)
        return note

    def _all(self) -> dict[str, _T]:
        raw = self._table.get(_KEY)
        return {} if raw is None else self._decoder.decode(raw)
