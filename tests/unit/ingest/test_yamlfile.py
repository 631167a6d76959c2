"""What a YAML file says, on which line, and every problem with it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Discriminator, Field, Tag, field_validator

from ingest.yamlfile import DurationNs, Name, Strict, duration_ns, duration_text, load_yaml, read_yaml
from market.errors import ConfigError


class Meter(Strict):
    name: Name
    every: DurationNs = 1
    ratio: float = 1.0

    @field_validator("ratio")
    @classmethod
    def _positive(cls, value: float) -> float:
        if value <= 0:
            raise ValueError(f"{value:g} turns nothing into nothing; give a positive ratio")
        return value


class Lamp(Strict):
    name: Name
    watts: int


Thing = Annotated[
    Annotated[Meter, Tag("meter")] | Annotated[Lamp, Tag("lamp")],
    Discriminator(lambda value: "lamp" if "watts" in value else "meter"),
]


class Site(Strict):
    title: str
    things: list[Thing] = Field(default_factory=list)
    by_name: dict[str, Meter] = Field(default_factory=dict)


def problems_of(tmp_path: Path, text: str, model: type[Strict] = Site) -> list[str]:
    path = tmp_path / "site.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, model)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_reads_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("title: North\nthings:\n- {name: 7, every: 1.5s}\n- {name: hall, watts: 60}\n")
    site = read_yaml(path, Site)
    meter, lamp = site.things
    assert isinstance(meter, Meter)
    assert (meter.name, meter.every, meter.ratio) == ("7", 1_500_000_000, 1.0)
    assert isinstance(lamp, Lamp)
    assert (lamp.name, lamp.watts) == ("hall", 60)


def test_every_problem_is_reported_with_its_line(tmp_path: Path) -> None:
    text = "things:\n  - name: a\n    evry: 4s\n  - {name: b, watts: many}\n  - name: c\n    ratio: -1\nby_name:\n  d:\n    every: 4\n"
    assert problems_of(tmp_path, text) == [
        "site.yaml:1: title: is missing; add it",
        "site.yaml:3: things[0].evry: is not a known key; did you mean 'every'?",
        "site.yaml:4: things[1].watts: input should be a valid integer, unable to parse string as an integer, not 'many'",
        "site.yaml:6: things[2].ratio: -1 turns nothing into nothing; give a positive ratio",
        "site.yaml:8: by_name.d.name: is missing; add it",
        "site.yaml:9: by_name.d.every: 4 is not a length of time; write a number and a unit: 500ms, 4s, 1m or 1h",
    ]


def test_an_unknown_key_unlike_any_other_lists_the_known_ones(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "title: x\nthings: [{name: l, watts: 3, colour: red}]\n")
    assert problem == "site.yaml:2: things[0].colour: is not a known key; the keys here are name, watts"


def test_keys_given_twice_are_all_found(tmp_path: Path) -> None:
    text = "title: x\nby_name:\n  a: {name: a}\n  a: {name: b}\ntitle: y\n"
    assert problems_of(tmp_path, text) == [
        "site.yaml:4: 'a' is given twice, first on line 3; remove one",
        "site.yaml:5: 'title' is given twice, first on line 1; remove one",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "site.yaml: is empty; it must hold a mapping, `key: value`"),
        ("- a\n", "site.yaml:1: holds a list, not a mapping; begin with `key: value`"),
        ("title\n", "site.yaml:1: holds a single value, not a mapping; begin with `key: value`"),
        ("title: x\nthings:\n\t- {name: a}\n", "site.yaml:3: a tab indents this line, which YAML forbids; use spaces"),
        ("title: !!python/object:os.system x\n", "site.yaml:1: the tag 'python/object:os.system' means nothing here; remove it"),
        ("title: &x [*x]\n", "site.yaml:1: unfolds without end; an alias must not contain itself"),
        ("? [a, b]\n: c\n", "site.yaml:1: a key must be text; put it in quotes"),
        ("title: 3\n", "site.yaml:1: title: input should be a valid string, not 3; put it in quotes"),
        ("title: x\nthings: [{name: 1.10}]\n", "site.yaml:2: things[0].name: 1.1 is read as a float; put the name in quotes"),
    ],
)
def test_what_is_refused_is_refused_clearly(tmp_path: Path, text: str, problem: str) -> None:
    assert problems_of(tmp_path, text) == [problem]


def test_broken_syntax_names_the_line(tmp_path: Path) -> None:
    [problem] = problems_of(tmp_path, "title: x\nthings: [a, b\nby_name: {}\n")
    assert problem.startswith("site.yaml:3: is not YAML here: ")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"title: caf\xe9\n")
    for path, what in [
        (tmp_path / "none.yaml", "there is no such file; give the path of a YAML file"),
        (tmp_path, "cannot be read: Is a directory"),
        (latin, "is not UTF-8 text (byte 10); save it as UTF-8"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_yaml(path)
        assert [str(problem) for problem in caught.value.problems] == [f"{path}: {what}"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("on", "on"),
        ("true", True),
        ("~", None),
        ("", None),
        ("007", "007"),
        ("7", 7),
        ("-12", -12),
        ("0x1F", 31),
        ("0o17", 15),
        ("1:30", "1:30"),
        ("2026-06-10", "2026-06-10"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.10", 1.1),
        ("-.inf", float("-inf")),
        ("101_CT_1", "101_CT_1"),
        ("1_000", "1_000"),
        ('"7"', "7"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(f"x: {text}\n")
    data = load_yaml(path).data["x"]
    assert (data, type(data)) == (value, type(value))


def test_merged_mappings_give_way_to_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("base: &base {a: 1, b: 2}\nthis:\n  <<: *base\n  b: 3\n")
    located = load_yaml(path)
    assert located.data["this"] == {"a": 1, "b": 3}
    assert located.where("this", "b") == f"{path}:4"


def test_a_place_that_is_not_in_the_file_is_shown_by_what_is_around_it(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a:\n  b:\n  - 1\n  - 2\n")
    located = load_yaml(path)
    assert located.where("a", "b", 1) == f"{path}:4"
    assert located.where("a", "b", 7, "c") == f"{path}:2"
    assert str(located.problem("is odd; even it out", "a", "b", 1)) == f"{path}:4: a.b[1]: is odd; even it out"


@pytest.mark.parametrize(("text", "ns"), [("500ms", 500_000_000), ("4s", 4 * 10**9), ("1m", 60 * 10**9), ("2 h", 7200 * 10**9)])
def test_lengths_of_time(text: str, ns: int) -> None:
    assert duration_ns(text) == ns
    assert duration_ns(duration_text(ns)) == ns


@pytest.mark.parametrize("text", ["4", 4, "s", "0s", "-1s", "4 sec", None])
def test_what_is_no_length_of_time(text: object) -> None:
    with pytest.raises(ValueError, match=r"length of time|no time at all"):
        duration_ns(text)
