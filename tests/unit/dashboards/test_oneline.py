"""What Grafana's canvas is given to draw: everything in its place, bound to what the queries name, and never by colour alone."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from dashboards.boards import BOARDS
from dashboards.classic import render
from dashboards.diagram import DEMONSTRATION, TOLD_WHOLE_MAX, Diagram, drawn_again, read_diagram
from dashboards.elements import GREY
from dashboards.gridplan import Branch, Bus, GridPlan
from dashboards.oneline import branch_series, bus_series, drawn, open_series
from dashboards.topologyboard import topology_board
from streams.gridpicture import ALL_BELOW
from tests.kit.gridplans import plan_of

Element = dict[str, Any]


@pytest.fixture(scope="module")
def diagram() -> Diagram:
    return read_diagram(DEMONSTRATION)


@pytest.fixture(scope="module")
def elements(diagram: Diagram) -> dict[str, Element]:
    listed = drawn(diagram.plan, diagram.layout, "en")["root"]["elements"]
    named = {element["name"]: element for element in listed}
    assert len(named) == len(listed), "Grafana finds the end of a connection by its name"
    return named


def edges(element: Element) -> tuple[float, float, float, float]:
    at = element["placement"]
    return at["left"], 100 - at["right"], at["top"], 100 - at["bottom"]


def test_every_bus_has_a_bar_and_every_branch_a_line_and_a_number(diagram: Diagram, elements: dict[str, Element]) -> None:
    for bus in diagram.plan.buses:
        assert elements[bus_series(bus.name)]["background"]["color"]["field"] == bus_series(bus.name)
    drawn_lines = [(name, line["targetName"]) for name, element in elements.items() for line in element.get("connections", ())]
    wanted = [(bus_series(branch.from_bus), bus_series(branch.to_bus)) for branch in diagram.plan.branches for _ in ("line", "gaps")]
    assert sorted(drawn_lines) == sorted(wanted)
    assert all(elements[branch_series(branch.name)]["config"]["text"]["mode"] == "field" for branch in diagram.plan.branches)


def test_everything_lies_on_the_canvas_and_no_bar_covers_another(diagram: Diagram, elements: dict[str, Element]) -> None:
    for element in elements.values():
        left, right, top, bottom = edges(element)
        assert 0 <= left < right <= 100, element["name"]
        assert 0 <= top < bottom <= 100, element["name"]
    bars = [elements[bus_series(bus.name)] for bus in diagram.plan.buses]
    for one, other in combinations(bars, 2):
        (a, b, c, d), (e, f, g, h) = edges(one), edges(other)
        assert b <= e or f <= a or d <= g or h <= c, f"{one['name']} covers {other['name']}"


def test_no_two_lines_leave_a_bar_at_one_point(elements: dict[str, Element]) -> None:
    ends: dict[tuple[str, float, float], str] = {}
    for name, element in elements.items():
        for line in element.get("connections", ()):
            if line["lineStyle"]["style"] == "solid":
                for bus, point in ((name, line["source"]), (line["targetName"], line["target"])):
                    end = (bus, point["x"], point["y"])
                    assert end not in ends, end
                    ends[end] = name


def test_every_series_that_is_drawn_is_one_that_a_query_names(diagram: Diagram, elements: dict[str, Element]) -> None:
    def bound(item: Any) -> set[str]:
        if isinstance(item, dict):
            return {item["field"]} if "field" in item else set().union(*map(bound, item.values()))
        return set().union(*map(bound, item)) if isinstance(item, list) else set()

    panel = next(panel for panel in topology_board(diagram).panels if panel.drawing is not None)
    aliases = [query.label.en for query in panel.queries]
    named = {alias.replace("$tag_branch", branch.name) for alias in aliases[:2] for branch in diagram.plan.branches}
    named |= {aliases[2].replace("$tag_bus", bus.name) for bus in diagram.plan.buses}
    assert bound(list(elements.values())) == named
    branch = diagram.plan.branches[0].name
    assert {branch_series(branch), open_series(branch)} < named


def test_an_open_branch_is_dashed_and_an_overloaded_one_wide(elements: dict[str, Element]) -> None:
    """A width follows its series from the least to the greatest value that the panel gives as its limits."""
    for element in elements.values():
        for solid, gaps in zip(element.get("connections", ())[::2], element.get("connections", ())[1::2], strict=True):
            assert (solid["lineStyle"]["style"], gaps["lineStyle"]["style"]) == ("solid", "dashed")
            assert solid["size"]["max"] > solid["size"]["min"] > 0
            assert gaps["size"]["min"] == 0, "no gaps where it is closed"
            assert gaps["size"]["max"] > solid["size"]["max"], "gaps are as wide as the line may grow"
            assert gaps["size"]["field"].endswith("open")


def test_the_panel_shows_normal_in_grey_and_the_rest_with_a_letter(diagram: Diagram) -> None:
    boards = tuple(topology_board(diagram) if board.uid == "gridfuse-topology" else board for board in BOARDS)
    board = next(board for board in boards if board.uid == "gridfuse-topology")
    panel = next(panel for panel in render(board, "zh", boards)["panels"] if panel["type"] == "canvas")
    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["thresholds"]["steps"][0] == {"value": None, "color": GREY}
    assert defaults["mappings"][0]["options"]["1000"]["text"] == "× 断开"
    looks = {override["matcher"]["options"]: override["properties"] for override in panel["fieldConfig"]["overrides"]}
    assert {"id": "max", "value": 1.0} in looks["/ open$/"]
    alive = next(setting["value"] for setting in looks["/ alive$/"] if setting["id"] == "mappings")[0]["options"]
    assert (alive["1"]["text"].strip(), alive["0"]["text"]) == ("", "■")
    assert all(target["resultFormat"] == "time_series" for target in panel["targets"])


def test_both_languages_draw_the_same_picture(diagram: Diagram) -> None:
    zh, en = (drawn(diagram.plan, diagram.layout, language)["root"]["elements"] for language in ("zh", "en"))
    assert [element["name"] for element, other in zip(zh, en, strict=True) if element != other] == ["legend"]


def test_bars_of_a_station_stand_by_voltage_and_towards_their_lines() -> None:
    buses = tuple(Bus(name=name, station="S", kv=kv) for name, kv in (("high", 230.0), ("low", 110.0)))
    far = Bus(name="far", station="N", kv=230.0, east=0.0, north=9.0)
    placed = tuple(Bus(name=bus.name, station=bus.station, kv=bus.kv, east=0.0, north=0.0) for bus in buses)
    plan = GridPlan(
        name="two levels",
        buses=(*placed, far),
        branches=(Branch(name="T", from_bus="high", to_bus="low"), Branch(name="L", from_bus="high", to_bus="far")),
    )
    diagram = drawn_again(plan)
    listed = {element["name"]: element for element in drawn(plan, diagram.layout, "en")["root"]["elements"]}
    tops = [edges(listed[bus_series(name)])[2] for name in ("far", "high", "low")]
    assert tops == sorted(tops)
    assert listed["station S"]["config"]["text"]["fixed"] == "S", "a station that is not called after a bus has its name"


def test_long_names_are_cut_to_their_bar() -> None:
    plan = GridPlan(
        name="long",
        buses=tuple(Bus(name=f"{name} of a very long name indeed", station=name, kv=500.0) for name in "ABCDEFGHIJKLMNOP"),
        branches=(),
    )
    listed = drawn(plan, drawn_again(plan).layout, "en")["root"]["elements"]
    texts = [element["config"]["text"]["fixed"] for element in listed if element["name"].endswith("alive")]
    assert all(text.endswith("…") for text in texts)


def test_parallel_lines_do_not_cross() -> None:
    plan = plan_of("AB", "AB", "AB")
    listed = drawn(plan, drawn_again(plan).layout, "en")["root"]["elements"]
    lines = [line for element in listed for line in element.get("connections", ()) if line["lineStyle"]["style"] == "solid"]
    assert len(lines) == 3
    assert all((line["source"]["x"], line["source"]["y"]) == (-line["target"]["x"], line["source"]["y"]) for line in lines) or all(
        line["source"]["x"] == line["target"]["x"] for line in lines
    )


def test_of_a_grid_that_is_told_in_part_what_has_no_news_is_drawn_as_normal(diagram: Diagram) -> None:
    def fallbacks(in_part: bool) -> tuple[set[str], set[str]]:
        listed = drawn(diagram.plan, diagram.layout, "en", in_part=in_part)["root"]["elements"]
        letters = {element["config"]["text"]["fixed"] for element in listed if element["config"]["text"]["mode"] == "field"}
        lines = {line["color"]["fixed"] for element in listed for line in element.get("connections", ()) if "field" in line["color"]}
        return letters, lines

    assert fallbacks(in_part=True) == ({""}, {GREY})
    letters, lines = fallbacks(in_part=False)
    assert letters == {"?"}
    assert GREY not in lines


def test_how_much_is_told_is_what_the_service_tells() -> None:
    assert TOLD_WHOLE_MAX == ALL_BELOW
    chain = GridPlan(
        name="long",
        buses=tuple(Bus(name=str(number), station=str(number)) for number in range(ALL_BELOW + 1)),
        branches=(),
    )
    assert drawn_again(chain, most=3).in_part
    assert not drawn_again(plan_of("AB")).in_part
