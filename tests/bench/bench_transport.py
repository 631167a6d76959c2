"""How many events per second does the app get through on the embedded log, and how much of that is our fetch loop?

Run with ``python -m tests.bench.bench_transport``. First the log alone, also with its syncs grouped (``log: {sync_every: …}``), then
Faust on it: an agent that does nothing, one that writes a table, one that awaits an output, each on small records and on frames of
64 KiB, with our fetch loop and with Faust's own in turn. Every run is a process of its own on a log of its own; the best of several
rounds counts. Times include reading from disk.

Faust has no transport in memory. What it does there is an agent on a channel (``app.channel()``): no topic, no partition, no offset, no
acknowledgement, nothing read and nothing kept. The small records are measured against that too: from the first that is sent into the
channel to the last that is taken out, as ours are read from the log and delivered in the measured time.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.transport.log import Log
from streams.transport.patience import LogOptions
from streams.transport.store import Batch

ROUNDS = 3
SMALL, FRAME = 75, 65_536
_CHECKOUT = Path(__file__).parents[2]
_BACKLOG_BYTES = 64 << 20
_TRICKLE_S = 3.0

CASES = (
    ("raw bytes, agent does nothing", "nothing", SMALL, 40_000),
    ("one table write per event", "table", SMALL, 15_000),
    ("one awaited output per event", "output", SMALL, 3_000),
    ("frames of 64 KiB, agent does nothing", "nothing", FRAME, 4_000),
)


def fill(directory: Path, records: int, size: int) -> None:
    """Write the inputs of one run."""
    log = Log(directory)
    log.declare("in", partitions=1)
    value = os.urandom(size)
    for number in range(records):
        ticket = log.append("in", 0, b"k%d" % (number % 50), value).ticket
        if log.backlog_bytes > _BACKLOG_BYTES:
            log.wait(ticket)
    log.close()


def run_app(directory: str, work: str, records: int, loop: str) -> None:
    """Process the inputs and print what it took; runs in a process of its own."""
    import faust
    from faust.transport.consumer import Consumer as FaustConsumer
    from faust.transport.drivers import TRANSPORTS

    from streams.transport import embedded, faust_settings
    from streams.transport.plain import PlainBytes

    class FaustsLoop(embedded.Consumer):
        _drain_messages = FaustConsumer._drain_messages
        _wait_next_records = FaustConsumer._wait_next_records

    if loop == "faust":
        embedded.Transport.Consumer = FaustsLoop
    TRANSPORTS.data.update(embedded="streams.transport.embedded:Transport")
    app = faust.App("bench", **faust_settings(f"embedded://{directory}", Path(directory), "bench"))
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    if loop == "ours":
        raw = {"schema": PlainBytes()}
    channel = app.channel(key_type=bytes, value_type=bytes, maxsize=records)
    inputs = channel if loop == "memory" else app.topic("in", internal=True, partitions=1, **raw)
    outputs = app.topic("out", internal=True, partitions=1, **raw)
    table = app.Table("table", partitions=1, key_type=bytes, value_type=bytes)
    started_s, fed_s = time.perf_counter(), 0.0

    @app.agent(inputs, name="bench")
    async def bench(stream: Any) -> None:
        await outputs.declare()
        done = 0
        async for event in stream.events():
            if done == 0:
                first_s = time.perf_counter()
            done += 1
            if work == "table":
                table[event.key] = b"%d" % done
            elif work == "output":
                await (await outputs.send(key=event.key, value=event.value))
            if done == records:
                took_s = time.perf_counter() - (fed_s if loop == "memory" else first_s)
                print(json.dumps({"events_per_s": (records - 1) / took_s, "start_s": first_s - started_s}), flush=True)
                asyncio.get_running_loop().create_task(worker.stop())

    @app.task
    async def feed() -> None:
        nonlocal fed_s
        fed_s = time.perf_counter()
        for number in range(records if loop == "memory" else 0):
            await channel.send(key=b"k%d" % (number % 50), value=value)

    value = os.urandom(SMALL)
    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()


def measure(work: str, size: int, records: int, loop: str) -> dict[str, float]:
    """Run one case once."""
    with tempfile.TemporaryDirectory() as name:
        if loop != "memory":
            fill(Path(name), records, size)
        command = [sys.executable, "-m", "tests.bench.bench_transport", name, work, str(records), loop]
        out = subprocess.run(command, cwd=_CHECKOUT, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(out[out.index("{") : out.rindex("}") + 1])  # Faust draws a spinner around it
    return found


def bench_log() -> None:
    """The log without Faust."""
    with tempfile.TemporaryDirectory() as name:
        log = Log(Path(name))
        log.declare("t", partitions=1)
        waits = []
        for _ in range(1000):
            started_s = time.perf_counter()
            log.wait(log.append("t", 0, b"key", b"x" * 200).ticket)
            waits.append(time.perf_counter() - started_s)
        print(f"one append until it is on disk   p50 {statistics.median(waits) * 1e3:.2f} ms   p99 {sorted(waits)[990] * 1e3:.2f} ms")
        for size, records in ((200, 100_000), (FRAME, 4_000)):
            value = os.urandom(size)
            started_s = time.perf_counter()
            for _ in range(records):
                ticket = log.append("t", 0, b"key", value).ticket
                if log.backlog_bytes > _BACKLOG_BYTES:
                    log.wait(ticket)
            log.wait(ticket)
            took_s = time.perf_counter() - started_s
            print(f"appends of {size:>6} B                {records / took_s:>9,.0f} /s   {records * size / took_s / 1e6:>6.0f} MB/s")
        log.close()


def bench_sync_every() -> None:
    """What grouping costs whoever waits, and spares the disk: a field of 500 records a second, each waited for by somebody."""
    for sync_every_s in (0.0, 0.05, 0.2):
        with tempfile.TemporaryDirectory() as name:
            log = Log(Path(name), options=LogOptions(sync_every_s=sync_every_s))
            log.declare("t", partitions=1)
            log.wait(log.last_ticket)
            syncs, write = [0], log._file.write

            def counted(batch: Batch, write: Callable[[Batch], None] = write, syncs: list[int] = syncs) -> None:
                syncs[0] += 1
                write(batch)

            log._file.write = counted  # type: ignore[method-assign]
            waits, pending, began_s = [], [], time.perf_counter()
            while (now_s := time.perf_counter()) - began_s < _TRICKLE_S:
                pending.append((log.append("t", 0, b"key", b"x" * 200).ticket, now_s))
                time.sleep(0.002)
                durable, now_s = log.durable, time.perf_counter()
                waits += [now_s - sent_s for ticket, sent_s in pending if ticket <= durable]
                pending = [(ticket, sent_s) for ticket, sent_s in pending if ticket > durable]
            log.close()
        waits.sort()
        print(
            f"sync_every {sync_every_s * 1e3:>3.0f} ms, {len(waits) / _TRICKLE_S:>4.0f} records/s   {syncs[0] / _TRICKLE_S:>4.0f} syncs/s"
            f"   wait (to 2 ms) p50 {waits[len(waits) // 2] * 1e3:>5.1f} ms   p99 {waits[len(waits) * 99 // 100] * 1e3:>5.1f} ms"
        )


def main() -> None:
    """Print the figures, and for each case the ratio to Faust's own loop in the same run."""
    bench_log()
    bench_sync_every()
    for title, work, size, records in CASES:
        best = {"ours": 0.0, "faust": 0.0} | ({"memory": 0.0} if work == "nothing" and size == SMALL else {})
        starts = []
        for _ in range(ROUNDS):
            for loop in best:
                found = measure(work, size, records, loop)
                best[loop] = max(best[loop], found["events_per_s"])
                starts.append(found["start_s"])
        print(
            f"{title:<38} {best['ours']:>8,.0f} /s  {best['ours'] * size / 1e6:>6.1f} MB/s"
            f"   Faust's loop {best['faust']:>8,.0f} /s   ratio {best['ours'] / best['faust']:.2f}   first event after {min(starts):.2f} s"
        )
        if "memory" in best:
            print(f"{'  against Faust in memory, a channel':<38} {best['memory']:>8,.0f} /s   ratio {best['ours'] / best['memory']:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_app(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
    else:
        main()
