"""What a drill finds where it looks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from market.decisions import GENESIS, Announcement, Decision, DecisionBody, DutyOpened, DutySettled, FindingNoted, Phase, Refused, chained
from market.facts import Segment
from market.handling import CaseClosed, CaseNoted, CaseOpened, DutyReceived
from market.prices import PriceInForce, Regime
from market.units import NS_PER_H, NS_PER_MIN, instant_ns
from market.view import MarketView, NoticeView, SegmentView
from streams.drillcheck import Check, Seen, checked, duty_state
from streams.drillexpect import Expect

ZONE = "Asia/Shanghai"
NS = instant_ns("2026-06-10T12:00:00+08:00")
Q_NS = 15 * NS_PER_MIN


def chain(*bodies: DecisionBody) -> list[Decision]:
    decisions, prev = list[Decision](), GENESIS
    for seq, body in enumerate(bodies, 1):
        decisions.append(chained(body, seq=seq, ts_event_ns=NS, rule_set="x", prev_hash=prev))
        prev = decisions[-1].hash
    return decisions


def price(start_ns: int, regime: Regime, cny: float | None) -> PriceInForce:
    return PriceInForce(
        ts_event_ns=start_ns,
        segment=Segment.RT,
        interval_start_ns=start_ns,
        regime=regime,
        price_cny_per_mwh=cny,
        rev=0,
        source="x",
        provisional=False,
        rule_set="x",
    )


def look(expect: dict[str, Any], bodies: Sequence[DecisionBody] = (), prices: Sequence[PriceInForce] = (), **seen: Any) -> list[Check]:
    view = MarketView(
        ts_event_ns=NS,
        segments=tuple(SegmentView(segment=segment, phase=Phase.NORMAL, version=1) for segment in Segment),
        last_valid_at_ns=None,
        regime=Regime.MARKET,
        price_cny_per_mwh=None,
        price_interval_ns=None,
        rule_set="x",
        rt_limit_s=7200,
        rt_interval_s=900,
        notices=seen.pop("notices", ()),
    )
    at = Seen(
        view=view,
        decisions=chain(*bodies),
        prices={(p.segment, p.interval_start_ns): p for p in prices},
        alarms=set(seen.pop("alarms", ())),
        last_command=seen.pop("last_command", ""),
        zone=ZONE,
    )
    return checked(1, NS, Expect.model_validate(expect), at)


def verdicts(*args: Any, **kwargs: Any) -> list[bool]:
    return [check.ok for check in look(*args, **kwargs)]


def explain(segment: Segment, due_h: int = 48) -> DutyOpened:
    key = f"explain/{segment}"
    return DutyOpened(
        duty="explain", segment=segment, due_ns=NS + due_h * NS_PER_H, article="Art. 24", key=key, recipients=("GOV", "REG", "PARTICIPANTS")
    )


def received(recipient: str, hours: float) -> DutyReceived:
    at_ns = NS + int(hours * NS_PER_H)
    return DutyReceived(
        duty="explain", segment=Segment.RT, key="explain/RT", recipient=recipient, delivered_at_ns=at_ns, reference="r", by="wang"
    )


def settled(outcome: str) -> DutySettled:
    return DutySettled(duty="explain", segment=Segment.RT, outcome=outcome, margin_s=0, key="explain/RT")


@pytest.mark.parametrize(
    ("name", "hours", "bodies", "state"),
    [
        ("explain", 1, [], "none"),
        ("explain", 48, [explain(Segment.RT)], "open"),
        ("explain", 48.1, [explain(Segment.RT)], "overdue"),
        ("explain/DA", 1, [explain(Segment.RT)], "none"),
        ("explain/RT", 50, [explain(Segment.RT), explain(Segment.DA), settled("met")], "met"),
        ("explain/DA", 50, [explain(Segment.DA), explain(Segment.RT), settled("met")], "overdue"),
        ("explain/GOV", 49, [explain(Segment.RT), received("GOV", 48)], "met"),
        ("explain/GOV", 49, [explain(Segment.RT), received("GOV", 48.5)], "late"),
        ("explain/RT/REG", 49, [explain(Segment.RT), received("GOV", 1)], "overdue"),
        ("explain/GOV", 60, [explain(Segment.RT), received("GOV", 1), received("REG", 50), settled("late")], "met"),
        ("explain/MO", 1, [explain(Segment.RT)], "none"),
    ],
)
def test_a_duty_stands_as_its_latest_opening_says(name: str, hours: float, bodies: list[DecisionBody], state: str) -> None:
    assert duty_state(chain(*bodies), name, NS + int(hours * NS_PER_H)) == state


def test_a_regime_is_looked_up_by_interval_or_span() -> None:
    prices = [price(NS, Regime.ART27_2, 420.0), price(NS + Q_NS, Regime.MARKET, 388.0)]
    at, span = "2026-06-10T12:00:00+08:00", "2026-06-10T12:00:00+08:00/2026-06-10T12:30:00+08:00"
    assert verdicts({"regime": {at: "ART27_2"}, "price": {at: 420.0}}, prices=prices) == [True, True]
    (wrong,) = look({"regime": {span: "ART27_2"}}, prices=prices)
    assert (wrong.ok, wrong.actual) == (False, "1 of 2 differ: 2026-06-10T12:15:00+08:00 MARKET")
    assert verdicts({"regime": {span: "ART27_2"}}, prices=[prices[0]]) == [False], "an interval without a price is not passed over"
    assert verdicts({"regime": {f"DA {at}": "none"}}, prices=prices) == [True]
    assert verdicts({"regime": {"noon": "MARKET"}}, prices=prices) == [False]


def test_the_last_order_is_found_by_what_it_was_told() -> None:
    no = Refused(command_id="drill-2", by="t", role="MO", action="X", rule="Art. 25", why="missing: report to GOV")
    ways = {"last_command": {"refused": True, "rule": "Art. 25", "why": ["report", "GOV"]}}
    assert verdicts(ways, [no], last_command="drill-2") == [True] * 4
    assert verdicts(ways, [no], last_command="drill-1") == [False] * 4
    assert verdicts({"last_command": "accepted"}, [no], last_command="drill-1") == [True]
    assert verdicts({"last_command": "accepted"}, [no]) == [False], "an order that was never given was not accepted"


def test_cases_are_found_by_what_is_known_of_them() -> None:
    opened = CaseOpened(
        case="2026-06-10-01", segment=Segment.RT, anomaly="RESULT", item="Art. 9(2)", discovered_ns=NS, subject="RT clearing"
    )
    grown = CaseNoted(case="2026-06-10-01", entry="MAJOR", text="the breaker tripped")
    bodies = [opened, grown, CaseClosed(case="2026-06-10-01", by="wang")]
    assert verdicts({"cases": [{"anomaly": "RESULT", "major": True, "open": False, "contains": "tripped"}]}, bodies) == [True]
    assert verdicts({"cases": [{"major": False}]}, bodies) == [False]
    assert verdicts({"cases": [{"discovered_at": "2026-06-10T12:00:00+08:00", "segment": "DA"}]}, bodies) == [False]
    assert verdicts({"cases": 1}, bodies) == [True]


def test_notices_in_force_are_counted_and_found() -> None:
    one = NoticeView(number="RT-1", kind="TRIP", segment=Segment.RT, subject="breaker")
    assert verdicts({"notices": [{"kind": "TRIP", "segment": "RT"}]}, notices=(one,)) == [True, True]
    assert verdicts({"notices": 0}, notices=(one,)) == [False]
    told = Announcement(
        number="RT-1",
        announcement_kind="TRIP",
        segment=Segment.RT,
        subject="breaker",
        supersedes="",
        published_at_ns=NS,
        text_zh="熔断",
        text_en="tripped",
    )
    assert verdicts({"announcements": [{"kind": "TRIP", "active": True, "contains": "熔断"}]}, [told], notices=(one,)) == [True]
    assert verdicts({"announcements": [{"kind": "TRIP", "active": True}]}, [told]) == [False]


def test_the_record_and_the_alarms_are_looked_at() -> None:
    noted = FindingNoted(finding="X", article="Art. 23", evidence=("zero margin",))
    assert verdicts({"record": [{"kind": "FindingNoted", "contains": ["zero margin", "Art. 23"], "count": 1}]}, [noted]) == [True]
    assert verdicts({"record": [{"kind": "FindingNoted", "count": 0}]}, [noted]) == [False]
    assert verdicts({"alarms": ["a"], "no_alarms": ["b"]}, alarms=["a"]) == [True, True]
    assert verdicts({"alarms": ["b"], "no_alarms": ["a"]}, alarms=["a"]) == [False, False]


def test_null_expects_that_there_is_none() -> None:
    assert verdicts({"RT": {"state": "NORMAL", "tripped_at": None, "flags": []}}) == [True, True, True]
