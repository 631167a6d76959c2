"""What a step of a drill tells the breaker."""

from __future__ import annotations

from typing import Any

import pytest

from market import facts
from market.facts import Fact, Segment
from market.rules import GUANGDONG_2023
from market.sessionfacts import LoginReported, OrderReported, ParticipantsEntitled, SessionReported
from market.units import instant_ns
from streams.drillfacts import FactMaker, opening_facts
from streams.drillfile import Scenario, Step, played

AT = "2026-06-10T09:45:00+08:00"
NS = instant_ns(AT)


def told(**step: Any) -> list[Fact]:
    return list(FactMaker(GUANGDONG_2023).facts(Step.model_validate({"at": AT, **step})))


def order(role: str, by: str, action: str, **args: str) -> facts.CommandGiven:
    return facts.CommandGiven(ts_event_ns=NS, command_id="drill-1", by=by, role=role, action=action, args=args)


def test_a_dispatchers_estimate_is_an_order() -> None:
    (fact,) = told(da_eta={"operating_day": "2026-06-11", "eta": "2026-06-10T23:00:01+08:00", "by": "chen"})
    assert fact == order("DISPATCH", "chen", "DA_ETA", operating_day="2026-06-11", eta="2026-06-10T23:00:01+08:00")


def test_a_statistical_estimate_is_a_fact_that_orders_nothing() -> None:
    (fact,) = told(da_eta={"operating_day": "2026-06-11", "eta": "2026-06-10T22:50:00+08:00", "source": "statistical"})
    assert isinstance(fact, facts.DayAheadExpected)
    assert (fact.source, fact.p50_ns, fact.p90_ns) == ("statistical", instant_ns("2026-06-10T22:50:00+08:00"), fact.p50_ns)
    assert fact.interval_start_ns == instant_ns("2026-06-11T00:00:00+08:00")


def test_an_approval_is_ordered_in_the_role_of_its_body() -> None:
    (fact,) = told(approval={"body": "REG", "measure": "RESUME/RT", "form": "oral", "contact": "Li, 020-1"})
    assert fact == order("REG", "REG", "APPROVE", measure="RESUME/RT", verdict="APPROVED", form="oral", contact="Li, 020-1")


def test_a_receipt_is_ordered_by_a_market_operator() -> None:
    (fact,) = told(receipt={"duty": "explain", "recipient": "GOV", "segment": "DA", "delivered_at": AT, "by": "wang"})
    assert fact == order("MO", "wang", "RECEIPT", duty="explain", recipient="GOV", segment="DA", delivered_at=AT)


@pytest.mark.parametrize(
    ("step", "fact"),
    [
        (
            {"voltage": {"bus": "B1", "pu": 0.02}},
            facts.VoltageReported(ts_event_ns=NS, bus="B1", pu=0.02, quality=facts.PointQuality.GOOD, ts_source_ns=NS),
        ),
        ({"trip_signal": {"element": "L1"}}, facts.TripSignalled(ts_event_ns=NS, element="L1", ts_source_ns=NS)),
        (
            {"infeed": {"infeed": "DC", "mw": 0, "quality": "UNCERTAIN"}},
            facts.InfeedReported(ts_event_ns=NS, infeed="DC", mw=0, quality=facts.PointQuality.UNCERTAIN, ts_source_ns=NS),
        ),
        ({"interface_limit": {"interface": "N", "mw": 700}}, facts.InterfaceLimitReported(ts_event_ns=NS, interface="N", limit_mw=700)),
        (
            {"estimate": {"doubted": ["L2", "L1"], "suspects": ["p: 1, 2, 9.1"], "chi_square": 50, "limit": 40, "observable_pct": 98}},
            facts.EstimateReported(
                ts_event_ns=NS,
                ts_snapshot_ns=NS,
                doubted=("L1", "L2"),
                suspects=("p: 1, 2, 9.1",),
                chi_square=50,
                limit=40,
                observable_pct=98,
            ),
        ),
        ({"warning": {"id": "w1", "active": True}}, facts.WarningReported(ts_event_ns=NS, warning="w1", active=True)),
    ],
)
def test_what_the_field_says_is_passed_on(step: dict[str, Any], fact: Fact) -> None:
    assert told(**step) == [fact]


def test_a_session_step_tells_who_is_entitled_and_what_happened() -> None:
    entitled, opened = told(session={"name": "S", "entitled": 1230, "event": "PLANNED", "opens": AT, "product": "green power"})
    assert entitled == ParticipantsEntitled(ts_event_ns=NS, session="S", participants=1230)
    assert isinstance(opened, SessionReported)
    assert (opened.event, opened.opens_ns, opened.closes_ns, opened.product) == ("PLANNED", NS, None, "green power")


def test_many_participants_are_one_step() -> None:
    logins = told(login={"session": "S", "participants": 3, "result": "SERVER_ERROR"})
    assert [fact.participant for fact in logins if isinstance(fact, LoginReported)] == ["p1", "p2", "p3"]
    orders = told(order={"session": "S", "participants": [4, 5], "order": 7, "result": "REJECTED", "withdrawal": True})
    assert [(fact.participant, fact.order, fact.withdrawal) for fact in orders if isinstance(fact, OrderReported)] == [
        ("p4", "7", True),
        ("p5", "7", True),
    ]
    (one,) = told(login={"session": "S", "participant": "huadian", "result": "OK"})
    assert isinstance(one, LoginReported)
    assert one.participant == "huadian"


def scenario(**parts: Any) -> Scenario:
    return Scenario.model_validate({"id": "X", "title": "x", "start": AT, "steps": [{"at": AT, "expect": {}}], **parts})


def test_a_closed_market_is_closed_for_ever_and_an_open_one_is_not() -> None:
    def closed(**calendar: str) -> list[Segment]:
        return [fact.segment for fact in opening_facts(scenario(calendar=calendar)) if isinstance(fact, facts.CalendarClosed)]

    assert closed() == [Segment.DA]
    assert closed(da="open") == []
    assert closed(rt="closed", da="closed") == [Segment.RT, Segment.DA]


def test_the_grid_is_told_as_it_starts() -> None:
    grid = {
        "loads_mw": {"A": 100},
        "branches": {"L1": {"from": "A", "to": "B", "kv": 500}},
        "infeeds": {"DC": {"bus": "B", "mw": 30}},
        "interfaces": {"N": {"branches": ["L1"], "limit_mw": 80}},
    }
    opening = [type(fact).__name__ for fact in opening_facts(scenario(grid=grid))]
    assert opening == ["CalendarClosed", "LoadReported", "InterfaceLimitReported", "InfeedReported", "FlowReported"]


def test_a_row_of_results_is_played_between_the_other_steps() -> None:
    row = {"segment": "RT", "interval": AT, "outcome": "OK", "completed_at": AT, "through": "2026-06-10T10:15:00+08:00"}
    steps = [{"at": AT, "clearing": row}, {"at": "2026-06-10T10:00:00+08:00", "restart": True}]
    order_played = [(number, step.at - NS) for number, step in played(scenario(steps=steps), GUANGDONG_2023)]
    assert order_played == [(1, 0), (1, 900_000_000_000), (2, 900_000_000_000), (1, 1_800_000_000_000)]
    last = played(scenario(steps=steps), GUANGDONG_2023)[-1][1].clearing
    assert last is not None
    assert (last.interval, last.completed_at) == (NS + 1_800_000_000_000, NS + 1_800_000_000_000)


def test_a_row_of_days_goes_by_the_calendar() -> None:
    row = {"segment": "DA", "operating_day": "2026-05-30", "outcome": "OK", "price": 1.0, "through": "2026-06-02"}
    days = [
        step.clearing.operating_day for _, step in played(scenario(steps=[{"at": AT, "clearing": row}]), GUANGDONG_2023) if step.clearing
    ]
    assert days == ["2026-05-30", "2026-05-31", "2026-06-01", "2026-06-02"]
