"""How does the registry become files that Grafana loads?

Rendered to classic dashboard JSON, which Grafana 10 to 13 load from files; one directory per language, the same panels under the same
numbers in both. Files are never edited by hand: ``python -m dashboards.build --check`` fails where a file is not what the registry
gives.

What must not depend on the viewer's machine is fixed: the time zone is the market's, and no colour is left to Grafana's default
palettes, which have green and red for what is neither good nor bad.

Deliberately absent: pushing through Grafana's API; files are provisioned.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from dashboards.elements import GREY, UNITS, Panel, PanelKind, Query, Text
from dashboards.panels import AREA_VALUES, EVENT_MARKS, PANELS
from streams.measurements import MEASUREMENTS

__all__ = ["LANGUAGES", "check", "files", "main", "render"]

LANGUAGES: Final = ("zh", "en")
_ROOT: Final = Path(__file__).parent / "grafana" / "json"
_UID: Final = "gridfuse-overview"
_SCHEMA_VERSION: Final = 39
_BLUE: Final = "#7EB0E8"
_DATASOURCE: Final = {"type": "influxdb", "uid": "${datasource}"}

_TITLE: Final = Text("Market, breaker and grid", "市场、熔断与电网总览")
_DATASOURCE_LABEL: Final = Text("Data source", "数据源")
_AREA_LABEL: Final = Text("Area", "区域")
_OTHER_LANGUAGE: Final = Text("中文", "English")


def _in(text: Text, language: str) -> str:
    return text.zh if language == "zh" else text.en


def render(language: str) -> dict[str, Any]:
    """Return the overview in ``zh`` or ``en`` as Grafana's classic dashboard."""
    other = "en" if language == "zh" else "zh"
    return {
        "uid": f"{_UID}-{language}",
        "title": _in(_TITLE, language),
        "tags": ["gridfuse", "L1", language],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "Asia/Shanghai",
        "weekStart": "monday",
        "refresh": "5s",
        "time": {"from": "now-6h", "to": "now"},
        "links": [{"type": "link", "title": _in(_OTHER_LANGUAGE, language), "url": f"/d/{_UID}-{other}", "keepTime": True}],
        "annotations": {"list": [_annotation(language)]},
        "templating": {"list": _variables(language)},
        "panels": [_panel(panel, language) for panel in PANELS],
    }


def _annotation(language: str) -> dict[str, Any]:
    return {
        "name": _in(EVENT_MARKS.label, language),
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": GREY,
        "query": EVENT_MARKS.influxql,
        "textColumn": f"text_{language}",
        "tagsColumn": "segment",
    }


def _variables(language: str) -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": _in(_DATASOURCE_LABEL, language), "type": "datasource", "query": "influxdb"},
        {
            "name": "area",
            "label": _in(_AREA_LABEL, language),
            "type": "query",
            "datasource": _DATASOURCE,
            "query": AREA_VALUES,
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
            # On every change of the time shown: areas come and go with their data.
            "refresh": 2,
            "sort": 1,
        },
    ]


def _panel(panel: Panel, language: str) -> dict[str, Any]:
    x, y, width, height = panel.at
    return {
        "id": panel.number,
        "type": panel.kind.value,
        "title": _in(panel.title, language),
        "description": _in(panel.description, language),
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "targets": [_target(panel, query, chr(ord("A") + i), language) for i, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": _defaults(panel, language), "overrides": _overrides(panel, language)},
        "options": _options(panel),
    }


def _target(panel: Panel, query: Query, ref_id: str, language: str) -> dict[str, Any]:
    as_table = panel.kind is PanelKind.TABLE or (panel.kind is PanelKind.STAT and panel.unit in _SHOWN_COLUMN)
    return {
        "refId": ref_id,
        "datasource": _DATASOURCE,
        "rawQuery": True,
        "query": query.influxql,
        "resultFormat": "table" if as_table else "time_series",
        "alias": _in(query.label, language) or _in(panel.title, language),
    }


def _defaults(panel: Panel, language: str) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": UNITS[panel.unit],
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": step.value, "color": step.colour} for step in panel.steps]},
        "mappings": [_mapping(panel, language)] if panel.marks else [],
        "noValue": "–",
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.limits is not None:
        defaults["min"], defaults["max"] = panel.limits
    if panel.kind is PanelKind.TIME_SERIES:
        defaults["color"] = {"mode": "shades", "fixedColor": _BLUE}
        defaults["custom"] = {
            "lineInterpolation": "stepAfter" if panel.stepped else "linear",
            "lineWidth": 1,
            "fillOpacity": 40 if panel.stacked else 0,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "showPoints": "never",
            # A gap is shown as a gap: nothing was measured there.
            "spanNulls": False,
            "thresholdsStyle": {"mode": "line" if len(panel.steps) > 1 else "off"},
        }
    return defaults


def _mapping(panel: Panel, language: str) -> dict[str, Any]:
    states = {
        mark.state: {"text": _in(mark.text, language), "color": mark.colour, "index": index} for index, mark in enumerate(panel.marks)
    }
    return {"type": "value", "options": states}


def _overrides(panel: Panel, language: str) -> list[dict[str, Any]]:
    """Name a table's columns, give each its unit, and hide the text of the other language."""
    hidden = "text_en" if language == "zh" else "text_zh"
    overrides = []
    for name, title in panel.columns.items():
        properties: list[dict[str, Any]] = [{"id": "displayName", "value": _in(title, language)}]
        if name == hidden:
            properties.append({"id": "custom.hidden", "value": True})
        if unit := _COLUMN_UNITS.get(name):
            properties.append({"id": "unit", "value": UNITS[unit]})
        if name == "Time":
            properties.append({"id": "custom.width", "value": 170})
        overrides.append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    coloured = {"state", "priority"} if panel.marks else {"top"}
    for name in sorted(coloured & set(panel.columns)):
        # Only the cell that tells the state is coloured, and only its text.
        style = {"id": "custom.cellOptions", "value": {"type": "color-text"}}
        overrides.append({"matcher": {"id": "byName", "options": name}, "properties": [style]})
    return overrides


_COLUMN_UNITS: Final = {field.name: field.unit for measurement in MEASUREMENTS for field in measurement.fields if field.unit}


_SHOWN_COLUMN: Final = {"text": "last", "age": "Time"}
"""Grafana's stat shows numbers unless it is told which column; these units are of a column that is none."""


def _options(panel: Panel) -> dict[str, Any]:
    shown = f"/^{_SHOWN_COLUMN[panel.unit]}$/" if panel.unit in _SHOWN_COLUMN else ""
    last = {"calcs": ["lastNotNull"], "fields": shown, "values": False}
    match panel.kind:
        case PanelKind.STAT:
            return {"reduceOptions": last, "colorMode": "value", "graphMode": "area" if panel.sparkline else "none", "textMode": "value"}
        case PanelKind.BAR_GAUGE:
            return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True}
        case PanelKind.STATE_TIMELINE:
            return {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}}
        case PanelKind.TIME_SERIES:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case PanelKind.TABLE:
            return {"showHeader": True, "cellHeight": "sm"}


def files() -> dict[Path, str]:
    """Return what every file should hold, by path."""
    return {_ROOT / language / "overview.json": json.dumps(render(language), ensure_ascii=False, indent=2) + "\n" for language in LANGUAGES}


def check() -> list[Path]:
    """Return the files that are not what the registry gives."""
    return [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def main(arguments: list[str] | None = None) -> int:
    """Write the files, or with ``--check`` only compare them; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.build", description="Render the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is not current")
    if parser.parse_args(arguments).check:
        stale = check()
        for path in stale:
            sys.stderr.write(f"{path} is not current; run: gridfuse dashboards build\n")
        return 1 if stale else 0
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
