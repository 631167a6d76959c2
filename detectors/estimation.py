"""Do the measurements of the grid fit together, and if not: which meter lies, which reported position is wrong?

A DC state estimate of one image: the state that fits best (:mod:`detectors.leastsquares`), and the errors that explain what does not fit
(:mod:`detectors.baddata`). A position is doubted when the flows contradict it: a branch reported open that carries a flow, or reported
closed although the angles of its ends ask for a flow that nobody sees.

An estimate is a function of the image alone. What is factored for one topology and one set of meters is kept for the next images, which
changes how long it takes and nothing else.

Absent on purpose: that an estimate once is no proof (the streams tell what two images in a row say); how old measurements may be.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.baddata import Explained, explained, limit
from detectors.leastsquares import LeastSquares, Meters
from market.grid import BoolArray, Convention, FloatArray, Topology
from market.rules import BadData

__all__ = ["Estimate", "Estimator", "Suspect", "flow_sigma_mw"]

_KEPT: Final = 4
"""Topologies and sets of meters whose factors are kept."""

_ALIKE_NAMED: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A measurement that lies.

    Attributes:
        meter: what it is called.
        measured_mw: what it shows; estimated_mw: what all others say it should show.
        residual: their difference over its standard error, normalised, >= 0.
        alike: other measurements of which any could lie in its place.
    """

    meter: str
    measured_mw: float
    estimated_mw: float
    residual: float
    alike: tuple[str, ...] = ()

    def __str__(self) -> str:
        unnamed = len(self.alike) - _ALIKE_NAMED
        others = (*self.alike[:_ALIKE_NAMED], *([f"{unnamed} more"] if unnamed > 0 else []))
        either = f"; or one of: {', '.join(others)}" if others else ""
        shown = f"{self.measured_mw:.1f} MW measured, {self.estimated_mw:.1f} MW estimated, normalised residual {self.residual:.1f}"
        return f"{self.meter}: {shown}{either}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """What one image says.

    Attributes:
        flow_mw: (nl,) branch flows, MW, without what lies; of a doubted branch what its reported position gives.
        suspects: measurements that lie, worst first.
        doubted: branches whose reported position contradicts the flows, sorted.
        chi_square: weighted sum of squared residuals before anything was left out.
        observable: (nb,) buses whose angle the measurements determine.
    """

    flow_mw: FloatArray
    suspects: tuple[Suspect, ...]
    doubted: tuple[str, ...]
    chi_square: float
    observable: BoolArray
    squares: LeastSquares
    rules: BadData

    @property
    def observable_pct(self) -> float:
        """Share of buses that are observable, %."""
        return 100.0 * float(self.observable.mean()) if len(self.observable) else 100.0

    @property
    def limit(self) -> float:
        """What the sum of squares may be, by the chi-square test."""
        return limit(self.squares.redundancy, self.rules)

    @property
    def critical(self) -> tuple[str, ...]:
        """Measurements that nothing else checks: whether they lie cannot be known."""
        squares = self.squares
        return tuple(squares.meters.name[i] for i in squares.at[squares.critical].tolist())


def flow_sigma_mw(rate_mw: FloatArray, base_mva: float, rules: BadData) -> FloatArray:
    """Return (nl,) the standard error of a meter of each branch, MW; one without a rating counts as rated the power base."""
    rated = np.where(np.isfinite(rate_mw), rate_mw, base_mva)
    return np.maximum(rules.sigma_pct / 100.0 * rated, rules.sigma_min_mw)


class Estimator:
    """Estimates the state of one grid.

    Args:
        meters: what is metered.
        rules: when a measurement lies.
        convention: how susceptances are formed.
    """

    def __init__(self, meters: Meters, rules: BadData, convention: Convention = Convention.MATPOWER) -> None:
        self.meters, self._rules, self._convention = meters, rules, convention
        net = meters.network
        self._flow_sigma_mw = flow_sigma_mw(net.rate_mw, net.base_mva, rules)
        self._kept: OrderedDict[tuple[bytes, bytes], LeastSquares] = OrderedDict()

    def estimate(self, z_mw: FloatArray, used: BoolArray, in_service: BoolArray) -> Estimate:
        """Estimate one image.

        Args:
            z_mw: (m,) measurements in the order of the meters, MW; any number where not used.
            used: (m,) which of them count.
            in_service: (nl,) branches that are reported closed.

        Raises:
            CaseError: these branches make no topology, see :class:`market.grid.Topology`.
        """
        squares = self._squares(used, in_service)
        z_mw = z_mw[squares.at]
        found = explained(squares, z_mw, self._flow_sigma_mw, self._rules)
        branch_ids = self.meters.network.branch_ids
        return Estimate(
            flow_mw=squares.flows_mw(found.state),
            suspects=_suspects(squares, z_mw, found),
            doubted=tuple(sorted(branch_ids[each.branch] for each in found.found if each.branch >= 0)),
            chi_square=found.chi_square,
            observable=squares.observable,
            squares=squares,
            rules=self._rules,
        )

    def _squares(self, used: BoolArray, in_service: BoolArray) -> LeastSquares:
        key = (np.packbits(used).tobytes(), np.packbits(in_service).tobytes())
        squares = self._kept.get(key)
        if squares is None:
            topology = Topology(self.meters.network, in_service, self._convention)
            squares = self._kept[key] = LeastSquares(topology, self.meters, used, self._flow_sigma_mw)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return squares


def _suspects(squares: LeastSquares, z_mw: FloatArray, found: Explained) -> tuple[Suspect, ...]:
    names = [squares.meters.name[i] for i in squares.at.tolist()]
    return tuple(
        Suspect(
            meter=names[each.meter],
            measured_mw=float(z_mw[each.meter]),
            estimated_mw=float(z_mw[each.meter]) - each.error_mw,
            residual=each.residual,
            alike=tuple(names[i] for i in each.alike),
        )
        for each in found.found
        if each.meter >= 0
    )
