"""Which measurements lie, and which reported positions are wrong, when the measurements of a grid do not fit together?

Every explanation is an error of one unknown size along a known pattern c of the measurements: of a meter, that meter alone; of a
branch whose position is reported wrongly, everything that would see a flow there which the model does not know (its own meters and what
is fed in at its ends; Clements and Davis 1988). What explaining with patterns C gains is exact, and needs no new factor::

    Y = W·S·C        V = Cᵀ·Y        ê = V⁻¹·Yᵀ·z        J falls by ê·V·ê,  Ω by R·Y·V⁻¹·Yᵀ·R

with S the sensitivity of residuals to measurements. For one meter the gain is its squared normalised residual (Handschin, Schweppe,
Kohlas and Fiechter 1975). The search:

1. The sum of squared residuals J must pass the chi-square test, and no normalised residual may be larger than chance makes the largest
   of so many. Otherwise the explanation that gains most is taken: a meter, or a position if it explains more than a meter by another
   finding's worth.
2. Errors that interact hide each other and blame others. So after each step the explanations are estimated together, and those whose
   own error is no longer significant are taken back (Mili, Van Cutsem and Ribbens-Pavella 1984).
3. A branch is doubted only if its released flow is what the other position would give: near zero where it is reported closed; where it
   is reported open, a flow that is there, and that fits the angles of its ends. Nor is it doubted if both its meters lying explain more.

What cannot be told apart is not pretended to be: measurements whose residuals follow each other exactly are named together, and a
critical one is never named.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtri

from detectors.leastsquares import LeastSquares
from market.grid import Convention, FloatArray, Topology
from market.rules import BadData

__all__ = ["Explained", "Explanation", "explained", "limit"]

_What = tuple[int, int]
"""A meter and −1, or −1 and a branch."""

_ALIKE: Final = 0.999
"""Correlation of residuals from which two measurements cannot be told apart."""

_BRANCHES_TRIED: Final = 32
"""Branches whose position is tried at each step: those whose own measurements are worst."""

_NEAR: Final = 0.3
"""A branch is tried when a residual of its own measurements is at least this share of the largest."""

_SLACK: Final = 2.0
"""Standard errors of a branch's meter that the flow of a doubted branch may be from what the other position gives, besides its own."""

_CHECKED_LEAST: Final = 1e-6
"""What is left of a variance below which the errors taken out leave nothing to check by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One error that explains what does not fit.

    Attributes:
        meter: position among the measurements that take part, −1 for a branch.
        branch: position of the branch whose reported position is wrong, −1 for a meter.
        error_mw: by how much the meter reads too much; for a branch the flow that its reported position denies.
        residual: the error over its standard error, >= 0.
        alike: other measurements that would explain it as well.
    """

    meter: int = -1
    branch: int = -1
    error_mw: float = 0.0
    residual: float = 0.0
    alike: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Explained:
    """What is left when the errors that were found are taken out.

    Attributes:
        found: the errors, the most significant first.
        state: (n,) the estimate without them.
        chi_square: J before any was taken out; chi_square_left after.
    """

    found: tuple[Explanation, ...]
    state: FloatArray
    chi_square: float
    chi_square_left: float


def limit(redundancy: int, rules: BadData) -> float:
    """Return what a chi-square of so many degrees of freedom may be; 0 without any."""
    return float(chdtri(redundancy, 1.0 - rules.confidence)) if redundancy > 0 else 0.0


def _largest_by_chance(checked: int, rules: BadData) -> float:
    """Return what the largest of so many normalised residuals stays below, by Bonferroni; never less than what one is judged by."""
    if checked < 1:
        return np.inf
    return max(rules.residual, float(-ndtri((1.0 - rules.confidence) / (2.0 * checked))))


@dataclass(slots=True)
class _Search:
    """The explanations taken so far, and what follows from them.

    Attributes:
        columns: (k, c) their patterns; y: (k, c) W·S·C; moved: (n, c) by how much a MW of each moves the state.
        error, own: (c,) the errors and their standard errors, MW.
        residual, omega: (k,) residuals of the measurements without them, MW, and their variances, 0 where nothing checks any more.
    """

    ls: LeastSquares
    first: FloatArray
    what: tuple[_What, ...] = ()
    columns: FloatArray = field(init=False)
    y: FloatArray = field(init=False)
    moved: FloatArray = field(init=False)
    inner: FloatArray = field(init=False)
    error: FloatArray = field(init=False)
    residual: FloatArray = field(init=False)
    omega: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        k, n = self.ls.h.shape
        self.columns, self.y, self.moved = np.zeros((k, 0)), np.zeros((k, 0)), np.zeros((n, 0))
        self._estimated()

    def _estimated(self) -> None:
        """Estimate all errors together, and what is left."""
        sigma2, taken = self.ls.sigma_mw**2, self.columns.shape[1]
        self.inner = np.asarray(np.linalg.inv(self.columns.T @ self.y) if taken else np.zeros((0, 0)), dtype=np.float64)
        # Yᵀ·z is CᵀW times the residuals of the first fit.
        self.error = self.inner @ (self.columns.T @ (self.ls.weight * self.first))
        self.residual = self.first - sigma2 * (self.y @ self.error)  # with the errors corrected, not left out: J is the same
        first = self.ls.residual_variance
        omega = first - sigma2**2 * ((self.y @ self.inner) * self.y).sum(axis=1)
        self.omega = np.where(omega > _CHECKED_LEAST * first, omega, 0.0)

    @property
    def own(self) -> FloatArray:
        """(c,) standard errors of the errors, MW."""
        return np.sqrt(np.diag(self.inner))

    def normalised(self) -> FloatArray:
        """Return (k,) the normalised residuals, 0 where nothing checks."""
        checked = self.omega > 0
        out = np.zeros(len(checked))
        out[checked] = np.abs(self.residual[checked]) / np.sqrt(self.omega[checked])
        return out

    def chi_square(self) -> float:
        """Return the sum of squares that is left."""
        return float(self.residual @ (self.ls.weight * self.residual))

    def take(self, what: _What) -> None:
        """Take an explanation."""
        column = self.column(what)[:, None]
        moved, y = self.ls.response(column)
        self.what = (*self.what, what)
        self.columns, self.y, self.moved = (np.hstack(pair) for pair in ((self.columns, column), (self.y, y), (self.moved, moved)))
        self._estimated()

    def drop(self, place: int) -> None:
        """Take one back."""
        self.what = (*self.what[:place], *self.what[place + 1 :])
        self.columns, self.y, self.moved = (np.delete(each, place, axis=1) for each in (self.columns, self.y, self.moved))
        self._estimated()

    def column(self, what: _What) -> FloatArray:
        """Return (k,) the pattern of a meter or of a branch."""
        meter, branch = what
        if branch >= 0:
            return np.asarray(self.ls.sums[:, [branch]].toarray()[:, 0], dtype=np.float64)
        out = np.zeros(len(self.residual))
        out[meter] = 1.0
        return out

    def gains(self, branches: NDArray[np.int64]) -> FloatArray:
        """Return (b,) by how much J falls when the flow of each branch is released; 0 where nothing would check it."""
        columns = np.asarray(self.ls.sums[:, branches].toarray(), dtype=np.float64)
        _, y = self.ls.response(columns)
        beside = self.columns.T @ y
        whole = np.einsum("kb,kb->b", columns, y)
        left = whole - np.einsum("cb,cb->b", beside, self.inner @ beside)
        pull = columns.T @ (self.ls.weight * self.residual)
        checked = left > _CHECKED_LEAST * whole
        out = np.zeros(len(branches))
        out[checked] = pull[checked] ** 2 / left[checked]
        return out


def explained(ls: LeastSquares, z_mw: FloatArray, flow_sigma_mw: FloatArray, rules: BadData) -> Explained:
    """Fit measurements (k,), MW, and find the errors that explain what does not fit.

    Args:
        flow_sigma_mw: (nl,) standard error of a meter of each branch, MW.
    """
    state, residual = ls.fitted(z_mw)
    chi_square = float(residual @ (ls.weight * residual))
    # No normalised residual is larger than the root of J: most images are done here.
    if chi_square <= rules.residual**2:
        return Explained(found=(), state=state, chi_square=chi_square, chi_square_left=chi_square)
    search = _Search(ls=ls, first=residual)
    chance = _largest_by_chance(int(np.count_nonzero(ls.residual_variance)), rules)
    refused: set[_What] = set()  # taken once, and taken back
    while len(search.what) < rules.suspects_max:
        passes = search.chi_square() <= limit(ls.redundancy - len(search.what), rules)
        normalised = search.normalised()
        normalised[[meter for meter, branch in refused if branch < 0]] = 0.0
        if not normalised.max() > (chance if passes else rules.residual):
            break
        taken = _next(search, state, normalised, flow_sigma_mw, refused, rules)[: rules.suspects_max - len(search.what)]
        for what in taken:
            search.take(what)
        _taken_back(search, taken, refused, rules)
    left = search.chi_square()
    return Explained(found=_named(search), state=state - search.moved @ search.error, chi_square=chi_square, chi_square_left=left)


def _taken_back(search: _Search, last: tuple[_What, ...], refused: set[_What], rules: BadData) -> None:
    """Take back, one by one, explanations that the later ones have made needless; none of them comes again."""
    while True:
        significance = np.abs(search.error) / search.own
        place = int(np.argmin(significance))
        if significance[place] >= rules.residual or search.what[place] in last:
            return
        refused.add(search.what[place])
        search.drop(place)


def _next(
    search: _Search, state: FloatArray, normalised: FloatArray, flow_sigma_mw: FloatArray, refused: set[_What], rules: BadData
) -> tuple[_What, ...]:
    """Return the explanation to be taken next: the position of a branch, both meters of a branch, or the meter with the worst residual."""
    worst = int(np.argmax(normalised))
    single = float(normalised[worst]) ** 2
    tried = _branches_near(search, normalised, refused)
    gains = search.gains(tried)
    pairs = [_pair_gain(search, branch, normalised) for branch in tried.tolist()]
    # At a bus of two branches either of them explains the same, and so do all of a chain: what tells them apart is whose flow would fit.
    enough = max(float(gains.max(initial=0.0)), single + 2.0 * rules.residual**2) - rules.residual**2
    alike = [k for k in range(len(tried)) if gains[k] >= enough and pairs[k] <= gains[k] + rules.residual**2]
    misfit = [(_misfit(search, state, int(tried[k]), flow_sigma_mw, rules), int(tried[k])) for k in alike]
    if misfit and min(misfit)[0] <= 1.0:
        return ((-1, min(misfit)[1]),)
    place = max(range(len(pairs)), key=pairs.__getitem__, default=-1)
    if place >= 0 and pairs[place] > single + rules.residual**2:
        # Two meters that agree with each other blame their neighbours, one by one; together they explain more than the first two of these.
        after = copy(search)
        after.take((worst, -1))
        if pairs[place] > single + float(after.normalised().max()) ** 2:
            return tuple((row, -1) for row in _own_meters(search.ls, int(tried[place])))
    return ((worst, -1),)


def _branches_near(search: _Search, normalised: FloatArray, refused: set[_What]) -> NDArray[np.int64]:
    """Return (b,) the branches whose own measurements fit worst."""
    ls = search.ls
    near = np.zeros(ls.sums.shape[1], dtype=np.bool_)
    near[ls.sums[np.flatnonzero(normalised >= _NEAR * normalised.max())].indices] = True
    # Inside a bus-bar the flow is free already.
    near &= ~(ls.topology.in_service & (ls.topology.b_mw_per_rad == 0))
    near[[branch for _, branch in (*search.what, *refused) if branch >= 0]] = False
    candidates = np.flatnonzero(near).astype(np.int64)
    seen = np.asarray(abs(ls.sums).T @ ls.weight)[candidates]
    pull = np.asarray(ls.sums.T @ (ls.weight * search.residual))[candidates]
    score = np.zeros(len(candidates))
    np.divide(pull**2, seen, out=score, where=seen > 0)
    return candidates[np.argsort(-score, kind="stable")[:_BRANCHES_TRIED]]


def _own_meters(ls: LeastSquares, branch: int) -> list[int]:
    """Return the measurements that show the flow of a branch and nothing else."""
    rows = ls.sums[:, [branch]].tocoo().coords[0]
    return [row for row in rows.tolist() if ls.sums.indptr[row + 1] - ls.sums.indptr[row] == 1]


def _pair_gain(search: _Search, branch: int, normalised: FloatArray) -> float:
    """Return by how much J falls when the meters at both ends of a branch are left out; 0 unless there are two and both fit badly."""
    ls = search.ls
    own = _own_meters(ls, branch)
    if len(own) != 2 or not (normalised[own] >= _NEAR * normalised.max()).all():
        return 0.0
    columns = np.stack([search.column((row, -1)) for row in own], axis=1)
    _, y = ls.response(columns)
    beside = search.columns.T @ y
    inner = columns.T @ y - beside.T @ search.inner @ beside
    if np.linalg.eigvalsh(inner)[0] <= _CHECKED_LEAST * float(np.diag(inner).max()):
        return 0.0
    pull = ls.weight[own] * search.residual[own]
    return float(pull @ np.linalg.solve(inner, pull))


def _misfit(search: _Search, state: FloatArray, branch: int, flow_sigma_mw: FloatArray, rules: BadData) -> float:
    """Return how far the flow of a released branch is from what it would carry in the position that is not reported; up to 1 is near."""
    ls = search.ls
    topology, net = ls.topology, ls.topology.network
    trial = copy(search)
    trial.take((-1, branch))
    error, closed = float(trial.error[-1]), bool(topology.in_service[branch])
    slack_mw = _SLACK * flow_sigma_mw[branch]
    if not closed and abs(error) <= rules.residual * trial.own[-1]:
        return np.inf
    f, t = int(net.from_bus[branch]), int(net.to_bus[branch])
    if not closed and topology.island_of_bus[f] != topology.island_of_bus[t]:
        return 0.0  # between two islands any flow fits the angles
    b, shift_mw = _if_closed(topology, branch)
    if b == 0.0:
        return 0.0
    row = np.zeros((1, len(state)))
    row[0, int(ls.node(net.from_bus)[branch])] += b
    row[0, int(ls.node(net.to_bus)[branch])] -= b
    modelled = float(row[0] @ (state - trial.moved @ trial.error)) + shift_mw
    sign = 1.0 if closed else -1.0
    apart = modelled + sign * error
    beside = -(row[0] @ trial.moved)
    beside[-1] += sign
    own = float(np.sqrt(ls.variance(row)[0] + beside @ trial.inner @ beside))
    return abs(apart) / float(rules.residual * own + slack_mw)


def _if_closed(topology: Topology, branch: int) -> tuple[float, float]:
    """Return the susceptance of a branch in service, MW/rad, 0 without reactance, and the flow its phase shift alone makes, MW."""
    if topology.in_service[branch]:
        return float(topology.b_mw_per_rad[branch]), float(topology.shift_flow_mw[branch])
    net = topology.network
    x = float(net.x_pu[branch])
    if abs(x) < 1e-9:
        return 0.0, 0.0
    if topology.convention is Convention.POWERMODELS:
        r = float(net.r_pu[branch])
        return net.base_mva * x / (r * r + x * x), 0.0
    b = net.base_mva / (x * float(net.tap[branch]))
    return b, -b * float(net.shift_rad[branch])


def _named(search: _Search) -> tuple[Explanation, ...]:
    """Return the explanations with their errors, the most significant first."""
    found = []
    own = search.own
    for place, (meter, branch) in enumerate(search.what):
        error = float(search.error[place])
        alike = _alike(search, place) if meter >= 0 else ()
        residual = abs(error) / float(own[place])
        found.append(Explanation(meter=meter, branch=branch, error_mw=error, residual=residual, alike=alike))
    return tuple(sorted(found, key=lambda each: (-each.residual, each.meter, each.branch)))


def _alike(search: _Search, place: int) -> tuple[int, ...]:
    """Return the measurements that would explain as well as the one in this place does, all others left as they are."""
    others = [k for k in range(len(search.what)) if k != place]
    rest, y = search.columns[:, others], search.y[:, others]
    own = search.y[:, place]
    sigma2, first = search.ls.sigma_mw**2, search.ls.residual_variance
    if others:
        inner = np.linalg.inv(rest.T @ y)
        own = own - y @ (inner @ (rest.T @ search.y[:, place]))
        omega = first - sigma2**2 * ((y @ inner) * y).sum(axis=1)
    else:
        omega = first
    meter = search.what[place][0]
    checked = (first > 0) & (omega > _CHECKED_LEAST * first)
    follows = np.zeros(len(omega))
    # Column `meter` of Ω is R·y·σ²: how every other residual moves with this one's.
    covariance = sigma2 * own * sigma2[meter]
    follows[checked] = np.abs(covariance[checked]) / np.sqrt(omega[checked] * omega[meter])
    return tuple(i for i in np.flatnonzero(follows >= _ALIKE).tolist() if i != meter)
