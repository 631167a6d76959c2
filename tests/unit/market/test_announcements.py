"""Notices: complete in both languages, or not at all."""

from __future__ import annotations

import pytest

from market.announcements import CAUSES, STATES, TEMPLATES, article_zh, notice_text, pricing_facts
from market.causes import Cause

FACTS = {
    "number": "RT-2026-06-10-01",
    "supersedes": "–",
    "article": "Art. 23(1)",
    "condition_met_at": "2026-06-10T12:00:00+08:00",
    "tripped_at": "2026-06-10T12:00:30+08:00",
    "first_interval": "2026-06-10T12:00:00+08:00",
    "limit_min": "120",
    "elements": "L1, L2, L3",
    "load_lost_mw": "16800",
    "load_before_mw": "120000",
    "pricing_zh": "日前价格",
    "pricing_en": "day-ahead price",
    "next_update": "2026-06-10T13:00:30+08:00",
    "by": "chen",
    "published_at": "2026-06-10T15:25:00+08:00",
    "effective_from": "2026-06-10T16:00:00+08:00",
    "effective_day": "2026-06-12",
    "operating_day": "2026-06-11",
    "deadline": "23:00",
    "cause": "TECHNICAL",
    "evidence": "declarations are refused",
    "base": "RT-2026-06-10-01",
    "reason": "the fault lasts",
    "state": "OVERDUE",
    "limit_h": "72",
    "words_zh": "正在抢修。",
    "words_en": "Repairs go on.",
    "suspended_from": "2026-06-13T15:00:00+08:00",
    "expected_end": "2026-06-18T00:00:00+08:00",
    "regime_from": "2026-06-21T00:00:00+08:00",
    "version": "2",
    "difference": "line L7 out",
    "deadline_at": "2026-06-10T11:00:00+08:00",
    "discovered_at": "2026-06-10T09:00:00+08:00",
    "case": "2026-06-10-01",
}


@pytest.mark.parametrize("basis", sorted(CAUSES))
def test_trip_notice_names_every_mandatory_fact(basis: str) -> None:
    zh, en = notice_text("TRIP", "RT", basis, FACTS)
    for clock in ("12:00:00", "12:00:30", "13:00:30"):
        assert f"2026年6月10日{clock}" in zh
        assert f"2026-06-10 {clock}" in en
    for text in (zh, en):
        assert FACTS["number"] in text
        assert text.count("UTC+08:00") == 1
        assert "{" not in text
    assert "实时市场" in zh
    assert "第二十三条" in zh
    assert "Art. 23(1)" in en


def test_recovery_notice_names_who_and_from_when() -> None:
    zh, en = notice_text("RECOVERY", "RT", "", {**FACTS, "article": "Art. 29"})
    for text in (zh, en):
        assert "chen" in text
        assert "16:00:00" in text
        assert "2026-06-12" not in text, "real time comes back by interval"
    assert "第二十九条" in zh


def test_where_the_offset_changes_each_instant_wears_its_own() -> None:
    zh, en = notice_text("TRIP", "RT", "RT_120", {**FACTS, "next_update": "2026-06-10T13:00:30.250+07:00"})
    for text in (zh, en):
        assert "12:00:30+08:00" in text
        assert "13:00:30.250+07:00" in text
        assert "UTC" not in text


@pytest.mark.parametrize("missing", ["tripped_at", "number", "next_update", "pricing_zh"])
def test_missing_fact_is_an_error_not_a_blank(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        notice_text("TRIP", "RT", "RT_120", {k: v for k, v in FACTS.items() if k != missing})


@pytest.mark.parametrize("measured", [True, False])
def test_topology_notice_names_the_elements_and_the_load_where_it_was_measured(measured: bool) -> None:
    facts = FACTS if measured else {k: v for k, v in FACTS.items() if not k.startswith("load_")}
    for text in notice_text("TRIP", "RT", "TOPOLOGY_HARD", facts):
        assert "L1, L2, L3" in text
        assert ("16800 MW" in text) is measured
        assert "{" not in text


@pytest.mark.parametrize(
    ("segment", "day_ahead", "real_time", "suspended", "long", "regime", "article", "analogy"),
    [
        ("RT", True, False, False, False, "ART27_2", "27(2)", None),
        ("RT", True, True, True, False, "ART27_2", "27(2)", None),
        ("RT", False, True, False, False, "ART27_3", "27(3) by analogy", "yes"),
        ("RT", False, False, True, False, "ART27_3", "27(3): mean", None),
        ("DA", False, True, False, False, "ART27_1", "27(1)", None),
        ("DA", True, False, False, False, "ART27_3", "27(3) by analogy", "yes"),
        ("DA", True, False, True, False, "ART27_3", "27(3): mean", None),
        ("RT", True, True, True, True, "ART28", "Art. 28", None),
    ],
)
def test_pricing_is_named_by_the_rule_that_applies(
    segment: str, day_ahead: bool, real_time: bool, suspended: bool, long: bool, regime: str, article: str, analogy: str | None
) -> None:
    facts = pricing_facts(segment=segment, day_ahead=day_ahead, real_time=real_time, suspended=suspended, long=long)
    assert (facts["regime"], facts.get("by_analogy")) == (regime, analogy)
    assert article in facts["pricing_en"]
    assert ("类推" in facts["pricing_zh"]) is (analogy == "yes")


def test_the_prices_of_a_breaker_of_both_markets_are_worded_as_they_always_were() -> None:
    facts = pricing_facts(day_ahead=False)
    assert facts["pricing_zh"] == "日前市场亦无价格，按第二十七条第（三）项类推，采用近30日同时段均价，价格另行公告"
    assert facts["pricing_en"] == (
        "no day-ahead price either; Art. 27(3) by analogy: mean price of the same period over thirty days, to be published"
    )


def test_templates_are_numbered_in_order() -> None:
    assert [template.code for template in TEMPLATES.values()] == [f"T{n:02d}" for n in range(1, len(TEMPLATES) + 1)]


@pytest.mark.parametrize("segment", ["RT", "DA"])
@pytest.mark.parametrize("kind", sorted(TEMPLATES))
def test_every_kind_shows_its_facts_in_both_languages_and_cannot_do_without_any(kind: str, segment: str) -> None:
    basis = "RT_120" if segment == "RT" else "DA_MISSED"
    template = TEMPLATES[kind]
    for text in notice_text(kind, segment, basis, FACTS):
        assert FACTS["number"] in text
        assert "{" not in text
    for fact in ("number", "article", *template.facts, *(template.rt if segment == "RT" else ("operating_day", *template.da))):
        with pytest.raises(KeyError, match=fact):
            notice_text(kind, segment, basis, {**FACTS, fact: ""} if fact != "state" else {k: v for k, v in FACTS.items() if k != fact})


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("UPDATE", ["13:00:30", "72", "RT-2026-06-10-01", "12:00:30"]),
        ("CORRECTION", ["the fault lasts", "RT-2026-06-10-01", "13:00:30"]),
        ("SUSPENSION", ["the fault lasts", "15:00:00", "00:00:00"]),
        ("EXTENSION", ["the fault lasts", "15:00:00", "00:00:00"]),
        ("REGIME28", ["15:00:00", "00:00:00"]),
        ("RESUMPTION", ["chen", "15:25:00", "16:00:00"]),
        ("BOUNDARY", ["2026-06-11", "line L7 out"]),
        ("DEADLINE", ["2026-06-11", "11:00:00", "the fault lasts"]),
        ("ANOMALY", ["2026-06-10-01", "09:00:00"]),
    ],
)
def test_what_a_notice_is_for_is_read_in_both_languages(kind: str, shown: list[str]) -> None:
    for text in notice_text(kind, "RT", "", FACTS):
        assert [each for each in shown if each not in text] == []


def test_a_notice_of_the_day_ahead_market_names_its_operating_day() -> None:
    zh, en = notice_text("TRIP", "DA", "DA_MISSED", FACTS)
    assert "日前市场（2026-06-11 运行日）熔断公告" in zh
    assert "自 2026-06-11 运行日起适用熔断处理" in zh
    assert "日前市场未在 23:00 前出清" in zh
    assert "In effect from operating day 2026-06-11" in en
    assert "no day-ahead clearing before 23:00" in en
    zh, en = notice_text("RECOVERY", "DA", "", FACTS)
    assert "自 2026-06-12 运行日起恢复" in zh
    assert "market prices return from operating day 2026-06-12" in en


@pytest.mark.parametrize("state", sorted(STATES))
def test_an_update_says_how_things_stand(state: str) -> None:
    asked, zh, en = STATES[state]
    facts = {**FACTS, "state": state}
    for text, words in zip(notice_text("UPDATE", "RT", "", facts), (zh, en), strict=True):
        assert words.split("{", maxsplit=1)[0] in text
    for fact in asked:
        with pytest.raises(KeyError, match=fact):
            notice_text("UPDATE", "RT", "", {**facts, fact: ""})


def test_a_cause_that_no_detector_sees_is_named_with_its_item_and_its_document() -> None:
    facts = {**FACTS, "article": "Art. 23(3)", "cause": "FORCE_MAJEURE", "reference": "typhoon-red-2026-09-01", "evidence": "typhoon"}
    zh, en = notice_text("TRIP", "RT", "OTHER", facts)
    assert "原因：不可抗力（第五条第（一）项）：typhoon，依据文件：typhoon-red-2026-09-01（第二十三条第（三）项）" in zh
    assert "Cause: force majeure (Art. 5(1)): typhoon, shown by typhoon-red-2026-09-01 (Art. 23(3))" in en
    assert "认定原因" not in zh


def test_a_cause_that_a_person_found_stands_beside_what_was_detected() -> None:
    usual = notice_text("TRIP", "RT", "RT_120", FACTS)
    assert usual == notice_text("TRIP", "RT", "RT_120", {**FACTS, "cause": ""}), "what it is taken to be needs no words"
    zh, en = notice_text("TRIP", "RT", "RT_120", {**FACTS, "cause": Cause.HUMAN_ERROR})
    assert "未能出清；认定原因：重大人为失误（第五条第（四）项）（" in zh
    assert "without a break; found to be caused by a major human error (Art. 5(4)) (" in en


def test_a_topology_change_without_lost_elements_is_told_by_its_evidence() -> None:
    facts = {name: text for name, text in FACTS.items() if name != "elements"}
    for text in notice_text("TRIP", "RT", "TOPOLOGY_SOFT", {**facts, "evidence": "load fell by 6.2 %"}):
        assert "load fell by 6.2 %" in text
        assert "16800" not in text


def test_a_correction_that_promises_nothing_does_not_mention_it() -> None:
    zh, en = notice_text("CORRECTION", "RT", "", {**FACTS, "next_update": ""})
    assert "下次通报" not in zh
    assert "Next update" not in en
    assert en.count("Times are") == 1


@pytest.mark.parametrize(
    ("article", "written"),
    [
        ("Art. 5(1)", "第五条第（一）项"),
        ("Art. 9(2)", "第九条第（二）项"),
        ("Art. 10", "第十条"),
        ("Art. 11", "第十一条"),
        ("Art. 20", "第二十条"),
        ("Art. 23(1)", "第二十三条第（一）项"),
        ("Art. 30", "第三十条"),
        ("Art. 33", "第三十三条"),
    ],
)
def test_a_citation_in_chinese(article: str, written: str) -> None:
    assert article_zh(article) == written


def test_what_is_no_article_is_not_cited() -> None:
    with pytest.raises(ValueError, match="policy"):
        article_zh("policy Q9")
