"""The app from telemetry to decisions on the embedded transport and on a real Kafka broker: the same bytes come out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from market.decisions import first_broken
from market.prices import Regime
from market.rules import rules_from
from market.units import NS_PER_MIN, instant_ns
from streams import topics, wire
from streams.transport.reader import LogReader
from tests.kit.kafka import broker
from tests.kit.market_run import MarketRun, Seen

pytestmark = pytest.mark.integration

RULES = rules_from({"rt_interval_min": 5, "rt_limit_min": 10, "resume_notice_min": 5, "shadow_ok": 2, "top_voltage_kv": 230})
NOON = instant_ns("2020-01-01T12:00:00+08:00")


async def story(broker_url: str, data: Path) -> Seen:
    """Ten minutes of clearing, a trip, shadow clearings, a recovery, three lines down, a trip again."""
    async with MarketRun(broker_url, data, RULES, NOON, fails=(10, 25)) as run:
        await run.until(36)
        await run.command("CONFIRM_RECOVER", "c1")
        await run.until(50)
        run.open_branches = ("B33-1", "B33-2", "B34")
        await run.until(55)
        return run.seen


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Seen]:
    data = tmp_path_factory.mktemp("embedded")
    return data, asyncio.run(story(f"embedded://{data}/log", data))


def test_story_ends_as_the_rules_say(embedded: tuple[Path, Seen]) -> None:
    _, seen = embedded
    assert seen.phases() == ["DEGRADED", "TRIPPED", "RESUMING", "NORMAL", "TRIPPED"]
    trips = [d.body for _, d in sorted(seen.decisions.items()) if d.kind == "Transition" and d.body["after"] == "TRIPPED"]
    assert [t["basis"] for t in trips] == ["RT_120", "TOPOLOGY_HARD"]
    assert trips[0]["condition_met_at_ns"] == NOON + 20 * NS_PER_MIN
    assert seen.kinds().count("Announcement") == 3
    assert first_broken([d for _, d in sorted(seen.decisions.items())]) is None


def test_every_interval_is_cleared_or_says_why(embedded: tuple[Path, Seen]) -> None:
    _, seen = embedded
    starts = sorted(seen.outcomes)
    assert starts == [NOON + i * 5 * NS_PER_MIN for i in range(len(starts))]
    failed = [(s - NOON) // NS_PER_MIN for s in starts if type(seen.outcomes[s]).__name__ == "ClearingFailed"]
    assert failed == [10, 15, 20]


def test_substituted_price_is_the_day_ahead_price_of_the_hour(embedded: tuple[Path, Seen]) -> None:
    _, seen = embedded
    latest = {start: price for (start, _), price in sorted(seen.prices.items())}
    assert latest[NOON].regime is Regime.MARKET
    assert latest[NOON + 10 * NS_PER_MIN].regime is Regime.GAP
    out = latest[NOON + 20 * NS_PER_MIN]
    assert (out.regime, out.source) == (Regime.ART27_2, "day_ahead:12:00")
    assert out.price_cny_per_mwh is not None
    assert out.price_cny_per_mwh > 0


def test_trip_failed_interval_and_recovery_each_alert_once(embedded: tuple[Path, Seen]) -> None:
    _, seen = embedded
    names = [alert.name for alert in seen.alerts.values()]
    assert names.count("market_tripped") == 3, "two trips and one return"
    assert sum(alert_id.startswith("clearing_failed/") for alert_id in seen.alerts) == 3, "one an interval, up to the trip"


def test_log_holds_everything_that_was_decided(embedded: tuple[Path, Seen]) -> None:
    data, seen = embedded
    with LogReader(data / "log") as log:
        kept = [wire.decode(topics.DECISIONS, r.value or b"") for r in log.records(topics.DECISIONS.name, 0)]
    assert {d.seq: d for d in kept} == seen.decisions


def test_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async def first() -> Seen:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON, fails=(10, 60)) as run:
            await run.until(18)
            return run.seen

    async def second() -> Seen:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON + 18 * NS_PER_MIN, fails=(-8, 60)) as run:
            await run.until(4)
            return run.seen

    before, after = asyncio.run(first()), asyncio.run(second())
    decisions = before.decisions | after.decisions
    assert first_broken([decisions[seq] for seq in sorted(decisions)]) is None
    assert [d.body["after"] for _, d in sorted(decisions.items()) if d.kind == "Transition"] == ["DEGRADED", "TRIPPED"]
    (trip,) = [d.body for d in decisions.values() if d.kind == "Transition" and d.body["after"] == "TRIPPED"]
    assert trip["condition_met_at_ns"] == NOON + 20 * NS_PER_MIN, "the outage began before the restart"


def test_unreadable_records_go_to_the_dead_letters_with_their_place(tmp_path: Path) -> None:
    async def spoiled() -> tuple[Seen, Callable[[str], int]]:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON) as run:
            await run.until(1)
            for topic, key, raw in (
                (topics.FRAMES, b"1", b"garbage"),
                (topics.FACTS, b"market", b'{"kind":"Nonsense","v":1,"body":{}}'),
                (topics.COMMANDS, b"market", b"\xff"),
            ):
                await (await run.shell.send(topic, key, raw))
            await run.until(2)
            for _ in range(500):
                if len(run.seen.letters) >= 3:
                    break
                await asyncio.sleep(0.01)
            return run.seen, run.shell.counters.__getitem__

    seen, counted = asyncio.run(spoiled())
    letters = {letter.topic: letter for letter in seen.letters if letter.stage == "decode"}
    assert set(letters) == {topics.FRAMES.name, topics.FACTS.name, topics.COMMANDS.name}
    assert letters[topics.FRAMES.name].raw_hex == b"garbage".hex()
    assert "does not carry 'Nonsense'" in letters[topics.FACTS.name].reason
    assert all(letter.offset >= 0 for letter in letters.values())
    assert counted(f"dead {topics.FACTS.name}") == 1
    assert len(seen.outcomes) == 1, "the rest went on"


@pytest.mark.slow  # a broker takes up to ten seconds to start, and every tick makes a round trip
def test_same_app_on_kafka_decides_the_same_bytes(embedded: tuple[Path, Seen], tmp_path: Path) -> None:
    with broker(tmp_path / "broker") as server:
        seen = asyncio.run(story(f"kafka://{server.address}", tmp_path))
    _, reference = embedded
    assert [d.hash for _, d in sorted(seen.decisions.items())] == [d.hash for _, d in sorted(reference.decisions.items())]
    assert seen.prices == reference.prices
    assert set(seen.alerts) == set(reference.alerts)
