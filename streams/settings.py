"""What one machine's service is told: addresses, paths, ports, which grid and which points.

What all parties of the market must agree on is the rule set (:mod:`market.rules`); it is named here and kept apart. A file with
problems starts nothing and names all of them, each with its line::

    data: /var/lib/gridfuse            # the log, the ledger, the spool: everything the service keeps
    points: points.yaml                # the point list; relative to this file
    watch_points: true                 # take it over by itself when it was edited; otherwise on SIGHUP or `gridfuse ingest reload`
    network: {rts_gmlc: shipped}       # or a folder in RTS-GMLC form, or {matpower: case.m}; also stations: {north: ["101", "102"]}
    broker: embedded                   # or kafka://host:9092
    log: {sync_every: 50ms}            # embedded: spare the disk; how long a failing one may take to mend (mend_within)
    field_spool: {size_mb: 1024}       # what was read, until the broker takes it; also keep: 72h, replay: 10000, away_after, gather, dir
    rules: southern-2025               # a shipped rule set, or a file of rules that change: how it is written: streams/rulesfile.py
    market: {rt_interval_min: 5}       # overrides of the shipped rule set
    clearing: clearing.yaml            # reserves, storages, sections, outages, look-ahead; how it is written: streams/clearingfile.py
    solver: {retry_after: 5s, hard_stop_pct: 10, memory_mb: 4096}   # the process that clears: when it is tried again, and given up
    http: {port: 8080}
    influx: {url: "http://127.0.0.1:8086", org: grid, bucket: grid, token_file: /run/secrets/influx}   # all of it: streams/influxfile.py
    ledger: {url: "postgresql+psycopg://gridfuse@db/gridfuse", password_file: /run/secrets/db}  # in SQLite beside the log without it
    webhook: {url: "https://example.org/hook"}
    logs: {format: json, level: info}  # text on a terminal and JSON elsewhere, where it says nothing
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import sqlalchemy as sa
from pydantic import BeforeValidator, Field, model_validator

from ingest.framespool import FrameSpoolLimits
from ingest.line import Pace
from ingest.pointlist import PointList, read_point_list
from ingest.yamlfile import DurationNs, Located, Name, Strict, duration_ns, load_yaml
from market.errors import ConfigError, Problem
from market.rulebook import Rulebook, RulesInForce
from market.rules import GUANGDONG_2023, MarketRules
from market.units import NS_PER_H, NS_PER_S
from streams.clearingfile import ClearingSetup, read_clearing
from streams.influxapi import InfluxTarget
from streams.influxfile import InfluxModel, Sinking, check_influx_model, influx_of
from streams.ledger import sqlite_url
from streams.ledgerfile import LedgerModel, ledger_url
from streams.notify import WebhookChannel
from streams.rulesfile import read_rulebook
from streams.solverprocess import SolverLimits
from streams.transport import broker_url, log_directory
from streams.transport.patience import LogOptions

__all__ = ["EMBEDDED", "FieldSpool", "HttpModel", "LogsModel", "Settings", "read_settings", "too_many"]

EMBEDDED: Final = "embedded"
"""The broker that needs none: the log in the data directory."""

_DEVICES_MAX: Final = 5_000
"""The health of every device stands in each frame of key figures, in about 150 bytes; a record holds a million."""


class NetworkModel(Strict):
    """Where the network model comes from: exactly one of the two.

    Attributes:
        stations: buses of each substation by its name; a bus that is not named belongs with those its transformers join it to.
    """

    rts_gmlc: str | None = None
    matpower: str | None = None
    stations: dict[Name, list[Name]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_them(self) -> NetworkModel:
        if (self.rts_gmlc is None) == (self.matpower is None):
            raise ValueError("give exactly one of `rts_gmlc` (a folder, or `shipped`) and `matpower` (a .m or .m.gz file)")
        return self


class ControlModel(Strict):
    """How the areas are controlled; the biases default to one per cent of an area's peak load per 0.1 Hz."""

    bias_mw_per_0p1hz: dict[Name, Annotated[float, Field(lt=0)]] = Field(default_factory=dict)
    epsilon1_hz: Annotated[float, Field(gt=0, lt=1)] = 0.02
    epsilon10_hz: Annotated[float, Field(gt=0, lt=1)] = 0.0057
    frequency_band_hz: Annotated[float, Field(gt=0, lt=5)] = 0.2
    nominal_hz: Annotated[float, Field(gt=0)] = 50.0


_SYNC_EVERY_NS_MAX: Final = NS_PER_S


def _pause_ns(text: object) -> int:
    """Read a length of time that may be none at all."""
    return 0 if text in ("0ms", "0s") else duration_ns(text)


class LogModel(Strict):
    """How the embedded log treats its disk.

    Attributes:
        sync_every: least time between two syncs. ``0ms`` syncs each batch at once; more groups batches, spares the disk, and makes
            everybody who waits for a record wait that much longer.
        mend_within: how long an input/output error may last before the service gives up. A full disk is waited for without end.
    """

    sync_every: Annotated[int, BeforeValidator(_pause_ns)] = 0
    mend_within: DurationNs = 60 * NS_PER_S


class FieldSpoolModel(Strict):
    """Where telemetry waits while the broker, or the disk of the embedded log, takes none.

    Attributes:
        dir: directory, relative to this file; by default ``field-spool`` in the data directory. Each process has a folder of its own in it.
        size_mb: most megabytes on disk, for each process; beyond it the oldest samples of least weight are dropped and counted.
        keep: how long samples are kept.
        replay: samples of the backlog that are sent per second, beside those that are read.
        away_after: how long an answer may take before the broker counts as away.
        gather: how long frames of devices that are read several times in it may wait for each other; ``0ms``: not at all. Devices with
            positions of switches never wait.
    """

    dir: str | None = None
    size_mb: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    keep: DurationNs = 72 * NS_PER_H
    replay: Annotated[int, Field(ge=1)] = 10_000
    away_after: DurationNs = 5 * NS_PER_S
    gather: Annotated[int, BeforeValidator(_pause_ns), Field(le=NS_PER_S)] = NS_PER_S // 4


class SolverModel(Strict):
    """How long the solver's process may take over an interval, and how much memory it may have.

    Attributes:
        retry_after: soft deadline: then it is killed, and another one tries.
        hard_stop_pct: hard stop, % of an interval: then the interval has failed.
        memory_mb: most megabytes of data; what a case needs stands in ``gridfuse_solver_peak_bytes``.
    """

    retry_after: DurationNs = 5 * NS_PER_S
    hard_stop_pct: Annotated[float, Field(gt=0, le=100)] = 10.0
    memory_mb: Annotated[int, Field(ge=128, le=1 << 20)] = 4096

    def limits(self, rules: MarketRules) -> SolverLimits:
        """Return the limits that these are under the rules in force."""
        return SolverLimits(
            interval_s=rules.rt_interval_ns / NS_PER_S,
            retry_after_s=self.retry_after / NS_PER_S,
            hard_stop_pct=self.hard_stop_pct,
            memory_mb=self.memory_mb,
        )


class HttpModel(Strict):
    """Where the API and the live board are served."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    allowed_hosts: list[str] = Field(default_factory=list)


class WebhookModel(Strict):
    """Where alerts are posted."""

    url: str
    timeout: DurationNs = 5 * NS_PER_S


class LogsModel(Strict):
    """How messages are written; without a format, text on a terminal and JSON lines elsewhere."""

    format: Literal["text", "json"] | None = None
    level: Literal["debug", "info", "warning", "error"] = "info"


class _FileModel(Strict):
    data: str
    points: str
    network: NetworkModel
    broker: str = EMBEDDED
    log: LogModel = Field(default_factory=LogModel)
    field_spool: FieldSpoolModel = Field(default_factory=FieldSpoolModel)
    rules: str = GUANGDONG_2023.rule_set
    market: dict[str, Any] = Field(default_factory=dict)
    control: ControlModel = Field(default_factory=ControlModel)
    day_ahead: Literal["series", "none"] = "series"
    watch_points: bool = False
    setpoints: bool = False
    clearing: str | None = None
    tick: DurationNs = 10 * NS_PER_S
    solver: SolverModel = Field(default_factory=SolverModel)
    http: HttpModel = Field(default_factory=HttpModel)
    influx: InfluxModel | None = None
    ledger: LedgerModel | None = None
    webhook: WebhookModel | None = None
    logs: LogsModel = Field(default_factory=LogsModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpool:
    """How telemetry waits while nobody takes it.

    Attributes:
        directory: of all processes; None for ``field-spool`` in the data directory.
        limits: how much of it is kept, for each.
        pace: how patient they are, and how fast they make up.
    """

    directory: Path | None = None
    limits: FrameSpoolLimits = FrameSpoolLimits()
    pace: Pace = Pace(gather_s=0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A service's settings, read and checked.

    Attributes:
        data: directory of everything the service keeps.
        broker: broker URL as Faust takes it.
        log: how the embedded log treats its disk.
        field_spool: how telemetry waits while nobody takes it.
        points: the point list, and points_path where it is; None for one that is in no file.
        watch_points: whether the file is looked at again and again, and an edited list is taken over by itself.
        network: where the network model is, paths made absolute.
        rules: the rule set in force; where it changes, the first, until :meth:`at` says which instant it is.
        day_ahead: whether the case's day-ahead series are cleared each day.
        setpoints: whether base points are written to the devices.
        tick_ns: event time between two ticks.
        solver: how long the solver's process may take, and how much memory.
        sinking: how lines go to InfluxDB, beside where.
        clearing: what is cleared besides energy, how far ahead, and against which outages.
        rulebook: which rules hold when; None for ``rules``, always.
        database: where the ledger is, with its password; None for a file of the data directory.
    """

    data: Path
    broker: str
    points: PointList
    network: NetworkModel
    rules: MarketRules
    control: ControlModel
    day_ahead: bool
    setpoints: bool
    tick_ns: int
    http: HttpModel
    influx: InfluxTarget | None
    webhook: WebhookModel | None
    logs: LogsModel = field(default_factory=LogsModel)
    log: LogOptions = LogOptions()
    field_spool: FieldSpool = FieldSpool()
    points_path: Path | None = None
    watch_points: bool = False
    solver: SolverModel = field(default_factory=SolverModel)
    sinking: Sinking = Sinking()
    clearing: ClearingSetup = ClearingSetup()
    rulebook: Rulebook | None = None
    database: sa.URL | None = None

    @property
    def ledger_url(self) -> sa.URL:
        """Where the ledger is."""
        return sqlite_url(self.data / "ledger.sqlite") if self.database is None else self.database

    @property
    def log_directory(self) -> Path:
        """Directory of the embedded transport's log."""
        return self.data / "log"

    @property
    def rules_in_force(self) -> RulesInForce:
        """What says which rules hold at an instant."""
        return self.rulebook or self.rules

    def at(self, ts_ns: int) -> Settings:
        """Return the settings with the rules that are in force at an instant."""
        return replace(self, rules=self.rules_in_force.at(ts_ns))


def read_settings(path: str | Path) -> Settings:
    """Read a service's settings and its point list; nothing is connected to.

    Raises:
        ConfigError: every problem of both files.
    """
    located = load_yaml(path)
    model = located.validate(_FileModel)
    problems: list[Problem] = []
    beside = Path(path).absolute().parent

    def attempt(work: Any, *place: str) -> Any:
        try:
            return work()
        except ConfigError as exc:
            # A file of its own names its lines itself; a value is placed where it stands in this file.
            problems.extend(p if ".yaml:" in p.where else located.problem(_named(p, place), *place) for p in exc.problems)
            return None

    data = beside / model.data
    broker = f"embedded://{data / 'log'}" if model.broker == EMBEDDED else model.broker
    attempt(lambda: broker_url(broker), "broker")
    problems.extend(located.problem(what, *place) for place, what in _log_problems(model, broker))
    points = attempt(lambda: read_point_list(beside / model.points), "points")
    book = attempt(lambda: read_rulebook(model.rules, beside, model.market, located.where("market")), "rules")
    if model.influx is not None:
        attempt(lambda: check_influx_model(model.influx, located), "influx")
    influx = None if model.influx is None else attempt(lambda: influx_of(model.influx, beside), "influx")
    database = None if model.ledger is None else attempt(lambda: ledger_url(model.ledger, beside), "ledger")
    if model.webhook is not None:
        url = model.webhook.url
        attempt(lambda: WebhookChannel(url), "webhook", "url")
    problems.extend(located.problem(what, "points") for what in too_many(points))
    clearing = ClearingSetup() if model.clearing is None else attempt(lambda: read_clearing(beside / str(model.clearing)), "clearing")
    network = _network(located, model.network, beside, problems)
    if model.tick % NS_PER_S or (NS_PER_S * 60) % model.tick:
        problems.append(located.problem("a tick is a whole number of seconds that divides a minute: 1s, 2s, 5s, 10s, …", "tick"))
    if model.network.matpower is not None and model.day_ahead == "series":
        what = "a MATPOWER case has no day-ahead series; write `day_ahead: none`"
        problems.append(located.problem(what, "day_ahead" if "day_ahead" in model.model_fields_set else "network"))
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    return Settings(
        data=data,
        broker=broker,
        log=LogOptions(sync_every_s=model.log.sync_every / NS_PER_S, mend_within_s=model.log.mend_within / NS_PER_S),
        points=points,
        network=network,
        rules=book.versions[0].rules,
        rulebook=book,
        control=model.control,
        day_ahead=model.day_ahead == "series",
        setpoints=model.setpoints,
        tick_ns=model.tick,
        http=model.http,
        influx=None if influx is None else influx[0],
        sinking=Sinking() if influx is None else influx[1],
        database=database,
        webhook=model.webhook,
        logs=model.logs,
        points_path=beside / model.points,
        watch_points=model.watch_points,
        solver=model.solver,
        clearing=clearing,
        field_spool=_field_spool(model.field_spool, beside),
    )


def _field_spool(model: FieldSpoolModel, beside: Path) -> FieldSpool:
    return FieldSpool(
        directory=None if model.dir is None else beside / model.dir,
        limits=FrameSpoolLimits(bytes_max=model.size_mb << 20, age_max_s=max(1, model.keep // NS_PER_S)),
        pace=Pace(away_after_s=model.away_after / NS_PER_S, replay_per_s=model.replay, gather_s=model.gather / NS_PER_S),
    )


def too_many(points: PointList | None) -> Iterator[str]:
    """Say where there are more devices than the key figures can tell of in one record."""
    if points is not None and len(points.devices) > _DEVICES_MAX:
        count = len(points.devices)
        yield f"the list has {count} devices, at most {_DEVICES_MAX} are told of in one record; put gateways before the small ones"


def _log_problems(model: _FileModel, broker: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if "log" in model.model_fields_set and log_directory(broker) is None:
        yield ("log",), "it says how the embedded log treats its disk; Kafka's brokers have settings of their own, so leave it out"
    if model.log.sync_every > _SYNC_EVERY_NS_MAX:
        yield (
            ("log", "sync_every"),
            "at most 1s: a decision waits for several syncs, one after the other, and all of them must fit the 30 s of grace with room",
        )


def _place(problem: Problem) -> tuple[str, int]:
    file, _, line = problem.where.rpartition(":")
    return (file, int(line)) if line.isdigit() else (problem.where, 0)


def _named(problem: Problem, place: tuple[str, ...]) -> str:
    """Say a problem at its place in the settings: what it was found in is named, unless that is the place itself."""
    return problem.what if problem.where == place[-1] else f"{problem.where}: {problem.what}"


def _network(located: Located, model: NetworkModel, beside: Path, problems: list[Problem]) -> NetworkModel:
    if model.rts_gmlc is not None and model.rts_gmlc != "shipped":
        folder = beside / model.rts_gmlc
        if not (folder / "bus.csv").is_file():
            problems.append(
                located.problem(f"{folder} holds no bus.csv; give a folder in RTS-GMLC form, or `shipped`", "network", "rts_gmlc")
            )
        return NetworkModel(rts_gmlc=str(folder), stations=model.stations)
    if model.matpower is not None:
        case = beside / model.matpower
        if not case.is_file():
            problems.append(located.problem(f"there is no file {case}", "network", "matpower"))
        return NetworkModel(matpower=str(case), stations=model.stations)
    return model
