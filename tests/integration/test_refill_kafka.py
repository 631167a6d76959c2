"""What the spool could not take is read again from a real Kafka broker, by a reader without a group of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from market.units import NS_PER_S
from streams import topics, wire
from streams.gaps import Gaps
from streams.refill import Lines, Refill
from streams.topics import Topic
from tests.kit.board_feed import SCENES, kpi_at
from tests.kit.eventually import eventually_async
from tests.kit.kafka import broker

pytestmark = pytest.mark.integration

T0 = SCENES["normal"]


class Maker:
    """Remembers nothing."""

    def recall(self, record: Any) -> None:
        pass

    def of_record(self, record: Any) -> bytes:
        return b"%d\n" % ((record.ts_event_ns - T0) // NS_PER_S)


@pytest.mark.slow  # a broker is started
def test_a_gap_is_filled_from_the_broker_and_what_it_does_not_have_is_counted(tmp_path: Path) -> None:
    spooled: list[int] = []

    async def append(topic: Topic, records: Sequence[Any], lines: Lines) -> int:
        spooled.extend(int(lines.of_record(record)) for record in records)
        return len(records)

    async def story(address: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=address)
        await admin.start()
        await admin.create_topics([NewTopic(topics.KPI.name, num_partitions=1, replication_factor=1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for number in range(50):
                await producer.send_and_wait(topics.KPI.name, wire.encode(kpi_at(T0 + number * NS_PER_S)), partition=0)
        gaps = Gaps(tmp_path / "missing")
        for offset in (*range(10, 30), *range(45, 60)):
            gaps.add(topics.KPI.name, 0, offset)
        refill = asyncio.create_task(Refill(gaps, f"kafka://{address}", Maker, append, 1e6).run())
        await eventually_async("the gaps are filled", lambda: not [*gaps])
        refill.cancel()
        await asyncio.gather(refill, return_exceptions=True)
        assert (sorted(spooled), gaps.lost) == ([*range(10, 30), *range(45, 50)], 10)
        gaps.close()

    with broker(tmp_path / "kafka") as kafka:
        asyncio.run(story(kafka.address))
