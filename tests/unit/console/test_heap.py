"""What was freed goes back to the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HELD_BY_THE_HEAP = """
import ctypes, sys
libc = ctypes.CDLL(None)
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info
if sys.argv[1] == "with":
    from console.heap import give_back_freed_memory
    give_back_freed_memory()
kept = []
for turn in range(50):
    large = [bytearray(300_000) for _ in range(10)]
    kept.append(bytearray(5_000))  # stays, and lies behind the large ones
    del large
print(libc.mallinfo2().arena)
"""


def arena_bytes(how: str) -> int:
    command = [sys.executable, "-c", HELD_BY_THE_HEAP, how]
    return int(subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif("glibc" not in "".join(__import__("platform").libc_ver()), reason="the C library is not glibc")
def test_large_buffers_come_and_go_as_pages_of_their_own() -> None:
    assert arena_bytes("with") < arena_bytes("without") - 2_000_000


SPARED = """
import gc
from console.heap import spare_what_stays
before = gc.get_threshold()
spare_what_stays()
print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] > before[0], gc.isenabled())
"""


def test_what_is_there_at_the_start_is_not_looked_at_again_and_the_collector_stays_on() -> None:
    command = [sys.executable, "-c", SPARED]
    told = subprocess.run(command, cwd=Path(__file__).parents[3], check=True, capture_output=True, text=True).stdout
    assert told.split() == ["True", "True", "True"]
