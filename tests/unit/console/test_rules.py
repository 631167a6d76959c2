"""``gridfuse rules``: the rules with where they come from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.cli import app
from tests.kit.cli import CliRunner

BOOK = """\
versions:
- {base: gd-2023-draft}
- {from: "2026-07-01T00:00:00+08:00", revision: r2, overrides: {rt_limit_min: 90}, cites: {rt_limit_min: Art. 23(1) of June}}
"""


def run(*arguments: str) -> tuple[int, str]:
    told = CliRunner().invoke(app, ["rules", *arguments])
    return told.exit_code, told.output


@pytest.fixture
def book(tmp_path: Path) -> str:
    path = tmp_path / "book.yaml"
    path.write_text(BOOK, encoding="utf-8")
    return str(path)


def test_each_rule_is_shown_with_its_article() -> None:
    code, told = run("show")
    assert code == 0
    assert told.startswith("gd-2023-draft/r1, from the beginning; Guangdong")
    (line,) = (line for line in told.splitlines() if line.startswith("rt_limit_min "))
    assert line.split() == ["rt_limit_min", "120", "Art.", "23(1):", "120", "分钟及以上,", "so", ">="]
    assert "duty_clocks.explain_reminders_h          24, 36, 44, 47" in told


def test_the_rules_of_an_instant_are_shown(book: str) -> None:
    assert "rt_limit_min                             120 " in run("show", book, "--at", "2026-06-30T23:59:59+08:00")[1]
    code, told = run("show", book, "--at", "2026-07-01T00:00:00+08:00", "--json")
    assert code == 0
    shown = json.loads(told)
    assert shown["id"] == "gd-2023-draft/r2"
    assert {"rule": "rt_limit_min", "value": 90, "cite": "Art. 23(1) of June"} in shown["rules"]


def test_a_check_says_what_changes_when(book: str) -> None:
    code, told = run("check", book)
    assert code == 0
    assert "gd-2023-draft/r2, from 2026-07-01T00:00:00+08:00" in told
    assert "    rt_limit_min: 120 -> 90  (Art. 23(1) of June)" in told
    assert [version["id"] for version in json.loads(run("check", book, "--json")[1])["versions"]] == [
        "gd-2023-draft/r1",
        "gd-2023-draft/r2",
    ]


def test_a_file_that_cannot_be_used_is_told_with_its_place(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(BOOK.replace("90", "-1"), encoding="utf-8")
    code, told = run("check", str(wrong))
    assert code == 2
    assert "wrong.yaml:3: rt_limit_min: -1 is too small" in told
    assert run("check")[0] == 2
    assert "there is no rule set 'nowhere'" in run("show", "nowhere")[1]
    assert "--at" in run("show", "--at", "noon")[1]
