"""What an order about the field stands for, and what is refused."""

from __future__ import annotations

import pytest

from detectors.fieldorders import ordered
from detectors.topology_change import TopologyWatch, observe
from market.commands import ORDERS, Owner
from market.decisions import Refused
from market.facts import CalendarClosed, CommandGiven, ExercisePlanned, PermitGranted, PermitRevoked, Segment, WarningReported
from market.rules import GUANGDONG_2023
from market.topology import Element, Topology
from market.units import instant_ns
from tests.kit.table import at_ns

GRID = Topology.of({"L1": Element(kv=500.0), "L2": Element(kv=500.0)}, infeeds=["DC1"])
NOON = "2026-06-10T12:00:00+08:00"
AFTER = "2026-06-10T12:00:00.001+08:00"
ONE = "2026-06-10T13:00:00+08:00"
SIX = "2026-06-10T18:00:00+08:00"
NOW = instant_ns(NOON)


def answer(action: str, watch: TopologyWatch | None = None, **args: str) -> object:
    named = {name.rstrip("_"): value for name, value in args.items()}
    command = CommandGiven(ts_event_ns=NOW, command_id="c1", by="chen", role="DISPATCH", action=action, args=named)
    return ordered(watch or TopologyWatch(), command, NOW, GUANGDONG_2023, GRID)


def test_every_order_about_the_field_is_answered() -> None:
    args = {"element": "L1", "from_": ONE, "to": SIX, "warning": "typhoon", "active": "yes"}
    for action, order in ORDERS.items():
        if order.owner is Owner.FIELD:
            given = {name: value for name, value in args.items() if name.rstrip("_") in order.needs}
            assert answer(action, **given)


def test_orders_become_facts_of_this_instant() -> None:
    span = {"ts_event_ns": NOW, "from_ns": instant_ns(ONE), "to_ns": instant_ns(SIX)}
    assert answer("GRANT_PERMIT", element="L1", from_=ONE, to=SIX) == (PermitGranted(element="L1", **span),)
    assert answer("GRANT_PERMIT", element="DC1", from_=ONE, to=SIX) == (PermitGranted(element="DC1", **span),)
    assert answer("PLAN_EXERCISE", from_=ONE, to=SIX) == (ExercisePlanned(**span),)
    assert answer("CLOSE_CALENDAR", from_=ONE, to=SIX) == (CalendarClosed(segment=Segment.RT, **span),)
    assert answer("CLOSE_CALENDAR", segment="DA", from_=ONE, to=SIX) == (CalendarClosed(segment=Segment.DA, **span),)
    raised = WarningReported(ts_event_ns=NOW, warning="typhoon", active=True, text="red")
    assert answer("SET_WARNING", warning="typhoon", active="yes", text="red") == (raised,)
    lifted = WarningReported(ts_event_ns=NOW, warning="typhoon", active=False)
    assert answer("SET_WARNING", warning="typhoon", active="no") == (lifted,)


@pytest.mark.parametrize(
    ("action", "args", "why"),
    [
        ("GRANT_PERMIT", {"element": "L9", "from_": ONE, "to": SIX}, "'L9' is no line, transformer or infeed"),
        ("GRANT_PERMIT", {"element": "L1", "from_": SIX, "to": SIX}, "end after it begins"),
        ("GRANT_PERMIT", {"element": "L1", "from_": "2026-06-10T06:00:00+08:00", "to": NOON}, "in the past"),
        ("GRANT_PERMIT", {"element": "L1", "from_": "noon", "to": SIX}, "not an ISO 8601 instant"),
        ("GRANT_PERMIT", {"element": "L1", "from_": ONE, "to": "2026-06-10T18:00:00"}, "no UTC offset"),
        ("REVOKE_PERMIT", {"element": "L9", "from_": ONE, "to": SIX}, "'L9' is no line"),
        ("REVOKE_PERMIT", {"element": "L1", "from_": ONE, "to": SIX}, "there is none"),
        ("REVOKE_PERMIT", {"element": "L1", "from_": SIX, "to": ONE}, "end after it begins"),
        ("PLAN_EXERCISE", {"from_": SIX, "to": ONE}, "end after it begins"),
        ("CLOSE_CALENDAR", {"from_": SIX, "to": ONE}, "end after it begins"),
        ("CLOSE_CALENDAR", {"from_": "2026-06-10T11:59:59.999+08:00", "to": SIX}, "not closed for the past"),
        ("CLOSE_CALENDAR", {"segment": "ID", "from_": ONE, "to": SIX}, "'ID' is no segment"),
        ("SET_WARNING", {"warning": "typhoon", "active": "perhaps"}, "neither yes nor no"),
    ],
)
def test_is_refused(action: str, args: dict[str, str], why: str) -> None:
    said = answer(action, **args)
    assert isinstance(said, Refused)
    assert why in said.why
    assert said.rule == ORDERS[action].article


def test_what_ends_in_the_next_instant_or_begins_in_this_one_is_not_in_the_past() -> None:
    assert not isinstance(answer("GRANT_PERMIT", element="L1", from_="2026-06-10T06:00:00+08:00", to=AFTER), Refused)
    assert not isinstance(answer("CLOSE_CALENDAR", from_=NOON, to=SIX), Refused)


def test_a_refusal_to_revoke_names_the_permits_there_are() -> None:
    watch = TopologyWatch(permits=(("L1", instant_ns(ONE), instant_ns(SIX)), ("L2", NOW, instant_ns(SIX))))
    said = answer("REVOKE_PERMIT", watch, element="L1", from_=NOON, to=SIX)
    assert isinstance(said, Refused)
    assert "13:00" in said.why
    assert "12:00" not in said.why
    revoked = PermitRevoked(ts_event_ns=NOW, element="L1", from_ns=instant_ns(ONE), to_ns=instant_ns(SIX))
    assert answer("REVOKE_PERMIT", watch, element="L1", from_=ONE, to=SIX) == (revoked,)


@pytest.mark.parametrize(
    ("revoked", "left"),
    [
        ("12:29:59.999", None),
        ("12:30", None),
        ("12:30:00.001", ("13:00", "12:00:00.001")),
        ("15:00", ("13:00", "14:30")),
        ("18:30", ("13:00", "18:00")),
        ("18:31", ("13:00", "18:00")),
    ],
)
def test_a_revoked_permit_covers_only_what_opened_before(revoked: str, left: tuple[str, str] | None) -> None:
    """A permit from 13:00 to 18:00 covers from 12:30 to 18:30."""
    permits = (("L1", at_ns("13:00"), at_ns("18:00")), ("L2", at_ns("13:00"), at_ns("18:00")))
    fact = PermitRevoked(ts_event_ns=at_ns(revoked), element="L1", from_ns=at_ns("13:00"), to_ns=at_ns("18:00"))
    watch, _ = observe(TopologyWatch(permits=permits), fact, GUANGDONG_2023, GRID)
    expected = () if left is None else (("L1", at_ns(left[0]), at_ns(left[1])),)
    assert watch.permits == (*expected, permits[1])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("li9", "; there are LI1, LI2, LI3, LI4, LI5, LI6"),
        ("LI", "; there are LI1, LI2, LI3, LI4, LI5, LI6"),
        ("LZ7", "; there are LZ1"),
        ("DC", "; there are DC1"),
        ("LA1", ""),
        ("X", ""),
    ],
)
@pytest.mark.parametrize("action", ["GRANT_PERMIT", "REVOKE_PERMIT"])
def test_a_name_nobody_knows_is_answered_with_some_that_begin_alike(action: str, name: str, hint: str) -> None:
    grid = Topology.of({**{f"LI{n}": Element(kv=500.0) for n in range(8, 0, -1)}, "LZ1": Element(kv=500.0)}, infeeds=["DC1"])
    command = CommandGiven(
        ts_event_ns=NOW, command_id="c1", by="chen", role="DISPATCH", action=action, args={"element": name, "from": ONE, "to": SIX}
    )
    refused = ordered(TopologyWatch(), command, NOW, GUANGDONG_2023, grid)
    assert isinstance(refused, Refused)
    assert refused.why == f"{name!r} is no line, transformer or infeed of the network model{hint}"
