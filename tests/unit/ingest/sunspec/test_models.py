"""Where SunSpec models keep their points, against register numbers that makers publish, and what cannot be known."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest

from ingest.sunspec.models import SunspecError, known_models, read_model

SHIPPED = (1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, *range(201, 205), *range(211, 215), *range(701, 715), 802)


def test_the_models_that_matter_are_there() -> None:
    assert known_models() == SHIPPED


@pytest.mark.parametrize(
    ("path", "register", "factor"),
    [
        # Makers' tables of model 103 begin at register 40070: current, power, frequency, energy, state.
        ("A", 40072, 40076),
        ("W", 40084, 40085),
        ("Hz", 40086, 40087),
        ("WH", 40094, 40096),
        ("St", 40108, None),
        ("Evt1", 40110, None),
    ],
)
def test_an_inverters_registers_are_those_its_makers_print(path: str, register: int, factor: int | None) -> None:
    point = read_model(103).point(path)
    assert (40070 + point.offset, None if point.factor is None else 40070 + point.factor) == (register, factor)


@pytest.mark.parametrize(
    ("number", "last", "length"),
    [
        # The lengths that devices report in L, without ID and L.
        (103, "EvtVnd4", 50),
        (113, "EvtVnd4", 60),
        (120, "Pad", 26),
        (121, "ECPNomHz_SF", 30),
        (203, "Evt", 105),
        (213, "Evt", 124),
        (802, "W_SF", 62),
    ],
)
def test_a_model_is_as_long_as_devices_say(number: int, last: str, length: int) -> None:
    point = read_model(number).point(last)
    assert point.offset + point.size == length + 2


def test_a_module_has_its_own_registers_and_shares_the_scale_factors() -> None:
    model = read_model(160)
    first, second = model.point("module[1].DCW"), model.point("DCW[2]")
    assert second.offset - first.offset == 20
    assert first.factor == second.factor == model.point("DCW_SF").offset
    assert model.point("module[1].ID").offset == 10 != model.point("ID").offset


def test_a_group_that_comes_once_has_no_index() -> None:
    model = read_model(704)
    assert model.point("PFWAbs.PF").offset > model.point("PFWInj.Ext").offset
    assert model.point("PFWInj.PF").factor == model.point("PF_SF").offset


def test_the_first_of_a_group_is_known_though_its_size_is_not() -> None:
    model = read_model(705)
    assert model.point("Crv[1].Pt[3].V").offset - model.point("Crv[1].Pt[1].V").offset == 4


@pytest.mark.parametrize("number", SHIPPED)
def test_every_path_is_a_place_or_known_not_to_be(number: int) -> None:
    model = read_model(number)
    places = {}
    for path in model.paths():
        with suppress(SunspecError):
            places[path] = model.point(path.replace("[n]", "[1]"))
    # MayTrip and MomCess lie behind the points of MustTrip, of which there are as many as the device says.
    assert {path for path in model.paths() if path not in places} == {
        path for path in model.paths() if "MayTrip" in path or "MomCess" in path
    }
    assert places["ID"].offset == 0
    assert places["L"].offset == 1
    sizes = {"16": 1, "32": 2, "64": 4, "sunssf": 1, "count": 1, "pad": 1}
    for point in places.values():
        assert point.type == "string" or point.size == sizes.get(point.type, sizes.get(point.type[-2:]))
    taken = sorted((point.offset, point.size) for point in places.values())
    assert all(start + size <= after for (start, size), (after, _) in pairwise(taken))


@pytest.mark.parametrize(
    ("number", "path", "what"),
    [
        (103, "w", "SunSpec model 103 has no point 'w'; did you mean W or WH?"),
        (103, "AphaA", "SunSpec model 103 has no point 'AphaA'; did you mean AphA or AphC or AphB?"),
        (103, "Frequency", "SunSpec model 103 has no point 'Frequency'; it has A, AphA, AphB, AphC, A_SF, PPVphAB ..."),
        (103, "W[2]", "SunSpec model 103 repeats no 'W'; did you mean W or WH?"),
        (103, "W 1", "'W 1' is no path of a SunSpec point; write `W`, `PFWInj.PF` or `module[2].DCW`"),
        (160, "DCW", "SunSpec model 160 has no point 'DCW'; did you mean module[1].DCW or module[1].DCWH or DCW_SF?"),
        (160, "DCW[0]", "'DCW[0]' is none: module is counted from 1"),
        (160, "module.DCW", "module of SunSpec model 160 repeats; give an index, from 1, in 'module.DCW'"),
        (160, "module[1].DCW[2]", "'module[1].DCW[2]' gives an index to a point; groups have one, as in `module[2].DCW`"),
        (704, "PFWInj[1].PF", "PFWInj of SunSpec model 704 comes once; give no index, in 'PFWInj[1].PF'"),
        (704, "PFInj.PF", "SunSpec model 704 has no point 'PFInj.PF'; did you mean PFWInj.PF or PFWInjRvrt.PF or PFWInj.Ext?"),
        (
            705,
            "Crv[2].ActPt",
            "'Crv[2].ActPt' lies behind Pt, and how many of those there are only the device knows; give its `reg`",
        ),
    ],
)
def test_what_is_no_point_is_said_with_what_may_have_been_meant(number: int, path: str, what: str) -> None:
    with pytest.raises(SunspecError) as caught:
        read_model(number).point(path)
    assert str(caught.value) == what


def test_a_model_that_is_not_shipped_is_said() -> None:
    with pytest.raises(
        SunspecError, match=r"SunSpec model 64001 is not among those Gridfuse has: 1, 101, .*, 802; give each point its `reg`"
    ):
        read_model(64001)
