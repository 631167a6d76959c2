"""Every drill file plays to its end and finds what it expects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingest.yamlfile import load_yaml
from market.decisions import Decision
from market.errors import ConfigError
from market.evidencewords import chinese
from market.units import instant_ns
from streams.drill import play
from streams.drillfile import scenario_from
from tests.kit.noticelaw import NoticeLaw

DRILLS = Path(__file__).parents[2] / "drills"


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(DRILLS.glob("*.yaml"))])
def test_drill_passes(path: Path) -> None:
    law = NoticeLaw()
    result = play(*scenario_from(load_yaml(path)), law.look)
    assert [check for check in result.checks if not check.ok] == []
    assert law.broken == [], "INV-1"
    assert result.passed
    assert untold(result.decisions) == []


def untold(decisions: Sequence[Decision]) -> list[str]:
    """Return the sentences of evidence that a document in Chinese would tell in English, but for what people wrote themselves."""
    theirs = {text.strip() for one in decisions if one.kind == "CommandAccepted" for text in one.body["args"].values()}
    told = (text for one in decisions for text in one.body.get("evidence") or ())
    return [text for text in told if text not in theirs and chinese(text) is None]


def test_every_drill_stands_in_the_table_beside_it() -> None:
    table = (DRILLS / "README.md").read_text(encoding="utf-8")
    named = {word.removesuffix(".yaml") for word in re.findall(r"`(\w+)\.yaml`", table)}
    assert named == {path.stem for path in DRILLS.glob("*.yaml")}


def test_a_drill_is_named_after_its_scenario() -> None:
    ids = {path.stem: load_yaml(path).data["id"] for path in DRILLS.glob("gd_*.yaml")}
    assert {stem: name.lower().replace("-", "_") for stem, name in ids.items()} == {stem: stem for stem in ids}


def scenario(tmp_path: Path, steps: str, head: str = "") -> Path:
    path = tmp_path / "drill.yaml"
    path.write_text(f'id: X\ntitle: x\n{head}start: "2026-06-10T09:45:00+08:00"\nsteps:\n{steps}')
    return path


@pytest.mark.parametrize(
    ("steps", "complaint"),
    [
        ('- {at: "2026-06-10T09:45:00+08:00", expct: {announcements: 0}}\n', "did you mean 'expect'"),
        ('- {at: "2026-06-10T09:45:00+08:00", expect: {RT: {phase: NORMAL}}}\n', "phase: is not a known key"),
        ('- {at: "2026-06-10T09:45:00+08:00", receipt: {duty: explain}}\n', "recipient: is missing"),
        ('- {at: "2026-06-10T09:45:00+08:00", login: {session: S, result: OK}}\n', "give `participant`"),
        ('- {at: "2026-06-10T09:45:00+08:00", order: {session: S, result: ACCEPTED, participants: [9, 3]}}\n', "runs backwards"),
        ('- {at: "2026-06-10T09:45:00+08:00", session: {name: S}}\n', "says `event`, `entitled`, or both"),
        ('- {at: "2026-06-10T09:45:00+08:00", voltage: {bus: B1, pu: 0}}\n', "'B1' is not a bus"),
        ('- {at: "2026-06-10T09:45:00+08:00", infeed: {infeed: DC, mw: 0}}\n', "'DC' is not an infeed"),
        ('- {at: "2026-06-10T09:45:00+08:00", interface_limit: {interface: N, mw: 1}}\n', "'N' is not an interface"),
        ('- {at: "2026-06-10T09:45:00+08:00", trip_signal: {element: L9}}\n', "'L9' is not an element"),
        ('- {at: "2026-06-10T09:45:00+08:00", estimate: {doubted: [L9]}}\n', "'L9' is not an element"),
        ('- {at: "2026-06-10T09:45:00+08:00", da_eta: {operating_day: today, eta: "2026-06-10T21:00:00+08:00"}}\n', "is not a day written"),
        ('- {at: "2026-06-10T09:45:00+08:00", approval: {body: MO, measure: RESUME}}\n', "'GOV' or 'REG'"),
        ('- {at: "2026-06-10T09:45:00+08:00", expect: {duties: {explain: done}}}\n', "duties"),
        (
            '- {at: "2026-06-10T09:45:00+08:00", clearing: {segment: DA, outcome: OK, operating_day: 2026-06-11, through: 2026-06-10}}\n',
            "must lie after the first of the row",
        ),
        ('- {at: "2026-06-10T09:45:00+08:00"}\n', "a step is one thing"),
        ('- {at: "2026-06-10T09:45:00", expect: {announcements: 0}}\n', "no UTC offset"),
        ('- {at: "2026-06-10T09:44:59+08:00", expect: {announcements: 0}}\n', "arrival order"),
        ('- {at: "2026-06-10T09:45:00+08:00", switch: {element: L9, status: OPEN}}\n', "'L9' is not an element"),
        ('- {at: "2026-06-10T09:45:00+08:00", clearing: {segment: RT, outcome: OK}}\n', "keyed by `interval`"),
    ],
)
def test_bad_drill_is_refused_by_name(tmp_path: Path, steps: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as refused:
        scenario_from(load_yaml(scenario(tmp_path, steps)))
    assert "drill.yaml:" in str(refused.value)


def test_unknown_rule_is_refused(tmp_path: Path) -> None:
    path = scenario(tmp_path, '- {at: "2026-06-10T09:45:00+08:00", expect: {announcements: 0}}\n', "rules: {rt_limit: 90}\n")
    with pytest.raises(ConfigError, match="unknown rule 'rt_limit'"):
        scenario_from(load_yaml(path))


def test_wrong_expectation_fails_the_drill(tmp_path: Path) -> None:
    path = scenario(tmp_path, '- {at: "2026-06-10T11:00:00+08:00", expect: {RT: {state: NORMAL}}}\n')
    result = play(*scenario_from(load_yaml(path)))
    assert not result.passed
    assert [(check.key, check.expected, check.actual) for check in result.checks] == [("RT.state", "NORMAL", "DEGRADED")]


def test_drill_without_expectations_proves_nothing(tmp_path: Path) -> None:
    path = scenario(tmp_path, '- {at: "2026-06-10T12:00:30+08:00", restart: true}\n')
    assert not play(*scenario_from(load_yaml(path))).passed


def test_a_fact_at_the_instant_of_a_deadline_does_not_hide_it(tmp_path: Path) -> None:
    steps = (
        '- {at: "2026-06-10T10:00:30+08:00", load: {area: A, mw: 100}}\n'
        '- {at: "2026-06-10T10:05:00+08:00", expect: {RT: {state: DEGRADED}}}\n'
    )
    result = play(*scenario_from(load_yaml(scenario(tmp_path, steps))))
    noted = [d.ts_event_ns for d in result.decisions if d.kind == "AnomalyNoted"]
    assert noted == [instant_ns("2026-06-10T09:45:30+08:00"), instant_ns("2026-06-10T10:00:30+08:00")]
