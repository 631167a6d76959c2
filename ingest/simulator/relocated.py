"""What does a point list say whose devices have moved to this machine?

The maps stay as they are. Every device is written out by itself, with the address of its stand-in, and without what only the real one
needs: certificates and users, and history to fill gaps from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from ingest.stepping import RANGE, span, stepped
from ingest.yamlfile import load_yaml

__all__ = ["relocated"]

_WITH_RANGES: Final = ("name", "area", "url", "unit", "vars")
_OF_THE_REAL_ONE: Final = ("tls", "security", "backfill")


def relocated(path: Path, urls: Mapping[str, str]) -> str:
    """Return a point list with other addresses.

    Args:
        path: the list, which has no problem.
        urls: where each device is now, by name; those that are not here stay where they are.
    """
    data = load_yaml(path).data
    devices: list[dict[str, Any]] = []
    for entry in data["devices"]:
        texts = [text for key in _WITH_RANGES for text in _texts(entry.get(key))]
        steps = {len(span(found)) for text in texts for found in RANGE.finditer(text)}
        for step in range(max(steps, default=1)):
            device = {key: _stepped(value, step) if key in _WITH_RANGES else value for key, value in entry.items()}
            if (url := urls.get(str(device["name"]))) is not None:
                device = {key: value for key, value in device.items() if key not in _OF_THE_REAL_ONE} | {"url": url}
            devices.append(device)
    text = yaml.safe_dump({"maps": data["maps"], "devices": devices}, sort_keys=False, allow_unicode=True, width=140)
    return f"# {path.name}, read from stand-ins on this machine. Written at their start; do not edit.\n{text}"


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, list) else []


def _stepped(value: Any, step: int) -> Any:
    if isinstance(value, str):
        return stepped(value, step)
    if isinstance(value, dict):
        return {key: _stepped(each, step) for key, each in value.items()}
    return [_stepped(each, step) for each in value] if isinstance(value, list) else value
