"""Modbus: pure framing, planning and decoding, and the shells that talk to devices and are talked to by them."""
