"""The simulated field as a whole: the grid, everything that can break, and the devices that show it, driven by event time.

One task follows the clock. It steps the physics to the last whole event-second, and publishes: at most every :data:`WALL_FLOOR_S` of
wall time (:data:`UA_FLOOR_S` for OPC UA, where every value is a notification), except that a switch that moves is published at once.
Base points written to any plant controller take effect at the next step, faults injected at once. The wall's time of day is never
looked at, so the clock may be held, and released, for as long as one likes.

A field remembers itself: every :data:`SAVE_EVERY_S` of wall time the state and the injected faults are saved, and a start within
:data:`RESUME_WITHIN_S` of event time goes on from there, energy counters and all. Otherwise it starts from an equilibrium on the
day-ahead schedule.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from ingest.clock import Clock
from ingest.devices import DATA_TYPES, ModbusPoint
from ingest.simulator import snapshot
from ingest.simulator.devices import FieldDevices, field_devices
from ingest.simulator.faults import Fault, Faults, Script, StoryLine, Targets, fault_of
from ingest.simulator.gridstate import STEP_NS, GridState
from ingest.simulator.modbus_servers import ModbusServer, PublishedValues
from ingest.simulator.opcua_servers import UaServer
from ingest.simulator.opening import scheduled_base_points
from ingest.simulator.physics import Physics
from ingest.simulator.pointfile import point_list_yaml
from ingest.simulator.readings import Instruments
from ingest.simulator.rtus import Rtu
from market.grid import BoolArray, FloatArray
from market.rts_gmlc import RtsCase
from market.units import NS_PER_S, floor_ns

__all__ = ["RESUME_WITHIN_S", "SAVE_EVERY_S", "UA_FLOOR_S", "WALL_FLOOR_S", "SimulatedField", "field_targets"]

_log: Final = logging.getLogger(__name__)

WALL_FLOOR_S: Final = 0.1
UA_FLOOR_S: Final = 0.25
SAVE_EVERY_S: Final = 1.0
RESUME_WITHIN_S: Final = 1800

_POINT_LIST: Final = "field-points.yaml"
_SNAPSHOT: Final = "field-state.npz"
_STEPS_AT_ONCE: Final = 20
"""Steps between two looks at the sockets, so that a clock in a hurry does not starve them."""
_NAP_S: Final = (0.01, 0.2)
"""Shortest and longest sleep: the clock may be standing still, or be let go at any time."""


def field_targets(case: RtsCase) -> Targets:
    """Return what a script may name, without building a field."""
    return field_devices(case, 1.0, ("", 0)).targets


class SimulatedField:
    """The grid behind real protocol servers, in this process and on this event loop.

    Args:
        case: network, units and a day of series.
        clock: event time.
        seed: of all noise; the same seed, script and base points give the same field.
        script: what breaks, and the story beside it.
        push_target: (host, port) of the listener that the RTUs dial; without it there are no RTUs.
        data_dir: where the point list and the snapshot are written.
        base_points_mw: base point by unit to start from, where no snapshot is at hand; by default those of the day-ahead schedule.
        base_port: first of the ports to listen at, in order; 0 takes free ones.

    Attributes:
        devices: every device, with its address once the field is started.
        point_list: the point list's path, written by :meth:`start`.
        running: the task that follows the clock; it ends only by :meth:`stop` or by a defect.
    """

    def __init__(
        self,
        case: RtsCase,
        clock: Clock,
        *,
        seed: int,
        script: Script,
        push_target: tuple[str, int] | None,
        data_dir: Path,
        base_points_mw: Mapping[str, float] | None = None,
        base_port: int = 0,
    ) -> None:
        self._case, self._clock, self._seed, self._script = case, clock, seed, script
        self._base_points_mw, self._base_port = base_points_mw, base_port
        self.point_list = data_dir / _POINT_LIST
        self._snapshot = data_dir / _SNAPSHOT
        self.devices: FieldDevices = field_devices(case, clock.speed, push_target)
        self.running: asyncio.Task[None] | None = None
        self._physics = Physics(case, seed)
        self._instruments = Instruments(self._physics, seed)
        self._faults, self._injected = Faults(script.faults), tuple[Fault, ...]()
        self._condition = self._faults.at(0)
        self._state: GridState
        self._judged_ns = self._shown_ns = self._notified_ns = 0
        self._base_due: dict[str, float] = {}
        self._values: FloatArray = np.zeros(len(self._instruments.names))
        self._frozen: dict[tuple[str, int], FloatArray] = {}
        self._published = PublishedValues()
        self._wake = asyncio.Event()
        row = self._instruments.row
        p_max_mw = {f"unit/{unit.id}/setpoint_mw": unit.p_max_mw for unit in case.units}
        self._modbus = [ModbusServer(server, row, self._published, p_max_mw, self._base_due.update) for server in self.devices.modbus]
        self._ua = [UaServer(device, row) for device in self.devices.ua]
        self._rtus = [Rtu(device, row, clock.speed) for device in self.devices.rtus]
        self._rolls_over = _moduli(self.devices, self._instruments)
        self._published_s = self._notified_s = self._saved_s = 0.0

    # ---- what others do with it --------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bring the grid to the clock's time, serve every device, and write the point list.

        Raises:
            ConfigError: a port is taken.
            OSError: the data directory cannot be written.
        """
        self.point_list.parent.mkdir(parents=True, exist_ok=True)
        now_ns = self._clock.now_ns()
        self._state = self._begun(now_ns)
        await self._advance(now_ns)
        await self._publish_all()
        try:
            servers: list[ModbusServer | UaServer] = [*self._modbus, *self._ua]
            for offset, server in enumerate(servers):
                await server.start(self._base_port + offset if self._base_port else 0)
            self.devices = FieldDevices(
                modbus=tuple(placed.server for placed in self._modbus),
                ua=tuple(placed.device for placed in self._ua),
                rtus=self.devices.rtus,
            )
            self.point_list.write_text(point_list_yaml(self.devices), encoding="utf-8")
            await self._obey()
            await self._publish_all()
        except BaseException:
            await self._close()
            raise
        for rtu in self._rtus:
            await rtu.start()
        self.running = asyncio.create_task(self._follow(), name="simulated-field")

    async def stop(self) -> None:
        """Save, and close every port and connection."""
        if self.running is not None:
            self.running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.running
            self.running = None
            self._save()
        await self._close()

    def inject(
        self,
        kind: str,
        target: str = "",
        for_s: float | None = None,
        *,
        mode: str = "",
        value: float | None = None,
        at_ns: int | None = None,
    ) -> Fault:
        """Break something (:class:`~ingest.simulator.faults.FaultKind`). The same thing twice is the same thing once.

        Args:
            target: a branch, device or RTU, where the kind has one.
            for_s: event seconds until it mends by itself; never, if not given.
            mode: how a device lies, or how clearing fails.
            value: factor or offset of a lie, or by how much a clock is ahead, s.
            at_ns: when, UTC ns; now by default. What lies in the past stands as it would if it had happened then.

        Raises:
            ConfigError: no such kind or target, or a mode or value that does not go with the kind.
        """
        when_ns = self._clock.now_ns() if at_ns is None else at_ns
        fault = fault_of(when_ns, kind, target, for_s, self.devices.targets, mode=mode, value=value)
        if fault not in self._faults.all:
            self._injected = (*self._injected, fault)
            self._faults = self._faults.also(fault)
            self._judged_ns = min(self._judged_ns, fault.at_ns - 1)
            self._wake.set()
        return fault

    def clearing_fault(self, interval_start_ns: int) -> str | None:
        """Return how clearing fails for the interval that begins then: ``error``, ``silent``, or None where it does not."""
        return self._faults.clearing_fault(interval_start_ns)

    def script_story(self, now_ns: int) -> StoryLine | None:
        """Return the chapter of the script that is being told, or None before the first."""
        return self._script.told(now_ns)

    def truth(self) -> dict[str, float]:
        """Return what an honest, working device shows for each point now, before its registers round it."""
        shown = np.where(np.isfinite(self._rolls_over), np.mod(self._values, self._rolls_over), self._values)
        return dict(zip(self._instruments.names, shown.tolist(), strict=True))

    def lying(self, device: str) -> bool:
        """Return whether a device was lying when the field last published."""
        return self._published.is_false(device)

    @property
    def ts_ns(self) -> int:
        """Event time of the last step, UTC ns."""
        return self._state.ts_ns

    # ---- following the clock -----------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        try:
            while True:
                await self._advance(self._clock.now_ns())
                if self._state.ts_ns != self._shown_ns and time.monotonic() - self._published_s >= WALL_FLOOR_S:
                    self._publish()
                if self._shown_ns != self._notified_ns and time.monotonic() - self._notified_s >= UA_FLOOR_S:
                    await self._notify()
                if time.monotonic() - self._saved_s >= SAVE_EVERY_S:
                    self._save()
                await self._nap()
        except Exception:
            _log.exception("the simulated field stops at event time %d ns", self._state.ts_ns)
            raise

    async def _nap(self) -> None:
        """Sleep until there is something to do, by the clock's pace."""
        now_ns = self._clock.now_ns()
        floor_s = max(0.0, WALL_FLOOR_S - (time.monotonic() - self._published_s))
        step_s = (self._state.ts_ns + STEP_NS - now_ns) / NS_PER_S / self._clock.speed
        change_ns = self._faults.next_change_ns(self._judged_ns)
        change_s = float("inf") if change_ns is None else (change_ns - now_ns) / NS_PER_S / self._clock.speed
        nap_s = min(max(floor_s, step_s), change_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), min(max(nap_s, _NAP_S[0]), _NAP_S[1]))
        self._wake.clear()

    async def _advance(self, now_ns: int) -> None:
        """Live through everything up to an instant, in its order: what breaks or mends, and the steps between."""
        steps, moved = 0, False
        while True:
            step_ns = self._state.ts_ns + STEP_NS
            change_ns = self._faults.next_change_ns(self._judged_ns)
            if change_ns is not None and change_ns <= min(step_ns, now_ns):
                self._judged_ns = change_ns
                # A fault that ended before the state does, after a restart, is judged as of the state.
                before = self._condition.open_branches
                self._condition = self._faults.at(max(change_ns, self._state.ts_ns))
                moved = moved or self._condition.open_branches.keys() != before.keys()
                if self.running is not None:
                    await self._obey()
                    await self._publish_all()
            elif step_ns <= now_ns:
                if self._base_due:
                    self._state = self._physics.with_base_points(self._state, self._base_due)
                    self._base_due.clear()
                self._state = self._physics.step(self._state, self._in_service())
                steps += 1
                if moved and self.running is not None:
                    # The switches were shown when they moved; the flows they interrupted die with this step, and are shown at once too.
                    moved = False
                    await self._publish_all()
                if steps % _STEPS_AT_ONCE == 0:
                    await asyncio.sleep(0)
            else:
                return

    def _begun(self, now_ns: int) -> GridState:
        """Return the state to go on from: the one remembered, if it is of about now, or an equilibrium."""
        ts_ns = floor_ns(now_ns, STEP_NS)
        self._condition, self._judged_ns = self._faults.at(ts_ns), ts_ns
        base_mw = scheduled_base_points(self._case, ts_ns) if self._base_points_mw is None else self._base_points_mw
        fresh = self._physics.start(ts_ns, self._in_service(), base_mw)
        memory = snapshot.recall(self._snapshot, self._seed, fresh)
        if memory is None or abs(now_ns - memory.state.ts_ns) > RESUME_WITHIN_S * NS_PER_S:
            return fresh
        self._injected = memory.injected
        self._faults = Faults((*self._script.faults, *memory.injected))
        # A clock that was set back a little finds the units where they were, not the loads.
        state = replace(memory.state, ts_ns=min(memory.state.ts_ns, ts_ns))
        self._condition, self._judged_ns = self._faults.at(state.ts_ns), state.ts_ns
        return state

    def _in_service(self) -> BoolArray:
        closed = np.ones(self._case.network.n_branches, dtype=np.bool_)
        closed[[self._case.network.branch_index[branch] for branch in self._condition.open_branches]] = False
        return closed

    # ---- showing it --------------------------------------------------------------------------------------------------------

    async def _obey(self) -> None:
        for server in self._modbus:
            await server.obey(self._condition)
        for substation in self._ua:
            await substation.obey(self._condition)
        for rtu in self._rtus:
            rtu.obey(self._condition)

    async def _publish_all(self) -> None:
        """Show the state as it is now, everywhere: a switch moved, or something else that cannot wait."""
        self._publish()
        await self._notify()

    def _publish(self) -> None:
        """Show the state as it is now in every register, and push it."""
        self._shown_ns, self._published_s = self._state.ts_ns, time.monotonic()
        self._values = self._instruments.values(self._state, self._condition)
        self._published.publish(self._values, self._lies())
        for rtu in self._rtus:
            rtu.push(self._published.shown(rtu.device.name), self._shown_ns)

    async def _notify(self) -> None:
        """Write what was published last to the OPC UA servers."""
        self._notified_ns, self._notified_s = self._shown_ns, time.monotonic()
        moved_ns = self._instruments.moved_ns(self._condition)
        for substation in self._ua:
            await substation.publish(self._published.shown(substation.device.name), self._shown_ns, moved_ns)

    def _lies(self) -> dict[str, FloatArray]:
        """Return what lying devices show."""
        told: dict[str, FloatArray] = {}
        status = self._instruments.is_status
        for device, lie in self._condition.lying.items():
            if lie.mode == "frozen":
                told[device] = self._frozen.setdefault((device, lie.since_ns), self._values)
            else:
                wrong = self._values * lie.value if lie.mode == "factor" else self._values + lie.value
                told[device] = np.where(status, self._values, wrong)
        self._frozen = {key: kept for key, kept in self._frozen.items() if key[0] in told}
        return told

    def _save(self) -> None:
        self._saved_s = time.monotonic()
        try:
            snapshot.save(self._snapshot, self._seed, self._state, self._injected)
        except OSError as exc:
            _log.warning("%s: cannot save the field: %s; a restart will begin from an equilibrium", self._snapshot, exc)

    async def _close(self) -> None:
        parts: list[ModbusServer | UaServer | Rtu] = [*self._modbus, *self._ua, *self._rtus]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part.stop())


def _moduli(devices: FieldDevices, instruments: Instruments) -> FloatArray:
    """Return (n,) where each counter rolls over, in its unit; ``inf`` for what is no counter."""
    modulus = np.full(len(instruments.names), np.inf)
    for server in devices.modbus:
        for device in server.devices:
            for point in device.points:
                if point.name.endswith("/mwh"):
                    modulus[instruments.row[point.name]] = _counts(point) * point.scale
    return modulus


def _counts(point: ModbusPoint) -> float:
    return float(np.iinfo(DATA_TYPES[point.type][0]).max) + 1.0
