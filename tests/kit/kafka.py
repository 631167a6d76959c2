"""A real Apache Kafka broker of the tests' own: one KRaft process on free ports, its data in a directory of its own.

It is stopped by its pid. It takes three to ten seconds to start, so a test module starts one and uses it throughout.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from tests.kit.ports import free_port
from tests.kit.require import require

__all__ = ["Broker", "broker"]

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 60.0

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class Broker:
    """A running broker.

    Attributes:
        address: ``host:port`` for clients.
    """

    def __init__(self, java: str, libs: Path, home: Path) -> None:
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self._home = home
        config = home / "server.properties"
        config.write_text(_PROPERTIES.format(port=port, controller=controller, data=home / "data"))
        tool = [java, "-cp", f"{libs}/*", "kafka.tools.StorageTool"]
        # Any 16 bytes in URL-safe base64 name a cluster.
        subprocess.run(
            [*tool, "format", "-t", "Z3JpZGZ1c2UtdGVzdHMtMQ", "-c", str(config)], check=True, capture_output=True, timeout=_START_S
        )
        options = ["-Xms256m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        self._command = [java, *options, "-cp", f"{libs}/*", "kafka.Kafka", str(config)]
        self.start()

    def start(self) -> None:
        """Start it, or start it again where it was stopped, with the data it had."""
        with (self._home / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return once the broker answers a client."""
        deadline_s = time.monotonic() + _START_S
        while not asyncio.run(_answers(self.address)):
            assert self._process.poll() is None, (self._home / "kafka.log").read_text()
            assert time.monotonic() < deadline_s, f"Kafka did not answer within {_START_S:g} s: {(self._home / 'kafka.log').read_text()}"
            time.sleep(0.1)

    def stop(self) -> None:
        """End it at once; its data stay for :meth:`start`, and are removed with the test."""
        self._process.kill()
        self._process.wait()

    def records(self, topic: str) -> list[tuple[int, int, bytes | None, bytes | None]]:
        """Return all of a topic: (partition, offset, key, value), in order within each partition."""
        return asyncio.run(_read_all(self.address, topic))

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return partition → next offset of a consumer group."""
        return asyncio.run(_committed(self.address, group, topic))

    def config(self, topic: str) -> dict[str, str]:
        """Return a topic's settings."""
        return asyncio.run(_config(self.address, topic))


async def _answers(address: str) -> bool:
    # A plain connection first: the client library complains loudly about a port that is not open yet.
    try:
        _, writer = await asyncio.open_connection(*address.split(":"))
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    try:
        await admin.start()
        await admin.list_topics()
    except (KafkaError, OSError):
        return False
    else:
        return True
    finally:
        await admin.close()


async def _read_all(address: str, topic: str) -> list[tuple[int, int, bytes | None, bytes | None]]:
    consumer = AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in sorted(await _partitions(consumer, topic))]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends = await consumer.end_offsets(places)
        found = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += [(record.partition, record.offset, record.key, record.value) for record in batch]
        return sorted(found, key=lambda record: record[:2])
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    await consumer._client.force_metadata_update()
    consumer._client.set_topics([topic])
    await consumer._client.force_metadata_update()
    partitions: set[int] = consumer.partitions_for_topic(topic) or set()
    return partitions


async def _committed(address: str, group: str, topic: str) -> dict[int, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
        return {place.partition: at.offset for place, at in offsets.items() if place.topic == topic}
    finally:
        await admin.close()


async def _config(address: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for entry in answer.resources[0][4]}
    finally:
        await admin.close()


@contextmanager
def broker(home: Path) -> Iterator[Broker]:
    """Run a broker from ``.servers/kafka``; without it, or without Java, the test is skipped."""
    libs = sorted((_ROOT / ".servers" / "kafka").glob("libs-*/.complete"))
    require("kafka", "make servers", found=bool(libs))
    java = require("java", "apt-get install -y openjdk-17-jre-headless")
    home.mkdir(parents=True, exist_ok=True)
    server = Broker(java, libs[-1].parent, home)
    try:
        server.wait()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home / "data", ignore_errors=True)
