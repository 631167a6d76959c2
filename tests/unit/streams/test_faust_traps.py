"""What Faust does to those who trust it, and that this app does not: how it is wired, and what its sources never say.

ARCHITECTURE.md lists every trap with how it is avoided and by which test; those that need a running log or broker stand elsewhere.
"""

from __future__ import annotations

import asyncio
import re
import tomllib
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.partitioner import DefaultPartitioner

from ingest.frame import heartbeat
from market.facts import Ticked
from market.rules import GUANGDONG_2023
from market.units import NS_PER_S, instant_ns
from streams import agents, topics, wire
from streams.agents import Hooks
from streams.intake import CLOCK_SOURCE
from streams.marketmodel import MarketModel
from streams.model import market_model
from streams.roles import Role
from streams.settings import ControlModel, NetworkModel
from streams.transport.link import partition_of
from tests.kit.market_run import MarketRun
from tests.kit.rts_day import frames_at, rts_table, values_at

ROOT = Path(__file__).parents[3]
NOON = instant_ns("2020-01-01T12:00:00+08:00")
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for room in ("streams", "console")
    for path in (ROOT / room).rglob("*.py")
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("app")
    return MarketRun(f"embedded://{directory}/log", directory, GUANGDONG_2023, NOON).app


# ── names and places ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_do_not_follow_functions_and_modules(app: Any) -> None:
    """Faust makes topics and changelogs of the names of agents and tables; renaming a function would begin with nothing."""
    assert Role.ALL.group("any") == Role.STREAMS.group("other") == "gridfuse"
    assert set(app.tables) == {"intake", "grid", "clearing", "commands", "breaker", "letter-alerts"}
    sinks = {f"sinks-{topic.name}" for topic in topics.TOPICS} & set(app.agents)
    assert set(app.agents) - sinks == {
        "intake",
        "grid",
        "clearing",
        "commands",
        "breaker",
        "decision-alerts",
        "source-alerts",
        "letter-alerts",
    }
    for name, agent in app.agents.items():
        assert agent.channel.get_topic_name() in {topic.name for topic in topics.TOPICS}, f"{name} reads a topic that Faust named"


def test_topics_and_tables_carry_bytes(app: Any) -> None:
    """Faust's records write their class's path into each message, and a changelog it cannot decode holds recovery up for ever."""
    channels = [agent.channel for agent in app.agents.values()]
    assert {(channel.schema.key_serializer, channel.schema.value_serializer) for channel in channels} == {("raw", "raw")}
    assert {(channel.key_type, channel.value_type) for channel in channels} == {(bytes, bytes)}
    assert {(table.key_type, table.value_type) for table in app.tables.values()} == {(bytes, bytes)}


def test_every_topic_is_declared_with_its_partitions_before_it_is_read(app: Any) -> None:
    """One that is not there yet is left out of the assignment in silence, or made with the broker's number of partitions."""
    partitions = {topic.name: topic.partitions for topic in topics.TOPICS}
    for agent in app.agents.values():
        assert agent.channel.internal
        assert agent.channel.partitions == partitions[agent.channel.get_topic_name()]


def test_a_table_is_cut_like_the_topic_its_agent_reads(app: Any) -> None:
    for name, table in app.tables.items():
        assert table.partitions == app.agents[name].channel.partitions, name


def test_keys_go_where_kafkas_own_clients_send_them() -> None:
    """An embedded log that is moved to a broker keeps its order by key."""
    spread = DefaultPartitioner()
    for number in range(200):
        key = b"area-%d" % number
        for partitions in (3, 4):
            assert partition_of(key, partitions) == spread(key, list(range(partitions)), list(range(partitions)))


# ── how records are worked on ────────────────────────────────────────────────────────────────────────────────────────


def test_every_agent_works_on_one_record_at_a_time(app: Any) -> None:
    """With more, Faust commits offsets that are not done."""
    assert {name: agent.concurrency for name, agent in app.agents.items()} == dict.fromkeys(app.agents, 1)


def test_every_agent_is_guarded() -> None:
    """Faust acknowledges what an agent raised on, and never brings it again."""
    made = [(path, line) for path, text in SOURCES.items() for line in text.splitlines() if re.search(r"\bapp\.agent\(", line)]
    assert [path for path, _ in made] == ["streams/agents.py"]
    assert SOURCES["streams/agents.py"].count("shell.guarded(") == 1


def test_tables_are_plain_and_in_memory(app: Any) -> None:
    """Windowed tables close by the wall's clock; a store on disk can be ahead of the effects that belong to it."""
    assert app.conf.store.scheme == "memory"
    assert [name for name, table in app.tables.items() if table.window is not None] == []


NEVER = {
    r"@app\.(task|timer|crontab|page|command)|app\.(task|timer|crontab)\(": "what raises in it stops the app, and it may write no table",
    r"\.(tumbling|hopping|relative_to_now|relative_to_stream)\(": "windows close by the wall's clock",
    r"\bstream\.(take|group_by|through|filter)\(": "tables cannot be written inside it, and what it drops is acknowledged",
    r"faust\.Record": "its class's path stands in every message",
    r"faust\.Worker|execute_from_commandline|faust worker": "it opens port 6066 on every address",
    r"GlobalTable|SetTable|rocksdb": "kept on every worker, or ahead of its effects",
}


@pytest.mark.parametrize("never", NEVER)
def test_what_the_sources_never_say(never: str) -> None:
    found = [f"{path}: {m.group()}" for path, text in SOURCES.items() for m in [re.search(never, _code(text))] if m]
    assert found == [], NEVER[never]


def _code(text: str) -> str:
    """Source without its comments and docstrings, which may speak of what is not done."""
    return re.sub(r'""".*?"""|^\s*#.*?$', "", text, flags=re.DOTALL | re.MULTILINE)


def test_settings_that_are_not_fausts_own(app: Any) -> None:
    conf = app.conf
    assert not conf.web_enabled, "it would listen on every address"
    assert conf.stream_wait_empty, "a stop would interrupt what is in work"
    assert conf.topic_partitions == 1, "a forgotten number of partitions must not scatter one order over eight"
    assert conf.broker_commit_interval <= 1.0, "what is done again after a crash"
    assert conf.consumer_group_instance_id, "static membership"
    assert conf.consumer_auto_offset_reset == "earliest"


def test_versions_are_pinned_to_what_the_private_interface_was_tested_with() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    faust = next(line for line in asked if line.startswith("faust-streaming"))
    assert "<0.16" in faust
    assert any(re.match(r"aiokafka>=0\.1[4-9]", line) for line in asked), "older ones cannot speak to Kafka 4"


def test_what_is_kept_of_an_encoded_record_is_its_own_size() -> None:
    """Some encoders hand out small results in buffers of pages; the log's tail keeps thousands of them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [wire.encode(Ticked(ts_event_ns=number)) for number in range(2_000)]
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 3 * sum(map(len, kept)) + 64 * len(kept)


# ── effects first ────────────────────────────────────────────────────────────────────────────────────────────────────


class Ordered:
    """The agents' handlers on a shell and tables that note in which order they were used."""

    def __init__(self, model: MarketModel, patch: pytest.MonkeyPatch) -> None:
        self.did: list[str] = []
        self.handle: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {}
        self._offset = 0
        rig = self

        class Table(dict[bytes, bytes]):
            def __setitem__(self, key: bytes, value: bytes) -> None:
                rig.did.append("state")
                super().__setitem__(key, value)

        def agent(_app: Any, _shell: Any, _topic: Any, name: str, handle: Any, **_how: Any) -> None:
            self.handle[name] = handle

        patch.setattr(agents, "_agent", agent)
        patch.setattr(agents, "_table", lambda *_: Table())
        shell: Any = SimpleNamespace(
            at_revocation=lambda _: None,
            reads_from=lambda *_: None,
            emit=self._emit,
            now_ns=lambda: NOON,
            started_s=0.0,
            counters=dict.fromkeys(("samples intake", "samples read again"), 0),
        )
        app: Any = SimpleNamespace()
        agents._bind_intake(app, shell, model)
        agents._bind_grid(app, shell, model, Hooks())
        self.hooks = Hooks()
        agents._bind_breaker(app, shell, model, self.hooks)
        self.emitted: list[Any] = []

    async def _emit(self, records: Any) -> None:
        await asyncio.sleep(0)
        self.emitted += records
        if records:
            self.did.append("effects")

    def take(self, name: str, *records: Any) -> list[str]:
        """Feed records, and return what was done in which order for the last of them."""
        for record in records:
            self.did.clear()
            self._offset += 1
            asyncio.run(self.handle[name](record, SimpleNamespace(message=SimpleNamespace(offset=self._offset, timestamp=1.0))))  # type: ignore[arg-type]
        return list(self.did)


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ordered]:
    model = market_model(NetworkModel(rts_gmlc="shipped"), rts_table(), GUANGDONG_2023, ControlModel(), day_ahead=True)
    with monkeypatch.context() as patch:
        yield Ordered(model, patch)


def test_the_time_a_breaker_has_come_to_is_known_from_its_table(ordered: Ordered) -> None:
    assert ordered.hooks.known_ns() is None
    ordered.take("breaker", Ticked(ts_event_ns=NOON))
    assert ordered.hooks.known_ns() == NOON


def test_effects_are_durable_before_the_state_that_remembers_them(ordered: Ordered) -> None:
    """The other way round, a crash between the two loses them: the state says that they were."""
    assert ordered.take("breaker", Ticked(ts_event_ns=NOON)) == ["effects", "state"]

    frames = frames_at(NOON - NS_PER_S, 1, values_at(144))
    beats = [heartbeat(CLOCK_SOURCE, area, 1, NOON) for area in rts_table().areas]
    assert ordered.take("intake", *frames, *beats) == ["effects", "state"]

    snapshots = [record for record in ordered.emitted if type(record).__name__ == "AreaSnapshot"]
    assert len(snapshots) == len(beats)
    did = ordered.take("grid", *snapshots)
    assert did[0] == "effects"
    assert did[1:] == ["state", "state"], "what is held of an area, then the state that says it was computed"
