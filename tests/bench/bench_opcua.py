"""CPU of one value of an OPC UA subscription: ours through to the frame, and asyncua's own handler, against the same node-opcua server.

``python -m tests.bench.bench_opcua`` prints microseconds of this process's CPU per value and the ratio; only the ratio carries over to
another machine. The two take turns on the same server, whose 2,000 variables change ten times a second, and each figure is the median
of its rounds, so that a busy machine disturbs both alike.

* ``frame``: the gateway's whole way, from the socket to the emitted frame, scaled, dated and judged.
* ``handler``: asyncua's ``create_subscription`` with a handler that does nothing: one call for every value, no number, no frame.
"""

from __future__ import annotations

import asyncio
import sys
import time
from statistics import median
from typing import Any

from asyncua import Client

from market.units import NS_PER_MS
from tests.kit.field import free_port, running, ua_device, ua_point
from tests.kit.node_opcua import node_opcua, value_node
from tests.kit.opcua_server import PLANT

VARIABLES = 2000
PERIOD_MS = 100
ROUND_S = 4.0
ROUNDS = 5
ITEMS_PER_CALL = 500


class _Handler:
    """Takes values as asyncua hands them over."""

    def __init__(self) -> None:
        self.values = 0

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        self.values += 1


async def ours(port: int) -> float:
    """Return microseconds of CPU per value, by the gateway."""
    points = (ua_point(f"v{n}", value_node(n), scale=0.1) for n in range(VARIABLES))
    async with running(ua_device(port, *points, publish_ns=PERIOD_MS * NS_PER_MS)) as (gateway, out):
        await out.until(lambda: all(out.samples.values()), "every point is reported", within_s=30)
        # From here on frames are counted and not unpacked: what is measured is the way to them.
        taken: list[int] = []
        out.put = lambda frame: taken.append(len(frame))  # type: ignore[method-assign]
        await asyncio.sleep(0.5)
        taken.clear()
        begin_s = time.process_time()
        await asyncio.sleep(ROUND_S)
        cpu_s = time.process_time() - begin_s
        [health] = gateway.health()
        assert not health.dropped
        return _per_value(cpu_s, sum(taken))


async def theirs(port: int) -> float:
    """Return microseconds of CPU per value, by asyncua's handler."""
    handler = _Handler()
    async with Client(f"opc.tcp://127.0.0.1:{port}") as client:
        index = await client.get_namespace_index(PLANT)
        subscription = await client.create_subscription(PERIOD_MS, handler)
        nodes = [client.get_node(f"ns={index};s=v{n}") for n in range(VARIABLES)]
        for start in range(0, VARIABLES, ITEMS_PER_CALL):
            await subscription.subscribe_data_change(nodes[start : start + ITEMS_PER_CALL], sampling_interval=PERIOD_MS)
        await asyncio.sleep(1.0)
        before, begin_s = handler.values, time.process_time()
        await asyncio.sleep(ROUND_S)
        return _per_value(time.process_time() - begin_s, handler.values - before)


def _per_value(cpu_s: float, values: int) -> float:
    assert values > VARIABLES, f"only {values} values came in {ROUND_S:g} s"
    return cpu_s / values * 1e6


def main() -> None:
    """Measure and print."""
    port = free_port()
    rounds: dict[str, list[float]] = {"frame": [], "handler": []}
    with node_opcua(port, variables=VARIABLES, periodMs=PERIOD_MS):
        for _ in range(ROUNDS):
            rounds["frame"].append(asyncio.run(ours(port)))
            rounds["handler"].append(asyncio.run(theirs(port)))
    cpu_us = {name: median(each) for name, each in rounds.items()}
    for name, each in cpu_us.items():
        sys.stdout.write(f"{name:<12}{each:8.2f} us CPU per value of {VARIABLES} at {1000 // PERIOD_MS} Hz\n")
    sys.stdout.write(f"frame / handler  {cpu_us['frame'] / cpu_us['handler']:.2f}\n")


if __name__ == "__main__":
    main()
