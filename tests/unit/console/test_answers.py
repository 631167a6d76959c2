"""What became of an order: one answer, and what came of it."""

from __future__ import annotations

from dataclasses import replace

from console.answers import ANSWERING, Answers, AnswerState
from market.decisions import CommandAccepted, DecisionBody, Phase, Refused, Reminded, Transition
from market.facts import Segment
from tests.kit.decided import EVERY_BODY, NOON, chain_of

ACCEPTED = CommandAccepted(command_id="c1", by="op7", role="DISPATCH", action="CONFIRM_TRIP", args={}, article="Art. 23")
REFUSED = Refused(
    command_id="c2", by="op7", role="TRADING", action="CONFIRM_TRIP", rule="Art. 23", why="only dispatch may; ask a dispatcher"
)
MOVED = Transition(segment=Segment.RT, before=Phase.PROPOSED, after=Phase.TRIPPED, basis="RT_120", article="Art. 23(1)")


def heard(*bodies: DecisionBody, spread: bool = False) -> Answers:
    answers = Answers("Asia/Shanghai")
    for decision in chain_of(bodies):
        answers.see(decision if spread else replace(decision, ts_event_ns=NOON))
    return answers


def test_an_order_is_pending_until_a_decision_names_it() -> None:
    answers = Answers("Asia/Shanghai")
    assert answers.of("c1") is None
    answers.sent("c1")
    pending = answers.of("c1")
    assert pending is not None
    assert (pending.state, pending.seq) == (AnswerState.PENDING, None)
    answers.see(chain_of([ACCEPTED])[0])
    answers.sent("c1")
    decided = answers.of("c1")
    assert decided is not None
    assert (decided.state, decided.seq, decided.rule) == (AnswerState.ACCEPTED, 1, "Art. 23"), "sent twice, it keeps its answer"


def test_a_refusal_carries_rule_and_remedy() -> None:
    answer = heard(REFUSED).of("c2")
    assert answer is not None
    assert (answer.state, answer.rule, answer.why) == (AnswerState.REFUSED, "Art. 23", "only dispatch may; ask a dispatcher")


def test_what_came_of_an_order_stands_behind_it_up_to_the_next_answer() -> None:
    answers = heard(ACCEPTED, MOVED, REFUSED, MOVED)
    carried, refused = answers.of("c1"), answers.of("c2")
    assert carried is not None
    assert refused is not None
    assert [(one.kind, one.seq) for one in carried.then] == [("Transition", 2)]
    assert carried.then[0].zh.startswith("RT PROPOSED → TRIPPED")


def test_what_is_decided_later_did_not_come_of_it() -> None:
    reminded = Reminded(segment=Segment.RT, outage_start_ns=NOON, minutes=15, headroom_min=105)
    answer = heard(ACCEPTED, reminded, spread=True).of("c1")
    assert answer is not None
    assert answer.then == []


def test_every_kind_that_answers_can_be_read() -> None:
    answers = heard(*EVERY_BODY)
    ids = {body.command_id for body in EVERY_BODY if type(body).__name__ in ANSWERING}  # type: ignore[union-attr]
    assert {answer.state for command_id in ids if (answer := answers.of(command_id))} == {AnswerState.ACCEPTED, AnswerState.REFUSED}


def test_old_orders_are_forgotten() -> None:
    answers = Answers("Asia/Shanghai")
    for number in range(2_000):
        answers.sent(f"c{number}")
    assert answers.of("c0") is None
    assert answers.of("c1999") is not None
