"""An edited point list is taken over when it is asked for or noticed, refused as a whole where it is wrong, and never read half-written."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from console.livelist import LiveList, Outcome
from ingest.errors import DeviceError
from ingest.pointlist import PointList, read_point_list
from ingest.relisting import Relisting, relisting
from tests.kit.eventually import eventually_async

NOW = 1_700_000_000_000_000_000


def text(*addresses: int) -> str:
    points = "".join(f"      p/{address}: {{reg: holding {address}}}\n" for address in addresses)
    url = "modbus+tcp://127.0.0.1:502"
    return f'maps:\n  m:\n    every: 1s\n    points:\n{points}devices:\n  - {{name: a, area: 1, url: "{url}", map: m}}\n'


class Service:
    """Takes lists over as one does that has no devices to change."""

    def __init__(self, path: Path, watch: bool = False) -> None:
        path.write_text(text(1))
        self.points = read_point_list(path)
        self.taken: list[PointList] = []
        self.refuses: Exception | None = None
        self.live = LiveList(path, self.take, lambda: NOW, watch=watch, look_s=0.005)

    async def take(self, points: PointList) -> Relisting:
        if self.refuses is not None:
            raise self.refuses
        changes = relisting(self.points, points)
        self.points = points
        self.taken.append(points)
        return changes


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "points.yaml"


def test_an_edited_list_is_taken_over_and_counted(path: Path) -> None:
    service = Service(path)
    path.write_text(text(1, 2))
    done = asyncio.run(service.live.reload())
    assert (done.outcome, done.ts_ns) == (Outcome.APPLIED, NOW)
    assert done.devices == {"changed": 1, "added": 0, "removed": 0, "kept": 0}
    assert [len(points.devices[0].points) for points in service.taken] == [2]
    assert service.live.devices["changed"] == 1
    assert asyncio.run(service.live.reload()).outcome is Outcome.UNCHANGED
    assert service.live.reloads == {Outcome.APPLIED: 1, Outcome.UNCHANGED: 1}


def test_a_list_with_problems_is_refused_with_all_of_them_at_their_lines(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(path)
    path.write_text(dedent(text(1)).replace("holding 1", "holding 70000").replace("map: m", "map: n"))
    done = asyncio.run(service.live.reload())
    assert done.outcome is Outcome.REFUSED
    assert [problem.where.rpartition(":")[2] for problem in done.problems] == ["5", "7"]
    assert not service.taken
    assert service.live.last is done
    assert [record.problems for record in caplog.records if hasattr(record, "problems")] == [2]


def test_a_file_that_is_gone_is_refused(path: Path) -> None:
    service = Service(path)
    path.unlink()
    assert asyncio.run(service.live.reload()).outcome is Outcome.REFUSED
    assert not service.taken


def test_a_list_that_cannot_be_taken_over_now_is_refused_with_the_reason(path: Path) -> None:
    service = Service(path)
    service.refuses = DeviceError("not now")
    done = asyncio.run(service.live.reload())
    assert (done.outcome, [problem.what for problem in done.problems]) == (Outcome.REFUSED, ["not now"])


def test_a_fault_of_ours_refuses_the_list_and_ends_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(path)
    service.refuses = ZeroDivisionError("oops")
    done = asyncio.run(service.live.reload())
    assert (done.outcome, service.live.reloads) == (Outcome.REFUSED, {Outcome.REFUSED: 1})
    assert "fault of this program" in done.problems[0].what
    assert any(record.exc_info for record in caplog.records)


def test_a_service_without_a_file_says_so() -> None:
    async def take(points: PointList) -> Relisting:
        raise AssertionError("there is nothing to take")

    done = asyncio.run(LiveList(None, take, lambda: NOW).reload())
    assert "none in a file" in done.problems[0].what


def watched(service: Service, story: Callable[[], object], until: Callable[[], bool]) -> None:
    async def main() -> None:
        running = asyncio.create_task(service.live.run())
        await asyncio.sleep(0)
        story()
        await eventually_async("the list is read again", until, 10)
        running.cancel()

    asyncio.run(main())


def test_somebody_who_asks_is_heard_without_a_watch(path: Path) -> None:
    service = Service(path)
    path.write_text(text(1, 2))
    watched(service, service.live.ask, lambda: service.live.reloads[Outcome.APPLIED] == 1)


def test_a_watched_file_is_taken_over_by_itself_and_once(path: Path) -> None:
    service = Service(path, watch=True)

    def edit() -> None:
        path.write_text(text(1, 2))

    watched(service, edit, lambda: bool(service.taken))
    assert service.live.reloads.total() == 1


def test_a_refused_list_is_not_tried_again_until_it_is_changed(path: Path) -> None:
    service = Service(path, watch=True)
    looks = 0
    stamp = service.live._stamp

    def counted() -> tuple[int, int] | None:
        nonlocal looks
        looks += 1
        return stamp()

    service.live._stamp = counted  # type: ignore[method-assign]
    watched(service, lambda: path.write_text("nothing: of use"), lambda: service.live.reloads.total() == 1 and looks > 10)
    assert service.live.reloads == {Outcome.REFUSED: 1}


def test_a_file_that_is_saved_again_as_it_was_is_not_read(path: Path) -> None:
    service = Service(path, watch=True)
    looked: list[tuple[int, int] | None] = []

    def touch() -> None:
        os.utime(path, ns=(NOW, NOW))

    def seen() -> bool:
        looked.append(service.live._looked)
        return looked[-1] is not None and looked[-1][0] == NOW and len([one for one in looked if one == looked[-1]]) > 3

    watched(service, touch, seen)
    assert not service.live.reloads


def test_a_file_that_is_being_written_is_left_alone_until_it_is_done(path: Path) -> None:
    """Each look finds it written since the one before; only then it stays."""
    service = Service(path, watch=True)
    stamps = iter([(1, 1), (2, 2), (3, 3)])
    looks: list[tuple[int, int]] = []

    def growing() -> tuple[int, int]:
        looks.append(next(stamps, (4, 4)))
        if len(looks) < 5:
            assert not service.live.reloads
        return looks[-1]

    service.live._stamp = growing  # type: ignore[method-assign]
    path.write_text(text(1, 2))
    watched(service, lambda: None, lambda: bool(service.taken))
    assert looks[:5] == [(1, 1), (2, 2), (3, 3), (4, 4), (4, 4)]
