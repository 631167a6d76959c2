"""Trading sessions at their edges: what is not planned, told twice, told late, or not known."""

from __future__ import annotations

import msgspec
import pytest

from detectors.situations import Level, SessionWatch, SituationWatch, next_deadline_ns, observe, quarantined
from market.caserecord import Situation, Standing
from market.facts import Fact, Ticked
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.sessionfacts import (
    LoginReported,
    LoginResult,
    OrderReported,
    OrderResult,
    ParticipantsEntitled,
    SessionEvent,
    SessionReported,
)
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S
from tests.kit.table import at_ns

RULES = GUANGDONG_2023


def play(*facts: Fact, watch: SituationWatch | None = None, rules: MarketRules = RULES) -> tuple[SituationWatch, list[Situation]]:
    watch, found = watch or SituationWatch(), list[Situation]()
    for fact in facts:
        watch, more = observe(watch, fact, rules)
        found += more
    return watch, found


def told(event: SessionEvent, at: str, session: str = "S", opens: str = "", closes: str = "") -> SessionReported:
    return SessionReported(
        ts_event_ns=at_ns(at),
        session=session,
        event=event,
        opens_ns=at_ns(opens) if opens else None,
        closes_ns=at_ns(closes) if closes else None,
    )


def entitled(count: int, at: str = "08:00") -> ParticipantsEntitled:
    return ParticipantsEntitled(ts_event_ns=at_ns(at), session="S", participants=count)


def login(who: str, at: str, result: LoginResult = LoginResult.SERVER_ERROR) -> LoginReported:
    return LoginReported(ts_event_ns=at_ns(at), session="S", participant=who, result=result)


def order(who: str, at: str | int, result: OrderResult = OrderResult.REJECTED, *, withdrawal: bool = False) -> OrderReported:
    at = at if isinstance(at, int) else at_ns(at)
    return OrderReported(ts_event_ns=at, session="S", participant=who, order="o1", result=result, withdrawal=withdrawal)


def tick(at: str | int) -> Ticked:
    return Ticked(ts_event_ns=at if isinstance(at, int) else at_ns(at))


def standings(found: list[Situation]) -> list[tuple[str, Standing]]:
    return [(situation.finding, situation.standing) for situation in found]


PLANNED = told(SessionEvent.PLANNED, "08:00", opens="09:00", closes="11:00")
OPENED = told(SessionEvent.OPENED, "09:00")


def test_a_session_begins_with_nothing_said_of_it() -> None:
    assert msgspec.to_builtins(Level()) == {"failing": {}, "said": 0}
    seen = msgspec.to_builtins(SessionWatch(session="S", forget_ns=1))
    assert {name for name, value in seen.items() if value} == {"session", "forget_ns", "logins", "orders"}
    assert (seen["stuck"], seen["opened"], seen["closed_ns"]) == (False, False, None)


def test_what_was_quarantined_is_that_of_the_session_asked_for() -> None:
    watch = SituationWatch(
        sessions=(SessionWatch(session="R", forget_ns=1, late=("r",)), SessionWatch(session="S", forget_ns=1, late=("s",)))
    )
    assert [quarantined(watch, name) for name in ("R", "S", "T")] == [("r",), ("s",), ()]


def test_a_session_nobody_planned_is_watched_from_its_first_word_and_for_a_week() -> None:
    watch, found = play(entitled(10), login("a", "08:10"), order("a", "08:20"), tick("08:30"))
    assert standings(found) == [("LOGINS_FAIL", Standing.FOUND)], "an order before it opens says nothing"
    assert watch.sessions[0].forget_ns == at_ns("08:00") + 7 * NS_PER_DAY
    assert next_deadline_ns(watch, at_ns("08:30"), RULES) == at_ns("08:00") + 7 * NS_PER_DAY
    watch, _ = play(told(SessionEvent.OPENED, "09:00"), watch=watch)
    assert watch.sessions[0].forget_ns == at_ns("09:00") + 7 * NS_PER_DAY
    assert standings(play(order("a", "09:01"), watch=watch)[1]) == [("ORDERS_FAIL", Standing.FOUND)]


def test_a_new_plan_that_names_one_end_keeps_the_other() -> None:
    watch, _ = play(PLANNED, told(SessionEvent.PLANNED, "08:10", closes="12:00"))
    assert (watch.sessions[0].opens_ns, watch.sessions[0].closes_ns) == (at_ns("09:00"), at_ns("12:00"))
    watch, _ = play(told(SessionEvent.PLANNED, "08:20", opens="10:00"), watch=watch)
    assert (watch.sessions[0].opens_ns, watch.sessions[0].closes_ns) == (at_ns("10:00"), at_ns("12:00"))
    assert watch.sessions[0].forget_ns == at_ns("12:00") + NS_PER_DAY


def test_a_session_that_is_told_to_have_closed_twice_closed_the_first_time() -> None:
    watch, _ = play(PLANNED, OPENED, told(SessionEvent.CLOSED, "10:00"), told(SessionEvent.CLOSED, "10:30"))
    assert (watch.sessions[0].closed_ns, watch.sessions[0].forget_ns) == (at_ns("10:00"), at_ns("10:00") + NS_PER_H)


def test_after_an_early_close_nobody_can_fail_to_log_in() -> None:
    _, found = play(PLANNED, entitled(10), OPENED, told(SessionEvent.CLOSED, "10:00"), login("a", "10:30"))
    assert found == []


def test_failures_that_have_left_the_window_do_not_count_when_it_becomes_known_who_is_entitled() -> None:
    _, found = play(PLANNED, OPENED, order("a", "09:01"), entitled(10, "09:10"))
    assert found == []
    _, found = play(PLANNED, OPENED, order("a", "09:06"), entitled(10, "09:10"))
    assert standings(found) == [("ORDERS_FAIL", Standing.FOUND)]


def test_a_tick_at_which_nothing_is_due_leaves_the_watch_as_it_is() -> None:
    assert observe(SituationWatch(), tick("09:00"), RULES) == (SituationWatch(), ())
    watch, _ = play(PLANNED, entitled(1000), OPENED, order("a", "09:01"))
    after, found = observe(watch, tick("09:30"), RULES)
    assert (after is watch, found) == (True, ()), "nothing was said of one order in a thousand"
    assert next_deadline_ns(watch, at_ns("09:02"), RULES) == at_ns("11:00:30"), "the end of the window, and nothing before it"


def test_what_is_due_now_is_not_asked_for_again() -> None:
    watch, _ = play(PLANNED, OPENED)
    assert next_deadline_ns(watch, at_ns("11:00:30") - 1, RULES) == at_ns("11:00:30")
    assert next_deadline_ns(watch, at_ns("11:00:30"), RULES) is None


def test_a_share_falls_below_the_warning_when_as_many_have_left_the_window() -> None:
    first_ns = at_ns("09:01")
    watch, _ = play(PLANNED, entitled(2020), OPENED, *(order(f"p{n}", first_ns + n * NS_PER_S) for n in range(110)))
    assert watch.sessions[0].orders.said == 1
    assert next_deadline_ns(watch, first_ns + 110 * NS_PER_S, RULES) == first_ns + 9 * NS_PER_S + 5 * NS_PER_MIN + 1, "then 100 are left"


def test_where_it_is_no_longer_known_who_is_entitled_nothing_falls() -> None:
    watch, found = play(PLANNED, entitled(10), OPENED, order("a", "09:01"), entitled(0, "09:02"), order("a", "09:03", OrderResult.ACCEPTED))
    assert standings(found) == [("ORDERS_FAIL", Standing.FOUND)]
    assert next_deadline_ns(watch, at_ns("09:04"), RULES) == at_ns("11:00:30")


def test_a_window_that_stays_open_while_orders_fail_is_told_and_what_was_said_of_them_falls() -> None:
    watch, _ = play(PLANNED, entitled(10), OPENED, order("a", at_ns("11:00") - 1))
    watch, found = play(tick("11:05:00.001"), watch=watch)
    assert standings(found) == [("ORDERS_FAIL", Standing.OVER), ("WINDOW_NOT_CLOSED", Standing.WARNING)]
    assert found[1].evidence == ("the window should have closed at 2026-06-10T11:00:00+08:00 and is open",)
    assert (watch.sessions[0].stuck, watch.sessions[0].orders) == (True, Level())
    assert play(tick("11:06"), watch=watch)[1] == []


def test_what_is_found_and_not_over_is_asked_after_until_it_is_forgotten() -> None:
    end_ns = at_ns("11:00") + NS_PER_DAY
    late, _ = play(PLANNED, OPENED, order("a", "11:00", OrderResult.ACCEPTED))
    assert next_deadline_ns(late, at_ns("11:00:30"), RULES) == end_ns
    orders, _ = play(PLANNED, entitled(10), OPENED, order("a", "09:01"))
    assert next_deadline_ns(orders, at_ns("12:00"), RULES) == end_ns
    logins, _ = play(PLANNED, entitled(10), login("a", "08:50"))
    assert next_deadline_ns(logins, at_ns("12:00"), RULES) == end_ns
    warned, _ = play(PLANNED, entitled(20), login("a", "08:50"))
    assert next_deadline_ns(warned, at_ns("12:00"), RULES) is None, "a warning ends by itself"


def test_nobody_is_no_share_of_the_entitled_however_low_the_warning_is_set() -> None:
    rules = rules_from({"situations": {"warn_pct": 0.0}})
    _, found = play(PLANNED, entitled(10), OPENED, order("a", "09:01", OrderResult.ACCEPTED), rules=rules)
    assert found == []


@pytest.mark.parametrize(
    ("count", "named"), [(10, "p0, p1, p2, p3, p4, p5, p6, p7, p8, p9"), (11, "p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 1 more")]
)
def test_ten_participants_are_named_and_more_are_counted(count: int, named: str) -> None:
    _, found = play(PLANNED, entitled(count * 10), *(login(f"p{n}", "08:50") for n in range(count)))
    assert found[-1].evidence[2] == named


@pytest.mark.parametrize(("withdrawal", "what"), [(False, "order o1 of a"), (True, "withdrawal of order o1 of a")])
def test_what_came_late_is_told_as_what_it_was(withdrawal: bool, what: str) -> None:
    watch, (found,) = play(PLANNED, OPENED, order("a", "11:00:05", OrderResult.ACCEPTED, withdrawal=withdrawal))
    assert found.evidence[0] == f"{what}, accepted 2026-06-10T11:00:05+08:00"
    assert quarantined(watch, "S") == (found.evidence[0],)
