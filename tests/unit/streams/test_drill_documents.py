"""The documentation of the drill format says what the format is, and its schema does too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ingest.yamlfile import Located, load_yaml
from streams.drill import play
from streams.drillexpect import Expect
from streams.drillfile import Scenario, Step, scenario_from, schema

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "drills.md"
BLOCKS = re.findall(r"```yaml (\w+)\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
HEAD = "\n".join(text for kind, text in BLOCKS if kind == "head")


def located(tmp_path: Path, steps: str) -> Located:
    path = tmp_path / "drill.yaml"
    path.write_text(f'id: X\ntitle: x\n{HEAD}\nstart: "2026-06-10T00:00:00+08:00"\nsteps:\n{steps}', encoding="utf-8")
    return load_yaml(path)


def test_the_whole_drill_of_the_document_passes(tmp_path: Path) -> None:
    (text,) = (text for kind, text in BLOCKS if kind == "drill")
    (tmp_path / "drill.yaml").write_text(text, encoding="utf-8")
    assert play(*scenario_from(load_yaml(tmp_path / "drill.yaml"))).passed


@pytest.mark.parametrize("number", range(sum(kind == "steps" for kind, _ in BLOCKS)))
def test_each_example_is_one_that_can_be_played(tmp_path: Path, number: int) -> None:
    text = [text for kind, text in BLOCKS if kind == "steps"][number]
    scenario, rules = scenario_from(located(tmp_path, text))
    assert len(scenario.steps) == text.count("- {at:")
    assert rules.at(0).rt_limit_min == 120
    assert rules.at(2**62).rt_limit_min == 90


def test_every_kind_of_step_and_every_key_of_an_expectation_has_an_example(tmp_path: Path) -> None:
    shown: set[str] = set()
    expected: set[str] = set()
    for kind, text in BLOCKS:
        if kind == "steps":
            for step in located(tmp_path, text).validate(Scenario).steps:
                shown.add(step.kind)
                expected |= step.expect.model_fields_set if step.expect else set()
    assert shown == set(Step.model_fields) - {"at"}
    assert expected == set(Expect.model_fields)


def referenced(node: Any) -> set[str]:
    if isinstance(node, dict):
        mine = {node["$ref"].rsplit("/", 1)[1]} if "$ref" in node else set()
        return mine.union(*(referenced(value) for value in node.values()))
    return set().union(*(referenced(value) for value in node)) if isinstance(node, list) else set()


def test_the_schema_describes_every_model_and_refuses_strangers() -> None:
    told = schema()
    models = {name: model for name, model in told["$defs"].items() if model["type"] == "object"}
    assert referenced(told) == set(told["$defs"])
    assert [name for name, model in models.items() if not model.get("description")] == []
    assert [name for name, model in models.items() if model["additionalProperties"] is not False] == []
    assert told["$defs"]["Step"]["properties"]["at"]["format"] == "date-time"
    assert "from" in told["$defs"]["PermitStep"]["properties"], "a key is called as the file calls it"
    assert "P50" in told["$defs"]["EtaStep"]["properties"]["eta"]["description"]
