"""``gridfuse ingest simulate``: a simulated field, until Ctrl-C.

It serves the demonstration grid over real Modbus and OPC UA sockets on this machine, writes the point list that goes with them, and
says where everything is. ``gridfuse ingest read --config`` or ``gridfuse run`` read it like any other field.

Given a point list, it serves that list's devices instead, by stand-ins that show plausible values, so that a list can be tried before its
devices are there (:mod:`ingest.simulator.standins`).
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from ingest.clock import Clock, SimulatedClock, WallClock
from ingest.pointlist import read_point_list
from ingest.simulator.devices import FieldDevices
from ingest.simulator.faults import Script, read_script
from ingest.simulator.field import SimulatedField, field_targets
from ingest.simulator.relocated import relocated
from ingest.simulator.standins import StandIns
from market.errors import ConfigError, Problem, UnitError
from market.rts_gmlc import load
from market.units import instant_ns, instant_text

__all__ = ["device_table", "register", "serve", "stand_in"]

_UNUSABLE: Final = 2
_ZONE: Final = "Asia/Shanghai"


def register(ingest_app: typer.Typer) -> None:
    """Add ``simulate`` to the group ``gridfuse ingest``."""
    ingest_app.command("simulate")(_simulate)


def _simulate(
    points: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A point list, to stand in for its devices; without it, the demonstration grid."),
    ] = None,
    speed: Annotated[float, typer.Option("--speed", help="Event seconds per second.")] = 1.0,
    start: Annotated[str, typer.Option("--start", help="Event time to begin at, ISO 8601 with its offset; now, if not given.")] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all noise: the same seed gives the same field.")] = 1,
    script: Annotated[Path | None, typer.Option("--script", help="What breaks, and when; YAML.")] = None,
    data: Annotated[Path, typer.Option("--data", help="Where the point list and the field's state are kept.")] = Path(".gridfuse/field"),
    push: Annotated[str, typer.Option("--push", help="HOST:PORT of the listener that the RTUs dial.")] = "127.0.0.1:9100",
    base_port: Annotated[
        int, typer.Option("--base-port", min=0, max=65_000, help="First of the ports to serve at; 0 takes free ones.")
    ] = 0,
) -> None:
    """Serve the simulated field until Ctrl-C."""
    console = Console()
    try:
        clock = _clock(speed, start)
        if points is not None:
            if script is not None:
                raise ConfigError([Problem("--script", "breaks the demonstration grid, not the devices of a list; remove one")])
            asyncio.run(stand_in(points, StandIns(read_point_list(points).devices, clock, base_port), data, clock, console))
            return
        case = load()
        told = read_script(script, clock.now_ns(), field_targets(case)) if script is not None else Script()
        field = SimulatedField(case, clock, seed=seed, script=told, push_target=_address(push), data_dir=data, base_port=base_port)
        asyncio.run(serve(field, clock, console))
    except ConfigError as exc:
        for problem in exc.problems:
            console.print(f"[red]{problem.where}[/red]: {problem.what}", highlight=False)
        raise typer.Exit(_UNUSABLE) from None
    except OSError as exc:
        console.print(f"[red]--data[/red]: {data} cannot be used: {exc.strerror}; give another directory", highlight=False)
        raise typer.Exit(_UNUSABLE) from None


async def stand_in(points: Path, stand_ins: StandIns, data: Path, clock: Clock, console: Console) -> None:
    """Serve the devices of a point list until the process is interrupted or terminated, and say where they are.

    Args:
        points: the list.
        data: where the list with the addresses of the stand-ins is written.

    Raises:
        ConfigError: a port is taken.
        OSError: the data directory cannot be written.
    """
    with ended_by_signal() as ended:
        await stand_ins.start()
        try:
            moved = _moved(points, stand_ins, data)
            for name, url in stand_ins.urls.items():
                console.print(f"{name}  {url}", highlight=False)
            for name in stand_ins.left_out:
                console.print(f"{name}  dials in, and is not stood in for", highlight=False)
            console.print(f"event time  {instant_text(clock.now_ns(), _ZONE)}, {clock.speed:g} times as fast as the wall", highlight=False)
            console.print(f"point list  {moved}", highlight=False)
            console.print("stop        Ctrl-C", highlight=False)
            await ended.wait()
        finally:
            await stand_ins.stop()


def _moved(points: Path, stand_ins: StandIns, data: Path) -> Path:
    """Write the list that finds the stand-ins, and return where it is."""
    data.mkdir(parents=True, exist_ok=True)
    path = data / f"{points.stem}-simulated.yaml"
    path.write_text(relocated(points, stand_ins.urls), encoding="utf-8")
    return path


@contextmanager
def ended_by_signal() -> Iterator[asyncio.Event]:
    """Give an event that is set when the process is interrupted or terminated."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def serve(field: SimulatedField, clock: Clock, console: Console) -> None:
    """Serve a field until the process is interrupted or terminated, and say where everything is.

    Raises:
        ConfigError: a port is taken.
        OSError: the data directory cannot be written.
    """
    with ended_by_signal() as ended:
        try:
            await field.start()
            console.print(device_table(field.devices))
            console.print(f"event time  {instant_text(clock.now_ns(), _ZONE)}, {clock.speed:g} times as fast as the wall", highlight=False)
            console.print(f"point list  {field.point_list}", highlight=False)
            console.print("stop        Ctrl-C; started again soon after, it goes on from there", highlight=False)
            assert field.running is not None, "it was just started"
            interrupted = asyncio.create_task(ended.wait())
            done, _ = await asyncio.wait({field.running, interrupted}, return_when=asyncio.FIRST_COMPLETED)
            interrupted.cancel()
            if interrupted not in done:
                field.running.result()
        finally:
            await field.stop()


def device_table(devices: FieldDevices) -> Table:
    """Return where each device is and what it serves, for people."""
    table = Table(box=None, pad_edge=False)
    for heading in ("device", "area", "at", "points", "for example"):
        table.add_column(heading, justify="right" if heading == "points" else "left")
    for server in devices.modbus:
        for device in server.devices:
            where = f"modbus+tcp://{device.host}:{device.port} unit {device.unit_id}"
            table.add_row(device.name, device.area, where, str(len(device.points)), device.points[0].name)
    for substation in devices.ua:
        table.add_row(substation.name, substation.area, substation.url, str(len(substation.points)), substation.points[0].name)
    for rtu in devices.rtus:
        table.add_row(rtu.name, rtu.area, f"dials {rtu.host}:{rtu.port}", str(len(rtu.points)), rtu.points[0].name)
    return table


def _clock(speed: float, start: str) -> Clock:
    """Return the wall's own time, unless another one or another pace is asked for."""
    if not speed > 0:
        raise ConfigError([Problem("--speed", f"{speed:g} is no pace; give a number above 0")])
    if not start and speed == 1.0:
        return WallClock()
    try:
        return SimulatedClock(instant_ns(start) if start else time.time_ns(), speed)
    except UnitError as exc:
        raise ConfigError([Problem("--start", str(exc))]) from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ConfigError([Problem("--push", f"{text!r} is not HOST:PORT; write, for example, 127.0.0.1:9100")])
    return host, int(port)
