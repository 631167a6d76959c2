"""Evidence in a file: whole it verifies, and one changed byte names the record it is in."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from market.decisions import Decision
from market.errors import ConfigError
from market.facts import Fact, PointQuality, Segment, SwitchReported, SwitchStatus, Ticked
from market.prices import PriceInForce, Regime
from market.units import NS_PER_H, NS_PER_S
from streams.casebundle import span_of, verify_bundle, write_bundle
from tests.kit.decided import EVERY_BODY, NOON, chain_of

CASE = "2026-06-10-01"
CHAIN = chain_of((*EVERY_BODY[:4], *EVERY_BODY))
FACTS: list[Fact] = [
    Ticked(ts_event_ns=NOON - 2 * NS_PER_H),
    *(Ticked(ts_event_ns=NOON + second * NS_PER_S) for second in range(3)),
    SwitchReported(
        ts_event_ns=NOON + 3 * NS_PER_S, element="线路 A", status=SwitchStatus.OPEN, quality=PointQuality.GOOD, ts_source_ns=NOON
    ),
]
PRICE = PriceInForce(
    ts_event_ns=NOON, segment=Segment.RT, interval_start_ns=NOON, regime=Regime.ART27_2, price_cny_per_mwh=1.0, rev=0, source="s",
    provisional=True, rule_set="r",
)  # fmt: skip


def bundle(path: Path, decisions: list[Decision] = CHAIN) -> Path:
    write_bundle(path, span_of(CASE, decisions), decisions, FACTS, [PRICE], {"report.md": b"# report\n"})
    return path


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """Write the bundle again with one file changed, as somebody would who has a zip tool."""
    other = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info, change(content) if info.filename == name else content)
    return other


def test_a_bundle_holds_what_was_known_decided_said_and_paid_and_verifies(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b.zip")
    verdict = verify_bundle(path)
    assert verdict.problems == ()
    assert (verdict.bad_seq, verdict.last_hash) == (None, CHAIN[verdict.last_seq - 1].hash)
    with zipfile.ZipFile(path) as opened:
        facts = opened.read("facts.jsonl").splitlines()
        users = {user["by"]: user for user in json.loads(opened.read("users.json"))}
        notices, receipts = json.loads(opened.read("notices.json")), json.loads(opened.read("receipts.json"))
        assert json.loads(opened.read("prices.json"))[0]["regime"] == "ART27_2"
    assert len(facts) == 4, "what was two hours before is not part of the case"
    assert (users["lin"]["roles"], set(users["op7"]["roles"])) == (["GOV"], {"MO", "TRADING"})
    assert notices[0]["text_zh"] == "实时市场熔断"
    assert "DutyReceived" in {row["kind"] for row in receipts}


@pytest.mark.parametrize("number", [1, 9, 20])
def test_one_changed_byte_names_the_first_bad_record(tmp_path: Path, number: int) -> None:
    path = bundle(tmp_path / "b.zip")

    def change(content: bytes) -> bytes:
        lines = content.splitlines(keepends=True)
        place = lines[number - 1].index(b"gd/r1")
        lines[number - 1] = lines[number - 1][:place] + b"h" + lines[number - 1][place + 1 :]
        return b"".join(lines)

    verdict = verify_bundle(rewritten(path, "decisions.jsonl", change))
    assert verdict.bad_seq == number
    assert verdict.problems[0].startswith(f"decision {number} was altered")


def test_a_byte_flipped_in_the_file_itself_names_the_record_too(tmp_path: Path) -> None:
    """The zip file's own checksum is wrong then, and says nothing of where."""
    path = bundle(tmp_path / "b.zip")
    raw = bytearray(path.read_bytes())
    place = raw.index(CHAIN[11].hash.encode())
    for at, bad in ((place, ord("!")), (raw.index(b'"seq":12,') + 1, ord("}"))):
        flipped = bytearray(raw)
        flipped[at] = bad
        (tmp_path / "flipped.zip").write_bytes(flipped)
        verdict = verify_bundle(tmp_path / "flipped.zip")
        assert verdict.bad_seq == 12
        assert verdict.problems[0].startswith("decision 12")


def test_a_record_that_was_left_out_is_missed(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b.zip")
    middle = verify_bundle(
        rewritten(
            path, "decisions.jsonl", lambda content: b"".join(content.splitlines(keepends=True)[:4] + content.splitlines(keepends=True)[5:])
        )
    )
    assert "decision 5 is missing" in middle.problems[0]
    end = verify_bundle(rewritten(path, "decisions.jsonl", lambda content: b"".join(content.splitlines(keepends=True)[:-1])))
    assert end.bad_seq == verify_bundle(path).last_seq
    assert "the chain ends before" in end.problems[0]


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("facts.jsonl", lambda content: content.replace(b"OPEN", b"SHUT"), "facts.jsonl: record 4 was altered"),
        ("facts.jsonl", lambda content: content + b"{}\n", "facts.jsonl: record 5 is missing or was added"),
        ("prices.json", lambda content: content.replace(b"1.0", b"2.0"), "prices.json was altered"),
        ("report.md", lambda content: b"# praise\n", "report.md was altered"),
    ],
)
def test_every_file_is_held_by_its_checksum(tmp_path: Path, name: str, change: Callable[[bytes], bytes], says: str) -> None:
    verdict = verify_bundle(rewritten(bundle(tmp_path / "b.zip"), name, change))
    assert verdict.problems[0].startswith(says)
    assert verdict.bad_seq is None


def test_files_that_come_or_go_are_named(tmp_path: Path) -> None:
    path = bundle(tmp_path / "b.zip")
    shutil.copy(path, tmp_path / "more.zip")
    with zipfile.ZipFile(tmp_path / "more.zip", "a") as opened:
        opened.writestr("note.txt", b"x")
    assert verify_bundle(tmp_path / "more.zip").problems == ("note.txt was added",)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ConfigError, match="cannot be opened as a bundle"):
        verify_bundle(tmp_path / "b.zip")
    path = rewritten(bundle(tmp_path / "b.zip"), "manifest.json", lambda _: b"{}")
    with pytest.raises(ConfigError, match=r"manifest\.json is missing or was altered"):
        verify_bundle(path)


def test_a_case_ends_when_it_was_closed_or_with_the_newest_decision() -> None:
    closed = next(one for one in CHAIN if one.kind == "CaseClosed")
    assert span_of(CASE, CHAIN).to_ns == closed.ts_event_ns
    still_open = [one for one in CHAIN if one.kind != "CaseClosed"]
    assert span_of(CASE, still_open).to_ns == CHAIN[-1].ts_event_ns
    with pytest.raises(ConfigError, match=f"there are {CASE}"):
        span_of("2026-06-10-02", CHAIN)
    assert replace(span_of(CASE, CHAIN), case="").from_ns == NOON - NS_PER_H // 2
