"""Which devices keep an account (:mod:`ingest.account`), and how do accounts leave?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from ingest.account import DEVICES_MAX, Accounts, DeviceAccount, Ledger, LostReason
from ingest.devices import Device, PushDevice, UaDevice
from ingest.frame import TelemetryFrame, account_frame, point_id
from ingest.source import Source

__all__ = ["Closing", "account_frames", "ledger_of"]

_AT_A_TIME: Final = 1_000
"""Accounts that are closed together: some 6 ms, in which nothing is read."""


def ledger_of(device: Device) -> Ledger:
    """Open the account of a device: what is due is due by the periods of its points, but where a server tells what changes."""
    ids = np.array([point_id(point.name) for point in device.points], dtype=np.uint64)
    missing = LostReason.NOT_PUSHED if isinstance(device, PushDevice) else LostReason.NOT_POLLED
    if isinstance(device, UaDevice) and not device.is_polled:
        return Ledger(device.name, ids, None, missing)
    return Ledger(device.name, ids, np.array([point.period_ns for point in device.points], dtype=np.int64), missing)


class Closing:
    """Closes the accounts of very many devices some at a time, in turn: all at once would hold up what they are about.

    Args:
        sources: what keeps them; may change from one call to the next.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._next = 0

    def some(self, now_ns: int) -> list[TelemetryFrame]:
        """Close those among the next devices' accounts that can be closed; returns the frames that carry them."""
        sources, first = self._sources, self._next if self._next < len(self._sources) else 0
        self._next = first + _AT_A_TIME
        return account_frames(sources[first : self._next], now_ns)

    def rest(self, now_ns: int) -> list[TelemetryFrame]:
        """Close all accounts, because nothing is read any more."""
        return account_frames(self._sources, now_ns, final=True)


def account_frames(sources: Iterable[Source], now_ns: int, *, final: bool = False) -> list[TelemetryFrame]:
    """Close every account that can be closed, and return the frames that carry them: by area and interval, older ones first.

    Args:
        final: nothing is read any more (:meth:`ingest.account.Ledger.close`).
    """
    closed: dict[tuple[int, int, str], list[DeviceAccount]] = {}
    for source in sources:
        if source.ledger is not None:
            for from_ns, to_ns, account in source.ledger.close(now_ns, final=final):
                closed.setdefault((from_ns, to_ns, source.area), []).append(account)
    return [
        account_frame(area, now_ns, Accounts(from_ns=from_ns, to_ns=to_ns, devices=tuple(part)))
        for (from_ns, to_ns, area), accounts in sorted(closed.items())
        for part in _parts(accounts)
    ]


def _parts(accounts: Sequence[DeviceAccount]) -> list[Sequence[DeviceAccount]]:
    return [accounts[first : first + DEVICES_MAX] for first in range(0, len(accounts), DEVICES_MAX)]
