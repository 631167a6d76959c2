"""Is the point list of the running service still the one in its file, and what became of an edited one?

A list is read again when somebody asks for it (``gridfuse ingest reload``, SIGHUP), or, where the settings say ``watch_points``, when its
file has changed and then stayed the same for a look: an editor that is writing is not read over its shoulder. A list with any problem is
refused as a whole, with all of them, and the one in force goes on; the file is looked at again when it changes again.

What became of each attempt is logged, counted for ``/metrics``, and shown by ``GET /api/points``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from ingest.pointlist import PointList, read_point_list
from ingest.relisting import Relisting
from market.errors import ConfigError, GridfuseError, Problem

__all__ = ["LiveList", "Outcome", "Reload"]

_log: Final = logging.getLogger(__name__)

_LOOK_S: Final = 5.0
"""Wall seconds between two looks at a watched file."""


class Outcome(StrEnum):
    """What became of a list that was read again."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    """It says what the one in force says, of every device."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload:
    """One attempt.

    Attributes:
        ts_ns: when it ended, UTC ns by the service's clock.
        devices: how many were changed, added, removed and kept, by name of the count; empty where the list was refused.
        problems: why it was refused.
    """

    outcome: Outcome
    ts_ns: int
    devices: dict[str, int]
    problems: tuple[Problem, ...] = ()


class LiveList:
    """Keeps the list in force up to date with its file.

    Args:
        path: where the file is; None where the list is in no file.
        watch: whether the file is looked at again and again.
        take: puts another list in force, or raises.
        now_ns: the service's clock.
        look_s: wall seconds between two looks.

    Attributes:
        reloads: attempts so far, by :class:`Outcome`.
        devices: devices changed, added and removed so far.
        last: the last attempt; None before the first.
    """

    def __init__(
        self,
        path: Path | None,
        take: Callable[[PointList], Awaitable[Relisting]],
        now_ns: Callable[[], int],
        *,
        watch: bool = False,
        look_s: float = _LOOK_S,
    ) -> None:
        self._path = path
        self._take = take
        self._now_ns = now_ns
        self._look_s = look_s if watch else None
        self._asked = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._read = self._hash()
        self._looked = self._stamp()
        self.reloads: Counter[Outcome] = Counter()
        self.devices: Counter[str] = Counter()
        self.last: Reload | None = None

    def ask(self) -> None:
        """Have the list read again soon."""
        self._asked.set()

    async def run(self) -> None:
        """Read the list again whenever that is asked for, or its file has changed, until cancelled."""
        seen = self._looked
        while True:
            try:
                async with asyncio.timeout(self._look_s):
                    await self._asked.wait()
            except TimeoutError:
                stamp = self._stamp()
                is_steady, seen = stamp == seen, stamp
                if stamp is None or not is_steady or stamp == self._looked:
                    continue
                self._looked = stamp
                if await asyncio.to_thread(self._hash) == self._read:
                    continue  # saved again as it was
            self._asked.clear()
            await self.reload()

    async def reload(self) -> Reload:
        """Read the list now, and put it in force where it is sound and says something else; what became of it."""
        async with self._one_at_a_time:
            try:
                changes = await self._reloaded()
            except GridfuseError as exc:
                self.last = self._refused(exc.problems if isinstance(exc, ConfigError) else (Problem("point list", str(exc)),))
            except Exception as exc:
                # What reads devices must not end because somebody edited a file.
                _log.exception("point list %s: reading it again failed by a fault of this program", self._path)
                self.last = self._refused([Problem("point list", f"it failed by a fault of this program ({exc!r}); see the log")])
            else:
                parts = (("changed", changes.changed), ("added", changes.added), ("removed", changes.removed), ("kept", changes.kept))
                counts = {what: len(devices) for what, devices in parts}
                outcome = Outcome.UNCHANGED if changes.is_empty else Outcome.APPLIED
                self.last = Reload(outcome=outcome, ts_ns=self._now_ns(), devices=counts)
                self.devices.update({what: count for what, count in counts.items() if what != "kept"})
                _log.info("point list %s: %s; devices: %s", self._path, outcome, changes, extra={"outcome": str(outcome)})
            self.reloads[self.last.outcome] += 1
            return self.last

    async def _reloaded(self) -> Relisting:
        if self._path is None:
            raise ConfigError([Problem("point list", "this service was given none in a file; start it again with another one")])
        path = self._path
        # The hash first: what is written between the two is seen as another change.
        self._read = await asyncio.to_thread(self._hash)
        points = await asyncio.to_thread(read_point_list, path)
        return await self._take(points)

    def _refused(self, problems: Sequence[Problem]) -> Reload:
        what = "point list %s: refused, the one in force goes on; %d problems:\n%s"
        text = "\n".join(str(problem) for problem in problems)
        _log.error(what, self._path, len(problems), text, extra={"outcome": str(Outcome.REFUSED), "problems": len(problems)})
        return Reload(outcome=Outcome.REFUSED, ts_ns=self._now_ns(), devices={}, problems=tuple(problems))

    def _stamp(self) -> tuple[int, int] | None:
        """When the file was written last and how long it is; None while there is none."""
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _hash(self) -> str:
        if self._path is None:
            return ""
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:
            return ""
