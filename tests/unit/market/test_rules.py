"""The rule set: cited, versioned, overridden with every mistake named."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

import pytest

from market.errors import ConfigError
from market.rules import GUANGDONG_2023, MarketRules, Mode, Modes, TopologyHard, rules_from


def test_every_number_has_its_citation() -> None:
    kinds = {f.name: type(getattr(GUANGDONG_2023, f.name)) for f in fields(MarketRules) if is_dataclass(getattr(GUANGDONG_2023, f.name))}
    assert {Modes, TopologyHard} <= set(kinds.values())
    for kind in (MarketRules, *kinds.values()):
        uncited = [f.name for f in fields(kind) if not f.metadata.get("cite") and f.name not in kinds]
        assert uncited == []


def test_gates_and_bounds_are_overridden_by_name() -> None:
    rules = rules_from({"input_gates": {"balance_pct": 5}, "load_forecast": {"ratio_max": 1.1}})
    assert (rules.input_gates.balance_pct, rules.input_gates.unit_age_s, rules.load_forecast.ratio_max) == (5.0, 60, 1.1)
    with pytest.raises(ConfigError, match="input_gates: unknown rule 'age'"):
        rules_from({"input_gates": {"age": 5}})


def test_shipped_values_are_those_of_the_measure() -> None:
    r = GUANGDONG_2023
    assert (r.rt_limit_min, r.grace_s, r.explain_h, r.breaker_max_h, r.resume_notice_min, r.shadow_ok) == (120, 30, 48, 72, 30, 4)
    assert r.reminders_min == (15, 30, 60, 90, 105)
    assert (r.topology_hard.ehv_elements, r.topology_hard.ehv_window_min, r.top_voltage_kv) == (3, 15, 500.0)
    assert {getattr(r.modes, f.name) for f in fields(Modes)} == {Mode.AUTO}
    assert r.id == "gd-2023-draft/r1"


def test_overrides_are_seen_in_the_id_unless_they_name_a_revision() -> None:
    assert rules_from({}).id == "gd-2023-draft/r1"
    assert rules_from({"grace_s": 10}).id == "gd-2023-draft/r1+overrides"
    assert rules_from({"grace_s": 10, "revision": "r2"}).id == "gd-2023-draft/r2"
    assert rules_from({"modes": {"RT_120": "confirm"}}).modes.RT_120 is Mode.CONFIRM
    assert rules_from({"topology_hard": {"ehv_elements": 2}}).topology_hard == TopologyHard(ehv_elements=2)


def test_every_mistake_is_named_at_once() -> None:
    wrong = {
        "rt_limit": 90,
        "rt_limit_min": -1,
        "grace_s": 1.5,
        "explain_h": True,
        "zone": 8,
        "modes": {"RT_120": "sometimes"},
        "topology_hard": 3,
        "reminders_min": [15, 0],
        "top_voltage_kv": float("nan"),
    }
    with pytest.raises(ConfigError) as refused:
        rules_from(wrong, where="rules.yaml:3")
    text = str(refused.value)
    assert len(refused.value.problems) == len(wrong)
    assert all(p.where.startswith("rules.yaml:3") for p in refused.value.problems)
    assert all(word in text for word in ("unknown rule 'rt_limit'", "-1", "1.5", "True", "'sometimes'", "expected names", "[15, 0]", "nan"))


@pytest.mark.parametrize("overrides", [{"rt_interval_min": 7}, {"price_floor_cny_per_mwh": 2000}])
def test_values_that_contradict_each_other_are_refused(overrides: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        rules_from(overrides)


def test_durations_in_the_unit_machines_count_in() -> None:
    r = GUANGDONG_2023
    assert r.rt_limit_ns == 120 * 60 * 10**9
    assert r.grace_ns == 30 * 10**9
    assert r.breaker_max_ns == 72 * 3600 * 10**9
    assert r.retrip_ns == 24 * 3600 * 10**9
    assert r.rt_interval_ns == 15 * 60 * 10**9
    assert r.resume_notice_ns == 30 * 60 * 10**9
    assert r.gate_lead_ns == 60 * 10**9
    assert r.due_offset_ns == 0


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"reminders_min": 15}, "reminders_min: expected a list of positive whole numbers, got 15"),
        ({"reminders_min": ["15"]}, "expected a list of positive whole numbers, got ['15']"),
        ({"reminders_min": [15, True]}, "expected a list of positive whole numbers, got [15, True]"),
        ({"rule_set": ""}, "rule_set: expected text, got ''"),
        ({"day_ahead": {"expected": 1}}, "expected: expected true or false, got 1"),
        ({"grace_s": "10"}, "grace_s: expected a number, got '10'"),
        ({"grace_s": -0.5}, "grace_s: expected a whole number, got -0.5"),
        ({"grace_s": -1}, "grace_s: -1 is too small"),
        ({"rt_interval_min": 0}, "rt_interval_min: 0 is too small"),
        ({"rt_limit_min": 0}, "rt_limit_min: 0 is too small"),
        ({"shadow_ok": 0}, "shadow_ok: 0 is too small"),
        ({"price_floor_cny_per_mwh": 1500.0}, "price_floor_cny_per_mwh must lie below price_cap_cny_per_mwh"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_is_expected(overrides: dict[str, object], why: str) -> None:
    with pytest.raises(ConfigError) as refused:
        rules_from(overrides)
    assert why in str(refused.value)


def test_values_of_every_kind_are_taken_down_to_the_least_that_is_allowed() -> None:
    rules = rules_from(
        {
            "reminders_min": [105, 1],
            "rule_set": "sx",
            "day_ahead": {"expected": False},
            "grace_s": 0,
            "rt_interval_min": 5,
            "rt_limit_min": 1,
            "shadow_ok": 1,
            "clock_jump_s": 0.5,
            "price_floor_cny_per_mwh": 1499.99,
        }
    )
    assert rules.reminders_min == (1, 105)
    assert (rules.rule_set, rules.day_ahead.expected, rules.grace_s, rules.rt_interval_min) == ("sx", False, 0, 5)
    assert (rules.rt_limit_min, rules.shadow_ok, rules.clock_jump_s, rules.price_floor_cny_per_mwh) == (1, 1, 0.5, 1499.99)
