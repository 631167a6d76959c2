"""The published cases that are shipped, and their published DC objectives."""

from __future__ import annotations

import csv
from pathlib import Path

from market.matpower import Case, read_case
from market.rts_gmlc import SHIPPED

__all__ = ["FILES", "PUBLISHED_PER_H", "read"]

_SMALL = SHIPPED.parent / "pglib"
_MORE = Path(__file__).parents[1] / "data" / "pglib"
_PREFIX = "pglib_opf_case"

FILES = {
    path.name.split(".")[0].removeprefix(_PREFIX): path for folder in (_SMALL, _MORE) for path in sorted(folder.glob(f"{_PREFIX}*.m*"))
}
"""Path by the name of the case, such as ``118_ieee``."""

with (_SMALL / "pglib_v23.07_baseline.csv").open(newline="") as _file:
    PUBLISHED_PER_H = {row["case"].removeprefix(_PREFIX): float(row["dc_obj_usd_per_h"]) for row in csv.DictReader(_file)}
"""DC objective of every published case, per hour; infinite where the DC model has no solution."""


def read(name: str) -> Case:
    """Read a shipped case."""
    return read_case(FILES[name])
