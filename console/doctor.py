"""``gridfuse doctor``: is everything there that a service with these settings needs, and can what it keeps be believed?

It looks at one thing after the other and says what it found, with the remedy. It may be run beside a running service and before the
first start; it changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from console.checks.check import Check, Level, looked
from console.checks.peers import check_http, check_influx, check_kafka, check_webhook
from console.checks.stores import check_data, check_ledger, check_log, check_spool
from ingest.lockfile import holder
from market.errors import ConfigError
from streams.model import model_of
from streams.settings import Settings, read_settings
from streams.sink import RAW_SPOOL, SPOOL
from streams.transport import log_directory
from streams.transport.schema import LOCK_NAME

__all__ = ["examine", "register"]

_FAILED, _UNUSABLE = 1, 2
_WORST: Final = (Level.OK, Level.WARN, Level.FAIL)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor")(_doctor)


def _doctor(
    config: Annotated[Path, typer.Option("--config", help="The service's settings (YAML).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Read every record of the embedded log, not only the newest.")] = False,
) -> None:
    """Check settings, stores and peers of a service, whether it runs or not; changes nothing.

    Exit code 0 when nothing fails, 1 when something does, 2 when the settings cannot be used.
    """
    try:
        settings = read_settings(config)
    except ConfigError as exc:
        _print([Check(name="settings", level=Level.FAIL, what=str(problem)) for problem in exc.problems], as_json=as_json)
        raise typer.Exit(_UNUSABLE) from exc
    found = []
    for check in examine(settings, config, whole=whole):
        found.append(check)
        if not as_json:
            _print([check], as_json=False)
    if as_json:
        _print(found, as_json=True)
    if any(check.level is Level.FAIL for check in found):
        raise typer.Exit(_FAILED)


def examine(settings: Settings, config: Path, *, whole: bool = False) -> Iterator[Check]:
    """Look at everything; each finding is given out as soon as it is known.

    Args:
        config: the file the settings were read from, for the first line.
        whole: whether all of the embedded log is read.
    """
    yield from looked("settings", lambda: _settings(settings, config))
    yield from looked("network", lambda: _network(settings))
    yield from looked("data", lambda: check_data(settings.data))
    log = log_directory(settings.broker)
    owner = _owner(settings, log)
    running = owner is not None
    if log is not None:
        yield from looked("log", lambda: check_log(log, owner, whole=whole))
    else:
        yield from looked("kafka", lambda: check_kafka(settings.broker))
    yield from looked("ledger", lambda: check_ledger(settings.database or settings.data / "ledger.sqlite"))
    to_influx = settings.influx is not None
    for name in (SPOOL, RAW_SPOOL):
        if name == SPOOL or (settings.data / name).exists():
            home = settings.data / name
            yield from looked("spool", partial(check_spool, home, to_influx=to_influx, running=running))
    if settings.influx is not None:
        influx_url = settings.influx.url
        yield from looked("influx", lambda: check_influx(influx_url))
    if settings.webhook is not None:
        webhook_url = settings.webhook.url
        yield from looked("webhook", lambda: check_webhook(webhook_url))
    yield from looked("http", lambda: check_http(settings.http, running=running))


def _owner(settings: Settings, log: Path | None) -> int | None:
    """Return who runs the service: the log's owner, or on Kafka the spool's, who leaves no number; None where nobody does."""
    try:
        return holder(settings.data / "spool" / "lock" if log is None else log / LOCK_NAME)
    except OSError:
        return None  # the look at the store says what is wrong with it


def _settings(settings: Settings, config: Path) -> Iterator[Check]:
    table = settings.points.table()
    yield Check(
        name="settings", level=Level.OK, what=f"{config} can be used; rules {settings.rules.id}", facts={"rule_set": settings.rules.id}
    )
    what = f"{len(table.specs):,} points of {len(settings.points.devices)} devices in {len(table.areas)} areas"
    yield Check(name="points", level=Level.OK, what=what, facts={"points": len(table.specs), "devices": len(settings.points.devices)})


def _network(settings: Settings) -> Iterator[Check]:
    table = settings.points.table()
    model = model_of(settings, table)
    network = model.grid.network
    what = f"{len(network.bus_ids)} buses, {len(network.branch_ids)} branches, {len(model.grid.units)} units"
    yield Check(name="network", level=Level.OK, what=what, facts={"buses": len(network.bus_ids), "units": len(model.grid.units)})
    top_kv = settings.rules.top_voltage_kv
    if not model.topology.count_from(top_kv):
        what = f"no line or transformer has {top_kv:g} kV or more, so none that is lost can trip the market"
        remedy = "set `market: {top_voltage_kv: …, second_voltage_kv: …}` to the grid's own"
        yield Check(name="voltage", level=Level.WARN, what=what, remedy=remedy)


def _print(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        worst = max((check.level for check in checks), key=_WORST.index)
        rows = [{"check": c.name, "level": c.level.value, "what": c.what, "remedy": c.remedy, "facts": dict(c.facts)} for c in checks]
        typer.echo(json.dumps({"level": worst.value, "checks": rows}, ensure_ascii=False))
        return
    for check in checks:
        remedy = f"; {check.remedy}" if check.remedy else ""
        typer.echo(f"{check.level.value.upper():<5} {check.name:<9} {check.what}{remedy}")
