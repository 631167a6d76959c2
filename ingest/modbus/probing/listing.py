"""What would the point list of a probed device look like?

The text that :func:`listing` writes is read back by :func:`ingest.pointlist.read_point_list` as it stands; what was found, and how sure it
is, stands in comments beside it. Points have names that say where they came from, to be replaced by what they measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from ingest.devices import DataType, Kind
from ingest.modbus.frames import REGISTERS_MAX
from ingest.modbus.probing.expected import Match
from ingest.modbus.probing.findings import Findings, UnitFindings
from ingest.modbus.probing.models import ModelFound, points_of
from ingest.modbus.probing.orders import Certainty, number_at
from ingest.modbus.probing.ranges import Table
from ingest.sunspec.models import known_models
from ingest.yamltext import comment, flow

__all__ = ["listing"]

_POINTS_MAX: Final = 64
_BITS_MAX: Final = 24
"""Points of one table that are written out, registers and bits; of the rest it is said where they are."""

_LENGTH_MIN: Final = 4
"""Least ``registers_max`` a point list takes: a 64-bit number has four."""

_TEXTS: Final = {"Mn": "vendor", "Md": "model", "Opt": "options", "Vr": "version", "SN": "serial"}


def listing(findings: Findings, url: str, *, name: str, area: str, device: Mapping[str, object], every: str = "10s") -> str:
    """Return a point list of the units that can be read, as YAML; empty where none can.

    Args:
        url: where they are.
        name: of the device, and of the map; several units get their number behind it.
        device: what else the device's entry says, such as ``timeout``.
        every: period of the points.
    """
    readable = [unit for unit in findings.units if unit.is_readable]
    if not readable:
        return ""
    names = {unit.unit: name if len(readable) == 1 else f"{name}-{unit.unit}" for unit in readable}
    lines = ["# Found by `gridfuse ingest probe`, which writes nothing to a device. Names and units are yours to give."]
    lines += [f"# {line}" for line in _about_all(findings)]
    lines.append("maps:")
    for unit in readable:
        lines += _map(unit, names[unit.unit], every, findings)
    lines.append("devices:")
    for unit in readable:
        said = {"name": names[unit.unit], "area": area, "url": url, "map": names[unit.unit], "unit": unit.unit, **device}
        lines.append(f"- {flow(said)}")
    return "\n".join(lines) + "\n"


def _about_all(findings: Findings) -> Iterator[str]:
    found = findings.found
    if found.is_blind:
        yield f"unit      {found.answering[0]}; the device answers whichever unit it is asked for (known)"
    else:
        yield f"units     {', '.join(map(str, found.answering))} answer (known)"
    if found.absent:
        yield f"gateway   it says of {', '.join(map(str, found.absent))} that it cannot reach them (known)"
    if found.failing:
        yield f"failing   {', '.join(map(str, found.failing))} answer everything with a failure: most likely nobody is there"
    if findings.unlooked:
        yield f"unlooked  {', '.join(map(str, findings.unlooked))} answer too; look at them with --unit"
    if findings.depth is not None:
        yield f"depth     {_depth_text(findings)}"
    if findings.cut_short:
        yield f"cut short after {findings.asked} requests; allow more with --requests"


def _depth_text(findings: Findings) -> str:
    depth = findings.depth
    assert depth is not None
    if depth.depth == 1:
        return "1: what is sent ahead is not answered (known)"
    return f"it bore {depth.depth} requests on their way at a time (known), which is found out anew while it is read"


def _map(unit: UnitFindings, name: str, every: str, findings: Findings) -> Iterator[str]:
    assert unit.base is not None
    assert unit.order is not None
    base = unit.base.base
    yield f"  {name}:"
    for key, text in unit.identification.items():
        yield f"    # {key}: {comment(text)}"
    yield f"    every: {every}  # yours to choose"
    yield f"    base: {base}  # {unit.base.certainty}: {unit.base.why}"
    yield f"    order: {unit.order.order}  # {unit.order.certainty}: {unit.order.why}"
    needs = _needs(unit, findings)
    if needs:
        yield f"    needs: {flow(needs)}  # known: it was seen to refuse more"
    yield from _sunspec(unit, base)
    for kind in Kind:
        if kind in unit.tables:
            yield f"    # {_table_text(unit.tables[kind])}"
    for text, found in unit.matches.items():
        ways = [f"{m.kind} {m.address} {m.type} {m.order} x {m.scale:g}" for m in found]
        yield f"    # {text}: {'; '.join(ways[:6]) or 'not found at this number nor one below, in any type, order or usual scale'}"
    yield "    points:"
    points = [*_expected(unit, base), *_modelled(unit)]
    named = {point.partition(":")[0] for point in points}
    for table in unit.tables.values():
        points += [point for point in _plain(unit, table, base) if point.partition(":")[0] not in named]
    if all(point.startswith("#") for point in points):
        kind, table = next((kind, table) for kind, table in unit.tables.items() if table.extents)
        at = table.extents[0].start + base
        wide = {"type": "uint32"} if table.step > 1 else {}
        points.append(f"probe/{{device}}/{kind}/{at}: {flow({'reg': f'{kind} {at}', **wide})}  # 0; nothing says anything else")
    for point in points:
        yield f"      {point}"


def _needs(unit: UnitFindings, findings: Findings) -> dict[str, object]:
    needs: dict[str, object] = {}
    lengths = [t.longest for kind, t in unit.tables.items() if not kind.is_bits and t.is_limit]
    if lengths and min(lengths) < REGISTERS_MAX:
        needs["registers_max"] = max(_LENGTH_MIN, min(lengths))
    if findings.depth is not None and findings.depth.depth == 1:
        needs["depth"] = 1
    return needs


def _table_text(table: Table) -> str:
    """Say in one line what is known of a table."""
    if table.verdict != "answers":
        text = {
            "absent": "the device does not know this table (known)",
            "silent": "no answer",
            "refuses": "refused wherever it was asked; --scan FROM..TO looks elsewhere",
            "fails": "answered with failures only",
        }[table.verdict]
        return f"{table.kind}: {text}"
    what = "bits" if table.kind.is_bits else "registers"
    runs = [f"{extent.start}..{extent.end - 1}" + (" and on" if extent.goes_on else "") for extent in table.extents]
    longest = f"{table.longest} {what} at a time" + (" at most (known)" if table.is_limit or table.longest == table.most else " or more")
    more = ", ".join(runs[:12]) + (f" and {len(runs) - 12} runs more" if len(runs) > 12 else "")
    pairs = "; two at a time only" if table.step > 1 else ""
    cut = "; not looked at to the end" if table.cut_short else ""
    return f"{table.kind}: {more} can be read (known), {longest}{pairs}{cut}"


def _sunspec(unit: UnitFindings, base: int) -> Iterator[str]:
    found = unit.sunspec
    if found is None:
        return
    seen: set[int] = set()
    places = []
    for model in found.models:
        if model.model in known_models() and model.model not in seen:
            seen.add(model.model)
            places.append({"model": model.model, "at": model.at + base})
    others = [f"{model.model} at {model.at}" for model in found.models if {"model": model.model, "at": model.at + base} not in places]
    if places:
        yield f"    sunspec: [{', '.join(flow(place) for place in places)}]  # known: read from the device"
    if others:
        yield f"    # SunSpec models that have no entry here: {', '.join(others)}"
    if not found.is_whole:
        yield "    # the end of the SunSpec models was not found"
    if found.texts and 1 in seen:
        for name, text in found.texts.items():
            yield f"    # {_TEXTS[name]}: {comment(text)}"
        pairs = ", ".join(f"{_TEXTS[name]}: {flow({'sunspec': f'1.{name}'})}" for name in found.texts)
        yield f"    attributes: {{{pairs}}}"


def _modelled(unit: UnitFindings) -> Iterator[str]:
    """Yield the points of the SunSpec models that the device has."""
    seen: set[int] = set()
    for model in unit.sunspec.models if unit.sunspec is not None else ():
        if model.model in seen or model.model not in known_models():
            continue
        seen.add(model.model)
        for path, label in points_of(model):
            yield f"probe/{{device}}/{model.model}/{path}: {flow({'sunspec': f'{model.model}.{path}'})}" + (f"  # {label}" if label else "")


def _within(models: tuple[ModelFound, ...], kind: Kind, address: int) -> bool:
    return kind is Kind.HOLDING and any(model.at - 2 <= address < model.at + 2 + model.length for model in models)


def _expected(unit: UnitFindings, base: int) -> Iterator[str]:
    """Yield the points that somebody expected, in the first way in which each is met."""
    for text, found in unit.matches.items():
        for match in [each for each in found if _fits(each, unit)][:1]:
            said: dict[str, object] = {"reg": f"{match.kind} {match.address + base}", "type": str(match.type)}
            if match.scale != 1.0:
                said["scale"] = match.scale
            yield f"probe/{{device}}/{match.kind}/{match.address + base}: {flow(said)}  # {text}; it says {match.found:g}"


def _fits(match: Match, unit: UnitFindings) -> bool:
    """Whether a way in which an expectation is met agrees with what is said of the whole unit."""
    assert unit.order is not None
    assert unit.base is not None
    order = unit.order.order
    ordered = match.order is order if match.type.registers > 1 else match.order.swaps_bytes == order.swaps_bytes
    return ordered and (match.base == unit.base.base or unit.base.certainty is not Certainty.KNOWN)


def _plain(unit: UnitFindings, table: Table, base: int) -> Iterator[str]:
    """Yield the registers or bits of a table that say something."""
    assert unit.order is not None
    kind = table.kind
    models = unit.sunspec.models if unit.sunspec is not None else ()
    words = unit.last.get(kind) or table.words
    floats, counters = set(unit.floats.get(kind, ())), set(unit.counters.get(kind, ()))
    moved = unit.moved.get(kind, frozenset())
    passed = -1
    written = 0
    for address in sorted(words):
        if address <= passed or _within(models, kind, address) or not table.holds(address):
            continue
        size, said = 1, dict[str, object]()
        if address in floats or address in counters:
            data_type = DataType.FLOAT32 if address in floats else DataType.UINT32
            said, size = {"type": str(data_type)}, 2
            number = number_at(words, address, data_type, unit.order.order)
            seems = f"seems a {'measured value' if address in floats else 'counter'} (guessed)"
        elif table.step > 1 and (number := number_at(words, address, DataType.UINT32, unit.order.order)):
            said, size, seems = {"type": "uint32"}, 2, ""
        elif table.step == 1 and (words[address] or address in moved or kind.is_bits):
            number, seems = float(words[address]), ""
        else:
            continue
        written += 1
        if written > (_BITS_MAX if kind.is_bits else _POINTS_MAX):
            yield f"# {kind}: more of them say something, from {address + base} on"
            return
        passed = address + size - 1
        moves = "moves" if moved & set(range(address, address + size)) else ""
        remark = ", ".join(text for text in (f"{number:g}", moves, seems) if text)
        yield f"probe/{{device}}/{kind}/{address + base}: {flow({'reg': f'{kind} {address + base}', **said})}  # {remark}"
