"""Boundary data in versions, deadlines that move by the rules, paper under two persons (Art. 20, 21)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.commands import refusal
from market.decisions import DecisionBody, FindingNoted, Refused
from market.facts import CommandGiven
from market.rules import GUANGDONG_2023, rules_from
from market.spot import NoticeWanted, SpotBook, incomplete, ordered
from market.units import NS_PER_S, instant_ns
from tests.kit.table import at_ns

RULES = GUANGDONG_2023
DAY = "2026-06-11"


def give(
    book: SpotBook, action: str, at: str | int, rules: Any = RULES, by: str = "chen", role: str = "TRADING", **args: Any
) -> tuple[SpotBook, tuple[DecisionBody, ...], tuple[NoticeWanted, ...]]:
    now_ns = at if isinstance(at, int) else at_ns(at)
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in ({"operating_day": DAY} | args).items()}
    command = CommandGiven(ts_event_ns=now_ns, command_id="c", by=by, role=role, action=action, args=texts)
    assert refusal(command) is None
    after, bodies, notices = ordered(book, command, now_ns, rules)
    assert msgspec.json.decode(msgspec.json.encode(after), type=SpotBook) == after
    if any(isinstance(body, Refused) for body in bodies):
        assert (after, len(bodies), notices) == (book, 1, ()), "a refusal changes nothing"
    return after, bodies, notices


def why(answer: tuple[SpotBook, tuple[DecisionBody, ...], tuple[NoticeWanted, ...]]) -> str:
    refused = answer[1][0]
    assert isinstance(refused, Refused), answer
    return f"{refused.rule}: {refused.why}"


def told(bodies: tuple[DecisionBody, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(body.finding, body.evidence) for body in bodies if isinstance(body, FindingNoted)]


def published(deadline: str = "2026-06-10T10:30:00+08:00") -> SpotBook:
    content = {"load_mw": [100, 200], "lines_out": "none"}
    return give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content=content, deadline=deadline)[0]


def failed() -> SpotBook:
    return give(published(), "CONFIRM_DECLARATION_FAILURE", "10:20", reason="gateway down")[0]


def move(
    book: SpotBook, at: str | int, deadline: str, rules: Any = RULES
) -> tuple[SpotBook, tuple[DecisionBody, ...], tuple[NoticeWanted, ...]]:
    return give(book, "MOVE_DEADLINE", at, rules, deadline=f"2026-06-10T{deadline}+08:00", reason="gateway down")


def test_a_first_version_sets_the_deadline_and_has_no_difference() -> None:
    book, bodies, notices = give(
        SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"load_mw": [100, 200]}, deadline="2026-06-10T10:30:00+08:00"
    )
    (finding, evidence), (second, until) = told(bodies)
    assert (finding, second) == ("BOUNDARY_PUBLISHED", "DEADLINE_SET")
    assert evidence[0].startswith("operating day 2026-06-11: boundary data version 1, 2 values, digest ")
    assert len(evidence) == 1
    assert until == ("operating day 2026-06-11: declarations until 2026-06-10T10:30:00+08:00",)
    assert [notice.kind for notice in notices] == ["BOUNDARY"]
    assert notices[0].facts["difference"] == "–"
    assert book.days[0].deadline_ns == at_ns("10:30")


def test_a_new_version_shows_the_difference_and_moves_the_deadline() -> None:  # GD-20-1
    content = {"load_mw": [100, 190], "lines_out": "L500-3", "note": {"by": "dispatch"}}
    book, bodies, notices = give(
        published(), "PUBLISH_BOUNDARY", "10:10", content=content, deadline="2026-06-10T11:00:00+08:00", reason="500 kV line out"
    )
    (_, evidence), (finding, moved) = told(bodies)
    assert evidence[1:] == ("load_mw[1]: 200 → 190", 'lines_out: "none" → "L500-3"', 'note.by: none → "dispatch"')
    assert finding == "DEADLINE_MOVED"
    assert moved == (
        "operating day 2026-06-11: deadline 2026-06-10T10:30:00+08:00 → 2026-06-10T11:00:00+08:00",
        "published 50 min ahead of the new deadline, 20 min ahead of the old one",
        "500 kV line out",
    )
    assert [(notice.kind, notice.subject) for notice in notices] == [("BOUNDARY", f"boundary/{DAY}"), ("DEADLINE", f"deadline/{DAY}")]
    assert notices[0].facts == {
        "article": "Art. 20",
        "operating_day": DAY,
        "version": "2",
        "difference": 'load_mw[1]: 200 → 190; lines_out: "none" → "L500-3"; note.by: none → "dispatch"',
        "published_at": "2026-06-10T10:10:00+08:00",
    }
    assert notices[1].facts == {
        "article": "Art. 20",
        "operating_day": DAY,
        "deadline_at": "2026-06-10T11:00:00+08:00",
        "reason": "500 kV line out",
    }
    assert (book.days[0].version, book.days[0].deadline_ns, len(book.days)) == (2, at_ns("11:00"), 1)
    assert incomplete(book, DAY) == ()


def test_a_deadline_without_a_reason_moves_because_the_data_changed() -> None:
    _, bodies, _ = give(published(), "PUBLISH_BOUNDARY", "10:00", content={"x": 1}, deadline="2026-06-10T11:00:00+08:00")
    assert told(bodies)[1][1][2] == "boundary data version 2"


def test_what_is_null_or_gone_makes_a_set_incomplete_until_it_is_given() -> None:
    book, bodies, _ = give(published(), "PUBLISH_BOUNDARY", "10:00", content={"load_mw": [100, None]})
    assert incomplete(book, DAY) == ("lines_out", "load_mw[1]")
    assert told(bodies)[0][1][-1] == "incomplete, nothing may be cleared from it: lines_out, load_mw[1]"
    assert 'lines_out: "none" → null' in told(bodies)[0][1]
    book, _, _ = give(book, "PUBLISH_BOUNDARY", "10:01", content={"load_mw": [100, 200]})
    assert incomplete(book, DAY) == ("lines_out",)
    book, bodies, _ = give(book, "PUBLISH_BOUNDARY", "10:02", content={"load_mw": [100, 200], "lines_out": ""})
    assert incomplete(book, DAY) == ()
    assert incomplete(book, "2026-06-12") == ()
    assert "incomplete" not in told(bodies)[0][1][-1]


def test_the_same_data_are_no_new_version() -> None:
    content = {"lines_out": "none", "load_mw": [100, 200]}  # in another order
    assert "Art. 20: these are the boundary data of version 1 already" in why(
        give(published(), "PUBLISH_BOUNDARY", "10:00", content=content)
    )
    again = give(published(), "PUBLISH_BOUNDARY", "10:00", content=content, deadline="2026-06-10T11:00:00+08:00")
    assert "already" in why(again)
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content=content)
    book, _, _ = give(book, "PUBLISH_BOUNDARY", "09:31", content=content, deadline="2026-06-10T10:30:00+08:00")
    assert (book.days[0].version, book.days[0].deadline_ns) == (2, at_ns("10:30"))


def test_many_differences_are_counted_beyond_the_first_twenty() -> None:
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"load_mw": list(range(21))})
    _, bodies, _ = give(book, "PUBLISH_BOUNDARY", "09:31", content={"load_mw": list(range(1, 22))})
    assert told(bodies)[0][1][-2:] == ("load_mw[19]: 19 → 20", "and 1 more")
    _, bodies, _ = give(book, "PUBLISH_BOUNDARY", "09:31", content={"load_mw": [*range(1, 21), 20]})
    assert told(bodies)[0][1][-1] == "load_mw[19]: 19 → 20"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "content is not JSON"),
        ("[1]", "content is not a JSON object"),
        ("{}", "content is not a JSON object"),
        (json.dumps({"x": [1] * 513}), "more than 512 values"),
    ],
)
def test_content_that_cannot_be_read_is_refused(content: str, complaint: str) -> None:
    assert complaint in why(give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content=content))


def test_as_many_values_as_are_allowed_are_taken_and_empty_lists_are_values() -> None:
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"x": [1] * 511, "y": []})
    assert len(book.days[0].values) == 512
    assert book.days[0].values["y"] == "[]"


def test_notice_of_a_deadline_is_given_ahead_of_the_new_one() -> None:  # GD-21-1
    book, bodies, notices = move(failed(), "10:25", "11:00:00")
    assert told(bodies)[0][1][1] == "published 35 min ahead of the new deadline, 5 min ahead of the old one"
    assert notices[0].facts["article"] == "Art. 21"
    assert book.days[0].deadline_ns == at_ns("11:00")


def test_too_short_a_notice_is_refused_with_the_earliest_lawful_deadline() -> None:  # GD-21-2
    assert why(move(failed(), "10:29", "10:55:00")) == (
        "Art. 21: deadline 2026-06-10T10:55:00+08:00 is less than 30 min ahead; the earliest lawful one is 2026-06-10T10:59:00+08:00"
    )
    assert move(failed(), "10:29", "10:59:00")[0].days[0].deadline_ns == at_ns("10:59")
    assert "earliest lawful" in why(move(failed(), "10:29", "10:58:59.999"))


@given(st.integers(at_ns("10:20"), at_ns("18:00")))
def test_what_is_offered_is_lawful_and_the_earliest_whole_second(now_ns: int) -> None:
    book = failed()
    offered = why(move(book, now_ns, "10:30:00.001")).split("lawful one is ")[1].strip()
    taken, _, _ = give(book, "MOVE_DEADLINE", now_ns, deadline=offered, reason="x")
    assert taken.days[0].deadline_ns == instant_ns(offered)
    assert 0 <= instant_ns(offered) - now_ns - 1800 * NS_PER_S < NS_PER_S


def test_the_notice_is_a_number_of_the_rule_set() -> None:
    rules = rules_from({"duty_clocks": {"declaration_notice_min": 45}})
    assert "less than 45 min ahead; the earliest lawful one is 2026-06-10T11:10:00+08:00" in why(move(failed(), "10:25", "11:00:00", rules))


def test_a_deadline_is_postponed_and_never_brought_forward() -> None:
    book = move(failed(), "10:25", "12:00:00")[0]
    assert "does not postpone that of 2026-06-10T12:00:00+08:00" in why(move(book, "10:26", "11:30:00"))
    assert "does not postpone" in why(move(book, "10:26", "12:00:00"))
    assert move(book, "10:26", "12:00:00.001")[0].days[0].deadline_ns == at_ns("12:00:00.001")


def test_after_the_old_deadline_it_can_still_be_moved_and_that_is_said() -> None:
    assert "0 min ahead of the old one" in told(move(failed(), "10:30", "11:00:00")[1])[0][1][1]
    assert (
        "30 min after the old one, which Art. 21 asks to come before it where possible"
        in told(move(failed(), "11:00", "11:30:00")[1])[0][1][1]
    )


def test_a_deadline_lies_before_the_operating_day() -> None:
    late = give(failed(), "MOVE_DEADLINE", "10:25", deadline="2026-06-11T00:00:00+08:00", reason="x")
    assert "is not before operating day 2026-06-11 begins" in why(late)
    last = give(failed(), "MOVE_DEADLINE", "10:25", deadline="2026-06-10T23:59:59.999+08:00", reason="x")
    assert len(last[2]) == 1
    assert "deadline: '11:00' is not an ISO 8601 instant" in why(give(failed(), "MOVE_DEADLINE", "10:25", deadline="11:00", reason="x"))


def test_a_first_deadline_lies_ahead_and_the_refusal_names_its_article() -> None:
    over = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"x": 1}, deadline="2026-06-10T09:30:00+08:00")
    assert why(over) == "Art. 21: deadline 2026-06-10T09:30:00+08:00 is over; it is 2026-06-10T09:30:00+08:00"
    assert give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"x": 1}, deadline="2026-06-10T09:30:00.001+08:00")[0].days


def test_a_deadline_moves_for_a_reason() -> None:
    assert "nothing failed on operating day 2026-06-11 that the trading institution confirmed" in why(
        move(published(), "10:25", "11:00:00")
    )
    changed, _, _ = give(published(), "PUBLISH_BOUNDARY", "10:00", content={"x": 1})
    assert move(changed, "10:25", "11:00:00")[2][0].facts["article"] == "Art. 20"
    assert "has no deadline yet" in why(move(SpotBook(), "10:25", "11:00:00"))


def test_a_failure_is_confirmed_once() -> None:
    book, bodies, _ = give(published(), "CONFIRM_DECLARATION_FAILURE", "10:20", reason="gateway down")
    assert told(bodies) == [
        ("DECLARATION_FAILURE", ("operating day 2026-06-11: declarations failed for a reason of the system", "gateway down", "by chen"))
    ]
    assert "Art. 21: that declarations for operating day 2026-06-11 failed is confirmed already" in why(
        give(book, "CONFIRM_DECLARATION_FAILURE", "10:21", reason="x")
    )


def paper(book: SpotBook, second: str = "li", content: str = "100 MWh at 300", participant: str = "P7") -> Any:
    return give(book, "PAPER_DECLARATION", "10:40", participant=participant, content=content, second=second)


def test_paper_is_entered_by_two_persons_once_the_failure_is_confirmed() -> None:
    assert "no declaration failure of operating day 2026-06-11 is confirmed" in why(paper(published()))
    for second in ("chen", " Chen "):
        assert "a paper declaration is entered by two persons" in why(paper(failed(), second=second))
    book, bodies, notices = paper(failed())
    (finding, evidence) = told(bodies)[0]
    assert finding == "PAPER_DECLARATION"
    assert evidence[0].startswith("operating day 2026-06-11: paper declaration of P7, version 1, digest ")
    assert evidence[1:] == ("entered by chen and li", "100 MWh at 300")
    assert notices == ()
    assert "entered already, version 1" in why(paper(book))
    book, _, _ = paper(book, content="90 MWh at 300")
    book, _, _ = paper(book, participant="P8")
    assert [(each.participant, each.version) for each in book.days[0].papers] == [("P7", 2), ("P8", 1)]


def test_a_day_that_has_begun_is_over_for_orders_and_forgotten() -> None:
    began = give(SpotBook(), "PUBLISH_BOUNDARY", "00:00", operating_day="2026-06-10", content={"x": 1})
    assert why(began) == "Art. 20: operating day 2026-06-10 began at 2026-06-10T00:00:00+08:00; name one that is ahead"
    assert "policy: operating_day: 'soon' is not a day" in why(
        give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", operating_day="soon", content={"x": 1})
    )
    next_day_ns = at_ns("00:00") + 24 * 3600 * NS_PER_S
    book, _, _ = give(published(), "PUBLISH_BOUNDARY", next_day_ns - 1, operating_day="2026-06-12", content={"x": 1})
    assert [known.day for known in book.days] == ["2026-06-11", "2026-06-12"]
    book, _, _ = give(book, "PUBLISH_BOUNDARY", next_day_ns, operating_day="2026-06-12", content={"x": 2})
    assert [known.day for known in book.days] == ["2026-06-12"]


def test_what_is_written_in_chinese_is_shown_and_digested_as_it_is_written() -> None:
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content='{"检修": "无"}')
    assert book.days[0].values == {"检修": '"无"'}
    canonical = json.dumps({"检修": '"无"'}, sort_keys=True, ensure_ascii=False).encode()
    assert book.days[0].digest == hashlib.sha256(canonical).hexdigest()


def test_what_holds_nothing_is_a_value_wherever_it_stands() -> None:
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"lines": {"out": {}}, "units": []})
    assert book.days[0].values == {"lines.out": "{}", "units": "[]"}


def test_the_same_data_are_no_new_version_on_a_day_without_a_deadline_either() -> None:
    book, _, _ = give(SpotBook(), "PUBLISH_BOUNDARY", "09:30", content={"load_mw": 1})
    assert "already" in why(give(book, "PUBLISH_BOUNDARY", "09:31", content={"load_mw": 1}))
