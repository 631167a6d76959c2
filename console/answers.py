"""What became of an order that a person sent? The decisions know; here they are asked by the order's id.

An order is answered by exactly one decision: it was carried out (``CommandAccepted``, ``ClearingOrdered``) or a rule forbade it
(``Refused``). What came of it stands behind that decision, at the same instant, up to the next answer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from market.decisions import ClearingOrdered, CommandAccepted, Decision, Refused
from streams.sentences import sentence

__all__ = ["ANSWERING", "Answer", "AnswerState", "Answers", "answer_of"]

_KEPT: Final = 512
_THEN_KEPT: Final = 24

ANSWERING: Final = tuple(kind.__name__ for kind in (CommandAccepted, ClearingOrdered, Refused))
"""Kinds of decision that answer an order."""


class AnswerState(StrEnum):
    """How far an order is."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """One thing that came of an order, in a sentence of either language."""

    seq: int
    kind: str
    en: str
    zh: str


@dataclass(slots=True, kw_only=True)
class Answer:
    """What became of one order.

    Attributes:
        seq: number of the decision that answers it; None while there is none.
        rule: the article that gave the power, or the rule that forbade it.
        why: of a refusal: what is wrong, and the remedy.
        then: what came of it.
    """

    command_id: str
    state: AnswerState = AnswerState.PENDING
    seq: int | None = None
    ts_event_ns: int | None = None
    action: str = ""
    rule: str = ""
    why: str = ""
    then: list[Consequence] = field(default_factory=list)


def answer_of(decision: Decision) -> Answer:
    """Return what a decision answers; its kind is one of :data:`ANSWERING`."""
    body, refused = decision.body, decision.kind == Refused.__name__
    return Answer(
        command_id=body["command_id"],
        state=AnswerState.REFUSED if refused else AnswerState.ACCEPTED,
        seq=decision.seq,
        ts_event_ns=decision.ts_event_ns,
        action=body.get("action", "CLEAR_AGAIN"),
        rule=body["rule"] if refused else body["article"],
        why=body["why"] if refused else "",
    )


class Answers:
    """The answers to recent orders.

    Args:
        zone: the market's zone, for sentences.
    """

    def __init__(self, zone: str) -> None:
        self._zone = zone
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._last: Answer | None = None

    def sent(self, command_id: str) -> None:
        """Note that an order is on its way; it is pending until a decision answers it."""
        self._keep(self._answers.get(command_id) or Answer(command_id=command_id))

    def see(self, decision: Decision) -> None:
        """Take in the next decision, in the order of their numbers."""
        if decision.kind in ANSWERING:
            # The refusal of what was ordered and could not be done comes after its acceptance, and is the answer then.
            self._last = answer_of(decision)
            self._keep(self._last)
        elif self._last is not None and self._last.ts_event_ns == decision.ts_event_ns and len(self._last.then) < _THEN_KEPT:
            english, chinese = sentence(decision, self._zone)
            self._last.then.append(Consequence(seq=decision.seq, kind=decision.kind, en=english, zh=chinese))
        else:
            self._last = None

    def of(self, command_id: str) -> Answer | None:
        """Return what became of an order; None for one that is not known here."""
        return self._answers.get(command_id)

    def _keep(self, answer: Answer) -> None:
        self._answers[answer.command_id] = answer
        self._answers.move_to_end(answer.command_id)
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
