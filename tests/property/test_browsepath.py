"""A browse path can name whatever a node is called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.opcua.browsepath import BrowsePath


@given(st.text(min_size=1))
def test_every_name_can_be_written(name: str) -> None:
    written = "".join(f"&{letter}" if letter in "&/*?;=" else letter for letter in name)
    [element] = BrowsePath.parsed(f"browse:/{written}").elements
    assert element.literal == name
    assert element.pattern.fullmatch(name)
