"""What does the live board cost while every point changes every second? CPU of the server, with one browser, with many clients, with none.

    python -m tests.bench.bench_board [--points 5000] [--clients 20] [--seconds 20]

The server is a process of its own that makes the points' frames and serves the board; what making them costs is measured without the
board and taken off, because it is not the board's. Clients read the points' stream with no browser behind it; the browser is headless
Chromium on the points page, which also says how often it drew and how long the longest pause was, while the table is scrolled.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from ingest.clock import SimulatedClock
from tests.kit.board_feed import SCENES
from tests.kit.board_points import TroubledPoints, point_table
from tests.kit.chromium import Page, browser

_FRAMES = """new Promise(resolve => {
    const grid = document.querySelector('#points-grid');
    const pauses = [];
    let last = performance.now();
    const end = last + %d;
    const step = (now) => {
        pauses.push(now - last);
        last = now;
        grid.scrollTop = (grid.scrollTop + 40) %% Math.max(1, grid.scrollHeight - grid.clientHeight);
        if (now < end) requestAnimationFrame(step);
        else resolve({n: pauses.length, worst: Math.max(...pauses), late: pauses.filter(one => one > 50).length});
    };
    requestAnimationFrame(step);
})"""


def field_cost(points: int) -> float:
    """Return the share of a core that making the frames takes, without a board."""
    devices, clock = TroubledPoints(point_table(points), troubled=False), SimulatedClock(SCENES["normal"], 1.0)
    list(devices.frames(clock.now_ns()))
    began = time.process_time()
    for _ in range(20):
        list(devices.frames(clock.now_ns()))
    return (time.process_time() - began) / 20


@contextlib.asynccontextmanager
async def served(points: int) -> AsyncIterator[tuple[int, str]]:
    """Serve the board in a process of its own; gives it and its address."""
    command = (sys.executable, "-m", "tests.kit.board_server", "normal", "0", str(points))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        yield process.pid, url
    finally:
        process.terminate()
        await process.wait()


def cpu_s(pid: int) -> float:
    """Return the CPU seconds, user and system, that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Return the memory that a process has resident."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def cpu_share(pid: int, seconds: float) -> float:
    """Return the share of one core that a process takes."""
    begin_s, at_s = cpu_s(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return (cpu_s(pid) - begin_s) / (time.perf_counter() - at_s)


@contextlib.asynccontextmanager
async def watching(url: str, clients: int) -> AsyncIterator[list[int]]:
    """Read the points' stream many times over; gives the bytes each has read."""
    read = [0] * clients

    async def watch(session: aiohttp.ClientSession, number: int) -> None:
        async with session.get(f"{url}api/stream?page=points") as reply:
            async for chunk in reply.content.iter_any():
                read[number] += len(chunk)

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(watch(session, number)) for number in range(clients)]
        await asyncio.sleep(2.0)
        try:
            yield read
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def opened(page: Page, url: str) -> None:
    """Show the points page."""
    await page.open(f"{url}?lang=en#/points")
    await page.until("document.querySelectorAll('.prow').length > 10")
    await asyncio.sleep(2.0)


async def main(points: int, clients: int, seconds: float) -> None:
    """Measure and print."""
    field = field_cost(points)
    print(f"{points} points, each new every second; making their frames takes {100 * field:.1f} % of a core, which is taken off below")
    async with served(points) as (pid, url):
        await asyncio.sleep(2.0)
        print(f"server, nobody watches       {100 * (await cpu_share(pid, seconds) - field):5.1f} % of a core")
        executable = shutil.which("chromium")
        if executable is not None:
            async with browser(executable) as page:
                await opened(page, url)
                print(f"server, one browser          {100 * (await cpu_share(pid, seconds) - field):5.1f} %")
                drawn = await page.evaluate(_FRAMES % (1000 * seconds))
                rate = drawn["n"] / seconds
                print(
                    f"browser, table scrolled      {rate:5.0f} frames/s, longest pause {drawn['worst']:.0f} ms, {drawn['late']} above 50 ms"
                )
        async with watching(url, clients) as read:
            before = sum(read)
            share = await cpu_share(pid, seconds) - field
            rate = (sum(read) - before) / clients / seconds / 1000
            print(f"server, {clients} clients           {100 * share:5.1f} %   {rate:.0f} kB/s each")
        print(f"memory of the server         {memory_mb(pid):.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    asyncio.run(main(chosen.points, chosen.clients, chosen.seconds))
