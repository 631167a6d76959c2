"""The board's memory: records may come twice, a client sees exactly what changed, and what is unknown is absent."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any, cast

import msgspec
import pytest

from console.board.state import EVERYTHING, BoardState
from market.decisions import GENESIS, Announcement, Decision, DecisionBody, DutyOpened, DutySettled, Phase, Transition, chained
from market.facts import Segment
from market.handling import DutyReceived, DutyReminded
from market.rules import GUANGDONG_2023
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_S
from market.view import DutyView
from streams.alerts import Alert, AlertState, Priority
from streams.kpis import KpiFrame
from tests.kit.board_feed import SCENES, kpi_at, records, view_at

T0 = SCENES["normal"]


def board() -> BoardState:
    return BoardState(GUANGDONG_2023, simulated=True)


def decided(*bodies: DecisionBody) -> list[Decision]:
    chain: list[Decision] = []
    for seq, body in enumerate(bodies, start=1):
        prev = chain[-1].hash if chain else GENESIS
        chain.append(chained(body, seq=seq, ts_event_ns=T0 + seq * NS_PER_MIN, rule_set="gd-2023-draft/r1", prev_hash=prev))
    return chain


def notice(number: str, supersedes: str = "", subject: str = "breaker", segment: Segment = Segment.RT) -> Announcement:
    return Announcement(number=number, announcement_kind="TRIP", segment=segment, subject=subject, supersedes=supersedes,
                        published_at_ns=T0, text_zh="熔断", text_en="tripped")  # fmt: skip


def alert(alert_id: str, minute: int, state: AlertState = AlertState.RAISED, **labels: str) -> Alert:
    return Alert(alert_id=alert_id, ts_event_ns=T0 + minute * NS_PER_MIN, name="clearing_out", priority=Priority.P2, state=state,
                 text_en="out", text_zh="中断", labels=labels)  # fmt: skip


# ── what a client gets ───────────────────────────────────────────────────────────────────────────────────────────────


def merged(client: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Do what the page does: sections replace, intervals and trends are put in by their key."""
    message = msgspec.json.decode(msgspec.json.encode(message))
    after = {**client, **{name: value for name, value in message.items() if name not in {"intervals", "trends", "full"}}}
    after["intervals"] = {**client.get("intervals", {}), **{cell["start_ms"]: cell for cell in message.get("intervals", [])}}
    points = dict(client.get("trends", {}))
    for name, part in message.get("trends", {}).items():
        for n, value in enumerate(part["values"]):
            if value is not None:
                points[name, part["start_s"] + n * part["step_s"]] = value
    after["trends"] = points
    return after


def test_deltas_lead_to_the_same_place_as_a_fresh_snapshot():
    """A client that came early and one that comes now show the same, whatever the cut between the deltas."""
    state = board()
    day = list(records(SCENES["tripped"], step_ns=10 * NS_PER_MIN))
    early = merged({}, state.snapshot())
    for n, record in enumerate(day):
        state.apply(record)
        if n % 7 == 0 and (delta := state.delta(early["version"])) is not None:
            early = merged(early, delta)
    if (delta := state.delta(early["version"])) is not None:
        early = merged(early, delta)
    assert early == merged({}, state.snapshot())


def test_every_record_twice_is_the_same_board():
    once, twice = board(), board()
    for record in records(SCENES["shadow"], step_ns=10 * NS_PER_MIN):
        once.apply(record)
        twice.apply(record)
        version = twice.version
        twice.apply(record)
        assert twice.version == version, f"a repeated {type(record).__name__} counted as a change"
    assert twice.snapshot() == once.snapshot()


def test_a_delta_carries_only_the_sections_that_changed():
    state = board()
    state.apply(kpi_at(T0))
    state.apply(view_at(T0))
    seen = state.version
    assert state.delta(seen) is None
    state.apply(view_at(T0 + NS_PER_S))
    delta = state.delta(seen)
    assert delta is not None
    assert set(delta) == {"version", "clock", "market"}


def test_time_passing_is_no_change():
    state = board()
    version = state.version
    state.set_clock(T0, 60.0)
    assert state.version == version
    assert state.clock() == {"now_ms": T0 // 1_000_000, "speed": 60.0, "data_ms": None}


def test_a_story_told_again_is_no_change():
    state = board()
    state.set_story("One.", "一。", 1, 2)
    version = state.version
    state.set_story("One.", "一。", 1, 2)
    assert state.version == version
    assert state.snapshot()["story"] == {"en": "One.", "zh": "一。", "step": 1, "of": 2}


def test_an_empty_board_has_no_market_and_no_figures():
    snapshot = board().snapshot()
    assert set(snapshot) == {"version", "full", "clock", "site"}
    assert snapshot["site"]["marks_min"] == [15, 30, 60, 90, 105]
    assert snapshot["site"]["limit_min"] == 120


def test_a_record_of_another_kind_is_refused_by_name():
    with pytest.raises(TypeError, match="str is not a record the board shows"):
        board().apply(cast("KpiFrame", "KpiFrame"))


def numbers(value: Any) -> list[int]:
    """Return every whole number in plain data."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, int) else []


def test_a_browser_can_hold_every_number():
    """Whole numbers above 2**53 are not exact in JavaScript, so nanoseconds never leave the board."""
    state = board()
    for record in records(SCENES["second_trip"], step_ns=60 * NS_PER_MIN):
        state.apply(record)
    plain = msgspec.json.decode(msgspec.json.encode(state.snapshot()))
    assert max(numbers(plain)) < 2**53
    assert max(numbers(plain)) > T0 // 1_000_000


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def frame(**changes: Any) -> KpiFrame:
    return replace(kpi_at(T0), **changes)


def test_what_is_not_known_is_absent_and_never_zero():
    state = board()
    state.apply(frame(system={"load_mw": 5000.0, "frequency_hz": nan}, areas={"A1": {"ace_mw": nan, "load_mw": 1.0}}))
    kpi = state.snapshot()["kpi"]
    assert kpi["system"] == {"load_mw": 5000.0}
    assert kpi["areas"] == {"A1": {"load_mw": 1.0}}
    assert set(state.snapshot()["trends"]) == {"load_mw"}


def test_an_older_frame_fills_the_trend_but_not_the_figures():
    state = board()
    state.apply(kpi_at(T0))
    state.apply(replace(kpi_at(T0 - NS_PER_H), system={"load_mw": 1.0}))
    snapshot = state.snapshot()
    assert snapshot["kpi"]["at_ms"] == T0 // 1_000_000
    assert snapshot["trends"]["load_mw"]["values"][0] == 1.0
    assert snapshot["clock"]["data_ms"] == T0 // 1_000_000


def test_a_dip_between_two_pictures_is_not_lost():
    state = board()
    start = T0 - T0 % (10 * NS_PER_S)
    for second, hertz in enumerate((50.01, 49.62, 50.0)):
        state.apply(frame(ts_event_ns=start + second * NS_PER_S, system={"frequency_hz": hertz}))
    assert state.snapshot()["trends"]["frequency_hz"]["values"] == [49.62]


def test_each_area_has_its_own_control_error():
    state = board()
    state.apply(kpi_at(T0))
    assert {"ace_mw/A1", "ace_mw/A2", "ace_mw/A3"} <= set(state.snapshot()["trends"])


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_segment_says_how_it_came_into_its_state():
    state = board()
    state.apply(view_at(T0))
    moved = Transition(segment=Segment.RT, before=Phase.NORMAL, after=Phase.DEGRADED, basis="OUTAGE", article="Art. 9(2)")
    (decision,) = decided(moved)
    state.apply(decision)
    real_time, day_ahead = state.snapshot()["market"]["segments"]
    assert real_time["entered"] == {"at_ms": decision.ts_event_ns // 1_000_000, "basis": "OUTAGE", "article": "Art. 9(2)", "by": ""}
    assert day_ahead["entered"] is None


@pytest.mark.parametrize(
    ("second", "superseded"),
    [
        (notice("RT-2", supersedes="RT-1"), True),
        (notice("RT-2", supersedes="RT-1", subject="pricing"), True),
        (notice("RT-2"), True),
        (notice("RT-2", subject="pricing"), False),
        (notice("DA-1", segment=Segment.DA), False),
    ],
    ids=["by number", "by number across subjects", "by segment and subject", "other subject", "other segment"],
)
def test_at_most_one_notice_of_a_subject_is_in_force(second: Announcement, superseded: bool):
    state = board()
    for decision in decided(notice("RT-1"), second):
        state.apply(decision)
    newest, oldest = state.snapshot()["announcements"]
    assert (newest["number"], newest["superseded"]) == (second.number, False)
    assert (oldest["number"], oldest["superseded"]) == ("RT-1", superseded)


def test_a_duty_is_settled_once_and_the_next_one_of_its_kind_stays_open():
    state = board()
    due_ns = T0 + 48 * NS_PER_H
    opened = DutyOpened(duty="explain", segment=Segment.RT, due_ns=due_ns, article="Art. 24")
    for decision in decided(opened, DutySettled(duty="explain", segment=Segment.RT, outcome="met", margin_s=60.0), opened):
        state.apply(decision)
    second, first = state.snapshot()["duties"]
    assert (first["outcome"], first["margin_s"]) == ("met", 60.0)
    assert (second["outcome"], second["due_ms"]) == (None, due_ns // 1_000_000)


def test_a_duty_is_known_by_its_key_and_says_whose_receipt_is_missing() -> None:
    def opened(key: str, due_ns: int | None) -> DutyOpened:
        recipients = ("GOV", "REG") if due_ns else ()
        return DutyOpened(duty="explain", segment=Segment.RT, due_ns=due_ns, article="Art. 24", key=key, recipients=recipients)

    state = board()
    received = DutyReceived(duty="explain", segment=Segment.RT, key="a", recipient="GOV", delivered_at_ns=T0, reference="", by="li")
    reminded = DutyReminded(duty="explain", segment=Segment.RT, key="a", due_ns=T0, hours=48, overdue=True, missing=("REG",))
    settled = DutySettled(duty="explain", segment=Segment.RT, outcome="met", margin_s=1.0, key="b")
    for decision in decided(opened("a", T0), opened("b", T0), opened("c", None), received, settled):
        state.apply(decision)
    rows = {row["key"]: row for row in state.snapshot()["duties"]}
    assert (rows["a"]["missing"], rows["a"]["outcome"], rows["b"]["outcome"], rows["c"]["due_ms"]) == (["REG"], None, "met", None)
    since = state.version
    for decision in decided(*(opened("x", T0),) * 5, reminded)[5:]:
        state.apply(decision)
    delta = state.delta(since)
    assert delta is not None
    assert next(row for row in delta["duties"] if row["key"] == "a")["overdue"] is True


def test_what_the_breaker_says_of_a_duty_now_stands_over_what_was_told() -> None:
    state = board()
    told = DutyOpened(duty="explain", segment=Segment.RT, due_ns=T0, article="Art. 24", key="a", recipients=("GOV", "REG"))
    (decision,) = decided(told)
    state.apply(decision)
    common = {"duty": "explain", "segment": Segment.RT, "article": "Art. 24", "owner": "DISPATCH", "opened_ns": T0, "due_ns": T0 + NS_PER_H}
    known = DutyView(key="a", overdue=True, missing=("REG",), **common)  # type: ignore[arg-type]
    older = DutyView(key="before", overdue=False, **common)  # type: ignore[arg-type]
    state.apply(replace(view_at(T0), duties=(known, older)))
    before, mine = state.snapshot()["duties"]
    assert (mine["key"], mine["overdue"], mine["missing"]) == ("a", True, ["REG"])
    assert (before["key"], before["due_ms"], before["outcome"]) == ("before", (T0 + NS_PER_H) // 1_000_000, None)


def test_no_instant_leaves_in_nanoseconds() -> None:
    state = board()
    state.apply(view_at(SCENES["suspended"]))
    market = state.snapshot()["market"]
    assert market["notices"][0]["next_update_ms"] < 2**53
    assert market["cases"][0]["discovered_ms"] < 2**53
    assert "_ns" not in msgspec.json.encode(market).decode()


def test_the_audit_trail_is_shown_without_a_gap_newest_first():
    state = board()
    for decision in decided(notice("RT-1"), notice("RT-2"), notice("RT-3")):
        state.apply(decision)
    rows = state.snapshot()["decisions"]
    assert [row["seq"] for row in rows] == [3, 2, 1]
    assert "text_en" not in rows[0]["body"], "the words of a notice are shown once, among the notices"


# ── alerts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_alert_again_is_shown_once():
    state = board()
    state.apply(alert("a", 0, segment="RT"))
    state.apply(alert("a", 0, segment="RT"))
    assert [row["id"] for row in state.snapshot()["alerts"]] == ["a"]


def test_a_newer_alert_on_the_same_subject_replaces_the_older():
    """Which decision an alert came from is not what it is about."""
    state = board()
    state.apply(alert("15", 15, segment="RT", decision="3"))
    state.apply(alert("30", 30, segment="RT", decision="7"))
    state.apply(alert("da", 10, segment="DA", decision="8"))
    assert {row["id"]: row["over"] for row in state.snapshot()["alerts"]} == {"30": False, "15": True, "da": False}
    state.apply(alert("end", 40, AlertState.CLEARED, segment="RT", decision="9"))
    assert {row["id"]: row["over"] for row in state.snapshot()["alerts"]} == {"end": False, "30": True, "15": True, "da": False}


def test_of_one_instant_the_gravest_comes_first():
    state = board()
    state.apply(replace(alert("interval", 5), priority=Priority.P3))
    state.apply(replace(alert("trip", 5), priority=Priority.P1))
    state.apply(replace(alert("later", 6), priority=Priority.P3))
    assert [row["id"] for row in state.snapshot()["alerts"]] == ["later", "trip", "interval"]


def test_memory_is_bounded():
    state = board()
    for n in range(700):
        state.apply(alert(str(n), n, segment="RT"))
    for decision in decided(*[notice(f"RT-{n}") for n in range(200)]):
        state.apply(decision)
    sections = state.snapshot()
    assert (len(sections["alerts"]), len(sections["decisions"]), len(sections["announcements"])) == (60, 80, 20)
    assert sections["alerts"][0]["id"] == "699"
    assert state.delta(EVERYTHING) is not None
