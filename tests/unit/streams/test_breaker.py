"""The composed processor: order of effects, numbering, commands, the view; and that nothing depends on when it was restarted."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from market.decisions import Decision, first_broken
from market.facts import (
    ClearingReported,
    ClearingStatus,
    ClockCompared,
    CommandGiven,
    DayAheadExpected,
    EstimateSource,
    Fact,
    FlowReported,
    PointQuality,
    Segment,
    SourceReported,
    SwitchReported,
    SwitchStatus,
    Ticked,
)
from market.prices import PriceInForce, Regime
from market.progress import Outlook
from market.progress import Phase as RunPhase
from market.rules import rules_from
from market.topology import Element, Topology
from market.units import NS_PER_DAY, NS_PER_MIN, NS_PER_S
from streams.alerts import AlertState, Priority, alerts_of
from streams.breaker import BreakerState, begin, decode_state, encode_state, next_deadline_ns, step, view
from tests.kit.table import at_ns

RULES = rules_from({"rt_interval_min": 5, "top_voltage_kv": 230})
GRID = Topology.of({name: Element(kv=230.0) for name in ("C1", "C2", "C3")})


def ok(interval: str, price: float = 300.0, done: str | None = None) -> ClearingReported:
    ts_ns = at_ns(done) if done else at_ns(interval) - 50 * NS_PER_S
    return ClearingReported(
        ts_event_ns=ts_ns,
        segment=Segment.RT,
        interval_start_ns=at_ns(interval),
        status=ClearingStatus.OK,
        completed_at_ns=ts_ns,
        price_cny_per_mwh=(price,),
    )


def day_ahead(price: float = 400.0) -> ClearingReported:
    return ClearingReported(
        ts_event_ns=at_ns("08:00"),
        segment=Segment.DA,
        interval_start_ns=at_ns("00:00"),
        status=ClearingStatus.OK,
        completed_at_ns=at_ns("08:00"),
        price_cny_per_mwh=tuple(price + hour for hour in range(24)),
    )


def command(clock: str, action: str, command_id: str, role: str = "DISPATCH", **args: str) -> CommandGiven:
    return CommandGiven(ts_event_ns=at_ns(clock), command_id=command_id, by="chen", role=role, action=action, args=args)


class Story:
    """Feeds facts with a tick at every deadline between them, as the live shell does."""

    def __init__(self, start: str = "09:00") -> None:
        self.state: BreakerState = begin(at_ns(start), RULES)
        self.facts: list[Fact] = []
        self.decisions: list[Decision] = []
        self.prices: dict[int, PriceInForce] = {}
        self.price_log: list[PriceInForce] = []
        self._ticked_ns = at_ns(start) - 1

    def take(self, *facts: Fact) -> Story:
        for fact in facts:
            self.advance(fact.ts_event_ns - 1)
            self._step(fact)
        return self

    def advance(self, to_ns: int) -> Story:
        while self._ticked_ns < (deadline := next_deadline_ns(self.state, RULES)) <= to_ns:
            self._ticked_ns = deadline
            self._step(Ticked(ts_event_ns=deadline))
        return self

    def until(self, clock: str) -> Story:
        self.advance(at_ns(clock))
        self._step(Ticked(ts_event_ns=at_ns(clock)))
        self._ticked_ns = at_ns(clock)
        return self

    def _step(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.state, effects = step(self.state, fact, RULES, GRID)
        for effect in effects:
            if isinstance(effect, PriceInForce) and effect.segment is Segment.DA:
                continue
            if isinstance(effect, PriceInForce):
                self.prices[effect.interval_start_ns] = effect
                self.price_log.append(effect)
            else:
                self.decisions.append(effect)

    def kinds(self, *wanted: str) -> list[str]:
        return [d.kind for d in self.decisions if not wanted or d.kind in wanted]

    @property
    def rt(self) -> str:
        return view(self.state, RULES).segments[0].phase


def lines_lost(clock: str) -> list[Fact]:
    """The three lines of the grid open, a second apart, and carry nothing any more."""
    facts: list[Fact] = []
    for i, name in enumerate(GRID.elements):
        ts_ns = at_ns(clock) + i * NS_PER_S
        common = {"ts_event_ns": ts_ns, "element": name, "quality": PointQuality.GOOD, "ts_source_ns": ts_ns}
        facts.append(SwitchReported(status=SwitchStatus.OPEN, **common))
        facts.append(FlowReported(from_pct=0.1, to_pct=0.1, **common))
    return facts


def tripped() -> Story:
    """Day-ahead known, 09:00 cleared, then silence until after the trip at 11:05:30."""
    return Story().take(day_ahead(), ok("09:00", done="09:00:05")).until("11:05:30")


def test_main_line_from_silence_to_trip() -> None:
    story = tripped()
    assert story.rt == "TRIPPED"
    assert story.kinds("Announcement") == ["Announcement"]
    assert story.kinds("DutyOpened") == ["DutyOpened"] * 3
    assert first_broken(story.decisions) is None
    assert [d.seq for d in story.decisions] == list(range(1, len(story.decisions) + 1))


def test_prices_before_during_and_after() -> None:
    story = tripped()
    assert story.prices[at_ns("09:00")].regime is Regime.MARKET
    gap = story.prices[at_ns("11:00")]
    assert (gap.regime, gap.price_cny_per_mwh, gap.provisional) == (Regime.GAP, 300.0, True)
    substituted = story.prices[at_ns("11:05")]
    assert (substituted.regime, substituted.price_cny_per_mwh) == (Regime.ART27_2, 411.0)
    story.take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)))
    assert story.until("11:25").prices[at_ns("11:25")].regime is Regime.ART27_2
    story.take(command("11:26", "CONFIRM_RECOVER", "c1"))
    assert story.rt == "RESUMING"
    for minute in range(30, 60, 5):
        story.take(ok(f"11:{minute}"))
    story.take(ok("12:00", 320.0)).until("12:00")
    assert story.prices[at_ns("11:55")].regime is Regime.ART27_2
    assert (story.rt, story.prices[at_ns("12:00")].regime) == ("NORMAL", Regime.MARKET)
    assert story.prices[at_ns("12:00")].price_cny_per_mwh == 320.0


def test_every_interval_has_one_price_and_no_market_price_is_replaced() -> None:
    story = tripped()
    starts = sorted({p.interval_start_ns for p in story.price_log})
    assert starts == list(range(at_ns("09:00"), at_ns("11:05") + 1, 5 * NS_PER_MIN))
    for price in story.price_log:
        earlier = [p for p in story.price_log if p.interval_start_ns == price.interval_start_ns and p.rev < price.rev]
        assert all(p.regime is not Regime.MARKET for p in earlier)


def test_late_result_replaces_the_gap_price_with_the_next_revision() -> None:
    story = Story().take(ok("09:00", done="09:00:05")).until("09:05:30")
    assert story.prices[at_ns("09:05")].regime is Regime.GAP
    story.take(ok("09:05", 310.0, done="09:07"))
    price = story.prices[at_ns("09:05")]
    assert (price.regime, price.price_cny_per_mwh, price.rev) == (Regime.MARKET, 310.0, 1)


def test_interval_of_the_trip_with_a_result_of_its_own_keeps_it() -> None:
    story = Story().take(day_ahead(), ok("09:00", done="09:00:05"), ok("09:05"))
    story.take(*lines_lost("09:05:30")).until("09:10:00")
    assert story.rt == "TRIPPED"
    assert story.prices[at_ns("09:05")].regime is Regime.MARKET
    assert story.prices[at_ns("09:10")].regime is Regime.ART27_2


def test_without_day_ahead_prices_the_regime_has_no_number() -> None:
    story = Story().take(ok("09:00", done="09:00:05")).until("11:05:30")
    price = story.prices[at_ns("11:05")]
    assert (price.regime, price.price_cny_per_mwh) == (Regime.ART27_3, None)


def test_recovery_waits_for_shadow_clearings_and_the_right_person() -> None:
    story = tripped()
    for role, action in (
        ("DISPATCH", "CONFIRM_RECOVER"),
        ("TRADING", "CONFIRM_RECOVER"),
        ("DISPATCH", "CONFIRM_TRIP"),
        ("DISPATCH", "DANCE"),
    ):
        story.take(command("11:06", action, f"{role}-{action}", role))
    assert story.kinds("Refused") == ["Refused"] * 4
    assert story.rt == "TRIPPED"


def test_shadow_clearings_must_be_in_a_row() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20)))
    story.until("11:26")  # 11:25 stays out
    story.take(ok("11:30"))
    assert view(story.state, RULES).segments[0].shadow_ok == 1
    assert "RecoveryProposed" not in story.kinds()


def test_a_command_sent_twice_is_carried_out_once() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)))
    story.take(command("11:26", "CONFIRM_RECOVER", "c1"), command("11:26:01", "CONFIRM_RECOVER", "c1"))
    assert story.kinds("Refused") == []
    assert len(story.kinds("Announcement")) == 2


def test_stale_screen_cannot_confirm() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)))
    version = view(story.state, RULES).segments[0].version
    story.take(command("11:26", "CONFIRM_RECOVER", "c1", version=str(version - 1)))
    assert story.kinds("Refused") == ["Refused"]
    story.take(command("11:26:05", "CONFIRM_RECOVER", "c2", version=str(version)))
    assert story.rt == "RESUMING"


def test_trip_while_resuming_supersedes_the_recovery() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)), command("11:26", "CONFIRM_RECOVER", "c1"))
    story.take(*lines_lost("11:30")).until("11:31")
    notices = [d.body for d in story.decisions if d.kind == "Announcement"]
    assert [n["announcement_kind"] for n in notices] == ["TRIP", "RECOVERY", "TRIP"]
    assert [n["supersedes"] for n in notices] == ["", notices[0]["number"], notices[1]["number"]]
    assert len({n["number"] for n in notices}) == 3
    assert story.prices[at_ns("11:30")].regime is Regime.ART27_2


def test_restart_anywhere_gives_the_same_bytes() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)), command("11:26", "CONFIRM_RECOVER", "c1")).until("12:05")
    for cut in range(0, len(story.facts), 7):
        state, hashes = begin(at_ns("09:00"), RULES), list[str]()
        for number, fact in enumerate(story.facts):
            if number == cut:
                state = decode_state(encode_state(state))
            state, effects = step(state, fact, RULES, GRID)
            hashes += [e.hash for e in effects if isinstance(e, Decision)]
        assert hashes == [d.hash for d in story.decisions]
        assert state == story.state


def test_tampering_is_found() -> None:
    decisions = tripped().decisions
    body = {**decisions[4].body, "minutes": 29}
    broken = first_broken([*decisions[:4], replace(decisions[4], body=body), *decisions[5:]])
    assert broken is not None
    assert broken.seq == 5
    assert first_broken([*decisions[:4], *decisions[5:]]) is not None
    assert first_broken([*decisions, decisions[-1]]) is None


def test_view_shows_headroom_and_price() -> None:
    story = Story().take(ok("09:00", done="09:00:05")).until("09:35")
    shown = view(story.state, RULES)
    rt = shown.segments[0]
    assert (rt.headroom_s, rt.failed_intervals) == (90 * 60.0, 6)
    assert (shown.regime, shown.price_cny_per_mwh) == (Regime.GAP, 300.0)
    assert shown.last_valid_at_ns == at_ns("09:00:05")


def resuming() -> Story:
    """Recovery ordered at 11:26, in effect from 12:00; the shadow goes on clearing."""
    return tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20, 25)), command("11:26", "CONFIRM_RECOVER", "c1"))


def test_a_late_tick_prices_what_the_breaker_still_sets() -> None:
    story = resuming().take(*(ok(f"11:{m}") for m in range(30, 60, 5)), ok("12:00", 320.0))
    story._step(Ticked(ts_event_ns=at_ns("12:00:02")))
    assert story.rt == "NORMAL"
    assert story.prices[at_ns("11:55")].regime is Regime.ART27_2
    assert (story.prices[at_ns("12:00")].regime, story.prices[at_ns("12:00")].price_cny_per_mwh) == (Regime.MARKET, 320.0)


def test_a_long_silence_over_the_effect_prices_each_interval_by_the_notice() -> None:
    story = resuming().until("11:31")
    story._step(Ticked(ts_event_ns=at_ns("12:06")))
    regimes = {clock: str(story.prices[at_ns(clock)].regime) for clock in ("11:35", "11:55", "12:00", "12:05")}
    assert regimes == {"11:35": "ART27_2", "11:55": "ART27_2", "12:00": "GAP", "12:05": "GAP"}


def test_a_trip_found_at_the_effect_leaves_the_interval_its_own_result() -> None:
    """Lines lost at 11:59:18, decided by the very tick at which the recovery takes effect."""
    story = resuming().take(*(ok(f"11:{m}") for m in range(30, 60, 5)), ok("12:00", 320.0), *lines_lost("11:59:18"))
    story.until("12:00:00")
    story.take(ok("12:05")).until("12:05")
    phases = [d.body["after"] for d in story.decisions if d.kind == "Transition" and d.body["segment"] == "RT"]
    assert phases[-2:] == ["NORMAL", "TRIPPED"]
    assert story.prices[at_ns("12:00")].regime is Regime.MARKET
    assert story.prices[at_ns("12:05")].regime is Regime.ART27_2


def test_an_old_failure_told_again_does_not_break_the_row() -> None:
    story = tripped().take(*(ok(f"11:{m}") for m in (10, 15, 20)))
    old = replace(ok("11:05", done="11:16"), status=ClearingStatus.FAILED, price_cny_per_mwh=(), reason="SOLVER_STATUS")
    story.take(old, replace(old, interval_start_ns=at_ns("11:15")))
    assert view(story.state, RULES).segments[0].shadow_ok == 3
    story.take(replace(old, ts_event_ns=at_ns("11:24"), interval_start_ns=at_ns("11:25")))
    assert view(story.state, RULES).segments[0].shadow_ok == 0, "a new one does"


@pytest.mark.parametrize(
    ("begins", "ends", "flag"),
    [
        (
            SourceReported(ts_event_ns=at_ns("09:01"), name="clearing", up=False),
            SourceReported(ts_event_ns=at_ns("09:03"), name="clearing", up=True),
            "BLIND",
        ),
        (
            ClockCompared(ts_event_ns=at_ns("09:01"), wall_s=15.0, monotonic_s=10.0),
            ClockCompared(ts_event_ns=at_ns("09:03"), wall_s=10.0, monotonic_s=10.0),
            "CLOCK_SUSPECT",
        ),
    ],
)
def test_flags_are_told_when_they_begin_and_end_and_not_again(begins: Fact, ends: Fact, flag: str) -> None:
    story = Story().take(ok("09:00", done="09:00:05"), begins)
    assert view(story.state, RULES).segments[0].flags == (flag,)
    story.take(replace(begins, ts_event_ns=at_ns("09:02")), ends, replace(ends, ts_event_ns=at_ns("09:04")))
    assert [d.body["finding"] for d in story.decisions] == [flag, f"{flag}_OVER"]
    alerts = [alert for d in story.decisions for alert in alerts_of(d)]
    assert [(a.name, a.priority, a.state) for a in alerts] == [
        (flag.lower(), Priority.P1, AlertState.RAISED),
        (flag.lower(), Priority.P3, AlertState.CLEARED),
    ]


def test_blind_a_topology_change_is_proposed_and_does_not_trip() -> None:
    blind = SourceReported(ts_event_ns=at_ns("09:01"), name="clearing", up=False)
    story = Story().take(ok("09:00", done="09:00:05"), blind, *lines_lost("09:02")).until("09:03")
    assert story.rt == "PROPOSED"
    story.take(command("09:04", "CONFIRM_TRIP", "c1"))
    assert story.rt == "TRIPPED"


def test_recovery_waits_for_the_lines_of_the_condition() -> None:
    story = Story().take(day_ahead(), ok("09:00", done="09:00:05"), *lines_lost("09:02")).until("09:03")
    story.take(*(ok(f"09:{m}") for m in (10, 15, 20, 25)), command("09:26", "CONFIRM_RECOVER", "c1"))
    assert story.kinds("Refused") == ["Refused"]
    story.take(command("09:27", "CONFIRM_RECOVER", "c2", override="yes", second="wang", reason="the lines stay out, supply is secured"))
    assert story.rt == "RESUMING"


def test_the_day_ahead_result_is_validated_and_survives_the_table() -> None:
    story = Story().take(day_ahead(), replace(day_ahead(), price_cny_per_mwh=(float("nan"),), version=2))
    assert decode_state(encode_state(story.state)) == story.state
    assert story.state.book.day_ahead[0].version == 1


def test_when_the_day_ahead_result_is_expected_is_shown_until_it_is_there_and_moves_nothing() -> None:
    expected = DayAheadExpected(
        ts_event_ns=at_ns("09:01"),
        interval_start_ns=at_ns("00:00"),
        source=EstimateSource.STATISTICAL,
        p50_ns=at_ns("23:01"),
        p90_ns=at_ns("23:30"),
        phase=RunPhase.COMMITMENT,
        gap=0.02,
        outlook=Outlook.PROPOSE,
    )
    story = Story().take(ok("09:00", done="09:00:05"), expected)
    shown = view(story.state, RULES).segments[1]
    assert (shown.expected_p50_ns, shown.expected_p90_ns, shown.outlook) == (at_ns("23:01"), at_ns("23:30"), "propose")
    assert (shown.phase, shown.version, story.decisions) == ("NORMAL", 0, [])
    assert decode_state(encode_state(story.state)) == story.state
    another_day = replace(day_ahead(), ts_event_ns=at_ns("09:02"), interval_start_ns=at_ns("00:00") + NS_PER_DAY)
    assert view(story.take(another_day).state, RULES).segments[1] == shown
    failed = replace(day_ahead(), ts_event_ns=at_ns("09:03"), status=ClearingStatus.FAILED, price_cny_per_mwh=())
    after = view(story.take(failed).state, RULES).segments[1]
    assert (after.expected_p50_ns, after.expected_p90_ns, after.outlook) == (None, None, "")


def test_a_state_of_a_release_that_expected_nothing_is_read() -> None:
    written = msgspec.json.decode(encode_state(Story().take(day_ahead()).state))
    del written["expected"]
    assert decode_state(msgspec.json.encode(written)).expected is None


def test_no_deadline_lies_in_the_past() -> None:
    story = tripped().take(*lines_lost("11:06")[:3])
    for clock in ("11:06:10", "11:06:41", "11:07"):
        story.until(clock)
        assert next_deadline_ns(story.state, RULES) > story.state.now_ns
