"""An explanation in both languages, as Markdown and as a file that needs nothing besides itself."""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser

import pytest

from detectors.findings import Basis
from market.announcements import numeral_zh
from market.causes import AnomalyClass, Cause, Role
from market.decisions import DutyOpened, DutySettled, FindingNoted, OutageEnded, Phase, RecoveryProposed, Refused, ResultRevised
from market.explanation import Explanation
from market.explanationblocks import Table
from market.explanationcharts import COLOURS, phases_svg, prices_svg
from market.explanationpage import page
from market.explanationtext import digest, html, markdown
from market.explanationtimeline import events
from market.explanationwords import Language, at, cause, clock, duration, evidence, item, name, signed
from market.facts import Segment
from market.handling import ApprovalRecorded, ApprovalRequested, ApprovalVoided, DutyReceived, DutyReminded
from market.prices import Regime
from market.rules import GUANGDONG_2023
from market.transitions import Event as TransitionEvent
from market.units import NS_PER_H, instant_ns
from tests.kit.cased import Chained, with_cases
from tests.kit.table import at_ns
from tests.unit.market.test_explanation import NUMBER, drill, moved, outage, price, recovered, told

BOTH = (Language.ZH, Language.EN)
KEY = "explain/RT"


@lru_cache
def explained() -> Explanation:
    """The drill of a recovery, with what people entered afterwards."""
    recorded = recovered()
    recorded.order("2026-06-10T16:05:00+08:00", "SET_CAUSE", case=NUMBER, cause="FORCE_MAJEURE", reference="W-1", text="<landfall> | 1")
    recorded.order("2026-06-10T16:06:00+08:00", "NOTE_ACTION", case=NUMBER, text="moved the log & restarted")
    recorded.order("2026-06-11T08:06:00+08:00", "ANALYSE_CASE", case=NUMBER, text="The volume\nfilled up.")
    recorded.order("2026-06-11T08:16:00+08:00", "RECTIFY", case=NUMBER, item="purge", text="alarm", due="2026-06-20")
    recorded.order("2026-06-11T08:17:00+08:00", "RECTIFY", case=NUMBER, item="volume", text="second one")
    recorded.order("2026-06-11T08:18:00+08:00", "RECTIFIED", case=NUMBER, item="purge")
    key = next(d.body["key"] for d in recorded.chain if d.kind == "DutyOpened" and d.body["duty"] == "explain")
    has = {"duty": "explain", "segment": Segment.RT, "key": key, "by": "li"}
    at_nine = instant_ns("2026-06-11T09:00:00+08:00")
    recorded.add(at_nine, DutyReceived(**has, recipient="GOV", delivered_at_ns=at_nine, reference="G-117"))
    return told(recorded.chain, prices=drill("gd_29_1").prices.values())


def running() -> Explanation:
    result = drill("gd_23_tp_01")
    return told(with_cases(result.decisions, GUANGDONG_2023).chain, at_ns("16:00"), result.prices.values())


def lines(explanation: Explanation, language: Language) -> list[str]:
    return [event.text for event in events(explanation, language)]


@pytest.mark.parametrize("language", BOTH)
def test_every_row_of_a_table_has_the_cells_of_its_head(language: Language) -> None:
    for explanation in (explained(), running(), told(outage().chain)):
        for block in page(explanation, language).blocks:
            if isinstance(block, Table):
                width = len(block.head or block.rows[0])
                assert {len(row) for row in block.rows} <= {width, 1 if block.head else width}
                assert not block.tones or len(block.tones) == len(block.rows)
        written = [line for line in markdown(explanation, language).splitlines() if line.startswith("|")]
        assert all(line.endswith("|") for line in written)
        assert "None" not in markdown(explanation, language)
        assert "{" not in markdown(explanation, language)


def test_sections_follow_the_article() -> None:
    headings = [line for line in markdown(explained(), Language.EN).splitlines() if line.startswith("## ")]
    assert [heading[6:] for heading in headings] == [
        *("The case", "Cause and evidence", "Timeline", "Measures", "Pricing", "Duties and receipts"),
        *("Recovery", "Analysis and rectification", "Audit"),
    ]
    chinese = markdown(explained(), Language.ZH)
    assert chinese.startswith("# 电力现货实时市场熔断情况说明\n")
    assert "送：政府主管部门、监管机构、市场主体" in chinese


def test_the_english_text_says_what_happened() -> None:
    text = markdown(explained(), Language.EN)
    for said in (
        "Case 2026-06-10-01 · as of 2026-06-11 10:00:00 · times are UTC+08:00",
        "- Time in the breaker: **3 h 59 min**\n",
        "- Intervals priced by rule: **16** (and 8 gap intervals before)",
        "- 48 h explanation: **open** (1 d 2 h left)",
        "- 72 h limit: **lifted** (margin 2 d 20 h)",
        "At 2026-06-10 12:00:00 the condition was met (real-time clearing out without a break, Art. 23(1)).",
        "The service, by rule, tripped the real-time market at 2026-06-10 12:00:30. Dispatch (chen) decided",
        "decided the recovery at 2026-06-10 15:25:00; market prices return from the interval at 2026-06-10 16:00:00.",
        "Cause: force majeure (Art. 5(1)), W-1: &lt;landfall> | 1",
        "| 3 | 8 intervals unserved: 8 MISSED, 0 FAILED, 0 INVALID |",
        "| **2026-06-10** |  |  |  |",
        "| 15:00:00 | CONFIRM_RECOVER refused (Art. 29): recovery needs 4 valid shadow clearings in a row; there are 3 |",
        "there are 3 | chen (dispatch institution) | #",
        "| 2026-06-10 12:00:00 | 2026-06-10 16:00:00 | Art. 27(2): day-ahead price of the same period | 16 |",
        "period | 16 | 420.00 | 420.00 | 420.00 | 16 |",
        "| announce the trip | policy Q9 | 2026-06-10 12:05:30 | 2026-06-10 12:00:30 | met | 5 min | – |",
        "| explain in writing | government department | 2026-06-11 09:00:00 | G-117 | li |",
        "> [RT-2026-06-10-02] Recovery of the real-time market",
        "> The volume filled up.",
        "| purge | alarm; due 2026-06-20 | 2026-06-11 08:18:00 |",
        "| volume | second one | open |",
        "The audit chain was verified from its first record and holds.",
        "| #1 | 2026-06-10 10:00:30 | Transition | ",
        "| 2026-06-10 12:00:00 | 420.00 | Art. 27(2): day-ahead price of the same period | day_ahead:00:00 | 0 |",
    ):
        assert said in text, said
    assert "cause: force majeure (Art. 5(1)), W-1: &lt;landfall> \\| 1" in text
    assert "Still missing" not in text


def test_the_chinese_text_says_it_too() -> None:
    text = markdown(explained(), Language.ZH)
    for said in (
        "2026年6月10日 12:00:00 实时市场连续未能出清的条件成立（第二十三条第（一）项），",
        "2026年6月10日 12:00:30 系统按规则自动对实时市场实施熔断。",
        "2026年6月10日 15:25:00 调度机构 chen 决定恢复，自 2026年6月10日 16:00:00 起的时段恢复市场出清价格。",
        "原因：不可抗力（第五条第（一）项），W-1：&lt;landfall> | 1",
        "| 4 | 最近有效结果完成于 2026年6月10日 09:44:50 |",
        "| 12:00:30 | 出清异常 → 市场熔断：实时市场连续未能出清（第二十三条第（一）项） | 系统 | #",
        "【RT-2026-06-10-01】电力现货实时市场熔断公告",
        "审计链自第 1 条记录起校验无误。",
    ):
        assert said in text, said


def test_what_is_missing_stands_first() -> None:
    text = markdown(running(), Language.EN)
    assert "**Still missing: the analysis of the cause, items to be rectified**" in text
    assert "- Time in the breaker: **1 h 53 min** (still running)" in text
    assert "The market has not recovered by the time of this report." in text
    assert "Next update by 2026-06-10 15:06:40" in text
    assert "L1: OPEN since 14:00, flow below 1 % at both ends" in text
    assert "L1：14:00 起断开，两端潮流均低于额定值的 1%" in markdown(running(), Language.ZH)


def test_a_minor_anomaly_needs_no_analysis() -> None:
    text = markdown(told(outage().chain), Language.EN)
    assert text.startswith("# Explanation of a market anomaly: real-time market\n")
    assert "An anomaly was found at 2026-06-10 10:00:30: real-time market: no valid result (Art. 9(2)). The breaker did not trip." in text
    assert "A minor anomaly; none is asked for." in text
    assert "The anomaly was over at 2026-06-10 10:40:00." in text
    assert "| Status | closed |" in text
    assert "No statutory clock ran." in text
    assert "No prices of this market are concerned." in text
    assert "The anomaly is not over." in markdown(told(outage().chain, at_ns("10:30")), Language.EN)


def test_an_overdue_duty_and_a_broken_chain_are_seen_at_once() -> None:
    chain = recovered().chain
    late = told(chain, instant_ns("2026-06-12T13:00:30+08:00"))
    text = markdown(late, Language.EN)
    assert "- 48 h explanation: **overdue** (−1 h)" in text
    assert '<div class="tile late"><span>48 h explanation</span><b>overdue</b>' in html(late, Language.EN)
    gap = markdown(told([*chain[:5], *chain[6:]]), Language.EN)
    assert "**The audit chain does not hold: decision 7 follows decision 5: decision 6 is missing**" in gap
    assert "run gridfuse audit verify" in markdown(told(chain[1:]), Language.EN)


def everything() -> Explanation:
    """One decision of every kind that a timeline tells."""
    recorded = Chained(GUANGDONG_2023)
    rt = {"segment": Segment.RT}
    opened = moved(Phase.NORMAL, Phase.DEGRADED, "OUTAGE", outage_start_ns=at_ns("10:00"))
    recorded.add(at_ns("10:00:30"), opened, moved(Phase.DEGRADED, Phase.PROPOSED, "TOPOLOGY_SOFT", evidence=("two lines",)))
    recorded.add(at_ns("10:05"), moved(Phase.PROPOSED, Phase.DEGRADED, "REJECTED", by="li", evidence=("planned work",)))
    recorded.add(
        at_ns("10:06"),
        moved(
            Phase.DEGRADED,
            Phase.TRIPPED,
            tripped_at_ns=at_ns("10:06"),
            by="li",
            condition_met_at_ns=at_ns("10:06"),
            cause="TECHNICAL",
        ),
    )
    recorded.add(at_ns("10:07"), FindingNoted(finding="UPDATE_OVERDUE", article="policy", evidence=("no answer for 10 min",)))
    recorded.add(
        at_ns("10:08"),
        RecoveryProposed(**rt, shadow_ok=4),
        OutageEnded(**rt, outage_start_ns=0, outage_end_ns=NS_PER_H, failed_intervals=3),
    )
    duty = {"duty": "explain", **rt, "key": KEY}
    recorded.add(at_ns("10:09"), DutyOpened(**duty, due_ns=at_ns("11:00"), article="Art. 24", recipients=("GOV",)))
    recorded.add(at_ns("10:10"), DutyReminded(**duty, due_ns=at_ns("11:00"), hours=24.0, overdue=False))
    recorded.add(at_ns("11:10"), DutyReminded(**duty, due_ns=at_ns("11:00"), hours=48.0, overdue=True, missing=("GOV", "REG")))
    recorded.add(at_ns("11:11"), DutyReceived(**duty, recipient="GOV", delivered_at_ns=at_ns("11:11"), reference="", by="li"))
    recorded.add(at_ns("11:11"), DutySettled(duty="explain", segment=Segment.RT, outcome="late", margin_s=-660.0, key=KEY))
    measure = {"measure": "RESUME/RT", "digest": "abcdef0123456789"}
    recorded.add(at_ns("11:12"), ApprovalRequested(**measure, article="Art. 30", scope=(), by="li"))
    said = {"scope": (), "by": "ma", "reference": "D-1"}
    recorded.add(at_ns("11:13"), ApprovalRecorded(**measure, **said, body="GOV", verdict="APPROVED", form="oral"))
    recorded.add(at_ns("11:14"), ApprovalVoided(**measure, why="the content changed"))
    recorded.add(at_ns("11:15"), Refused(command_id="c", by="ma", role="VIEWER", action="CONFIRM_RECOVER", rule="Art. 29", why="not yours"))
    recorded.add(
        at_ns("11:16"),
        ResultRevised(
            **rt,
            interval_start_ns=at_ns("10:00"),
            version=2,
            command_id="c",
            by="li",
            role="MO",
            reason="wrong load",
            approvals={},
            corrected=(),
            hashes={},
            hashes_before={},
            price_cny_per_mwh=None,
            price_before_cny_per_mwh=None,
            price_rev=None,
        ),
    )
    return told(recorded.chain, at_ns("12:00"))


def test_each_kind_of_decision_has_its_sentence() -> None:
    assert lines(everything(), Language.EN) == [
        "normal → clearing failing: no valid result when due (Art. 23(1))",
        "case 2026-06-10-01 opened · Art. 9(2)",
        "clearing failing → trip proposed: change of the grid's topology (Art. 23(1))",
        "trip proposed → clearing failing: rejected by the dispatch institution (Art. 23(1)): planned work",
        "clearing failing → tripped: real-time clearing out without a break (Art. 23(1))",
        "cause: technical cause (Art. 5(3))",
        "a promised update is overdue (policy): no answer for 10 min",
        "4 valid shadow clearings in a row: a person may recover the market",
        "the outage ended after 1 h, 3 intervals without a result",
        "the duty to explain in writing is overdue; without a receipt: government department, regulator",
        "duty to explain in writing: delivered to government department at 2026-06-10 11:11:00",
        "duty to explain in writing: late, margin −11 min",
        "approval of RESUME/RT asked of both bodies (digest abcdef012345)",
        "government department: RESUME/RT approved orally, D-1",
        "approvals of RESUME/RT are void: the content changed",
        "CONFIRM_RECOVER refused (Art. 29): not yours",
        "version 2 of the result of 2026-06-10 10:00:00: wrong load",
    ]
    chinese = lines(everything(), Language.ZH)
    assert len(chinese) == 17
    assert all(re.search("[\u4e00-\u9fff]", line) for line in chinese)
    assert "政府主管部门口头同意 RESUME/RT，D-1" in chinese


def suspended() -> Explanation:
    """A breaker that was not recovered in time, suspended, extended, and resumed."""
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("12:00"), moved(Phase.DEGRADED, Phase.TRIPPED, tripped_at_ns=at_ns("12:00"), condition_met_at_ns=at_ns("12:00")))
    recorded.add(at_ns("13:00"), moved(Phase.TRIPPED, Phase.OVERDUE, "OVER_72_H"))
    begins = {"suspended_from_ns": at_ns("14:00"), "expected_end_ns": at_ns("18:00"), "by": "wang"}
    recorded.add(at_ns("13:30"), moved(Phase.OVERDUE, Phase.OVERDUE, "SUSPENSION_DECIDED", **begins))
    recorded.add(at_ns("14:00"), moved(Phase.OVERDUE, Phase.SUSPENDED, "SUSPENSION_BEGAN"))
    recorded.add(
        at_ns("15:00"), moved(Phase.SUSPENDED, Phase.SUSPENDED, "SUSPENSION_EXTENDED", **begins | {"expected_end_ns": at_ns("20:00")})
    )
    task = {"duty": "assess", "segment": Segment.RT, "key": "assess/RT"}
    recorded.add(at_ns("15:01"), DutyOpened(**task, due_ns=None, article="Art. 25"), DutySettled(**task, outcome="met", margin_s=0.0))
    recorded.add(at_ns("15:02"), FindingNoted(finding="INSUFFICIENT_SAMPLE", article="Art. 27(3)", evidence=("x" * 160, "y")))
    recorded.add(at_ns("15:03"), FindingNoted(finding="INSUFFICIENT_SAMPLE", article="Art. 27(3)", evidence=("x" * 160,)))
    recorded.add(at_ns("16:00"), moved(Phase.SUSPENDED, Phase.RESUMING, "RESUMED", by="li", effective_from_ns=at_ns("17:00")))
    return told(recorded.chain, at_ns("16:30"))


def test_a_suspension_is_told_from_its_decision_to_its_resumption() -> None:
    text = markdown(suspended(), Language.EN)
    assert text.startswith("# Explanation of the market breaker and suspension: real-time market\n")
    assert "- Time out of the market: **4 h 30 min**\n" in text
    for said in (
        "the market operators (wang) decided at 2026-06-10 13:30:00 to suspend it from 2026-06-10 14:00:00, ",
        "with 2026-06-10 20:00:00 as the expected end. With both approvals, the market operators (li) announced at 2026-06-10 16:00:00 ",
        "that it resumes; market prices return from the interval at 2026-06-10 17:00:00.",
    ):
        assert said in text, said
    assert "duty to assess impact and trend: met |" in text
    assert f"{'x' * 160}… |" in text
    assert f"{'x' * 160} |" in text
    chinese = markdown(suspended(), Language.ZH)
    assert chinese.startswith("# 电力现货实时市场熔断及中止情况说明\n")
    assert "市场运营机构 wang 决定自 2026年6月10日 14:00:00 起中止市场，预计 2026年6月10日 20:00:00 结束。" in chinese
    assert "市场运营机构 li 经两部门批准公告恢复" in chinese


def test_what_keeps_a_phase_begins_no_other() -> None:
    assert [(span.phase, span.from_ns) for span in suspended().phases] == [
        ("TRIPPED", at_ns("12:00")),
        ("OVERDUE", at_ns("13:00")),
        ("SUSPENDED", at_ns("14:00")),
        ("RESUMING", at_ns("16:00")),
    ]


def test_tones_and_names_of_the_timeline() -> None:
    by_text = {event.text: event for event in events(everything(), Language.EN)}
    assert {event.tone for event in by_text.values()} == {"", "trip", "late", "back"}
    assert by_text["CONFIRM_RECOVER refused (Art. 29): not yours"].who == "ma (VIEWER)"
    assert by_text["case 2026-06-10-01 opened · Art. 9(2)"].who == "service"


class Balanced(HTMLParser):
    """Checks that what is opened is closed, in order, and collects addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "action")]
        if tag not in ("meta", "rect", "line", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag


@pytest.mark.parametrize("language", BOTH)
def test_the_file_needs_nothing_besides_itself(language: Language) -> None:
    written = html(explained(), language)
    parser = Balanced()
    parser.feed(written)
    assert parser.open == []
    assert parser.addresses == []
    assert not parser.tags & {"script", "link", "img", "iframe", "form"}
    assert "http" not in written.replace("http-equiv", "")
    assert "@import" not in written
    assert "url(" not in written
    assert f'<html lang="{"zh-CN" if language is Language.ZH else "en"}">' in written
    assert written.count("<svg") == 2


def test_what_people_wrote_is_text_and_no_markup() -> None:
    written = html(explained(), Language.EN)
    assert "&lt;landfall&gt;" in written
    assert "<landfall>" not in written
    assert "moved the log &amp; restarted" in written


def test_the_same_record_gives_the_same_bytes() -> None:
    before = digest(html(explained(), Language.ZH))
    explained.cache_clear()
    assert digest(html(explained(), Language.ZH)) == before
    assert len(before) == 64


def test_pictures_show_states_and_rules() -> None:
    states = phases_svg(explained(), Language.EN, "x")
    assert re.findall(r'fill="(#\w+)"', states) == [COLOURS[phase] for phase in ("DEGRADED", "TRIPPED", "RESUMING")]
    assert states.count(">resuming<") == 1
    prices = prices_svg(explained(), Language.EN, 'a "label"')
    assert prices.count('class="price"') == 26
    assert prices.count('class="under"') == 2
    assert 'aria-label="a &quot;label&quot;"' in prices
    for level in ("380", "390", "430"):
        assert f">{level}</text>" in prices


def test_a_short_phase_is_named_above_and_what_runs_reaches_to_now() -> None:
    recorded = Chained(GUANGDONG_2023)
    recorded.add(at_ns("10:00"), moved(Phase.NORMAL, Phase.PROPOSED))
    recorded.add(at_ns("10:01"), moved(Phase.PROPOSED, Phase.TRIPPED, tripped_at_ns=at_ns("10:01")))
    drawn = phases_svg(told(recorded.chain, at_ns("10:00") + 72 * NS_PER_H), Language.ZH, "x")
    assert drawn.count('class="lead"') == 1
    assert 'width="2.0"' in drawn
    assert ">06-11<" in drawn
    assert ">12:00<" in drawn


def test_an_interval_without_a_price_is_a_gap_in_the_line() -> None:
    prices = [price("10:00", Regime.ART27_3, None), price("10:15", Regime.ART27_3, 300.0), price("10:30", Regime.ART27_3, 300.0)]
    drawn = prices_svg(told(outage().chain, prices=prices), Language.EN, "x")
    assert (drawn.count('class="price"'), drawn.count('class="riser"')) == (2, 1)
    assert prices_svg(told(outage().chain, prices=prices[:1]), Language.EN, "x") == ""
    assert phases_svg(told(_session().chain), Language.EN, "x") == ""
    assert "<figure>" not in html(told(_session().chain), Language.EN)


def _session() -> Chained:
    recorded = Chained(GUANGDONG_2023)
    recorded.order("2026-06-10T09:00:00+08:00", "OPEN_CASE", **{"class": "CANNOT_START", "item": "7(1)", "subject": "session S"})
    return recorded


def test_a_session_without_a_cause_says_so() -> None:
    text = markdown(told(_session().chain), Language.ZH)
    assert text.startswith("# 市场异常情况说明：session S\n")
    assert "**尚缺：原因（第五条）**" in text
    assert "原因：尚未认定" in text


def test_what_was_found_of_a_session_is_told_with_its_evidence() -> None:
    result = drill("gd_10_2")
    text = markdown(told(result.decisions), Language.EN)
    assert "An anomaly was found at 2026-06-10 16:01:00: session S (Art. 10).\n" in text
    assert "Intervals priced by rule" not in text
    assert "Cause: technical cause (Art. 5(3)), presumed by the service" in text
    assert "| No. | did not end · Art. 10 · 2026-06-10 16:01:00 · #2 |" in text
    assert "| 3 | quarantined, not deleted; Art. 14 or 16 decides |" in text
    assert (
        "| 16:03:00 | entry: over: NOT_ENDED: the window closed at 2026-06-10T16:03:00+08:00; 6 items were accepted after its end" in text
    )
    assert text.count("linked: QUARANTINED") == 5
    assert "- 30 min announcement: **overdue**" in text


def test_everything_that_is_recorded_by_code_has_a_name_in_both_languages() -> None:
    roles = (Role.DISPATCH, Role.TRADING, Role.MO, Role.GOV, Role.REG)
    for code in (*Phase, *Regime, *Cause, *AnomalyClass, *Segment, *roles, *TransitionEvent, *Basis):
        if code in ("CONDITION_PROPOSED", "CONDITION_TRIPPED"):
            continue  # a condition is recorded by its own name
        zh, en = name(code, Language.ZH), name(code, Language.EN)
        assert zh != code, code
        assert en != code, code
        assert re.search("[\u4e00-\u9fff]", zh)
    assert name("UNHEARD_OF", Language.ZH) == "UNHEARD_OF"
    assert set(COLOURS) >= {*Phase, *Regime} - {Phase.NORMAL}


def test_instants_durations_and_margins() -> None:
    zone = "Asia/Shanghai"
    assert at(at_ns("09:00:00.5"), zone, Language.EN) == "2026-06-10 09:00:00.500"
    assert (clock(at_ns("09:00"), zone), clock(at_ns("09:00:30"), zone), clock(at_ns("09:00:00.5"), zone)) == (
        "09:00",
        "09:00:30",
        "09:00:00.500",
    )
    told_ = [duration(seconds, Language.EN) for seconds in (59, 60, 3_599, 3_600, 3_660, 86_400, 86_399, 90_000, 0.5)]
    assert told_ == ["59 s", "1 min", "59 min 59 s", "1 h", "1 h 1 min", "1 d", "23 h 59 min", "1 d 1 h", "0.5 s"]
    assert (signed(0, Language.EN), signed(-1, Language.EN), signed(1, Language.ZH)) == ("0 s", "−1 s", "1 秒")
    assert [numeral_zh(number) for number in (1, 10, 11, 20, 21, 33)] == ["一", "十", "十一", "二十", "二十一", "三十三"]


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("Art. 29", "第二十九条", "Art. 29"),
        ("Art. 9(2)", "第九条第（二）项", "Art. 9(2)"),
        ("policy Q9", "规则集自定（Q9）", "policy Q9"),
        ("market calendar", "market calendar", "market calendar"),
    ],
)
def test_citations(text: str, zh: str, en: str) -> None:
    assert (item(text, Language.ZH), item(text, Language.EN)) == (zh, en)


@pytest.mark.parametrize(
    ("text", "en"),
    [
        ("TECHNICAL (Art. 5(3))", "technical cause (Art. 5(3))"),
        ("TECHNICAL (Art. 5(3)), presumed", "technical cause (Art. 5(3)), presumed by the service"),
        ("DETERMINED (Art. 5(5)), Doc 7, presumed", "determined by the authority (Art. 5(5)), Doc 7, presumed by the service"),
        ("DETERMINED (Art. 5(5)), Doc 7: because, of it: all", "determined by the authority (Art. 5(5)), Doc 7: because, of it: all"),
        ("said otherwise", "said otherwise"),
    ],
)
def test_causes(text: str, en: str) -> None:
    assert cause(text, Language.EN) == en


def test_evidence_keeps_its_words_where_nobody_translated_them() -> None:
    assert evidence("something at 2026-06-10T09:00:00.250+08:00", Language.ZH) == "something at 2026年6月10日 09:00:00.250"
    assert evidence("something at 2026-06-10T09:00:00+08:00", Language.EN) == "something at 2026-06-10 09:00:00"
    assert evidence("load lost within 10 min: 16800 MW of 120000 MW", Language.ZH) == "10 分钟内损失负荷 16800 MW（此前 120000 MW）"
