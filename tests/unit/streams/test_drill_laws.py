"""What no drill file can say of itself: what must hold after every fact of every drill, and what a drill leaves behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ingest.yamlfile import load_yaml
from market.decisions import first_broken
from market.rulebook import Rulebook, Version
from market.rules import GUANGDONG_2023, MarketRules
from market.units import instant_ns
from streams import breaker
from streams.drill import DrillResult, play
from streams.drillfacts import FactMaker
from streams.drillfile import scenario_from
from tests.kit.noticelaw import NoticeLaw

DRILLS = Path(__file__).parents[2] / "drills"
CRASHED = ("gd_25_1", "gd_25_1b", "gd_25_2", "gd_26_1", "gd_27_1", "gd_27_2", "gd_27_5", "gd_28_1", "gd_29_1", "gd_30_1", "gd_30_2")


def from_table(state: breaker.BreakerState, rules: MarketRules) -> breaker.BreakerState:
    return breaker.decode_state(breaker.encode_state(state))


@pytest.mark.parametrize("stem", CRASHED)
def test_a_crash_after_each_event_changes_nothing(stem: str) -> None:
    """INV-3: what is decided, numbered and priced is byte for byte that of the run that was not killed."""
    scenario, rules = scenario_from(load_yaml(DRILLS / f"{stem}.yaml"))
    calm, crashed = play(scenario, rules), play(scenario, rules, from_table)
    assert crashed.decisions == calm.decisions
    assert crashed.prices == calm.prices
    assert calm.prices


def test_the_notices_of_a_breaker_are_looked_at_while_it_is_out() -> None:
    """INV-1 is held by every drill (``test_drills.py``); here it is not held because nothing is in force."""
    law = NoticeLaw()
    play(*scenario_from(load_yaml(DRILLS / "gd_25_1.yaml")), law.look)
    assert (law.broken, law.in_force > 100) == ([], True)


def played(stem: str) -> DrillResult:
    return play(*scenario_from(load_yaml(DRILLS / f"{stem}.yaml")))


@pytest.mark.parametrize("field", ["rule_set", "body", "ts_event_ns"])
def test_one_altered_byte_names_the_record(field: str) -> None:
    """GD-31-1: a record that was changed after the fact is found, and it is the first that is named."""
    chain = played("gd_29_1").decisions
    assert first_broken(chain) is None
    victim = chain[len(chain) // 2]
    changed = {"rule_set": "gd-2023-draft/r2", "body": {**victim.body, "by": "nobody"}, "ts_event_ns": victim.ts_event_ns + 1}
    broken = first_broken([replace(d, **{field: changed[field]}) if d is victim else d for d in chain])
    assert broken is not None
    assert broken.seq == victim.seq


def test_a_record_taken_out_of_the_chain_is_missed() -> None:
    chain = played("gd_29_1").decisions
    broken = first_broken([decision for decision in chain if decision.seq != 4])
    assert broken is not None
    assert "4 is missing" in broken.why


def test_a_decision_of_june_is_the_same_under_the_rulebook_of_august() -> None:
    """GD-32-1: what came into force in July changes nothing that was decided before, to the byte."""
    scenario, rules = scenario_from(load_yaml(DRILLS / "gd_29_1.yaml"))
    july = instant_ns("2026-07-01T00:00:00+08:00")
    later = replace(GUANGDONG_2023, revision="r2", rt_limit_min=90)
    book = Rulebook((Version(from_ns=0, rules=rules.at(0)), Version(from_ns=july, rules=later)))
    assert play(scenario, book).decisions == play(scenario, rules).decisions


def test_a_person_who_orders_twice_is_told_twice() -> None:
    """Orders of a drill are numbered as they come: the last one is the one an expectation asks about."""
    scenario, rules = scenario_from(load_yaml(DRILLS / "gd_29_1.yaml"))
    maker = FactMaker(rules.at(scenario.start))
    ids = [fact.command_id for step in scenario.steps for fact in maker.facts(step) if hasattr(fact, "command_id")]
    assert ids == ["drill-1", "drill-2"]
    assert maker.last_command == "drill-2"
