"""What the settings say about InfluxDB is right, or every mistake is named with its line; nothing is connected to."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.influxapi import Api
from tests.unit.streams.test_settings import WHOLE, complaints, read


def test_the_least_that_writes(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE + "influx: {url: 'http://127.0.0.1:8086', bucket: grid}\n")
    assert settings.influx is not None
    assert (settings.influx.api, settings.influx.bucket, settings.influx.gzip) == (Api.V2, "grid", False)
    assert (settings.sinking.raw, settings.sinking.backlog_per_s) == (None, 20_000)
    (bucket,) = settings.sinking.buckets(settings.influx)
    assert (bucket.target, bucket.keep_s) == (settings.influx, None)


def test_raw_telemetry_in_a_bucket_of_its_own(tmp_path: Path) -> None:
    text = (
        "influx: {url: 'http://db:8086', bucket: grid, api: v1, gzip: true, backlog: 500, raw_bucket: grid/raw, raw_keep: 48h, keep: 96h}\n"
    )
    settings = read(tmp_path, WHOLE + text)
    assert settings.influx is not None
    main, raw = settings.sinking.buckets(settings.influx)
    assert (main.target.bucket, main.keep_s) == ("grid", 96 * 3_600)
    assert (raw.target.bucket, raw.keep_s, raw.target.api, raw.target.gzip) == ("grid/raw", 48 * 3_600, Api.V1, True)
    assert settings.sinking.backlog_per_s == 500


def test_the_bucket_itself_named_again_is_one_bucket(tmp_path: Path) -> None:
    settings = read(tmp_path, WHOLE + "influx: {url: 'http://db:8086', bucket: grid, raw_bucket: grid}\n")
    assert settings.sinking.raw is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "{url: 'db:8086', bucket: grid}",
            "gridfuse.yaml:4: influx.url: 'db:8086' is no address of InfluxDB; write it as http://host:8086",
        ),
        ("{url: 'http://[fd00::1', bucket: grid}", "influx.url: 'http://[fd00::1' is no address of InfluxDB"),
        ("{url: 'http://db', bucket: grid, api: v4}", "gridfuse.yaml:4: influx.api: input should be 'v1', 'v2' or 'v3'"),
        ("{url: 'http://db', bucket: a/b/c, api: v1}", "'a/b/c' has two slashes"),
        ("{url: 'http://db', bucket: grid, raw_bucket: 'x/'}", "influx.raw_bucket: 'x/' names nothing"),
        ("{url: 'http://db', bucket: grid, raw_keep: 1h}", "influx.raw_keep: without `raw_bucket`"),
        ("{url: 'http://db', bucket: grid, keep: 1m}", "influx.keep: InfluxDB keeps nothing for less than an hour"),
        ("{url: 'http://db', bucket: grid, keep: 90m}", "influx.keep: InfluxDB is told whole hours; write 2h"),
        ("{url: 'http://me:hush@db', bucket: grid}", "influx.url: holds a user or a password"),
        ("{url: 'http://db', bucket: grid, backlog: 0}", "influx.backlog: input should be greater than or equal to 100"),
        ("{url: 'http://db', bucket: grid, token_file: t, token_env: T}", "give `token_file` or `token_env`, not both"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "t").write_text("secret")
    assert any(complaint in each for each in complaints(tmp_path, WHOLE + f"influx: {text}\n"))
