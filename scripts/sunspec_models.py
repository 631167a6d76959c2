"""Pack the SunSpec models that Gridfuse ships, out of a wheel of pysunspec2.

    pip download --no-deps pysunspec2
    python scripts/sunspec_models.py pysunspec2-*.whl

The files are taken as they are, with their licence; the same wheel gives the same bytes.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODELS = [1, 101, 102, 103, 111, 112, 113, 120, 121, 122, 123, 124, 160, *range(201, 205), *range(211, 215), *range(701, 715), 802]


def pack(wheel: Path, folder: Path) -> None:
    """Write ``models.zip`` and ``LICENSE`` into a folder."""
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(folder / "models.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for number in MODELS:
            info = zipfile.ZipInfo(f"model_{number}.json")
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, source.read(f"sunspec2/models/json/model_{number}.json"))
        [licence] = [name for name in source.namelist() if name.endswith(".dist-info/LICENSE")]
        (folder / "LICENSE").write_bytes(source.read(licence))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    pack(parser.parse_args(sys.argv[1:]).wheel, ROOT / "ingest" / "sunspec")
