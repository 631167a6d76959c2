"""What becomes of an order: checked, handed to the part of the market it is for, and put on record either way.

An order is carried out whole or not at all: where its owner refuses it, or one of the segments it names does, the refusal is all that
is recorded and nothing has changed. An order that was seen before is passed over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from detectors import day_ahead, fieldorders, topology_change
from market import anomalynotices, approvals, caseorders, commands, duties, notices, publishing, reclear, segment, spot
from market.commands import ORDERS, Owner
from market.decisions import ClearingOrdered, CommandAccepted, Refused
from market.facts import CommandGiven, Fact, Segment
from market.rules import Requires
from streams.tobodies import SPENDS, applied_for, put_application
from streams.turn import Turn

__all__ = ["Deeds", "ordered"]

_COMMANDS_REMEMBERED: Final = 64


class Deeds:
    """What an order may set going that is not the owner's own.

    Args:
        take: takes in a fact that an order stands for.

    Attributes:
        again: what must be cleared again.
    """

    def __init__(self, take: Callable[[Turn, Fact], None]) -> None:
        self.take = take
        self.again: tuple[reclear.ClearAgain, ...] = ()


def ordered(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    """Carry out an order, or refuse it; ``deeds.again`` then holds what must be cleared again."""
    if command.command_id in turn.state.commands:
        return
    turn.state = replace(turn.state, commands=(*turn.state.commands, command.command_id)[-_COMMANDS_REMEMBERED:])
    command = dataclasses.replace(command, ts_event_ns=turn.now_ns)
    if (refusal := commands.refusal(command)) is not None:
        turn.say(refusal)
        return
    order = ORDERS[command.action]
    attempt = turn.attempt()
    attempt.say(
        CommandAccepted(
            command_id=command.command_id,
            by=command.by,
            role=command.role,
            action=command.action,
            args=dict(sorted(command.args.items())),
            article=order.article,
        )
    )
    _OWNERS[order.owner](attempt, command, deeds)
    if refusals := [body for body, _ in attempt.bodies if isinstance(body, Refused)]:
        deeds.again = ()
        turn.say(refusals[0])
        return
    turn.adopt(attempt)


def _segment(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    """Orders to the breaker: for the segments they name, or for the one they can be meant for where they name none."""
    for which in _meant(turn, command):
        turn.moved(segment.ordered(turn.segment(which), command, turn.now_ns, turn.rules(which), _context(turn, command, which)))
        put_application(turn, command, which)


def _meant(turn: Turn, command: CommandGiven) -> tuple[Segment, ...]:
    named = command.args.get("segment", "").strip()
    if named:
        return tuple(dict.fromkeys(Segment(name.strip()) for name in named.split(",")))
    possible = [which for which in Segment if turn.segment(which).phase in segment.PHASES[command.action]]
    return (Segment.DA,) if possible == [Segment.DA] else (Segment.RT,)


def _context(turn: Turn, command: CommandGiven, which: Segment) -> segment.Context:
    """Say what the segment machine asks of the rest of the market."""
    state = turn.state
    return segment.Context(
        intervals=turn.intervals(which),
        outage_start_ns=state.watch.outage_start_ns if which is Segment.RT else None,
        still_open=topology_change.still_open(state.topology),
        warnings=state.warnings,
        unreported=duties.unreported(state.duties, which),
        unapproved=_unapproved(turn, command, which),
        approved=_approved(turn, command, which),
    )


def _unapproved(turn: Turn, command: CommandGiven, which: Segment) -> tuple[str, ...]:
    """Say whose approval is missing of what an order would do, where it needs any."""
    if command.action == "CONFIRM_RESUME":
        applied = applied_for(turn, which)
        scope = turn.segment(which).applied_scope
        return approvals.missing(turn.state.approvals, f"RESUME/{which}", approvals.digest_of(applied), scope)
    if command.action == "DECIDE_SUSPEND" and turn.rules(which).suspension.requires is Requires.APPROVAL:
        decided = {"segment": str(which), **{name: command.args.get(name, "").strip() for name in ("from", "expected_end", "reason")}}
        missing = approvals.missing(turn.state.approvals, f"SUSPEND/{which}", approvals.digest_of(decided))
        return (*missing, f"ask for it word for word: content={approvals.canonical(decided)}") if missing else ()
    return ()


def _approved(turn: Turn, command: CommandGiven, which: Segment) -> tuple[str, ...]:
    """Name the papers of the approvals that an order rests on."""
    if command.action not in SPENDS:
        return ()
    papers = approvals.references(turn.state.approvals, f"{SPENDS[command.action]}/{which}")
    return tuple(f"approved by {body}: {paper}" for body, paper in papers.items())


def _day_ahead(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    answer = day_ahead.ordered(turn.state.days, command, turn.now_ns, turn.rules(Segment.DA))
    if isinstance(answer, Refused):
        turn.say(answer)
    else:
        deeds.take(turn, answer)


def _duties(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    ledger, said = duties.ordered(turn.state.duties, command, turn.now_ns, turn.rules())
    turn.state = replace(turn.state, duties=ledger)
    turn.say(*said)


def _approvals(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    register, said = approvals.ordered(turn.state.approvals, command, turn.now_ns, turn.rules())
    turn.state = replace(turn.state, approvals=register)
    turn.say(*said)


def _notices(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    if command.action == "ANNOUNCE_ANOMALY":
        board, said = anomalynotices.announced(turn.state.notices, turn.state.cases, command, turn.now_ns, turn.rules())
        turn.state = replace(turn.state, notices=board)
        turn.say(*said)
        return
    segments = {which: turn.segment(which) for which in Segment}
    board, said = notices.ordered(turn.state.notices, command, turn.now_ns, turn.rules(), segments)
    turn.state = replace(turn.state, notices=board)
    turn.say(*said)


def _cases(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    book, said = caseorders.ordered(turn.state.cases, command, turn.now_ns, turn.rules(), turn.open_duties)
    turn.state = replace(turn.state, cases=book)
    turn.say(*said)


def _field(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    answer = fieldorders.ordered(turn.state.topology, command, turn.now_ns, turn.rules(), turn.grid)
    if isinstance(answer, Refused):
        turn.say(answer)
        return
    for fact in answer:
        deeds.take(turn, fact)


def _prices(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    """Publish a day-ahead result that was cleared again, or look further back for reference prices."""
    measure = f"PUBLISH_RESULT/{command.args.get('operating_day', '')}"
    rules = turn.rules(Segment.DA)
    publishes = command.action == "PUBLISH_RESULT"
    unapproved = _unpublished(turn, command, measure) if publishes else ()
    papers = approvals.references(turn.state.approvals, measure)
    book, said = publishing.ordered(turn.state.book, command, turn.now_ns, rules, unapproved, papers)
    register = approvals.spent(turn.state.approvals, measure) if publishes else turn.state.approvals
    turn.state = replace(turn.state, book=book, approvals=register)
    turn.say(*said)


def _unpublished(turn: Turn, command: CommandGiven, measure: str) -> tuple[str, ...]:
    """Say whose approval of this very version of a result is missing; of one that does not wait the owner has its own word."""
    day, version = command.args["operating_day"], command.args["result_version"]
    waits = publishing.content(turn.state.book, day, int(version), turn.rules(Segment.DA)) if version.isdecimal() else None
    return () if waits is None else approvals.missing(turn.state.approvals, measure, approvals.digest_of(waits))


def _spot(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    book, said, wanted = spot.ordered(turn.state.spot, command, turn.now_ns, turn.rules(Segment.DA))
    turn.state = replace(turn.state, spot=book)
    turn.say(*said)
    for notice in wanted:
        board, announcement = notices.issued(
            turn.state.notices, notice.kind, Segment.DA, notice.facts, turn.now_ns, turn.rules(Segment.DA), subject=notice.subject
        )
        turn.state = replace(turn.state, notices=board)
        turn.say(announcement)


def _reclear(turn: Turn, command: CommandGiven, deeds: Deeds) -> None:
    """Pass on an order to clear an interval again, or refuse it; the market's phase has no part in it."""
    order = reclear.judged(command, turn.now_ns, turn.rules())
    if isinstance(order, Refused):
        turn.say(order)
        return
    deeds.again = (order,)
    turn.say(
        ClearingOrdered(
            segment=Segment.RT,
            interval_start_ns=order.interval_start_ns,
            command_id=order.command_id,
            by=order.by,
            role=order.role,
            reason=order.reason,
            approvals=order.approvals,
        )
    )


_OWNERS: Final[Mapping[Owner, Callable[[Turn, CommandGiven, Deeds], None]]] = {
    Owner.SEGMENT: _segment,
    Owner.DAY_AHEAD: _day_ahead,
    Owner.DUTIES: _duties,
    Owner.APPROVALS: _approvals,
    Owner.NOTICES: _notices,
    Owner.CASES: _cases,
    Owner.FIELD: _field,
    Owner.PRICES: _prices,
    Owner.SPOT: _spot,
    Owner.RECLEAR: _reclear,
}
