"""``gridfuse ingest check`` and ``read``: is a point list right, and do its devices answer?

``check`` connects to nothing; it also looks at the certificates and keys that the list names: 0 when all is well, 1 when one ends soon,
2 when something is wrong. ``read`` runs the real gateway for as long as it takes to hear of every point once, and shows what was
heard: 0 when every point is good, 1 when one is not, 2 when the list cannot be used.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from ingest.certfiles import certificate_findings
from ingest.clock import WallClock
from ingest.devices import Device, ModbusDevice, ModbusPoint, Point
from ingest.frame import TelemetryFrame, point_id
from ingest.gateway import Gateway
from ingest.pointlist import PointList, read_point_list
from ingest.quality import BAD_WAITING_FOR_INITIAL_DATA, quality_name
from ingest.yamlfile import load_yaml
from market.errors import ConfigError, Problem
from market.units import NS_PER_S, instant_text

__all__ = ["PointReading", "ingest_group", "read_once", "register"]

_NOT_GOOD, _UNUSABLE = 1, 2
_LOOK_S: Final = 0.02
_TEXTS_NS: Final = NS_PER_S
"""How much longer is waited, where all values are there, for the texts that devices keep about themselves."""

_Config = Annotated[Path, typer.Option("--config", help="The point list, YAML.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add ``ingest check`` and ``ingest read`` to the command."""
    group = ingest_group(app)
    group.command("check")(_check)
    group.command("read")(_read)


def ingest_group(app: typer.Typer) -> typer.Typer:
    """Return the group ``ingest`` of the command, making it where it is not there yet: several modules add to it."""
    for known in app.registered_groups:
        if known.name == "ingest" and known.typer_instance is not None:
            return known.typer_instance
    group = typer.Typer(help="Field devices: point lists, reading, simulation.", no_args_is_help=True)
    app.add_typer(group, name="ingest")
    return group


def _check(config: _Config, as_json: _Json = False) -> None:
    """Check a point list and report every problem; connects to nothing."""
    points, problems = _loaded(config)
    wrong, soon = _certificates(config)
    problems = [*problems, *wrong]
    if as_json:
        counts = {"devices": len(points.devices), "points": sum(len(device.points) for device in points.devices)}
        told = {"problems": [asdict(problem) for problem in problems]} | ({"soon": [asdict(problem) for problem in soon]} if soon else {})
        typer.echo(json.dumps({"ok": not problems, **counts, **told}, ensure_ascii=False))
    else:
        _complain([*problems, *soon])
    if not (problems or soon or as_json):
        typer.echo(f"{config}: {sum(len(device.points) for device in points.devices)} points on {len(points.devices)} devices, no problem")
    if problems or soon:
        raise typer.Exit(_UNUSABLE if problems else _NOT_GOOD)


def _certificates(config: Path) -> tuple[list[Problem], list[Problem]]:
    """Return what is wrong with the files that the list names, and what will be soon; nothing where the list cannot be read at all."""
    try:
        return certificate_findings(load_yaml(config), datetime.now(UTC))
    except ConfigError:
        return [], []


def _read(
    config: _Config,
    as_json: _Json = False,
    within: Annotated[float, typer.Option(help="Seconds to wait for points that say nothing.", min=0.1)] = 10.0,
) -> None:
    """Read every point once and show what came: value, quality, source time and age."""
    points, problems = _loaded(config)
    if problems:
        _complain(problems)
        raise typer.Exit(_UNUSABLE)
    try:
        readings = asyncio.run(read_once(points, within))
    except ConfigError as exc:
        _complain(exc.problems)
        raise typer.Exit(_UNUSABLE) from exc
    if as_json:
        typer.echo(json.dumps([asdict(reading) for reading in readings], ensure_ascii=False))
    else:
        _show(readings)
    if any(reading.quality != "Good" for reading in readings):
        raise typer.Exit(_NOT_GOOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointReading:
    """What one point said.

    Attributes:
        value: engineering units; None where there is none.
        ts_event: source time, ISO 8601 UTC; None where nothing came.
        age_s: how old the value is by that time, s; None where nothing came.
        label: what the point list calls the value; empty where it calls it nothing.
        attributes: texts that its device keeps about itself, by name.
    """

    point: str
    device: str
    value: float | None
    unit: str
    quality: str
    ts_event: str | None
    age_s: float | None
    label: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


async def read_once(points: PointList, within_s: float) -> list[PointReading]:
    """Read every point of a list once.

    Args:
        within_s: wall seconds after which a point that said nothing is given up.

    Returns:
        What each said first, in the order of the list; ``Bad_WaitingForInitialData`` where it said nothing.

    Raises:
        ConfigError: an address at which devices should dial in cannot be listened at.
    """
    clock = WallClock()
    first: dict[int, tuple[float, int, int]] = {}
    wanted = {point_id(point.name) for _, point in points.points()}

    async def emit(frame: TelemetryFrame) -> None:
        columns = (frame.point.tolist(), frame.value.tolist(), frame.quality.tolist(), frame.ts_event_ns.tolist())
        for number, *said in zip(*columns, strict=True):
            first.setdefault(number, (said[0], said[1], said[2]))

    gateway = Gateway(points, clock, emit)
    await gateway.start()
    try:
        deadline_ns = clock.now_ns() + int(within_s * NS_PER_S)
        while len(first) < len(wanted) and clock.now_ns() < deadline_ns:
            await asyncio.sleep(_LOOK_S)
        # Texts are asked for beside the first values, and may be the last to come; a device may also have none.
        deadline_ns = min(deadline_ns, clock.now_ns() + _TEXTS_NS)
        while not _has_all_texts(points, gateway) and clock.now_ns() < deadline_ns:
            await asyncio.sleep(_LOOK_S)
    finally:
        await gateway.stop()
    now_ns = clock.now_ns()
    texts = {health.device: health.attributes for health in gateway.health()}
    return [_reading(device, point, first.get(point_id(point.name)), now_ns, texts) for device, point in points.points()]


def _has_all_texts(points: PointList, gateway: Gateway) -> bool:
    """Whether every device has said what it keeps about itself, as far as the list asks for it."""
    wanted = {device.name: len(device.attributes) for device in points.devices if isinstance(device, ModbusDevice)}
    return all(len(health.attributes) >= wanted.get(health.device, 0) for health in gateway.health() if health.available)


def _reading(
    device: Device, point: Point, said: tuple[float, int, int] | None, now_ns: int, texts: Mapping[str, Mapping[str, str]]
) -> PointReading:
    value, quality, ts_event_ns = said if said is not None else (math.nan, BAD_WAITING_FOR_INITIAL_DATA, None)
    return PointReading(
        point=point.name,
        device=device.name,
        value=value if math.isfinite(value) else None,
        unit=point.unit,
        quality=quality_name(quality),
        ts_event=None if ts_event_ns is None else instant_text(ts_event_ns),
        age_s=None if ts_event_ns is None else round((now_ns - ts_event_ns) / NS_PER_S, 3),
        label=point.meaning.label(value) if isinstance(point, ModbusPoint) and point.meaning is not None else "",
        attributes=dict(texts.get(device.name, {})),
    )


def _loaded(config: Path) -> tuple[PointList, Sequence[Problem]]:
    try:
        return read_point_list(config), ()
    except ConfigError as exc:
        return PointList(()), exc.problems


def _complain(problems: Sequence[Problem]) -> None:
    for problem in problems:
        typer.echo(str(problem), err=True)


def _show(readings: Sequence[PointReading]) -> None:
    table = Table("point", "device", "value", "unit", "quality", "source time", "age s", box=None)
    for reading in readings:
        value = "-" if reading.value is None else f"{reading.value:.6g} {reading.label}".rstrip()
        age = "-" if reading.age_s is None else f"{reading.age_s:.1f}"
        table.add_row(reading.point, reading.device, value, reading.unit, reading.quality, reading.ts_event or "-", age)
    console = Console()
    console.print(table)
    for device, texts in {reading.device: reading.attributes for reading in readings if reading.attributes}.items():
        console.print(f" {device}: {', '.join(f'{name} {text}' for name, text in sorted(texts.items()))}", highlight=False, markup=False)
    good = sum(reading.quality == "Good" for reading in readings)
    typer.echo(f"{good} of {len(readings)} points good")
