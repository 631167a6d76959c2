"""The solver process itself: reads frozen inputs from its standard input, writes outcomes to where its standard output was.

It is begun by :mod:`streams.solverprocess` as ``python -m streams.solverchild`` and knows nothing but the engine it is sent first. Its
standard output is turned to its standard error before anything else runs, so that a library that prints cannot break a frame. It ends
when its standard input ends, also in the midst of a solve: no solver outlives the service it works for.

When a result was told and nobody asks for a while, the same inputs are cleared once more from the last answer, and the two objectives
are compared: a check of the official run by another way to the same optimum. What it finds goes along with the next answer. It begins
in a pause only, so that an answer does not wait for it, and one that does not end takes this process with it before anybody asks.

Deliberately absent: deadlines of what was asked. Whoever asked kills it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import math
import os
import pickle
import queue
import resource
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import BinaryIO, Final

from market.engine import ClearingEngine
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome
from streams.outcome import eased, solved, warm_gap
from streams.solverframes import HEADER_BYTES, Answer, Request, WarmCheck, decode_request, encode, length_of

__all__ = ["checked", "main"]

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_EXPENDABLE: Final = "500"
"""Where memory runs out, the kernel takes this process and not the one that decides."""
_PAUSE_S: Final = 1.0
"""Nobody asked for so long after an answer: the next interval is minutes away. Where time is made to run fast there is no such pause."""
_CHECK_MOST_S: Final = 20.0
"""A warm run takes milliseconds, and on the largest grids some seconds on a busy machine."""


def main() -> None:
    """Serve requests until standard input ends.

    Reads one argument: most megabytes of data it may have.
    """
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the service stops us when it has what it wants
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _bounded(int(sys.argv[1]) << 20)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(sys.stdin.buffer, requests), daemon=True).start()
    make_engine, make_eased = pickle.loads(requests.get())  # noqa: S301 (written by our own service, through a pipe of its own)
    engine: ClearingEngine = make_engine()
    gc.collect()
    gc.freeze()
    _tell(answers, Answer(number=0))
    check: WarmCheck | None = None
    unchecked: tuple[Request, Cleared] | None = None
    while True:
        try:
            request = decode_request(requests.get(timeout=None if unchecked is None else _PAUSE_S))
        except queue.Empty:
            assert unchecked is not None, "without anything to check nobody waits for a pause"
            check, unchecked = checked(engine, *unchecked), None
            continue
        outcome = eased(_cleared(make_eased(), request.inputs)) if request.eased else _cleared(engine, request.inputs)
        _tell(
            answers,
            Answer(
                number=request.number,
                cleared=outcome if isinstance(outcome, Cleared) else None,
                failed=outcome if isinstance(outcome, ClearingFailed) else None,
                check=check,
            ),
        )
        check = None
        # An eased result is that of another program.
        unchecked = (request, outcome) if isinstance(outcome, Cleared) and not request.eased else None


def checked(engine: ClearingEngine, request: Request, official: Cleared) -> WarmCheck:
    """Clear what was told once more, warm, and compare; whatever goes wrong is what the check says."""
    faulthandler.dump_traceback_later(_CHECK_MOST_S, exit=True)
    began_s = time.monotonic()
    try:
        gap, failure = warm_gap(engine, request.inputs, official)
    except Exception as exc:  # a check that breaks must not take the official run with it
        gap, failure = math.inf, f"the warm run broke: {exc!r}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    seconds = time.monotonic() - began_s
    return WarmCheck(interval_start_ns=official.interval_start_ns, gap=gap, seconds=seconds, failure=failure)


def _cleared(engine: ClearingEngine, inputs: ClearingInputs) -> Outcome:
    try:
        return solved(engine, inputs)
    except MemoryError:
        return ClearingFailed(
            interval_start_ns=inputs.interval_start_ns,
            completed_at_ns=inputs.frozen_at_ns,
            reason=FailureReason.SOLVER_STATUS,
            detail=f"the solver process may have {sys.argv[1]} MB, and this clearing needs more; raise solver.memory_mb in the settings",
        )


def _tell(answers: BinaryIO, answer: Answer) -> None:
    answer.resident_bytes = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    answer.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    answers.write(encode(answer))
    answers.flush()


def _read(source: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Put the bodies of frames in a queue; the end of them ends the process, whatever it is at."""
    while len(header := source.read(HEADER_BYTES)) == HEADER_BYTES:
        requests.put(source.read(length_of(header)))
    os._exit(0)


def _bounded(data_bytes: int) -> None:
    """Have the kernel refuse memory beyond a bound, and take this process first where there is none left at all."""
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE, encoding="ascii")


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        # Not by the interpreter's own way out: the thread that reads stands in its way.
        os._exit(1)
