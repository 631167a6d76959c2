"""Who cannot take part, and what comes after the end: the shares, the windows and what takes them back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.situations import SituationWatch, next_deadline_ns, observe, quarantined
from market.caserecord import Situation, Standing
from market.causes import AnomalyClass
from market.facts import Fact, Ticked
from market.rules import GUANGDONG_2023, rules_from
from market.sessionfacts import (
    LoginReported,
    LoginResult,
    OrderReported,
    OrderResult,
    ParticipantsEntitled,
    SessionEvent,
    SessionReported,
)
from market.units import NS_PER_MS, NS_PER_S
from tests.kit.table import at_ns, rows

RULES = GUANGDONG_2023


def play(facts: list[Fact], watch: SituationWatch | None = None) -> tuple[SituationWatch, list[Situation]]:
    watch, found = watch or SituationWatch(), list[Situation]()
    for fact in facts:
        watch, more = observe(watch, fact, RULES)
        found += more
        assert msgspec.json.decode(msgspec.json.encode(watch), type=SituationWatch) == watch
    return watch, found


def planned(opens: str = "09:00", closes: str = "11:00", at: str = "08:00", product: str = "") -> SessionReported:
    return SessionReported(
        ts_event_ns=at_ns(at), session="S", event=SessionEvent.PLANNED, opens_ns=at_ns(opens), closes_ns=at_ns(closes), product=product
    )


def session(event: SessionEvent, at: str) -> SessionReported:
    return SessionReported(ts_event_ns=at_ns(at), session="S", event=event)


def entitled(participants: int, at: str = "08:00") -> ParticipantsEntitled:
    return ParticipantsEntitled(ts_event_ns=at_ns(at), session="S", participants=participants)


def login(who: int, at: int | str, result: LoginResult = LoginResult.SERVER_ERROR) -> LoginReported:
    return LoginReported(ts_event_ns=at if isinstance(at, int) else at_ns(at), session="S", participant=f"P{who}", result=result)


def order(who: int, at: int | str, result: OrderResult = OrderResult.REJECTED, *, withdrawal: bool = False) -> OrderReported:
    at = at if isinstance(at, int) else at_ns(at)
    return OrderReported(ts_event_ns=at, session="S", participant=f"P{who}", order=f"c{who}", result=result, withdrawal=withdrawal)


def standings(found: list[Situation]) -> list[tuple[str, Standing]]:
    return [(situation.finding, situation.standing) for situation in found]


READY: list[Fact] = [planned(), entitled(1230)]
OPEN: list[Fact] = [*READY, session(SessionEvent.OPENED, "09:00")]


def test_a_tenth_unable_to_log_in_counts_from_the_failure_that_made_it() -> None:  # GD-07-1
    facts = [login(who, at_ns("08:45") + who * NS_PER_S) for who in range(123)]
    _, found = play([*READY, *facts])
    warned, met = found
    assert (warned.standing, met.standing) == (Standing.WARNING, Standing.FOUND)
    assert (met.finding, met.anomaly, met.item, met.subject) == ("LOGINS_FAIL", AnomalyClass.CANNOT_START, "Art. 7(5)", "session S")
    assert met.discovered_ns == facts[122].ts_event_ns
    assert "123 of 1230 entitled participants cannot log in for reasons of the system: 10.00 %" in met.evidence[0]
    assert "2026-06-10T08:45:00+08:00 to 2026-06-10T08:47:02+08:00" in met.evidence[1]
    assert met.evidence[2] == "P0, P1, P2, P3, P4, P5, P6, P7, P8, P9 and 113 more"


def test_one_fewer_is_an_early_warning_alone() -> None:
    _, found = play([*READY, *(login(who, "08:50") for who in range(122))])
    assert standings(found) == [("LOGINS_FAIL", Standing.WARNING)]
    assert found[0].evidence[0].endswith("62 of 1230 entitled participants cannot log in for reasons of the system: 5.04 %")


def test_five_percent_exactly_warns() -> None:
    _, found = play([planned(), entitled(100), *(login(who, "08:50") for who in range(5))])
    assert standings(found) == [("LOGINS_FAIL", Standing.WARNING)]
    assert found[0].evidence[2] == "P0, P1, P2, P3, P4"
    assert play([planned(), entitled(100), *(login(who, "08:50") for who in range(4))])[1] == []


def test_the_first_failure_may_be_the_warning_already() -> None:
    assert standings(play([planned(), entitled(20), login(1, "08:50")])[1]) == [("LOGINS_FAIL", Standing.WARNING)]


def test_wrong_passwords_are_no_reason_of_the_system() -> None:  # GD-07-3
    bad: list[Fact] = [login(who, "08:50", LoginResult.BAD_CREDENTIALS) for who in range(140)]
    _, found = play([*READY, *bad, *(login(200 + who, "08:51") for who in range(30))])
    assert found == []


def test_a_wrong_password_after_a_failure_takes_nothing_back() -> None:
    facts: list[Fact] = [planned(), entitled(10), login(1, "08:50"), login(1, "08:51", LoginResult.BAD_CREDENTIALS)]
    watch, found = play(facts)
    assert standings(found) == [("LOGINS_FAIL", Standing.FOUND)]
    assert watch.sessions[0].logins.failing == {"P1": at_ns("08:50")}


def test_a_participant_counts_once() -> None:
    _, found = play([planned(), entitled(100), *(login(1, "08:50") for _ in range(20))])
    assert found == []


def test_a_later_success_takes_the_failure_back_and_below_the_warning_it_is_over() -> None:
    watch, found = play([planned(), entitled(100), *(login(who, "08:50") for who in range(10))])
    assert standings(found)[-1] == ("LOGINS_FAIL", Standing.FOUND)
    watch, found = play([login(who, "08:55", LoginResult.OK) for who in range(5)], watch)
    assert found == []  # five of a hundred are the warning still
    watch, found = play([login(5, "08:56", LoginResult.OK)], watch)
    assert standings(found) == [("LOGINS_FAIL", Standing.OVER)]
    _, found = play([login(who, "08:57") for who in range(6)], watch)
    assert standings(found) == [("LOGINS_FAIL", Standing.WARNING), ("LOGINS_FAIL", Standing.FOUND)]


def test_a_warning_that_passes_is_not_told_and_may_come_again() -> None:
    watch, _ = play([planned(), entitled(100), *(login(who, "08:50") for who in range(5))])
    watch, found = play([login(0, "08:51", LoginResult.OK)], watch)
    assert found == []
    assert standings(play([login(0, "08:52")], watch)[1]) == [("LOGINS_FAIL", Standing.WARNING)]


@pytest.mark.parametrize(("at", "counts"), [("08:44:59.999", False), ("08:45:00", True), ("10:59:59.999", True), ("11:00", False)])
def test_logins_count_from_the_window_before_the_opening_to_the_end(at: str, counts: bool) -> None:
    _, found = play([planned(), entitled(1), login(1, at)])
    assert bool(found) is counts


def test_without_the_number_of_participants_nothing_is_found_until_it_is_known() -> None:
    watch, found = play([planned(), *(login(who, "08:50") for who in range(10))])
    assert found == []
    assert play([entitled(0, "08:55")], watch)[1] == []
    assert standings(play([entitled(100, "08:55")], watch)[1]) == [("LOGINS_FAIL", Standing.FOUND)]


def test_a_success_of_somebody_who_did_not_fail_changes_nothing() -> None:
    watch, _ = play(READY)
    assert play([login(1, "08:50", LoginResult.OK)], watch)[0] is not None
    assert observe(watch, login(1, "08:50", LoginResult.OK), RULES)[0] is watch


def test_a_new_plan_forgets_failures_before_its_login_window() -> None:
    watch, _ = play([planned(), entitled(100), *(login(who, "08:50") for who in range(9)), login(9, "09:15")])
    watch, _ = play([planned("09:30", "11:30", at="09:20")], watch)
    assert watch.sessions[0].logins.failing == {"P9": at_ns("09:15")}


def test_a_tenth_unable_to_send_within_five_minutes_cannot_continue() -> None:  # GD-08-1
    facts = [
        order(who, at_ns("09:40") + who * 2 * NS_PER_S, OrderResult.TIMED_OUT if who % 2 else OrderResult.REJECTED) for who in range(130)
    ]
    _, found = play([*OPEN, *facts])
    assert standings(found) == [("ORDERS_FAIL", Standing.WARNING), ("ORDERS_FAIL", Standing.FOUND)]
    assert (found[1].anomaly, found[1].item) == (AnomalyClass.CANNOT_CONTINUE, "Art. 8(2)")
    assert found[1].discovered_ns == facts[122].ts_event_ns
    assert "cannot send" in found[1].evidence[0]


@pytest.mark.parametrize(("later", "counts"), [("09:45:00", True), ("09:45:00.001", False)])
def test_failures_exactly_as_old_as_the_window_count(later: str, counts: bool) -> None:
    _, found = play([planned(), entitled(20), session(SessionEvent.OPENED, "09:00"), order(1, "09:40"), order(2, later)])
    assert (("ORDERS_FAIL", Standing.FOUND) in standings(found)) is counts


def test_an_order_refused_by_a_rule_reached_the_market() -> None:
    _, found = play([planned(), entitled(1), session(SessionEvent.OPENED, "09:00"), order(1, "09:40", OrderResult.REFUSED)])
    assert found == []


@pytest.mark.parametrize("result", [OrderResult.ACCEPTED, OrderResult.REFUSED])
def test_a_later_order_that_arrives_takes_the_failure_back(result: OrderResult) -> None:
    facts = [planned(), entitled(10), session(SessionEvent.OPENED, "09:00"), order(1, "09:40"), order(1, "09:41", result)]
    assert standings(play(facts)[1]) == [("ORDERS_FAIL", Standing.FOUND), ("ORDERS_FAIL", Standing.OVER)]


def test_orders_before_the_session_opens_say_nothing() -> None:
    assert play([planned(), entitled(1), order(1, "08:59:59.999")])[1] == []
    assert standings(play([planned(), entitled(1), order(1, "09:00")])[1]) == [("ORDERS_FAIL", Standing.FOUND)]
    early: list[Fact] = [planned(), entitled(1), session(SessionEvent.OPENED, "08:50"), order(1, "08:55")]
    assert standings(play(early)[1]) == [("ORDERS_FAIL", Standing.FOUND)]


def test_silence_ends_what_was_found_of_orders_when_enough_have_left_the_window() -> None:
    opened: list[Fact] = [planned(), entitled(20), session(SessionEvent.OPENED, "09:00")]
    watch, found = play([*opened, order(1, "09:40"), order(2, "09:41")])
    assert standings(found)[-1] == ("ORDERS_FAIL", Standing.FOUND)
    over_ns = at_ns("09:46") + 1
    assert next_deadline_ns(watch, at_ns("09:41"), RULES) == over_ns
    assert play([Ticked(ts_event_ns=over_ns - 1)], watch)[1] == []
    watch, found = play([Ticked(ts_event_ns=over_ns)], watch)
    assert standings(found) == [("ORDERS_FAIL", Standing.OVER)]
    assert found[0].evidence[0].startswith("0 of 20")
    assert play([Ticked(ts_event_ns=over_ns)], watch)[1] == []


def test_a_warning_is_looked_at_again_when_the_first_of_just_enough_leaves_the_window() -> None:
    watch, _ = play([planned(), entitled(100), session(SessionEvent.OPENED, "09:00"), *(order(who, "09:40") for who in range(5))])
    assert watch.sessions[0].orders.said == 1
    assert next_deadline_ns(watch, at_ns("09:40"), RULES) == at_ns("09:45") + 1
    watch, found = play([Ticked(ts_event_ns=at_ns("09:45") + 1)], watch)
    assert (found, watch.sessions[0].orders.said) == ([], 0)


STUCK = """
    14:00     plan 15:00 16:00
    16:00     order 1        | NOT_ENDED FOUND
    16:00:30  tick           | WINDOW_NOT_CLOSED WARNING
    16:00:31  tick
    16:01     order 2        | QUARANTINED MORE
    16:01:30  withdraw 3     | QUARANTINED MORE
    16:02     refused 9
    16:02     order 4        | QUARANTINED MORE
    16:02:10  order 5        | QUARANTINED MORE
    16:02:59  order 6        | QUARANTINED MORE
    16:03     closed         | NOT_ENDED OVER
    16:03:10  order 7        | NOT_ENDED FOUND
    17:02:59  tick
    17:03     tick           | NOT_ENDED OVER
"""


def test_what_is_accepted_after_the_end_is_quarantined_and_listed() -> None:  # GD-10-2
    watch, told = SituationWatch(), list[Situation]()
    for ts_ns, words, expected in rows(STUCK):
        match words:
            case ["plan", opens, closes]:
                fact: Fact = planned(opens, closes, at="14:00")
            case ["tick"]:
                fact = Ticked(ts_event_ns=ts_ns)
            case ["closed"]:
                fact = SessionReported(ts_event_ns=ts_ns, session="S", event=SessionEvent.CLOSED)
            case ["refused", who]:
                fact = order(int(who), ts_ns, OrderResult.REFUSED)
            case [word, who]:
                fact = order(int(who), ts_ns, OrderResult.ACCEPTED, withdrawal=word == "withdraw")
        watch, found = observe(watch, fact, RULES)
        assert [f"{s.finding} {s.standing}" for s in found] == ([expected] if expected else []), ts_ns
        if words == ["closed"]:
            assert len(quarantined(watch, "S")) == 6
        told += found
    listed = next(s for s in told if s.standing is Standing.OVER)
    assert listed.evidence[0] == "the window closed at 2026-06-10T16:03:00+08:00; 6 items were accepted after its end and are quarantined"
    assert listed.evidence[3] == "withdrawal of order c3 of P3, accepted 2026-06-10T16:01:30+08:00"
    assert len(listed.evidence) == 7
    assert told[0].evidence[1] == "0 s after the end at 16:00"
    assert (told[0].anomaly, told[0].item, told[0].discovered_ns) == (AnomalyClass.NOT_ENDED, "Art. 10", at_ns("16:00"))
    assert watch.sessions == ()
    assert quarantined(watch, "S") == ()


def test_an_order_a_moment_before_the_end_is_in_time() -> None:
    assert play([planned(), order(1, at_ns("11:00") - NS_PER_MS, OrderResult.ACCEPTED)])[1] == []


def test_many_late_items_are_counted_beyond_those_that_are_listed() -> None:
    watch, _ = play([planned(), *(order(who, "11:01", OrderResult.ACCEPTED) for who in range(201))])
    _, found = play([session(SessionEvent.CLOSED, "11:02")], watch)
    assert len(found[0].evidence) == 202
    assert found[0].evidence[-1] == "and 1 more, each recorded as QUARANTINED"


def test_the_end_is_awaited_for_the_grace_and_told_once() -> None:
    watch, _ = play(OPEN)
    deadline_ns = at_ns("11:00:30")
    assert next_deadline_ns(watch, at_ns("09:00"), RULES) == deadline_ns
    assert play([Ticked(ts_event_ns=deadline_ns - 1)], watch)[1] == []
    watch, found = play([Ticked(ts_event_ns=deadline_ns)], watch)
    assert standings(found) == [("WINDOW_NOT_CLOSED", Standing.WARNING)]
    assert found[0].evidence == ("the window should have closed at 2026-06-10T11:00:00+08:00 and is open",)
    assert next_deadline_ns(watch, deadline_ns, RULES) is None
    assert play([Ticked(ts_event_ns=deadline_ns + 1)], watch)[1] == []


def test_a_window_that_closed_in_time_is_not_asked_after() -> None:
    watch, _ = play([*OPEN, session(SessionEvent.CLOSE_ORDERED, "10:59"), session(SessionEvent.CLOSED, "11:00")])
    assert next_deadline_ns(watch, at_ns("11:00"), RULES) is None
    assert play([Ticked(ts_event_ns=at_ns("11:00:30"))], watch)[1] == []


def test_an_order_to_close_is_no_closing() -> None:
    _, found = play([*OPEN, session(SessionEvent.CLOSE_ORDERED, "11:00"), order(1, "11:01", OrderResult.ACCEPTED)])
    assert standings(found) == [("NOT_ENDED", Standing.FOUND)]


def test_closing_ends_what_was_found_of_logins_and_orders() -> None:
    watch, _ = play([planned(), entitled(1), session(SessionEvent.OPENED, "09:00"), login(1, "09:01"), order(1, "09:02")])
    _, found = play([session(SessionEvent.CLOSED, "09:30")], watch)
    assert standings(found) == [("LOGINS_FAIL", Standing.OVER), ("ORDERS_FAIL", Standing.OVER)]
    assert found[0].evidence == ("the window closed at 2026-06-10T09:30:00+08:00",)


def test_a_session_that_never_closes_is_forgotten_a_day_later_and_what_was_found_ends() -> None:
    watch, _ = play([planned(), entitled(1), login(1, "09:01")])
    forget_ns = at_ns("11:00") + 24 * 3600 * NS_PER_S
    assert next_deadline_ns(watch, at_ns("12:00"), RULES) == forget_ns
    watch, found = play([Ticked(ts_event_ns=forget_ns - 1)], watch)
    assert len(watch.sessions) == 1
    watch, found = play([Ticked(ts_event_ns=forget_ns)], watch)
    assert standings(found) == [("LOGINS_FAIL", Standing.OVER)]
    assert watch == SituationWatch()


def test_what_nobody_plans_is_remembered_a_week() -> None:
    watch, _ = play([entitled(10)])
    week_ns = at_ns("08:00") + 7 * 24 * 3600 * NS_PER_S
    assert len(play([Ticked(ts_event_ns=week_ns - 1)], watch)[0].sessions) == 1
    assert play([Ticked(ts_event_ns=week_ns)], watch)[0].sessions == ()


def test_facts_of_an_unknown_session_are_nothing() -> None:
    _, found = play([login(1, "09:00"), order(1, "09:00"), order(1, "12:00", OrderResult.ACCEPTED)])
    assert found == []


def test_a_session_that_opens_again_is_watched_again() -> None:
    watch, _ = play([*OPEN, session(SessionEvent.CLOSED, "10:00"), session(SessionEvent.OPENED, "10:05"), entitled(1, "10:05")])
    assert standings(play([order(1, "10:10")], watch)[1]) == [("ORDERS_FAIL", Standing.FOUND)]


def test_two_sessions_do_not_mix_and_the_product_changes_nothing_but_the_words() -> None:  # GD-19-1
    found: dict[str, Situation] = {}
    for product in ("GREEN_POWER", "DEMAND_RESPONSE", ""):
        _, said = play([planned(product=product), entitled(1), login(1, "08:50")])
        found[product] = said[0]
    assert found["GREEN_POWER"].evidence[-1] == "product: GREEN_POWER"
    assert {(s.anomaly, s.item, s.standing, s.discovered_ns, s.evidence[:3]) for s in found.values()} == {
        (AnomalyClass.CANNOT_START, "Art. 7(5)", Standing.FOUND, at_ns("08:50"), found[""].evidence)
    }
    watch, _ = play([planned(), entitled(1)])
    other = SessionReported(
        ts_event_ns=at_ns("08:00"), session="T", event=SessionEvent.PLANNED, opens_ns=at_ns("09:00"), closes_ns=at_ns("11:00")
    )
    watch, _ = play([other], watch)
    watch, found_s = play([login(1, "08:50")], watch)
    assert [situation.subject for situation in found_s] == ["session S"]
    assert [len(seen.logins.failing) for seen in watch.sessions] == [1, 0]


def test_the_numbers_are_those_of_the_rule_set() -> None:
    rules = rules_from({"situations": {"unable_pct": 20.0, "warn_pct": 20.0, "window_min": 1, "login_window_min": 1}})
    watch = SituationWatch()
    for fact in (planned(), entitled(5), login(1, "08:58:59.999")):
        watch, found = observe(watch, fact, rules)
        assert found == ()
    watch, found = observe(watch, login(1, "08:59"), rules)
    assert [situation.standing for situation in found] == [Standing.FOUND]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(OrderResult), st.integers(0, 90)), max_size=40))
def test_the_failing_are_those_whose_latest_order_in_the_window_failed(attempts: list[tuple[int, OrderResult, int]]) -> None:
    """Against the definition, over the whole history."""
    watch, _ = play([planned(), entitled(6), session(SessionEvent.OPENED, "09:00")])
    now_ns = at_ns("09:10")
    history: list[tuple[int, int, OrderResult]] = []
    for who, result, wait_s in attempts:
        now_ns += wait_s * NS_PER_S
        history.append((now_ns, who, result))
        watch, _ = observe(watch, order(who, now_ns, result), RULES)
        latest = {who: (at_ns_, result) for at_ns_, who, result in history}
        failed = (OrderResult.REJECTED, OrderResult.TIMED_OUT)
        expected = {f"P{who}" for who, (at, result) in latest.items() if result in failed and at >= now_ns - 300 * NS_PER_S}
        assert set(watch.sessions[0].orders.failing) == expected
        assert watch.sessions[0].orders.said == (2 if expected else 0)


def test_an_order_that_is_told_twice_is_quarantined_once() -> None:
    late = order(1, "11:01", OrderResult.ACCEPTED)
    watch, found = play([planned(), session(SessionEvent.OPENED, "09:00"), session(SessionEvent.CLOSED, "11:00"), late, late])
    assert standings(found) == [("NOT_ENDED", Standing.FOUND)]
    assert len(quarantined(watch, "S")) == 1
