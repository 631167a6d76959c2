"""What a new point list means for each device of the old one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.addresses import Manners
from ingest.devices import ModbusDevice
from ingest.pointlist import PointList
from ingest.relisting import relisting, shared_manners
from tests.kit.field import modbus_device, modbus_point


def device(name: str, address: int = 0, *points: str, **changes: object) -> ModbusDevice:
    return modbus_device(502, *(modbus_point(point, address) for point in points or (f"{name}/p",)), name=name, **changes)


def test_a_device_is_kept_only_if_nothing_of_it_is_different() -> None:
    old = PointList((device("a"), device("b"), device("c"), device("d")))
    new = PointList((device("d"), device("e"), device("b", 7), device("a")))
    found = relisting(old, new)
    assert [[one.name for one in some] for some in (found.kept, found.changed, found.added, found.removed)] == [
        ["d", "a"],
        ["b"],
        ["e"],
        ["c"],
    ]
    assert found.changed == (device("b", 7),)
    assert found.withdrawn == {"c": ("c/p",)}
    assert str(found) == "1 changed, 1 added, 1 removed, 2 kept"


def test_the_same_list_in_another_order_changes_nothing() -> None:
    found = relisting(PointList((device("a"), device("b"))), PointList((device("b"), device("a"))))
    assert found.is_empty
    assert len(found.kept) == 2


def test_a_point_that_moves_to_another_device_is_not_withdrawn() -> None:
    old = PointList((device("a", 0, "x", "y"), device("b")))
    new = PointList((device("b", 0, "b/p", "x"),))
    assert relisting(old, new).withdrawn == {"a": ("y",)}


def test_a_point_that_a_changed_device_has_no_more_is_withdrawn() -> None:
    old, new = PointList((device("a", 0, "x", "y"),)), PointList((device("a", 0, "x"),))
    found = relisting(old, new)
    assert found.withdrawn == {"a": ("y",)}
    assert not found.removed


def test_devices_that_share_a_connection_get_what_any_of_them_needs() -> None:
    careful, plain = Manners(gap_s=0.1, depth=4), Manners(pause_after_connect_s=1.0, depth=2)
    one, other = device("a", manners=careful), device("b", manners=plain)
    assert shared_manners((one, other)) == {one.address: Manners(gap_s=0.1, pause_after_connect_s=1.0, depth=2)}


_LISTS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 2)), unique_by=lambda given: given[0])


@settings(max_examples=50, deadline=None)
@given(_LISTS, _LISTS)
def test_every_device_of_either_list_is_told_of_once(before: list[tuple[str, int]], after: list[tuple[str, int]]) -> None:
    old, new = (PointList(tuple(device(name, address) for name, address in given)) for given in (before, after))
    found = relisting(old, new)
    assert sorted(one.name for one in (*found.kept, *found.changed, *found.added)) == sorted(name for name, _ in after)
    assert {one.name for one in found.removed} == {name for name, _ in before} - {name for name, _ in after}
    assert set(found.kept) == set(old.devices) & set(new.devices)
    assert set(found.withdrawn) == {one.name for one in found.removed}
