"""What a case file says, and what of it is refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from market import matpower
from market.errors import CaseError
from market.grid import Topology
from market.offers import Quadratic, Segment
from market.rts_gmlc import SHIPPED

PGLIB = SHIPPED.parent / "pglib"

TEXT = """function mpc = tiny
mpc.version = '2';
mpc.baseMVA = 100;   % MVA
%% bus data
mpc.bus = [
\t1\t3\t10\t0\t1.5\t0\t1\t1\t0\t220\t1\t1.1\t0.9;
\t2, 1, 90, 0, 0, 0, 2, 1, 0, 220, 1, 1.1, 0.9;
\t7\t4\t50\t0\t0\t0\t1\t1\t0\t220\t1\t1.1\t0.9;   % isolated
];
mpc.gen = [
\t1\t0\t0\t0\t0\t1\t100\t1\t80\t10;
\t2\t0\t0\t0\t0\t1\t100\t1\t60\t0;
\t2\t0\t0\t0\t0\t1\t100\t0\t99\t0;
\t7\t0\t0\t0\t0\t1\t100\t1\t99\t0;
];
mpc.gencost = [
\t2\t0\t0\t3\t0.02\t10\t5\t0\t0\t0;
\t1\t0\t0\t3\t0\t0\t20\t200\t60\t1000;
\t2\t0\t0\t2\t7\t0\t0\t0\t0\t0;
\t2\t0\t0\t2\t7\t0\t0\t0\t0\t0;
];
mpc.branch = [
\t1\t2\t0.01\t0.1\t0\t50\t60\t70\t0\t0\t1\t-30\t30;
\t1\t2\t0.01\t0.1\t0\t0\t0\t0\t1.05\t10\t1\t-360\t360;
\t1\t2\t0.01\t0.1\t0\t50\t0\t0\t0\t0\t0\t0\t0;
\t2\t7\t0.01\t0.1\t0\t50\t0\t0\t0\t0\t1\t0\t0;
];
"""


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new, 1)


def test_a_whole_case():
    case = matpower.parse_case(TEXT)
    net = case.network
    assert net.bus_ids == ("1", "2", "7")
    assert net.bus_area == ("1", "2", "1")
    assert net.branch_ids == ("1", "2", "3", "4")
    assert net.rate_mw.tolist() == [50.0, np.inf, 50.0, 50.0]
    assert net.rate_emergency_mw.tolist() == [70.0, np.inf, np.inf, np.inf]
    assert net.tap.tolist() == [1.0, 1.05, 1.0, 1.0]
    assert net.shift_rad.tolist() == pytest.approx([0.0, np.pi / 18, 0.0, 0.0])
    assert net.angle_max_rad.tolist() == pytest.approx([np.pi / 6, np.inf, np.inf, np.inf])
    assert case.in_service.tolist() == [True, True, False, False]  # the last ends at an isolated bus
    assert case.load_mw.tolist() == [10.0, 90.0, 0.0]
    assert case.shunt_mw.tolist() == [1.5, 0.0, 0.0]
    assert [unit.id for unit in case.units] == ["1", "2", "3", "4"]
    assert [unit.area for unit in case.units] == ["1", "2", "2", "1"]
    assert case.units_off == ("3", "4")


@pytest.mark.parametrize("x", ["0", "1e-30"])
def test_a_branch_without_reactance_joins_its_buses(x):
    case = matpower.parse_case(changed("0.01\t0.1\t0\t50\t60", f"0.01\t{x}\t0\t50\t60"))
    topology = Topology(case.network, case.in_service)
    assert topology.busbars is not None
    assert topology.busbars.branches.tolist() == [0]
    assert topology.limit_high_mw[0] == 50.0
    # The phase shifter beside it circulates through it, and cannot push power anywhere else.
    flow = topology.flows_mw(np.array([10.0, -10.0, 0.0]))
    assert flow[:2].sum() == pytest.approx(10.0)
    assert flow[1] == pytest.approx(-100 / (0.1 * 1.05) * np.pi / 18)


def test_a_quadratic_cost_keeps_its_constant():
    unit = matpower.parse_case(TEXT).units[0]
    assert unit.quadratic == Quadratic(linear_per_mwh=10.0, curvature_per_mw2h=0.02)
    assert unit.cost_at_min_per_h == pytest.approx(0.02 * 100 + 10 * 10 + 5)


def test_a_linear_cost_is_one_segment():
    unit = matpower.parse_case(changed("\t0.02\t10\t5", "\t0\t10\t5")).units[0]
    assert unit.segments == (Segment(70.0, 10.0),)
    assert unit.cost_at_min_per_h == pytest.approx(105.0)


@pytest.mark.parametrize(
    ("p_min", "p_max", "at_min", "segments"),
    [
        (0, 60, 0.0, ((20.0, 10.0), (40.0, 20.0))),
        (5, 30, 50.0, ((15.0, 10.0), (10.0, 20.0))),
        (30, 30, 400.0, ()),
        (20, 80, 200.0, ((60.0, 20.0),)),  # the last piece goes on beyond its end
    ],
)
def test_a_piecewise_cost_is_cut_to_the_range(p_min, p_max, at_min, segments):
    unit = matpower.parse_case(changed("1\t100\t1\t60\t0;", f"1\t100\t1\t{p_max}\t{p_min};")).units[1]
    assert unit.cost_at_min_per_h == pytest.approx(at_min)
    assert [s.mw for s in unit.segments] == pytest.approx([mw for mw, _ in segments])
    assert [s.price_per_mwh for s in unit.segments] == pytest.approx([price for _, price in segments])


def test_names_of_units_where_the_case_has_them():
    names = "mpc.gen_name = {\n\t'A1'\t'CT';\n\t'A2'\t'CT';\n\t'A3'\t'CT';\n\t'A4'\t'CT';\n};\n"
    assert [unit.id for unit in matpower.parse_case(TEXT + names).units] == ["A1", "A2", "A3", "A4"]


def test_a_row_continued_over_two_lines_and_windows_line_ends():
    text = changed("\t2, 1, 90, 0, 0,", "\t2, 1, 90, ... the load\n\t0, 0,").replace("\n", "\r\n")
    assert matpower.parse_case(text).load_mw.tolist() == [10.0, 90.0, 0.0]
    with pytest.raises(CaseError, match=r"case:13: mpc.gen, row 2"):  # the broken row pushed it down by one
        matpower.parse_case(text.replace("\t2\t0\t0\t0\t0\t1\t100\t1\t60\t0;", "\t9\t0\t0\t0\t0\t1\t100\t1\t60\t0;"))


@pytest.mark.parametrize("block", ["1 2 3;\n4,5 6;\n", "1 2 3\n\n4 5 6", "\t1\t2\t3;4 5 6;;\n", "-1e3 .5 +2;\n0 0 0"])
def test_the_quick_way_and_the_careful_way_read_the_same(block):
    np.testing.assert_array_equal(matpower._even(block), matpower._row_by_row(block, 1, "{}", 3))


@pytest.mark.parametrize("block", ["1 2 NaN 4 5;", "1 2 Inf;", "1 2;\n3;", "1 two;", "", ";\n;"])
def test_what_is_out_of_the_ordinary_is_left_to_the_careful_way(block):
    assert matpower._even(block) is None


def test_an_infinite_limit_is_read_wherever_it_stands():
    plain, infinite = matpower.parse_case(TEXT), matpower.parse_case(changed("0.1\t0\t0\t0\t0\t1.05", "0.1\t0\tInf\t0\t0\t1.05"))
    assert plain.network.digest == infinite.network.digest
    assert plain.units == infinite.units


def test_plain_and_gzipped_files(tmp_path):
    (tmp_path / "tiny.m").write_text(TEXT)
    (tmp_path / "tiny.m.gz").write_bytes(gzip.compress(TEXT.encode()))
    plain, packed = matpower.read_case(tmp_path / "tiny.m"), matpower.read_case(tmp_path / "tiny.m.gz")
    assert plain.network.digest == packed.network.digest
    assert plain.name == "tiny.m"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (changed("mpc.baseMVA = 100;", "mpc.baseMVA = abc;"), r"mpc\.baseMVA is missing or no positive number"),
        (changed("mpc.baseMVA = 100;", "mpc.baseMVA = 0;"), r"mpc\.baseMVA is missing or no positive number"),
        (changed("mpc.gencost = [", "mpc.cost = ["), r"mpc\.gencost is missing"),
        (changed("];\nmpc.gencost", "\nmpc.gencost"), r"case:10: mpc\.gen is not closed"),
        (TEXT.removesuffix("];\n"), r"case:22: mpc\.branch is not closed"),
        (TEXT + "mpc.bus = [ 1 ];\n", r"case:28: mpc\.bus is given twice"),
        (changed("\t1\t3\t10", "\t1\t3\tten"), r"case:6: mpc\.bus: 'ten' is no number"),
        (changed("\t1\t3\t10", "\t1\t10"), r"case:7: mpc\.bus: a row of 13 values, expected 12|case:6: mpc\.bus: a row of 12 values"),
        (changed("1\t1.1\t0.9;   % isolated", "1\t1.1;   % isolated"), r"case:8: mpc\.bus: a row of 12 values, expected 13"),
        (changed("\t1\t3\t10", "\t1\t3\tNaN"), r"case:6: mpc\.bus, row 1: holds NaN"),
        (changed("\t1\t3\t10", "\t1\t3\t1e13"), r"case:6: mpc\.bus, row 1: holds NaN or a number beyond 1e\+12"),
        (changed("\t1\t3\t10", "\tInf\t3\t10"), r"case:6: mpc\.bus, row 1: its bus number is infinite"),
        (changed("\t1\t3\t10", "\t1\t3\tInf"), r"case:6: mpc\.bus, row 1: Pd or Gs is no number"),
        (changed("\t0.02\t10", "\tInf\t10"), r"case:17: mpc\.gencost, row 1: holds an infinite cost"),
        (changed("\t7\t4\t50", "\t2\t4\t50"), r"case:8: mpc\.bus, row 3: bus 2 is given twice"),
        (changed("\t2\t7\t0.01", "\t2\t8\t0.01"), r"case:26: mpc\.branch, row 4: a branch ends at bus 8"),
        (changed("1\t80\t10;", "1\t80\t90;"), r"case:11: mpc\.gen, row 1: unit 1: p_min 90.0 MW above p_max 80.0 MW"),
        (changed("\t0.02\t10", "\t-0.02\t10"), r"case:11: mpc\.gen, row 1: unit 1: .*make it convex"),
        (changed("20\t200\t60\t1000", "20\t200\t60\t300"), r"case:18: mpc\.gencost, row 2: the cost curve is not convex"),
        (changed("20\t200\t60\t1000", "20\t200\t20\t1000"), r"case:18: .* do not rise in MW"),
        (changed("\t2\t0\t0\t3\t0.02", "\t3\t0\t0\t3\t0.02"), r"case:17: mpc\.gencost, row 1: cost model 3"),
        (changed("\t2\t0\t0\t3\t0.02\t10\t5\t0", "\t2\t0\t0\t4\t1\t0.02\t10\t5"), r"degree 3"),
        (changed("\t2\t0\t0\t2\t7\t0\t0\t0\t0\t0;\n", ""), r"3 cost rows for 4 units"),
        (TEXT + "mpc.branch(:, 6) = 2 * mpc.branch(:, 6);\n", r"case:28: 'mpc\.branch\(:, 6\) = .*is a statement"),
        (TEXT + "mpc.dcline = [\n1 2 1 10 10 0 0 1 1 0 50 0 0 0 0 0 0;\n];\n", r"mpc\.dcline has lines in service"),
        (TEXT + "mpc.gen = load('x.mat');\n", r"case:28: .*is a statement"),
        ("hello", r"case:1: 'hello' is a statement"),
        ("", r"mpc\.bus is missing"),
        (changed("mpc.bus = [", "mpc.bus = [];\nmpc.old = ["), r"case:5: mpc\.bus: the matrix is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_line_and_matrix(text, message):
    with pytest.raises(CaseError, match=message):
        matpower.parse_case(text)


def test_a_file_that_is_not_there_or_not_gzip(tmp_path):
    with pytest.raises(CaseError, match=r"nowhere\.m: cannot be read"):
        matpower.read_case(Path("nowhere.m"))
    (tmp_path / "broken.m.gz").write_bytes(b"not gzip")
    with pytest.raises(CaseError, match=r"broken\.m\.gz: cannot be read"):
        matpower.read_case(tmp_path / "broken.m.gz")


@pytest.mark.parametrize(("name", "buses", "branches", "units"), [("3_lmbd", 3, 3, 3), ("5_pjm", 5, 6, 5), ("24_ieee_rts", 24, 38, 33)])
def test_shipped_cases_have_their_published_size(name, buses, branches, units):
    case = matpower.read_case(PGLIB / f"pglib_opf_case{name}.m")
    assert (case.network.n_buses, case.network.n_branches, len(case.units)) == (buses, branches, units)
