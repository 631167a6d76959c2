"""The panels of the registry, fed with the lines that the service writes; and the lines and conditions themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from console.board import panels as module
from console.board.conditions import condition_of
from console.board.lines import lines_of
from console.board.panels import PANELS_FILE, PanelBook
from ingest.points import PointTable
from market.rules import GUANGDONG_2023
from streams import lineprotocol
from streams.recordlines import RecordLines
from streams.telemetrylines import TelemetryEncoder
from tests.kit.board_feed import SCENES, kpi_at, view_at

T0 = SCENES["normal"]


def registry(*panels: dict[str, Any]) -> dict[str, Any]:
    """A registry of one board; what a panel leaves out is usual."""
    usual = {"title": {"en": "Title", "zh": "标题"}, "kind": "timeseries", "sparkline": False}
    asked = {"how": "last", "by": "", "where": "", "having": "", "within_s": 0}
    numbered = [
        {**usual, "id": number, **panel, "series": [{**asked, **one} for one in panel["series"]]} for number, panel in enumerate(panels, 1)
    ]
    return {"boards": [{"uid": "gridfuse-sample", "panels": numbered}]}


def shown(book: PanelBook, number: int = 1) -> dict[str, Any]:
    """What the first query of a panel shows, by series."""
    series: dict[str, Any] = book.pages["sample"].snapshot()["panels"][str(number)][0]
    return series


def test_a_panel_shows_what_the_encoder_writes():
    book = PanelBook(
        registry(
            {"series": [{"measurement": "kpi", "field": "load_mw", "how": "mean"}]},
            {"kind": "stat", "series": [{"measurement": "market", "field": "phase", "where": "\"segment\" = 'RT'"}]},
            {"series": [{"measurement": "kpi_area", "field": "load_mw", "by": "area", "where": '"area" =~ /^$area$/'}]},
            {
                "kind": "bargauge",
                "series": [{"measurement": "market", "field": "outage_s", "how": "last/60", "where": "\"segment\" = 'RT'"}],
            },
        )
    )
    frame, view = kpi_at(T0), view_at(SCENES["failing"])
    lines = RecordLines(TelemetryEncoder(PointTable([])), GUANGDONG_2023.zone)
    book.take(lines.of_record(frame) + lines.of_record(view))
    assert shown(book)[""]["values"] == [pytest.approx(frame.system["load_mw"], rel=1e-5)]
    assert shown(book, 2)[""]["last"] == [SCENES["failing"] // 1_000_000, "DEGRADED"]
    assert {area: one["values"] for area, one in shown(book, 3).items()} == {
        area: [pytest.approx(figures["load_mw"], rel=1e-5)] for area, figures in frame.areas.items()
    }
    assert shown(book, 4)[""]["last"][1] == pytest.approx(83.0)
    assert book.unread == 0


def test_only_what_changed_goes_out():
    book = PanelBook(registry({"series": [{"measurement": "m", "field": "v"}]}, {"series": [{"measurement": "n", "field": "v"}]}))
    page = book.pages["sample"]
    book.take(b"m v=1 60000000000\nn v=1 60000000000\n")
    version = page.version
    assert page.delta(version) is None
    book.take(b"n v=2 120000000000\nother v=1 1\n")
    delta = page.delta(version)
    assert delta is not None
    assert delta["panels"] == {"2": [{"": {"start_s": 120, "step_s": 60, "values": [2.0]}}]}


def test_states_and_tables_are_kept_as_such():
    book = PanelBook(
        registry(
            {"kind": "state-timeline", "series": [{"measurement": "market", "field": "phase", "by": "segment"}]},
            {"kind": "table", "series": [{"measurement": "event", "field": "kind,text_en", "how": "rows"}]},
        )
    )
    book.take(b'market,segment=RT phase="NORMAL" 1000000\nevent,kind=Reminded,segment=RT text_en="a, \\"b\\"",seq=7i 2000000\n')
    assert shown(book) == {"RT": {"changes": [[1, "NORMAL"]], "until_ms": 1}}
    assert shown(book, 2)[""]["rows"] == [[2, "Reminded", 'a, "b"']]


def test_series_beyond_what_is_kept_are_counted_and_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "GROUPS_MAX", 2)
    book = PanelBook(registry({"series": [{"measurement": "lmp", "field": "p", "by": "bus"}]}))
    for bus in "abcab":
        book.take(f"lmp,bus={bus} p=1 1\n".encode())
    assert set(shown(book)) == {"a", "b"}
    assert book.pages["sample"].snapshot()["left_out"] == {"1": 1}


def test_days_of_minutes_are_bounded_over_all_panels(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "COURSES_MAX", 3)
    book = PanelBook(registry(*({"series": [{"measurement": "m", "field": name, "by": "x"}]} for name in "uv")))
    for x in range(4):
        book.take(f"m,x={x} u=1,v=1 1\n".encode())
    assert book.courses == 3
    assert sum(book.pages["sample"].snapshot()["left_out"].values()) == 5


def test_a_panel_the_board_cannot_compute_is_refused_by_name():
    with pytest.raises(ValueError, match=r"panel 1 \(Title\).*'median'"):
        PanelBook(registry({"series": [{"measurement": "m", "field": "v", "how": "median"}]}))


def test_every_panel_that_is_shipped_can_be_followed():
    book = PanelBook.shipped()
    boards = msgspec.json.decode(PANELS_FILE.read_bytes())["boards"]
    assert len(book.pages) == len(boards) > 0
    assert all(page.snapshot()["full"] for page in book.pages.values())


def test_a_line_that_is_none_is_counted_and_the_others_are_read():
    lines = list(lines_of(b"m v=1 1\nm v=x 1\nm\nm v=2\nm,a=1 v=3i 9\n", {"m"}))
    assert [None if line is None else line.fields["v"] for line in lines] == [1.0, None, None, 3.0]


@pytest.mark.parametrize("text", ["plain", 'said "no"', "back\\slash", "a, b=c d", "中文，句号。", ""])
def test_texts_and_tags_come_back_as_they_were_written(text: str):
    tag, field = lineprotocol.tag_value(text), lineprotocol._text_value(text)
    (line,) = lines_of(f"event,kind={tag} text_en={field},seq=4i 17\n".encode(), {"event"})
    assert line is not None
    assert line.fields == {"text_en": text, "seq": 4.0}
    assert line.tags["kind"] == (text or "none")


@pytest.mark.parametrize(
    ("where", "tags", "fields", "holds"),
    [
        ("", {}, {}, True),
        ("\"segment\" = 'RT'", {"segment": "DA"}, {}, False),
        ("\"kind\" = 'A' OR \"kind\" = 'B'", {"kind": "B"}, {}, True),
        ('("kind" = \'A\' OR "kind" = \'B\') AND "n" > 3', {"kind": "A"}, {"n": 3.0}, False),
        ('"kind" != \'A\' AND "n" >= 3', {"kind": "B"}, {"n": 3.0}, True),
        ('"area" =~ /^$area$/', {"area": "A1"}, {}, True),
        ('"kind" =~ /^Duty/', {"kind": "DutyOpened"}, {}, True),
        ('"kind" !~ /^Duty/', {"kind": "DutyOpened"}, {}, False),
        ('"n" < 1', {}, {"n": "text"}, False),
    ],
)
def test_conditions_hold_as_they_do_in_a_query(where: str, tags: dict[str, str], fields: dict[str, Any], holds: bool):
    assert condition_of(where)(tags, fields) is holds


@pytest.mark.parametrize("where", ['"a"', "\"a\" = 'x' AND", "(\"a\" = 'x'", "\"a\" = 'x')", "time > now() - 1h", "AND \"a\" = 'x'"])
def test_a_condition_that_is_not_understood_is_refused(where: str):
    with pytest.raises(ValueError, match="condition"):
        condition_of(where)
