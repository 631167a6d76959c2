"""The token is found or its absence is named; what a server says is taken down in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from market.errors import ConfigError
from streams.influx import FlushState, FlushStatus, InfluxTarget
from streams.influxapi import Api, said


def target(**token: object) -> InfluxTarget:
    return InfluxTarget(url="http://127.0.0.1:1", org="grid", bucket="gridfuse", **token)  # type: ignore[arg-type]


def test_token_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("secret\n")
    assert target(token_file=path).token() == "secret"


def test_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUX_TOKEN_FOR_TEST", "secret")
    assert target(token_env="INFLUX_TOKEN_FOR_TEST").token() == "secret"


def test_no_token_configured_is_no_token_sent() -> None:
    assert target().token() == ""


def test_a_token_that_is_configured_and_absent_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"nothere: InfluxDB token cannot be read"):
        target(token_file=tmp_path / "nothere").token()
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="is empty"):
        target(token_file=tmp_path / "empty").token()
    monkeypatch.delenv("INFLUX_TOKEN_FOR_TEST", raising=False)
    with pytest.raises(ConfigError, match="environment variable INFLUX_TOKEN_FOR_TEST: is not set"):
        target(token_env="INFLUX_TOKEN_FOR_TEST").token()


@pytest.mark.parametrize("raw", [b"one\ntwo\n", b"\xff\xfe"])
def test_what_can_be_no_token_is_said_and_not_shown(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(raw)
    with pytest.raises(ConfigError, match="holds no InfluxDB token") as caught:
        InfluxTarget(url="http://x", org="o", bucket="b", token_file=file).token()
    assert "two" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"error":"partial write: invalid number dropped=0"}', "partial write: invalid number dropped=0"),
        ('{"code":"invalid","message":"unable to parse"}', "unable to parse"),
        ("<html>502</html>", "<html>502</html>"),
        ("[1]", "[1]"),
        ("", ""),
        (
            '{"error":"partial write of line protocol occurred","data":[{"error_message":"bad","line_number":2,"original_line":"x"}]}',
            "partial write of line protocol occurred: line 2: bad",
        ),
    ],
)
def test_what_the_server_said(body: str, words: str) -> None:
    assert said(body) == words


@pytest.mark.parametrize(
    ("api", "url", "bucket", "problem"),
    [
        (Api.V2, "127.0.0.1:8086", "grid", ("url", "write it as http://host:8086")),
        (Api.V2, "http://db:8o86", "grid", ("url", "write it as http://host:8086")),
        (Api.V2, "http://db:80860", "grid", ("url", "write it as http://host:8086")),
        (Api.V1, "http://127.0.0.1:8086/write?db=x", "grid", ("url", "follows from `api`")),
        (Api.V1, "http://127.0.0.1:8086", "grid/raw/x", ("bucket", "two slashes")),
        (Api.V1, "http://127.0.0.1:8086", "grid/", ("bucket", "names nothing")),
        (Api.V2, "http://127.0.0.1:8086", "_tasks", ("bucket", "begins with _")),
        (Api.V3, "http://127.0.0.1:8181", "grid data", ("bucket", "no database of v3")),
    ],
)
def test_what_cannot_be_an_address_is_said_before_anything_connects(api: Api, url: str, bucket: str, problem: tuple[str, str]) -> None:
    ((place, what),) = InfluxTarget(url=url, org="o", bucket=bucket, api=api).problems()
    assert place == problem[0]
    assert problem[1] in what


@pytest.mark.parametrize(
    ("api", "bucket"), [(Api.V1, "grid"), (Api.V1, "grid/raw"), (Api.V2, "grid/raw"), (Api.V2, "南网"), (Api.V3, "grid-1")]
)
def test_addresses_that_are_good(api: Api, bucket: str) -> None:
    assert list(InfluxTarget(url="https://db.example:8086/influx", org="o", bucket=bucket, api=api).problems()) == []


def test_status_is_plain_data() -> None:
    data = FlushStatus(state=FlushState.REFUSED, alarm="check the token").as_data()
    assert (data["state"], data["alarm"], data["lines_sent"]) == ("refused", "check the token", 0)
