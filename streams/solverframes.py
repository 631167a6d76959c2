"""What the service and its solver process say to each other: frames on two pipes.

A frame is four bytes that say it is one, the length of the rest, and the rest. The marker is there to tell garbage at once: a length
read out of garbage would have the reader wait for bytes that never come. Requests and answers are MessagePack, in which numbers keep
every bit; the first frame to the process is its engine, pickled by ourselves for ourselves.

Deliberately absent: processes and pipes (:mod:`streams.solverprocess`, :mod:`streams.solverchild`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from market.outcomes import Cleared, ClearingFailed, ClearingInputs, Outcome

__all__ = ["HEADER_BYTES", "Answer", "BadFrame", "Request", "WarmCheck", "decode_answer", "decode_request", "encode", "framed", "length_of"]

_MARK: Final = b"GFs1"
HEADER_BYTES: Final = 8
_BYTES_MAX: Final = 256 << 20
"""A case of 80,000 buses is a tenth of this."""


class BadFrame(Exception):
    """Bytes that are no frame, or no answer to what was asked."""


class Request(msgspec.Struct):
    """Clear these inputs; ``eased`` with the engine that knows of no outage."""

    number: int
    inputs: ClearingInputs
    eased: bool = False


class WarmCheck(msgspec.Struct):
    """What a warm run said of an official result that was published before.

    Attributes:
        gap: relative difference of the objectives, infinite where the warm run found nothing; failure says why.
        seconds: how long the warm run took.
    """

    interval_start_ns: int
    gap: float
    seconds: float
    failure: str = ""


class Answer(msgspec.Struct):
    """How that ended: one of ``cleared`` and ``failed``; neither in the first answer, which says that the engine is there.

    Attributes:
        number: of the request, 0 in the first answer.
        check: of the last result that was checked since the answer before; None where none was.
        resident_bytes: memory of the process now; peak_bytes: the most it ever was.
    """

    number: int
    cleared: Cleared | None = None
    failed: ClearingFailed | None = None
    check: WarmCheck | None = None
    resident_bytes: int = 0
    peak_bytes: int = 0

    @property
    def outcome(self) -> Outcome | None:
        """What it says, whichever it is."""
        return self.cleared or self.failed


_REQUEST: Final = msgspec.msgpack.Decoder(Request)
_ANSWER: Final = msgspec.msgpack.Decoder(Answer)


def encode(message: Request | Answer) -> bytes:
    """Write a message as a frame."""
    return framed(msgspec.msgpack.encode(message))


def framed(body: bytes) -> bytes:
    """Put marker and length before bytes."""
    return _MARK + len(body).to_bytes(4, "little") + body


def length_of(header: bytes) -> int:
    """Return how many bytes follow a header of :data:`HEADER_BYTES`.

    Raises:
        BadFrame: these bytes begin no frame.
    """
    length = int.from_bytes(header[4:8], "little")
    if header[:4] != _MARK or length > _BYTES_MAX:
        raise BadFrame(f"bytes that begin no frame: {header[:8].hex(' ')}")
    return length


def decode_request(body: bytes) -> Request:
    """Read what was asked.

    Raises:
        BadFrame: it is no request.
    """
    try:
        return _REQUEST.decode(body)
    except msgspec.DecodeError as exc:
        raise BadFrame(f"no request: {exc}") from exc


def decode_answer(body: bytes, number: int) -> Answer:
    """Read the answer to a request.

    Raises:
        BadFrame: it is no answer, or one to another question.
    """
    try:
        answer = _ANSWER.decode(body)
    except msgspec.DecodeError as exc:
        raise BadFrame(f"no answer: {exc}") from exc
    if answer.number != number:
        raise BadFrame(f"an answer to request {answer.number}, not to {number}")
    return answer
