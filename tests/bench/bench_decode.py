"""Decoding a reply: ours by columns, and pymodbus's converter, of the same registers, in the same run.

``python -m tests.bench.bench_decode`` prints microseconds of CPU per block and per point, and the ratio to pymodbus where it can read
the same; only ratios carry over to another machine. Values are compared first. Scaling is ours only: pymodbus leaves it to the caller.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

from pymodbus.client.mixin import ModbusClientMixin

from ingest.devices import DataType, Kind, Meaning, ModbusPoint, Order, QualityWord, Register
from ingest.modbus.decode import BlockDecoder, spans_of
from ingest.modbus.plan import plan_blocks
from tests.kit.field import modbus_point

DECODES = 2000
ROUNDS = 7


def companion(address: int, type_: DataType) -> Register:
    return Register(kind=Kind.HOLDING, address=address, type=type_, order=Order.ABCD)


def floats(order: Order) -> list[ModbusPoint]:
    return [modbus_point(f"p{n}", 2 * n, DataType.FLOAT32, order=order, scale=0.5) for n in range(62)]


def sunspec() -> list[ModbusPoint]:
    """100 int16 with 8 scale factors and a quality word, as an inverter has them."""
    word = QualityWord(register=companion(110, DataType.UINT16), good=(0,))
    meanings = [Meaning(unimplemented=(0x8000,), factor=companion(100 + n % 8, DataType.INT16), word=word) for n in range(100)]
    return [*(modbus_point(f"p{n}", n, DataType.INT16, meaning=meaning) for n, meaning in enumerate(meanings)), modbus_point("word", 110)]


def digits() -> list[ModbusPoint]:
    return [modbus_point(f"p{n}", 2 * n, DataType.BCD32, scale=0.01) for n in range(62)]


def codes() -> list[ModbusPoint]:
    return [modbus_point(f"p{n}", n, meaning=Meaning(values=((0, 1.0), (3, 2.0)))) for n in range(125)]


def cpu_us(call: Callable[[], object]) -> float:
    """Return microseconds of CPU of one call, the median of the rounds."""
    rounds = []
    for _ in range(ROUNDS):
        begin_s = time.process_time()
        for _ in range(DECODES):
            call()
        rounds.append((time.process_time() - begin_s) / DECODES * 1e6)
    return median(rounds)


def theirs(data: bytes, word_order: str) -> Callable[[], Sequence[float]]:
    registers = list(struct.unpack(f">{len(data) // 2}H", data))
    return lambda: ModbusClientMixin.convert_from_registers(registers, ModbusClientMixin.DATATYPE.FLOAT32, word_order=word_order)  # type: ignore[arg-type,return-value]


def main() -> None:
    """Measure and print."""
    straight = struct.pack(">62f", *range(62))
    swapped = b"".join(straight[n + 2 : n + 4] + straight[n : n + 2] for n in range(0, len(straight), 4))
    cases: dict[str, tuple[list[ModbusPoint], bytes, str]] = {
        "62 float32": (floats(Order.ABCD), straight, "big"),
        "62 float32, words swapped": (floats(Order.CDAB), swapped, "little"),
        "100 int16, 8 scale factors, quality": (sunspec(), struct.pack(">100h", *range(100)) + bytes(22), ""),
        "62 bcd32": (digits(), bytes.fromhex("12345678") * 62, ""),
        "125 codes": (codes(), bytes(250), ""),
    }
    for name, (points, data, word_order) in cases.items():
        [block] = plan_blocks(spans_of(points))
        decoder = BlockDecoder(block, points)
        values, quality = decoder.decode(data)
        assert not quality.any(), name
        ours = cpu_us(lambda decoder=decoder, data=data: decoder.decode(data))  # type: ignore[misc]
        line = f"{name:<38}{ours:7.2f} us CPU per block {ours / len(points):6.3f} per point"
        if word_order:
            read = theirs(data, word_order)
            assert [value / 0.5 for value in values.tolist()] == list(read()), name
            line += f"   {ours / cpu_us(read):.3f} of pymodbus's converter"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
