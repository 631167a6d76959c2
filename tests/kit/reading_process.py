"""A gateway in a process of its own, which can be killed: every sample it publishes is a line on its standard output.

``python -m tests.kit.reading_process POINTS MEMORY`` reads the devices of a point list and keeps in MEMORY what a gateway keeps. A line
is a JSON array: point, source time (UTC ns), value, quality by name, flags.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.clock import WallClock
from ingest.frame import TelemetryFrame, frame_of, point_id
from ingest.gateway import Gateway
from ingest.pointlist import read_point_list
from ingest.quality import quality_name
from tests.kit.field import Sample

__all__ = ["ReadingProcess", "reading_process"]

_ROOT = Path(__file__).parents[2]


class ReadingProcess:
    """The running process, and what it has said so far, by point."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.samples: dict[str, list[Sample]] = {}
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.endswith(b"\n"):  # what was cut off by the kill was not said
                name, ts_ns, value, quality, flags = json.loads(line)
                self.samples.setdefault(name, []).append(Sample(float("nan") if value is None else value, quality, ts_ns, flags, NO_FRAME))

    def kill(self) -> None:
        """End it as a power cut would, and hear the last of what it said."""
        self.process.kill()
        self.process.wait()
        self._listening.join()

    def stop(self) -> None:
        """End it in good order."""
        self.process.terminate()
        assert self.process.wait(20) == 0
        self._listening.join()


NO_FRAME = frame_of("none", "none", 0, 0, [])
"""Frames do not leave that process."""


@contextmanager
def reading_process(points: Path, memory: Path) -> Iterator[ReadingProcess]:
    """Run the gateway; it is killed at the end, if it has not ended."""
    command = [sys.executable, "-m", "tests.kit.reading_process", str(points), str(memory)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE) as process:
        it = ReadingProcess(process)
        try:
            yield it
        finally:
            it.kill()


async def _read(points: Path, memory: Path) -> None:
    listed = read_point_list(points)
    name_of = {point_id(point.name): point.name for _, point in listed.points()}

    async def emit(frame: TelemetryFrame) -> None:
        columns = (frame.point.tolist(), frame.ts_event_ns.tolist(), frame.value.tolist(), frame.quality.tolist(), frame.flags.tolist())
        lines = [
            json.dumps([name_of[point], ts_ns, value if value == value else None, quality_name(quality), flags]) + "\n"
            for point, ts_ns, value, quality, flags in zip(*columns, strict=True)
        ]
        os.write(1, "".join(lines).encode())

    gateway = Gateway(listed, WallClock(), emit, memory)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(15, stop.set)
    await gateway.start()
    await stop.wait()
    await gateway.stop()


if __name__ == "__main__":
    asyncio.run(_read(Path(sys.argv[1]), Path(sys.argv[2])))
