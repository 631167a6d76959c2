"""The one check that every order passes: a known action, somebody who has the power, all that the order must say and no more."""

from __future__ import annotations

import pytest

from market.causes import Role
from market.commands import ORDERS, refusal
from market.decisions import Refused
from market.facts import CommandGiven


def order(action: str = "REJECT_TRIP", by: str = "chen", role: str = "DISPATCH", **args: str) -> CommandGiven:
    return CommandGiven(ts_event_ns=0, command_id="c-1", by=by, role=role, action=action, args=args)


def test_an_order_that_says_all_it_must_passes_with_what_it_may_say_besides() -> None:
    assert refusal(order(reason="the meters were wrong")) is None
    assert refusal(order(reason="x", segment="RT", version="7", text="noted", reference="W-1")) is None
    assert refusal(order("CONFIRM_TRIP")) is None, "nothing of it is mandatory"
    assert refusal(order("CONFIRM_TRIP", segment="RT, DA")) is None


def test_an_order_nobody_knows_is_refused_with_those_there_are() -> None:
    refused = refusal(order("TRIP_NOW"))
    assert refused is not None
    assert (refused.rule, refused.why) == ("policy", f"unknown action 'TRIP_NOW'; known: {', '.join(sorted(ORDERS))}")


@pytest.mark.parametrize("by", ["", "  "])
def test_an_order_of_nobody_is_refused(by: str) -> None:
    refused = refusal(order(by=by, reason="x"))
    assert refused is not None
    assert (refused.rule, refused.why) == ("policy", "REJECT_TRIP needs the name of who orders it; give `by`")


@pytest.mark.parametrize("action", ORDERS)
@pytest.mark.parametrize("role", Role)
def test_each_order_is_for_its_roles_alone_and_names_the_article_that_says_so(action: str, role: Role) -> None:
    known = ORDERS[action]
    refused = refusal(order(action, role=role, **dict.fromkeys(known.needs, "x")))
    if role in known.roles:
        assert refused is None
    else:
        assert refused is not None
        assert (refused.rule, refused.why) == (known.article, f"{action} belongs to {' or '.join(known.roles)}; chen acts as {role}")


def test_the_powers_are_those_of_the_measure() -> None:
    by_roles: dict[str, set[str]] = {}
    for action, known in ORDERS.items():
        by_roles.setdefault(" ".join(known.roles), set()).add(action)
    assert {"PROPOSE_TRIP", "CONFIRM_TRIP", "REJECT_TRIP", "CONFIRM_RECOVER"} <= by_roles["DISPATCH"], "Art. 23, 29"
    assert {"DECIDE_SUSPEND", "APPLY_RESUME", "CONFIRM_RESUME", "CLEAR_AGAIN"} <= by_roles["MO DISPATCH TRADING"], "Art. 22, 25, 30"
    assert {"CONFIRM_REGIME28", "CONFIRM_DECLARATION_FAILURE", "PAPER_DECLARATION"} <= by_roles["TRADING"], "Art. 21, 28"
    assert by_roles["GOV REG"] == {"APPROVE"}, "Art. 18: both bodies, and nobody else"


@pytest.mark.parametrize("named", ["GAS", "RT,GAS", "", "RT DA"])
def test_a_segment_nobody_knows_is_refused(named: str) -> None:
    refused = refusal(order(reason="x", segment=named))
    assert refused is not None
    assert (refused.rule, refused.why) == ("policy", f"segment {named!r} is not known; give RT, DA, or RT,DA")


def test_what_an_order_does_not_take_is_named_beside_what_it_takes() -> None:
    refused = refusal(order(reason="x", zeal="much", cause="TECHNICAL"))
    assert refused is not None
    assert refused.rule == "policy"
    assert refused.why == "REJECT_TRIP takes no cause, zeal; it takes reason, reference, segment, text, version"


def test_what_is_missing_is_named_with_the_article_that_asks_for_it() -> None:
    refused = refusal(order("PROPOSE_TRIP", cause=" ", reason=""))
    assert refused is not None
    assert (refused.rule, refused.why) == ("Art. 23(3)", "PROPOSE_TRIP needs cause, reason; give cause=…, reason=…")


def test_that_an_order_gives_its_reason_is_policy() -> None:
    assert refusal(order(reason=" ")) == Refused(
        command_id="c-1",
        by="chen",
        role="DISPATCH",
        action="REJECT_TRIP",
        rule="policy",
        why="REJECT_TRIP needs reason; give reason=…",
    )
