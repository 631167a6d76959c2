"""From what a service recorded to a drill that passes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from ingest.yamlfile import parse_yaml
from market.errors import ConfigError, Problem
from market.facts import Fact
from streams import topics, wire
from streams.drill import DrillResult, play
from streams.drillfile import scenario_from
from streams.drillrecord import Recorded, drill_text
from streams.errors import DecodeError
from streams.model import model_of
from streams.replay import RecordSource, Span
from streams.settings import Settings
from streams.topics import Topic

__all__ = ["record"]


def record(settings: Settings, source: RecordSource, span: Span, name: str) -> tuple[str, DrillResult]:
    """Write a drill of a span of a recording, and play it.

    It begins where the span does; where the market was not at rest then, so that it would not decide the same again, it begins where the
    recording does.

    Returns:
        The file's text, and how it went: every expectation was met.

    Raises:
        ConfigError: nothing was recorded, or what was decided follows from facts the recording no longer holds.
        StoreError: the recording cannot be read.
    """
    title = f"recorded from {settings.data.name}"
    taken: list[Fact] = [fact for fact in _records(source, topics.FACTS) if fact.ts_event_ns < span.to_ns]
    decisions = [decision for decision in _records(source, topics.DECISIONS) if decision.ts_event_ns < span.to_ns]
    prices = [price for price in _records(source, topics.PRICES) if price.ts_event_ns < span.to_ns]
    grid = _grid(settings)
    for from_ns in (span.from_ns, 0):
        cut = Recorded(
            facts=[fact for fact in taken if fact.ts_event_ns >= from_ns],
            decisions=[decision for decision in decisions if decision.ts_event_ns >= from_ns],
            prices=[price for price in prices if price.ts_event_ns >= from_ns],
            grid=grid,
            rules=settings.rules,
        )
        text = drill_text(name, title, cut)
        result = play(*scenario_from(parse_yaml(text, Path(f"{name}.yaml"))))
        if result.passed:
            return text, result
    wrong = next(check for check in result.checks if not check.ok)
    what = f"does not come out as it was decided ({wrong.key}: {wrong.expected}, and played again {wrong.actual}); see `gridfuse replay`"
    raise ConfigError([Problem("recording", what)])


def _records(source: RecordSource, topic: Topic) -> Iterator[Any]:
    for partition in range(source.partitions(topic.name)):
        for kept in source.records(topic.name, partition):
            try:
                yield wire.decode(topic, kept.value or b"")
            except DecodeError:
                continue  # the agents passed it over too


def _grid(settings: Settings) -> dict[str, Any]:
    """Return the network as a drill file has it: branches, buses with their part of an area's load, and stations."""
    topology = model_of(settings).topology
    area_mw: dict[str, float] = defaultdict(float)
    stations: dict[str, list[str]] = defaultdict(list)
    for name, bus in topology.buses.items():
        area_mw[bus.area] += bus.load_mw
        stations[bus.substation].append(name)
    branches = {
        name: {"from": each.from_bus, "to": each.to_bus, "kv": each.kv, "element": str(each.kind)}
        | ({"rating_mw": each.rating_mw} if isfinite(each.rating_mw) else {})
        for name, each in topology.elements.items()
    }
    buses = {
        name: {
            "area": bus.area,
            "share_pct": min(100.0, 100.0 * bus.load_mw / area_mw[bus.area]) if area_mw[bus.area] else 0.0,
            "kv": bus.kv,
        }
        for name, bus in topology.buses.items()
    }
    held = {name: {"buses": buses_of, "kv": max(topology.buses[bus].kv for bus in buses_of)} for name, buses_of in stations.items()}
    return {"loads_mw": dict(area_mw), "branches": branches, "buses": buses, "stations": held}
