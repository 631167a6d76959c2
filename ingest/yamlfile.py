"""What does a YAML file say, on which line, and what is wrong with it?

A file is composed into nodes, the nodes into plain data, and the line of every key is kept beside the data. A pydantic model then
judges the data; each of its complaints, and each cross-check made later, is turned into a :class:`market.errors.Problem` that
names ``file:line``. Every problem is reported, not the first: whoever edits a list of ten thousand points should not have to run
the check ten thousand times.

Scalars follow YAML 1.2's core schema, not PyYAML's 1.1: ``NO`` and ``on`` are text, ``1:30`` is text, dates are text, and so is a
number with leading zeros (``007`` names a feeder). Only ``true``/``false``, plain decimal, ``0x`` and ``0o`` integers, and floats
are anything else.

Absent on purpose: writing YAML, tags, several documents in one file, and includes.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import pydantic_core
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, Tag, ValidationError, WithJsonSchema

from market.errors import ConfigError, Problem
from market.units import NS_PER_H, NS_PER_MIN, NS_PER_MS, NS_PER_S

__all__ = ["DurationNs", "Located", "Name", "Strict", "duration_ns", "duration_text", "load_yaml", "parse_yaml", "read_yaml"]

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
"""Where in the data: keys and indices from the top."""

_NODES_MAX: Final = 2_000_000
"""A file that unfolds into more is not a configuration: aliases of aliases can make a kilobyte into a gigabyte."""

_DEPTH_MAX: Final = 64
_UNITS: Final = {"ms": NS_PER_MS, "s": NS_PER_S, "min": NS_PER_MIN, "m": NS_PER_MIN, "h": NS_PER_H}
_FLOAT: Final = r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan"
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)")


def duration_ns(text: object) -> int:
    """Read a length of time: a number and one of ``ms``, ``s``, ``m`` (or ``min``), ``h``.

    Returns:
        Nanoseconds, > 0.

    Raises:
        ValueError: anything else; a bare number has no unit.

    >>> duration_ns("1.5s")
    1500000000
    """
    found = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a length of time; write a number and a unit: 500ms, 4s, 1m or 1h")
    ns = round(float(found[1]) * _UNITS[found[2]])
    if ns <= 0:
        raise ValueError(f"{text!r} is no time at all; it must be longer than zero")
    return ns


def duration_text(ns: int) -> str:
    """Write a length of time so that :func:`duration_ns` reads it back.

    >>> duration_text(4_000_000_000)
    '4s'
    """
    for name in ("h", "m", "s"):
        if ns % _UNITS[name] == 0:
            return f"{ns // _UNITS[name]}{name}"
    return f"{ns / NS_PER_MS:g}ms"


def _name(value: object) -> object:
    """Take a name that YAML reads as an integer; it is written back as it stood."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float | bool):
        raise ValueError(f"{value!r} is read as a {type(value).__name__}; put the name in quotes")
    return value


DurationNs = Annotated[int, BeforeValidator(duration_ns), PlainSerializer(duration_text)]
"""A model field given as ``4s`` and kept as nanoseconds."""

Name = Annotated[str, BeforeValidator(_name), WithJsonSchema({"type": ["string", "integer"]})]
"""A model field that holds a name: ``area: 1`` and ``area: "1"`` mean the same."""


class Strict(BaseModel):
    """Base of every model of a configuration file: unknown keys are errors, and what was read does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class Located:
    """A file's data, and the line of every key in it.

    Attributes:
        path: the file, as it was asked for.
        data: dicts, lists and scalars.
        lines: line of each key (of each item, in a list), counted from 1.
    """

    path: Path
    data: Any
    lines: Mapping[Place, int] = field(repr=False)

    def where(self, *place: str | int) -> str:
        """Return ``file:line`` of a place, or of the nearest place around it that stands in the file."""
        return f"{self.path}:{self.line(*place)}"

    def line(self, *place: str | int) -> int:
        """Return the line of a place, or of the nearest place around it that stands in the file."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def problem(self, what: str, *place: str | int) -> Problem:
        """Return a problem at a place; ``what`` names the offender and the remedy."""
        return Problem(self.where(*place), f"{_dotted(place)}: {what}" if place else what)

    def validate(self, model: type[M]) -> M:
        """Check the data against a model.

        Raises:
            ConfigError: with every complaint of the model, in the order of the lines.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as exc:
            details = exc.errors(include_url=False)
        found = {}
        for detail in details:
            place = self._place(detail["loc"], is_missing=detail["type"] == "missing")
            problem = self.problem(_sentence(detail, model), *place)
            found[problem] = self.line(*place)
        raise ConfigError(sorted(found, key=lambda problem: found[problem]))

    def _place(self, loc: tuple[str | int, ...], *, is_missing: bool) -> Place:
        """Drop from pydantic's location what is not in the file, tags of unions and names of validators; keep what should be."""
        place: Place = ()
        for step in loc[: len(loc) - is_missing]:
            if (*place, step) in self.lines:
                place = (*place, step)
        return (*place, loc[-1]) if is_missing else place


def read_yaml(path: str | Path, model: type[M]) -> M:
    """Read a YAML file into a model.

    Raises:
        ConfigError: the file cannot be read, is not YAML, repeats a key, or is not what the model wants; every problem found.
    """
    return load_yaml(path).validate(model)


def load_yaml(path: str | Path) -> Located:
    """Read a YAML file whose top is a mapping, keeping line numbers.

    Raises:
        ConfigError: missing, unreadable, not YAML, not a mapping, or with a key given twice.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError([Problem(str(path), "there is no such file; give the path of a YAML file")]) from None
    except UnicodeDecodeError as exc:
        raise ConfigError([Problem(str(path), f"is not UTF-8 text (byte {exc.start}); save it as UTF-8")]) from None
    except OSError as exc:
        raise ConfigError([Problem(str(path), f"cannot be read: {exc.strerror}")]) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> Located:
    """Read YAML text whose top is a mapping, as :func:`load_yaml` does; ``path`` is what problems name.

    Raises:
        ConfigError: not YAML, not a mapping, or with a key given twice.
    """
    builder = _Builder(path)
    try:
        node = _composed(text)
    except yaml.YAMLError as exc:
        raise ConfigError(_syntax_problems(path, text, exc)) from None
    if node is None:
        raise ConfigError([Problem(str(path), "is empty; it must hold a mapping, `key: value`")])
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError([Problem(f"{path}:{_line(node)}", f"holds {kind}, not a mapping; begin with `key: value`")])
    try:
        data = builder.build(node, ())
    except _TooMuch as exc:
        raise ConfigError([Problem(f"{path}:{exc.line}", "unfolds without end; an alias must not contain itself")]) from None
    if builder.problems:
        raise ConfigError(builder.problems)
    return Located(path, data, builder.lines)


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with the scalars of YAML 1.2's core schema."""


_Loader.yaml_implicit_resolvers = {}

for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:null", r"(?:~|null|)", "~n\0"),
    ("tag:yaml.org,2002:bool", r"(?:true|false)", "tf"),
    ("tag:yaml.org,2002:int", r"(?:[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+)", "-+0123456789"),
    ("tag:yaml.org,2002:float", _FLOAT, "-+0123456789."),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), [c if c != "\0" else "" for c in _first])


class _QuickLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The same with libyaml's parser, where PyYAML was built with it: ten times as fast, which long point lists need."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def _composed(text: str) -> yaml.Node | None:
    """Return the nodes of a text.

    Raises:
        yaml.YAMLError: it is no YAML, in the words of PyYAML's own parser, which names the place better.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_QuickLoader)
    except yaml.YAMLError:
        node = yaml.compose(text, Loader=_Loader)
    return node


class _TooMuch(Exception):
    def __init__(self, line: int) -> None:
        self.line = line


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


class _Builder:
    """Turns nodes into data; collects lines and problems on the way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self.lines: dict[Place, int] = {}
        self.problems: list[Problem] = []

    def build(self, node: yaml.Node, place: Place) -> Any:
        self._count += 1
        if self._count > _NODES_MAX or len(place) > _DEPTH_MAX:
            raise _TooMuch(_line(node))
        self.lines.setdefault(place, _line(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*place, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str | int, Any]:
        data: dict[str | int, Any] = {}
        written: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            key: Any = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if key_node.tag == "tag:yaml.org,2002:merge":
                for merged in value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]:
                    for inherited, value in self._merged(merged, place).items():
                        data.setdefault(inherited, value)
                continue
            if not isinstance(key, str | int) or isinstance(key, bool):
                self._complain(key_node, "a key must be text; put it in quotes")
                continue
            if key in written:
                self._complain(key_node, f"{key!r} is given twice, first on line {written[key]}; remove one")
                continue
            written[key] = self.lines[(*place, key)] = _line(key_node)
            data[key] = self.build(value_node, (*place, key))
        return data

    def _merged(self, node: yaml.Node, place: Place) -> dict[str | int, Any]:
        if isinstance(node, yaml.MappingNode):
            self._count += 1
            return self._mapping(node, place)
        self._complain(node, "`<<` merges mappings only")
        return {}

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str" | "merge":
                return text
            case "null":
                return None
            case "bool":
                return text == "true"
            case "int":
                return int(text, 0)
            case "float":
                return float(text.replace(".inf", "inf").replace(".nan", "nan"))
            case tag:
                self._complain(node, f"the tag {tag!r} means nothing here; remove it")
                return text

    def _complain(self, node: yaml.Node, what: str) -> None:
        self.problems.append(Problem(f"{self._path}:{_line(node)}", what))


def _syntax_problems(path: Path, text: str, exc: yaml.YAMLError) -> list[Problem]:
    tabs = [number for number, line in enumerate(text.splitlines(), 1) if "\t" in line[: len(line) - len(line.lstrip())]]
    if tabs:
        return [Problem(f"{path}:{number}", "a tab indents this line, which YAML forbids; use spaces") for number in tabs]
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        what = f"is not YAML here: {exc.problem}" + (f" ({exc.context})" if exc.context else "")
        return [Problem(f"{path}:{exc.problem_mark.line + 1}", f"{what}; check quotes, brackets and indentation")]
    return [Problem(str(path), f"is not YAML: {exc}")]


def _dotted(place: Iterable[str | int]) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _sentence(detail: pydantic_core.ErrorDetails, model: type[BaseModel]) -> str:
    """Say what is wrong and what to do, in the words of the file rather than pydantic's."""
    loc, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        known = sorted(_keys_at(model, loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        return f"is not a known key; did you mean {near[0]!r}?" if near else f"is not a known key; the keys here are {', '.join(known)}"
    if kind == "missing":
        return "is missing; add it"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if message.startswith(("Input ", "String ", "List ", "Dictionary ")) else message
    given = detail["input"]
    if kind == "value_error" or isinstance(given, dict | list):
        return message
    hint = "; put it in quotes" if kind == "string_type" and isinstance(given, int | float | bool) else ""
    return f"{message}, not {given!r}{hint}"


def _keys_at(model: type[BaseModel], loc: tuple[str | int, ...]) -> set[str]:
    """Return the keys a model allows at a location, through lists, mappings and unions."""
    here: list[Any] = [model]
    for step in loc:
        # A step may name the branch of a union that was taken, or what a validator is called, rather than a key of the file.
        here = [found for kind in here for found in _inside(kind, step) or _tagged(kind, step)] or here
    return {f.alias or name for kind in here for k in _alternatives(kind) if _is_model(k) for name, f in k.model_fields.items()}


def _inside(kind: Any, step: str | int) -> list[Any]:
    found: list[Any] = []
    for choice in _alternatives(kind):
        arguments = typing.get_args(choice)
        if _is_model(choice):
            found += [f.annotation for name, f in choice.model_fields.items() if step in (name, f.alias)]
        elif typing.get_origin(choice) in (dict, Mapping) and len(arguments) == 2:
            found.append(arguments[1])
        elif typing.get_origin(choice) in (list, tuple) and isinstance(step, int):
            found.append(arguments[0])
    return found


def _tagged(kind: Any, tag: str | int) -> list[Any]:
    if typing.get_origin(kind) is Annotated and Tag(str(tag)) in kind.__metadata__:
        return [kind]
    inner = typing.get_args(kind)[:1] if typing.get_origin(kind) is Annotated else typing.get_args(kind)
    return [found for part in inner for found in _tagged(part, tag)]


def _alternatives(kind: Any) -> list[Any]:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _alternatives(typing.get_args(kind)[0])
    if origin in (typing.Union, types.UnionType):
        return [choice for part in typing.get_args(kind) for choice in _alternatives(part)]
    return [kind]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
