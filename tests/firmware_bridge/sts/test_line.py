"""Ports that cannot be had: each refusal says what, and what to type."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from firmware_bridge.errors import PortBusy, PortError, PortLost, PortMissing, PortPermission
from firmware_bridge.sts.line import SerialLine, holders
from firmware_bridge.sts.virtual_bus import VirtualBus
from firmware_bridge.sts.virtual_port import VirtualPort

NOBODY = 65534


@contextmanager
def not_root() -> Iterator[None]:
    """Root may open anything: be nobody for a while."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(was)


def test_missing_port() -> None:
    with pytest.raises(PortMissing, match=r"/dev/ttyNOT_THERE does not exist.*expected.*what to do"):
        SerialLine("/dev/ttyNOT_THERE")


def test_busy_port(port: VirtualPort) -> None:
    first = SerialLine(port.path)
    with pytest.raises(PortBusy, match=r"busy.*fuser"):
        SerialLine(port.path)
    first.close()
    SerialLine(port.path).close()  # negative control: it was the lock


def test_permission(port: VirtualPort) -> None:
    os.chmod(port.path, 0)
    with not_root(), pytest.raises(PortPermission, match=r"sudo usermod -aG dialout \$USER"):
        SerialLine(port.path)
    os.chmod(port.path, 0o666)
    with not_root():
        SerialLine(port.path).close()


def test_a_file_is_not_a_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PortError, match="not a usable serial port"):
        SerialLine(str(tmp_path / "file"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_programs_without_a_lock_are_named(tmp_path: Path) -> None:
    path = tmp_path / "held"
    path.write_text("")
    assert holders(str(path)) == []
    script = "import sys; f = open(sys.argv[1]); print(1, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert f"({process.pid})" in holders(str(path))[0]
        process.communicate()


def test_a_pulled_cable_is_named(still_bus: VirtualBus) -> None:
    port = VirtualPort(still_bus).start()
    line = SerialLine(port.path)
    assert line.flush_input() == 0
    port.stop()
    with pytest.raises(PortLost, match=r"went away.*USB cable"):
        line.flush_input()
        line.receive(0.0)
    line.close()
