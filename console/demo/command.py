"""The demo's life cycle: field, service, clock and story in one process, and the summary at the end.

A demo remembers itself in its data directory: when it began (``demo.json``), everything it accepted (the log), how the field stood.
Started there again, also after a ``kill -9``, it goes on at the event time it had reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from console.demo.director import Director
from console.demo.display import Display
from console.demo.pace import Pacer, ToldTime
from console.demo.summary import summary
from console.logs import log_to
from console.readback import last_event_ns
from console.service import Service
from ingest.clock import SimulatedClock
from ingest.simulator.faults import read_script
from ingest.simulator.field import SimulatedField, field_targets
from market.decisions import Decision
from market.facts import CommandGiven
from market.rts_gmlc import load
from market.units import NS_PER_MIN, NS_PER_S
from market.view import MarketView
from streams.agents import Hooks
from streams.kpis import KpiFrame
from streams.settings import Settings, read_settings
from streams.topics import Topic

__all__ = ["DemoOptions", "run_demo"]

_SCRIPT: Final = Path(__file__).with_name("script.yaml")
_LOOK_S: Final = 0.05
_FIRST_DATA_S: Final = 15.0
"""Longest wall time to wait for every device before time begins to be told."""

_LEAD_IN_NS: Final = NS_PER_MIN
"""A new demo wakes this long before its beginning, so that its first interval has inputs to be cleared from."""

_WARM_UP_NS: Final = 20 * NS_PER_S
"""Event time that may pass while devices are heard for the first time: more than the slowest of their first polls."""

_OPERATOR: Final = "demo operator"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What ``gridfuse demo`` was asked for.

    Attributes:
        start_ns: event time at which a new demo begins.
        until_ns: event time at which to end, or None for the end of the story (headless) or never.
        headless: no display and no questions: the market is recovered as an operator would.
    """

    speed: float
    data: Path
    start_ns: int
    until_ns: int | None
    headless: bool
    as_json: bool
    port: int
    seed: int
    webhook: str = ""
    influx_url: str = ""


class _Watcher:
    """Keeps what director, display and summary need of the stream."""

    def __init__(self, director: Director) -> None:
        self._director = director
        self.decisions: list[Decision] = []
        self.view: MarketView | None = None
        self.kpi: KpiFrame | None = None

    async def see(self, topic: Topic, record: Any) -> None:
        """Observe the stream (:class:`streams.agents.Observer`)."""
        match record:
            case Decision():
                self._director.observe(record)
                self.decisions.append(record)
            case MarketView():
                self.view = record
            case KpiFrame():
                self.kpi = record


async def run_demo(options: DemoOptions, console: Console) -> int:
    """Run the demo until its end, ``--until`` or a signal; returns the exit code.

    Raises:
        ConfigError: a port is taken, a file cannot be used.
        GridfuseError: something that must run has stopped.
    """
    started_s = time.monotonic()
    options.data.mkdir(parents=True, exist_ok=True)
    log_to(options.data / "gridfuse.log")
    origin_ns, seed = _remembered(options)
    begin_ns = last_event_ns(f"embedded://{options.data / 'log'}") or origin_ns - _LEAD_IN_NS
    clock = SimulatedClock(begin_ns, options.speed, held=True)
    case = load()
    field = SimulatedField(
        case,
        clock,
        seed=seed,
        script=read_script(_SCRIPT, origin_ns, field_targets(case)),
        push_target=("127.0.0.1", _free_port()),
        data_dir=options.data,
    )
    await field.start()
    try:
        settings = _settings(options, field.point_list)
        director = Director(origin_ns, settings.rules)
        watcher = _Watcher(director)
        hooks = Hooks(clearing_fault=field.clearing_fault)
        told = ToldTime(clock)
        service = Service(settings, clock, stamp_ns=told.now_ns, simulated=True, extra=(watcher,), hooks=hooks)
        assert service.people is not None, "a demo is a whole service"
        for decision in service.people.ledger.decisions():
            director.observe(decision)
        demo = _Demo(options, console, service, field, clock, told, director, watcher)
        with _signals(demo.interrupt):
            try:
                return await demo.play(await service.start(), begin_ns, started_s)
            finally:
                clock.run_until(clock.now_ns())
                await service.stop()
    finally:
        await field.stop()


class _Demo:
    """The running demo: lets the clock go when the devices answer, tells the story, acts it out."""

    def __init__(
        self,
        options: DemoOptions,
        console: Console,
        service: Service,
        field: SimulatedField,
        clock: SimulatedClock,
        told: ToldTime,
        director: Director,
        watcher: _Watcher,
    ) -> None:
        self._options, self._console = options, console
        self._service, self._field, self._clock, self._told = service, field, clock, told
        self._director, self._watcher = director, watcher
        self._interrupted = False
        self._recover_pressed = False
        self._ordered: set[str] = set()
        self._fallen: set[str] = set()

    def interrupt(self) -> None:
        """Come to an end."""
        self._interrupted = True

    async def play(self, port: int, begin_ns: int, started_s: float) -> int:
        """Run until the end; returns the exit code."""
        options, service = self._options, self._service
        display = Display(
            self._console,
            live=not options.headless and self._console.is_terminal,
            zone=service.settings.rules.zone,
            where=(
                ("live board", f"http://127.0.0.1:{port}/"),
                ("data", f"{options.data}  (log, ledger, spool, point list, gridfuse.yaml)"),
                ("messages", str(options.data / "gridfuse.log")),
                ("stop", "Ctrl-C; started again it goes on from there"),
            ),
        )
        await self._first_data()
        service.start_ticking(begin_ns)
        assert service.ticker is not None, "it was just started"
        self._told.follow(service.ticker)
        pacer = asyncio.create_task(Pacer(self._clock, service.hooks, service.settings.tick_ns).run())
        running = asyncio.create_task(service.wait())
        try:
            with display, self._keyboard():
                while not self._over(running, pacer):
                    await self._act()
                    self._show(display)
                    await asyncio.sleep(_LOOK_S)
        finally:
            running.cancel()
            pacer.cancel()
        for task in (running, pacer):
            if task.done() and not task.cancelled() and (cause := task.exception()) is not None:
                raise cause
        await service.drained()
        if options.as_json:
            told = summary(service, self._clock, begin_ns, time.monotonic() - started_s, options.speed)
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return 130 if self._interrupted and options.headless else 0

    async def _first_data(self) -> None:
        """Wait until every device has been heard, so that the day does not begin with devices still being dialled."""
        self._clock.run_until(self._clock.now_ns() + _WARM_UP_NS)
        end_s = time.monotonic() + _FIRST_DATA_S
        while time.monotonic() < end_s and not self._interrupted:
            assert self._service.field is not None, "a demo is a whole service"
            health = [device for device in self._service.field.gateway.health() if device.area]
            if health and all(device.available is not None for device in health):
                return
            await asyncio.sleep(_LOOK_S)

    def _over(self, *tasks: asyncio.Task[None]) -> bool:
        now_ns, options = self._clock.now_ns(), self._options
        if self._interrupted or any(task.done() for task in tasks):
            return True
        if options.until_ns is not None:
            return now_ns >= options.until_ns
        return options.headless and self._director.ended(now_ns)

    async def _act(self) -> None:
        """Do what the story asks for now."""
        now_ns = self._clock.now_ns()
        for fall in self._director.line_falls():
            if fall.branch not in self._fallen:
                self._fallen.add(fall.branch)
                self._field.inject("line_trip", fall.branch, at_ns=fall.at_ns)
        order = self._director.auto_recovery(now_ns) if self._options.headless else None
        if self._recover_pressed:
            self._recover_pressed = False
            order = self._director.recovery(_OPERATOR)
        if order is not None:
            await self._order(order)

    async def _order(self, order: CommandGiven) -> None:
        if order.command_id not in self._ordered:
            self._ordered.add(order.command_id)
            await self._service.order(order)

    def _show(self, display: Display) -> None:
        now_ns = self._clock.now_ns()
        line = self._director.line(now_ns)
        assert self._service.people is not None, "a demo is a whole service"
        self._service.people.board.set_story(line.text_en, line.text_zh, line.step, line.of)
        for decision in self._watcher.decisions:
            display.decided(decision)
        self._watcher.decisions.clear()
        prompt = "Press Enter to recover the market as the dispatcher on duty" if self._director.recovery_wanted else ""
        display.show(now_ns, line, self._watcher.view, self._watcher.kpi, prompt)

    @contextlib.contextmanager
    def _keyboard(self) -> Iterator[None]:
        """Listen for the Enter key, where there is a keyboard."""
        loop = asyncio.get_running_loop()
        listening = not self._options.headless and sys.stdin.isatty()

        def pressed() -> None:
            sys.stdin.readline()
            self._recover_pressed = True

        if listening:
            loop.add_reader(sys.stdin, pressed)
        try:
            yield
        finally:
            if listening:
                loop.remove_reader(sys.stdin)


def _remembered(options: DemoOptions) -> tuple[int, int]:
    """Return origin and seed of the demo in this directory: what it began with, or what it begins with now."""
    path = options.data / "demo.json"
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        return int(kept["origin_ns"]), int(kept["seed"])
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps({"origin_ns": options.start_ns, "seed": options.seed}), encoding="utf-8")
    draft.replace(path)
    return options.start_ns, options.seed


def _settings(options: DemoOptions, point_list: Path) -> Settings:
    """Write the demo's settings file, which ``gridfuse run`` could read too, and read it back."""
    lines = [
        "# Written by `gridfuse demo`; the devices of the point list live only while it runs.",
        "data: .",
        f"points: {point_list.name}",
        "network: {rts_gmlc: shipped}",
        "market: {revision: r1-demo, rt_interval_min: 5, top_voltage_kv: 230}",
        "setpoints: true",
        "tick: 10s",
        f"http: {{port: {options.port}}}",
    ]
    if options.webhook:
        lines.append(f"webhook: {{url: {json.dumps(options.webhook)}}}")
    if options.influx_url:
        lines.append(f"influx: {{url: {json.dumps(options.influx_url)}, org: grid, bucket: grid, token_env: INFLUX_TOKEN}}")
    path = options.data / "gridfuse.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_settings(path)


@contextlib.contextmanager
def _signals(interrupt: Any) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


_PORTS: Final = range(12_000, 32_000)
"""Below those that the kernel gives to outgoing connections, of which the demo itself makes dozens before it listens."""


def _free_port() -> int:
    """Return a loopback port that nobody listens at, for the listener the RTUs dial."""
    while True:
        port = secrets.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
