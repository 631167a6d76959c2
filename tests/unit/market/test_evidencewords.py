"""Evidence in Chinese: what machines write is told in Chinese, what people write as they wrote it, and nothing is lost of it."""

from __future__ import annotations

import re

import pytest

from market import evidencewords
from market.evidencewords import chinese
from market.explanationwords import Language, evidence
from market.units import instant_ns


@pytest.mark.parametrize(
    ("english", "told"),
    [
        ("operating day 2026-06-11: no valid result completed by 23:00", "2026-06-11 运行日：截至 23:00 无有效出清结果"),
        ("latest word: INVALID, price nan", "最近消息：结果无效，price nan"),
        ("the market closed by its calendar", "市场按日历闭市"),
        (
            "prices of 4 of 9 buses leapt, at bus B7 from 300.00 to 1400.00 CNY/MWh, since 12:00",
            "自 12:00 起 9 个节点中 4 个电价突变，其中节点 B7 由 300.00 变为 1400.00 元/兆瓦时",
        ),
        ("the cost of a MWh went from 200.00 to 900.00 CNY since 12:00", "自 12:00 起单位电量成本由 200.00 变为 900.00 元"),
        ("the flow between areas 1-2 went from 1,200 to -300 MW since 12:00", "自 12:00 起区域 1-2 间潮流由 1,200 变为 -300 MW"),
        ("L1: OPEN since 14:00, tripped by protection", "L1：14:00 起断开，保护动作跳闸"),
        ("2 energised islands with 6.0 % of the load cut off (limit 5 % for 60 s)", "2 个带电孤岛，占负荷 6.0%（限值 5%，持续 60 秒）"),
        ("infeed DC lost since 14:00: 5000 MW before, 0 MW now (5.0 % of the load of 100000 MW, limit 5 %)", None),
        ("p1, p2 and 52 more", "p1, p2 等，另有 52 家"),
        (
            "the window closed at 16:03; 6 items were accepted after its end and are quarantined",
            "申报窗口于 16:03 关闭；截止后接受 6 笔，已隔离",
        ),
        ("typhoon-red: a warning is active; a recovery needs two persons", "typhoon-red：预警生效，恢复须经两人"),
        ("override: supply is secured; still open: L1; second person: wang", "越权恢复：supply is secured; still open: L1；第二人：wang"),
        ("cause: FORCE_MAJEURE (Art. 5(1))", "原因：不可抗力（第五条第（一）项）"),
        ("load_mw[1]: 200 → 190", "load_mw[1]: 200 → 190"),
        ('note.by: none → "dispatch"', 'note.by：无 → "dispatch"'),
        ("ClearingReported", "ClearingReported"),
        ("huadian, p-2", "huadian, p-2"),
    ],
)
def test_what_machines_write_is_told_in_chinese(english: str, told: str | None) -> None:
    found = chinese(english)
    assert found is not None
    assert told is None or found == told
    missing = [number for number in re.findall(r"\d+(?:\.\d+)?", english) if number not in found and "Art." not in english]
    assert missing == [], "each figure of a finding stands in it in either language"


def test_what_people_write_stays_as_they_wrote_it_but_for_its_instants() -> None:
    assert chinese("lightning, says the shift leader") is None
    assert evidence("seen at 2026-06-10T12:00:00+08:00 by the shift", Language.ZH) == "seen at 2026年6月10日 12:00:00 by the shift"
    assert evidence("deadline 2026-06-10T23:00:00+08:00", Language.ZH) == "截止时刻 2026年6月10日 23:00:00"
    assert evidence("deadline 2026-06-10T23:00:00+08:00", Language.EN) == "deadline 2026-06-10 23:00:00"
    assert instant_ns("2026-06-10T23:00:00+08:00") > 0


def test_each_form_uses_each_part_of_its_sentence_and_no_other() -> None:
    for pattern, words in evidencewords._SENTENCES:
        used = {int(number) for number in re.findall(r"\\(\d)", words)}
        if "\\g<0>" not in words:
            assert used == set(range(1, pattern.groups + 1)), pattern.pattern
