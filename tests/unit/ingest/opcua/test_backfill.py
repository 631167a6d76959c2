"""Backfill against a history that is scripted: pages, what servers get wrong, and what is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua

from ingest.clock import WallClock
from ingest.opcua.backfill import Backfill
from ingest.opcua.gaps import Gap
from ingest.opcua.limits import Limits
from ingest.opcua.nodes import NodeBook
from ingest.opcua.samples import Samples
from ingest.quality import Flag
from ingest.source import Source
from market.units import NS_PER_H, NS_PER_S, instant_ns
from tests.kit.field import Collector, source_into, ua_device, ua_point

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BEGIN_NS = instant_ns("2026-03-01T12:00:00Z")


def at(second: float) -> int:
    return BEGIN_NS + round(second * NS_PER_S)


def second_of(moment: datetime) -> float:
    return (moment - EPOCH) / timedelta(seconds=1) - BEGIN_NS / NS_PER_S


class History:
    """A server's history: a value each second, given in pages by whatever rule a test sets."""

    def __init__(self, page: int = 1000) -> None:
        self.page = page
        self.readable: dict[int, bool] = {}
        self.asked: list[int] = []
        self.spans: list[tuple[float, float]] = []
        self.answer: Callable[[ua.HistoryReadValueId, list[float]], tuple[int, list[float]]] = lambda _, seconds: (0, seconds)
        self.raises: list[BaseException] = []

    async def read_attributes(self, nodes: list[ua.NodeId], _: ua.AttributeIds) -> list[ua.DataValue]:
        levels = [5 if self.readable.get(node.Identifier, True) else 1 for node in nodes]
        return [ua.DataValue(Value=ua.Variant(level, ua.VariantType.Byte)) for level in levels]

    async def history_read(self, request: ua.HistoryReadParameters) -> list[Any]:
        if self.raises:
            raise self.raises.pop(0)
        self.asked.append(len(request.NodesToRead))
        details = request.HistoryReadDetails
        begin, end = round(second_of(details.StartTime)), round(second_of(details.EndTime))
        self.spans.append((begin, end))
        return [self._page(node, begin, end) for node in request.NodesToRead]

    def _page(self, node: ua.HistoryReadValueId, begin: int, end: int) -> Any:
        start = int(node.ContinuationPoint) if node.ContinuationPoint else begin
        stop = min(end + 1, start + self.page)
        status, seconds = self.answer(node, [float(second) for second in range(start, stop)])
        values = [
            ua.DataValue(Value=ua.Variant(second), SourceTimestamp=EPOCH + timedelta(seconds=BEGIN_NS // NS_PER_S + second))
            for second in seconds
        ]
        following = str(stop).encode() if stop <= end and not status else None
        return SimpleNamespace(
            StatusCode=ua.StatusCode(status), ContinuationPoint=following, HistoryData=SimpleNamespace(DataValues=values or None)
        )


class Scene:
    def __init__(self, points: int = 1, reach_ns: int = NS_PER_H) -> None:
        device = ua_device(1, *(ua_point(f"v{n}", f"i={n + 1}", scale=2.0) for n in range(points)), backfill_ns=reach_ns)
        self.out = Collector(device)
        self.source: Source = source_into(self.out, "ems")
        samples = Samples(device, self.source, WallClock())
        nodes = NodeBook(device, samples)
        nodes._nodes = [ua.NodeId(n + 1) for n in range(points)]
        assert samples.gaps is not None
        self.gaps = samples.gaps
        self.backfill = Backfill(device, nodes, samples, self.gaps, self.source, reach_ns)

    def fill(self, history: History, *gaps: Gap, limits: Limits | None = None) -> None:
        """Run until no gap is left, or the session ends."""
        self.gaps.closed.update(dict.fromkeys(gaps))

        async def main() -> None:
            task = asyncio.create_task(self.backfill.run(history, limits or Limits()))
            for _ in range(1000):
                await asyncio.sleep(0.002)
                if task.done() or not self.gaps.closed:
                    break
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(main())

    def seconds(self, name: str = "v0") -> list[float]:
        return [(sample.ts_event_ns - BEGIN_NS) / NS_PER_S for sample in self.out.samples[name]]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.opcua.backfill._LOOK_S", 0.0)
    monkeypatch.setattr("ingest.opcua.backfill._VALUES_PER_S", 10_000_000)


@pytest.mark.parametrize("page", [1, 2, 7, 1000])
def test_the_gap_without_its_ends_by_pages_of_any_size(page: int) -> None:
    scene = Scene()
    scene.fill(History(page), Gap(0, at(10), at(20)))
    assert scene.seconds() == [11, 12, 13, 14, 15, 16, 17, 18, 19]
    assert [sample.value for sample in scene.out.samples["v0"]] == [2.0 * second for second in range(11, 20)]
    assert {sample.flags for sample in scene.out.samples["v0"]} == {int(Flag.REPLAYED)}
    assert scene.source.refused == {}


def test_what_a_history_says_twice_or_out_of_order_or_outside_the_gap_is_said_once_and_in_order() -> None:
    scene, history = Scene(), History()
    history.answer = lambda _, seconds: (0, [*reversed(seconds), *seconds, -5.0, 99.0])
    scene.fill(history, Gap(0, at(10), at(14)))
    assert scene.seconds() == [11, 12, 13]


def test_pages_that_overlap_bring_nothing_twice() -> None:
    scene, history = Scene(), History(3)
    history.answer = lambda _, seconds: (0, [seconds[0] - 1, *seconds])
    scene.fill(history, Gap(0, at(0), at(9)))
    assert scene.seconds() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_no_more_is_asked_in_one_call_than_the_server_takes_and_gaps_far_apart_are_asked_for_apart() -> None:
    scene, history = Scene(5), History()
    gaps = [Gap(row, at(10), at(15)) for row in range(4)] + [Gap(4, at(500), at(502))]
    scene.fill(history, *gaps, limits=Limits(history=3))
    assert history.asked == [3, 1, 1]
    assert history.spans == [(10, 15), (10, 15), (500, 502)]
    assert [scene.seconds(f"v{row}") for row in range(5)] == [[11, 12, 13, 14]] * 4 + [[501]]


def test_a_server_that_cannot_hold_so_many_places_is_asked_for_fewer() -> None:
    scene, history = Scene(8), History(2)

    def few(node: ua.HistoryReadValueId, seconds: list[float]) -> tuple[int, list[float]]:
        # As many nodes at once as it has been asked for in this call; it holds two places.
        return (ua.StatusCodes.BadNoContinuationPoints, []) if history.asked[-1] > 2 else (0, seconds)

    history.answer = few
    scene.fill(history, *(Gap(row, at(0), at(6)) for row in range(8)))
    assert [scene.seconds(f"v{row}") for row in range(8)] == [[1, 2, 3, 4, 5]] * 8
    assert scene.source.refused == {}


def test_what_the_server_does_not_keep_is_counted_and_the_others_go_on() -> None:
    scene, history = Scene(3), History()
    history.readable[2] = False
    history.answer = lambda node, seconds: (ua.StatusCodes.BadNodeIdUnknown, []) if node.NodeId.Identifier == 3 else (0, seconds)
    scene.fill(history, *(Gap(row, at(0), at(3)) for row in range(3)))
    assert [scene.seconds(f"v{row}") for row in range(3)] == [[1, 2], [], []]
    assert scene.source.refused == {"no_history": 1, "history": 1}


def test_a_gap_longer_than_the_reach_is_filled_at_its_end() -> None:
    scene = Scene(reach_ns=4 * NS_PER_S)
    scene.fill(History(), Gap(0, at(0), at(100)))
    assert scene.seconds() == [97, 98, 99]
    assert scene.source.refused == {"beyond_backfill": 1}


def test_a_history_that_fails_once_is_read_again_and_one_that_keeps_failing_is_given_up() -> None:
    scene, history = Scene(), History()
    history.raises = [TimeoutError(), ua.UaStatusCodeError(ua.StatusCodes.BadTooManyOperations)]
    scene.fill(history, Gap(0, at(0), at(3)))
    assert scene.seconds() == [1, 2]
    assert scene.source.refused == {}
    history.raises = [TimeoutError() for _ in range(3)]
    scene.fill(history, Gap(0, at(10), at(13)))
    assert scene.seconds() == [1, 2]
    assert (scene.source.refused, scene.gaps.closed) == ({"history": 1}, {})


def test_what_a_lost_session_left_undone_is_done_in_the_next() -> None:
    scene, history = Scene(), History(2)
    asked = 0

    def cut(_: ua.HistoryReadValueId, seconds: list[float]) -> tuple[int, list[float]]:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise ConnectionError
        return 0, seconds

    history.answer = cut
    scene.fill(history, Gap(0, at(0), at(10)))
    assert scene.seconds() == [1, 2, 3]
    assert list(scene.gaps.closed) == [Gap(0, at(3), at(10))]
    scene.fill(history)
    assert scene.seconds() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
