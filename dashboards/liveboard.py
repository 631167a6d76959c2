"""What may the live board draw of the registry?

Panels whose queries come in parts (:mod:`dashboards.livequeries`) instead of InfluxQL: the live board has the records themselves. Titles,
units, colours and marks are those Grafana shows, so one figure has one name everywhere.

Deliberately absent: how they are drawn (``console/board/static``).
"""

from __future__ import annotations

from typing import Any, Final

from dashboards.board import Board
from dashboards.elements import Panel, PanelKind, Query, Step, Text
from dashboards.livequeries import parts_of
from streams.measurements import MEASUREMENTS, TELEMETRY, TELEMETRY_1M

__all__ = ["drawable", "panels_of"]

_DRAWN: Final = frozenset(PanelKind) - {PanelKind.CANVAS, PanelKind.TEXT}
_UNTOLD: Final = frozenset({TELEMETRY.name, TELEMETRY_1M.name})
"""Every value of every point is on the board's page of points, and its past is for Grafana."""
_UNITS: Final = {field.name: field.unit for measurement in MEASUREMENTS for field in measurement.fields}


def drawable(panel: Panel) -> bool:
    """Return whether every query of a panel is in parts, of what the live board is told, and its kind is one it has."""
    parts = [parts_of(query) for query in panel.queries]
    return panel.kind in _DRAWN and all(part is not None and part["measurement"] not in _UNTOLD for part in parts)


def panels_of(boards: tuple[Board, ...]) -> dict[str, Any]:
    """Return what ``panels.json`` holds: the boards by uid, each with its panels."""
    return {
        "boards": [
            {
                "uid": board.uid,
                "level": board.level.value,
                "title": _both(board.title),
                "question": _both(board.question),
                "panels": [_panel(panel) for panel in board.panels if drawable(panel)],
            }
            for board in boards
        ]
    }


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "id": panel.number,
        "kind": panel.kind.value,
        "title": _both(panel.title),
        "description": _both(panel.description),
        "unit": panel.unit,
        "decimals": panel.decimals,
        "at": list(panel.at),
        "steps": _steps(panel.steps),
        "marks": [{"state": mark.state, "text": _both(mark.text), "colour": mark.colour} for mark in panel.marks],
        "limits": None if panel.limits is None else list(panel.limits),
        "stepped": panel.stepped,
        "stacked": panel.stacked,
        "sparkline": panel.sparkline,
        "step_s": _seconds(panel.least_step),
        "columns": [
            {"name": name, "title": _both(title), "unit": _UNITS.get(name, "")} for name, title in panel.columns.items() if name != "Time"
        ],
        "series": [_series(query) for query in panel.queries],
    }


def _series(query: Query) -> dict[str, Any]:
    parts = parts_of(query)
    assert parts is not None, "only panels that are drawable are written"
    own = {"unit": query.unit, "steps": _steps(query.steps), "zero": "fill(0)" in query.influxql}
    return {"label": _both(query.label), **parts, **own}


def _seconds(step: str) -> int:
    """Return Grafana's ``5m`` in seconds, 0 for none."""
    return int(step[:-1]) * {"s": 1, "m": 60, "h": 3600}[step[-1]] if step else 0


def _steps(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    return [{"from": step.value, "colour": step.colour} for step in steps]
