"""To clear an interval again (Art. 22): what is kept of each interval for it, and what is sent of the new result.

Frozen inputs are kept for as long as an order may ask for them, a day and an hour, with what was published of their interval. They are
compressed, and larger ones are kept in pieces. The first result of an interval counts as version 1, also where nobody answered, so a
new one is version 2 or later.

A new result is told as :class:`market.facts.ClearedAgain`. Of an interval that is not over yet it is also what a late first result
would be, the back-fill that the breaker waits for: it is told as any other result. One that failed replaces nothing, and no outcome is
sent of it; it is the refusal of its order.

Deliberately absent: who may order it (:mod:`market.reclear`), and what it does to prices (:mod:`market.pricebook`).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from market.facts import ClearedAgain
from market.outcomes import Cleared, ClearingFailed, ClearingInputs, FailureReason, Outcome, Revision
from market.pricebook import REVISED_NS
from market.prices import settled_price
from market.reclear import ClearAgain, corrected
from market.units import NS_PER_H, instant_text
from streams import pieces
from streams.marketmodel import MarketModel
from streams.outcome import OUTSIDE, clearing_records, eased, marked, refused, reported, solved

__all__ = ["FrozenInputs", "Kept", "Published", "Recomputed", "answered", "inputs_again", "kept_first"]

_KEPT_NS: Final = REVISED_NS + NS_PER_H
"""Longer than any order may look back, so that what is at hand does not depend on which record was taken in first."""
_STARTS: Final = b"frozen"
"""Key of the list of intervals that are kept; the intervals stand under their starts."""


class Published(msgspec.Struct, frozen=True):
    """One result of an interval.

    Attributes:
        command_id: of the order it was made by; empty for the first.
        hashes: those of the result; empty for one that failed, or never came.
        price_cny_per_mwh: user-side uniform price as settled; None likewise.
    """

    version: int
    command_id: str = ""
    hashes: dict[str, str] = {}
    price_cny_per_mwh: float | None = None


class Kept(msgspec.Struct, frozen=True):
    """What is kept of an interval: the inputs as frozen, and what was published, by version."""

    inputs: ClearingInputs
    published: tuple[Published, ...]


_KEPT: Final = msgspec.msgpack.Decoder(Kept)


class FrozenInputs:
    """The intervals of the last day, in a table."""

    def __init__(self, table: MutableMapping[bytes, bytes]) -> None:
        self._table = table

    def get(self, start_ns: int) -> Kept | None:
        """Return what is kept of an interval, None where its inputs are not at hand."""
        raw = pieces.kept(self._table, _key(start_ns)) if start_ns in self._starts() else None
        return None if raw is None else _KEPT.decode(zlib.decompress(raw))

    def keep(self, kept: Kept) -> None:
        """Keep an interval, and let go of those that are too old."""
        start_ns = kept.inputs.interval_start_ns
        pieces.keep(self._table, _key(start_ns), zlib.compress(msgspec.msgpack.encode(kept), 1))
        starts = sorted({*self._starts(), start_ns})
        self._table[_STARTS] = msgspec.msgpack.encode([at for at in starts if at > starts[-1] - _KEPT_NS])
        for at in (at for at in starts if at <= starts[-1] - _KEPT_NS):
            pieces.forget(self._table, _key(at))

    def keep_first(self, inputs: ClearingInputs, outcome: Outcome | None) -> None:
        """Keep an interval that was cleared first (:func:`kept_first`); one that is kept stays as it is.

        A request that is told again must not undo what was published since.
        """
        if inputs.interval_start_ns not in self._starts():
            self.keep(kept_first(inputs, outcome))

    def _starts(self) -> list[int]:
        raw = self._table.get(_STARTS)
        return [] if raw is None else msgspec.msgpack.decode(raw, type=list[int])


def _key(start_ns: int) -> bytes:
    return b"%d" % start_ns


def kept_first(inputs: ClearingInputs, outcome: Outcome | None) -> Kept:
    """Return what is kept of an interval when it was cleared first; ``outcome`` is None where nobody answered."""
    return Kept(inputs, (_published(outcome) if isinstance(outcome, Cleared) else Published(1),))


def inputs_again(order: ClearAgain, kept: Kept | None, zone: str) -> ClearingInputs | ClearingFailed:
    """Return what an order is cleared from, or its failure where the interval's inputs are not at hand."""
    if kept is not None:
        return corrected(kept.inputs, order.corrections)[0]
    what = f"the frozen inputs of {instant_text(order.interval_start_ns, zone)} are not at hand: they were never frozen, or are too old"
    return replace(_no_result(order), detail=f"{what}; correct the interval in settlement")


def answered(order: ClearAgain, kept: Kept | None, outcome: Outcome, model: MarketModel) -> tuple[list[Any], Kept | None]:
    """Return what is sent of an order, and what is kept of its interval from then on.

    An order that was answered before gets the same version again.

    Args:
        order: what was ordered.
        kept: what is kept of its interval, None where it is not at hand.
        outcome: what came of :func:`inputs_again`.
        model: the grid, to tell of an open interval what follows from its result.
    """
    fact = ClearedAgain(
        ts_event_ns=outcome.completed_at_ns,
        command_id=order.command_id,
        by=order.by,
        role=order.role,
        why=order.reason,
        interval_start_ns=order.interval_start_ns,
        approvals=order.approvals,
    )
    if kept is None or isinstance(outcome, ClearingFailed):
        assert isinstance(outcome, ClearingFailed), "nothing is cleared from inputs that are not at hand"
        return [replace(fact, failure=outcome.reason.value, detail=outcome.detail)], kept
    inputs, told = corrected(kept.inputs, order.corrections)
    before = tuple(result for result in kept.published if not result.command_id)
    for result in kept.published[len(before) :]:
        if result.command_id == order.command_id:
            break
        before = (*before, result)
    replaced = before[-1]
    cleared = replace(
        outcome,
        version=replaced.version + 1,
        revision=Revision(
            command_id=order.command_id,
            by=order.by,
            role=order.role,
            reason=order.reason,
            corrected=told,
            replaces=replaced.hashes,
        ),
    )
    published = _published(cleared, order.command_id)
    fact = replace(
        fact,
        version=cleared.version,
        price_cny_per_mwh=published.price_cny_per_mwh,
        price_before_cny_per_mwh=replaced.price_cny_per_mwh,
        corrected=told,
        hashes=cleared.hashes,
        hashes_before=replaced.hashes,
    )
    records: list[Any] = [cleared, fact]
    if outcome.completed_at_ns < order.interval_start_ns + model.grid.rules.rt_interval_ns:
        # Where there was no result before, there is no schedule either; one that was told stands.
        records = [cleared, fact, reported(cleared)]
        if not replaced.hashes:
            records += clearing_records(cleared, inputs, model)[2:]
    if any(result.command_id == order.command_id for result in kept.published):
        return records, kept
    return records, Kept(kept.inputs, (*kept.published, published))


class Recomputed:
    """Answers orders again, of a recording, from the inputs that were recorded before them (:mod:`streams.replay`).

    Args:
        revisions: the results that were published, by order; told: what was said of each order.

    Attributes:
        external: answers taken as recorded: the solver failed from outside, or the inputs were frozen before the recording begins.
    """

    def __init__(self, model: MarketModel, revisions: Mapping[str, Cleared], told: Mapping[str, ClearedAgain]) -> None:
        self._model, self._revisions, self._told = model, revisions, told
        self._kept: dict[int, Kept] = {}
        self.external = 0

    def begun(self, inputs: ClearingInputs, outcome: Outcome | None) -> None:
        """Take in an interval with its first outcome, as recorded."""
        start_ns = inputs.interval_start_ns
        self._kept.setdefault(start_ns, kept_first(inputs, outcome))
        # Inputs come in the order of their intervals, so the oldest stand first.
        while (oldest_ns := next(iter(self._kept))) <= start_ns - _KEPT_NS:
            del self._kept[oldest_ns]

    def answers(self, order: ClearAgain) -> list[Any]:
        """Return what is sent of an order; nothing where nobody answered it."""
        known, revision = self._told.get(order.command_id), self._revisions.get(order.command_id)
        if known is None:
            return []
        rules = self._model.grid.rules
        kept = self._kept.get(order.interval_start_ns)
        inputs = inputs_again(order, kept, rules.zone)
        outcome: Outcome
        if isinstance(inputs, ClearingFailed):
            if revision is not None:
                self.external += 1
                return [revision, known]
            outcome = inputs
        elif known.failure in OUTSIDE:
            self.external += 1
            outcome = replace(_no_result(order), reason=FailureReason(known.failure), detail=known.detail)
        else:
            without = revision is not None and revision.eased
            cleared = eased(solved(self._model.eased_engine, inputs)) if without else solved(self._model.engine, inputs)
            outcome = refused(inputs, rules) or marked(cleared, inputs, rules)
        records, after = answered(order, kept, replace(outcome, completed_at_ns=known.ts_event_ns), self._model)
        if after is not None:
            self._kept[order.interval_start_ns] = after
        return records


def _no_result(order: ClearAgain) -> ClearingFailed:
    return ClearingFailed(
        interval_start_ns=order.interval_start_ns, completed_at_ns=order.ts_event_ns, reason=FailureReason.INPUT_MISSING, detail=""
    )


def _published(cleared: Cleared, command_id: str = "") -> Published:
    return Published(cleared.version, command_id, cleared.hashes, settled_price(cleared.uniform_price_per_mwh))
