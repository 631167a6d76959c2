"""Paths: what they mean, and what is none."""

from __future__ import annotations

import pytest

from ingest.opcua.browsepath import BrowsePath, is_browse_path


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("browse:/Objects", [(None, None, "Objects")]),
        ("browse:/a/nsu=http://x/y;b c/ns=3;d", [(None, None, "a"), ("http://x/y", None, "b c"), (None, 3, "d")]),
        ("browse:/a&/b/c&*d", [(None, None, "a/b"), (None, None, "c*d")]),
        ("browse:/a*/?b/c", [(None, None, None), (None, None, None), (None, None, "c")]),
    ],
)
def test_what_a_path_means(text: str, steps: list[tuple[str | None, int | None, str | None]]) -> None:
    assert is_browse_path(text)
    assert [(each.uri, each.index, each.literal) for each in BrowsePath.parsed(text).elements] == steps


@pytest.mark.parametrize(
    ("pattern", "fitting", "unfitting"),
    [
        ("F*", ["F", "F1", "F1.2"], ["f1", "GF"]),
        ("F?", ["F1", "F."], ["F", "F12"]),
        ("*.P", ["a.P", ".P"], ["aP", "a.Px"]),
        ("a&*?", ["a*b"], ["abb", "a*"]),
    ],
)
def test_wildcards(pattern: str, fitting: list[str], unfitting: list[str]) -> None:
    [element] = BrowsePath.parsed(f"browse:/{pattern}").elements
    assert [name for name in fitting + unfitting if element.pattern.fullmatch(name)] == fitting


@pytest.mark.parametrize("text", ["browse:", "browse:Objects", "browse://P", "browse:/a/", "browse:/a/**", "browse:/a&"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a path; write|does not say which variable"):
        BrowsePath.parsed(text)
