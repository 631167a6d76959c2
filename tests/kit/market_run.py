"""The whole app in this process, driven tick by tick: same app, any broker, and the same decisions every time.

Nothing runs by itself here: the driver sends the telemetry of one tick, then the tick, and waits until the processors have finished
it. What is decided follows from what was sent, so two runs, on whatever transport, can be compared byte for byte.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ingest.frame import TelemetryFrame, encode_frame, heartbeat
from ingest.points import PointTable
from market.decisions import Decision
from market.facts import CommandGiven, Segment, Ticked
from market.outcomes import Cleared, ClearingFailed
from market.prices import PriceInForce
from market.rules import MarketRules
from market.units import NS_PER_MIN, NS_PER_S
from streams import topics, wire
from streams.agents import ClearingFault, Hooks
from streams.alerts import Alert
from streams.app import build_app
from streams.intake import CLOCK_SOURCE
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.settings import ControlModel, HttpModel, NetworkModel, Settings
from streams.topics import Topic
from streams.wire import DeadLetter
from tests.kit.rts_day import frames_at, rts_table, values_at

__all__ = ["TICK_NS", "MarketRun", "Seen", "StandingClock", "TickByTick", "failing", "market_settings", "rts_model"]

TICK_NS = 30 * NS_PER_S
_PATIENCE_S = 60.0


class StandingClock:
    """Event time that moves only when it is told to."""

    speed = 1.0

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def set(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def step_s(self) -> float:
        return 0.0

    async def sleep_until(self, ts_ns: int) -> None:
        raise AssertionError("nothing here waits for time")


@dataclass
class Seen:
    """What came out, each thing once: observers see records at least once."""

    decisions: dict[int, Decision] = field(default_factory=dict)
    prices: dict[tuple[int, int], PriceInForce] = field(default_factory=dict)
    outcomes: dict[int, Cleared | ClearingFailed] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    async def see(self, topic: Topic, record: Any) -> None:
        match record:
            case Decision():
                self.decisions[record.seq] = record
            case PriceInForce(segment=Segment.RT):
                self.prices[record.interval_start_ns, record.rev] = record
            case Cleared() | ClearingFailed():
                self.outcomes[record.interval_start_ns] = record
            case Alert():
                self.alerts[record.alert_id] = record
            case DeadLetter():
                self.letters.append(record)

    def kinds(self) -> list[str]:
        return [self.decisions[seq].kind for seq in sorted(self.decisions)]

    def phases(self) -> list[str]:
        return [d.body["after"] for _, d in sorted(self.decisions.items()) if d.kind == "Transition" and d.body["segment"] == "RT"]


def market_settings(broker: str, data: Path, rules: MarketRules) -> Settings:
    """Return the settings of an app without a gateway."""
    return Settings(
        data=data,
        broker=broker,
        points=None,  # type: ignore[arg-type]  # no gateway here
        network=NetworkModel(rts_gmlc="shipped"),
        rules=rules,
        control=ControlModel(),
        day_ahead=True,
        setpoints=False,
        tick_ns=TICK_NS,
        http=HttpModel(),
        influx=None,
        webhook=None,
    )


def rts_model(rules: MarketRules, table: PointTable | None = None) -> MarketModel:
    """Return the RTS grid with these points, those of :func:`tests.kit.rts_day.rts_table` by default."""
    return market_model(NetworkModel(rts_gmlc="shipped"), table or rts_table(), rules, ControlModel(), day_ahead=True)


def failing(start_ns: int, fails: tuple[int, int]) -> ClearingFault:
    """Let every clearing fail between two minutes after ``start_ns``."""
    from_ns, to_ns = (start_ns + minute * NS_PER_MIN for minute in fails)
    return lambda interval_ns: "error" if from_ns <= interval_ns < to_ns else None


class TickByTick:
    """Lives through event time; how a tick is told, and how one knows that it was dealt with, is for those who inherit.

    Args:
        start_ns: event time of the first tick.
        tick_ns: event time between ticks.
        areas: what is told the time.
    """

    def __init__(self, start_ns: int, tick_ns: int = TICK_NS, areas: tuple[str, ...] | None = None) -> None:
        self.start_ns = start_ns
        self._tick_ns, self._areas = tick_ns, areas or rts_table().areas
        self._seq = 0
        self.clock = StandingClock(start_ns)
        self.open_branches: tuple[str, ...] = ()
        self._deadline_ns = 0

    def _set_clock(self, now_ns: int) -> None:
        self.clock.set(now_ns)

    def telemetry(self, now_ns: int) -> list[TelemetryFrame]:
        """Return what was measured up to the tick at ``now_ns`` and not told yet."""
        period = int((now_ns // NS_PER_S + 8 * 3600) % 86_400 // 300)
        return frames_at(now_ns - NS_PER_S, self._seq, values_at(period, self.open_branches))

    def _frames(self, now_ns: int) -> list[TelemetryFrame]:
        """Return the telemetry of the next tick, and the heartbeats that end it."""
        self._seq += 1
        return self.telemetry(now_ns) + [heartbeat(CLOCK_SOURCE, area, self._seq, now_ns) for area in self._areas]

    async def _tick(self, now_ns: int) -> None:
        raise NotImplementedError

    async def _told(self, now_ns: int) -> None:
        raise NotImplementedError

    async def until(self, minute: float) -> None:
        """Live through time, tick by tick, until ``minute`` after the start."""
        end_ns = self.start_ns + round(minute * NS_PER_MIN)
        now_ns = self.clock.now_ns()
        while now_ns <= end_ns:
            await self._tick(now_ns)
            after_ns = now_ns + self._tick_ns
            while now_ns < self._deadline_ns < after_ns:
                deadline_ns, now_ns = self._deadline_ns, self._deadline_ns
                await self._told(deadline_ns)
            now_ns = after_ns
            self._set_clock(min(now_ns, end_ns + 1))


class MarketRun(TickByTick):
    """A started app; use as an async context manager.

    Args:
        broker: as in the settings, ``embedded://DIR`` or ``kafka://host:port``.
        data: the data directory.
        start_ns: event time of the first tick.
        fails: (from, to) minutes after the start between which every clearing fails.
        settings: what to run under instead of the RTS day's own points and ticks of half a minute; then ``broker``, ``data`` and
            ``rules`` are its.
    """

    def __init__(
        self,
        broker: str,
        data: Path,
        rules: MarketRules,
        start_ns: int,
        fails: tuple[int, int] = (0, 0),
        *,
        settings: Settings | None = None,
    ) -> None:
        table = rts_table() if settings is None else settings.points.table()
        settings = settings or market_settings(broker, data, rules)
        super().__init__(start_ns, settings.tick_ns, table.areas)
        self.seen = Seen()
        self.hooks = Hooks(observers=(self.seen,), clearing_fault=failing(start_ns, fails), deadline=self._note)
        self.app, self.shell = build_app(settings, rts_model(rules, table), self.clock.now_ns, self.hooks)

    def _note(self, ts_ns: int) -> None:
        self._deadline_ns = ts_ns

    async def __aenter__(self) -> Self:
        await self.app.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.app.stop()

    async def command(self, action: str, command_id: str, role: str = "DISPATCH", **args: str) -> None:
        """Order something, as the API does."""
        order = CommandGiven(ts_event_ns=0, command_id=command_id, by="chen", role=role, action=action, args=args)
        await (await self.shell.send(topics.COMMANDS, b"market", wire.encode(order)))
        await self._reach("the order", lambda: self.shell.counters["taken commands"] >= 1)

    async def _tick(self, now_ns: int) -> None:
        self.clock.set(now_ns)
        sent = [await self.shell.send(topics.FRAMES, frame.area.encode(), encode_frame(frame)) for frame in self._frames(now_ns)]
        await asyncio.gather(*sent)
        await self._reach("the grid", lambda: self.hooks.progress.get("grid", 0) >= now_ns)
        await self._reach("the clearing", self._cleared)
        await self._told(now_ns)

    def _cleared(self) -> bool:
        asked = self.shell.counters[f"sent {topics.INPUTS.name}"]
        return self.shell.counters["taken clearing"] >= asked

    async def _told(self, now_ns: int) -> None:
        await self.shell.emit([Ticked(ts_event_ns=now_ns)])
        facts, counters = topics.FACTS.name, self.shell.counters
        sent = counters[f"sent {facts}"]
        await self._reach("the breaker", lambda: counters["taken breaker"] + counters[f"dead {facts}"] >= sent)

    async def _reach(self, what: str, reached: Any) -> None:
        end_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while not reached():
            assert not self.app.crashed, self.app.crash_reason
            assert asyncio.get_running_loop().time() < end_s, f"{what} did not get there: {dict(self.shell.counters)}"
            await asyncio.sleep(0.002)
