"""The notice of an anomaly of a trading session: what it says, whose place it takes, when it ends, and when it is refused."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from market.announcements import notice_text
from market.anomalynotices import announced
from market.caserecord import Case, CaseBook, Closed
from market.decisions import Announcement, Refused
from market.facts import CommandGiven, Segment
from market.handling import CaseClosed
from market.notices import NoticeBoard, active, followed, next_deadline_ns, ordered, ticked, view
from market.rules import GUANGDONG_2023 as RULES
from market.units import NS_PER_DAY
from tests.kit.seensegments import SeenSegment
from tests.kit.table import at_ns

CASE = Case(
    case="2026-06-10-01",
    key="CANNOT_START/session s",
    segment=None,
    anomaly="CANNOT_START",
    item="Art. 7(5)",
    subject="session S",
    discovered_ns=at_ns("09:00"),
)
BOOK = CaseBook(
    cases=(replace(CASE, case="2026-06-09-07", segment=Segment.RT), CASE), closed=(Closed(case="2026-06-08-01", closed_ns=at_ns("08:00")),)
)


def tell(
    board: NoticeBoard, case: str = "2026-06-10-01", now: int = at_ns("09:30"), **more: str
) -> tuple[NoticeBoard, Announcement | Refused]:
    args = {"case": case, "text_zh": " 登录故障。 ", "text_en": " Logins fail. ", **more}
    command = CommandGiven(ts_event_ns=now, command_id="c", by="zhou", role="TRADING", action="ANNOUNCE_ANOMALY", args=args)
    after, (said,) = announced(board, BOOK, command, now, RULES)
    assert msgspec.json.decode(msgspec.json.encode(after), type=NoticeBoard) == after
    assert isinstance(said, Announcement | Refused)
    return after, said


def test_it_names_the_case_its_discovery_and_what_is_the_matter_in_both_languages() -> None:
    board, said = tell(NoticeBoard())
    assert isinstance(said, Announcement)
    assert said.text_en == (
        "[AN-2026-06-10-01] Market anomaly (Art. 11, case 2026-06-10-01). Discovered at 2026-06-10 09:00:00. Logins fail. "
        "Times are UTC+08:00."
    )
    assert said.text_zh.startswith("【AN-2026-06-10-01】市场异常公告（第十一条，案件 2026-06-10-01）。发现时刻：2026年6月10日09:00:00。")
    assert said.text_zh.endswith("情况：登录故障。 以上时间均为 UTC+08:00。")
    assert (said.segment, said.subject, said.supersedes, said.published_at_ns) == (None, "anomaly/2026-06-10-01", "", at_ns("09:30"))
    assert (said.facts["by"], said.facts["template"], said.facts["case"]) == ("zhou", "T11", "2026-06-10-01")
    assert [(each.number, each.kind, each.segment) for each in view(board)] == [("AN-2026-06-10-01", "ANOMALY", None)]


def test_given_again_it_supersedes_the_one_before_and_numbers_count_by_day() -> None:
    board, _ = tell(NoticeBoard())
    board, said = tell(board)
    assert isinstance(said, Announcement)
    assert (said.number, said.supersedes, active(board)) == ("AN-2026-06-10-02", "AN-2026-06-10-01", ("AN-2026-06-10-02",))
    _, said = tell(board, now=at_ns("09:30") + NS_PER_DAY)
    assert isinstance(said, Announcement)
    assert said.number == "AN-2026-06-11-01"


def test_it_ends_with_its_case_and_not_with_another_nor_with_time() -> None:
    board, _ = tell(NoticeBoard())
    assert next_deadline_ns(board, at_ns("09:30"), RULES) is None
    assert ticked(board, at_ns("09:30") + 9 * NS_PER_DAY, RULES) == (board, ())
    for case, left in (("2026-06-10-02", 1), ("2026-06-10-01", 0)):
        after, said = followed(board, CaseClosed(case=case, by="zhou"), at_ns("10:00"), RULES, None, day_ahead=True, real_time=True)
        assert (len(after.notices), said) == (left, ())
        assert (after is board) is bool(left)


@pytest.mark.parametrize(
    ("case", "rule", "why"),
    [
        ("2026-06-09-07", "Art. 11", "case 2026-06-09-07 is of RT, whose notices say what is so; PUBLISH_UPDATE adds to them"),
        ("2026-06-08-01", "policy", "case 2026-06-08-01 was closed at 2026-06-10T08:00:00+08:00; open another with OPEN_CASE"),
        ("2026-06-10-09", "policy", "no case '2026-06-10-09' is open; open: 2026-06-09-07, 2026-06-10-01"),
    ],
)
def test_what_is_no_open_case_of_a_session_is_not_announced(case: str, rule: str, why: str) -> None:
    board, refused = tell(NoticeBoard(), case)
    assert isinstance(refused, Refused)
    assert (board, refused.rule, refused.why, refused.by) == (NoticeBoard(), rule, why, "zhou")


def test_it_is_corrected_by_being_published_anew() -> None:
    board, _ = tell(NoticeBoard())
    args = {"number": "AN-2026-06-10-01", "reason": "x", "text_zh": "更正", "text_en": "corrected"}
    command = CommandGiven(ts_event_ns=0, command_id="c", by="zhou", role="TRADING", action="CORRECT_NOTICE", args=args)
    after, (refused,) = ordered(board, command, at_ns("09:40"), RULES, {which: SeenSegment() for which in Segment})
    assert isinstance(refused, Refused)
    assert (after, refused.rule) == (board, "Art. 23")
    assert refused.why == "AN-2026-06-10-01 is about no segment; publish it anew, which supersedes it (ANNOUNCE_ANOMALY)"


def test_what_is_about_no_segment_needs_no_operating_day_and_what_is_about_one_does() -> None:
    facts = {
        "number": "n",
        "article": "Art. 11",
        "case": "c",
        "discovered_at": "2026-06-10T09:00:00+08:00",
        "words_zh": "甲",
        "words_en": "a",
    }
    assert "a" in notice_text("ANOMALY", None, "", facts)[1]
    with pytest.raises(KeyError, match="operating_day"):
        notice_text("ANOMALY", "DA", "", facts)


def test_a_stale_screen_announces_nothing() -> None:
    assert isinstance(tell(NoticeBoard(), version="1")[1], Announcement)
    _, refused = tell(NoticeBoard(), version="2")
    assert isinstance(refused, Refused)
    assert (refused.rule, refused.why) == ("policy", "the screen showed version 2, case 2026-06-10-01 is at 1; look again")
