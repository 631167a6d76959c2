"""Every word of the page exists in both languages, and no word is kept that no page asks for."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

import console.board
from console.board.messages import MESSAGES, message_table
from detectors.findings import Basis
from market.causes import BODIES, AnomalyClass, Cause
from market.decisions import DecisionBody, Phase
from market.facts import Segment
from market.offers import Fuel
from market.outcomes import FailureReason, OutcomeStatus
from market.prices import Regime
from market.rules import Modes

STATIC = Path(console.board.__file__).parent / "static"
SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js")))
PAGE = (STATIC / "index.html").read_text(encoding="utf-8")

ASKED = set(re.findall(r'"([a-z]+(?:\.[A-Za-z0-9_]+)+)"', SCRIPTS)) | set(re.findall(r'data-t(?:-title|-label)?="([^"]+)"', PAGE))
"""Keys the page names in full."""
BUILT = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)*\.)\$\{", SCRIPTS))
"""Beginnings of the keys it puts together, such as ``phase.``."""


def test_both_languages_are_written():
    empty = [key for key, texts in MESSAGES.items() if not all(text.strip() for text in texts)]
    assert empty == []


def test_the_same_blanks_are_filled_in_both_languages():
    differing = [key for key, (en, zh) in MESSAGES.items() if set(re.findall(r"\{(\w+)\}", en)) != set(re.findall(r"\{(\w+)\}", zh))]
    assert differing == []


def test_chinese_is_chinese():
    """A text that was copied instead of translated has no Chinese character; names and signs that are the same in both are listed."""
    same_in_both = {"pulse.alerts", "areas.ace_mw", "areas.cps1_pct", "areas.frequency_hz", "header.language"}
    plain = {key: re.sub(r"\{\w+\}", "", zh) for key, (_, zh) in MESSAGES.items() if key not in same_in_both}
    copied = [key for key, zh in plain.items() if re.search(r"[A-Za-z]", zh) and not re.search(r"[\u4e00-\u9fff]", zh)]
    assert copied == []


def test_every_key_the_page_names_exists():
    table = message_table()
    missing = sorted(key for key in ASKED if key not in table["en"] and not key.startswith(("gridfuse.",)))
    assert missing == []


def test_every_key_is_asked_for():
    unused = sorted(key for key in MESSAGES if key not in ASKED and not any(key.startswith(start) for start in BUILT))
    assert unused == []


@pytest.mark.parametrize(
    ("prefix", "names"),
    [
        ("phase.", list(Phase)),
        ("basis.", [*Basis, *(mode.name for mode in fields(Modes))]),
        ("regime.", list(Regime)),
        ("regime.short.", [regime for regime in Regime if regime is not Regime.MARKET]),
        ("outcome.", list(OutcomeStatus)),
        ("reason.", list(FailureReason)),
        ("segment.", list(Segment)),
        ("segment.short.", list(Segment)),
        ("fuel.", list(Fuel)),
        ("announcement.", ["TRIP", "UPDATE", "CORRECTION", "RECOVERY", "SUSPENSION", "EXTENSION", "REGIME28", "RESUMPTION", "ANOMALY"]),
        ("duty.", ["announce", "explain", "limit", "report", "assess", "measures", "decide", "notice", "apply", "written"]),
        ("duty.outcome.", ["met", "late", "lifted"]),
        ("decision.", [kind.__name__ for kind in get_args(DecisionBody)]),
        ("cause.", list(Cause)),
        ("anomaly.", list(AnomalyClass)),
        ("body.", [*BODIES, "PARTICIPANTS"]),
        ("verdict.", ["REQUESTED", "ORAL", "APPROVED", "REFUSED", "VOID"]),
        ("source.", ["ok", "stale", "bad"]),
        ("how.", ["FAILED", "MISSED", "INVALID"]),
        ("flag.", ["BLIND", "CLOCK_SUSPECT"]),
    ],
)
def test_every_name_a_record_can_carry_is_translated(prefix: str, names: list[str]):
    assert [name for name in names if f"{prefix}{name}" not in MESSAGES] == []


def test_key_figures_are_named_as_everywhere_else():
    assert message_table()["en"]["kpi.area.ace_mw"] == "ACE"
    assert message_table()["zh"]["kpi.system.reserve_margin_pct"] == "备用率"


def test_nothing_is_loaded_from_elsewhere():
    """The page must work where there is no Internet: no absolute address in markup, style or script."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in STATIC.rglob("*") if path.suffix in {".html", ".css", ".js"}}
    foreign = {
        name: found
        for name, text in sources.items()
        if (found := re.findall(r"""(?:src|href|url\(|import|fetch\()\s*=?\s*["'(]?(?:https?:)?//[^\s"')]+""", text))
    }
    assert foreign == {}


def test_the_vendored_chart_library_keeps_its_licence():
    assert "MIT License" in (STATIC / "vendor" / "uPlot.LICENSE.txt").read_text(encoding="utf-8")
