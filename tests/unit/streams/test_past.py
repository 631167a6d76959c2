"""What points said lately, kept as columns: what is asked for comes back as it was said, point by point."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.points import PointSpec, PointTable
from streams.past import UNKNOWN, Past, Pasts, Said, Samples

TABLE = PointTable(PointSpec(name=f"switch/A{n}/from", area="1", device=f"d{n}", period_ns=10**9) for n in range(3))
ALL = np.ones(3, dtype=bool)


def samples(ts_ns: int, *said: tuple[int, int, bool]) -> Samples:
    """Samples of one instant, (row, state before, state), as a frame brings them; those that are changes were told."""
    rows, was, state = zip(*said, strict=True)
    before, after = np.array(was, dtype=np.int8), np.array(state)
    instant, value = np.full(len(rows), ts_ns), np.where(after, 1.0, 2.0)
    return Samples(np.array(rows, dtype=np.int64), instant, value, before, after, after != before)


def pasts() -> Pasts:
    made = Pasts()
    made.note(samples(10, (0, UNKNOWN, False), (1, 0, True)))
    made.note(samples(20, (1, 1, True)))
    made.note(samples(30, (0, 0, True), (1, 1, False)))
    return made


def of(made: Pasts, row: int) -> Past | None:
    taken = made.taken_out(np.array([row]))
    made.put(taken)
    return taken.get(row)


def test_a_point_s_past_is_what_it_said_in_order_after_what_it_was_before() -> None:
    assert of(pasts(), 0) == Past(None, [Said(10, 2.0, state=False, told=True), Said(30, 1.0, state=True, told=True)])
    assert of(pasts(), 1) == Past(
        before=False,
        said=[Said(10, 1.0, state=True, told=True), Said(20, 1.0, state=True), Said(30, 2.0, state=False, told=True)],
    )
    assert of(pasts(), 2) is None


def test_what_was_taken_out_and_put_back_is_there_and_goes_on() -> None:
    made = pasts()
    taken = made.taken_out(np.array([1, 2]))
    taken[1].said.insert(1, Said(15, 2.0, state=False, told=True))
    made.put(taken)
    made.note(samples(40, (1, 0, True)))
    past = of(made, 1)
    assert past is not None
    assert [said.ts_ns for said in past.said] == [10, 15, 20, 30, 40]
    assert of(made, 0) == of(pasts(), 0)


def test_each_point_forgets_below_the_watermark_of_its_device_but_not_what_it_was() -> None:
    made = pasts()
    made.forget(np.array([30, 20, 0]), np.arange(3))
    assert of(made, 0) == Past(before=False, said=[Said(30, 1.0, state=True, told=True)])
    past = of(made, 1)
    assert past is not None
    assert (past.before, [said.ts_ns for said in past.said]) == (True, [20, 30])
    made.forget(np.array([31, 20, 0]), np.arange(3))
    assert of(made, 0) is None


def test_a_past_that_was_changed_is_forgotten_from_its_old_end_as_well() -> None:
    made = pasts()
    taken = made.taken_out(np.array([1]))
    taken[1].said.insert(1, Said(15, 2.0, state=False, told=True))
    made.put(taken)
    made.forget(np.array([0, 20, 0]), np.arange(3))
    past = of(made, 1)
    assert past is not None
    assert past.before is False, "what it was at 15"


def test_what_is_written_down_is_read_back_without_points_that_went() -> None:
    again = Pasts()
    again.restore(pasts().encode(TABLE), TABLE, ALL)
    assert again.encode(TABLE) == pasts().encode(TABLE)
    fewer = PointTable(spec for spec in TABLE.specs if spec is not TABLE.specs[0])
    again.restore(pasts().encode(TABLE), fewer, ALL[:2])
    assert of(again, 0) == of(pasts(), 1)
    again.restore(pasts().encode(TABLE), TABLE, ~ALL)
    assert of(again, 0) is None


def test_columns_that_do_not_fit_are_refused() -> None:
    point, *others = pasts().encode(TABLE)
    with pytest.raises(ValueError, match="different lengths"):
        Pasts().restore((point[:-8], *others), TABLE, ALL)  # type: ignore[arg-type]
