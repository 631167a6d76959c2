"""How long does a person wait? From a register to the board, from a condition to the webhook, from a start to the first values.

    python -m tests.bench.bench_service

Everything is the real thing in this process and a browser's view of it: the simulated field behind its sockets, the service, a client
of the board's event stream, a webhook. Times are wall time; the machine's load is part of them, so the distribution is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from console.service import Service
from ingest.clock import SimulatedClock
from ingest.simulator.faults import Script, script_of
from ingest.simulator.field import SimulatedField, field_targets
from market.rts_gmlc import load
from market.units import NS_PER_S, instant_ns
from streams.agents import Hooks
from streams.settings import read_settings
from tests.kit.demo import DemoProcess, webhook

NOON = instant_ns("2020-01-01T12:00:00+08:00")
CHANGES = 40


@contextlib.asynccontextmanager
async def running(
    data: Path, speed: float, market: str, script: dict[str, Any], hook_url: str = ""
) -> AsyncIterator[tuple[Service, SimulatedField, SimulatedClock, str]]:
    """Run field and service in this process; yields them with the board's address."""
    case, clock = load(), SimulatedClock(NOON, speed)
    told = script_of(script, NOON, field_targets(case)) if script else Script()
    field = SimulatedField(case, clock, seed=1, script=told, push_target=("127.0.0.1", 39_511), data_dir=data)
    await field.start()
    # The figure asked for is with polls of one second; the simulated feeders are read every four.
    field.point_list.write_text(field.point_list.read_text().replace("every: 4s", "every: 1s"))
    lines = ["data: .", f"points: {field.point_list.name}", "network: {rts_gmlc: shipped}", f"market: {market}", "http: {port: 0}"]
    lines += [f"webhook: {{url: {json.dumps(hook_url)}}}"] if hook_url else []
    (data / "gridfuse.yaml").write_text("\n".join(lines))
    hooks = Hooks(clearing_fault=field.clearing_fault)
    service = Service(read_settings(data / "gridfuse.yaml"), clock, simulated=True, hooks=hooks)
    port = await service.start()
    service.start_ticking()
    try:
        yield service, field, clock, f"http://127.0.0.1:{port}"
    finally:
        await service.stop()
        await field.stop()


async def loads(url: str) -> AsyncIterator[float]:
    """Yield the system load as the board's stream tells it."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session, session.get(f"{url}/api/stream") as reply:
        async for line in reply.content:
            if line.startswith(b"data:"):
                kpi = json.loads(line[5:]).get("kpi")
                if kpi and "load_mw" in kpi["system"]:
                    yield kpi["system"]["load_mw"]


async def register_to_board(data: Path) -> list[float]:
    """Change what a feeder meter shows, again and again, and time its way to the board."""
    waits: list[float] = []
    async with running(data, 1.0, "{rt_interval_min: 5, top_voltage_kv: 230}", {}) as (_, field, _, url):
        changed_s, low, expected = 0.0, 0.0, 0.0
        async for load_mw in loads(url):
            if not low:
                low = load_mw
                await asyncio.sleep(2)
            elif changed_s and abs(load_mw - expected) < 200.0:
                waits.append(time.monotonic() - changed_s)
                changed_s = 0.0
                await asyncio.sleep(0.137 + len(waits) % 7 * 0.1)
            if len(waits) >= CHANGES:
                return waits
            if low and not changed_s:
                offset_mw = 100.0 * (1 + len(waits) % 2)
                meters = sum(
                    point.name.startswith("load/") and point.name.endswith("/mw")
                    for device, point in field_points(field)
                    if device == "feeder-1a"
                )
                expected = low + offset_mw * meters
                changed_s = time.monotonic()
                field.inject("device_lying", "feeder-1a", mode="offset", value=offset_mw)
    return waits


def field_points(field: SimulatedField) -> list[tuple[str, Any]]:
    """Return every point with its device."""
    return [(device.name, point) for server in field.devices.modbus for device in server.devices for point in device.points]


async def condition_to_webhook(data: Path) -> float:
    """Let clearing fail until the breaker trips, and time the webhook from the instant the rules allow the trip."""
    speed = 10.0
    market = "{rt_interval_min: 1, rt_limit_min: 2, grace_s: 5, gate_lead_s: 20, top_voltage_kv: 230}"
    script = {"faults": [{"at": "1m", "kind": "clearing_fails", "mode": "error", "for": "30m"}]}
    with webhook() as hook:
        async with running(data, speed, market, script, hook.url) as (service, _, clock, _):
            while not hook.ids("market_tripped"):
                await asyncio.sleep(0.001)
            seen_ns = clock.now_ns()
            assert service.people is not None
            (trip,) = [d.body for d in service.people.ledger.decisions() if d.kind == "Transition" and d.body["after"] == "TRIPPED"]
            due_ns = trip["condition_met_at_ns"] + service.settings.rules.grace_ns
            return (seen_ns - due_ns) / NS_PER_S / speed


def start_to_board(data: Path) -> tuple[float, dict[str, Any]]:
    """Start the demo as a user does; time its first values, and let it run for a while at speed 60."""
    started_s = time.monotonic()
    with DemoProcess(data, "--speed", "60", "--until", "15:00") as demo:
        while not (demo.ask("/api/state") or {}).get("kpi"):
            assert demo.process.poll() is None, demo.told
            time.sleep(0.02)
        first_s = time.monotonic() - started_s
        return first_s, demo.finish()


def main() -> None:
    """Print the figures."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        first_s, summary = start_to_board(Path(name) / "demo")
        process = summary["process"]
        print(f"start to first values on the board      {first_s:.1f} s")
        share = process["cpu_s"] / process["wall_s"]
        print(
            f"demo at speed 60                        {share:.2f} cores, {process['max_rss_mb']:.0f} MB, lost {summary['samples']['lost']}"
        )
        waits = sorted(asyncio.run(register_to_board(Path(name) / "board")))
        p50, p95 = statistics.median(waits), waits[int(0.95 * len(waits))]
        print(f"register to board, speed 1, 1 s polls   p50 {p50:.2f} s   p95 {p95:.2f} s   max {waits[-1]:.2f} s   ({len(waits)} changes)")
        told_s = [asyncio.run(condition_to_webhook(Path(name) / f"hook{k}")) for k in range(3)]
        print(f"condition + grace to the webhook        max {max(told_s):.3f} s of {len(told_s)}")


if __name__ == "__main__":
    main()
