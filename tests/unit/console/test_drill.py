"""``gridfuse drill``: the report, the schema, a drill recorded, and a rehearsal against a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from console import drilllive
from console.cli import app
from console.drillrecording import record
from ingest.yamlfile import load_yaml, parse_yaml
from market.decisions import Phase
from market.errors import ConfigError
from market.facts import Fact, Segment, Ticked
from market.prices import Regime
from market.rules import GUANGDONG_2023
from market.units import NS_PER_S, instant_ns
from market.view import MarketView, NoticeView, SegmentView
from streams import breaker, topics, wire
from streams.drill import play, topology
from streams.drillfacts import FactMaker
from streams.drillfile import Grid, scenario_from
from streams.replay import Span
from streams.topics import Topic
from streams.transport.records import Record
from tests.kit.cli import CliRunner
from tests.kit.recorded_day import written_settings

DRILLS = Path(__file__).parents[2] / "drills"
PASSES = DRILLS / "gd_23_rt_02.yaml"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def failing(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.yaml"
    path.write_text(PASSES.read_text(encoding="utf-8").replace("announcements: 1", "announcements: 7"), encoding="utf-8")
    return path


def test_a_report_has_one_row_for_each_drill(tmp_path: Path) -> None:
    told = run("drill", str(PASSES), str(failing(tmp_path)), "--report", "markdown")
    assert told.exit_code == 1
    heading, rule, first, second, _, total = told.stdout.splitlines()
    assert heading.count("|") == rule.count("|") == first.count("|") == second.count("|")
    assert "| passed | 7 of 7 |" in first
    assert "| FAILED | 6 of 7 |" in second
    assert "step 3: announcements: expected 7, found 1" in second
    assert total == "1 of 2 drills passed, with 14 checks."
    assert "1 of 2 drills passed" in run("drill", str(PASSES), str(failing(tmp_path)), "--report", "table").stdout


def test_the_schema_is_json() -> None:
    told = run("drill", "--schema")
    assert told.exit_code == 0
    assert set(json.loads(told.stdout)["required"]) == {"id", "title", "start", "steps"}


@pytest.mark.parametrize("arguments", [(), ("--live", "http://127.0.0.1:1"), ("--record",), ("--record", "--data", "x")])
def test_what_is_missing_is_asked_for(arguments: tuple[str, ...]) -> None:
    told = run("drill", *arguments)
    assert told.exit_code == 2
    assert "give" in told.output or "say which" in told.output


class Kept:
    """Topics in memory."""

    def __init__(self, kept: dict[Topic, list[Any]]) -> None:
        self._kept = {topic.name: [wire.encode(each) for each in records] for topic, records in kept.items()}

    def partitions(self, topic: str) -> int:
        return topic in self._kept

    def records(self, topic: str, partition: int, start: int = 0) -> Iterator[Record]:
        for offset, raw in enumerate([*self._kept[topic], b"not a record"]):
            yield Record(offset, 0, None, raw, ())

    def done(self, topic: str, partition: int) -> int:
        return 0


def lived_through(*taken: Fact) -> Kept:
    settings_rules = GUANGDONG_2023
    state = breaker.begin(taken[0].ts_event_ns, settings_rules)
    effects: list[Any] = []
    for fact in taken:
        state, more = breaker.step(state, fact, settings_rules, topology(Grid()))
        effects += more
    kinds = {topics.DECISIONS: "Decision", topics.PRICES: "PriceInForce"}
    return Kept({topics.FACTS: list(taken)} | {topic: [e for e in effects if type(e).__name__ == name] for topic, name in kinds.items()})


def morning() -> list[Fact]:
    scenario, rules = scenario_from(load_yaml(DRILLS / "gd_23_rt_12.yaml"))
    maker = FactMaker(rules.at(0))
    orders = [fact for step in scenario.steps for fact in maker.facts(step)]
    ticks = [Ticked(ts_event_ns=ns) for ns in range(scenario.start, instant_ns("2026-06-10T12:20:00+08:00"), 10 * NS_PER_S)]
    return sorted([*orders, *ticks], key=lambda fact: fact.ts_event_ns)


def settings(tmp_path: Path) -> Any:
    return replace(written_settings(tmp_path, 1), rules=GUANGDONG_2023)


def span(from_: str, to: str) -> Span:
    return Span(from_ns=instant_ns(f"2026-06-10T{from_}:00+08:00"), to_ns=instant_ns(f"2026-06-10T{to}:00+08:00"))


def test_a_recording_becomes_a_drill_that_passes(tmp_path: Path) -> None:
    text, result = record(settings(tmp_path), lived_through(*morning()), span("09:00", "12:30"), "morning")
    assert result.passed
    assert 'state: "TRIPPED"' in text
    assert play(*scenario_from(parse_yaml(text, tmp_path / "morning.yaml"))).passed


def test_a_span_that_begins_in_an_outage_goes_back_to_where_the_recording_begins(tmp_path: Path) -> None:
    text, _ = record(settings(tmp_path), lived_through(*morning()), span("11:30", "12:30"), "morning")
    assert 'start: "2026-06-10T09:45:00+08:00"' in text


def test_decisions_that_do_not_follow_from_the_facts_make_no_drill(tmp_path: Path) -> None:
    whole = lived_through(*morning())
    headless = lived_through(*morning()[:200])
    whole._kept[topics.FACTS.name] = headless._kept[topics.FACTS.name]
    with pytest.raises(ConfigError, match="does not come out as it was decided"):
        record(settings(tmp_path), whole, span("09:00", "12:30"), "morning")


NOW = instant_ns("2026-06-10T12:01:00+08:00")


@dataclass
class Running:
    """A service as ``ask`` sees it: RT is proposed, and tripped once somebody confirms; a second goes by with each look."""

    now_ns: int
    orders: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, url: str, body: dict[str, Any] | None = None) -> Any:
        if body is not None:
            assert url == "http://x:1/api/commands"
            self.orders.append(body)
            return {"command_id": body["command_id"]}
        self.now_ns += NS_PER_S
        phase = Phase.TRIPPED if self.orders else Phase.PROPOSED
        notice = NoticeView(number="RT-1", kind="TRIP", segment=Segment.RT, subject="breaker")
        view = MarketView(
            ts_event_ns=self.now_ns,
            segments=(
                SegmentView(segment=Segment.RT, phase=phase, version=1),
                SegmentView(segment=Segment.DA, phase=Phase.NORMAL, version=1),
            ),
            last_valid_at_ns=None,
            regime=Regime.GAP,
            price_cny_per_mwh=None,
            price_interval_ns=None,
            rule_set="x",
            rt_limit_s=7200,
            rt_interval_s=900,
            notices=(notice,) if self.orders else (),
        )
        return json.loads(wire.encode(view))["body"]


LIVE = """id: L
title: confirm what is proposed
start: "{start}"
steps:
- {{at: "{start}", clearing: {{segment: RT, interval: "{start}", outcome: OK, price: 1.0}}}}
- {{at: "{start}", expect: {{RT: {{state: PROPOSED}}, announcements: 0}}}}
- {{at: "{later}", command: {{by: chen, role: DISPATCH, action: CONFIRM_TRIP}}}}
- {{at: "{later}", expect: {{RT: {{state: TRIPPED}}, notices: 1}}}}
- {{at: "{later}", expect: {{audit_ok: true}}}}
"""


def rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str, later: str, name: str = "TRIPPED") -> tuple[Result, Running]:
    service = Running(NOW)
    monkeypatch.setattr(drilllive, "ask", service.ask)
    monkeypatch.setattr(drilllive, "_NAP_S", 0.0)
    path = tmp_path / "live.yaml"
    path.write_text(LIVE.format(start=start, later=later).replace("TRIPPED", name), encoding="utf-8")
    return run("drill", str(path), "--live", "http://x:1/", "--patience-s", "5"), service


def test_a_rehearsal_sends_the_orders_and_says_what_it_did_not_play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, service = rehearsed(tmp_path, monkeypatch, "2020-01-01T00:00:00+08:00", "2020-01-01T00:00:30+08:00")
    assert told.exit_code == 0, told.output
    (order,) = service.orders
    assert (order["by"], order["role"], order["action"]) == ("chen", "DISPATCH", "CONFIRM_TRIP")
    assert order["command_id"].startswith("drill-1-")
    assert service.now_ns >= NOW + 30 * NS_PER_S, "it waited for its instant, counted from where the service was"
    assert "left to the service clearing" in told.stdout
    assert "not shown by a service, so not looked at: announcements" in told.stdout
    assert "sent                command: CONFIRM_TRIP by chen (DISPATCH)" in told.stdout
    assert "1 left to the service, 2 looked at, 1 not looked at, 1 sent; 3 of 3 checks as expected" in told.stdout


def test_a_rehearsal_keeps_instants_that_lie_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, service = rehearsed(tmp_path, monkeypatch, "2026-06-10T12:05:00+08:00", "2026-06-10T12:06:00+08:00")
    assert told.exit_code == 0, told.output
    assert service.now_ns >= instant_ns("2026-06-10T12:06:00+08:00")


def test_a_rehearsal_that_finds_something_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told, service = rehearsed(tmp_path, monkeypatch, "2020-01-01T00:00:00+08:00", "2020-01-01T00:00:30+08:00", "OVERDUE")
    assert told.exit_code == 1
    assert "NOT as expected: found TRIPPED" in told.stdout
    assert service.now_ns >= NOW + 35 * NS_PER_S, "it was given its five seconds"
