"""The board behind a real server: a scene of :mod:`tests.kit.board_feed`, with time going on from there.

python -m tests.kit.board_server failing          serves the board at that scene, on port 8080
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import Any, Final, cast

from console.api import ApiServer, build_api
from console.board.panels import PanelBook
from console.board.points import PointBook
from console.board.state import BoardRecord, BoardState
from console.observers import Recorder
from ingest.clock import SimulatedClock
from market.rules import GUANGDONG_2023
from streams.recordlines import RecordLines
from streams.telemetrylines import TelemetryEncoder
from tests.kit.board_feed import SCENES, board_at, kpi_at, records, view_at
from tests.kit.board_points import TroubledPoints, point_table

__all__ = ["AlwaysReady", "serving"]

_FEED_EVERY_S: Final = 1.0


class AlwaysReady:
    """Health of a service that has nothing to recover."""

    def failing(self) -> tuple[str, ...]:
        return ()

    def missing(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


@contextlib.asynccontextmanager
async def serving(scene: str, *, port: int = 0, speed: float = 1.0, feed: bool = True, points: int = 500) -> AsyncIterator[str]:
    """Serve a scene on loopback; gives the page's address.

    Args:
        scene: where to begin.
        port: port to bind to, 0 for a free one.
        speed: event seconds per second of the wall.
        feed: whether measurements go on; without them the board must say that it is stale.
        points: how many points say something every second.
    """
    state, table, panels = board_at(scene), point_table(points), PanelBook.shipped()
    book, devices = PointBook(table), TroubledPoints(table)
    recorder = _recorder(panels)
    for record in records(SCENES[scene]):
        recorder.recall(record)
    clock = SimulatedClock(SCENES[scene], speed)
    for frame in devices.frames(clock.now_ns()):
        book.take(frame)
    server = ApiServer(build_api(state, None, AlwaysReady(), clock=clock, pages={**panels.pages, "points": book}), port=port)
    bound = await server.start()
    feeders = [asyncio.create_task(work) for work in (_go_on(state, recorder, clock), _measure(book, devices, clock))] if feed else []
    try:
        yield f"http://127.0.0.1:{bound}/"
    finally:
        for feeder in feeders:
            feeder.cancel()
        await asyncio.gather(*feeders, return_exceptions=True)
        await server.stop()


def _recorder(panels: PanelBook) -> Recorder:
    """What writes the lines of records, for the panels; there is no spool to append to."""
    return Recorder(cast("Any", None), RecordLines(TelemetryEncoder(point_table(0)), GUANGDONG_2023.zone), shown=panels.take)


async def _go_on(state: BoardState, recorder: Recorder, clock: SimulatedClock) -> None:
    while True:
        now_ns = clock.now_ns()
        spoken: tuple[BoardRecord, ...] = (kpi_at(now_ns), view_at(now_ns))
        for record in spoken:
            state.apply(record)
            recorder.recall(record)
        await asyncio.sleep(_FEED_EVERY_S)


async def _measure(book: PointBook, devices: TroubledPoints, clock: SimulatedClock) -> None:
    while True:
        for frame in devices.frames(clock.now_ns()):
            book.take(frame)
        await asyncio.sleep(1.0)


async def _main(scene: str, port: int, points: int) -> None:
    async with serving(scene, port=port, points=points) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        given = [*sys.argv[1:], *("normal", "8080", "500")[len(sys.argv) - 1 :]]
        asyncio.run(_main(given[0], int(given[1]), int(given[2])))
