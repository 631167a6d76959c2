"""From what a service recorded to a drill that passes."""

from __future__ import annotations

from collections.abc import Iterator
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
from streams.model import market_model
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
    branches = _branches(settings)
    for from_ns in (span.from_ns, 0):
        cut = Recorded(
            facts=[fact for fact in taken if fact.ts_event_ns >= from_ns],
            decisions=[decision for decision in decisions if decision.ts_event_ns >= from_ns],
            prices=[price for price in prices if price.ts_event_ns >= from_ns],
            branches=branches,
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


def _branches(settings: Settings) -> dict[str, tuple[str, str, float]]:
    model = market_model(
        settings.network, settings.points.table(), settings.rules, settings.control, day_ahead=settings.day_ahead, setup=settings.clearing
    )
    network = model.grid.network
    ends = zip(network.branch_ids, network.from_bus.tolist(), network.to_bus.tolist(), strict=True)
    return {branch: (network.bus_ids[begin], network.bus_ids[end], model.elements[branch].kv) for branch, begin, end in ends}
