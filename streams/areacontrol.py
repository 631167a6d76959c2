"""How well does each area keep its own balance? Control error, the standards that judge it, and the energy exchanged off schedule.

Signs: ACE is positive when an area over-generates; the bias B is negative, MW/0.1 Hz, so −10·B is MW/Hz and positive; Δf = F_A − F_S.
The standards are NERC's and, where they differ, those of the Chinese regional dispatch rules; both judge clock windows of event time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import sqrt
from typing import Final

from market.units import NS_PER_MIN, floor_ns
from streams.kpis import ControlParams
from streams.windows import DaySums, Window, sampled

__all__ = ["AreaSums", "CpsGrade", "ace_mw", "baal_mw", "control_figures", "controlled", "cps1_pct", "cps_grade", "cps_k1_pct", "l10_mw"]

_TEN_NS: Final = 10 * NS_PER_MIN
_QUARTER_NS: Final = 15 * NS_PER_MIN


class CpsGrade(IntEnum):
    """What the Chinese rules make of a quarter of an hour."""

    FAIL = 0
    PASS_BY_MEAN = 1
    """K1 between 100 and 200 %, and the mean ACE within L10."""
    PASS = 2
    """K1 of 200 % or more: the area helped the frequency."""


def ace_mw(interchange_mw: float, scheduled_mw: float, measured_hz: float, bias_mw_per_0p1hz: float, nominal_hz: float) -> float:
    """Area control error, MW: ``(NI_A − NI_S) − 10·B·(F_A − F_S)``, B < 0 in MW/0.1 Hz; positive when over-generating (BAL-005-1).

    >>> ace_mw(110.0, 100.0, 50.02, -25.0, 50.0)
    15.0
    """
    return round((interchange_mw - scheduled_mw) - 10.0 * bias_mw_per_0p1hz * (measured_hz - nominal_hz), 9)


def cps1_pct(factor_hz2: float | None, epsilon1_hz: float) -> float | None:
    """Return ``100·(2 − CF)``, CF = ``factor/ε₁²``, % (BAL-001-2 R1).

    Args:
        factor_hz2: mean over clock minutes of ``(mean ACE/−10B)·mean Δf``, Hz²; None before there was one, and so is the result.
        epsilon1_hz: ε₁, Hz.
    """
    return None if factor_hz2 is None else 100.0 * (2.0 - factor_hz2 / epsilon1_hz**2)


def baal_mw(deviation_hz: float, bias_mw_per_0p1hz: float, epsilon1_hz: float) -> float | None:
    """Balancing authority ACE limit, MW: ``−10B·(FTL − F_S)²/(F_A − F_S)``, FTL = F_S ± 3ε₁ (BAL-001-2 R2).

    Below nominal frequency it is negative and ACE must not fall below it; above, positive and ACE must not rise above it. Exactly at
    nominal frequency there is none: None.

    >>> baal_mw(-0.06, -25.0, 0.02)
    -15.0
    """
    return round(-10.0 * bias_mw_per_0p1hz * (3.0 * epsilon1_hz) ** 2 / deviation_hz, 9) if deviation_hz else None


def l10_mw(bias_mw_per_0p1hz: float, system_bias_mw_per_0p1hz: float, epsilon10_hz: float) -> float:
    """Bound of the ten-minute mean ACE, MW: ``1.65·ε₁₀·√((−10B)(−10B_s))`` (old BAL-001 R2; in force in China).

    >>> l10_mw(-25.0, -100.0, 0.01)
    8.25
    """
    return round(1.65 * epsilon10_hz * sqrt(100.0 * bias_mw_per_0p1hz * system_bias_mw_per_0p1hz), 9)


def cps_k1_pct(factor_hz2: float, epsilon1_hz: float) -> float:
    """K1 of the Chinese rules, %: ``100·(2 − Σ(ACE·Δf)/(−10B·n·ε₁²))`` over the n clock minutes of a quarter of an hour.

    Args:
        factor_hz2: mean over those minutes of ``(mean ACE/−10B)·mean Δf``, Hz².
        epsilon1_hz: ε₁, Hz.

    >>> cps_k1_pct(0.0002, 0.02)
    150.0
    """
    return round(100.0 * (2.0 - factor_hz2 / epsilon1_hz**2), 9)


def cps_grade(k1_pct: float, mean_ace_mw: float, bound_mw: float) -> CpsGrade:
    """Classify a quarter of an hour: K1 ≥ 200 % passes; from 100 % it passes if ``|mean ACE| ≤ L10``; below, it fails (regional rules).

    >>> cps_grade(150.0, -9.0, 8.25)
    <CpsGrade.FAIL: 0>
    """
    if k1_pct >= 200.0:
        return CpsGrade.PASS
    return CpsGrade.PASS_BY_MEAN if k1_pct >= 100.0 and abs(mean_ace_mw) <= bound_mw else CpsGrade.FAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaSums:
    """What the control figures of one area are counted from.

    Attributes:
        minute: ACE, MW, and Δf, Hz, of the running clock minute.
        ten: ACE of the running ten minutes.
        quarter: product of CPS1, Hz², and mean ACE of the minutes of the running quarter of an hour.
        tie: NI_A − NI_S, MW, of the running quarter of an hour.
        cps1: products over minutes; cps2, passed: windows that passed over windows.
        minute_ns: start of the last whole minute; outside_min: how many minutes running, that one the last, ACE was beyond BAAL.
        k1: start, K1 in % and grade of the last whole quarter.
        deviation_mwh: start of the last whole quarter, and its energy off schedule.
    """

    minute: Window = field(default_factory=Window)
    ten: Window = field(default_factory=Window)
    quarter: Window = field(default_factory=Window)
    tie: Window = field(default_factory=Window)
    cps1: DaySums = field(default_factory=DaySums)
    cps2: DaySums = field(default_factory=DaySums)
    passed: DaySums = field(default_factory=DaySums)
    minute_ns: int = -1
    outside_min: int = 0
    k1: tuple[int, float, int] | None = None
    deviation_mwh: tuple[int, float] | None = None


def controlled(sums: AreaSums, area: str, params: ControlParams, ts_ns: int, sample: tuple[float, float, float], step_ns: int) -> AreaSums:
    """Add one sample of an area.

    Args:
        sums: what was counted before.
        area: the area.
        params: bias and bounds.
        ts_ns: instant of the sample.
        sample: ACE, MW; Δf, Hz; NI_A − NI_S, MW.
        step_ns: time the sample stands for.
    """
    ace, deviation_hz, tie_mw = sample
    bound_mw = l10_mw(params.bias_mw_per_0p1hz[area], sum(params.bias_mw_per_0p1hz.values()), params.epsilon10_hz)
    minute, whole_minute = sampled(sums.minute, NS_PER_MIN, ts_ns, (ace, deviation_hz), step_ns)
    ten, whole_ten = sampled(sums.ten, _TEN_NS, ts_ns, (ace,), step_ns)
    tie, whole_tie = sampled(sums.tie, _QUARTER_NS, ts_ns, (tie_mw,), step_ns)
    sums = replace(sums, minute=minute, ten=ten, tie=tie)
    if whole_minute is not None:
        sums = _minute_over(sums, whole_minute, params.bias_mw_per_0p1hz[area], bound_mw, params.epsilon1_hz)
    if whole_ten is not None:
        sums = replace(sums, cps2=sums.cps2.add(whole_ten.start_ns, float(abs(whole_ten.means[0]) <= bound_mw), 1.0))
    if whole_tie is not None:
        sums = replace(sums, deviation_mwh=(whole_tie.start_ns, whole_tie.means[0] * 0.25))
    return sums


def _minute_over(sums: AreaSums, minute: Window, bias_mw_per_0p1hz: float, bound_mw: float, epsilon1_hz: float) -> AreaSums:
    """Judge a whole clock minute, and with it, where it is the first of another quarter, the quarter before."""
    ace, deviation_hz = minute.means
    factor_hz2 = ace / (-10.0 * bias_mw_per_0p1hz) * deviation_hz
    limit_mw = baal_mw(deviation_hz, bias_mw_per_0p1hz, epsilon1_hz)
    outside = limit_mw is not None and (ace < limit_mw if limit_mw < 0 else ace > limit_mw)
    # A minute without a value resets the count (BAL-001-2, attachment 2).
    before = sums.outside_min if sums.minute_ns == minute.start_ns - NS_PER_MIN else 0
    quarter, whole = sampled(sums.quarter, _QUARTER_NS, minute.start_ns, (factor_hz2, ace), NS_PER_MIN)
    sums = replace(
        sums,
        quarter=quarter,
        cps1=sums.cps1.add(minute.start_ns, factor_hz2, 1.0),
        minute_ns=minute.start_ns,
        outside_min=before + 1 if outside else 0,
    )
    if whole is None:
        return sums
    k1_pct = cps_k1_pct(whole.means[0], epsilon1_hz)
    grade = cps_grade(k1_pct, whole.means[1], bound_mw)
    return replace(sums, k1=(whole.start_ns, k1_pct, int(grade)), passed=sums.passed.add(whole.start_ns, float(grade > 0), 1.0))


def control_figures(sums: AreaSums, now_ns: int, params: ControlParams) -> dict[str, float | None]:
    """Return the figures of an area's sums, by KPI name; what is too old to be *the last* minute or quarter is absent."""
    last_quarter_ns = floor_ns(now_ns, _QUARTER_NS) - 2 * _QUARTER_NS
    k1 = sums.k1 if sums.k1 is not None and sums.k1[0] >= last_quarter_ns else None
    energy = sums.deviation_mwh if sums.deviation_mwh is not None and sums.deviation_mwh[0] >= last_quarter_ns else None
    return {
        "cps1_pct": cps1_pct(sums.cps1.mean(now_ns), params.epsilon1_hz),
        "baal_outside_min": float(sums.outside_min) if floor_ns(now_ns, NS_PER_MIN) - sums.minute_ns <= 2 * NS_PER_MIN else None,
        "cps2_pct": sums.cps2.mean_pct(now_ns),
        "cps_k1_pct": None if k1 is None else k1[1],
        "cps_grade": None if k1 is None else float(k1[2]),
        "cps_pass_pct": sums.passed.mean_pct(now_ns),
        "tie_energy_deviation_mwh": None if energy is None else energy[1],
    }
