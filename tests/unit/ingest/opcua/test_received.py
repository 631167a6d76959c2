"""What was received is kept behind what has left, and a file that cannot be read makes nothing up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.devices import UaDevice
from ingest.opcua.gaps import Gap, Gaps
from ingest.opcua.received import Received
from ingest.sourcetime import NO_TIME
from tests.kit.field import ua_device, ua_point

T0 = 1_700_000_000_000_000_000


def device(**nodes: str) -> UaDevice:
    return ua_device(4840, *(ua_point(name, node) for name, node in nodes.items()), name="ems/1", backfill_ns=10**9)


PLANT = device(a="s=A", b="s=B", c="s=C")


def told(gaps: Gaps, **times_ns: int) -> None:
    """Live values of the plant's points, dated by their server."""
    rows = np.array(["abc".index(name) for name in times_ns], dtype=np.int64)
    yes = np.ones(len(rows), dtype=bool)
    gaps.live(rows, np.array(list(times_ns.values()), dtype=np.int64), dated=yes, overflowed=~yes)


async def live(folder: Path, story: list[dict[str, int]], *, has_left: bool = True, of: UaDevice = PLANT) -> Gaps:
    """A process that is told values and ends in good order; returns what it knew when it began."""
    gaps = Gaps(len(of.points))
    received = Received(of, gaps, folder, lambda: has_left)
    began = Gaps(len(of.points))
    began.restore(*gaps.state())
    keeping = asyncio.create_task(received.run())
    await asyncio.sleep(0)
    for values in story:
        told(gaps, **values)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    return began


def last_ns(gaps: Gaps) -> list[int]:
    return [int(at_ns) for at_ns in gaps.state()[0]]


def test_the_next_process_knows_the_last_time_of_each_point(tmp_path: Path) -> None:
    first = asyncio.run(live(tmp_path, [{"a": T0, "b": T0 + 1}, {"a": T0 + 2}]))
    assert last_ns(first) == [NO_TIME] * 3
    second = asyncio.run(live(tmp_path, []))
    assert last_ns(second) == [T0 + 2, T0 + 1, NO_TIME]
    assert [path.name for path in tmp_path.iterdir()] == ["ems%2F1.received"]


def test_what_has_not_left_the_process_was_not_received(tmp_path: Path) -> None:
    asyncio.run(live(tmp_path, [{"a": T0}]))
    asyncio.run(live(tmp_path, [{"a": T0 + 5}], has_left=False))
    assert last_ns(asyncio.run(live(tmp_path, []))) == [T0, NO_TIME, NO_TIME]


def test_a_state_is_written_a_look_after_it_was_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two the log makes it durable: a process that is killed before has received less, by its file."""
    monkeypatch.setattr("ingest.opcua.received._LOOK_S", 0.0)

    async def main() -> None:
        gaps, looks = Gaps(3), 0

        def has_left() -> bool:
            nonlocal looks
            looks += 1
            if looks == 1:
                told(gaps, a=T0)
            return True

        received = Received(PLANT, gaps, tmp_path, has_left)
        keeping = asyncio.create_task(received.run())
        while looks < 2:
            await asyncio.sleep(0)
        assert last_ns(other(tmp_path)) == [T0, NO_TIME, NO_TIME]
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def other(folder: Path, of: UaDevice = PLANT) -> Gaps:
    """What a process that begins now knows."""
    gaps = Gaps(len(of.points))
    Received(of, gaps, folder, lambda: True)
    return gaps


def test_a_gap_that_was_not_filled_in_is_known_to_the_next_process(tmp_path: Path) -> None:
    async def main() -> None:
        gaps = Gaps(3)
        received = Received(PLANT, gaps, tmp_path, lambda: True)
        told(gaps, b=T0)
        gaps.opened()
        told(gaps, b=T0 + 9)
        keeping = asyncio.create_task(received.run())
        await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())
    assert list(other(tmp_path).closed) == [Gap(1, T0, T0 + 9)]


def test_points_are_known_by_name_and_node_wherever_they_stand_in_the_list(tmp_path: Path) -> None:
    asyncio.run(live(tmp_path, [{"a": T0, "b": T0 + 1, "c": T0 + 2}]))
    assert last_ns(other(tmp_path, device(c="s=C", d="s=D", a="s=elsewhere"))) == [T0 + 2, NO_TIME, NO_TIME]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 200), garbage=st.binary(max_size=20))
def test_a_damaged_file_is_a_first_start(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    asyncio.run(live(folder, [{"a": T0}]))
    path = folder / "ems%2F1.received"
    raw = path.read_bytes()
    path.write_bytes(raw[:cut] + garbage)
    if raw[:cut] + garbage != raw:
        assert last_ns(other(folder)) == [NO_TIME] * 3


def test_a_directory_that_cannot_be_written_costs_the_memory_and_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "taken").write_text("a file")
    asyncio.run(live(tmp_path / "taken", [{"a": T0}, {"a": T0 + 1}]))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
