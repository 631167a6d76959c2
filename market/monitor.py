"""Which limits of the grid does a flow pattern break?

Every limit of the network is a weighted sum of branch flows that must stay between two values::

    line      flow_l                              within its rating and angle limits
    section   Σ coefficient · flow                within the limits of the interface
    n-1       flow_l + LODF_lk · flow_k           within the emergency limit of l, should k trip

There are millions of them and few ever matter, so a clearing asks for those that its flows break, adds these as rows, clears again
and asks again. One question costs about a millisecond at 3,000 buses with every single outage screened.

A limit is known by a number, its *key*: lines first, then sections, then one per pair of outage and line. The key of a limit does
not depend on which branches are open, so the rows of one clearing can open the next one on another topology (:meth:`Monitor.holds`).

Absent on purpose: what a violated limit costs; who is to blame for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from market.errors import CaseError
from market.grid import BoolArray, FloatArray, IndexArray, Topology
from market.outages import Contingencies

__all__ = ["NO_KEY", "Keys", "LimitKind", "Monitor", "MonitoredRows", "Section"]

Keys = NDArray[np.int64]

NO_KEY = -1
"""Key of no limit: nothing is beyond its limit."""

_TIE_DIGITS = 6
"""Violations that agree to a millionth of a MW are ties, ordered by name: the last bits hang on the order of the branches."""


class LimitKind(StrEnum):
    """What kind of limit a row of the network is."""

    LINE = "line"
    SECTION = "section"
    OUTAGE = "n-1"


@dataclass(frozen=True, slots=True)
class Section:
    """An interface: a sum of branch flows that the operator keeps within limits.

    Attributes:
        id: its name, unique.
        members: branch and coefficient of each; the sign says which direction of the branch counts as positive.
        low_mw: least sum allowed, MW, ``-inf`` where there is none.
        high_mw: largest sum allowed, MW, ``inf`` where there is none.

    Raises:
        CaseError: no members, a branch named twice, a coefficient that is 0 or no number, limits that exclude each other.
    """

    id: str
    members: tuple[tuple[str, float], ...]
    low_mw: float
    high_mw: float

    def __post_init__(self) -> None:
        names = [name for name, _ in self.members]
        if not names:
            raise CaseError(f"section {self.id}: it has no members; name the branches it sums")
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise CaseError(f"section {self.id}: branches named twice: {', '.join(twice[:5])}; give each one coefficient")
        if bad := sorted(name for name, weight in self.members if not (np.isfinite(weight) and weight != 0)):
            raise CaseError(f"section {self.id}: coefficients that are 0 or no number: {', '.join(bad[:5])}; correct them")
        if not self.low_mw <= self.high_mw:
            raise CaseError(f"section {self.id}: low_mw {self.low_mw} and high_mw {self.high_mw} exclude each other; correct one of them")


@dataclass(frozen=True, kw_only=True, eq=False)
class MonitoredRows:
    """Limits as rows: low ≤ coefficients · flow ≤ high.

    Attributes:
        kind: (k,) what each limit is.
        element: (k,) position of the branch, or of the section, it belongs to.
        outage: (k,) position of the branch that trips, −1 where none does.
        coefficients: (k, nl) weight of each branch flow.
        low_mw: (k,) least sum allowed, MW.
        high_mw: (k,) largest sum allowed, MW.
    """

    kind: tuple[LimitKind, ...]
    element: IndexArray
    outage: IndexArray
    coefficients: csr_array[np.float64]
    low_mw: FloatArray
    high_mw: FloatArray


class Monitor:
    """The limits of one topology.

    Args:
        topology: the wires in service.
        sections: interfaces; an open member carries nothing.
        contingencies: outages to be screened on the same topology; none by default.
        watched: (nl,) branches whose own limits count, before and after an outage; all by default. Sections always count.

    Attributes:
        topology: the wires in service.
        sections: in the order given.
        contingencies: the outages screened, or None.
        n: keys are in [0, n).

    Raises:
        CaseError: a section that names an unknown branch or shares its name, outages of another topology, a mask of another length.
    """

    def __init__(
        self,
        topology: Topology,
        sections: tuple[Section, ...] = (),
        contingencies: Contingencies | None = None,
        watched: BoolArray | None = None,
    ) -> None:
        n_lines = topology.network.n_branches
        self.topology = topology
        self.sections = tuple(sections)
        self.contingencies = contingencies
        self._watched: BoolArray = np.ones(n_lines, dtype=np.bool_) if watched is None else np.array(watched, dtype=np.bool_)
        if self._watched.shape != (n_lines,):
            raise CaseError(f"monitor: watched has {self._watched.shape} entries for {n_lines} branches")
        if contingencies is not None and contingencies.topology is not topology:
            raise CaseError("monitor: the outages belong to another topology; make them for the one that is monitored")
        self._first_section, self._first_pair = n_lines, n_lines + len(self.sections)
        self.n = self._first_pair + (n_lines * n_lines if contingencies is not None else 0)
        self._weights = _section_weights(topology, self.sections)
        lows, highs = [s.low_mw for s in self.sections], [s.high_mw for s in self.sections]
        self._low: FloatArray = np.concatenate([np.where(self._watched, topology.limit_low_mw, -np.inf), lows])
        self._high: FloatArray = np.concatenate([np.where(self._watched, topology.limit_high_mw, np.inf), highs])
        section_rank = np.argsort(np.argsort(np.array([s.id for s in self.sections], dtype=np.str_)))
        self._rank = np.concatenate([topology.network.branch_rank, section_rank + n_lines])

    @cached_property
    def _pairs(self) -> _Pairs:
        """The pairs of outage and line that are screened, built when first asked for."""
        return _Pairs.of(self.contingencies, self._watched, self._first_pair)

    def violated(
        self,
        flow_mw: FloatArray,
        known: Keys,
        tolerance_mw: float,
        *,
        lines_max: int = 200,
        per_line_outages_max: int = 2,
        screen_outages: bool = True,
    ) -> Keys:
        """Return the keys of limits that are broken and not known yet, the worst first, ties by name.

        Outages are screened only when no line and no section outside ``known`` is broken.

        Args:
            flow_mw: (nl,) branch flows, MW.
            known: keys not wanted again, ascending.
            tolerance_mw: how far beyond a limit a flow may be, MW.
            lines_max: at most this many lines and sections.
            per_line_outages_max: for each line at most this many outages.
            screen_outages: whether to look at outages at all.
        """
        beyond = self._base_beyond(flow_mw)
        at = _without(np.flatnonzero(beyond > tolerance_mw).astype(np.int64), known)
        if len(at):
            order = np.lexsort((self._rank[at], -beyond[at].round(_TIE_DIGITS)))
            return at[order[:lines_max]]
        if self.contingencies is None or not screen_outages:
            return at
        pairs = self._pairs
        beyond = pairs.beyond(flow_mw)
        found = np.flatnonzero(beyond > tolerance_mw)
        found = found[~_among(pairs.key[found], known)]
        rank = self._rank
        order = np.lexsort((rank[pairs.outage[found]], rank[pairs.line[found]], -beyond[found].round(_TIE_DIGITS)))
        found = found[order]
        return pairs.key[found[_first_of_each(pairs.line[found], per_line_outages_max)]]

    def rows(self, keys: Keys) -> MonitoredRows:
        """Return the limits with these keys as rows, in the same order; each must be held here, see :meth:`holds`."""
        keys = np.asarray(keys, dtype=np.int64)
        assert self.holds(keys).all(), "a key that is no limit of this topology; ask holds() first"
        n_lines = self.topology.network.n_branches
        line, section = keys < self._first_section, (keys >= self._first_section) & (keys < self._first_pair)
        pair = ~line & ~section
        element, outage = np.where(section, keys - self._first_section, keys), np.full(len(keys), -1, dtype=np.int64)
        element[pair], outage[pair] = (keys[pair] - self._first_pair) % n_lines, (keys[pair] - self._first_pair) // n_lines
        width = np.where(pair, 2, 1)
        width[section] = np.diff(self._weights.indptr)[element[section]]
        start = np.concatenate([[0], np.cumsum(width)])
        branch, weight = np.zeros(start[-1], dtype=np.int32), np.ones(start[-1])
        own = start[:-1]
        branch[own[~section]] = element[~section]
        low, high = np.full(len(keys), -np.inf), np.full(len(keys), np.inf)
        low[~pair], high[~pair] = self._low[keys[~pair]], self._high[keys[~pair]]
        if pair.any():
            known = self._pairs
            at = np.searchsorted(known.key, keys[pair])
            branch[own[pair] + 1], weight[own[pair] + 1] = outage[pair], known.share[at]
            low[pair], high[pair] = -known.limit_mw[at], known.limit_mw[at]
        for i in np.flatnonzero(section):
            members = slice(self._weights.indptr[element[i]], self._weights.indptr[element[i] + 1])
            branch[start[i] : start[i + 1]], weight[start[i] : start[i + 1]] = self._weights.indices[members], self._weights.data[members]
        kinds = np.where(line, 0, np.where(section, 1, 2)).tolist()
        return MonitoredRows(
            kind=tuple(_KINDS[k] for k in kinds),
            element=element.astype(np.int32),
            outage=outage.astype(np.int32),
            coefficients=csr_array((weight, branch, start), shape=(len(keys), n_lines)),
            low_mw=low,
            high_mw=high,
        )

    def holds(self, keys: Keys) -> BoolArray:
        """Return (k,) whether each key is a limit here; a pair whose outage is not screened, or whose share is too small, is none."""
        keys = np.asarray(keys, dtype=np.int64)
        held: BoolArray = (keys >= 0) & (keys < self._first_pair)
        beyond = keys >= self._first_pair
        if beyond.any() and self.contingencies is not None:
            held[beyond] = _among(keys[beyond], self._pairs.key)
        return held

    def beyond(self, flow_mw: FloatArray, keys: Keys) -> FloatArray:
        """Return (k,) how far beyond its limit each is, MW: positive above the upper one, negative below the lower one, 0 within."""
        rows = self.rows(keys)
        value = rows.coefficients @ flow_mw
        out: FloatArray = np.maximum(value - rows.high_mw, 0.0) + np.minimum(value - rows.low_mw, 0.0)
        return out

    def worst_mw(self, flow_mw: FloatArray, besides: Keys | None = None) -> tuple[float, int]:
        """Return the largest violation over every limit, all outages included, MW, and its key; 0 and ``NO_KEY`` where there is none.

        Args:
            flow_mw: (nl,) branch flows, MW.
            besides: keys to pass over, ascending: limits whose violation is accounted for.
        """
        besides = np.zeros(0, dtype=np.int64) if besides is None else besides
        worst_mw, key = 0.0, NO_KEY
        base = self._base_beyond(flow_mw)
        base[besides[besides < self._first_pair]] = 0.0
        if len(base) and (most := int(base.argmax())) >= 0 and base[most] > worst_mw:
            worst_mw, key = float(base[most]), most
        if self.contingencies is not None and len(self._pairs.key):
            pairs = self._pairs
            after = pairs.beyond(flow_mw)
            passed = besides[besides >= self._first_pair]
            after[np.searchsorted(pairs.key, passed[_among(passed, pairs.key)])] = 0.0
            if after[most := int(after.argmax())] > worst_mw:
                worst_mw, key = float(after[most]), int(pairs.key[most])
        return worst_mw, key

    def _base_beyond(self, flow_mw: FloatArray) -> FloatArray:
        """Return (nl + ns,) how far lines and sections are beyond a limit, MW; negative within."""
        value = np.concatenate([flow_mw, self._weights @ flow_mw]) if self.sections else flow_mw
        out: FloatArray = np.maximum(value - self._high, self._low - value)
        out[np.isnan(out)] = np.inf  # a flow that is no number breaks every limit
        return out

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the topology, the sections, the outages and what is watched, hex."""
        outages = self.contingencies.hash if self.contingencies is not None else ""
        sections = (
            (s.id, float(s.low_mw), float(s.high_mw), *sorted((name, float(weight)) for name, weight in s.members))
            for s in sorted(self.sections, key=lambda s: s.id)
        )
        unwatched = sorted(self.topology.network.branch_ids[i] for i in np.flatnonzero(~self._watched))
        return sha256("\x1e".join([self.topology.hash, outages, *map(repr, sections), "\x1f".join(unwatched)]).encode()).hexdigest()


_KINDS = (LimitKind.LINE, LimitKind.SECTION, LimitKind.OUTAGE)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Pairs:
    """Every pair of outage and line that is screened, ascending by key.

    Attributes:
        key: (p,) its key.
        outage: (p,) position of the branch that trips.
        line: (p,) position of the branch that is watched.
        share: (p,) share of the lost flow that it takes over.
        limit_mw: (p,) its emergency limit, MW.
    """

    key: Keys
    outage: IndexArray
    line: IndexArray
    share: FloatArray
    limit_mw: FloatArray

    @classmethod
    def of(cls, contingencies: Contingencies | None, watched: BoolArray, first_key: int) -> _Pairs:
        assert contingencies is not None
        lodf = contingencies.lodf
        n_lines = len(watched)
        outage = np.repeat(np.arange(n_lines, dtype=np.int32), np.diff(lodf.indptr))
        kept = watched[lodf.indices]
        outage, line, share = outage[kept], lodf.indices[kept].astype(np.int32), lodf.data[kept]
        return cls(
            key=first_key + outage.astype(np.int64) * n_lines + line,
            outage=outage,
            line=line,
            share=share,
            limit_mw=contingencies.emergency_mw[line],
        )

    def beyond(self, flow_mw: FloatArray) -> FloatArray:
        """Return (p,) how far each line would be beyond its emergency limit, MW; negative within."""
        # In place: at a hundred thousand pairs and more it is memory that costs.
        out = flow_mw[self.outage]
        out *= self.share
        out += flow_mw[self.line]
        np.abs(out, out=out)
        out -= self.limit_mw
        return out


def _section_weights(topology: Topology, sections: tuple[Section, ...]) -> csr_array[np.float64]:
    """Return (ns, nl) the coefficients of the sections."""
    ids = [section.id for section in sections]
    if len(set(ids)) != len(ids):
        twice = sorted({name for name in ids if ids.count(name) > 1})
        raise CaseError(f"monitor: section names used twice: {', '.join(twice[:5])}; give each its own")
    position = topology.network.branch_index
    for section in sections:
        if unknown := [name for name, _ in section.members if name not in position]:
            raise CaseError(f"section {section.id}: the network has no branch {', '.join(unknown[:5])}; correct its members")
    entries = [(i, position[name], weight) for i, section in enumerate(sections) for name, weight in section.members]
    row, column, value = (np.array([entry[k] for entry in entries]) for k in range(3))
    shape = (len(sections), topology.network.n_branches)
    return csr_array((value.astype(np.float64), (row.astype(np.int32), column.astype(np.int32))), shape=shape)


def _among(keys: Keys, ascending: Keys) -> BoolArray:
    """Return (k,) whether each key is one of those ``ascending``."""
    if not len(ascending):
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ascending, keys), len(ascending) - 1)
    found: BoolArray = ascending[at] == keys
    return found


def _without(keys: Keys, ascending: Keys) -> Keys:
    return keys[~_among(keys, ascending)]


def _first_of_each(group: IndexArray, most: int) -> NDArray[np.intp]:
    """Return the positions, ascending, of the first ``most`` of every group.

    >>> _first_of_each(np.array([7, 3, 7, 7, 3]), 2).tolist()
    [0, 1, 2, 4]
    """
    order = np.argsort(group, kind="stable")
    lined = group[order]
    starts = np.flatnonzero(np.concatenate([[True], lined[1:] != lined[:-1]])) if len(lined) else np.zeros(0, dtype=np.intp)
    place = np.arange(len(lined)) - np.repeat(starts, np.diff(np.concatenate([starts, [len(lined)]])))
    return np.sort(order[place < most])
