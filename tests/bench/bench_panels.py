"""How long does each panel's query take of the database, with a day of the demonstration grid in it?

``python -m tests.bench.bench_panels [SPAN]`` fills a real influxd with a whole day through the real encoders, 2.2 million lines, and asks
every query of every board five times, as Grafana would when the board is opened. It prints median and best until the answer is read and
parsed, and the server's own processor time, the slowest first; at the end worst and 95th percentile of each against the bound of
200 ms. SPAN is the time shown, as ``24h``; by default each board's own.

Wall times are of the machine as it is; the processor time is what a query costs on an idle one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from dashboards.boards import BOARDS
from streams.influx import Flusher, InfluxTarget
from streams.spool import Spool
from tests.kit.grafana_sends import Shown
from tests.kit.influx import Influxd, influxd
from tests.kit.market_day import END_NS, MarketDay

BOUND_MS = 200.0
TIMES = 5
SHOWN = 25


def loaded(server: Influxd, home: Path, day: MarketDay) -> None:
    """Bring the day into the server as the service would: encoders, spool, flusher."""
    server.create("grid")
    spool = Spool(home / "spool")
    lines, began_s = 0, time.perf_counter()
    for part in day.lines():
        spool.append(part)
        lines += part.count(b"\n")
    encoded_s = time.perf_counter() - began_s
    asyncio.run(Flusher(spool, InfluxTarget(url=server.url, org="grid", bucket="grid")).drain())
    spool.close()
    print(f"{lines:,} lines: made in {encoded_s:.0f} s, taken in {time.perf_counter() - began_s - encoded_s:.0f} s")


def asked(server: Influxd, sent: str) -> tuple[float, float, float]:
    """Return the median and the least of how long one query takes, and the server's processor time for one, ms."""
    took, before_s = [], server.cpu_s
    for _ in range(TIMES):
        began_s = time.perf_counter()
        server.query(sent, "grid")
        took.append(1000 * (time.perf_counter() - began_s))
    return median(took), min(took), 1000 * (server.cpu_s - before_s) / TIMES


def main(span: str = "", fine_hours: str = "24") -> None:
    """Load, ask, print."""
    with TemporaryDirectory() as place, influxd(Path(place) / "influx") as server:
        loaded(server, Path(place), MarketDay(int(fine_hours)))
        took: list[tuple[tuple[float, float, float], str]] = []
        for board in BOARDS:
            for panel in board.panels:
                shown = Shown(board, panel, END_NS, span)
                for query in panel.queries:
                    name = f"{board.name} {panel.number} {panel.title.en}, {panel.span or span or board.shown}, step {shown.step_s} s"
                    took.append((asked(server, shown.sent(query.influxql)), name))
    for (middle_ms, best_ms, cpu_ms), name in sorted(took, reverse=True)[:SHOWN]:
        print(f"{middle_ms:8.1f} ms, best {best_ms:6.1f} ms, server {cpu_ms:4.0f} ms  {name}")
    for what, all_ms in zip(("median of five", "best of five", "processor of the server"), np.array([ms for ms, _ in took]).T, strict=True):
        worst, p95, over = all_ms.max(), np.percentile(all_ms, 95), int((all_ms > BOUND_MS).sum())
        print(f"{len(all_ms)} queries, {what}: worst {worst:.0f} ms, p95 {p95:.0f} ms; {over} over {BOUND_MS:g} ms")


if __name__ == "__main__":
    main(*sys.argv[1:])
