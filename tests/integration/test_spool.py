"""A process that is killed loses nothing it has appended; a disk that fills up loses nothing it has taken."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streams.segments import lines_of
from streams.spool import Spool, SpoolLimits

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]

WRITER = """
import os, sys
from pathlib import Path
from streams.segments import lines_of
from streams.spool import Spool, SpoolLimits

spool = Spool(Path(sys.argv[1]), SpoolLimits(segment_bytes=20_000, bytes_max=1 << 30))
place, number = spool.acked, 0
while (chunk := spool.read(place)) is not None:
    number = int(lines_of(chunk.data)[-1].rsplit(b" ", 1)[1]) + 1
    place = chunk.end
while True:
    batch = 1 + number % 37
    spool.append(b"".join(b"m v=%di %d\\n" % (n, n) for n in range(number, number + batch)))
    number += batch
    os.write(1, b"%d\\n" % number)
"""


def numbers(spool: Spool) -> list[int]:
    place, found = spool.acked, []
    while (chunk := spool.read(place)) is not None:
        found += [int(line.rsplit(b" ", 1)[1]) for line in lines_of(chunk.data)]
        place = chunk.end
    return found


@pytest.mark.slow  # Eight processes are started, one after the other.
def test_a_writer_killed_at_random_loses_nothing_it_had_appended(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    appended = 0
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            process.stdout.readline()
            # The instant of death is what is drawn here, not a wait for something.
            time.sleep(chance.uniform(0.0, 0.15))
        finally:
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
            process.stdout.close()
            process.wait()
        said = [int(text) for text in rest.split(b"\n")[:-1]]
        appended = max([appended, *said])
        spool = Spool(tmp_path, SpoolLimits(segment_bytes=20_000, bytes_max=1 << 30))
        found = numbers(spool)
        spool.close()
        assert found == list(range(len(found))), f"a gap or a repeat, seed {seed}"
        assert len(found) >= appended, f"lost {appended - len(found)} lines, seed {seed}"
    assert appended > 1_000


FULL = """
import resource, sys
from pathlib import Path
from streams.errors import SinkUnavailable
from streams.spool import Spool, SpoolLimits

# A file that may not grow beyond this is what a full disk looks like to the process: a short write, then an error.
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
spool = Spool(Path(sys.argv[1]), SpoolLimits())
kept = refused = 0
for number in range(600):
    try:
        spool.append(b"m v=%di %d\\n" % (number, number))
        kept += 1
    except SinkUnavailable as exc:
        assert "free space" in str(exc), exc
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for number in range(kept, 600):
    spool.append(b"m v=%di %d\\n" % (number, number))
spool.close()
print(kept, refused)
"""


def test_a_full_disk_refuses_what_it_cannot_keep_and_keeps_the_rest(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    kept, refused = map(int, done.stdout.split())
    assert kept + refused == 600
    assert refused > 100
    spool = Spool(tmp_path)
    assert (spool.recovery, numbers(spool)) == (None, list(range(600)))
    spool.close()
