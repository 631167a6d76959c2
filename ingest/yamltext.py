"""How is something written into a YAML file, on one line, so that it is read back as it was?

Values are written as JSON, which is YAML too, but for characters that YAML does not take: these are escaped. What devices say about
themselves stands in comments, where nothing may end the line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["comment", "flow", "quoted"]


def quoted(value: object) -> str:
    r"""Write a value.

    >>> quoted("a\x7fb"), quoted([1, "°"])
    ('"a\\U0000007fb"', '[1, "°"]')
    """
    text = json.dumps(value, ensure_ascii=False)
    return "".join(character if character.isprintable() else f"\\U{ord(character):08x}" for character in text)


def flow(said: Mapping[str, object]) -> str:
    """Write a mapping; its keys are plain words.

    >>> flow({"reg": "holding 3", "scale": 0.1})
    '{reg: "holding 3", scale: 0.1}'
    """
    return "{" + ", ".join(f"{key}: {quoted(value)}" for key, value in said.items()) + "}"


def comment(text: str) -> str:
    """Return a text fit for one line of comment."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
