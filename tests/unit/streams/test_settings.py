"""A settings file is right, or every mistake in it is named with its line and nothing starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.errors import ConfigError
from market.units import NS_PER_S
from streams.agents import Hooks
from streams.app import build_app
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.settings import FieldSpool, Settings, read_settings
from streams.transport.patience import LogOptions

POINTS = """\
maps:
  feeder:
    every: 4s
    points: {"unit/{unit}/mw": {reg: input 0, type: float32, unit: MW}}
devices:
  - {name: rtu-1, area: "1", url: "modbus+tcp://127.0.0.1:502", unit: 1, map: feeder, vars: {unit: 101_CT_1}}
"""

WHOLE = "data: kept\npoints: points.yaml\nnetwork: {rts_gmlc: shipped}\n"


def read(tmp_path: Path, text: str, points: str = POINTS) -> Settings:
    (tmp_path / "points.yaml").write_text(points, encoding="utf-8")
    (tmp_path / "gridfuse.yaml").write_text(text, encoding="utf-8")
    return read_settings(tmp_path / "gridfuse.yaml")


def complaints(tmp_path: Path, text: str, points: str = POINTS) -> list[str]:
    with pytest.raises(ConfigError) as told:
        read(tmp_path, text, points)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in told.value.problems]


def test_the_least_that_runs(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE)
    assert settings.data == tmp_path / "kept"
    assert settings.broker == f"embedded://{tmp_path / 'kept' / 'log'}"
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8080)
    assert settings.tick_ns == 10 * NS_PER_S
    assert settings.day_ahead
    assert not settings.setpoints
    assert settings.influx is settings.webhook is None
    assert (settings.points_path, settings.watch_points) == (tmp_path / "points.yaml", False)
    assert read(tmp_path, WHOLE + "watch_points: true\n").watch_points


def test_every_mistake_of_both_files_at_once_each_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_TOKEN", raising=False)
    text = WHOLE.replace("shipped", "elsewhere") + (
        "broker: redis://h\n"
        "market: {rt_limit_min: -3, zone: Mars/Olympus}\n"
        "tick: 7s\n"
        "influx: {url: 'http://127.0.0.1:8086', bucket: grid, token_env: NO_SUCH_TOKEN}\n"
        "webhook: {url: 'ftp://h'}\n"
    )
    told = complaints(tmp_path, text, POINTS.replace("float32", "float33"))
    assert [line.split(": ")[0] for line in told] == [f"gridfuse.yaml:{n}" for n in (3, 4, 5, 5, 6, 7, 8)] + ["points.yaml:4"]
    for line, offender in zip(
        told, ("elsewhere", "redis", "rt_limit_min", "Mars/Olympus", "tick", "NO_SUCH_TOKEN", "ftp", "float33"), strict=True
    ):
        assert offender in line
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE + "nework: x\n", "nework"),
        (WHOLE.replace("{rts_gmlc: shipped}", "{}"), "exactly one of"),
        (WHOLE.replace("{rts_gmlc: shipped}", "{matpower: no.m}"), "no.m"),
        (WHOLE + "http: {port: 70000}\n", "65535"),
        (WHOLE + "day_ahead: sometimes\n", "series"),
        ("data: kept\n", "points"),
        ("[1, 2", "gridfuse.yaml:1"),
        ("", "gridfuse.yaml"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, says: str) -> None:
    assert any(says in line for line in complaints(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        read_settings(tmp_path / "none.yaml")
    (tmp_path / "gridfuse.yaml").write_text(WHOLE, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"points\.yaml"):
        read_settings(tmp_path / "gridfuse.yaml")


def test_a_matpower_case_has_no_day_ahead_series(tmp_path: Path) -> None:
    (tmp_path / "case.m").write_text("", encoding="utf-8")
    text = WHOLE.replace("{rts_gmlc: shipped}", "{matpower: case.m}")
    assert any("day_ahead: none" in line for line in complaints(tmp_path, text))
    assert read(tmp_path, text + "day_ahead: none\n").network.matpower == str(tmp_path / "case.m")


def test_logs_are_asked_for_by_form_and_level(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE + "logs: {format: json, level: debug}\n")
    assert (settings.logs.format, settings.logs.level) == ("json", "debug")
    assert read(tmp_path, WHOLE).logs.format is None, "text on a terminal, JSON elsewhere"
    assert "logs" in complaints(tmp_path, WHOLE + "logs: {level: loud}\n")[0]


def test_more_devices_than_one_frame_of_key_figures_can_tell_of(tmp_path: Path) -> None:
    entry = '  - {name: "d-{1..5001}", area: "1", url: "modbus+tcp://127.0.0.1:502", map: feeder, vars: {unit: "u{1..5001}"}}'
    many = POINTS[: POINTS.index("devices:")] + "devices:\n" + entry
    (told,) = complaints(tmp_path, WHOLE, many)
    assert told.startswith("gridfuse.yaml:2: ")
    assert "5001 devices, at most 5000" in told
    assert len(read(tmp_path, WHOLE, many.replace("5001", "4999")).points.devices) == 4999


def test_the_log_is_synced_at_once_unless_the_disk_is_to_be_spared(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).log == LogOptions(sync_every_s=0.0, mend_within_s=60.0)
    settings = read(tmp_path, WHOLE + "log: {sync_every: 50ms, mend_within: 2m}\n")
    assert settings.log == LogOptions(sync_every_s=0.05, mend_within_s=120.0)
    assert read(tmp_path, WHOLE + "log: {sync_every: 0ms}\n").log.sync_every_s == 0
    assert read(tmp_path, WHOLE + "log: {sync_every: 1s}\n").log.sync_every_s == 1


def test_what_the_log_is_told_reaches_it(tmp_path: Path) -> None:
    """From the file to the driver of the app that the service runs."""
    settings = read(tmp_path, WHOLE + "log: {sync_every: 50ms}\n")
    model = market_model(settings.network, settings.points.table(), settings.rules, settings.control, day_ahead=False)
    app, _ = build_app(settings, model, lambda: 0, Hooks())
    assert app.transport.options == settings.log


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("log: {sync_every: 1001ms}\n", 4, "at most 1s: a decision waits for several syncs"),
        ("log: {sync_every: 5}\n", 4, "not a length of time"),
        ("log: {sync: 5ms}\n", 4, "sync"),
        ("broker: kafka://h:1\nlog: {sync_every: 5ms}\n", 5, "Kafka's brokers have settings of their own"),
    ],
)
def test_what_the_log_cannot_be_told(tmp_path: Path, text: str, line: int, says: str) -> None:
    (told,) = complaints(tmp_path, WHOLE + text)
    assert told.startswith(f"gridfuse.yaml:{line}: ")
    assert says in told


def test_how_telemetry_waits_that_nobody_takes(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).field_spool == FieldSpool()
    said = read(tmp_path, WHOLE + "field_spool: {dir: other, size_mb: 5, keep: 2h, replay: 70, away_after: 1.5s}\n").field_spool
    assert said.directory == tmp_path / "other"
    assert (said.limits.bytes_max, said.limits.age_max_s) == (5 << 20, 7_200)
    assert (said.pace.replay_per_s, said.pace.away_after_s) == (70, 1.5)
    assert said.pace.gather_s == 0.25
    assert read(tmp_path, WHOLE + "field_spool: {gather: 0ms}\n").field_spool.pace.gather_s == 0
    [complaint] = complaints(tmp_path, WHOLE + "field_spool:\n  size_mb: 0\n")
    assert complaint.startswith("gridfuse.yaml:5: ")


def test_the_solver_has_its_deadlines_by_the_length_of_the_interval(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE)
    limits = settings.solver.limits(settings.rules)
    assert (limits.hard_stop_s, limits.retry_after_s, limits.memory_mb) == (settings.rules.rt_interval_min * 6.0, 5.0, 4096)
    said = read(tmp_path, WHOLE + "solver: {retry_after: 2s, hard_stop_pct: 5, memory_mb: 512}\n")
    limits = said.solver.limits(said.rules)
    assert (limits.hard_stop_s, limits.retry_after_s, limits.memory_mb) == (said.rules.rt_interval_min * 3.0, 2.0, 512)
    [complaint] = complaints(tmp_path, WHOLE + "solver:\n  hard_stop_pct: 0\n")
    assert complaint.startswith("gridfuse.yaml:5: ")


def model_of(settings: Settings) -> MarketModel:
    return market_model(settings.network, settings.points.table(), settings.rules, settings.control, day_ahead=False)


def test_stations_are_named_in_the_settings(tmp_path: Path) -> None:
    text = WHOLE.replace("shipped}", 'shipped, stations: {North: ["101", "102"]}}')
    buses = model_of(read(tmp_path, text)).topology.buses
    assert [buses[bus].substation for bus in ("101", "102", "103", "124")] == ["North", "North", "103", "103"]


def test_a_station_of_buses_that_are_unknown_or_named_twice_is_refused(tmp_path: Path) -> None:
    text = WHOLE.replace("shipped}", 'shipped, stations: {North: ["101", "999"], South: ["101"]}}')
    with pytest.raises(ConfigError) as told:
        model_of(read(tmp_path, text))
    assert "'999' is no bus" in str(told.value)
    assert "bus 101 stands in North too" in str(told.value)


def test_the_rules_may_be_a_set_that_ships_or_a_file_of_rules_that_change(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).rules.id == "gd-2023-draft/r1"
    southern = read(tmp_path, WHOLE + "rules: southern-2025\nmarket: {rt_interval_min: 5}\n")
    assert (southern.rules.id, southern.rules.rt_interval_min) == ("southern-2025/r1+overrides", 5)
    july = 1_782_835_200_000_000_000
    (tmp_path / "rules.yaml").write_text(
        'versions:\n- {}\n- {from: "2026-07-01T00:00:00+08:00", revision: r2, overrides: {rt_limit_min: 90}}\n', encoding="utf-8"
    )
    changing = read(tmp_path, WHOLE + "rules: rules.yaml\n")
    assert changing.rules_in_force.at(july).id == "gd-2023-draft/r2"
    assert [changing.at(ts_ns).rules.rt_limit_min for ts_ns in (july - 1, july)] == [120, 90]
    (told,) = complaints(tmp_path, WHOLE + "rules: elsewhere\n")
    assert told.startswith("gridfuse.yaml:4: ")
    assert "there is no rule set 'elsewhere'; there are gd-2023-draft, southern-2025" in told
    (told,) = complaints(tmp_path, WHOLE + "rules: rules.yaml\nmarket: {rt_limit_min: 60}\n")
    assert told.startswith("gridfuse.yaml:5: the rules are those of rules.yaml")
