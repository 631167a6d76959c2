"""What a server says of its retention policies is read by the names of its columns, which differ between releases."""

from __future__ import annotations

from typing import Any

import pytest

from streams import influxprepare
from streams.errors import SinkRejected
from streams.influxapi import Api, InfluxTarget
from streams.influxfile import Bucket
from streams.influxprepare import prepare

TARGET = InfluxTarget(url="http://db:8086", org="", bucket="grid", api=Api.V1)
PLAIN = (["name", "duration", "shardGroupDuration", "replicaN", "default"], ["168h0m0s", 1])
LIMITED = (
    ["name", "duration", "shardGroupDuration", "replicaN", "futureWriteLimit", "pastWriteLimit", "default"],
    ["168h0m0s", 1, "0s", "0s"],
)


@pytest.mark.parametrize(("columns", "rest"), [PLAIN, LIMITED])
def test_the_default_policy_is_the_one_that_is_looked_at(monkeypatch: pytest.MonkeyPatch, columns: list[str], rest: list[Any]) -> None:
    def answers(target: InfluxTarget, method: str, path: str, query: dict[str, str] | None = None, payload: Any = None) -> Any:
        if path == "/ping":
            return 204, None, {"X-Influxdb-Version": "1.13.2"}
        asked = (query or {})["q"]
        if asked == "SHOW DATABASES":
            return 200, {"results": [{"series": [{"columns": ["name"], "values": [["grid"]]}]}]}, {}
        values = [["short", "24h0m0s", *rest, False], *more]
        return 200, {"results": [{"series": [{"columns": columns, "values": values}]}]}, {}

    more = [["autogen", "0s", *rest, True]]
    monkeypatch.setattr(influxprepare, "_ask", answers)
    assert "is there and keeps lines for ever" in prepare(Bucket(target=TARGET, keep_s=None))
    with pytest.raises(SinkRejected, match='ALTER RETENTION POLICY "autogen"'):
        prepare(Bucket(target=TARGET, keep_s=24 * 3_600))
    more.clear()
    with pytest.raises(SinkRejected, match='has no default retention policy; run in the influx shell: CREATE RETENTION POLICY "gridfuse"'):
        prepare(Bucket(target=TARGET, keep_s=None))
