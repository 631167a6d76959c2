"""Brokers as people write them, and the settings an app gets."""

from __future__ import annotations

from pathlib import Path

import faust
import pytest
from yarl import URL

from market.errors import ConfigError
from streams.transport import broker_url, faust_settings, log_directory
from streams.transport.patience import LogOptions


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("embedded:///var/lib/x", "embedded:///var/lib/x"),
        ("kafka://h:9092", "gridkafka://h:9092"),
        ("gridkafka://h:9092", "gridkafka://h:9092"),
        ("kafka://a:1;b:2", "gridkafka://a:1;b:2"),
    ],
)
def test_a_broker_is_told_to_faust_by_its_driver(text: str, url: str) -> None:
    assert broker_url(text) == url


@pytest.mark.parametrize("name", ["plain", "with space", "100%", "a;b,c", "数据", "a#b?c"])
def test_any_directory_survives_the_way_through_a_url(tmp_path: Path, name: str) -> None:
    url = broker_url(f"embedded://{tmp_path / name}")
    assert Path(URL(url).path) == tmp_path / name
    assert log_directory(url) == tmp_path / name


def test_a_relative_directory_is_taken_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert broker_url("embedded://data/log") == f"embedded://{tmp_path}/data/log"
    assert log_directory("kafka://h:1") is None


@pytest.mark.parametrize("text", ["", "embedded://", "kafka://", "redis://h", "h:9092", "embedded"])
def test_anything_else_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ConfigError, match="write embedded://DIR or kafka://host:port"):
        broker_url(text)


@pytest.mark.parametrize("name", ["plain", "100%", "a#b?c=1"])
def test_the_logs_options_reach_the_driver_through_the_url(tmp_path: Path, name: str) -> None:
    options = LogOptions(sync_every_s=0.05, mend_within_s=7.5)
    app = faust.App("x", **faust_settings(f"embedded://{tmp_path / name}", tmp_path, "worker-1", options))
    assert (app.transport.directory, app.transport.options) == (tmp_path / name, options)
    plain = faust.App("y", **faust_settings(f"embedded://{tmp_path / name}", tmp_path, "worker-1"))
    assert (plain.transport.directory, plain.transport.options) == (tmp_path / name, LogOptions())
    assert faust_settings("kafka://h:1", tmp_path, "worker-1", options)["broker"] == "gridkafka://h:1"


def test_the_settings_are_settings_of_faust(tmp_path: Path) -> None:
    from faust.types.settings import Settings

    settings = faust_settings("kafka://h:9092", tmp_path, "worker-1")
    assert set(settings) <= {name.lower() if name.isupper() else name for name in dir(Settings)}
    assert settings["processing_guarantee"] == "at_least_once"
    assert settings["consumer_group_instance_id"] == "worker-1"
    # What a broker demands of them.
    assert settings["broker_heartbeat_interval"] * 3 <= settings["broker_session_timeout"] <= settings["broker_rebalance_timeout"]
