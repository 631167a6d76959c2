"""What does the field remember over a restart?

The state of the grid and the faults injected by hand, in one file that is replaced as a whole: whatever kills the process, the file is
the old one or the new one. A file that cannot be used (another seed, another case, damage) is no memory, and is not an error.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ingest.simulator.faults import Fault, FaultKind
from ingest.simulator.gridstate import GridState

__all__ = ["Memory", "recall", "save"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What was saved."""

    state: GridState
    injected: tuple[Fault, ...]


def save(path: Path, seed: int, state: GridState, injected: Sequence[Fault]) -> None:
    """Write the file anew.

    Raises:
        OSError: the disk does not take it.
    """
    columns: dict[str, Any] = {spec.name: getattr(state, spec.name) for spec in fields(state)}
    about = json.dumps({"seed": seed, "injected": [asdict(fault) for fault in injected]})
    packed = io.BytesIO()
    np.savez(packed, _about=np.array(about), **columns)
    beside = path.with_suffix(".new")
    beside.write_bytes(packed.getvalue())
    beside.replace(path)


def recall(path: Path, seed: int, like: GridState) -> Memory | None:
    """Read the file, or None where there is none that fits.

    Args:
        like: any state of the case in hand, for the shapes.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            about = json.loads(str(file["_about"]))
            columns = {spec.name: file[spec.name] for spec in fields(like)}
        injected = tuple(Fault(**{**fault, "kind": FaultKind(fault["kind"])}) for fault in about["injected"])
        fits = about["seed"] == seed
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    wanted = {spec.name: np.asarray(getattr(like, spec.name)) for spec in fields(like)}
    if not fits or any(columns[n].shape != w.shape or columns[n].dtype != w.dtype for n, w in wanted.items()):
        return None
    values = {name: column if column.shape else column.item() for name, column in columns.items()}
    return Memory(state=GridState(**values), injected=injected)
