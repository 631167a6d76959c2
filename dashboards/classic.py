"""How is a board written for Grafana?

As classic dashboard JSON, which Grafana 10 to 13 load from files; one file per language, the same panels under the same numbers in both.

What must not depend on the viewer's machine is fixed: the time zone is the market's, and no colour is left to Grafana's default
palettes, which have green and red for what is neither good nor bad.

Deliberately absent: pushing through Grafana's API (files are provisioned), and where the files lie (:mod:`dashboards.build`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final

from dashboards.board import EVENT_MARKS, Board, Level, Variable
from dashboards.codes import codes_of
from dashboards.elements import GREY, UNITS, Drill, Look, Mark, Panel, PanelKind, Query, Step, Text
from dashboards.influxql import named
from streams.measurements import MEASUREMENTS

__all__ = ["render", "said"]

_SCHEMA_VERSION: Final = 39
_BLUE: Final = "#7EB0E8"
_DATASOURCE: Final = {"type": "influxdb", "uid": "${datasource}"}

_DATASOURCE_LABEL: Final = Text("Data source", "数据源")
_OTHER_LANGUAGE: Final = Text("中文", "English")
_ALL: Final = Text("All", "全部")
_LEVEL_LINKS: Final = {
    Level.WALL: Text("L1 Wall", "L1 大屏"),
    Level.TASK: Text("L2 Tasks", "L2 业务"),
    Level.DETAIL: Text("L3 Details", "L3 明细"),
    Level.SUPPORT: Text("L4 Support", "L4 运维"),
}
_DETAILS: Final = Text("More: ", "详见：")


def said(text: Text, language: str) -> str:
    """Return a text in ``zh`` or ``en``."""
    return text.zh if language == "zh" else text.en


def render(board: Board, language: str, boards: Sequence[Board]) -> dict[str, Any]:
    """Return a board in ``zh`` or ``en`` as Grafana's classic dashboard.

    Args:
        boards: all there are; links are named after where they lead.

    Raises:
        KeyError: a link or a panel leads to a board that is not there.
    """
    titles = {each.uid: each.title for each in boards}
    levels = [level for level in Level if any(each.level is level for each in boards)]
    return {
        "uid": f"{board.uid}-{language}",
        "title": f"{board.level} {said(board.title, language)}",
        "description": said(board.question, language),
        "tags": ["gridfuse", board.level.value, language],
        "schemaVersion": _SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "Asia/Shanghai",
        "weekStart": "monday",
        "refresh": "5s",
        "time": {"from": board.shown, "to": "now"},
        "links": _links(board, language, titles, levels),
        "annotations": {"list": [_annotation(language)]},
        "templating": {"list": _variables(board.variables, language)},
        "panels": [_panel(panel, language, titles) for panel in board.panels],
    }


def _links(board: Board, language: str, titles: dict[str, Text], levels: Sequence[Level]) -> list[dict[str, Any]]:
    """Lead to the other language, to the boards that come next, and by tag to all boards of each level."""
    other = "en" if language == "zh" else "zh"
    written: list[tuple[str, str, list[str]]] = [(said(_OTHER_LANGUAGE, language), f"/d/{board.uid}-{other}", [])]
    written += [(said(titles[uid], language), f"/d/{uid}-{language}", []) for uid in board.links]
    written += [(said(_LEVEL_LINKS[level], language), "", ["gridfuse", level.value, language]) for level in levels]
    return [
        {
            "type": "link" if url else "dashboards",
            "title": title,
            "url": url,
            "tags": tags,
            "asDropdown": bool(tags),
            "icon": "external link",
            "tooltip": "",
            "targetBlank": False,
            "keepTime": True,
            "includeVars": True,
        }
        for title, url, tags in written
    ]


def _annotation(language: str) -> dict[str, Any]:
    asked = {"query": EVENT_MARKS.influxql, "textColumn": f"text_{language}", "tagsColumn": "segment"}
    # The query stands in the target, where Grafana 10 and later look for it.
    target = {"refId": "Anno", "queryType": "tags", "fromAnnotations": True, "rawQuery": True, **asked}
    return {
        "name": said(EVENT_MARKS.label, language),
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": GREY,
        **asked,
        "target": target,
    }


def _variables(variables: tuple[Variable, ...], language: str) -> list[dict[str, Any]]:
    chosen = [
        {
            "name": variable.name,
            "label": said(variable.label, language),
            "type": "query",
            "datasource": _DATASOURCE,
            "query": variable.influxql,
            "multi": not variable.one,
            "includeAll": not variable.one,
            **({} if variable.one else {"allValue": ".*", "current": {"text": said(_ALL, language), "value": "$__all"}}),
            # On every change of the time shown: areas come and go with their data.
            "refresh": 2,
            "sort": 1,
        }
        for variable in variables
    ]
    return [{"name": "datasource", "label": said(_DATASOURCE_LABEL, language), "type": "datasource", "query": "influxdb"}, *chosen]


def _panel(panel: Panel, language: str, titles: dict[str, Text]) -> dict[str, Any]:
    x, y, width, height = panel.at
    defaults = _defaults(panel, language)
    written: dict[str, Any] = {
        "id": panel.number,
        "type": panel.kind.value,
        "title": said(panel.title, language),
        "description": said(panel.description, language),
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": height},
        "targets": [_target(panel, query, _ref_id(i), language) for i, query in enumerate(panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel, language)},
        "options": _options(panel, language),
    }
    if panel.least_step:
        written["interval"] = panel.least_step
    if panel.span:
        written["timeFrom"] = panel.span
    if ordered_by := panel.highest or panel.lowest:
        written["transformations"] = [{"id": "sortBy", "options": {"sort": [{"field": ordered_by, "desc": bool(panel.highest)}]}}]
    if panel.drill is not None:
        defaults["links"] = [_drill(panel.drill, panel.kind, language, titles)]
        written["links"] = [_drill(Drill(panel.drill.to), panel.kind, language, titles)]
    return written


def _drill(drill: Drill, kind: PanelKind, language: str, titles: dict[str, Text]) -> dict[str, Any]:
    """Lead to the board that says more: from a panel with what is chosen here, from a value with what that value is of."""
    url = f"/d/{drill.to}-{language}?${{__url_time_range}}&" + ("${datasource:queryparam}" if drill.variables else "${__all_variables}")
    for variable, name in drill.variables.items():
        url += f"&var-{variable}=" + (f'${{__data.fields["{name}"]}}' if kind is PanelKind.TABLE else f"${{__field.labels.{name}}}")
    return {"title": said(_DETAILS, language) + said(titles[drill.to], language), "url": url, "targetBlank": False}


def _ref_id(number: int) -> str:
    return chr(ord("A") + number)


def _target(panel: Panel, query: Query, ref_id: str, language: str) -> dict[str, Any]:
    as_table = panel.kind is PanelKind.TABLE or panel.columns or (panel.kind is PanelKind.STAT and panel.unit in _SHOWN_COLUMN)
    return {
        "refId": ref_id,
        "datasource": _DATASOURCE,
        "rawQuery": True,
        "query": query.influxql,
        "resultFormat": "table" if as_table else "time_series",
        "alias": said(query.label, language) or said(panel.title, language),
    }


def _defaults(panel: Panel, language: str) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "unit": UNITS[panel.unit],
        "color": {"mode": "thresholds"},
        "thresholds": _thresholds(panel.steps),
        "mappings": [_mapping(panel.marks, language)] if panel.marks else [],
        "noValue": "–",
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.limits is not None:
        defaults["min"], defaults["max"] = panel.limits
    if panel.kind in (PanelKind.STATE_TIMELINE, PanelKind.STATUS_HISTORY):
        defaults["custom"] = {"lineWidth": 0, "fillOpacity": 80}
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


def _thresholds(steps: Sequence[Step]) -> dict[str, Any]:
    return {"mode": "absolute", "steps": [{"value": step.value, "color": step.colour} for step in steps]}


def _mapping(marks: tuple[Mark, ...], language: str) -> dict[str, Any]:
    states = {mark.state: {"text": said(mark.text, language), "color": mark.colour, "index": index} for index, mark in enumerate(marks)}
    return {"type": "value", "options": states}


def _overrides(panel: Panel, language: str) -> list[dict[str, Any]]:
    """Name a table's columns, give each its unit, and hide the text of the other language."""
    other = "_en" if language == "zh" else "_zh"
    overrides = []
    for name, title in panel.columns.items():
        properties: list[dict[str, Any]] = [{"id": "displayName", "value": said(title, language)}]
        if name.endswith(other) or name in panel.hidden:
            properties.append({"id": "custom.hidden", "value": True})
        if unit := panel.shown_as.get(name) or _COLUMN_UNITS.get(name):
            properties.append({"id": "unit", "value": UNITS[unit]})
        if name == "Time":
            properties.append({"id": "custom.width", "value": 170})
        if names := _codes(panel, name):
            properties.append({"id": "mappings", "value": [_names(names, language)]})
        overrides.append({"matcher": {"id": "byName", "options": name}, "properties": properties})
    overrides += _series_overrides(panel, language)
    for number, query in enumerate(panel.queries):
        own: list[dict[str, Any]] = [{"id": "unit", "value": UNITS[query.unit]}] if query.unit is not None else []
        if query.steps:
            own.append({"id": "thresholds", "value": _thresholds(query.steps)})
        if query.source is not None and (names := codes_of(query.source.measurement, query.source.field)):
            own.append({"id": "mappings", "value": [_names(names, language)]})
        if own:
            overrides.append({"matcher": {"id": "byFrameRefID", "options": _ref_id(number)}, "properties": own})
    for name in panel.coloured:
        # Only the cell that tells the state is coloured, and only its text.
        style = {"id": "custom.cellOptions", "value": {"type": "color-text"}}
        overrides.append({"matcher": {"id": "byName", "options": name}, "properties": [style]})
    for pattern, look in panel.looks.items():
        overrides.append({"matcher": {"id": "byRegexp", "options": pattern}, "properties": _look(look, language)})
    return overrides


def _codes(panel: Panel, column: str) -> Mapping[str, Text]:
    """Return the names of the codes in a column; its marks, where it is a state, say more."""
    read = {measurement for query in panel.queries for measurement in named(query.influxql)[0]}
    found = [codes_of(measurement, column) for measurement in sorted(read)]
    return next((names for names in found if names and not (panel.marks and column in panel.coloured)), {})


def _series_overrides(panel: Panel, language: str) -> list[dict[str, Any]]:
    """Name the series that are called after a code."""
    called = {
        code: text
        for query in panel.queries
        if query.source is not None and query.source.by
        for code, text in codes_of(query.source.measurement, query.source.by).items()
    }
    return [
        {"matcher": {"id": "byName", "options": code}, "properties": [{"id": "displayName", "value": said(text, language)}]}
        for code, text in called.items()
    ]


def _names(names: Mapping[str, Text], language: str) -> dict[str, Any]:
    options = {code: {"text": said(text, language), "index": index} for index, (code, text) in enumerate(names.items())}
    return {"type": "value", "options": options}


def _look(look: Look, language: str) -> list[dict[str, Any]]:
    properties: list[dict[str, Any]] = [
        {"id": "unit", "value": UNITS[look.unit]},
        {"id": "mappings", "value": [_mapping(look.marks, language)] if look.marks else []},
    ]
    if look.limits is not None:
        properties += [{"id": "min", "value": look.limits[0]}, {"id": "max", "value": look.limits[1]}]
    return properties


_COLUMN_UNITS: Final = {field.name: field.unit for measurement in MEASUREMENTS for field in measurement.fields if field.unit}


_SHOWN_COLUMN: Final = {"text": "last", "age": "Time"}
"""Grafana's stat shows numbers unless it is told which column; these units are of a column that is none."""


def _options(panel: Panel, language: str) -> dict[str, Any]:
    shown = f"/^{_SHOWN_COLUMN[panel.unit]}$/" if panel.unit in _SHOWN_COLUMN else ""
    last = {"calcs": ["lastNotNull"], "fields": shown, "values": False}
    match panel.kind:
        case PanelKind.STAT:
            # Several numbers are told apart by their names.
            named = "value_and_name" if len(panel.queries) > 1 else "value"
            return {"reduceOptions": last, "colorMode": "value", "graphMode": "area" if panel.sparkline else "none", "textMode": named}
        case PanelKind.BAR_GAUGE:
            if panel.columns:
                # A bar for each row, named by its one column of words.
                last = {"calcs": [], "fields": "", "values": True, "limit": 50}
            return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "basic", "showUnfilled": True}
        case PanelKind.STATE_TIMELINE:
            return {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}}
        case PanelKind.STATUS_HISTORY:
            return {"showValue": "never", "rowHeight": 0.9, "colWidth": 0.9, "legend": {"showLegend": False}}
        case PanelKind.HEATMAP:
            return _heatmap(panel)
        case PanelKind.CANVAS:
            return deepcopy(_drawn(panel.drawing, language)) if panel.drawing else {}
        case PanelKind.TEXT:
            return {"mode": "markdown", "content": said(panel.words, language)}
        case PanelKind.TIME_SERIES:
            legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
            return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        case PanelKind.TABLE:
            return {"showHeader": True, "cellHeight": "sm"}


@lru_cache(maxsize=8)
def _drawn(drawing: Callable[[str], dict[str, Any]], language: str) -> dict[str, Any]:
    """Draw once: a drawing takes longer than all the boards together."""
    return drawing(language)


def _heatmap(panel: Panel) -> dict[str, Any]:
    """A row for each series, the more of one blue the higher the value."""
    shade = {"mode": "opacity", "fill": _BLUE, "scale": "linear", "exponent": 1}
    if panel.limits is not None:
        shade |= {"min": panel.limits[0], "max": panel.limits[1]}
    return {
        "calculate": False,
        "color": shade,
        "cellGap": 1,
        "showValue": "never",
        # Grafana hides what is not above zero unless it is told another limit; a price may be.
        "filterValues": {"le": -1e9},
        "cellValues": {"unit": UNITS[panel.unit], "decimals": panel.decimals},
        "yAxis": {"axisPlacement": "left"},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "showColorScale": True},
    }
