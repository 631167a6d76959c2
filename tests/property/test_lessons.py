"""What a device taught is read back as it was written, and nothing else is taken for it; texts it keeps can always be shown."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingest.devices import Kind
from ingest.modbus.attributes import text_of
from ingest.modbus.lessons import Lessons
from ingest.modbus.plan import Barred

gaps = st.builds(Barred, st.sampled_from(list(Kind)), st.integers(0, 65535), st.integers(0, 65536))


@given(
    st.builds(
        Lessons,
        st.dictionaries(st.text(max_size=8), st.integers(0, 2**62), max_size=4),
        st.sets(gaps, max_size=4),
        st.dictionaries(st.sampled_from(list(Kind)), st.integers(1, 2000)),
        st.none() | st.integers(0, 2**62),
    )
)
def test_lessons_read_back_as_they_were_written(lessons: Lessons) -> None:
    assert Lessons.decode(lessons.encode()) == lessons


@given(st.binary(max_size=80))
def test_what_are_no_lessons_is_learned_again(raw: bytes) -> None:
    assert Lessons.decode(raw) is None


@given(st.binary(max_size=250).filter(lambda data: len(data) % 2 == 0), st.booleans())
def test_whatever_bytes_are_a_text_that_can_be_shown(data: bytes, swapped: bool) -> None:
    text = text_of(data, swapped=swapped)
    assert text.isprintable()
    assert text == text.strip()
