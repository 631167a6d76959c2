"""What the processors compute with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from ingest.points import PointTable
from market.engine import ClearingEngine
from market.params import ClearingParams
from market.rts_gmlc import RtsCase
from market.rulebook import RulesInForce
from market.topology import Topology
from streams.figures import GridModel
from streams.intake import AreaIntake

__all__ = ["MarketModel"]


@dataclass(frozen=True, kw_only=True)
class MarketModel:
    """What the processors share: the grid as the key figures see it, as the breaker sees it, and the engine that clears it.

    Attributes:
        case: the series behind the day-ahead result, or None where there are none.
        topology: what holds the grid together, for the detectors.
        rating_mw: continuous rating by branch.
        area_of_bus: control area by bus.
        make_engine: builds an engine that clears as ``engine`` does, elsewhere: it pickles.
        rulebook: which rules hold when, where they are to change; the breaker alone follows it within a run.
        make_eased: builds one that knows of no outage, likewise; None where the case has none.
    """

    grid: GridModel
    engine: ClearingEngine
    case: RtsCase | None
    topology: Topology
    rating_mw: dict[str, float]
    area_of_bus: dict[str, str]
    params: ClearingParams
    make_engine: Callable[[], ClearingEngine]
    make_eased: Callable[[], ClearingEngine] | None = None
    rulebook: RulesInForce | None = None

    @property
    def rules_in_force(self) -> RulesInForce:
        """What says which rules hold at an instant."""
        return self.rulebook or self.grid.rules

    @cached_property
    def eased_engine(self) -> ClearingEngine:
        """The engine that knows of no outage; only results that were ``eased`` need it."""
        assert self.make_eased is not None, "only a case with outages has eased results"
        return self.make_eased()

    @cached_property
    def ties(self) -> dict[str, tuple[str, str]]:
        """Branches between areas, with the area at each end."""
        network, area = self.grid.network, self.grid.network.bus_area
        ends = zip(network.branch_ids, network.from_bus.tolist(), network.to_bus.tolist(), strict=True)
        return {branch: (area[f], area[t]) for branch, f, t in ends if area[f] != area[t]}

    def intake(self, area: str) -> AreaIntake:
        """Return the intake of an area that has taken nothing in yet."""
        base_kv = {name: bus.kv for name, bus in self.topology.buses.items() if bus.area == area}
        return AreaIntake(area, self.grid.table.of_area(area), self.rating_mw, self.grid.rules.dead_flow_pct, base_kv)

    def continued(self, intake: AreaIntake) -> AreaIntake:
        """Return an intake with this model's points that goes on where another one stands, as it would after a restart."""
        heir = self.intake(intake.area)
        heir.restore(intake.encode())
        return heir

    def relisted(self, table: PointTable) -> MarketModel:
        """Return the same model with other points, of the same areas."""
        assert table.areas == self.grid.areas, "areas are for the life of a process"
        return replace(self, grid=replace(self.grid, table=table))
