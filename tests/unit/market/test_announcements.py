"""Notices: complete in both languages, or not at all."""

from __future__ import annotations

import pytest

from market.announcements import CAUSES, notice_text, pricing_facts

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


def test_pricing_is_named_by_the_rule_that_applies() -> None:
    assert "27(2)" in pricing_facts(day_ahead=True)["pricing_en"]
    assert "27(3)" in pricing_facts(day_ahead=False)["pricing_en"]
    assert pricing_facts(day_ahead=True)["pricing_zh"] != pricing_facts(day_ahead=False)["pricing_zh"]
