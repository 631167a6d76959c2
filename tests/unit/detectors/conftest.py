"""Whatever a detector writes in these tests must have a Chinese form, for documents that are written in Chinese."""

from __future__ import annotations

from typing import Any

import pytest

from detectors.findings import ConditionGone, ConditionMet, Noted
from market.caserecord import Situation
from market.evidencewords import chinese


@pytest.fixture(autouse=True)
def every_sentence_can_be_told_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (ConditionMet, ConditionGone, Noted, Situation):
        made = kind.__init__

        def checked(self: Any, *args: Any, made: Any = made, **said: Any) -> None:
            made(self, *args, **said)
            for text in (self.why,) if isinstance(self, ConditionGone) else self.evidence:
                assert chinese(text) is not None, f"market/evidencewords.py has no Chinese form of: {text}"

        monkeypatch.setattr(kind, "__init__", checked)
