"""What a point list may say of OPC UA servers, and what it is told where it says something else."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ingest.devices import Deadband, UaDevice
from ingest.pointlist import read_point_list
from market.errors import ConfigError
from market.units import NS_PER_H, NS_PER_MS, NS_PER_S

LIST = """\
maps:
  m:
    every: 2s{map}
    points:
      load/{{f}}/mw: {{node: "nsu=urn:x;s={{f}}"{point}}}
devices:
  - {{name: ems, area: 1, url: "opc.tcp://h:4840", map: m, vars: {{f: {f}}}{device}}}
"""


def written(tmp_path: Path, *, at_map: str = "", point: str = "", device: str = "", f: str = "215") -> Path:
    path = tmp_path / "points.yaml"
    path.write_text(LIST.format(map=f"\n    {at_map}" if at_map else "", point=point, device=device, f=f))
    return path


def read(tmp_path: Path, **parts: str) -> UaDevice:
    [device] = read_point_list(written(tmp_path, **parts)).devices
    assert isinstance(device, UaDevice)
    return device


def problem(tmp_path: Path, **parts: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_point_list(written(tmp_path, **parts))
    [only] = caught.value.problems
    return str(only).replace(f"{tmp_path}/points.yaml:", "")


def test_what_is_not_said_is_plain(tmp_path: Path) -> None:
    device = read(tmp_path)
    assert (device.is_polled, device.security, device.backfill_ns) == (False, None, None)
    [point] = device.points
    assert (point.sampling_ns, point.queue, point.deadband) == (None, None, None)


def test_sampling_queue_and_deadband(tmp_path: Path) -> None:
    [point] = read(tmp_path, point=", sampling: 100ms, queue: 20, deadband: 0.5").points
    assert (point.sampling_ns, point.queue, point.deadband) == (100 * NS_PER_MS, 20, Deadband(value=0.5, is_percent=False))
    [point] = read(tmp_path, point=", sampling: 0").points
    assert point.sampling_ns == 0
    [point] = read(tmp_path, point=", deadband: 2%").points
    assert point.deadband == Deadband(value=2.0, is_percent=True)


@pytest.mark.parametrize("text", ["0", "-1", "true", "100%", "a little", "[1]", ".nan", ".inf"])
def test_what_is_no_deadband(tmp_path: Path, text: str) -> None:
    assert "is no deadband; write a number of the point's unit, as in 0.5, or a share of its range" in problem(
        tmp_path, point=f", deadband: {text}"
    )


def test_a_queue_holds_something(tmp_path: Path) -> None:
    assert "queue: input should be greater than or equal to 1" in problem(tmp_path, point=", queue: 0")


def test_polling(tmp_path: Path) -> None:
    assert read(tmp_path, at_map="mode: poll").is_polled
    what = "5: maps.m.points.load/{f}/mw.queue: is for subscriptions, and the map has `mode: poll`; remove one"
    assert problem(tmp_path, at_map="mode: poll", point=", queue: 3") == what.replace("5:", "6:", 1)
    assert "mode: input should be 'subscribe' or 'poll', not 'ask'" in problem(tmp_path, at_map="mode: ask")


def test_polling_and_backfill_mean_nothing_for_modbus(tmp_path: Path) -> None:
    path = tmp_path / "points.yaml"
    path.write_text(
        dedent("""\
        maps:
          m: {every: 1s, mode: poll, points: {a: {reg: holding 1}}}
        devices:
          - {name: rtu, area: 1, url: "modbus+tcp://h", map: m, backfill: true}
        """)
    )
    with pytest.raises(ConfigError) as caught:
        read_point_list(path)
    assert [str(each).replace(f"{tmp_path}/", "") for each in caught.value.problems] == [
        "points.yaml:2: maps.m.mode: means nothing for Modbus; remove it",
        "points.yaml:4: devices[0].backfill: means nothing for modbus+tcp; remove it",
    ]


@pytest.mark.parametrize(("text", "reach_ns"), [("true", 24 * NS_PER_H), ("false", None), ("6h", 6 * NS_PER_H), ("90s", 90 * NS_PER_S)])
def test_backfill(tmp_path: Path, text: str, reach_ns: int | None) -> None:
    assert read(tmp_path, device=f", backfill: {text}").backfill_ns == reach_ns


def test_what_is_no_backfill(tmp_path: Path) -> None:
    assert "'far' is not how far back to fill; write true (for 24h), false, or a length of time: 6h" in problem(
        tmp_path, device=", backfill: far"
    )


def test_one_entry_for_many_points(tmp_path: Path) -> None:
    points = read(tmp_path, f="[F1, F2, 3]").points
    assert [(point.name, point.node) for point in points] == [
        ("load/F1/mw", "nsu=urn:x;s=F1"),
        ("load/F2/mw", "nsu=urn:x;s=F2"),
        ("load/3/mw", "nsu=urn:x;s=3"),
    ]
    assert "point load/F1/mw is already on device ems; rename one" in problem(tmp_path, f="[F1, F1]")


def secured(**entries: Any) -> str:
    return ", security: {" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def test_security_with_files_beside_the_point_list(tmp_path: Path) -> None:
    given = secured(policy="Aes256Sha256RsaPss", cert="c/we.der", key="c/we.pem", pin="/etc/ems.der", user="u", password_env="P")
    security = read(tmp_path, device=given).security
    assert security is not None
    assert (security.policy, security.mode) == ("Aes256Sha256RsaPss", "SignAndEncrypt")
    assert (security.cert, security.key, security.pin) == (tmp_path / "c/we.der", tmp_path / "c/we.pem", Path("/etc/ems.der"))
    assert (security.user, security.password_env, security.trust) == ("u", "P", None)


@pytest.mark.parametrize("text", ["none", "None", "null"])
def test_no_security_can_be_said_aloud(tmp_path: Path, text: str) -> None:
    security = read(tmp_path, device=secured(policy=text)).security
    assert security is not None
    assert (security.policy, security.mode) == ("None", "None")


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({"mode": "Sign"}, "policy: is missing; add it"),
        ({"policy": "Basic256"}, "policy: input should be 'None', 'Basic256Sha256', 'Aes128Sha256RsaOaep' or 'Aes256Sha256RsaPss'"),
        ({"policy": "none", "mode": "Sign"}, "policy None signs and encrypts nothing; remove `mode`, or give a policy"),
        ({"policy": "Basic256Sha256"}, "needs our certificate; give `cert` and `key` (`gridfuse ingest certs create` makes both)"),
        ({"policy": "Basic256Sha256", "cert": "a", "key": "b"}, "says nothing of which server to trust; give `pin`"),
        ({"policy": "none", "pin": "a", "trust": "b"}, "`pin` allows one certificate and `trust` several; give one of them"),
        ({"policy": "none", "password_env": "P"}, "`password_env` is the password of nobody; give `user` too"),
        ({"policy": "none", "user": "u"}, "a `user` has a password; give `password_env`"),
        ({"policy": "none", "user": "u", "password": "x"}, "password: is not a known key; did you mean"),
        ({"policy": "none", "user_cert": "u"}, "`user_cert` and `user_key` go together; give both or neither"),
        (
            {"policy": "none", "user": "u", "password_env": "P", "user_cert": "a", "user_key": "b"},
            "a session has one user; give `user` or `user_cert`",
        ),
    ],
)
def test_security_that_cannot_be(tmp_path: Path, entries: dict[str, str], what: str) -> None:
    assert what in problem(tmp_path, device=secured(**entries))
