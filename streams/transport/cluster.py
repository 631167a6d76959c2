"""What does a Kafka cluster say of itself, to whoever only asks?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

__all__ = ["answers", "asking", "partitions_of", "servers_of"]

_PORT: Final = 9092
_REACH_S: Final = 5.0
_ANSWER_S: Final = 40.0
"""Longest wait for one answer: aiokafka's own."""


def servers_of(broker: str) -> list[str]:
    """Return the addresses of a broker as people write it, each with its port.

    >>> servers_of("kafka://a;b:9093")
    ['a:9092', 'b:9093']
    """
    return [one if ":" in one else f"{one}:{_PORT}" for one in broker.partition("://")[2].split(";")]


async def answers(broker: str) -> bool:
    """Whether a broker is there and lists its topics; takes some seconds at most."""
    servers = servers_of(broker)
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(_REACH_S):
                # A plain connection first: the client library complains loudly about a port that is not open.
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                async with asking([server], _REACH_S) as admin:
                    await admin.list_topics()
                    return True
        except (OSError, KafkaError, TimeoutError):
            continue
    return False


@asynccontextmanager
async def asking(servers: list[str], answer_s: float = _ANSWER_S) -> AsyncIterator[AIOKafkaAdminClient]:
    """Connect to ask.

    Args:
        answer_s: longest wait for one answer, s.

    Raises:
        KafkaError: nobody answers.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, client_id="gridfuse", request_timeout_ms=int(answer_s * 1_000))
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def partitions_of(servers: list[str], answer_s: float = _ANSWER_S) -> dict[str, int]:
    """Return the number of partitions of every topic, by name."""
    async with asking(servers, answer_s) as admin:
        return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
