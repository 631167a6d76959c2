"""A process goes on with another point list: whoever looks points up knows them first, and forgets those that left last."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from console import takeover
from console.takeover import Takeover
from ingest.devices import Device
from ingest.errors import DeviceError
from ingest.pointlist import PointList
from ingest.relisting import Relisting, relisting
from market.errors import ConfigError
from market.rules import rules_from
from streams.agents import Hooks
from streams.marketmodel import MarketModel
from streams.settings import NetworkModel, Settings
from tests.kit.eventually import eventually_async
from tests.kit.field import modbus_device, modbus_point
from tests.kit.market_run import market_settings, rts_model

RULES = rules_from({"rt_interval_min": 5})


def listed(**devices: str) -> PointList:
    """Devices by name, each with these points, separated by spaces; the first letter of a name is its area."""
    made: list[Device] = [
        modbus_device(502, *(modbus_point(point, at) for at, point in enumerate(points.split())), name=name, area=name[0])
        for name, points in devices.items()
    ]
    return PointList(tuple(made))


FIRST = listed(a1="bus/101/kv", b1="bus/201/kv load/201/mw")


class Process:
    """What a take-over moves, and in which order."""

    def __init__(self, *, areas: tuple[str, ...] = (), matpower: str | None = None) -> None:
        self.steps: list[str] = []
        self.points = FIRST
        self.refuses: Exception | None = None
        settings = replace(market_settings("embedded://log", Path(), RULES), points=FIRST)
        if matpower is not None:
            settings = replace(settings, network=NetworkModel(matpower=matpower))
        self.settings: Settings = settings
        model = rts_model(RULES)
        # The case's own points are of no matter here.
        self.model = replace(model, grid=replace(model.grid, table=FIRST.table()))
        field: Any = self
        hooks = Hooks(relist=lambda model: self.steps.append("processors know " + " ".join(names(model))))
        self.takeover = Takeover(settings, self.model, hooks, field, None, areas, self._changed)

    def _changed(self, model: MarketModel) -> None:
        self.model = model

    async def relist(self, points: PointList) -> Relisting:
        if self.refuses is not None:
            raise self.refuses
        self.steps.append("devices " + " ".join(device.name for device in points.devices))
        changes = relisting(self.points, points)
        self.points = points
        return changes

    def take(self, points: PointList, farewell: bool = False) -> Relisting:
        async def story() -> Relisting:
            changes = await self.takeover.take(points)
            if farewell:
                await eventually_async("the farewell", lambda: len(self.model.grid.table) == len(points.table()), 5)
            self.takeover.stop()
            return changes

        return asyncio.run(story())


def names(model: MarketModel) -> list[str]:
    return sorted(spec.name for spec in model.grid.table.specs)


@pytest.fixture(autouse=True)
def short_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeover, "_FAREWELL_S", 0.0)


def test_points_are_known_before_they_come_and_until_they_have_come() -> None:
    process = Process()
    changes = process.take(listed(a1="bus/101/kv", b2="bus/202/kv"), farewell=True)
    assert str(changes) == "0 changed, 1 added, 1 removed, 1 kept"
    assert process.steps == [
        "processors know bus/101/kv bus/201/kv bus/202/kv load/201/mw",
        "devices a1 b2",
        "processors know bus/101/kv bus/202/kv",
    ]


def test_what_only_the_readers_need_to_know_moves_only_the_readers() -> None:
    process = Process()
    other = PointList(tuple(replace(device, unit_id=9) if device.name == "a1" else device for device in FIRST.devices))
    process.take(other)
    assert process.steps == ["devices a1 b1"]


def test_a_list_that_the_devices_refuse_leaves_everything_as_it_was() -> None:
    process = Process()
    process.refuses = DeviceError("not now")
    with pytest.raises(DeviceError, match="not now"):
        process.take(listed(a1="bus/101/kv", b1="bus/202/kv"))
    assert names(process.model) == sorted(spec.name for spec in FIRST.table().specs)
    assert process.takeover.points is FIRST


def test_a_second_list_within_the_farewell_of_the_first_is_taken_over() -> None:
    process = Process()

    async def story() -> None:
        await process.takeover.take(listed(a1="bus/101/kv", b1="bus/202/kv"))
        await process.takeover.take(listed(a1="bus/101/kv", b1="bus/203/kv"))
        await eventually_async("the farewell", lambda: names(process.model) == ["bus/101/kv", "bus/203/kv"], 5)

    asyncio.run(story())
    # What left with the first is known until the second's farewell.
    assert process.steps[2] == "processors know bus/101/kv bus/201/kv bus/202/kv bus/203/kv load/201/mw"


def test_areas_are_for_the_life_of_a_process() -> None:
    process = Process()
    with pytest.raises(ConfigError) as told:
        process.take(listed(a1="bus/101/kv", c1="bus/301/kv"))
    assert [problem.what.partition(":")[0] for problem in told.value.problems] == ["area c is new", "area b has no device any more"]
    assert process.steps == []


def test_a_process_of_some_areas_reads_those_only() -> None:
    process = Process(areas=("a",))
    process.take(listed(a1="bus/101/kv", a2="bus/102/kv", b1="bus/201/kv load/201/mw"))
    assert process.steps[1] == "devices a1 a2"


def test_the_loads_of_a_matpower_case_stay() -> None:
    process = Process(matpower="case.m")
    with pytest.raises(ConfigError, match="load/201/mw was added or removed"):
        process.take(listed(a1="bus/101/kv", b1="bus/201/kv"))
    process.take(listed(a1="bus/102/kv", b1="load/201/mw"))


def test_points_that_cannot_be_told_apart_where_they_are_recorded_are_refused() -> None:
    process = Process()
    with pytest.raises(ConfigError):
        process.take(listed(a1="bus/101/kv", b1="bus/201/kv load/201/mw load/201/mw_quality"))
    assert names(process.model) == sorted(spec.name for spec in FIRST.table().specs)
