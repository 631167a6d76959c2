"""Whatever happens to a spool, what it gives back is what was appended: nothing twice, nothing invented, nothing out of order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.segments import lines_of
from streams.spool import Spool, SpoolLimits

LIMITS = SpoolLimits(segment_bytes=400, bytes_max=1 << 20, sync_s=0.001)


class SpoolMachine(RuleBasedStateMachine):
    """A spool beside a plain list of the lines that must still be in it."""

    @initialize()
    def begin(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.spool = Spool(Path(self.home.name), LIMITS)
        self.count = 0
        self.waiting: list[bytes] = []

    @rule(lines=st.integers(1, 12), width=st.integers(1, 80))
    def append(self, lines: int, width: int) -> None:
        batch = [b"m,t=%s v=%di %d\n" % (b"x" * width, self.count + i, self.count + i) for i in range(lines)]
        self.count += lines
        self.spool.append(b"".join(batch))
        self.waiting += batch

    @rule()
    def send(self) -> None:
        chunk = self.spool.read(self.spool.acked)
        if chunk is None:
            assert self.waiting == []
            return
        sent = lines_of(chunk.data)
        assert sent == self.waiting[: len(sent)]
        self.waiting = self.waiting[len(sent) :]
        self.spool.ack(chunk.end)

    @rule()
    def restart(self) -> None:
        self.spool.close()
        self.spool = Spool(Path(self.home.name), LIMITS)
        assert self.spool.recovery is None

    @rule(cut=st.integers(1, 300))
    def restart_after_a_torn_write(self, cut: int) -> None:
        """A write that was under way at the end leaves the beginning of a block; nothing that was appended is hurt."""
        self.spool.close()
        tail = max(Path(self.home.name).glob("*.lp"))
        with tail.open("ab") as file:
            file.write((b"#gf1 00000400 00000010 0000000000000000 00000000\n" + b"x" * 300)[:cut])
        self.spool = Spool(Path(self.home.name), LIMITS)
        assert self.spool.recovery is not None
        assert self.spool.recovery.bytes_cut == cut

    @invariant()
    def what_waits_is_what_was_not_sent(self) -> None:
        if hasattr(self, "spool"):
            place, found = self.spool.acked, []
            while (chunk := self.spool.read(place)) is not None:
                found += lines_of(chunk.data)
                place = chunk.end
            assert found == self.waiting
            assert place == self.spool.end

    def teardown(self) -> None:
        if hasattr(self, "spool"):
            self.spool.close()
            self.home.cleanup()


TestSpool = SpoolMachine.TestCase
TestSpool.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
