"""What a service lived through, as a drill that passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.yamlfile import load_yaml
from market import facts
from market.decisions import Decision
from market.errors import ConfigError
from market.facts import Fact
from market.prices import PriceInForce
from market.rules import GUANGDONG_2023, MarketRules, rules_from
from market.sessionfacts import LoginReported, LoginResult, ParticipantsEntitled
from market.units import NS_PER_S, instant_ns
from streams import breaker
from streams.drill import play, topology
from streams.drillfacts import FactMaker, opening_facts
from streams.drillfile import played, scenario_from
from streams.drillrecord import Recorded, drill_text

DRILLS = Path(__file__).parents[2] / "drills"
NS = instant_ns("2026-06-10T12:00:00.123456+08:00")


def lived_through(path: Path) -> Recorded:
    """Play a drill as a service would live through it: with a tick every ten seconds too."""
    scenario, held = scenario_from(load_yaml(path))
    rules = held.at(scenario.start)
    taken: list[Fact] = list(opening_facts(scenario))
    maker = FactMaker(rules)
    steps = [step for _, step in played(scenario, rules) if step.expect is None]
    looked = [step.at for step in scenario.steps if step.expect is not None]
    for step in steps:
        taken.extend(maker.facts(step))
    end_ns = max(*looked, steps[-1].at) + 60 * NS_PER_S
    ticks = range(scenario.start, end_ns, 10 * NS_PER_S)
    taken = sorted([*taken, *(facts.Ticked(ts_event_ns=ns) for ns in ticks)], key=lambda fact: fact.ts_event_ns)
    state = breaker.begin(scenario.start, rules)
    decisions, prices = list[Decision](), list[PriceInForce]()
    for fact in taken:
        state, effects = breaker.step(state, fact, rules, topology(scenario.grid))
        decisions += [effect for effect in effects if isinstance(effect, Decision)]
        prices += [effect for effect in effects if isinstance(effect, PriceInForce)]
    grid = scenario.grid.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return Recorded(facts=taken, decisions=decisions, prices=prices, grid=grid, rules=rules)


@pytest.mark.parametrize("stem", ["gd_29_1", "gd_23_tp_01", "gd_23_sw_01", "gd_23_rt_12", "clock_suspect"])
def test_a_recording_is_a_drill_that_passes(stem: str, tmp_path: Path) -> None:
    recorded = lived_through(DRILLS / f"{stem}.yaml")
    path = tmp_path / "recorded.yaml"
    path.write_text(drill_text("again", f"{stem} again", recorded), encoding="utf-8")
    result = play(*scenario_from(load_yaml(path)))
    assert [check for check in result.checks if not check.ok] == []
    assert len(result.checks) > 5
    assert [d.body for d in result.decisions if d.kind == "Transition"] == [d.body for d in recorded.decisions if d.kind == "Transition"]
    assert result.rule_set == recorded.rules.id


def test_another_release_that_decides_otherwise_fails_the_drill(tmp_path: Path) -> None:
    recorded = lived_through(DRILLS / "gd_23_rt_12.yaml")
    path = tmp_path / "recorded.yaml"
    path.write_text(drill_text("again", "again", recorded).replace('state: "TRIPPED"', 'state: "PROPOSED"'), encoding="utf-8")
    assert not play(*scenario_from(load_yaml(path))).passed


def written(tmp_path: Path, *taken: Fact, rules: MarketRules = GUANGDONG_2023) -> list[Fact]:
    """Write facts as a drill and return what playing it tells the breaker."""
    path = tmp_path / "recorded.yaml"
    grid = {"branches": {"L1": {"from": "A", "to": "B", "kv": 500.0}}}
    path.write_text(drill_text("x", "x", Recorded(facts=taken, decisions=(), prices=(), grid=grid, rules=rules)), encoding="utf-8")
    scenario, held = scenario_from(load_yaml(path))
    assert held.at(0) == rules
    assert scenario.start == taken[0].ts_event_ns
    maker = FactMaker(rules)
    return [fact for step in scenario.steps for fact in maker.facts(step)]


GOOD = facts.PointQuality.GOOD
SHORT = NS // 1_000 * 1_000


@pytest.mark.parametrize(
    "fact",
    [
        facts.ClearingReported(
            ts_event_ns=SHORT,
            segment=facts.Segment.DA,
            interval_start_ns=instant_ns("2026-06-11T00:00:00+08:00"),
            status=facts.ClearingStatus.OK,
            completed_at_ns=SHORT - 5_000,
            run_type=facts.RunType.STUDY,
            version=3,
            price_cny_per_mwh=(1.5, 388.123456789),
            review=("price_step",),
        ),
        facts.SwitchReported(
            ts_event_ns=SHORT,
            element="L1",
            status=facts.SwitchStatus.OPEN,
            quality=facts.PointQuality.STALE,
            ts_source_ns=SHORT - 1_000,
            end="to",
            initial=True,
            history=True,
        ),
        facts.FlowReported(
            ts_event_ns=SHORT, element="L1", from_pct=None, to_pct=0.25, quality=GOOD, ts_source_ns=SHORT - 1_000, history=True
        ),
        facts.ControlReported(ts_event_ns=SHORT, site="BACKUP", asserted=False, ts_source_ns=SHORT - 1_000, initial=True),
        facts.VoltageReported(ts_event_ns=SHORT, bus="A", pu=0.01, quality=GOOD, ts_source_ns=SHORT),
        facts.PermitGranted(ts_event_ns=SHORT, element="L1", from_ns=0, to_ns=2**62 // 1_000 * 1_000),
        facts.EstimateReported(ts_event_ns=SHORT, ts_snapshot_ns=SHORT, doubted=("L1",), chi_square=1.5, limit=2, observable_pct=99),
        facts.WarningReported(ts_event_ns=SHORT, warning='w: "1"', active=False, text="台风"),
        facts.SourceReported(ts_event_ns=SHORT, name="scada", up=False),
        facts.ClockCompared(ts_event_ns=SHORT, wall_s=5, monotonic_s=1),
        ParticipantsEntitled(ts_event_ns=SHORT, session="S", participants=0),
        LoginReported(ts_event_ns=SHORT, session="S", participant="007", result=LoginResult.OK),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_what_was_told_is_told_again_to_the_last_field(fact: Fact, tmp_path: Path) -> None:
    assert written(tmp_path, fact) == [fact]


def test_the_rules_that_held_are_written_with_it(tmp_path: Path) -> None:
    rules = rules_from({"rt_interval_min": 5, "modes": {"RT_120": "confirm"}, "reminders_min": [15, 60], "revision": "r1-demo"})
    tick = facts.Ticked(ts_event_ns=SHORT)
    assert written(tmp_path, tick, rules=rules) == []


def test_an_order_that_was_delivered_twice_is_given_once(tmp_path: Path) -> None:
    order = facts.CommandGiven(ts_event_ns=SHORT, command_id="c-1", by="chen", role="DISPATCH", action="CONFIRM_TRIP")
    assert written(tmp_path, order, order) == [replace(order, command_id="drill-1")]


def test_clocks_that_agree_are_not_worth_a_step(tmp_path: Path) -> None:
    agree = facts.ClockCompared(ts_event_ns=SHORT, wall_s=60, monotonic_s=60)
    apart = replace(agree, wall_s=90)
    assert written(tmp_path, agree, apart, agree, agree) == [apart, agree]


def test_what_a_drill_cannot_say_is_refused() -> None:
    again = facts.ClearedAgain(ts_event_ns=SHORT, command_id="c", by="b", role="MO", why="w", interval_start_ns=SHORT)
    recorded = Recorded(facts=(again,), decisions=(), prices=(), grid={}, rules=GUANGDONG_2023)
    with pytest.raises(ConfigError, match=r"was cleared again at 2026-06-10T12:00:00.123456"):
        drill_text("x", "x", recorded)
    with pytest.raises(ConfigError, match="holds no facts"):
        drill_text("x", "x", replace(recorded, facts=()))
