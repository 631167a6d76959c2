"""What a test needs from the machine: found, or the test is skipped with the line that would install it.

A skipped test proves nothing, so the machines that must prove everything set ``GRIDFUSE_REQUIRE=all``: there, what is missing is
a failure.
"""

from __future__ import annotations

import os
import shutil

import pytest

__all__ = ["require"]


def require(tool: str, how: str, *, found: bool | None = None) -> str:
    """Return where ``tool`` is; skip the calling test where it is not, or fail it under ``GRIDFUSE_REQUIRE=all``.

    Args:
        tool: an executable's name, looked up on ``PATH``; or a name for people, when ``found`` is given.
        how: the command that installs it, such as ``apt-get install -y mbpoll``.
        found: whether it is there, for what is no executable (a header, a server's address).

    Returns:
        The executable's path; ``tool`` itself when ``found`` is given.
    """
    path = shutil.which(tool) if found is None else tool if found else None
    if path is not None:
        return path
    message = f"{tool} is not here; get it with: {how}"
    if os.environ.get("GRIDFUSE_REQUIRE") == "all":
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
