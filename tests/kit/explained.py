"""A clearing and what it left behind, in one call."""

from __future__ import annotations

from collections.abc import Sequence

from market.engine import ClearingEngine, clear_case
from market.grid import Convention, Network
from market.matpower import Case
from market.offers import Unit
from market.outcomes import Cleared, ClearingInputs
from market.params import ClearingParams
from market.resources import Resources
from market.workings import Workings


def of_case(case: Case, **options: object) -> tuple[Cleared, Workings]:
    """Clear a case."""
    kept: list[Workings] = []
    outcome = clear_case(case, convention=Convention.MATPOWER, keep=kept.append, **options)  # type: ignore[arg-type]
    assert isinstance(outcome, Cleared), outcome
    return outcome, kept[0]


def of_interval(
    network: Network,
    units: Sequence[Unit],
    inputs: ClearingInputs,
    *,
    params: ClearingParams | None = None,
    resources: Resources | None = None,
) -> tuple[Cleared, Workings]:
    """Clear an interval of a market."""
    kept: list[Workings] = []
    engine = ClearingEngine(network, units, params or ClearingParams(), resources=resources)
    outcome = engine.clear(inputs, completed_at_ns=0, keep=kept.append)
    assert isinstance(outcome, Cleared), outcome
    return outcome, kept[0]
