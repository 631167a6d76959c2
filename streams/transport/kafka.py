"""What differs from Faust's own Kafka driver?

The driver for ``gridkafka://host:port``, which :func:`streams.transport.broker_url` makes of ``kafka://host:port``. It is Faust's
aiokafka driver with the fetch loop of :mod:`streams.transport.drain`, and with topics created so that both transports keep the
same records:

* Records are stamped by the broker (``LogAppendTime``): retention goes by the time of writing, so replayed history is not deleted
  minutes after it was written.
* A topic without a retention is kept for good, not for the broker's seven days.
* A compacted topic's segments are closed after an hour or 64 MiB. The broker compacts closed segments only, and by default closes
  them after a week; a table would be recovered from every change it ever made.

``exactly_once`` is refused.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from faust.transport.drivers import aiokafka

from streams.transport.drain import Drain
from streams.transport.guard import refuse_exactly_once

__all__ = ["Consumer", "Transport"]

_COMPACTED: Final = {"segment.ms": "3600000", "segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.1"}


class Consumer(Drain, aiokafka.Consumer):  # type: ignore[misc]
    """Faust's aiokafka consumer with our fetch loop."""


class Transport(aiokafka.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with our consumer.

    Raises:
        ConfigError: the app asks for ``exactly_once``.
    """

    Consumer = Consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        refuse_exactly_once(self.app)

    def _topic_config(
        self, retention: int | None = None, compacting: bool | None = None, deleting: bool | None = None
    ) -> MutableMapping[str, Any]:
        config: MutableMapping[str, Any] = super()._topic_config(retention, compacting, deleting)
        config["message.timestamp.type"] = "LogAppendTime"
        if not retention:
            config["retention.ms"] = "-1"
        if compacting:
            config.update(_COMPACTED)
        return config
