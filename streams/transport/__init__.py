"""Which transport carries the app, and with which settings does Faust run on it?

Chosen by a URL: ``embedded://DIR`` is the durable log of this machine (:mod:`streams.transport.embedded`), ``kafka://host:port`` an
Apache Kafka cluster (:mod:`streams.transport.kafka`). Faust finds both drivers through the entry points of ``pyproject.toml``.

Faust's own defaults are for other work than ours; each setting given here says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from market.errors import ConfigError, Problem
from streams.transport.patience import LogOptions

__all__ = ["broker_url", "faust_settings", "log_directory", "options_in"]

_EMBEDDED = "embedded://"
_KAFKA = ("kafka://", "gridkafka://")


def log_directory(broker: str) -> Path | None:
    """Return the absolute directory of an ``embedded://`` URL, None for any other.

    >>> log_directory("embedded:///var/lib/gridfuse/log")
    PosixPath('/var/lib/gridfuse/log')
    """
    return Path(unquote(broker.removeprefix(_EMBEDDED))).absolute() if broker.startswith(_EMBEDDED) else None


def broker_url(broker: str) -> str:
    """Return what Faust is told for a broker as people write it.

    Args:
        broker: ``embedded://DIR``, where a relative DIR is taken from the working directory; or ``kafka://host:port``, several
            separated by ``;``.

    Raises:
        ConfigError: neither of the two.

    >>> broker_url("kafka://a:9092;b:9092")
    'gridkafka://a:9092;b:9092'
    """
    directory = log_directory(broker)
    if directory is not None and broker != _EMBEDDED:
        return _EMBEDDED + quote(str(directory))
    for scheme in _KAFKA:
        rest = broker.removeprefix(scheme)
        if rest not in (broker, ""):
            return f"gridkafka://{rest}"
    raise ConfigError([Problem("broker", f"{broker!r} names no transport; write embedded://DIR or kafka://host:port")])


def options_in(query: Mapping[str, str]) -> LogOptions:
    """Read the log's options from the query of the URL that Faust was told; a number that is not there has its default.

    >>> options_in({"sync_every_s": "0.05"})
    LogOptions(sync_every_s=0.05, mend_within_s=60.0)
    """
    return LogOptions(**{name: float(query[name]) for name in asdict(LogOptions()) if name in query})


def faust_settings(broker: str, data_dir: Path, instance_id: str, log: LogOptions | None = None) -> dict[str, Any]:
    """Return the settings that the app is built with, on either transport.

    Args:
        broker: as for :func:`broker_url`.
        data_dir: where Faust may keep files of its own.
        instance_id: names this worker; unique among the workers of one app, and the same after a restart.
        log: how the embedded log treats its disk; means nothing on Kafka.

    Raises:
        ConfigError: see :func:`broker_url`.
    """
    url = broker_url(broker)
    if log is not None and url.startswith(_EMBEDDED):
        url += "?" + urlencode(asdict(log))
    return {
        "broker": url,
        "datadir": str(data_dir / "faust"),
        # State is small and is rebuilt from its changelog; a store on disk can be ahead of the effects that belong to it.
        "store": "memory://",
        # exactly_once loses table updates in a crash on Kafka; effects carry identities instead.
        "processing_guarantee": "at_least_once",
        # A stop waits for events in work, so that none of them is done twice.
        "stream_wait_empty": True,
        # Bounds how much is done again after a crash; the default is 2.8 s.
        "broker_commit_interval": 1.0,
        # Records read for an agent and not taken by it: bounds what a backlog holds in memory, half a gigabyte of frames of 64 KiB.
        # A larger one is no faster: a partition is read on as soon as its buffer is down to 40 %.
        "stream_buffer_maxsize": 8_192,
        # Frames of 64 KiB come in batches, which the defaults of 1 MB would cut short.
        "consumer_max_fetch_size": 8 << 20,
        "producer_max_request_size": 4 << 20,
        # A dead worker's partitions move after 10 s instead of a minute.
        "broker_session_timeout": 10.0,
        "broker_heartbeat_interval": 3.0,
        "broker_rebalance_timeout": 15.0,
        # Static membership: a worker that comes back at once gets its partitions back without a rebalance.
        "consumer_group_instance_id": instance_id,
        # Another worker follows each changelog, so that one which takes over has read it already.
        "table_standby_replicas": 1 if broker.startswith(_KAFKA) else 0,
        # Faust tells workers apart by it when it says who has which state.
        "canonical_url": f"http://{quote(instance_id)}",
        # Topics and tables say how many partitions they have; one that forgets gets a single order, not eight of them.
        "topic_partitions": 1,
        # Faust's own waits a second for tables that are declared late; ours are all there.
        "TableManager": "streams.transport.tables:PromptTableManager",
        # A failure of the log is one message, not one for every send that waited.
        "Topic": "streams.transport.topic:QuietTopic",
        # Faust would listen on every address of the machine; the service has an API of its own.
        "web_enabled": False,
    }
