"""How do people on call learn that the log is stalled, when everything that would tell them writes to the same full disk?

By a line that keeps nothing: the alert goes from memory straight to the channels, and is repeated with growing waits until each has
taken it or its attempts are used up. Best effort, where the outbox (:mod:`streams.outbox`) makes sure: what is under way when the
process ends is gone, which is why the stall is also in ``/ready``, in ``/metrics`` and in the log of the process.

A stall of an instant is nobody's business, and one that comes and goes is one episode: it begins when the log has been stalled for a
second, and is over when it has not been for five.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from streams.alerts import Alert, stall_alert
from streams.backoff import backoff_s
from streams.errors import SinkUnavailable
from streams.notify import Channel, RetryPolicy
from streams.transport.patience import Stalled

__all__ = ["Episodes", "StallAlarm"]

_BEGINS_AFTER_NS: Final = 1_000_000_000
_OVER_AFTER_NS: Final = 5_000_000_000
_LOOK_S: Final = 0.5

_log = logging.getLogger(__name__)


class Episodes:
    """Makes one alert of the beginning and one of the end of each episode.

    Args:
        zone: the zone of times in texts.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._last: Stalled | None = None
        self._seen_ns = 0

    def see(self, stalled: Stalled | None, now_ns: int, ts_event_ns: int) -> Alert | None:
        """Take a look; returns what is to be told.

        Args:
            stalled: the log's state.
            now_ns: the wall clock, UTC ns.
            ts_event_ns: event time, for the alert.
        """
        if stalled is not None:
            self._seen_ns = now_ns
            if self._last is None and now_ns - stalled.since_ns >= _BEGINS_AFTER_NS:
                self._last = stalled
                return _alert(stalled, ts_event_ns, self._zone, over=False)
        elif self._last is not None and now_ns - self._seen_ns >= _OVER_AFTER_NS:
            last, self._last = self._last, None
            return _alert(last, ts_event_ns, self._zone, over=True)
        return None


def _alert(stalled: Stalled, ts_event_ns: int, zone: str, *, over: bool) -> Alert:
    return stall_alert(stalled.since_ns, ts_event_ns, stalled.trouble.value, stalled.reason, over=over, zone=zone)


class StallAlarm:
    """Watches the log and tells of its stalls.

    Args:
        stalled: gives the log's state.
        channels: the dispatcher's own; it closes them.
        event_ns: event time.
        show: shows an alert to who is watching now.
        spread: random numbers in [0, 1), which waits are spread by.
    """

    def __init__(
        self,
        stalled: Callable[[], Stalled | None],
        channels: Sequence[Channel],
        event_ns: Callable[[], int],
        zone: str,
        show: Callable[[Alert], None] = lambda alert: None,
        policy: RetryPolicy | None = None,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._stalled = stalled
        self._event_ns = event_ns
        self._episodes = Episodes(zone)
        self._show = show
        self._policy = policy or RetryPolicy()
        self._spread = spread
        self._lines: list[tuple[Channel, asyncio.Queue[Alert]]] = [(channel, asyncio.Queue()) for channel in channels]

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for channel, queue in self._lines:
                group.create_task(self._serve(channel, queue), name=f"tell {channel.name}")
            while True:
                alert = self._episodes.see(self._stalled(), time.time_ns(), self._event_ns())
                if alert is not None:
                    self._show(alert)
                    for _, queue in self._lines:
                        queue.put_nowait(alert)
                await asyncio.sleep(_LOOK_S)

    async def _serve(self, channel: Channel, queue: asyncio.Queue[Alert]) -> None:
        """Deliver by one channel in order, so that an end is never told before its beginning."""
        while True:
            alert = await queue.get()
            for attempt in range(1, self._policy.attempts_max + 1):
                try:
                    await channel.send(alert)
                    break
                except SinkUnavailable as exc:
                    _log.warning("%s was not told of %s: %s", channel.name, alert.alert_id, exc)
                except Exception:
                    _log.exception("channel %s failed on alert %s", channel.name, alert.alert_id)
                await asyncio.sleep(backoff_s(attempt, self._policy.first_s, self._policy.max_s, self._spread()))
            else:
                _log.error("%s was never told of %s", channel.name, alert.alert_id)
