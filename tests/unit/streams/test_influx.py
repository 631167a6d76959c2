"""The token is found or its absence is named; what a server says is taken down in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest
from influxdb_client.rest import ApiException

from market.errors import ConfigError
from streams.influx import FlushState, FlushStatus, InfluxTarget, said


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


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":"partial write: invalid number dropped=0"}', "partial write: invalid number dropped=0"),
        (b'{"code":"invalid","message":"unable to parse"}', "unable to parse"),
        (b"<html>502</html>", "<html>502</html>"),
        (b"[1]", "[1]"),
        (None, "Bad Gateway"),
        (b"x" * 10_000, "x" * 500),
    ],
)
def test_what_the_server_said(body: bytes | None, words: str) -> None:
    exc = ApiException(status=502, reason="Bad Gateway")
    exc.body = body
    assert said(exc) == words


def test_status_is_plain_data() -> None:
    data = FlushStatus(state=FlushState.REFUSED, alarm="check the token").as_data()
    assert (data["state"], data["alarm"], data["lines_sent"]) == ("refused", "check the token", 0)
