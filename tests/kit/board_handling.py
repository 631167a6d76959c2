"""How the incidents of the board's day are handled: cases, duties, approvals and notices, and the suspension three days later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from market.decisions import Announcement, CommandAccepted, DecisionBody, DutyOpened, DutySettled, Phase, Transition
from market.facts import Segment
from market.handling import ApprovalRecorded, ApprovalRequested, CaseNoted, CaseOpened, DutyReceived, DutyReminded
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from market.view import ApprovalView, CaseView, DutyView, NoticeView

__all__ = ["Instants", "at", "bodies"]

_DIGEST: Final = "5f2c" * 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Instants:
    """When what happened, UTC ns."""

    trip: int
    effective: int
    second_trip: int
    overdue: int
    suspended: int
    until: int
    day_ahead_out: int


def at(ts_ns: int, day: Instants) -> dict[str, Any]:
    """Return what the view has of the handling at an instant."""
    if ts_ns < day.trip:
        return {}
    second, suspended = ts_ns >= day.second_trip, ts_ns >= day.suspended
    return {
        "duties": _duties(ts_ns, day),
        "cases": _cases(second, suspended, day),
        "notices": _notices(ts_ns, day),
        "approvals": (
            ApprovalView(measure="RESUME/RT", article="Art. 30", digest=_DIGEST, scope=(), bodies={"GOV": "APPROVED", "REG": "REQUESTED"}),
        )
        if suspended
        else (),
        "warnings": ("typhoon-red-2020-07-13",) if suspended else (),
        "guidance": "Art. 27" if ts_ns < day.effective or second else "",
    }


def _duties(ts_ns: int, day: Instants) -> tuple[DutyView, ...]:
    trips = (day.trip, day.second_trip) if ts_ns >= day.second_trip else (day.trip,)
    owed = [
        DutyView(
            key=f"explain/RT/{trip_ns}",
            duty="explain",
            segment=Segment.RT,
            article="Art. 24",
            owner="DISPATCH",
            opened_ns=trip_ns,
            due_ns=trip_ns + 48 * NS_PER_H,
            overdue=ts_ns > trip_ns + 48 * NS_PER_H,
            missing=("REG", "PARTICIPANTS"),
        )
        for trip_ns in trips
        if ts_ns < day.suspended
    ]
    if ts_ns >= day.suspended:
        begun: list[tuple[str, str, int | None, Segment]] = [
            ("explain", "Art. 24", day.day_ahead_out + 48 * NS_PER_H, Segment.DA),
            ("apply", "Art. 30", None, Segment.RT),
        ]
        for duty, article, due_ns, segment in begun:
            key = f"{duty}/{segment}/{day.suspended}"
            missing = ("REG", "PARTICIPANTS") if duty == "explain" else ()
            owed.append(
                DutyView(
                    key=key,
                    duty=duty,
                    segment=segment,
                    article=article,
                    owner="MO",
                    opened_ns=day.day_ahead_out,
                    due_ns=due_ns,
                    overdue=False,
                    missing=missing,
                )
            )
    return tuple(owed)


def _cases(second: bool, suspended: bool, day: Instants) -> tuple[CaseView, ...]:
    first = CaseView(case="2020-07-10-01", version=4, segment=Segment.RT, anomaly="RESULT", item="Art. 9(2)", status="ANALYSED", major=True,
                     subject="real-time clearing out from 10:00", cause="TECHNICAL", discovered_ns=day.trip,
                     missing=("rectification", "explain"))  # fmt: skip
    other = CaseView(case="2020-07-10-02", version=2, segment=Segment.RT, anomaly="CANNOT_CONTINUE", item="Art. 8(1)", status="OPEN",
                     subject="three 500 kV lines lost", cause="", discovered_ns=day.second_trip, major=True,
                     missing=("cause", "analysis", "rectification"))  # fmt: skip
    return (other,) if suspended else (first, other) if second else (first,)


def _notices(ts_ns: int, day: Instants) -> tuple[NoticeView, ...]:
    if ts_ns >= day.suspended:
        return (
            NoticeView(number="RT-2020-07-13-01", kind="SUSPENSION", segment=Segment.RT, subject="breaker", next_update_ns=day.until),
            NoticeView(number="DA-2020-07-12-01", kind="TRIP", segment=Segment.DA, subject="breaker", next_update_ns=day.suspended),
        )
    if ts_ns >= day.second_trip:
        due_ns = day.second_trip + 2 * NS_PER_H
        return (NoticeView(number="RT-2020-07-10-03", kind="TRIP", segment=Segment.RT, subject="breaker", next_update_ns=due_ns),)
    if ts_ns >= day.effective:
        return ()
    return (
        NoticeView(number="RT-2020-07-10-01", kind="TRIP", segment=Segment.RT, subject="breaker", next_update_ns=day.trip + 2 * NS_PER_H),
    )


def bodies(day: Instants) -> list[tuple[int, DecisionBody]]:
    """Return what is decided after the second trip, with its instants."""
    decided = day.suspended - 20 * NS_PER_MIN
    second = {"segment": Segment.RT}
    tasks = ("report", "assess", "measures", "decide")
    made: list[tuple[int, DecisionBody]] = [
        (
            day.second_trip,
            CaseOpened(
                case="2020-07-10-02",
                segment=Segment.RT,
                anomaly="CANNOT_CONTINUE",
                item="Art. 8(1)",
                discovered_ns=day.second_trip,
                subject="three 500 kV lines lost",
                major=True,
            ),
        ),
        (
            day.overdue + NS_PER_S,
            Transition(segment=Segment.RT, before=Phase.TRIPPED, after=Phase.OVERDUE, basis="OVER_72_H", article="Art. 25"),
        ),
        *(
            (day.overdue + NS_PER_S, DutyOpened(duty=task, due_ns=None, article="Art. 25", owner="MO", key=f"{task}/RT/1", **second))
            for task in tasks
        ),
        (
            day.overdue + NS_PER_MIN,
            DutyReceived(
                duty="report",
                key="report/RT/1",
                recipient="GOV",
                delivered_at_ns=day.overdue + NS_PER_MIN,
                reference="G-71",
                by="li",
                **second,
            ),
        ),
        (
            decided,
            CommandAccepted(
                command_id="c1", by="li", role="MO", action="DECIDE_SUSPEND", args={"reason": "lines not back"}, article="Art. 25"
            ),
        ),
        *((decided, DutySettled(duty=task, outcome="met", margin_s=0.0, key=f"{task}/RT/1", **second)) for task in tasks),
        (
            decided,
            Announcement(
                number="RT-2020-07-13-01",
                announcement_kind="SUSPENSION",
                segment=Segment.RT,
                subject="breaker",
                supersedes="RT-2020-07-10-03",
                published_at_ns=decided,
                text_zh="【RT-2020-07-13-01】电力现货实时市场中止通知。原因：三条 500 kV 线路尚未恢复。"
                "自 2020-07-13T18:00 起中止，预计 2020-07-16T18:00 结束。",
                text_en="[RT-2020-07-13-01] Suspension of the real-time market. Reason: three 500 kV lines are not back. "
                "From 2020-07-13T18:00, expected until 2020-07-16T18:00.",
            ),
        ),
        (decided, DutySettled(duty="limit", outcome="late", margin_s=-1200.0, key=f"limit/RT/{day.second_trip}", **second)),
        (
            day.suspended,
            Transition(segment=Segment.RT, before=Phase.OVERDUE, after=Phase.SUSPENDED, basis="SUSPENSION_BEGAN", article="Art. 25"),
        ),
        (day.suspended, DutyOpened(duty="apply", due_ns=None, article="Art. 30", owner="MO", key=f"apply/RT/{day.suspended}", **second)),
        (
            day.suspended + NS_PER_H,
            ApprovalRequested(measure="RESUME/RT", article="Art. 30", digest=_DIGEST, scope=(), by="li"),
        ),
        (
            day.suspended + 2 * NS_PER_H,
            ApprovalRecorded(
                measure="RESUME/RT", body="GOV", verdict="APPROVED", form="written", digest=_DIGEST, scope=(), by="lin", reference="G-72"
            ),
        ),
        (day.suspended + 2 * NS_PER_H, CaseNoted(case="2020-07-10-02", entry="ACTION", text="line B34 is being rebuilt", by="li")),
    ]
    for trip_ns in (day.trip, day.second_trip):
        key, due_ns = f"explain/RT/{trip_ns}", trip_ns + 48 * NS_PER_H
        reminded = DutyReminded(duty="explain", key=key, due_ns=due_ns, hours=24, overdue=False, missing=("REG", "PARTICIPANTS"), **second)
        made += [
            (trip_ns + 24 * NS_PER_H, reminded),
            (due_ns - NS_PER_H, DutySettled(duty="explain", outcome="met", margin_s=3600.0, key=key, **second)),
        ]
    return made
