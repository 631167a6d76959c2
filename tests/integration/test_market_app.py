"""The app from telemetry to decisions on the embedded transport and on a real Kafka broker: the same bytes come out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.frame import TelemetryFrame, encode_frame, frame_of, heartbeat, point_id
from ingest.quality import GOOD
from market.decisions import first_broken
from market.facts import ClearingReported
from market.prices import Regime
from market.rules import rules_from
from market.units import NS_PER_MIN, NS_PER_S, instant_ns
from streams import topics, wire
from streams.alerts import Alert
from streams.image import AreaSnapshot
from streams.intake import CLOCK_SOURCE
from streams.topics import Topic
from streams.transport.link import partition_of
from streams.transport.reader import LogReader
from tests.kit.eventually import eventually_async
from tests.kit.kafka import broker
from tests.kit.market_run import TICK_NS, MarketRun, Seen
from tests.kit.rts_day import rts_table

pytestmark = pytest.mark.integration

RULES = rules_from({"rt_interval_min": 5, "rt_limit_min": 10, "resume_notice_min": 5, "shadow_ok": 2, "top_voltage_kv": 230})
NOON = instant_ns("2020-01-01T12:00:00+08:00")


async def story(broker_url: str, data: Path, wanted: Seen | None = None) -> Seen:
    """Ten minutes of clearing, a trip, shadow clearings, a recovery, three lines down, a trip again; and as much seen as is wanted."""
    async with MarketRun(broker_url, data, RULES, NOON, fails=(10, 25)) as run:
        await run.until(36)
        await run.command("CONFIRM_RECOVER", "c1")
        await run.until(50)
        run.open_branches = ("B33-1", "B33-2", "B34")
        await run.until(55)
        if wanted is not None:
            kinds = ("decisions", "prices", "alerts")
            await eventually_async("as much", lambda: all(len(getattr(run.seen, kind)) >= len(getattr(wanted, kind)) for kind in kinds))
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
        start_ns = NOON + 18 * NS_PER_MIN + TICK_NS
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, start_ns, fails=(-9, 60)) as run:
            await run.until(4)
            return run.seen

    before, after = asyncio.run(first()), asyncio.run(second())
    decisions = before.decisions | after.decisions
    assert first_broken([decisions[seq] for seq in sorted(decisions)]) is None
    assert [d.body["after"] for _, d in sorted(decisions.items()) if d.kind == "Transition"] == ["DEGRADED", "TRIPPED"]
    (trip,) = [d.body for d in decisions.values() if d.kind == "Transition" and d.body["after"] == "TRIPPED"]
    assert trip["condition_met_at_ns"] == NOON + 20 * NS_PER_MIN, "the outage began before the restart"


def alarms(seen: Seen) -> list[Alert]:
    return [alert for alert in seen.alerts.values() if alert.name == "dead_letters"]


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
            await eventually_async("letters and their alarms", lambda: min(len(run.seen.letters), len(alarms(run.seen))) >= 3)
            await (await run.shell.send(topics.FACTS, b"market", b'{"kind":"Nonsense","v":1,"body":{}}'))
            await eventually_async("one more letter", lambda: run.shell.counters[f"dead {topics.FACTS.name}"] == 2)
            await run.until(2.5)
            return run.seen, run.shell.counters.__getitem__

    seen, counted = asyncio.run(spoiled())
    assert {alarm.labels["topic"] for alarm in alarms(seen)} == {topics.FRAMES.name, topics.FACTS.name, topics.COMMANDS.name}
    assert len(alarms(seen)) == 3, "one an hour and topic, however many letters"
    (named,) = (alarm for alarm in alarms(seen) if alarm.labels["topic"] == topics.FACTS.name)
    assert "Nonsense" in named.text_en
    assert "offset" in named.text_zh
    letters = {letter.topic: letter for letter in seen.letters if letter.stage == "decode"}
    assert set(letters) == {topics.FRAMES.name, topics.FACTS.name, topics.COMMANDS.name}
    assert letters[topics.FRAMES.name].raw_hex == b"garbage".hex()
    assert "does not carry 'Nonsense'" in letters[topics.FACTS.name].reason
    assert all(letter.offset >= 0 for letter in letters.values())
    assert counted(f"dead {topics.FACTS.name}") == 2
    assert len(seen.outcomes) == 1, "the rest went on"


def frame_of_load(mw: float, ts_ns: int, seq: int) -> TelemetryFrame:
    (spec, *_) = (spec for spec in rts_table().specs if spec.name.startswith("load/") and spec.area == "1")
    return frame_of(spec.device, "1", seq, ts_ns, [(point_id(spec.name), ts_ns, mw, GOOD, 0)])


def neighbour_of_area_1() -> str:
    """Another area whose frames stand on the same partition as those of area 1."""
    partitions = {area: partition_of(area.encode(), topics.FRAMES.partitions) for area in rts_table().areas}
    return next(area for area, number in partitions.items() if number == partitions["1"] and area != "1")


@pytest.mark.parametrize("ran_before", [False, True])
def test_a_frame_is_read_again_until_its_own_area_has_saved_it(tmp_path: Path, ran_before: bool) -> None:
    """Its neighbour on the partition ticks and is acknowledged; a kill at this instant must not lose the frame."""

    async def first() -> None:
        async with MarketRun(f"embedded://{tmp_path}/a/log", tmp_path / "a", RULES, NOON) as run:
            if ran_before:
                await run.until(0)
                await asyncio.sleep(1.5)
            ts_ns = NOON + TICK_NS + 5 * NS_PER_S
            for frame in (frame_of_load(777.0, ts_ns, 99), heartbeat(CLOCK_SOURCE, neighbour_of_area_1(), 2, ts_ns)):
                await (await run.shell.send(topics.FRAMES, frame.area.encode(), encode_frame(frame)))
            await asyncio.sleep(2.5)  # offsets are committed every second
            shutil.copytree(tmp_path / "a", tmp_path / "b")  # what a kill leaves behind

    async def second() -> float:
        async with MarketRun(f"embedded://{tmp_path}/b/log", tmp_path / "b", RULES, NOON) as run:
            ticked = heartbeat(CLOCK_SOURCE, "1", 3, NOON + 2 * TICK_NS)
            await (await run.shell.send(topics.FRAMES, b"1", encode_frame(ticked)))
            name = topics.SNAPSHOTS.name
            await eventually_async("a snapshot of area 1", lambda: run.shell.counters[f"sent {name}"] > 0)
        with LogReader(tmp_path / "b" / "log") as log:
            kept = [wire.decode(topics.SNAPSHOTS, record.value or b"") for record in log.records(name, 0)]
        values = [snapshot.values for snapshot in kept if isinstance(snapshot, AreaSnapshot) and snapshot.area == "1"][-1]
        wanted = frame_of_load(0.0, 0, 0).point[0]
        return float(values.value[values.point.tolist().index(wanted)])

    asyncio.run(first())
    assert asyncio.run(second()) == 777.0


def test_inputs_told_again_get_the_same_answer(tmp_path: Path) -> None:
    """The grid makes its effects again after a crash: the same request stands twice on the topic, at two offsets."""

    async def story() -> None:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON) as run:
            await run.until(0.5)
            with LogReader(tmp_path / "log") as log:
                requests = [record.value or b"" for record in log.records(topics.INPUTS.name, 0)]
            run.clock.set(run.clock.now_ns() + 7 * NS_PER_S)
            for raw in requests:
                await (await run.shell.send(topics.INPUTS, b"market", raw))
            await eventually_async("the answers", lambda: run.shell.counters["taken clearing"] >= 2 * len(requests))

    asyncio.run(story())
    with LogReader(tmp_path / "log") as log:
        answers = [record.value or b"" for record in log.records(topics.OUTCOMES.name, 0)]
        told = [wire.decode(topics.FACTS, record.value or b"") for record in log.records(topics.FACTS.name, 0)]
    assert len(answers) == 2
    assert len(set(answers)) == 1
    reports = [fact for fact in told if isinstance(fact, ClearingReported)]
    assert len(reports) == 4
    assert len(set(reports)) == 2, "one for real time, one for the day ahead"


class Away:
    """A sink whose store does not answer."""

    async def see(self, topic: Topic, record: object) -> None:
        await asyncio.sleep(3600)


class Broken:
    """A sink with a fault of its own."""

    async def see(self, topic: Topic, record: object) -> None:
        raise ZeroDivisionError


def test_a_stop_does_not_wait_for_a_sink_that_is_away_and_nothing_passes_it_by(tmp_path: Path) -> None:
    async def away() -> None:
        run = MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON)
        run.hooks.observers = (Away(),)
        await run.app.start()
        await run.until(1)
        await asyncio.wait_for(run.app.stop(), 60)

    async def back() -> Seen:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON + 2 * NS_PER_MIN) as run:
            await eventually_async("the outcome that the sink was never shown", lambda: NOON in run.seen.outcomes)
            return run.seen

    asyncio.run(away())
    asyncio.run(back())


def test_a_sink_that_fails_takes_nothing_from_the_others(tmp_path: Path) -> None:
    async def story() -> Seen:
        run = MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON)
        run.hooks.observers = (Broken(), run.seen)
        async with run:
            await run.until(1)
            await eventually_async("letters", lambda: len(run.seen.letters) > 3)
            return run.seen

    seen = asyncio.run(story())
    assert NOON in seen.outcomes
    assert all("Broken" in letter.reason for letter in seen.letters)


def test_a_clearing_done_again_after_a_kill_is_the_same_record(tmp_path: Path) -> None:
    """The answer was given and its acknowledgement was not yet on disk: the second answer must not contradict the first."""

    async def first() -> bytes:
        async with MarketRun(f"embedded://{tmp_path}/a/log", tmp_path / "a", RULES, NOON) as run:
            await run.until(0.5)
            await eventually_async("the outcome", lambda: NOON in run.seen.outcomes)
            shutil.copytree(tmp_path / "a", tmp_path / "b")
            return wire.encode(run.seen.outcomes[NOON])

    async def second() -> list[bytes]:
        async with MarketRun(f"embedded://{tmp_path}/b/log", tmp_path / "b", RULES, NOON + NS_PER_MIN) as run:
            await asyncio.sleep(1.5)
            await run.until(0)
        with LogReader(tmp_path / "b" / "log") as log:
            return [record.value or b"" for record in log.records(topics.OUTCOMES.name, 0)]

    answer = asyncio.run(first())
    answers = [raw for raw in asyncio.run(second()) if wire.decode(topics.OUTCOMES, raw).interval_start_ns == NOON]
    assert set(answers) == {answer}


@pytest.mark.slow  # a broker takes up to ten seconds to start, and every tick makes a round trip
def test_same_app_on_kafka_decides_the_same_bytes(embedded: tuple[Path, Seen], tmp_path: Path) -> None:
    _, reference = embedded
    with broker(tmp_path / "broker") as server:
        seen = asyncio.run(story(f"kafka://{server.address}", tmp_path, reference))
    assert [d.hash for _, d in sorted(seen.decisions.items())] == [d.hash for _, d in sorted(reference.decisions.items())]
    assert seen.prices == reference.prices
    assert set(seen.alerts) == set(reference.alerts)


def test_an_order_told_again_arrived_once(tmp_path: Path) -> None:
    """Who sends it again, or reads it again after a crash, must not date it anew."""

    async def story() -> None:
        async with MarketRun(f"embedded://{tmp_path}/log", tmp_path, RULES, NOON) as run:
            await run.until(0.5)
            await run.command("PROPOSE", "c7")
            run.clock.set(run.clock.now_ns() + 7 * NS_PER_S)
            with LogReader(tmp_path / "log") as log:
                (order,) = [record.value or b"" for record in log.records(topics.COMMANDS.name, 0)]
            await (await run.shell.send(topics.COMMANDS, b"market", order))
            await eventually_async("the order, again", lambda: run.shell.counters["taken commands"] >= 2)

    asyncio.run(story())
    with LogReader(tmp_path / "log") as log:
        told = [record.value for record in log.records(topics.FACTS.name, 0) if b"CommandGiven" in (record.value or b"")]
    assert len(told) == 2
    assert len(set(told)) == 1
