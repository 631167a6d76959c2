"""``gridfuse run`` and ``gridfuse demo``: start the service and keep it until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import socket
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from console.complaints import complaints
from console.demo.command import DemoOptions, run_demo
from console.heap import give_back_freed_memory
from console.logs import log_to, secrets_of
from console.service import INSTANCE, Service
from market.errors import ConfigError, Problem, UnitError
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, civil_day, day_start_ns, instant_ns
from streams.roles import Role
from streams.settings import Settings, read_settings

__all__ = ["register"]

_ZONE: Final = "Asia/Shanghai"
_DAY: Final = "2020-01-01"
_START: Final = f"{_DAY}T14:00:00+08:00"
"""Afternoon of the day the series were recorded for: load and prices climb while the story is told."""


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("demo")(_demo)
    app.command("run")(_run)


def _demo(
    speed: Annotated[float, typer.Option(help="Event seconds per second; 1 is real time.", min=0.1, max=1000)] = 60.0,
    until: Annotated[str, typer.Option(help="Event time to end at: ISO instant, or HH:MM of the first day.")] = "",
    headless: Annotated[bool, typer.Option("--headless", help="No display, no questions; ends with the story.")] = False,
    data: Annotated[Path, typer.Option(help="Where the demo keeps itself; started there again it goes on.")] = Path("gridfuse-demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget an earlier demo in the data directory.")] = False,
    start: Annotated[str, typer.Option(help="Event time to begin at: ISO instant, or `now`.")] = _START,
    port: Annotated[int, typer.Option(help="Port of the live board; 0 takes a free one.", min=0, max=65_535)] = 8080,
    seed: Annotated[int, typer.Option(help="Seed of the field's noise.", min=0)] = 1,
    webhook: Annotated[str, typer.Option(help="URL that alerts are posted to, besides the log.")] = "",
    influx: Annotated[str, typer.Option(help="InfluxDB to write to (bucket `grid`, token in INFLUX_TOKEN).")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as one JSON object at the end.")] = False,
) -> None:
    """The whole service on this machine against the simulated field: a real grid day, and a market breaker that trips."""
    give_back_freed_memory()
    console = Console(stderr=as_json)
    with complaints():
        if fresh:
            _forget(data)
        start_ns = _start_ns(start)
        options = DemoOptions(
            speed=speed,
            data=data,
            start_ns=start_ns,
            until_ns=_until_ns(until, start_ns) if until else None,
            headless=headless,
            as_json=as_json,
            port=port,
            seed=seed,
            webhook=webhook,
            influx_url=influx,
        )
        code = asyncio.run(run_demo(options, console))
    if code:
        raise typer.Exit(code)


def _run(
    config: Annotated[Path, typer.Option("--config", help="The service's settings (YAML).")],
    port: Annotated[int | None, typer.Option(help="Port of API and board, instead of the settings'.", min=0, max=65_535)] = None,
    role: Annotated[Role, typer.Option(help="How much of the service this process is; all but `all` need a Kafka broker.")] = Role.ALL,
    instance: Annotated[
        str, typer.Option(help="Name among the processes of its role; the same after a restart. Default: the role and the machine.")
    ] = "",
    area: Annotated[list[str] | None, typer.Option(help="Read the devices of this area only; may be given several times.")] = None,
) -> None:
    """The service against real devices; runs until it is told to stop (SIGINT, SIGTERM). SIGHUP: read the point list again."""
    give_back_freed_memory()
    log_to(None)
    with complaints():
        settings = read_settings(config)
        log_to(None, settings.logs, secrets_of(settings))
        if port is not None:
            settings = replace(settings, http=settings.http.model_copy(update={"port": port}))
        if area and role not in (Role.ALL, Role.INGEST):
            raise ConfigError([Problem("--area", f"a process with --role {role} reads no devices; leave it out")])
        name = instance or (INSTANCE if role is Role.ALL else f"{role}-{socket.gethostname()}")
        asyncio.run(_serve(settings, role, name, area or ()))


async def _serve(settings: Settings, role: Role, instance: str, areas: Collection[str]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    service = Service(settings, role=role, instance=instance, areas=areas)
    loop.add_signal_handler(signal.SIGHUP, service.live_list.ask)
    try:
        starting = asyncio.create_task(service.start())
        told_to_stop = asyncio.create_task(stop.wait())
        await asyncio.wait((starting, told_to_stop), return_when=asyncio.FIRST_COMPLETED)
        told_to_stop.cancel()
        if not starting.done():
            # Without its broker a process that reads devices may be starting for hours.
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return
        port = starting.result()
        service.start_ticking()
        logging.getLogger(__name__).info("ready: http://%s:%d/", settings.http.host, port)
        running = asyncio.create_task(service.wait())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if running.done():
            running.result()
        running.cancel()
    finally:
        await service.stop()


def _forget(data: Path) -> None:
    """Remove an earlier demo; anything else in the way is left alone."""
    if data.exists():
        if not (data / "demo.json").exists():
            what = "holds no demo; --fresh removes nothing it did not write. Give another directory with --data"
            raise ConfigError([Problem(str(data), what)])
        shutil.rmtree(data)


def _start_ns(text: str) -> int:
    """Return the event time to begin at; ``now`` takes the wall's clock, so that dashboards' "last hour" shows the demo."""
    if text == "now":
        now = datetime.now(UTC)
        return int(now.timestamp()) // 60 * 60 * NS_PER_S
    try:
        return instant_ns(text)
    except UnitError as exc:
        raise ConfigError([Problem("--start", f"{exc}; or write now")]) from exc


def _until_ns(text: str, start_ns: int) -> int:
    """Read ``--until``: an instant, or a time of day of the first day (the next one, where it lies before the start)."""
    if len(text) == 5 and text[2] == ":":
        hours, _, minutes = text.partition(":")
        if hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60:
            at_ns = day_start_ns(civil_day(start_ns, _ZONE), _ZONE) + int(hours) * NS_PER_H + int(minutes) * NS_PER_MIN
            return at_ns if at_ns > start_ns else at_ns + NS_PER_DAY
    try:
        return instant_ns(text)
    except UnitError as exc:
        raise ConfigError([Problem("--until", f"{exc}; or a time of day such as 18:00")]) from exc
