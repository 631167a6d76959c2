r"""How do devices dial in? The part of a point list file that says so, and what can be wrong with it.

A device that we cannot reach connects to an address of ours, says who it is, and is then written to us or polled::

    modbus+listen://0.0.0.0:9100        # it writes its registers and coils to us (Modbus/TCP)
    modbus+tcp+listen://0.0.0.0:9101    # we poll it: Modbus/TCP, several requests at a time
    modbus+rtu+listen://0.0.0.0:9102    # we poll it: RTU frames, as DTUs pass them on to a serial line

An entry says how its device is received; all devices at one port must say the same, but for ``id`` and the ``name`` of ``tls``::

    - name: "meter-{1..3}"              # three meters behind one DTU
      url: "modbus+rtu+listen://0.0.0.0:9102"
      unit: "{1..3}"
      id: "13800138000"                 # what the DTU calls itself; the device's name where not given
      register: "{hex:7B 01}{id:digits:11}{crc16}"
      heartbeat: ["{hex:FE FE}", "ping"]
      tls: {cert: ours.pem, key: ours.key, ca: devices.pem, clients: required}

``register`` is what it sends first: a template (:mod:`ingest.modbus.greeting` lists its fields), or a regular expression that holds
what ends the packet and a group ``name`` (default ``RTU (?P<name>\S+)\r\n``). ``register: address`` is for devices that say nothing and are
known by their network address, ``register: certificate`` for those known by the common name of their certificate. ``heartbeat`` is what
it sends when it has nothing to say, one template or several.

With ``tls``, ``cert`` and ``key`` are ours. Where ``ca`` is given, devices have to show a certificate that it vouches for, with
their ``id`` in it as common or alternative name, or ``name`` where that is given; an empty ``name`` lets any through.
``clients: optional`` lets in those that show none, unless they have a ``name``. The files are read again when they change.

A device that is polled has 3 s to answer where ``timeout`` is not given: it is mostly behind a mobile network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ingest.addresses import Framing
from ingest.modbus.greeting import BY_ADDRESS, BY_CERTIFICATE, Template, TemplateError, greeting_of

__all__ = ["LISTENING", "PUSHED", "REGISTER", "check_heartbeats", "check_register", "several"]

PUSHED: Final = "modbus+listen"
LISTENING: Final[Mapping[str, Framing]] = {"modbus+tcp+listen": Framing.MBAP, "modbus+rtu+listen": Framing.RTU}
"""Schemes of devices that dial in and are polled, and how their frames stand in the stream."""

REGISTER: Final = r"RTU (?P<name>\S+)\r\n"
"""What a device says first where its entry does not say otherwise."""


def check_register(value: str | None) -> str | None:
    """Return what a device says first.

    Raises:
        ValueError: nobody could be known by it.
    """
    if value not in (None, BY_ADDRESS, BY_CERTIFICATE):
        greeting_of(value)
    return value


def check_heartbeats(value: str | list[str] | None) -> str | list[str] | None:
    """Return what a device says when it has nothing to say.

    Raises:
        ValueError: one of its templates is none.
    """
    for text in several(value):
        try:
            Template.of(text)
        except TemplateError as exc:
            raise ValueError(str(exc)) from None
    return value


def several(value: str | list[str] | None) -> tuple[str, ...]:
    """Return the heartbeats of an entry, of which there may be none, one or several."""
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)
