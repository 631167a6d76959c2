"""Facts and orders of every kind, right and wrong, for a breaker at an instant."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from market.causes import Cause, Role
from market.commands import ORDERS
from market.facts import (
    CalendarClosed,
    ClearedAgain,
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    ControlReported,
    DayAheadExpected,
    EstimateReported,
    EstimateSource,
    ExercisePlanned,
    Fact,
    FlowReported,
    InfeedReported,
    InterfaceLimitReported,
    LoadReported,
    PermitGranted,
    PermitRevoked,
    PointQuality,
    RunType,
    Segment,
    SourceReported,
    SwitchReported,
    SwitchStatus,
    TripSignalled,
    VoltageReported,
    WarningReported,
)
from market.operatingdays import days_after
from market.progress import Outlook
from market.sessionfacts import (
    LoginReported,
    LoginResult,
    OrderReported,
    OrderResult,
    ParticipantsEntitled,
    SessionEvent,
    SessionReported,
)
from market.units import NS_PER_DAY, NS_PER_H, NS_PER_MIN, NS_PER_S, civil_day, day_start_ns, floor_ns
from tests.kit.breakerdesk import GRID, Desk

__all__ = ["clearings", "field", "sessions", "what", "worded"]

_NAMES: Final = ("chen", "wang", "li", " ", "")


def clearings(desk: Desk) -> st.SearchStrategy[Fact]:
    """Return reports of clearings: in time, late, failed, invalid, repeated, of studies; and what is expected of them."""
    now, step = desk.now_ns, desk.rules.rt_interval_ns
    start, today = floor_ns(now, step), day_start_ns(civil_day(now, desk.rules.zone), desk.rules.zone)
    real_time = st.builds(
        ClearingReported,
        ts_event_ns=st.just(now),
        segment=st.just(Segment.RT),
        interval_start_ns=st.sampled_from([start + step, start, start - step, start + 2 * step, start + 1]),
        status=st.sampled_from([ClearingStatus.OK, ClearingStatus.OK, ClearingStatus.FAILED]),
        completed_at_ns=st.sampled_from([now, now - NS_PER_S, now - step, now + 2 * NS_PER_S]),
        run_type=st.sampled_from([RunType.PRODUCTION, RunType.PRODUCTION, RunType.STUDY]),
        version=st.integers(1, 2),
        price_cny_per_mwh=st.sampled_from([(300.0,), (301.5,), (), (9e9,), (float("nan"),)]),
        reason=st.just("SOLVER_STATUS"),
        review=st.sampled_from([(), ("three times the price before",)]),
    )
    day_ahead = st.builds(
        ClearingReported,
        ts_event_ns=st.just(now),
        segment=st.just(Segment.DA),
        interval_start_ns=st.sampled_from([today + NS_PER_DAY, today + NS_PER_DAY, today, today + 2 * NS_PER_DAY, today + NS_PER_H]),
        status=st.sampled_from([ClearingStatus.OK, ClearingStatus.OK, ClearingStatus.FAILED]),
        completed_at_ns=st.sampled_from([now, now - NS_PER_H]),
        run_type=st.sampled_from([RunType.PRODUCTION, RunType.PRODUCTION, RunType.STUDY]),
        version=st.integers(1, 4),
        price_cny_per_mwh=st.sampled_from([(420.0,), tuple(400.0 + hour for hour in range(24)), (9e9,), (), (1.0, 2.0)]),
    )
    expected = st.builds(
        DayAheadExpected,
        ts_event_ns=st.just(now),
        interval_start_ns=st.sampled_from([today + NS_PER_DAY, today + NS_PER_DAY, today]),
        source=st.sampled_from(EstimateSource),
        p50_ns=st.sampled_from([None, now + NS_PER_H, today + 23 * NS_PER_H, today + 23 * NS_PER_H + 1]),
        p90_ns=st.sampled_from([None, today + 24 * NS_PER_H]),
        outlook=st.none() | st.sampled_from(Outlook),
    )
    again = st.builds(
        ClearedAgain,
        ts_event_ns=st.just(now),
        command_id=st.sampled_from(["c1", "c2", "c3"]),
        by=st.just("li"),
        role=st.just("MO"),
        why=st.just("a wrong load"),
        interval_start_ns=st.sampled_from([start, start - step]),
        version=st.just(2),
        price_cny_per_mwh=st.sampled_from([250.0, None]),
        failure=st.sampled_from(["", "", "SOLVER_STATUS"]),
    )
    return st.one_of(real_time, real_time, day_ahead, day_ahead, expected, again)


def field(desk: Desk) -> st.SearchStrategy[Fact]:
    """Return what the field reports: switches, flows, voltages, control, permits, warnings, sight, clocks."""
    now = desk.now_ns
    at, element = st.just(now), st.sampled_from([*GRID.elements, "nobody"])
    quality = st.sampled_from([PointQuality.GOOD, PointQuality.GOOD, PointQuality.GOOD, PointQuality.STALE])
    span = {"from_ns": st.sampled_from([now, now + NS_PER_H]), "to_ns": st.sampled_from([now + NS_PER_H, now + 3 * NS_PER_H])}
    return st.one_of(
        st.builds(
            SwitchReported,
            ts_event_ns=at,
            element=element,
            status=st.sampled_from([SwitchStatus.OPEN, SwitchStatus.OPEN, SwitchStatus.CLOSED, SwitchStatus.INTERMEDIATE]),
            quality=quality,
            ts_source_ns=st.sampled_from([now, now - NS_PER_S]),
            end=st.sampled_from(["", "from", "to"]),
            initial=st.sampled_from([False, False, True]),
        ),
        st.builds(
            FlowReported,
            ts_event_ns=at,
            element=element,
            from_pct=st.sampled_from([0.0, 50.0, None]),
            to_pct=st.sampled_from([0.0, 50.0, None]),
            quality=quality,
            ts_source_ns=at,
        ),
        st.builds(VoltageReported, ts_event_ns=at, bus=st.just("B1"), pu=st.sampled_from([0.0, 1.0]), quality=quality, ts_source_ns=at),
        st.builds(TripSignalled, ts_event_ns=at, element=element, ts_source_ns=at),
        st.builds(
            InfeedReported,
            ts_event_ns=at,
            infeed=st.just("DC1"),
            mw=st.sampled_from([0.0, 900.0]),
            quality=quality,
            ts_source_ns=at,
        ),
        st.builds(InterfaceLimitReported, ts_event_ns=at, interface=st.just("I1"), limit_mw=st.sampled_from([100.0, 60.0])),
        st.builds(LoadReported, ts_event_ns=at, area=st.just("A"), load_mw=st.sampled_from([25_000.0, 10_000.0])),
        st.builds(EstimateReported, ts_event_ns=at, ts_snapshot_ns=at, doubted=st.sampled_from([(), ("L1",), ("L1", "L2", "L3")])),
        st.builds(
            ControlReported,
            ts_event_ns=at,
            site=st.sampled_from(["MAIN", "BACKUP"]),
            asserted=st.booleans(),
            ts_source_ns=at,
            initial=st.sampled_from([False, False, True]),
        ),
        st.builds(SourceReported, ts_event_ns=at, name=st.sampled_from(["clearing", "clearing", "scada"]), up=st.booleans()),
        st.builds(ClockCompared, ts_event_ns=at, wall_s=st.sampled_from([10.0, 15.0]), monotonic_s=st.just(10.0)),
        st.builds(CalendarClosed, ts_event_ns=at, segment=st.sampled_from(Segment), **span),
        st.builds(PermitGranted, ts_event_ns=at, element=element, **span),
        st.builds(PermitRevoked, ts_event_ns=at, element=element, **span),
        st.builds(ExercisePlanned, ts_event_ns=at, **span),
        st.builds(WarningReported, ts_event_ns=at, warning=st.sampled_from(["typhoon", "fuel"]), active=st.booleans(), text=st.just("red")),
    )


def sessions(desk: Desk) -> st.SearchStrategy[Fact]:
    """Return what trading sessions report: windows, logins, orders."""
    now = desk.now_ns
    at, session = st.just(now), st.just("S1")
    who = st.sampled_from([f"p{number}" for number in range(8)])
    return st.one_of(
        st.builds(ParticipantsEntitled, ts_event_ns=at, session=session, participants=st.sampled_from([10, 40])),
        st.builds(
            SessionReported,
            ts_event_ns=at,
            session=session,
            event=st.sampled_from(SessionEvent),
            opens_ns=st.sampled_from([None, now, now + NS_PER_H]),
            closes_ns=st.sampled_from([None, now + 2 * NS_PER_H]),
            product=st.just("spot"),
        ),
        st.builds(LoginReported, ts_event_ns=at, session=session, participant=who, result=st.sampled_from(LoginResult)),
        st.builds(
            OrderReported,
            ts_event_ns=at,
            session=session,
            participant=who,
            order=st.sampled_from(["o1", "o2"]),
            result=st.sampled_from(OrderResult),
            withdrawal=st.booleans(),
        ),
    )


def what(desk: Desk) -> st.SearchStrategy[str]:
    """Return the name of an order, or of none there is."""
    return st.sampled_from([*ORDERS, "NONSENSE"])


def _values(desk: Desk) -> dict[str, list[str]]:
    """Return what an argument of each name may say: what fits now, and what does not."""
    state, now, zone = desk.state, desk.now_ns, desk.rules.zone
    day = civil_day(now, zone)
    instants = [desk.text(now), desk.text(now + NS_PER_H), desk.text(now + 5 * NS_PER_H), desk.text(now - NS_PER_H), "until further notice"]
    measures = [request.measure for request in state.approvals.requests]
    cases = [case.case for case in state.cases.cases]
    duties = [duty.key for duty in state.duties.duties]
    waiting = [str(one.version) for one in state.book.waiting]
    seg_day = [civil_day(one.day_start_ns, zone) for one in state.book.waiting]
    return {
        "segment": ["RT", "DA"],
        "version": [str(state.rt.version), str(state.da.version), "99"],
        "cause": [*Cause, "BAD_LUCK"],
        "reference": ["doc-1", "doc-2", ""],
        "operating_day": [*seg_day, days_after(day, 1), days_after(day, 1), day, days_after(day, 3), "tomorrow"],
        "from": instants,
        "to": instants[1:],
        "eta": [desk.text(day_start_ns(day, zone) + 23 * NS_PER_H + 1 * NS_PER_MIN), *instants],
        "deadline": [desk.text(day_start_ns(day, zone) + hours * NS_PER_H) for hours in (12, 18, 23)] + instants[:2],
        "expected_end": instants[1:],
        "effective_from": instants,
        "at": instants,
        "next_update": instants,
        "delivered_at": [desk.text(now), desk.text(now - NS_PER_H), desk.text(now + NS_PER_H), "soon"],
        "discovered_at": [desk.text(now), desk.text(now - NS_PER_H), "soon"],
        "duty": [*duties, *duties, "explain", "report", "assess", "measures", "confirm_analogy", "nothing"],
        "recipient": ["GOV", "REG", "PARTICIPANTS", "nobody"],
        "measure": [*measures, *measures, "RESUME/RT", "PUBLISH_RESULT/" + day, "RESUME", "NONSENSE/RT"],
        "content": ['{"load_mw": [1, 2]}', '{"load_mw": [1, null]}', "a plan", '{"load_mw": [3, 2], "ties": 4}'],
        "verdict": ["APPROVED", "APPROVED", "REFUSED", "MAYBE"],
        "form": ["written", "oral"],
        "emergency": ["yes", "no"],
        "contact": ["ms liu, 020-1"],
        "digest": ["0" * 64],
        "scope": ["", "north", "north,south"],
        "class": ["RESULT", "CANNOT_START", "NOT_ENDED", "LUCK"],
        "item": ["Art. 9(1)", "Art. 9(2)", "Art. 7(5)", "Art. 10", "relay", "relay"],
        "case": [*cases, *cases, "2026-01-01-99"],
        "number": [*(notice.number for notice in state.notices.notices), "RT-2026-01-01-99"],
        "element": [*GRID.elements, "nobody"],
        "warning": ["typhoon", "fuel"],
        "active": ["yes", "no", "perhaps"],
        "result_version": [*waiting, *waiting, "2", "x"],
        "days": ["40", "60", "1", "x"],
        "due": [day, "2020-01-01", "soon"],
        "second": ["wang", "chen", ""],
        "override": ["yes", "no"],
        "checklist": ["yes", "no", "open"],
        "interval_start_ns": [str(floor_ns(now, desk.rules.rt_interval_ns)), str(now + NS_PER_H), "x"],
        "approval_gov": ["G-1", ""],
        "approval_reg": ["R-1", ""],
        "corrections": ["", '{"load_mw": {"101": 96.5}}', "x"],
        "participant": ["p1", "p2"],
    }


@st.composite
def worded(draw: st.DrawFn, desk: Desk, action: str) -> tuple[str, str, dict[str, str]]:
    """Return who gives an order, as what, and with which arguments: mostly one who may, saying what it needs."""
    order = ORDERS.get(action)
    if order is None:
        return "chen", str(Role.DISPATCH), {}
    right = draw(st.integers(0, 9)) > 0
    role = draw(st.sampled_from(order.roles if right else tuple(Role)))
    by = draw(st.sampled_from(_NAMES[:3] if right else _NAMES))
    values = _values(desk)
    chosen = [*order.needs, *(name for name in order.takes if name == "segment" or draw(st.booleans()))]
    if not right and chosen:
        chosen = chosen[1:]
    args = {name: draw(st.sampled_from(values.get(name, ["x"]))) for name in chosen}
    return by, str(role), args
