"""libmodbus's own test servers, built from the sources its package ships: Modbus peers that nobody here wrote.

Their port and address are constants in the source; the copy that is built has a free port put in their place, and every address of this
machine, so that a thousand connections can be told apart. ``unit-test-server`` serves one
connection and misbehaves on purpose at a few addresses; ``bandwidth-server-many-up`` serves many and answers any unit.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.field import free_port
from tests.kit.require import require

__all__ = ["libmodbus_registers", "libmodbus_rtu_slave", "libmodbus_server"]

_EXAMPLES = Path("/usr/share/doc/libmodbus-dev/examples")
_HOW = "apt-get install -y libmodbus-dev gcc pkg-config"


@contextmanager
def libmodbus_server(name: str, folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Build and run one of libmodbus's example servers; yield its port and process."""
    require("libmodbus's examples", _HOW, found=_EXAMPLES.is_dir())
    gcc, pkg_config = require("gcc", _HOW), require("pkg-config", _HOW)
    port = free_port()
    for file in _EXAMPLES.glob("unit-test*"):
        shutil.copy(file, folder)
    (folder / "config.h").touch()
    source = folder / f"{name}.c"
    source.write_text((_EXAMPLES / source.name).read_text().replace("1502", str(port)).replace('"127.0.0.1"', '"0.0.0.0"'))
    flags = subprocess.run([pkg_config, "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run([gcc, "-I.", "-o", name, source.name, *flags], cwd=folder, check=True, capture_output=True)
    process = subprocess.Popen([folder / name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_listening(port, process)
        yield port, process
    finally:
        process.kill()
        process.wait()


def _until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait without connecting: the unit-test server takes one connection only."""
    deadline = time.monotonic() + 10.0
    wanted = f"0100007F:{port:04X}", f"00000000:{port:04X}"
    while time.monotonic() < deadline and process.poll() is None:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        if any(row[1] in wanted and row[3] == "0A" for row in rows):
            return
        time.sleep(0.01)
    raise AssertionError(f"no server at 127.0.0.1:{port} within 10 s")


@contextmanager
def libmodbus_registers(folder: Path) -> Iterator[int]:
    """Run a device by libmodbus, with a thousand holding registers that move at each poll and one client at a time; yield its port."""
    program, port = folder / "registers", free_port()
    _build(Path(__file__).with_name("registers.c"), program)
    process = subprocess.Popen([program, str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield port
    finally:
        process.kill()
        process.communicate()


def _build(source: Path, program: Path) -> None:
    """Compile one of our own sources against libmodbus."""
    require("libmodbus's headers", _HOW, found=_EXAMPLES.is_dir())
    gcc, pkg_config = require("gcc", _HOW), require("pkg-config", _HOW)
    flags = subprocess.run([pkg_config, "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run([gcc, "-O2", "-o", program, source, *flags], check=True, capture_output=True)


@contextmanager
def libmodbus_rtu_slave(folder: Path, baud: int = 19_200) -> Iterator[Path]:
    """Run a slave by libmodbus (unit 5, register n holds n) at one end of a serial line; yield the other end.

    The line is a pair of pseudo-terminals, joined by socat.
    """
    socat = require("socat", "apt-get install -y socat")
    slave, ours, theirs = folder / "rtu_slave", folder / "ttyA", folder / "ttyB"
    _build(Path(__file__).with_name("rtu_slave.c"), slave)
    line = subprocess.Popen([socat, f"pty,raw,echo=0,link={ours}", f"pty,raw,echo=0,link={theirs}"])
    device: subprocess.Popen[str] | None = None
    try:
        deadline = time.monotonic() + 10.0
        while not (ours.exists() and theirs.exists()) and time.monotonic() < deadline:
            time.sleep(0.01)
        device = subprocess.Popen([slave, theirs, str(baud)], stdout=subprocess.PIPE, text=True)
        assert device.stdout is not None
        assert device.stdout.readline() == "ready\n"
        yield ours
    finally:
        for process in (device, line):
            if process is not None:
                process.kill()
                process.communicate()
