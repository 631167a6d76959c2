"""``gridfuse ingest read`` against a server that nobody here wrote."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from console.ingest import register
from tests.kit.field import free_port
from tests.kit.libmodbus import libmodbus_server

pytestmark = pytest.mark.integration

LIST = """
maps:
  m:
    every: 1m
    points:
      unit/{device}/mw: {reg: holding 0, type: float32, unit: MW}
      bus/{device}/kv: {reg: holding 120, scale: 0.1, offset: 10, unit: kV}
      switch/{device}/to: {reg: holding 121, values: {0: 1, 3: 2}, labels: {1: open, 2: closed}}
  more:
    every: 1m
    points:
      load/{device}/mw: {reg: holding 125, unit: MW}
devices:
- {name: a, area: 1, url: "modbus+tcp://127.0.0.1:PORT", map: m}
"""


def test_every_point_is_read_once(tmp_path: Path) -> None:
    app, config = typer.Typer(), tmp_path / "points.yaml"
    register(app)

    def read(*options: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["ingest", "read", "--config", str(config), *options])
        return result.exit_code, result.stdout

    with libmodbus_server("bandwidth-server-many-up", tmp_path) as (port, _):
        config.write_text(LIST.replace("PORT", str(port)))
        code, text = read("--json")
        readings = json.loads(text)
        assert code == 0
        assert [(r["point"], r["value"], r["unit"], r["quality"], r["label"]) for r in readings] == [
            ("unit/a/mw", 0.0, "MW", "Good", ""),
            ("bus/a/kv", 10.0, "kV", "Good", ""),
            ("switch/a/to", 1.0, "", "Good", "open"),
        ]
        assert all(0 <= reading["age_s"] < 60 for reading in readings)
        code, text = read()
        assert code == 0
        assert text.splitlines()[-1] == "3 of 3 points good"
        assert any(line.split()[:4] == ["switch/a/to", "a", "1", "open"] for line in text.splitlines())

        more = f'- {{name: b, area: 1, url: "modbus+tcp://127.0.0.1:{port}", map: more}}\n'
        away = f'- {{name: c, area: 1, url: "modbus+tcp://127.0.0.1:{free_port()}", map: more}}\n'
        mute = f'- {{name: d, area: 1, url: "modbus+listen://127.0.0.1:{free_port()}", map: more}}\n'
        config.write_text(config.read_text() + more + away + mute)
        begin = time.monotonic()
        code, text = read("--json", "--within", "2")
        assert time.monotonic() - begin < 20
        assert code == 1
        assert {reading["point"]: (reading["value"], reading["quality"]) for reading in json.loads(text)} == {
            "unit/a/mw": (0.0, "Good"),
            "switch/a/to": (1.0, "Good"),
            "bus/a/kv": (10.0, "Good"),
            "load/b/mw": (None, "Bad_ConfigurationError"),
            "load/c/mw": (None, "Bad_NoCommunication"),
            "load/d/mw": (None, "Bad_WaitingForInitialData"),
        }
