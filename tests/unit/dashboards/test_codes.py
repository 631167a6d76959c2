"""Codes have names on the boards, in both languages; states have marks instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from console.board.messages import MESSAGES
from dashboards.board import Board, Level
from dashboards.classic import render
from dashboards.codes import BASES, CASE_CLASSES, CLASSES, FAILURES, FUELS, LIMITS, NOTICES, OWNERS, SEGMENTS, codes_of
from dashboards.elements import Mark, Panel, PanelKind, Text, course, headings, rows
from dashboards.marks import CASES, PHASES, REGIMES
from market.announcements import TEMPLATES
from market.causes import AnomalyClass
from market.dutyledger import KINDS
from market.facts import Segment
from market.monitor import LimitKind
from market.offers import Fuel
from market.outcomes import FailureReason
from streams.indicative import ALL, LOAD, STORAGE
from streams.measurements import CASE, FUEL, MEASUREMENTS, NONE


@pytest.mark.parametrize(
    ("names", "codes"),
    [
        (SEGMENTS, [*Segment, NONE]),
        (FUELS, Fuel),
        (CLASSES, [*Fuel, STORAGE, LOAD, ALL]),
        (FAILURES, FailureReason),
        (LIMITS, LimitKind),
        (OWNERS, {kind.owner for kind in KINDS.values()}),
        (CASE_CLASSES, AnomalyClass),
        (NOTICES, TEMPLATES),
    ],
)
def test_every_code_there_is_has_a_name(names: Mapping[str, Text], codes: Iterable[str]) -> None:
    assert {str(code) for code in codes} <= set(names)


def test_names_are_of_columns_that_are_written() -> None:
    named = {(m.name, item.name) for m in MEASUREMENTS for item in (*m.tags, *m.fields) if codes_of(m.name, item.name)}
    assert {("fuel", "fuel"), ("settlement", "class"), ("clearing", "reason"), ("binding", "kind"), ("duty", "owner")} <= named
    assert {("case", "class"), ("market", "basis"), ("alert", "state"), ("price", "segment")} <= named


@pytest.mark.parametrize(
    ("kind", "names"), [("fuel", FUELS), ("reason", FAILURES), ("announcement", NOTICES), ("basis", BASES)], ids=lambda item: str(item)[:12]
)
def test_a_code_has_the_name_it_has_on_the_live_board(kind: str, names: Mapping[str, Text]) -> None:
    for code, text in names.items():
        english, chinese = (words.replace("{limit}", "120") for words in MESSAGES[f"{kind}.{code}"])
        assert (text.en, text.zh) == (english, chinese)


@pytest.mark.parametrize(("kind", "marks"), [("phase", PHASES), ("regime", REGIMES)], ids=["phase", "regime"])
def test_a_state_has_the_words_it_has_on_the_live_board_behind_its_mark(kind: str, marks: tuple[Mark, ...]) -> None:
    for mark in marks:
        assert tuple(words.split(" ", 1)[1] for words in (mark.text.en, mark.text.zh)) == MESSAGES[f"{kind}.{mark.state}"]


def overrides(panel: Panel, language: str) -> dict[str, dict[str, Any]]:
    """What a rendered panel says of each field, by the field's name."""
    words = Text("Board", "看板")
    board = Board(uid="gridfuse-a", level=Level.TASK, title=words, question=words, panels=(panel,))
    written = render(board, language, (board,))["panels"][0]["fieldConfig"]["overrides"]
    return {each["matcher"]["options"]: {item["id"]: item["value"] for item in each["properties"]} for each in written}


WORDS = Text("Panel", "面板")


def test_a_series_that_is_named_after_a_code_has_its_name() -> None:
    query = course(FUEL, "generation_mw", by="fuel")
    panel = Panel(number=1, kind=PanelKind.TIME_SERIES, title=WORDS, description=WORDS, unit="MW", at=(0, 0, 1, 1), queries=(query,))
    assert overrides(panel, "zh")["coal"] == {"displayName": "煤电"}
    assert overrides(panel, "en")["coal"] == {"displayName": "Coal"}


def test_cells_have_names_and_states_keep_their_marks() -> None:
    names = ("segment", "state", "class")
    panel = Panel(
        number=1,
        kind=PanelKind.TABLE,
        title=WORDS,
        description=WORDS,
        unit="",
        at=(0, 0, 1, 1),
        queries=(rows(CASE, *names),),
        columns=headings(CASE, *names),
        marks=CASES,
        coloured=("state",),
    )
    cells = overrides(panel, "zh")
    assert cells["class"]["mappings"][0]["options"]["RESULT"] == {"text": "结果异常", "index": 2}
    assert cells["segment"]["mappings"][0]["options"]["RT"]["text"] == "实时"
    assert "mappings" not in cells["state"]
