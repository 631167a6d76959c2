"""Does a rendered board keep the rules of a control room's display, and will Grafana and every InfluxDB take it?

The rules look at the JSON that Grafana loads, not at the registry, so nothing the renderer does escapes them. Each fault names board,
panel and remedy. Rules of the time shown, of units and of colours come from ISA-101 practice and from what went wrong elsewhere: a
``mwatt`` is a milliwatt, ``currencyCNY`` does not exist, and a default palette says "good" in green.

Deliberately absent: whether a query is answered, which a server says (``tests/integration/test_dashboards.py``).
"""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

from dashboards.influxql import named, query_faults, variables
from streams.measurements import MEASUREMENTS

__all__ = ["MOST_WALL_PANELS", "board_faults", "link_faults", "pair_faults"]

Rendered = Mapping[str, Any]

_UNITS: Final = frozenset({"none", "percent", "hertz", "kvolt", "s", "ms", "m", "dthms", "dateTimeFromNow", "string", "bytes"})
"""Ids of @grafana/data 13.2.3, looked up in its table of formats; ``suffix:`` is its form for any other unit."""

_COURSES: Final = frozenset({"timeseries", "state-timeline", "status-history", "heatmap"})
_COLOUR_MODES: Final = frozenset({"thresholds", "shades", "fixed"})
_MARKS: Final = "○△◇◆■▷×"
_FIXED: Final = {"timezone": "Asia/Shanghai", "editable": False, "weekStart": "monday", "graphTooltip": 1, "schemaVersion": 39}

MOST_WALL_PANELS: Final = 12
_WALL_ROWS: Final = 27
"""Rows of the grid, 38 pixels each, that a screen of 1,080 pixels shows without scrolling."""

_CHOSEN_SOURCE: Final = {"type": "influxdb", "uid": "${datasource}"}
_CHINESE: Final = re.compile(r"[\u4e00-\u9fff]")
_KNOWN: Final = {m.name: {tag.name for tag in m.tags} | {field.name for field in m.fields} for m in MEASUREMENTS}


def board_faults(board: Rendered) -> list[str]:
    """Return the faults of one board, each with where it is."""
    faults = [f"{name} is not {value!r}" for name, value in _FIXED.items() if board.get(name) != value]
    faults += [f"has no {name}" for name in ("uid", "title", "description", "refresh") if not board.get(name)]
    faults += [*_variable_faults(board), *_annotation_faults(board), *_layout_faults(board), *_colour_faults(board)]
    for panel in board["panels"]:
        faults += [f"panel {panel.get('id')} {panel.get('title')!r}: {fault}" for fault in _panel_faults(panel)]
    return [f"{board.get('uid')}: {fault}" for fault in faults]


def _panel_faults(panel: Rendered) -> Iterator[str]:
    if not panel.get("title") or not panel.get("description"):
        yield "needs a title and a description"
    yield from _unit_faults(panel)
    yield from _mapping_faults(panel)
    defaults = panel["fieldConfig"]["defaults"]
    if defaults.get("noValue") != "–":
        yield "shows something else than – where there is no value"
    steps = [step["value"] for step in defaults.get("thresholds", {}).get("steps", ())]
    if steps[:1] != [None] or steps[1:] != sorted(steps[1:]):
        yield "its thresholds do not ascend from minus infinity"
    if panel["datasource"] != _CHOSEN_SOURCE:
        yield "reads from another source than the one chosen"
    if panel["type"] == "text":
        return
    ids = [target.get("refId") for target in panel["targets"]]
    if not ids or None in ids or len(set(ids)) != len(ids):
        yield "needs queries, each with a reference of its own"
    for target in panel["targets"]:
        yield from _target_faults(target, panel)


def _target_faults(target: Rendered, panel: Rendered) -> Iterator[str]:
    query = target.get("query", "")
    if not query:
        yield "has an empty query"
        return
    if target["datasource"] != panel["datasource"] or target.get("rawQuery") is not True:
        yield "a query is not written out, or reads from another source"
    if query.count("SELECT ") != query.count("$timeFilter"):
        yield f"a part of a query is not of the time shown: {query}"
    if panel["type"] in _COURSES and "GROUP BY time($__interval)" not in query:
        yield f"a course without GROUP BY time($__interval): {query}"
    for fault in query_faults(query):
        yield f"{fault}: {query}"
    read, names, _ = named(query)
    for unknown in sorted(read - set(_KNOWN)):
        yield f"no measurement {unknown}"
    known = set().union(*(_KNOWN.get(measurement, set()) for measurement in read))
    if missing := sorted(names - known):
        yield f"{', '.join(sorted(read))} has no {', '.join(missing)}"


def _units_of(panel: Rendered) -> Iterator[str]:
    yield panel["fieldConfig"]["defaults"].get("unit", "")
    for override in panel["fieldConfig"]["overrides"]:
        yield from (setting["value"] for setting in override["properties"] if setting["id"] == "unit")


def _unit_faults(panel: Rendered) -> Iterator[str]:
    for unit in _units_of(panel):
        if unit in {"currencyCNY", "mwatt"}:
            yield f"unit {unit} is not what it looks like; use a suffix"
        elif unit not in _UNITS and not re.fullmatch(r"suffix:\S+", unit):
            yield f"Grafana has no unit {unit!r}"


def _mapping_faults(panel: Rendered) -> Iterator[str]:
    """A state is told by a mark and a word, and only then by its colour."""
    for mapping in panel["fieldConfig"]["defaults"].get("mappings", ()):
        texts = [state["text"] for state in mapping["options"].values()]
        if len(set(texts)) != len(texts) or any(text[0] not in _MARKS for text in texts):
            yield f"states are told apart by colour alone: {', '.join(texts)}"


def _variable_faults(board: Rendered) -> Iterator[str]:
    declared = {variable["name"]: variable for variable in board["templating"]["list"]}
    if declared.get("datasource", {}).get("type") != "datasource":
        yield "has no variable datasource"
    queries = [target["query"] for panel in board["panels"] for target in panel["targets"]]
    for name, variable in declared.items():
        if variable["type"] == "query":
            queries.append(variable["query"])
            if variable.get("datasource") != _CHOSEN_SOURCE:
                yield f"${name} reads from another source than the one chosen"
            if variable.get("refresh") != 2 or (variable.get("includeAll") is not False and variable.get("allValue") != ".*"):
                yield f"${name} is not read again when the time shown changes, or has no value for all"
            for fault in query_faults(variable["query"]):
                yield f"${name}: {fault}"
    used = set().union(*map(variables, queries))
    for name in sorted(used - set(declared)):
        yield f"${name} is used and not declared"
    for name in sorted(set(declared) - used - {"datasource"}):
        yield f"${name} is declared and not used"


def _annotation_faults(board: Rendered) -> Iterator[str]:
    """Marks over the courses come from our own events: those in Grafana's database are lost with it."""
    for mark in board["annotations"]["list"]:
        if mark.get("datasource") != _CHOSEN_SOURCE:
            yield f"{mark['name']!r} reads from another source than the one chosen"
        if mark["query"] != mark["target"]["query"] or "$timeFilter" not in mark["query"] or query_faults(mark["query"]):
            yield f"{mark['name']!r} asks in a way that is not portable, not of the time shown, or not the same in both places"


def _layout_faults(board: Rendered) -> Iterator[str]:
    panels = board["panels"]
    ids = [panel.get("id") for panel in panels]
    if len(set(ids)) != len(ids):
        yield "two panels have one number"
    # A number and its course may be called alike; two numbers may not.
    called = [(panel["title"], panel["type"]) for panel in panels]
    for title, kind in sorted({each for each in called if called.count(each) > 1}):
        yield f"two panels of kind {kind} are called {title!r}"
    places = [(panel["title"], panel["gridPos"]) for panel in panels]
    for title, at in places:
        if at["x"] < 0 or at["y"] < 0 or at["w"] < 1 or at["h"] < 1 or at["x"] + at["w"] > 24:
            yield f"{title!r} lies beyond the 24 columns"
    for (title, one), (other_title, other) in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        if not beside and one["y"] < other["y"] + other["h"] and other["y"] < one["y"] + one["h"]:
            yield f"{title!r} overlaps {other_title!r}"
    if "L1" in board["tags"]:
        if len(panels) > MOST_WALL_PANELS:
            yield f"has {len(panels)} panels; a wall is read at a glance with {MOST_WALL_PANELS}"
        if max(at["y"] + at["h"] for _, at in places) > _WALL_ROWS:
            yield f"is higher than a screen ({_WALL_ROWS} rows), and nobody scrolls a wall"


def _colour_faults(board: Rendered) -> Iterator[str]:
    """Grey is normal: no green by name, by palette or by hue."""
    text = json.dumps(board, ensure_ascii=False)
    for word in ("green", "palette-classic", "continuous-", "Spectral", "RdYlGn"):
        if word in text:
            yield f"has a colour that says good: {word}"
    for colour in sorted(set(re.findall(r"#[0-9A-Fa-f]{6}", text))):
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        hue, _, saturation = colorsys.rgb_to_hls(red, green, blue)
        if saturation >= 0.2 and 75 <= hue * 360 <= 170:
            yield f"has a colour that says good: {colour}"
    for panel in board["panels"]:
        mode = panel["fieldConfig"]["defaults"].get("color", {}).get("mode")
        if mode not in _COLOUR_MODES:
            yield f"{panel['title']!r} takes its colours from a palette of Grafana's: {mode}"


def link_faults(boards: Mapping[str, Rendered]) -> list[str]:
    """Return the links of all boards, by uid, that lead to no board, or hand on what the board there does not take."""
    taken = {uid: {variable["name"] for variable in board["templating"]["list"]} for uid, board in boards.items()}
    tags = [set(board["tags"]) for board in boards.values()]
    faults: list[str] = []
    for uid, board in boards.items():
        nowhere = [link["tags"] for link in board["links"] if link["tags"] and not any(set(link["tags"]) <= there for there in tags)]
        faults += [f"{uid}: no board has the tags {', '.join(wanted)}" for wanted in nowhere]
        for url in _urls(board):
            to = url.removeprefix("/d/").split("?")[0]
            if to not in taken:
                faults.append(f"{uid}: leads to {to}, which is not there")
            elif lost := sorted(set(re.findall(r"[?&]var-(\w+)=", url)) - taken[to]):
                faults.append(f"{uid}: hands {', '.join(lost)} to {to}, which takes none")
    return faults


def _urls(board: Rendered) -> Iterator[str]:
    yield from (link["url"] for link in board["links"] if link["type"] == "link")
    for panel in board["panels"]:
        yield from (link["url"] for link in panel.get("links", ()))
        yield from (link["url"] for link in panel["fieldConfig"]["defaults"].get("links", ()))


def pair_faults(zh: Rendered, en: Rendered) -> list[str]:
    """Return where the two languages of one board differ in more than words, or where a word falls back to the other language."""
    faults: list[str] = []
    if zh["uid"].removesuffix("-zh") != en["uid"].removesuffix("-en") or zh["uid"] == en["uid"]:
        faults.append("uids do not differ by language alone")
    if _bones(zh) != _bones(en):
        faults.append("numbers, kinds, places or queries of panels differ between the languages")
    words_zh, words_en = list(_words(zh)), list(_words(en))
    if len(words_zh) != len(words_en):
        return [f"{zh['uid']}: {fault}" for fault in (*faults, "one language has more words than the other")]
    for chinese, english in zip(words_zh, words_en, strict=True):
        if _CHINESE.search(english):
            faults.append(f"English falls back to Chinese: {english}")
        if not _CHINESE.search(chinese) and not (chinese == english and chinese.upper() == english):
            faults.append(f"Chinese falls back to English: {chinese}")
    return [f"{zh['uid']}: {fault}" for fault in faults]


def _bones(board: Rendered) -> list[Any]:
    return [(p["id"], p["type"], p["gridPos"], [target["query"] for target in p["targets"]]) for p in board["panels"]]


def _words(board: Rendered) -> Iterator[str]:
    """Every text of a board that people read, in order; names that come from the data (``$tag_…``) are of no language."""
    yield from (board["title"], board["description"])
    # The first link leads to the other language and is named in it.
    yield from (link["title"] for link in board["links"][1:])
    yield from (variable["label"] for variable in board["templating"]["list"])
    yield from (annotation["name"] for annotation in board["annotations"]["list"])
    for panel in board["panels"]:
        yield from (panel["title"], panel["description"])
        yield from (target["alias"] for target in panel["targets"] if not target["alias"].startswith("$tag_"))
        yield from (link["title"] for link in panel.get("links", ()))
        for mapping in panel["fieldConfig"]["defaults"].get("mappings", ()):
            yield from (state["text"] for state in mapping["options"].values())
        for setting in (each for override in panel["fieldConfig"]["overrides"] for each in override["properties"]):
            if setting["id"] == "displayName":
                yield setting["value"]
            elif setting["id"] == "mappings":
                yield from (state["text"] for mapping in setting["value"] for state in mapping["options"].values())
        if panel["type"] == "text":
            yield panel["options"]["content"]
