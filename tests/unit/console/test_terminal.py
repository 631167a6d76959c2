"""Long lines in a terminal and in a file."""

from __future__ import annotations

import io
import os
import shutil
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from console.terminal import say, wrapped

REFUSAL = (
    "refused (Art. 4): case 2026-06-10-01 waits for an analysis of the cause (ANALYSE_CASE); items that are to be rectified (RECTIFY); "
    "duty explain/RT/2026-06-10T12:00:30+08:00 (GOV, REG, PARTICIPANTS missing)"
)


def test_what_fits_is_left_alone_and_what_does_not_goes_on_set_in() -> None:
    assert wrapped("short", 80) == ["short"]
    rows = wrapped(REFUSAL, 80)
    assert max(len(row) for row in rows) <= 80
    assert [row.startswith("    ") for row in rows] == [False, True, True, True][: len(rows)]
    assert " ".join(row.strip() for row in rows) == REFUSAL, "nothing is lost, and no word is broken"
    assert wrapped(f"  {REFUSAL}", 80)[1].startswith("      "), "what was set in goes on set in further"


def test_a_key_that_is_wider_than_the_terminal_stays_whole() -> None:
    key = "explain/RT/2026-06-10T12:00:30+08:00"
    assert f"    {key}" in wrapped(f"missing: a receipt of {key} and another word", 30)


def test_chinese_breaks_between_characters_and_each_takes_two_columns() -> None:
    rows = wrapped("市场异常公告：" + "登录系统故障，正在抢修" * 6, 40)
    assert all(cell_len(row) <= 40 for row in rows)
    assert "".join(row.strip() for row in rows) == "市场异常公告：" + "登录系统故障，正在抢修" * 6


def test_a_terminal_too_narrow_to_set_anything_in_is_left_to_wrap() -> None:
    assert wrapped(REFUSAL, 23) == [REFUSAL]
    assert len(wrapped(REFUSAL, 24)) > 1


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="ab 公告,", max_size=120), st.integers(24, 60))
def test_no_word_is_lost_and_none_too_wide_that_could_be_narrower(text: str, columns: int) -> None:
    rows = wrapped(text, columns)
    assert "".join("".join(rows).split()) == "".join(text.split())
    for row in rows:
        assert cell_len(row.rstrip()) <= columns or " " not in row.strip()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_gets_wrapped_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shutil, "get_terminal_size", lambda *_: os.terminal_size((60, 24)))
    say(REFUSAL)
    say(f"first\n{REFUSAL}", err=True)
    piped = capsys.readouterr()
    assert (piped.out, piped.err) == (f"{REFUSAL}\n", f"first\n{REFUSAL}\n")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    say(REFUSAL, err=True)
    assert max(len(row) for row in terminal.getvalue().splitlines()) <= 60
