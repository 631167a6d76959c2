"""Which rules hold when."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.errors import ConfigError
from market.rulebook import ALWAYS_NS, Rulebook, Version, cited
from market.rules import GUANGDONG_2023
from market.units import NS_PER_H, instant_ns

JULY = instant_ns("2026-07-01T00:00:00+08:00")
R1 = Version(from_ns=0, rules=GUANGDONG_2023, source="rules.yaml:2")
R2 = Version(from_ns=JULY, rules=replace(GUANGDONG_2023, revision="r2", rt_limit_min=90), source="rules.yaml:3")


def test_rules_change_at_the_instant_they_hold_from() -> None:
    book = Rulebook((R2, R1))
    assert book.at(JULY - 1).id == "gd-2023-draft/r1"
    assert book.at(JULY).rt_limit_min == 90
    assert (book.next_change_ns(0), book.next_change_ns(JULY)) == (JULY, None)


def test_an_outage_that_spans_the_change_is_judged_by_the_rules_of_its_start() -> None:
    book = Rulebook((R1, R2))
    assert book.at(instant_ns("2026-06-30T23:45:00+08:00")).rt_limit_min == 120


def test_one_rule_set_is_its_own_rulebook() -> None:
    assert GUANGDONG_2023.at(JULY) is GUANGDONG_2023


def test_before_the_first_rules_the_first_hold() -> None:
    assert Rulebook((R2,)).at(0) is R2.rules


def test_two_rule_sets_for_one_instant_are_both_named() -> None:
    with pytest.raises(ConfigError, match=r"gd-2023-draft/r2 \(rules.yaml:3\) and gd-2023-draft/r3 \(rules.yaml:9\) both hold from"):
        Rulebook((R1, R2, Version(from_ns=JULY, rules=replace(R2.rules, revision="r3"), source="rules.yaml:9")))


def test_one_name_for_two_contents_is_refused() -> None:
    with pytest.raises(ConfigError, match="have one name"):
        Rulebook((R1, replace(R2, rules=replace(R2.rules, revision="r1"))))


def test_rules_do_not_change_inside_an_interval() -> None:
    with pytest.raises(ConfigError, match="lies inside an interval of 15 min of gd-2023-draft/r1"):
        Rulebook((R1, replace(R2, from_ns=JULY + 60_000_000_000)))


def test_a_market_has_one_zone() -> None:
    with pytest.raises(ConfigError, match=r"for Europe/Berlin and .* for Asia/Shanghai"):
        Rulebook((R1, replace(R2, rules=replace(R2.rules, zone="Europe/Berlin"))))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1000), unique=True, min_size=1, max_size=6), st.integers(0, 1001 * NS_PER_H))
def test_each_instant_has_the_latest_rules_that_came_before_it(hours: list[int], ts_ns: int) -> None:
    book = Rulebook(Version(from_ns=h * NS_PER_H, rules=replace(GUANGDONG_2023, revision=f"r{h}")) for h in hours)
    came = [h for h in hours if h * NS_PER_H <= ts_ns]
    assert book.at(ts_ns).revision == f"r{max(came, default=min(hours))}"


def problems(*versions: Version) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        Rulebook(versions)
    return [str(problem) for problem in refused.value.problems]


def test_a_problem_names_the_file_where_there_is_one_and_the_rule_set_where_there_is_none() -> None:
    r3 = Version(from_ns=JULY, rules=replace(R2.rules, revision="r3"), source="other.yaml")
    bare = replace(r3, source="")
    both = "both hold from 2026-07-01T00:00:00+08:00; one instant has one rule set, so remove one"
    assert problems(R2, r3) == [f"other.yaml: gd-2023-draft/r2 (rules.yaml:3) and gd-2023-draft/r3 (other.yaml) {both}"]
    assert problems(R2, bare) == [f"gd-2023-draft/r3: gd-2023-draft/r2 (rules.yaml:3) and gd-2023-draft/r3 {both}"]
    twin = replace(R2, rules=replace(R2.rules, revision="r1"))
    differ = "differ and have one name; give the later one a revision of its own"
    assert problems(R1, twin) == [f"rules.yaml:3: gd-2023-draft/r1 (rules.yaml:2) and gd-2023-draft/r1 (rules.yaml:3) {differ}"]
    assert problems(R1, replace(twin, source="")) == [f"gd-2023-draft/r1: gd-2023-draft/r1 (rules.yaml:2) and gd-2023-draft/r1 {differ}"]


def test_what_always_holds_does_so_from_the_beginning_of_time_as_it_is_counted() -> None:
    assert ALWAYS_NS == 0


def test_each_rule_is_told_with_its_place_its_value_and_where_it_is_from() -> None:
    told = {name: (value, cite) for name, value, cite in cited(GUANGDONG_2023)}
    assert told["explain_h"] == (48, "Art. 24: within 48 hours, inclusive")
    assert told["modes.RT_120"] == ("auto", "Art. 23(1); shipped profile")
    assert "modes" not in told
    elsewhere = {name: cite for name, _, cite in cited(GUANGDONG_2023, {"modes.RT_120": "notice 7 of 2026"})}
    assert (elsewhere["modes.RT_120"], elsewhere["explain_h"]) == ("notice 7 of 2026", told["explain_h"][1])
