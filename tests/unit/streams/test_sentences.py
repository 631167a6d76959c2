"""Every decision can be read by a person, in either language."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest

from market.causes import AnomalyClass, Cause
from market.decisions import Decision, DecisionBody, DutyOpened, DutyReminded
from market.facts import Segment
from streams import sentences, words
from streams.sentences import sentence
from tests.kit.decided import EVERY_BODY, NOON, chain_of

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_no_kind_of_decision_is_without_a_sentence() -> None:
    kinds = {kind.__name__ for kind in get_args(DecisionBody)}
    assert kinds == sentences.KINDS
    assert kinds == {type(body).__name__ for body in EVERY_BODY}


@pytest.mark.parametrize("decision", chain_of(EVERY_BODY), ids=lambda decision: f"{decision.seq}-{decision.kind}")
def test_each_decision_is_told_in_both_languages(decision: Decision) -> None:
    english, chinese = sentence(decision)
    assert english != chinese
    assert "None" not in english + chinese
    assert CHINESE.search(chinese) or "（" in chinese
    assert not CHINESE.search(english) or decision.kind == "Announcement"


def test_instants_are_in_the_market_zone() -> None:
    (opened,) = chain_of([DutyOpened(duty="explain", segment=Segment.RT, due_ns=NOON, article="Art. 24", recipients=("GOV", "REG"))])
    english, chinese = sentence(opened)
    assert english == (
        "RT duty 'explain' is due at 2026-06-10T12:00:00+08:00: Explain in writing (48 h), to government department and regulator (Art. 24)"
    )
    assert "对象：政府主管部门、监管机构" in chinese


def test_a_duty_that_is_overdue_names_who_has_nothing_yet() -> None:
    reminded = DutyReminded(duty="explain", segment=None, key="k", due_ns=NOON, hours=48, overdue=True, missing=("REG",))
    english, chinese = sentence(chain_of([reminded])[0])
    assert english == "duty 'explain' is overdue since 2026-06-10T12:00:00+08:00; no receipt from regulator"
    assert chinese.endswith("尚缺回执：监管机构")


def test_a_kind_of_a_later_release_is_told_by_its_name() -> None:
    (decision,) = chain_of(EVERY_BODY[:1])
    assert sentence(replace(decision, kind="Tomorrow")) == ("Tomorrow", "Tomorrow")


def test_closed_lists_of_the_measure_all_have_names() -> None:
    assert set(words.CAUSES) == {cause.value for cause in Cause}
    assert set(words.ANOMALIES) == {anomaly.value for anomaly in AnomalyClass}
    assert words.CAUSES["FORCE_MAJEURE"] == ("force majeure", "不可抗力")
