"""Rule sets as files: what ships, what changes when, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.errors import ConfigError
from market.rulebook import Rulebook, cited
from market.rules import GUANGDONG_2023
from market.units import instant_ns
from streams.rulesfile import read_rulebook, shipped, shipped_names

JULY = instant_ns("2026-07-01T00:00:00+08:00")
BOOK = """\
versions:
- {base: gd-2023-draft}
- from: "2026-07-01T00:00:00+08:00"
  base: southern-2025
  revision: r2
  overrides: {rt_limit_min: 90, modes: {RT_120: confirm}}
  cites: {rt_limit_min: "measure of 2026-06-15, Art. 23(1)"}
"""


def read(tmp_path: Path, text: str, **overrides: object) -> Rulebook:
    (tmp_path / "rules.yaml").write_text(text, encoding="utf-8")
    return read_rulebook("rules.yaml", tmp_path, overrides, "gridfuse.yaml:4")


def test_the_draft_that_ships_is_the_defaults() -> None:
    assert shipped("gd-2023-draft")[1].rules == GUANGDONG_2023


def test_the_southern_region_publishes_its_day_ahead_result_at_nine() -> None:
    written, version = shipped("southern-2025")
    assert version.rules.id == "southern-2025/r1"
    assert version.rules.day_ahead.publish_min == 21 * 60
    assert version.rules.day_ahead.deadline_min == 23 * 60, "the breaker is the draft's"
    assert "2025-06-29" in written.source


@pytest.mark.parametrize("name", shipped_names())
def test_every_value_that_ships_is_cited(name: str) -> None:
    written, version = shipped(name)
    rows = list(cited(version.rules, version.cites))
    assert [rule for rule, _, cite in rows if not cite] == []
    changed = {rule for (rule, value, _), (_, default, _) in zip(rows, cited(GUANGDONG_2023), strict=True) if value != default}
    assert changed - {"rule_set", "revision"} == set(written.cites)


def test_rules_change_at_their_instant(tmp_path: Path) -> None:
    book = read(tmp_path, BOOK)
    assert book.at(JULY - 1) == GUANGDONG_2023
    later = book.at(JULY)
    assert (later.id, later.rt_limit_min, later.day_ahead.publish_min) == ("southern-2025/r2", 90, 1260)
    cites = {name: cite for name, _, cite in cited(later, book.versions[1].cites)}
    assert cites["rt_limit_min"] == "measure of 2026-06-15, Art. 23(1)"
    assert cites["modes.RT_120"].endswith("rules.yaml:3"), "what nobody cites is said to come from the file"
    assert "21:00" in cites["day_ahead.publish_min"]


def test_a_rule_set_that_ships_takes_overrides_of_the_settings(tmp_path: Path) -> None:
    book = read_rulebook("southern-2025", tmp_path, {"rt_interval_min": 5}, "gridfuse.yaml:4")
    assert book.at(0).id == "southern-2025/r1+overrides"
    assert {name: cite for name, _, cite in cited(book.at(0), book.versions[0].cites)}["rt_interval_min"] == "gridfuse.yaml:4"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            BOOK.replace("southern-2025", "northern"),
            "rules.yaml:4: there is no rule set 'northern'; there are gd-2023-draft,",
        ),
        (BOOK.replace("rt_limit_min: 90", "rt_limit: 90"), "rules.yaml:6: unknown rule 'rt_limit'"),
        (BOOK.replace('{rt_limit_min: "m', '{rt_limit: "m'), "rules.yaml:7: cites rt_limit, which is no rule"),
        (BOOK.replace('from: "2026-07-01T00:00:00+08:00"', "rule_set: x"), "rules.yaml:3: says no `from`"),
        (BOOK.replace("+08:00", ""), "no UTC offset"),
        (BOOK.replace("{base: gd-2023-draft}", '{from: "2026-07-01T00:00:00+08:00"}'), "both hold from 2026-07-01T00:00:00+08:00"),
        (BOOK.replace("00:00:00", "00:07:00"), "lies inside an interval of 15 min"),
        (BOOK.replace("revision: r2", "version: r2"), "version: is not a known key"),
        ("versions: []\n", "rules.yaml:1: versions"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text)
    assert says in str(refused.value)


def test_overrides_of_the_settings_do_not_go_with_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gridfuse.yaml:4: the rules are those of rules.yaml; write these overrides there"):
        read(tmp_path, BOOK, rt_limit_min=60)
