"""What people may order, who may, and what an order must say: one table, and the one check that every order passes.

What an order does is decided by whoever owns its subject; here is only what can be said of it without knowing the state: a known
action, a role that has the power, every argument it needs, none that it does not know. A refusal names the rule and the remedy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from market.causes import Role
from market.decisions import Refused
from market.facts import CommandGiven, Segment

__all__ = ["ORDERS", "Order", "Owner", "refusal", "refused"]


class Owner(StrEnum):
    """Which part of the market an order is for."""

    SEGMENT = "segment"
    DAY_AHEAD = "day_ahead"
    DUTIES = "duties"
    APPROVALS = "approvals"
    NOTICES = "notices"
    CASES = "cases"
    FIELD = "field"
    PRICES = "prices"
    SPOT = "spot"
    RECLEAR = "reclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One kind of order.

    Attributes:
        roles: who may give it.
        article: that gives the power.
        owner: the part of the market it is for.
        needs: arguments it must have, not empty.
        takes: arguments it may have besides.
        does: one line, for people.
    """

    roles: tuple[Role, ...]
    article: str
    owner: Owner
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    does: str


_DISPATCH: Final = (Role.DISPATCH,)
_TRADING: Final = (Role.TRADING,)
_MO: Final = (Role.MO, Role.DISPATCH, Role.TRADING)
_BODIES: Final = (Role.GOV, Role.REG)
_ANY: Final = (*_MO, *_BODIES)

ORDERS: Final[Mapping[str, Order]] = {
    # The breaker (Art. 23, 29) and the suspension (Art. 25, 26, 28, 30). `segment` is RT where it is not given.
    "PROPOSE_TRIP": Order(
        roles=_DISPATCH,
        article="Art. 23(3)",
        owner=Owner.SEGMENT,
        needs=("cause", "reason"),
        takes=("segment", "reference", "operating_day", "version"),
        does="propose to trip for a cause no detector sees; somebody else confirms it",
    ),
    "CONFIRM_TRIP": Order(
        roles=_DISPATCH,
        article="Art. 23",
        owner=Owner.SEGMENT,
        takes=("segment", "version", "cause", "reference", "reason"),
        does="trip what is proposed",
    ),
    "REJECT_TRIP": Order(
        roles=_DISPATCH,
        article="Art. 23",
        owner=Owner.SEGMENT,
        needs=("reason",),
        takes=("segment", "version"),
        does="reject what is proposed; it comes back while it holds",
    ),
    "CONFIRM_RECOVER": Order(
        roles=_DISPATCH,
        article="Art. 29",
        owner=Owner.SEGMENT,
        takes=("segment", "version", "checklist", "override", "second", "reason"),
        does="recover a tripped market",
    ),
    "DECIDE_SUSPEND": Order(
        roles=_MO,
        article="Art. 25",
        owner=Owner.SEGMENT,
        needs=("reason",),
        takes=("segment", "version", "from", "expected_end"),
        does="suspend a market whose breaker is overdue",
    ),
    "EXTEND_SUSPENSION": Order(
        roles=_MO,
        article="Art. 26",
        owner=Owner.SEGMENT,
        needs=("expected_end", "reason"),
        takes=("segment", "version"),
        does="name a later expected end; the notice supersedes the one before",
    ),
    "CONFIRM_REGIME28": Order(
        roles=_TRADING,
        article="Art. 28",
        owner=Owner.SEGMENT,
        takes=("segment", "version", "reason"),
        does="confirm the handling of a suspension of more than seven days",
    ),
    "APPLY_RESUME": Order(
        roles=_MO,
        article="Art. 30",
        owner=Owner.SEGMENT,
        takes=("segment", "version", "scope", "reference", "at", "reason"),
        does="apply to GOV and REG to resume a suspended market",
    ),
    "CONFIRM_RESUME": Order(
        roles=_MO,
        article="Art. 30",
        owner=Owner.SEGMENT,
        takes=("segment", "version", "effective_from", "checklist", "reason"),
        does="announce that a suspended market resumes",
    ),
    "DA_ETA": Order(
        roles=_DISPATCH,
        article="Art. 23(1)",
        owner=Owner.DAY_AHEAD,
        needs=("operating_day", "eta"),
        takes=("reason",),
        does="say when the day-ahead result is expected",
    ),
    # Duties (Art. 11, 24 to 26, 30).
    "RECEIPT": Order(
        roles=_ANY,
        article="Art. 24",
        owner=Owner.DUTIES,
        needs=("duty", "recipient"),
        takes=("segment", "reference", "delivered_at"),
        does="record that a recipient has what a duty owes it",
    ),
    "COMPLETE_DUTY": Order(
        roles=_MO,
        article="Art. 25",
        owner=Owner.DUTIES,
        needs=("duty",),
        takes=("segment", "text", "reference", "outcome"),
        does="report a task done: assess, measures, …",
    ),
    # Approvals (Art. 14, 16, 18, 22, 30).
    "REQUEST_APPROVAL": Order(
        roles=_MO,
        article="Art. 18",
        owner=Owner.APPROVALS,
        needs=("measure", "content"),
        takes=("scope", "emergency", "reason"),
        does="ask GOV and REG to approve a measure; the approval is bound to its content",
    ),
    "APPROVE": Order(
        roles=_BODIES,
        article="Art. 18",
        owner=Owner.APPROVALS,
        needs=("measure",),
        takes=("verdict", "form", "scope", "digest", "reference", "contact"),
        does="approve a measure, or refuse it",
    ),
    # Notices (Art. 23, 26).
    "PUBLISH_UPDATE": Order(
        roles=_DISPATCH,
        article="Art. 23",
        owner=Owner.NOTICES,
        needs=("text_zh", "text_en"),
        takes=("segment", "next_update"),
        does="tell the participants how things stand",
    ),
    "CORRECT_NOTICE": Order(
        roles=_MO,
        article="Art. 23",
        owner=Owner.NOTICES,
        needs=("number", "reason", "text_zh", "text_en"),
        does="correct a notice by one that supersedes it",
    ),
    "ANNOUNCE_ANOMALY": Order(
        roles=_TRADING,
        article="Art. 11",
        owner=Owner.NOTICES,
        needs=("case", "text_zh", "text_en"),
        does="announce the anomaly of a trading session; given again, the notice supersedes the one before",
    ),
    # Cases (Art. 4 to 10).
    "OPEN_CASE": Order(
        roles=_MO,
        article="Art. 6",
        owner=Owner.CASES,
        needs=("class", "item", "subject"),
        takes=("segment", "discovered_at", "cause", "reference", "text"),
        does="open a case for an anomaly that a person found",
    ),
    "SET_CAUSE": Order(
        roles=(*_MO, *_BODIES),
        article="Art. 5",
        owner=Owner.CASES,
        needs=("case", "cause"),
        takes=("reference", "text"),
        does="say what caused an anomaly",
    ),
    "NOTE_ACTION": Order(
        roles=_MO, article="Art. 4", owner=Owner.CASES, needs=("case", "text"), does="enter what was done about an anomaly"
    ),
    "ANALYSE_CASE": Order(
        roles=_MO, article="Art. 4", owner=Owner.CASES, needs=("case", "text"), does="enter the analysis of what caused an anomaly"
    ),
    "RECTIFY": Order(
        roles=_MO,
        article="Art. 4",
        owner=Owner.CASES,
        needs=("case", "item", "text"),
        takes=("due", "owner"),
        does="enter an item that is to be rectified",
    ),
    "RECTIFIED": Order(
        roles=_MO, article="Art. 4", owner=Owner.CASES, needs=("case", "item"), takes=("text",), does="report such an item done"
    ),
    "CLOSE_CASE": Order(roles=_MO, article="Art. 4", owner=Owner.CASES, needs=("case",), takes=("text",), does="close a case"),
    # The field: what is planned, and what is expected.
    "GRANT_PERMIT": Order(
        roles=_DISPATCH,
        article="policy 1.5",
        owner=Owner.FIELD,
        needs=("element", "from", "to"),
        takes=("reference",),
        does="let an element be out of service",
    ),
    "REVOKE_PERMIT": Order(
        roles=_DISPATCH, article="policy 1.5", owner=Owner.FIELD, needs=("element", "from", "to"), takes=("reason",), does="take it back"
    ),
    "PLAN_EXERCISE": Order(
        roles=_DISPATCH, article="policy Q8", owner=Owner.FIELD, needs=("from", "to"), takes=("reference",), does="plan a switchover drill"
    ),
    "CLOSE_CALENDAR": Order(
        roles=_MO,
        article="market calendar",
        owner=Owner.FIELD,
        needs=("from", "to"),
        takes=("segment", "reason"),
        does="expect no clearing for a while",
    ),
    "SET_WARNING": Order(
        roles=_DISPATCH,
        article="Art. 29",
        owner=Owner.FIELD,
        needs=("warning", "active"),
        takes=("text",),
        does="raise or lift a warning that stands against a recovery",
    ),
    # Prices (Art. 22, 27).
    "PUBLISH_RESULT": Order(
        roles=_MO,
        article="Art. 22",
        owner=Owner.PRICES,
        needs=("operating_day", "result_version"),
        takes=("reason",),
        does="publish a day-ahead result that was cleared again",
    ),
    "EXTEND_WINDOW": Order(
        roles=_TRADING,
        article="Art. 27(3)",
        owner=Owner.PRICES,
        needs=("days", "reason"),
        does="look further back for reference prices where the sample is insufficient",
    ),
    "CLEAR_AGAIN": Order(
        roles=_MO,
        article="Art. 22",
        owner=Owner.RECLEAR,
        takes=("interval_start_ns", "reason", "approval_gov", "approval_reg", "corrections"),
        does="clear an interval again",
    ),
    # Boundary data and declarations of the spot market (Art. 20, 21).
    "PUBLISH_BOUNDARY": Order(
        roles=_MO,
        article="Art. 20",
        owner=Owner.SPOT,
        needs=("operating_day", "content"),
        takes=("deadline", "reason"),
        does="publish the boundary data of a day, or a new version of them",
    ),
    "MOVE_DEADLINE": Order(
        roles=_MO,
        article="Art. 21",
        owner=Owner.SPOT,
        needs=("operating_day", "deadline", "reason"),
        does="postpone the deadline of declarations",
    ),
    "CONFIRM_DECLARATION_FAILURE": Order(
        roles=_TRADING,
        article="Art. 21",
        owner=Owner.SPOT,
        needs=("operating_day", "reason"),
        does="confirm that declarations failed for a reason of the system",
    ),
    "PAPER_DECLARATION": Order(
        roles=_TRADING,
        article="Art. 21",
        owner=Owner.SPOT,
        needs=("operating_day", "participant", "content", "second"),
        does="enter a stamped paper declaration, under two persons",
    ),
}
"""Action → what it is. The order of this table is that of the documentation."""

_ALWAYS: Final = ("reason", "text", "reference", "version")
"""Arguments that any order may carry; they stand in the record."""


def refused(command: CommandGiven, rule: str, why: str) -> Refused:
    """Return the refusal of an order; it is a decision too, and changes nothing."""
    return Refused(command_id=command.command_id, by=command.by, role=command.role, action=command.action, rule=rule, why=why)


def refusal(command: CommandGiven) -> Refused | None:
    """Return why an order cannot even be looked at, or None where it can.

    Args:
        command: of any action, known or not; ``by`` and ``role`` as authenticated at the edge.
    """
    order = ORDERS.get(command.action)
    if order is None:
        return refused(command, "policy", f"unknown action {command.action!r}; known: {', '.join(sorted(ORDERS))}")
    if not command.by.strip():
        return refused(command, "policy", f"{command.action} needs the name of who orders it; give `by`")
    if command.role not in order.roles:
        who = " or ".join(order.roles)
        return refused(command, order.article, f"{command.action} belongs to {who}; {command.by} acts as {command.role}")
    if strange := _strange_segment(command.args.get("segment")):
        return refused(command, "policy", strange)
    known = {*order.needs, *order.takes, *_ALWAYS}
    if strangers := sorted(command.args.keys() - known):
        return refused(command, "policy", f"{command.action} takes no {', '.join(strangers)}; it takes {', '.join(sorted(known))}")
    if missing := [name for name in order.needs if not command.args.get(name, "").strip()]:
        rule = "policy" if missing == ["reason"] else order.article
        return refused(command, rule, f"{command.action} needs {', '.join(missing)}; give {', '.join(f'{m}=…' for m in missing)}")
    return None


def _strange_segment(named: str | None) -> str:
    """Return what is wrong with the segments that an order names; nothing where it names none."""
    if named is None:
        return ""
    strangers = [name for name in named.split(",") if name.strip() not in tuple(Segment)]
    return f"segment {named!r} is not known; give RT, DA, or RT,DA" if strangers else ""
