"""The frame an RTU pushes, against the specification's own layout."""

from __future__ import annotations

from ingest.simulator.rtus import push_frame


def test_a_push_is_a_write_of_registers() -> None:
    """Modbus Application Protocol 1.1b3 §6.12: two registers from 1 on set to 0x000A and 0x0102, under an MBAP header."""
    assert push_frame(0x0015, 0x11, 1, bytes.fromhex("000a0102")) == bytes.fromhex("0015 0000 000b 11 10 0001 0002 04 000a 0102")
