"""What became of every sample of an area's devices, late ones included: the account as it is published.

The ingest side sends the first half of each account behind the frames it is about (:mod:`ingest.account`). Intake keeps count of what
came late (:class:`LateSamples`) and takes it out of good, uncertain and bad; what stands then is what could be used::

    expected = good + uncertain + bad + late + lost
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ingest.account import INTERVAL_NS, Accounts, DeviceAccount, tally
from market.units import NS_PER_H

__all__ = ["AreaAccounts", "LateSamples"]

_KEPT_NS: Final = NS_PER_H
"""Event time for which late samples wait for their account: it follows them on their way, also from the spool of the ingest side; what died
sends none."""

_NOTED: Final = 3
"""Place, behind good, uncertain and bad, of the interval in which the last sample was noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaAccounts:
    """What became of the samples of an area's devices in one interval; a large area has several of the same interval.

    Attributes:
        ts_event_ns: end of the interval, or when its reader stopped, if that was earlier; UTC ns.
        from_ns: its beginning, or when its reader began, if that was later.
        devices: none twice.
    """

    ts_event_ns: int
    area: str
    from_ns: int
    devices: tuple[DeviceAccount, ...]

    def outcomes(self) -> dict[str, int]:
        """Return the samples of all devices: expected, and what became of them; the others sum up to it."""
        outcomes = {name: sum(getattr(d, name) for d in self.devices) for name in ("expected", "good", "uncertain", "bad", "late")}
        return outcomes | {"lost": sum(device.lost_in_all for device in self.devices)}


class LateSamples:
    """Late samples of an area, by device and the interval in which they were received."""

    def __init__(self) -> None:
        self._late: dict[str, dict[int, list[int]]] = {}

    def add(self, device: str, ts_ingest_ns: int, quality: NDArray[np.uint32], now_ns: int = 0) -> None:
        """Note samples of one frame that came too late, now: long after they were received, if they come from a spool."""
        index = ts_ingest_ns // INTERVAL_NS
        interval = self._late.setdefault(device, {}).setdefault(index, [0, 0, 0, index])
        for place, samples in enumerate(tally(quality)):
            interval[place] += samples
        interval[_NOTED] = max(interval[_NOTED], now_ns // INTERVAL_NS)

    def settle(self, area: str, accounts: Accounts) -> AreaAccounts:
        """Complete accounts; what was late in them is forgotten."""
        index = accounts.from_ns // INTERVAL_NS
        devices = tuple(self._settled(account, index) for account in accounts.devices)
        return AreaAccounts(ts_event_ns=accounts.to_ns, area=area, from_ns=accounts.from_ns, devices=devices)

    def _settled(self, account: DeviceAccount, index: int) -> DeviceAccount:
        intervals = self._late.get(account.device)
        found = None if intervals is None else intervals.pop(index, None)
        if intervals is not None and not intervals:
            del self._late[account.device]
        if found is None:
            return account
        # Never more than was sent: a reader that died and began again in the same minute accounts for its own part only.
        sent = (account.good, account.uncertain, account.bad)
        good, uncertain, bad = (min(late, most) for late, most in zip(found[:_NOTED], sent, strict=True))
        return replace(
            account,
            good=account.good - good,
            uncertain=account.uncertain - uncertain,
            bad=account.bad - bad,
            late=account.late + good + uncertain + bad,
        )

    def forget(self, now_ns: int) -> None:
        """Forget what no account came for: its reader died before it could send one."""
        oldest = (now_ns - _KEPT_NS) // INTERVAL_NS
        for device, intervals in list(self._late.items()):
            for index in [index for index, found in intervals.items() if found[_NOTED] < oldest]:
                del intervals[index]
            if not intervals:
                del self._late[device]

    def state(self) -> dict[str, dict[int, list[int]]]:
        """Return what is remembered."""
        return self._late

    def restore(self, state: Mapping[str, Mapping[int, list[int]]]) -> None:
        """Go on from :meth:`state`."""
        self._late = {
            # Older versions did not write when samples were noted.
            device: {index: [*counts[:_NOTED], *(counts[_NOTED:] or [index])] for index, counts in intervals.items()}
            for device, intervals in state.items()
        }
