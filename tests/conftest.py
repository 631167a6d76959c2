"""What every test run shares."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings


def pytest_configure(config: pytest.Config) -> None:
    """Collect no garbage while modules and tests are made: there is none, and looking for it is a tenth of the unit suite's time.

    Property tests have no deadline per example.
    """
    gc.disable()
    # How long an example takes says how busy the machine is; speed is measured by the benchmarks.
    settings.register_profile("gridfuse", deadline=None)
    settings.load_profile("gridfuse")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Collect garbage from here on, seldom, and pass over what was made so far: it lives to the end."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
