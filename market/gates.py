"""Are frozen inputs good enough to make a price of? The gates an interval passes before it is cleared.

A dispatch is as right as its telemetry: markets were set wrong for days by limits and outputs that were plausible and false. So what
the inputs were made of is frozen with them (:class:`market.outcomes.InputQuality`) and judged here by the rule set in force:

=============================  ========================================================
too much generation is stale   no result, INPUT_STALE
generation, load and ties      no result, INPUT_INVALID
  contradict each other
much output taken from base    a degraded result
  points, old positions,
  a load held for long
=============================  ========================================================

Deliberately absent: how many points of all may be stale, and what is missing altogether (:mod:`market.admission`).
"""

from __future__ import annotations

from dataclasses import dataclass

from market.admission import listed
from market.outcomes import ClearingInputs, FailureReason, InputQuality
from market.rules import InputGates, MarketRules
from market.units import NS_PER_MIN, NS_PER_S

__all__ = ["Judgement", "judged"]

_S_PER_MIN = NS_PER_MIN / NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the gates say.

    Attributes:
        refused: why there must be no result, with its detail, or None.
        degraded: why a result is a degraded one, for people; empty where it is not.
    """

    refused: tuple[FailureReason, str] | None = None
    degraded: tuple[str, ...] = ()


def judged(inputs: ClearingInputs, rules: MarketRules) -> Judgement:
    """Judge frozen inputs; those that say nothing of their quality pass."""
    quality = inputs.quality
    if quality is None:
        return Judgement()
    refused = _stale(quality, rules.input_gates) or _unbalanced(quality, rules.input_gates)
    return Judgement(refused=refused, degraded=() if refused else _degraded(quality, rules))


def _stale(quality: InputQuality, gates: InputGates) -> tuple[FailureReason, str] | None:
    if quality.stale_output_mw * 100.0 <= gates.stale_generation_pct * quality.output_mw:
        return None
    share = f"{quality.stale_output_mw:,.0f} of {quality.output_mw:,.0f} MW of output"
    what = f"{share} is told by stale telemetry, more than {gates.stale_generation_pct:g} %: units {listed(quality.stale_units)}"
    return FailureReason.INPUT_STALE, f"{what}; restore the telemetry of these units"


def _unbalanced(quality: InputQuality, gates: InputGates) -> tuple[FailureReason, str] | None:
    if quality.generation_mw is None or quality.load_mw is None:
        return None
    gap_mw = quality.generation_mw + quality.import_mw - quality.load_mw
    if abs(gap_mw) * 100.0 <= gates.balance_pct * quality.load_mw:
        return None
    sums = f"generation {quality.generation_mw:,.0f} MW, import {quality.import_mw:,.0f} MW and load {quality.load_mw:,.0f} MW as measured"
    what = f"{sums} differ by {gap_mw:,.0f} MW, more than {gates.balance_pct:g} % of load"
    where = f"; most of all in area {quality.worst_area}, by {quality.area_gap_mw:,.0f} MW" if quality.worst_area else ""
    return FailureReason.INPUT_INVALID, f"{what}{where}; find the meter that is wrong or not in the point list"


def _degraded(quality: InputQuality, rules: MarketRules) -> tuple[str, ...]:
    gates, found = rules.input_gates, []
    if quality.replaced_output_mw * 100.0 > gates.replaced_generation_pct * quality.output_mw:
        share = f"{quality.replaced_output_mw:,.0f} of {quality.output_mw:,.0f} MW of output"
        found.append(f"{share} is that of base points, for want of telemetry: units {listed(quality.replaced_units)}")
    if quality.topology_age_s is not None and quality.topology_age_s > gates.topology_age_min * _S_PER_MIN:
        age = f"{quality.topology_age_s / _S_PER_MIN:.0f} min old, at most {gates.topology_age_min:g}"
        found.append(f"the position {quality.switch_point} is {age}; restore its telemetry, or confirm it")
    if quality.load_persisted and quality.horizon_s >= rules.load_forecast.persisted_min * _S_PER_MIN:
        found.append(f"the load is held for {quality.horizon_s / _S_PER_MIN:.0f} min: {quality.load_persisted}")
    return tuple(found)
