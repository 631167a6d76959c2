"""The closed lists of the measure: causes of an anomaly (Art. 5), classes of one (Art. 6), and who is who (Art. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["BODIES", "CAUSE_ARTICLES", "CAUSE_NAMES", "CAUSE_OF_BASIS", "AnomalyClass", "Cause", "Role", "needs_reference"]


class Cause(StrEnum):
    """Why a market is abnormal; there is no other (Art. 5)."""

    FORCE_MAJEURE = "FORCE_MAJEURE"
    SITE_ACCIDENT = "SITE_ACCIDENT"
    TECHNICAL = "TECHNICAL"
    HUMAN_ERROR = "HUMAN_ERROR"
    DETERMINED = "DETERMINED"


CAUSE_ARTICLES: Final[Mapping[Cause, str]] = {
    Cause.FORCE_MAJEURE: "Art. 5(1)",
    Cause.SITE_ACCIDENT: "Art. 5(2)",
    Cause.TECHNICAL: "Art. 5(3)",
    Cause.HUMAN_ERROR: "Art. 5(4)",
    Cause.DETERMINED: "Art. 5(5)",
}

CAUSE_NAMES: Final[Mapping[Cause, tuple[str, str]]] = {
    Cause.FORCE_MAJEURE: ("不可抗力", "force majeure"),
    Cause.SITE_ACCIDENT: ("运营机构场所发生事故", "an accident at the operators' site"),
    Cause.TECHNICAL: ("技术原因", "a technical cause"),
    Cause.HUMAN_ERROR: ("重大人为失误", "a major human error"),
    Cause.DETERMINED: ("主管部门认定的其他情形", "a situation determined by the authority"),
}
"""Cause → (Chinese, English)."""

CAUSE_OF_BASIS: Final[Mapping[str, Cause]] = {
    "RT_120": Cause.TECHNICAL,
    "DA_EXPECTED": Cause.TECHNICAL,
    "DA_MISSED": Cause.TECHNICAL,
    "TOPOLOGY_HARD": Cause.TECHNICAL,
    "TOPOLOGY_SOFT": Cause.TECHNICAL,
    "SWITCHOVER": Cause.SITE_ACCIDENT,
}
"""What a condition that was found by a machine is taken to be caused by, until a person says otherwise."""


def needs_reference(cause: Cause) -> bool:
    """Whether a cause must name the document that shows it: a warning, or what the authority wrote."""
    return cause in (Cause.FORCE_MAJEURE, Cause.DETERMINED)


class AnomalyClass(StrEnum):
    """Which part of the market's work an anomaly stops (Art. 6)."""

    CANNOT_START = "CANNOT_START"
    CANNOT_CONTINUE = "CANNOT_CONTINUE"
    RESULT = "RESULT"
    NOT_ENDED = "NOT_ENDED"


class Role(StrEnum):
    """In which capacity a person acts. MO stands for either market operator; a dispatcher or a trader is one as well."""

    DISPATCH = "DISPATCH"
    TRADING = "TRADING"
    MO = "MO"
    GOV = "GOV"
    REG = "REG"
    VIEWER = "VIEWER"
    ADMIN = "ADMIN"


BODIES: Final = (Role.GOV, Role.REG)
"""Approval always means both."""
