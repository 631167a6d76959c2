"""What was left on its topics is known after any death of the process, in a file that never grows."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from streams.gaps import Gap, Gaps


def of(path: Path) -> list[Gap]:
    gaps = Gaps(path)
    try:
        return list(gaps)
    finally:
        gaps.close()


def test_records_left_one_after_the_other_are_one_gap(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path / "missing")
    for offset in (0, 1, 2, 7, 3):
        gaps.add("kpi.v1", 0, offset)
    gaps.add("frames", 3, 5)
    gaps.close()
    assert of(tmp_path / "missing") == [Gap("kpi.v1", 0, 0, 3), Gap("kpi.v1", 0, 7, 7), Gap("frames", 3, 5, 5)]


def test_a_gap_is_closed_from_its_beginning_and_what_came_meanwhile_stays(tmp_path: Path) -> None:
    gaps = Gaps(tmp_path / "missing")
    for offset in range(10, 20):
        gaps.add("t", 0, offset)
    (gap,) = gaps
    for offset in (20, 30):
        gaps.add("t", 0, offset)
    gaps.close_to(gap, 14)
    assert of(tmp_path / "missing") == [Gap("t", 0, 15, 20), Gap("t", 0, 30, 30)]
    assert gaps.records == 7
    gaps.close_to(gap, 19, lost=2)
    assert ([*gaps], gaps.lost) == ([Gap("t", 0, 20, 20), Gap("t", 0, 30, 30)], 2)
    gaps.close()


def test_a_note_that_was_cut_short_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "missing"
    gaps = Gaps(path)
    gaps.add("t", 0, 1)
    gaps.add("t", 0, 2)
    gaps.close()
    whole = path.read_bytes()
    place = len(whole) // 2 * (2 % 2)  # the second note went to the first place
    path.write_bytes(whole[: place + 45] + bytes(4) + whole[place + 49 :])
    assert of(path) == [Gap("t", 0, 1, 1)]


def test_the_file_never_grows_however_many_ranges_there_are(tmp_path: Path) -> None:
    path, chance = tmp_path / "missing", random.Random(7)
    gaps = Gaps(path)
    size = path.stat().st_size
    left = {(chance.randrange(4), chance.randrange(100_000)) for _ in range(500)}
    for partition, offset in left:
        gaps.add("telemetry.frames.v1", partition, offset)
    gaps.close()
    assert path.stat().st_size == size
    found = of(path)
    assert len(found) <= 200
    covered = {(gap.partition, offset) for gap in found for offset in range(gap.first, gap.last + 1)}
    assert left <= covered


def test_a_file_that_cannot_be_written_is_told_and_what_is_missing_is_known_to_the_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gaps = Gaps(tmp_path / "nowhere" / "missing")
    gaps.add("t", 0, 1)
    gaps.sync()
    assert [*gaps] == [Gap("t", 0, 1, 1)]
    assert "is known to this process only" in caplog.text


def test_a_disk_that_takes_no_note_is_told_of_once_and_not_with_every_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gaps = Gaps(tmp_path / "missing")
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        for offset in range(50):
            gaps.add("t", 0, offset)
    assert len(caplog.records) == 1
    gaps.add("t", 0, 50)
    gaps.close()
    assert of(tmp_path / "missing") == [Gap("t", 0, 0, 50)]


def test_what_is_no_note_is_none(tmp_path: Path) -> None:
    (tmp_path / "missing").write_bytes(os.urandom(100))
    assert of(tmp_path / "missing") == []
