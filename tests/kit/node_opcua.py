"""node-opcua, an OPC UA server nobody here wrote, in a process of its own: it can be frozen, killed, started again, and told what to say.

What it serves, and every option, stands at the head of ``node_opcua_server.js``. The value of each variable is the number of whole
periods since 1970 and its source time is the beginning of that period, so that a test can say which samples there must have been.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kit.opcua_server import PLANT
from tests.kit.require import require

__all__ = ["NodeOpcua", "node_opcua", "value_node"]

_ROOT = Path(__file__).parents[2]
_HOME = _ROOT / ".servers" / "node-opcua"
_PKI = Path(tempfile.gettempdir()) / f"gridfuse-node-opcua-{os.getuid()}-pki"
"""Making a key takes the server longer than everything else at its start, so each begins with a copy of the first one's folder. It has
the copy to itself: a server that is killed may leave a lock there, for which the next one would wait two minutes."""

_START_S = 30.0


class NodeOpcua:
    """The running server.

    Attributes:
        port: where it listens, on 127.0.0.1.
        process: may be stopped, woken and killed by whoever tests.
    """

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process

    def tell(self, **order: Any) -> None:
        """Give the server one order, as its head lists them."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()


def value_node(number: int) -> str:
    """The node id of a variable, as a point list writes it."""
    return f"nsu={PLANT};s=v{number}"


@contextmanager
def node_opcua(port: int, **options: Any) -> Iterator[NodeOpcua]:
    """Run the server; yield it once it serves."""
    how = "scripts/servers.sh nodeopcua"
    node = require("node", "apt-get install -y nodejs npm")
    require("node-opcua", how, found=(_HOME / "node_modules" / "node-opcua").is_dir())
    folder = Path(tempfile.mkdtemp(prefix="gridfuse-node-opcua-"))
    with contextlib.suppress(FileNotFoundError):
        shutil.copytree(_PKI, folder / "pki", ignore=shutil.ignore_patterns("mutex*"))
    given = {"port": port, "pki": str(folder / "pki"), "userPki": str(folder / "users")} | options
    command = [node, str(Path(__file__).with_name("node_opcua_server.js")), json.dumps(given)]
    process = subprocess.Popen(
        command,
        env=os.environ | {"NODE_OPCUA_HOME": str(_HOME), "NODE_NO_WARNINGS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready, _, _ = select.select([process.stdout], [], [], _START_S)
        assert ready, f"the server did not start within {_START_S:g} s"
        assert process.stdout.readline() == b"ready\n", "the server did not start"
        _keep(folder / "pki")
        yield NodeOpcua(port, process)
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
        shutil.rmtree(folder, ignore_errors=True)


def _keep(pki: Path) -> None:
    """Keep a server's key for those that come after it, unless another run just did."""
    if not _PKI.exists() and pki.exists():
        copy = shutil.copytree(pki, pki.with_name("kept"), ignore=shutil.ignore_patterns("mutex*"))
        with contextlib.suppress(OSError):
            copy.rename(_PKI)
