"""What does a map's ``sunspec`` make of the points and texts that are named by a SunSpec model?

A map of a device with SunSpec models says where they are, and its points name what is in them::

    inverter:
      every: 4s
      sunspec: [{model: 103, at: 40069}, {model: 160, at: 40121}]   # the holding register of the model's ID, counted as `base` says
      points:
        unit/{unit}/mw:  {sunspec: W, scale: 1.0e-6, unit: MW}     # by path: W, PFWInj.PF, module[2].DCW; 103.W where two have a W
        unit/{unit}/st:  {sunspec: St}
        string/{n}/1/kw: {sunspec: "DCW[1]", scale: 0.001, unit: kW}

Indices count from 1; what lies behind a group of unknown number has no path (:mod:`ingest.sunspec.models`).

Each such point becomes an ordinary one, as if its ``reg``, ``type``, ``scale_from``, ``missing``, ``labels`` and, where nothing scales
the value further, ``unit`` had been written out. It is good only while the device keeps the model there that the map says: the number
in the model's first register is its quality word, unless the map or the point has one, so that a device whose models moved with an
update is found out, not misread. An accumulator that says 0 is not there, as the specification has it.

Texts are attributes of the device; addresses and pads are neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from ingest.devices import Kind, ModbusAttribute, Order
from ingest.pointfile import MapModel, ModbusPointModel, SunspecPlaceModel, SunspecPointModel
from ingest.sunspec.models import SunspecError, SunspecModel, SunspecPoint, read_model

__all__ = ["attributes_of", "written_out"]

_TYPES: Final = {
    **{name: name for name in ("int16", "int32", "int64", "uint16", "uint32", "uint64", "float32", "float64")},
    **{f"{kind}{size}": f"uint{size}" for kind in ("acc", "enum", "bitfield") for size in (16, 32, 64)},
    "count": "uint16",
    "sunssf": "int16",
}
"""Our type of each of SunSpec's that is a number."""

_TEXT: Final = "string"

_THEIRS: Final = frozenset({"missing", "scale_from"})
"""What the model says, and the point therefore must not."""


def written_out(layout: MapModel, data: Mapping[Any, Any], complain: Callable[..., None]) -> MapModel | None:
    """Write out the points of a map that a SunSpec model names.

    Args:
        data: the map as it stands in the file.
        complain: is told what is wrong, and the place of it in the map, key by key.

    Returns:
        The map with ordinary points only; None where one cannot be written out.
    """
    points = dict(layout.points)
    given = {str(name): point for name, point in data["points"].items()}
    complete = True
    for name, point in layout.points.items():
        if not isinstance(point, SunspecPointModel):
            continue
        try:
            points[name] = _plain(point, given[name], layout)
            continue
        except SunspecError as exc:
            complain(str(exc), "points", name, "sunspec")
        except ValidationError as exc:
            for detail in exc.errors(include_url=False):
                complain(detail["msg"].removeprefix("Value error, "), "points", name, *detail["loc"])
        complete = False
    return layout.model_copy(update={"points": points}) if complete else None


def attributes_of(layout: MapModel, complain: Callable[..., None]) -> tuple[ModbusAttribute, ...]:
    """Return the texts a map's devices keep about themselves; ``complain`` is that of :func:`written_out`."""
    found = []
    for name, model in layout.attributes.items():
        kind, address, length, order = Kind.HOLDING, 0, 0, Order.ABCD
        if model.sunspec is not None:
            try:
                address, length = _text(model.sunspec, layout)
            except SunspecError as exc:
                complain(str(exc), "attributes", name, "sunspec")
                continue
        else:
            assert model.reg is not None
            assert model.length is not None
            (kind, address), length, order = model.reg, model.length, model.order or layout.order
        found.append(ModbusAttribute(name=name, kind=kind, address=address - layout.base, length=length, order=order))
    return tuple(found)


def _plain(point: SunspecPointModel, said: Mapping[str, Any], layout: MapModel) -> ModbusPointModel:
    """Return a point as it would be written out.

    Args:
        said: the point as it stands in the file.

    Raises:
        SunspecError: no model of the map has it, or it is no number.
        ValidationError: it does not go with the rest of what the point says.
    """
    place, found = _find(point.sunspec, layout.sunspec)
    if found.type not in _TYPES:
        remedy = "list it under the map's `attributes`" if found.type == _TEXT else "it cannot be a point"
        raise SunspecError(f"{point.sunspec} is a {found.type} and no number; {remedy}")
    if point.write and not found.writable:
        raise SunspecError(f"{point.sunspec} of SunSpec model {place.model} is not to be written; remove `write`")
    given = {key: value for key, value in said.items() if key != "sunspec"}
    unfit = sorted(_THEIRS & set(given))
    if unfit:
        raise SunspecError(f"the model says {' and '.join(f'`{key}`' for key in unfit)} of {point.sunspec}; remove what the point says")
    if found.type.startswith("enum") and found.symbols and "values" not in given:
        given.setdefault("labels", dict(found.symbols))
    if not {"scale", "offset", "values", "bits"} & set(given):
        given.setdefault("unit", found.unit)
    if layout.quality is None:
        given.setdefault("quality", {"reg": f"holding {place.at}", "good": [place.model]})
    return ModbusPointModel.model_validate(given | _registers(found, place))


def _text(path: str, layout: MapModel) -> tuple[int, int]:
    """Return where a text of a SunSpec model is.

    Returns:
        Holding register, as the map counts them, and length in registers.

    Raises:
        SunspecError: no model of the map has it, or it is no text.
    """
    place, found = _find(path, layout.sunspec)
    if found.type != _TEXT:
        raise SunspecError(f"{path} is a {found.type} and no text; list it under the map's `points`")
    return place.at + found.offset, found.size


def _registers(found: SunspecPoint, place: SunspecPlaceModel) -> dict[str, Any]:
    """Return what the model says of a point, as it would be written."""
    said: dict[str, Any] = {"reg": f"holding {place.at + found.offset}", "type": _TYPES[found.type], "order": "ABCD"}
    # An accumulator that is not there counts nothing; for every other type the specification has a sign of its own.
    said["missing"] = [0] if found.type.startswith("acc") else "sunspec"
    if found.factor is not None:
        said["scale_from"] = f"holding {place.at + found.factor}"
    return said


def _find(path: str, places: tuple[SunspecPlaceModel, ...]) -> tuple[SunspecPlaceModel, SunspecPoint]:
    """Return which model of a map has a point, and the point.

    Raises:
        SunspecError: none has it, or several have and it does not say which.
    """
    if not places:
        raise SunspecError("the map does not say where the device keeps its SunSpec models; add `sunspec: {model: .., at: ..}` to it")
    number, _, rest = path.partition(".")
    if number.isdecimal():
        places = tuple(place for place in places if place.model == int(number))
        if not places:
            raise SunspecError(f"the map has no SunSpec model {number}; add it to the map's `sunspec`")
        path = rest
    models: list[tuple[SunspecPlaceModel, SunspecModel]] = [(place, read_model(place.model)) for place in places]
    having, complaint = [], None
    for place, model in models:
        try:
            having.append((place, model.point(path)))
        except SunspecError as exc:
            complaint = complaint or exc
    if len(having) == 1:
        return having[0]
    if complaint is not None and not having:
        raise complaint
    numbers = [place.model for place, _ in having]
    raise SunspecError(f"{path} is in SunSpec models {' and '.join(map(str, numbers))}; write {numbers[0]}.{path}")
