"""Whatever an unknown device answers, a look at it ends within its cap and leaves a list that can be read."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.modbus.identify import Identification
from ingest.modbus.probing.asks import Ask, Burst, Depth, Identify, Pause, Read, Refused, Reply, Said, Silent
from ingest.modbus.probing.expected import parse_expectation
from ingest.modbus.probing.findings import Findings
from ingest.modbus.probing.listing import listing
from ingest.modbus.probing.strategy import ProbePlan, examine
from ingest.pointlist import read_point_list


class Whimsical:
    """A device that answers as it likes, in frames that fit what was asked."""

    def __init__(self, seed: int, kindness: float) -> None:
        self._luck = random.Random(seed)
        self._kindness = kindness

    def answer(self, ask: Ask) -> Reply:
        luck = self._luck
        if isinstance(ask, Pause):
            return None
        if isinstance(ask, Burst):
            return Depth(luck.choice([1, 2, 16]), luck.randrange(ask.times + 1))
        if luck.random() > self._kindness:
            return luck.choice(
                [Refused(luck.choice([1, 2, 2, 2, 3, 4, 5, 6, 10, 11, 99])), Silent("late"), Silent("gone", is_connected=False)]
            )
        if isinstance(ask, Identify):
            text = "".join(chr(luck.randrange(1, 0x500)) for _ in range(4))
            return Said(
                b"", luck.choice([None, Identification(luck.randrange(256), luck.choice([None, 1, 255]), ((luck.randrange(9), text),))])
            )
        return Said(self._data(ask))

    def _data(self, ask: Read) -> bytes:
        size = (ask.count + 7) // 8 if ask.kind.is_bits else 2 * ask.count
        if self._luck.random() < 0.1:
            return b"SunS"[:size].ljust(size, b"\0")
        return self._luck.choice([bytes(size), self._luck.randbytes(size), b"\xff" * size, b"\0\1\0\x42" * (size // 4) + bytes(size % 4)])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), kindness=st.sampled_from([0.05, 0.5, 0.9, 0.99, 1.0]), cap=st.integers(1, 900))
def test_whatever_a_device_answers(seed: int, kindness: float, cap: int) -> None:
    device, findings, asked = Whimsical(seed, kindness), Findings(), 0
    plan = ProbePlan(units=(1, 2), requests_max=cap, expectations=(parse_expectation("30=66"), parse_expectation("40001=1.5")))
    look = examine(plan, findings)
    try:
        ask = next(look)
        while True:
            asked += ask.times if isinstance(ask, Burst) else not isinstance(ask, Pause)
            ask = look.send(device.answer(ask))
    except StopIteration:
        pass
    assert findings.asked == asked <= cap
    text = listing(findings, "modbus+tcp://10.0.0.1:502", name="m", area="1", device={})
    assert bool(text) == any(unit.is_readable for unit in findings.units)
    if text:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "points.yaml"
            path.write_text(text, encoding="utf-8")
            assert len(read_point_list(path).devices) == sum(unit.is_readable for unit in findings.units)
