"""An OPC UA server in a process of its own, so that it can be frozen, killed and started again.

``python -m tests.kit.opcua_server PORT URI[,URI...]`` registers the namespaces in that order and puts three variables into
``urn:test:plant``: ``count``, which grows ten times a second, ``steady``, which is always 42, and ``setpoint``, which can be written.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asyncua import Server, ua

__all__ = ["PLANT", "opcua_server", "open_server"]

PLANT = "urn:test:plant"


async def open_server(port: int, namespaces: list[str]) -> Server:
    """A server without security on a port of this machine; not started yet."""
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for uri in namespaces:
        await server.register_namespace(uri)
    return server


async def _serve(port: int, namespaces: list[str]) -> None:
    server = await open_server(port, namespaces)
    index = await server.get_namespace_index(PLANT)
    objects = server.nodes.objects
    count = await objects.add_variable(ua.NodeId("count", index), "count", 0.0)
    await objects.add_variable(ua.NodeId("steady", index), "steady", 42.0)
    setpoint = await objects.add_variable(ua.NodeId("setpoint", index), "setpoint", 0.0)
    await setpoint.set_writable()
    # The same identifiers elsewhere hold other values: whoever keeps an old index reads these.
    for number in range(2, len(namespaces) + 2):
        if number != index:
            for name in ("count", "steady", "setpoint"):
                await objects.add_variable(ua.NodeId(name, number), name, -1.0)
    async with server:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        value = 0.0
        while True:
            await asyncio.sleep(0.1)
            value += 1.0
            await count.write_value(value)


@contextmanager
def opcua_server(port: int, *namespaces: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server; yield its process once it serves."""
    command = [sys.executable, "-m", "tests.kit.opcua_server", str(port), ",".join(namespaces or (PLANT,))]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", "the server did not start"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2].split(",")))
