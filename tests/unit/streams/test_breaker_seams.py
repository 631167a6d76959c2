"""Where the parts of the market breaker meet: what one of them does must be what the others take it to be."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from msgspec.structs import replace as replace_state

from market.decisions import Decision
from market.facts import ClearingReported, ClearingStatus, CommandGiven, Fact, Segment, Ticked, WarningReported
from market.prices import PriceInForce
from market.rulebook import Rulebook, RulesInForce, Version
from market.rules import GUANGDONG_2023, rules_from
from market.topology import Element, Topology
from market.units import NS_PER_MIN, day_start_ns, instant_ns
from streams.breaker import AHEAD_MAX_NS, BreakerState, begin, next_deadline_ns, step, told_first

GRID = Topology.of({"L1": Element(kv=525.0)})


def at(clock: str) -> int:
    """Return an instant of June 2026, given as ``10T12:00``."""
    return instant_ns(f"2026-06-{clock}:00+08:00")


class Story:
    """Feeds facts with a tick at every deadline between them, as the live shell does."""

    def __init__(self, start: str, rules: RulesInForce = GUANGDONG_2023, *, day_ahead: bool = False) -> None:
        self.rules = rules
        self.state: BreakerState = begin(at(start), rules, day_ahead_runs=day_ahead)
        self.decisions: list[Decision] = []
        self.prices: list[PriceInForce] = []
        self._orders = 0

    def take(self, fact: Fact) -> list[Decision]:
        self.state, effects = step(self.state, fact, self.rules, GRID)
        made = [effect for effect in effects if isinstance(effect, Decision)]
        self.decisions += made
        self.prices += [effect for effect in effects if isinstance(effect, PriceInForce)]
        return made

    def until(self, clock: str) -> Story:
        while (deadline_ns := next_deadline_ns(self.state, self.rules)) <= at(clock):
            self.take(Ticked(ts_event_ns=deadline_ns))
        return self

    def cleared(self, clock: str, interval: str) -> Story:
        self.until(clock).take(
            ClearingReported(
                ts_event_ns=at(clock),
                segment=Segment.RT,
                interval_start_ns=at(interval),
                status=ClearingStatus.OK,
                completed_at_ns=at(clock),
                price_cny_per_mwh=(300.0,),
            )
        )
        return self

    def day_ahead(self, clock: str, day: str, price: float, version: int) -> Story:
        self.until(clock).take(
            ClearingReported(
                ts_event_ns=at(clock),
                segment=Segment.DA,
                interval_start_ns=day_start_ns(day, "Asia/Shanghai"),
                status=ClearingStatus.OK,
                completed_at_ns=at(clock),
                version=version,
                price_cny_per_mwh=(price,),
            )
        )
        return self

    def order(self, clock: str, action: str, role: str, **args: str) -> str:
        """Give an order and return why it was refused; an empty text where it was not."""
        self._orders += 1
        said = {name.rstrip("_"): value for name, value in args.items()}
        command = CommandGiven(
            ts_event_ns=at(clock), command_id=f"{clock} {self._orders}", by=role.lower(), role=role, action=action, args=said
        )
        made = self.until(clock).take(command)
        return next((str(decision.body["why"]) for decision in made if decision.kind == "Refused"), "")


def test_the_rules_may_change_to_longer_intervals_while_an_outage_runs() -> None:
    five = rules_from({"rt_interval_min": 5})
    fifteen = replace(GUANGDONG_2023, revision="r2", rt_interval_min=15)
    story = Story("10T23:45", Rulebook((Version(from_ns=0, rules=five), Version(from_ns=at("11T00:00"), rules=fifteen))))
    story.cleared("11T00:07", "11T00:05").cleared("11T00:29", "11T00:30").cleared("11T00:44", "11T00:45").until("11T00:46")
    assert story.state.rt.phase == "NORMAL"
    starts = [price.interval_start_ns for price in story.prices if price.rev == 0]
    assert starts[-4:] == [at("11T00:10"), at("11T00:15"), at("11T00:30"), at("11T00:45")], "every instant has its price, by the new grid"
    assert (story.state.watch.next_start_ns - at("11T00:00")) % (15 * NS_PER_MIN) == 0


@cache
def _suspended() -> BreakerState:
    story = Story("10T09:00").until("13T12:30")
    for body in ("GOV", "REG"):
        assert not story.order("13T13:00", "RECEIPT", "MO", duty="report", recipient=body)
    for duty in ("assess", "measures"):
        assert not story.order("13T13:10", "COMPLETE_DUTY", "MO", duty=duty)
    facts = {"from_": "2026-06-13T15:00:00+08:00", "expected_end": "2026-06-20T00:00:00+08:00", "reason": "no repair in sight"}
    assert not story.order("13T14:00", "DECIDE_SUSPEND", "MO", **facts)
    return story.state


def suspended() -> Story:
    """A real-time market that was suspended by the book on 13 June, 15:00."""
    story = Story("10T09:00")
    story.state = _suspended()
    return story


def test_a_part_of_the_market_that_was_applied_for_and_approved_resumes() -> None:
    story = suspended()
    assert not story.order("18T09:00", "APPLY_RESUME", "MO", scope="north, south", reference="MO-17")
    assert not story.order("18T10:00", "APPROVE", "GOV", measure="RESUME")
    assert not story.order("18T10:00", "APPROVE", "REG", measure="RESUME", scope="north")
    assert "REG for south: it covers north" in story.order("18T10:30", "CONFIRM_RESUME", "MO")
    assert not story.order("18T11:00", "APPROVE", "REG", measure="RESUME", scope="north, south")
    assert not story.order("18T11:30", "CONFIRM_RESUME", "MO")
    assert story.state.rt.phase == "RESUMING"


def test_the_approval_of_another_content_resumes_nothing() -> None:
    story = suspended()
    assert not story.order("18T09:00", "APPLY_RESUME", "MO", reference="MO-17")
    assert not story.order("18T09:10", "REQUEST_APPROVAL", "MO", measure="RESUME/RT", content="something else")
    for body in ("GOV", "REG"):
        assert not story.order("18T10:00", "APPROVE", body, measure="RESUME/RT")
    assert "its content was changed" in story.order("18T10:30", "CONFIRM_RESUME", "MO")
    assert story.state.rt.phase == "SUSPENDED"


def test_the_approval_of_one_version_publishes_no_other() -> None:
    story = Story("10T09:00", day_ahead=True).day_ahead("10T17:00", "2026-06-11", 400.0, 1)
    story.day_ahead("10T18:40", "2026-06-11", 410.0, 2)
    for body in ("GOV", "REG"):
        assert not story.order("10T18:45", "APPROVE", body, measure="PUBLISH_RESULT")
    story.day_ahead("10T18:50", "2026-06-11", 990.0, 3)
    result = {"operating_day": "2026-06-11", "result_version": "3"}
    assert "GOV" in story.order("10T18:55", "PUBLISH_RESULT", "MO", **result)
    assert not story.order("10T19:00", "REQUEST_APPROVAL", "MO", measure="PUBLISH_RESULT/2026-06-11", content="version 3")
    for body in ("GOV", "REG"):
        assert not story.order("10T19:05", "APPROVE", body, measure="PUBLISH_RESULT")
    assert "its content was changed" in story.order("10T19:10", "PUBLISH_RESULT", "MO", **result)
    assert [day.price_cny_per_mwh[0] for day in story.state.book.day_ahead] == [400.0]


def test_a_result_that_waits_no_more_is_asked_for_no_longer() -> None:
    story = Story("10T09:00", day_ahead=True).day_ahead("10T17:00", "2026-06-11", 400.0, 1)
    story.day_ahead("10T18:40", "2026-06-11", 410.0, 2)
    assert [request.measure for request in story.state.approvals.requests] == ["PUBLISH_RESULT/2026-06-11"]
    for day in (11, 12, 13):
        story.day_ahead(f"{day}T17:00", f"2026-06-{day + 1}", 400.0, 1)
    assert not story.state.approvals.requests
    assert not [duty.key for duty in story.state.duties.duties if duty.duty == "approval"]


def test_a_notice_of_boundary_data_is_corrected_while_the_market_runs() -> None:
    story = Story("10T09:00", day_ahead=True)
    assert not story.order("10T09:30", "PUBLISH_BOUNDARY", "MO", operating_day="2026-06-11", content='{"load_mw": 1}')
    number = story.state.notices.notices[0].number
    said = {"number": number, "reason": "a slip", "text_zh": "更正", "text_en": "corrected"}
    assert not story.order("10T09:40", "CORRECT_NOTICE", "MO", **said)
    assert [notice.kind for notice in story.state.notices.notices] == ["CORRECTION"]
    assert "2026-06-11" in story.decisions[-1].body["text_en"]


def test_a_result_cleared_from_boundary_data_that_lack_something_is_an_anomaly_and_one_of_another_day_is_not() -> None:
    story = Story("10T09:00", day_ahead=True)
    assert not story.order("10T09:30", "PUBLISH_BOUNDARY", "MO", operating_day="2026-06-11", content='{"load_mw": null, "tie_mw": null}')
    story.day_ahead("10T17:00", "2026-06-12", 400.0, 1)
    assert "DA" not in {case.segment for case in story.state.cases.cases}
    story.day_ahead("10T17:10", "2026-06-11", 400.0, 1)
    (noted,) = [decision.body for decision in story.decisions if decision.body.get("finding") == "BOUNDARY_INCOMPLETE"]
    assert (noted["article"], noted["evidence"]) == (
        "Art. 20",
        ["operating day 2026-06-11: version 1 of the result", "the boundary data in force lack load_mw, tie_mw"],
    )
    (case,) = [case for case in story.state.cases.cases if case.segment == "DA"]
    assert (case.segment, case.item, case.subject, case.cause) == ("DA", "Art. 9(1)", "day-ahead market: a result that may be wrong", "")


def test_what_comes_from_the_future_is_refused_and_moves_no_clock() -> None:
    story = Story("10T09:00").cleared("10T09:00", "10T09:00").until("10T09:10")
    before = story.state
    result = ClearingReported(
        ts_event_ns=story.state.now_ns + AHEAD_MAX_NS + 1,
        segment=Segment.RT,
        interval_start_ns=at("10T09:15"),
        status=ClearingStatus.OK,
        completed_at_ns=at("10T09:14"),
        price_cny_per_mwh=(300.0,),
    )
    order = CommandGiven(ts_event_ns=result.ts_event_ns, command_id="c", by="li", role="DISPATCH", action="PROPOSE_TRIP", args={})
    (noted,), (refusal,) = story.take(result), story.take(order)
    assert (noted.body["finding"], refusal.kind, refusal.body["rule"]) == ("FROM_THE_FUTURE", "Refused", "policy 1.2")
    assert refusal.body["why"] == (
        "it is dated 2026-06-10T15:00:30+08:00, and the latest that is known is of 2026-06-10T09:00:30+08:00; "
        "set the clock of who told it right, and tell it anew"
    )
    assert noted.body["evidence"] == ["ClearingReported", refusal.body["why"]]
    assert replace_state(story.state, seq=before.seq, prev_hash=before.prev_hash) == before
    story.cleared("10T09:14", "10T09:15").until("10T09:20")
    assert story.state.rt.phase == "NORMAL"


def test_what_was_read_during_a_short_stop_is_taken_as_it_is_dated() -> None:
    story = Story("10T09:00")
    story.take(WarningReported(ts_event_ns=story.state.now_ns + AHEAD_MAX_NS, warning="typhoon", active=True))
    assert (story.state.warnings, story.state.now_ns) == (("typhoon",), at("10T15:00"))


def test_what_a_fact_is_about_may_lie_ahead_as_far_as_it_does() -> None:
    story = Story("10T09:00", day_ahead=True)
    year = {"element": "L1", "from_": "2027-06-10T08:00:00+08:00", "to": "2027-06-10T17:00:00+08:00"}
    assert not story.order("10T09:01", "GRANT_PERMIT", "DISPATCH", **year)
    assert not story.order("10T09:02", "DA_ETA", "DISPATCH", operating_day="2026-06-11", eta="2026-06-10T22:30:00+08:00")


def test_time_is_told_first_after_a_long_stop_and_then_what_is_new_is_news() -> None:
    story = Story("10T09:00").cleared("10T09:00", "10T09:00")
    now_ns = at("18T09:00")
    for known_ns, told in ((story.state.now_ns, 1), (now_ns - AHEAD_MAX_NS - 1, 1), (now_ns - AHEAD_MAX_NS, 0), (None, 0)):
        assert len(told_first(known_ns, now_ns)) == told
    for fact in (*told_first(story.state.now_ns, now_ns), WarningReported(ts_event_ns=now_ns, warning="typhoon", active=True)):
        story.take(fact)
    assert (story.state.now_ns, story.state.warnings) == (now_ns, ("typhoon",))


def recovered(story: Story, day: int) -> Story:
    """Recover a breaker after four shadow clearings at noon of a day, and let it take effect."""
    for minute in (15, 30, 45):
        story.cleared(f"{day}T12:{minute - 1}", f"{day}T12:{minute}")
    story.cleared(f"{day}T12:59", f"{day}T13:00")
    assert not story.order(f"{day}T13:00", "CONFIRM_RECOVER", "DISPATCH")
    return story.until(f"{day}T13:30")


def test_the_reference_days_are_those_before_the_first_day_of_an_interruption_though_the_market_that_began_it_came_back() -> None:
    story = recovered(Story("10T09:00", day_ahead=True), 11)
    assert (story.state.rt.phase, story.state.da.phase) == ("NORMAL", "TRIPPED"), "day-ahead went out in the evening, and is"
    story.until("11T16:00")
    assert story.state.rt.phase == "TRIPPED"
    assert {price.source.split()[0] for price in story.prices if price.interval_start_ns >= at("11T15:45")} == {"profile:2026-06-10"}


def test_another_interruption_has_reference_days_of_its_own() -> None:
    story = recovered(Story("10T09:00"), 11)
    assert story.state.interrupted_from_ns is None
    story.until("11T16:00")
    assert story.state.interrupted_from_ns == story.state.rt.substituted_from_ns == at("11T15:30")


def test_a_report_of_an_earlier_breaker_suspends_no_later_one() -> None:
    story = Story("10T09:00").until("13T11:30")
    assert not story.order("13T11:40", "RECEIPT", "MO", duty="report", recipient="GOV")
    recovered(story, 13).until("17T12:00")
    assert story.state.rt.phase == "OVERDUE"
    for duty in ("assess", "measures"):
        assert not story.order("17T12:10", "COMPLETE_DUTY", "MO", duty=duty)
    facts = {"from_": "2026-06-17T15:00:00+08:00", "expected_end": "2026-06-20T00:00:00+08:00", "reason": "no repair in sight"}
    missing = story.order("17T14:00", "DECIDE_SUSPEND", "MO", **facts)
    assert "report to GOV" in missing
    assert "report to REG" in missing


def test_where_a_suspension_needs_approval_it_is_the_one_that_was_approved_word_for_word() -> None:
    story = Story("10T09:00", rules_from({"suspension": {"requires": "approval"}})).until("13T12:30")
    for body in ("GOV", "REG"):
        assert not story.order("13T13:00", "RECEIPT", "MO", duty="report", recipient=body)
    for duty in ("assess", "measures"):
        assert not story.order("13T13:10", "COMPLETE_DUTY", "MO", duty=duty)
    facts = {"from_": "2026-06-13T15:00:00+08:00", "expected_end": "2026-06-15T00:00:00+08:00", "reason": "no repair in sight"}
    why = story.order("13T13:20", "DECIDE_SUSPEND", "MO", **facts)
    content = why.partition("content=")[2]
    assert '"expected_end":"2026-06-15T00:00:00+08:00"' in content
    assert not story.order("13T13:30", "REQUEST_APPROVAL", "MO", measure="SUSPEND/RT", content=content)
    for body in ("GOV", "REG"):
        assert not story.order("13T13:40", "APPROVE", body, measure="SUSPEND/RT")
    longer = {**facts, "expected_end": "2026-07-20T00:00:00+08:00"}
    assert "its content was changed" in story.order("13T14:00", "DECIDE_SUSPEND", "MO", **longer)
    assert not story.order("13T14:00", "DECIDE_SUSPEND", "MO", **facts)
    assert story.until("13T15:00").state.rt.phase == "SUSPENDED"
