"""Which limits a flow pattern breaks, on grids small enough to see it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from market.errors import CaseError
from market.grid import Topology
from market.monitor import NO_KEY, LimitKind, Monitor, Section
from market.outages import Contingencies
from tests.kit.grids import network

TRIANGLE = [("1", "2", 0.1, 100.0), ("1", "3", 0.1, 100.0), ("2", "3", 0.1, 100.0)]
NONE = np.zeros(0, dtype=np.int64)


def topology(*open_branches: str, lines=TRIANGLE) -> Topology:
    net = network(sorted({end for line in lines for end in line[:2]}), lines)
    return Topology(net, np.array([name not in open_branches for name in net.branch_ids]))


def named(monitor, keys):
    """Spell keys out: kind, element, outage."""
    rows = monitor.rows(keys)
    branch = monitor.topology.network.branch_ids
    return [
        (kind.value, monitor.sections[e].id if kind is LimitKind.SECTION else branch[e], *([branch[o]] if o >= 0 else []))
        for kind, e, o in zip(rows.kind, rows.element, rows.outage, strict=True)
    ]


def test_lines_are_found_in_both_directions_the_worst_first():
    monitor = Monitor(topology())
    keys = monitor.violated(np.array([-104.0, 100.0, 109.0]), NONE, 1e-3)
    assert named(monitor, keys) == [("line", "L3"), ("line", "L1")]
    assert monitor.beyond(np.array([-104.0, 100.0, 109.0]), keys).tolist() == [9.0, -4.0]
    assert monitor.violated(np.array([-104.0, 100.0, 109.0]), np.array([2]), 1e-3).tolist() == [0]
    assert monitor.violated(np.array([-104.0, 100.0, 109.0]), NONE, 5.0).tolist() == [2]
    assert monitor.violated(np.array([-104.0, 100.0, 109.0]), NONE, 1e-3, lines_max=1).tolist() == [2]


def test_a_section_is_the_weighted_sum_of_its_members():
    section = Section("north", (("L1", 1.0), ("L3", -0.5)), low_mw=-20.0, high_mw=60.0)
    monitor = Monitor(topology(), (section,))
    flow = np.array([80.0, 90.0, 20.0])  # 80 − 10 = 70
    keys = monitor.violated(flow, NONE, 1e-3)
    assert named(monitor, keys) == [("section", "north")]
    assert monitor.beyond(flow, keys).tolist() == [10.0]
    assert monitor.beyond(-flow, keys).tolist() == [-50.0]
    rows = monitor.rows(keys)
    assert rows.coefficients.toarray().tolist() == [[1.0, 0.0, -0.5]]
    assert (rows.low_mw.tolist(), rows.high_mw.tolist()) == ([-20.0], [60.0])


def test_an_outage_is_looked_at_when_lines_and_sections_hold():
    topo = topology()
    monitor = Monitor(topo, (), Contingencies(topo))
    flow = np.array([60.0, 90.0, 0.0])
    # Should L1 (1-2) trip, L2 (1-3) carries 60 more and L3 (2-3) 60 less; should L2 trip, L1 and L3 carry 90 more. At most 130.
    keys = monitor.violated(flow, NONE, 1e-3)
    assert named(monitor, keys) == [("n-1", "L1", "L2"), ("n-1", "L2", "L1")]
    assert monitor.beyond(flow, keys).tolist() == pytest.approx([20.0, 20.0])
    rows = monitor.rows(keys)
    np.testing.assert_allclose(rows.coefficients.toarray(), [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]], atol=1e-12)
    assert (rows.low_mw.tolist(), rows.high_mw.tolist()) == ([-130.0] * 2, [130.0] * 2)
    assert monitor.violated(flow, NONE, 1e-3, screen_outages=False).tolist() == []
    assert named(monitor, monitor.violated(flow, np.sort(keys)[:1], 1e-3)) == [("n-1", "L1", "L2")]
    broken = np.array([60.0, 110.0, 0.0])
    assert named(monitor, monitor.violated(broken, NONE, 1e-3)) == [("line", "L2")]
    assert ("n-1", "L1", "L2") in named(monitor, monitor.violated(broken, np.array([1]), 1e-3))


def test_each_line_is_given_at_most_so_many_outages_at_once():
    topo = topology(lines=[("1", "2", 0.1, 100.0)] * 4)
    monitor = Monitor(topo, (), Contingencies(topo, emergency_factor=1.0))
    flow = np.array([90.0, 93.0, 96.0, 99.0])  # a third of any one goes to each other
    keys = monitor.violated(flow, NONE, 1e-3, per_line_outages_max=1)
    assert named(monitor, keys) == [("n-1", "L4", "L3"), ("n-1", "L3", "L4"), ("n-1", "L2", "L4"), ("n-1", "L1", "L4")]
    assert len(monitor.violated(flow, NONE, 1e-3)) == 8
    assert len(monitor.violated(flow, NONE, 1e-3, per_line_outages_max=9)) == 12


def test_the_worst_of_all_limits_looks_at_outages_even_when_lines_are_broken():
    topo = topology()
    monitor = Monitor(topo, (), Contingencies(topo))
    flow = np.array([60.0, 110.0, 0.0])
    worst, key = monitor.worst_mw(flow)
    assert worst == pytest.approx(40.0)
    assert named(monitor, np.array([key])) in ([("n-1", "L1", "L2")], [("n-1", "L2", "L1")])
    pairs = np.sort(monitor.violated(flow, np.array([1]), 1e-3))
    assert monitor.worst_mw(flow, besides=pairs) == (pytest.approx(10.0), 1)
    assert monitor.worst_mw(flow, besides=np.sort(np.concatenate([[1], pairs]))) == (0.0, NO_KEY)
    assert monitor.worst_mw(np.zeros(3)) == (0.0, NO_KEY)


def test_a_flow_that_is_no_number_breaks_its_limit():
    monitor = Monitor(topology())
    assert monitor.violated(np.array([0.0, np.nan, 0.0]), NONE, 1e-3).tolist() == [1]
    assert monitor.worst_mw(np.array([0.0, np.nan, 0.0])) == (np.inf, 1)


def test_what_is_not_watched_and_what_is_open_has_no_limit():
    topo = topology("L3")
    watched = np.array([False, True, True])
    monitor = Monitor(topo, (), None, watched)
    assert monitor.violated(np.array([500.0, 0.0, 0.0]), NONE, 1e-3).tolist() == []
    assert monitor.rows(np.array([2])).high_mw.tolist() == [np.inf]
    closed = topology()
    pairs = Monitor(closed, (), Contingencies(closed), watched)
    flow = np.array([60.0, 90.0, 0.0])
    assert named(pairs, pairs.violated(flow, NONE, 1e-3)) == [("n-1", "L2", "L1")]


def test_keys_outlive_a_topology_and_say_what_is_gone():
    closed, opened = topology(), topology("L3")
    before, after = Monitor(closed, (), Contingencies(closed)), Monitor(opened, (), Contingencies(opened))
    keys = before.violated(np.array([60.0, 90.0, 0.0]), NONE, 1e-3)
    assert before.holds(keys).all()
    assert before.n == after.n
    assert not after.holds(keys).any()  # without L3 each of the others is a bridge
    assert before.holds(np.array([0, 2, -1, before.n - 1])).tolist() == [True, True, False, False]
    assert Monitor(closed).holds(keys).tolist() == [False, False]


def test_no_limits_give_no_rows():
    topo = topology()
    monitor = Monitor(topo, (), Contingencies(topo))
    rows = monitor.rows(NONE)
    assert rows.kind == ()
    assert rows.coefficients.shape == (0, 3)
    assert topo.ptdf_of(rows.coefficients).shape == (0, 3)
    assert monitor.beyond(np.zeros(3), NONE).shape == (0,)


def test_ties_are_ordered_by_name_whatever_the_order_of_the_branches():
    lines = [("1", "2", 0.1, 100.0), ("1", "3", 0.1, 100.0), ("2", "3", 0.1, 100.0)]
    net = network(("1", "2", "3"), lines)
    for names in (("a", "b", "c"), ("c", "a", "b"), ("b", "c", "a")):
        topo = Topology(replace(net, branch_ids=names), np.ones(3, dtype=np.bool_))
        keys = Monitor(topo).violated(np.full(3, 104.0), NONE, 1e-3)
        assert [names[k] for k in keys] == ["a", "b", "c"]


def test_ptdf_of_weighted_sums():
    topo = topology()
    monitor = Monitor(topo, (Section("cut", (("L2", 1.0), ("L3", 1.0)), -50.0, 50.0),), Contingencies(topo))
    rows = monitor.rows(np.array([3, 0, 4 + 3 * 1 + 0]))
    want = rows.coefficients.toarray() @ topo.ptdf(np.arange(3))
    np.testing.assert_allclose(topo.ptdf_of(rows.coefficients), want, atol=1e-12)
    # Everything that leaves bus 3 crosses the cut; what is put in at the reference bus 1 stays there.
    np.testing.assert_allclose(want[0], [0.0, 0.0, -1.0], atol=1e-12)


def test_the_hash_names_all_that_decides():
    topo = topology()
    section = Section("cut", (("L2", 1.0), ("L3", 1.0)), -50.0, 50.0)
    monitors = [
        Monitor(topo),
        Monitor(topology("L1")),
        Monitor(topo, (section,)),
        Monitor(topo, (replace(section, high_mw=51.0),)),
        Monitor(topo, (replace(section, members=(("L2", 1.0), ("L3", -1.0))),)),
        Monitor(topo, (), Contingencies(topo)),
        Monitor(topo, (), None, np.array([True, True, False])),
    ]
    assert len({monitor.hash for monitor in monitors}) == len(monitors)
    turned = replace(section, members=section.members[::-1], low_mw=np.float64(-50.0))
    assert Monitor(topo, (turned,)).hash == monitors[2].hash


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": ()}, "section cut: it has no members"),
        ({"members": (("L1", 1.0), ("L1", 1.0))}, "branches named twice: L1"),
        ({"members": (("L1", 0.0),)}, "0 or no number: L1"),
        ({"members": (("L1", float("nan")),)}, "0 or no number: L1"),
        ({"low_mw": 60.0}, "low_mw 60.0 and high_mw 50.0 exclude each other"),
        ({"high_mw": float("nan")}, "exclude each other"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(CaseError, match=message):
        replace(Section("cut", (("L1", 1.0),), -50.0, 50.0), **change)


def test_what_does_not_fit_the_topology_is_refused():
    topo = topology()
    section = Section("cut", (("L9", 1.0),), -50.0, 50.0)
    with pytest.raises(CaseError, match="section cut: the network has no branch L9"):
        Monitor(topo, (section,))
    with pytest.raises(CaseError, match="section names used twice: cut"):
        Monitor(topo, (replace(section, members=(("L1", 1.0),)),) * 2)
    with pytest.raises(CaseError, match="belong to another topology"):
        Monitor(topo, (), Contingencies(topology()))
    with pytest.raises(CaseError, match=r"watched has \(2,\) entries for 3 branches"):
        Monitor(topo, (), None, np.ones(2, dtype=np.bool_))
