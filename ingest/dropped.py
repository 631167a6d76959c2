"""What was let go of after it had been accounted for as sent: the correction of accounts on their way.

A sample that goes into the spool counts as sent in the account of its device (:mod:`ingest.account`). If a limit of the spool drops it
later, its account must say so. Accounts leave behind the samples they are about, also through the spool; so when one leaves, all that was
dropped of its interval is known, and is moved from good, uncertain and bad to lost, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import msgspec

from ingest.account import INTERVAL_NS, Accounts, DeviceAccount, Tally, tally
from ingest.frame import TelemetryFrame

__all__ = ["DroppedSamples"]

_Key = tuple[str, str, int]
"""Reason, device, and the number of the interval."""


class DroppedSamples:
    """Dropped samples by reason, device and the interval in which they were received, until an account took them in."""

    def __init__(self) -> None:
        self._found: dict[_Key, Tally] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, reason: str, frame: TelemetryFrame) -> None:
        """Note the samples of a frame."""
        if not len(frame):
            return
        key = (str(reason), frame.source, frame.ts_ingest_ns // INTERVAL_NS)
        before = self._found.get(key, (0, 0, 0))
        good, uncertain, bad = (one + other for one, other in zip(before, tally(frame.quality), strict=True))
        self._found[key] = good, uncertain, bad

    def corrected(self, accounts: Accounts) -> Accounts:
        """Return accounts that say what was dropped; this keeps knowing it until :meth:`settled`."""
        index = accounts.from_ns // INTERVAL_NS
        if not self._found:
            return accounts
        return replace(accounts, devices=tuple(self._corrected(account, index) for account in accounts.devices))

    def _corrected(self, account: DeviceAccount, index: int) -> DeviceAccount:
        for reason in {reason for reason, device, at in self._found if device == account.device and at == index}:
            # Never more than was sent: a process that died and began again in the same minute accounts for its own part only.
            sent = (account.good, account.uncertain, account.bad)
            dropped = self._found[reason, account.device, index]
            good, uncertain, bad = (min(pair) for pair in zip(dropped, sent, strict=True))
            account = replace(
                account,
                good=account.good - good,
                uncertain=account.uncertain - uncertain,
                bad=account.bad - bad,
                lost={**account.lost, reason: account.lost.get(reason, 0) + good + uncertain + bad},
            )
        return account

    def settled(self, accounts: Accounts) -> bool:
        """Forget what accounts, as they were before they were corrected, took in; whether there was anything."""
        index = accounts.from_ns // INTERVAL_NS
        sent = {account.device: (account.good, account.uncertain, account.bad) for account in accounts.devices}
        keys = [key for key in self._found if key[2] == index and key[1] in sent]
        for key in keys:
            good, uncertain, bad = (max(0, one - other) for one, other in zip(self._found[key], sent[key[1]], strict=True))
            if good or uncertain or bad:
                self._found[key] = good, uncertain, bad
            else:
                del self._found[key]
        return bool(keys)

    def forget(self, before_ns: int) -> None:
        """Forget what no account came for."""
        for key in [key for key in self._found if (key[2] + 1) * INTERVAL_NS <= before_ns]:
            del self._found[key]

    def state(self) -> list[tuple[str, str, int, Tally]]:
        """Return what is remembered."""
        return [(*key, counts) for key, counts in self._found.items()]

    def restore(self, state: Iterable[tuple[str, str, int, Tally]]) -> None:
        """Go on from :meth:`state`."""
        self._found = {(reason, device, index): counts for reason, device, index, counts in state}


class DroppedFile(msgspec.Struct):
    """What a spool notes before it removes segments.

    Attributes:
        going: segments that are counted here and may be there still, as ``lane/name``.
        dropped: :meth:`DroppedSamples.state`.
        samples: dropped samples since the very first start, by ``priority reason``.
    """

    going: list[str]
    dropped: list[tuple[str, str, int, Tally]]
    samples: Mapping[str, int]
