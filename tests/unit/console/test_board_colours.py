"""Can everybody read the board? Contrast of its texts, and colours that stay apart for eyes that see two primaries.

Contrast is that of WCAG 2.2 (4.5:1 for text, 3:1 for what is drawn). Dichromacy is simulated after Viénot, Brettel and Mollon (1999), in
linear light; differences are CIE76 in L*a*b*, where 2.3 can just be seen. No meaning rests on colour alone, so the difference is a help
to the eye and not the message; the message is the sign's shape and digit.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

import console.board

STATIC: Final = Path(console.board.__file__).parent / "static"
STYLES: Final = "\n".join((STATIC / name).read_text(encoding="utf-8") for name in ("board.css", "pages.css"))
COLOURS: Final = dict(re.findall(r"--([a-z0-9-]+):\s*(#[0-9a-f]{6})\b", STYLES))
SURFACES: Final = ("page", "panel", "well")
PRIORITIES: Final = ("p1", "p2", "p3", "p4")

APART_DELTA_E: Final = 20.0
"""How far any two priority colours must be apart for every eye: nine times what can just be seen."""

_TO_LMS: Final = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
_SEEN: Final = {
    "every cone": np.eye(3),
    "protanopia": np.array([[0.0, 2.02344, -2.52581], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    "deuteranopia": np.array([[1.0, 0.0, 0.0], [0.494207, 0.0, 1.24827], [0.0, 0.0, 1.0]]),
}
_TO_XYZ: Final = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

Vector = NDArray[np.float64]


def linear(colour: str) -> Vector:
    """Return the linear light of ``#rrggbb``, 0 to 1."""
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255.0
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21."""
    bright, dark = sorted((float(_TO_XYZ[1] @ linear(colour)) for colour in (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def lab(light: Vector) -> Vector:
    """Return L*a*b* of linear light."""
    ratio = _TO_XYZ @ light / (_TO_XYZ @ np.ones(3))
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def seen_by(eye: str, colour: str) -> Vector:
    """Return the linear light that looks to every eye as ``colour`` looks to this one."""
    return np.clip(np.linalg.inv(_TO_LMS) @ _SEEN[eye] @ _TO_LMS @ linear(colour), 0.0, 1.0)


def test_the_arithmetic_agrees_with_what_is_known():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert lab(linear("#ffffff")) == pytest.approx([100.0, 0.0, 0.0], abs=0.05)
    red, green = (seen_by("deuteranopia", colour) for colour in ("#b00000", "#5f5f00"))
    assert np.linalg.norm(lab(red) - lab(green)) < np.linalg.norm(lab(linear("#b00000")) - lab(linear("#5f5f00"))) / 3
    assert seen_by("protanopia", "#808080") == pytest.approx(linear("#808080"), abs=0.01), "grey is grey to every eye"


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("ink", ["text", "soft", *PRIORITIES])
def test_text_can_be_read_on_every_surface(ink: str, surface: str):
    assert contrast(COLOURS[ink], COLOURS[surface]) >= 4.5


@pytest.mark.parametrize("ink", ["text", "soft", "p2", "p3"])
def test_the_chosen_point_can_be_read(ink: str):
    chosen = re.search(r"\.prow\.active \{ background: (#[0-9a-f]{6})", STYLES)
    assert chosen is not None
    assert contrast(COLOURS[ink], chosen[1]) >= 4.5


@pytest.mark.parametrize("fill", ["#471c1c", "#7d1c19", "#5e3d12", "#57490b", "#57375a", "#40454b"])
def test_white_and_text_can_be_read_on_coloured_fills(fill: str):
    assert fill in STYLES, "a fill of the style sheets"
    assert contrast("#ffffff", fill) >= 4.5


def test_what_stands_in_scripts_is_what_stands_in_the_style():
    """Charts are drawn on a canvas, which knows no variables."""
    script = (STATIC / "charts.js").read_text(encoding="utf-8")
    for constant, name in (("WARN", "p3"), ("ORANGE", "p2"), ("RED", "p1"), ("FAINT", "faint")):
        assert f'const {constant} = "{COLOURS[name]}";' in script


def test_white_can_be_read_on_the_alarm_itself():
    assert contrast("#ffffff", COLOURS["p1-fill"]) >= 4.5


@pytest.mark.parametrize("surface", ["page", "panel", "well"])
@pytest.mark.parametrize("drawn", ["fill", "faint"])
def test_what_is_drawn_stands_out(drawn: str, surface: str):
    assert contrast(COLOURS[drawn], COLOURS[surface]) >= 3.0


@pytest.mark.parametrize("eye", list(_SEEN))
def test_the_four_priorities_stay_apart_for_every_eye(eye: str):
    seen = {name: lab(seen_by(eye, COLOURS[name])) for name in PRIORITIES}
    near = {(a, b): round(float(np.linalg.norm(seen[a] - seen[b])), 1) for a, b in combinations(PRIORITIES, 2)}
    assert min(near.values()) >= APART_DELTA_E, near


@pytest.mark.parametrize("eye", list(_SEEN))
def test_what_is_abnormal_stays_apart_from_grey_for_every_eye(eye: str):
    greys = [lab(linear(COLOURS[name])) for name in ("fill", "soft", "faint")]
    near = {name: min(float(np.linalg.norm(lab(seen_by(eye, COLOURS[name])) - grey)) for grey in greys) for name in PRIORITIES}
    assert min(near.values()) >= 15.0, near


def test_there_is_no_green_and_nothing_moves_by_itself():
    for colour in {*re.findall(r"#[0-9a-f]{6}\b", STYLES), *COLOURS.values()}:
        red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
        assert green <= max(red, blue) + 8, f"{colour} is green: grey is what is normal"
    assert "@keyframes" not in STYLES
    assert not re.search(r"\btransition\s*:", STYLES)
