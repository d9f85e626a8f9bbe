"""Keys: a bridge that others reach answers listed clients only; addresses that need them."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest
import zmq

from firmware_bridge import endpoints
from firmware_bridge.client import BridgeClient, BridgeConfig, BridgeGone, ConfigError, start_bridge
from firmware_bridge.curve import guard, identify, make_keys
from firmware_bridge.messages import Command, pack
from tests.firmware_bridge.acts import until

SIM = BridgeConfig(robot="so101", port="sim", park_speed=3.0)
LOCAL = {
    "ipc:///tmp/x": True,
    "tcp://127.0.0.1:5555": True,
    "tcp://127.9.9.9:5555": True,
    "tcp://localhost:*": True,
    "tcp://[::1]:5555": True,
    "tcp://*:5555": False,
    "tcp://0.0.0.0:5555": False,
    "tcp://[::]:5555": False,
    "tcp://192.168.1.5:5555": False,
    "tcp://eth0:5555": False,
    "tcp://localhost.evil.org:5555": False,
    "tcp://127.0.0.1.evil.org:5555": False,
}


@pytest.mark.parametrize("endpoint", LOCAL)
def test_what_other_machines_reach_needs_keys(endpoint: str) -> None:
    assert endpoints.is_local(endpoint) == LOCAL[endpoint]
    if LOCAL[endpoint]:
        assert dataclasses.replace(SIM, endpoint=endpoint).endpoint == endpoint
        return
    with pytest.raises(ConfigError, match=r"CURVE keys.*armside bridge keys"):
        dataclasses.replace(SIM, endpoint=endpoint)
    assert dataclasses.replace(SIM, endpoint=endpoint, keys="/keys").keys == "/keys"


@pytest.mark.parametrize(
    "endpoint", ["udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:x", "tcp://:5", "tcp://h:0"]
)
def test_endpoints_that_are_none_are_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="ipc://PATH or tcp://ADDRESS:PORT"):
        dataclasses.replace(SIM, endpoint=endpoint)


def test_a_port_that_clients_cannot_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="a port that clients know"):
        dataclasses.replace(SIM, endpoint="tcp://*:*", keys="/keys")


def test_statuses_go_beside_the_commands() -> None:
    assert endpoints.status_endpoint("ipc:///tmp/x") == "ipc:///tmp/x.status"
    assert endpoints.status_endpoint("tcp://*:5555") == "tcp://*:5556"
    assert endpoints.status_endpoint("tcp://[::1]:5555") == "tcp://[::1]:5556"
    assert endpoints.reachable("tcp://0.0.0.0:5556", "tcp://robot:5555") == "tcp://robot:5556"
    assert endpoints.reachable("tcp://127.0.0.1:5556", "tcp://robot:5555") == "tcp://127.0.0.1:5556"


# -- keys


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    make_keys(tmp_path / "keys", ["desk"])
    return tmp_path / "keys"


def free_port() -> int:
    """One of two free ports in a row."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def test_keys_are_private_and_never_overwritten(keys: Path) -> None:
    files = sorted(path for path in keys.rglob("*.key*"))
    assert [str(path.relative_to(keys)) for path in files] == [
        "clients/desk.key",
        "clients/local.key",
        "desk.key_secret",
        "local.key_secret",
        "server.key",
        "server.key_secret",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    before = {path: path.read_bytes() for path in files}
    with pytest.raises(ConfigError, match=r"desk.key_secret exists"):
        make_keys(keys, ["new", "desk"])
    assert {path: path.read_bytes() for path in keys.rglob("*.key*")} == before
    assert len(make_keys(keys, ["new"])) == 2  # the server keeps its own
    for name in ("server", "local", "../up"):
        with pytest.raises(ConfigError):
            make_keys(keys, [name])


def test_listed_clients_are_served_and_nobody_else(keys: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "strangers", ["desk"])
    (tmp_path / "strangers" / "server.key").write_bytes((keys / "server.key").read_bytes())
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with start_bridge(dataclasses.replace(SIM, endpoint=endpoint, keys=str(keys))) as bridge:
        bridge.client.arm()
        until(bridge.client, lambda s: s.mode == "ready")
        with pytest.raises(BridgeGone, match="did not answer"):
            BridgeClient(endpoint, timeout_s=0.5)
        with pytest.raises(BridgeGone, match="did not answer"):
            BridgeClient(endpoint, timeout_s=0.5, keys=str(tmp_path / "strangers" / "desk.key_secret"))
        with zmq.Context() as context, context.socket(zmq.DEALER) as plain, context.socket(zmq.SUB) as listener:
            plain.linger = listener.linger = 0
            plain.connect(endpoint)
            listener.subscribe(b"")
            listener.connect(endpoints.status_endpoint(endpoint))
            plain.send(pack(Command("estop")))
            assert not plain.poll(500) and not listener.poll(500)
        assert bridge.client.status().mode == "ready"
        with BridgeClient(endpoint, keys=str(keys / "desk.key_secret")) as desk:  # negative control
            assert desk.info.status_endpoint == endpoints.status_endpoint(endpoint)
            assert desk.status().mode == "ready" and desk.estop().mode == "estop"


def test_nobody_is_let_in_when_there_is_nobody_left_to_ask(keys: Path, tmp_path: Path) -> None:
    """As between the end of the thread that knows the clients and the end of the sockets."""
    make_keys(tmp_path / "strangers", ["desk"])
    (tmp_path / "strangers" / "server.key").write_bytes((keys / "server.key").read_bytes())
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as server:
        server.linger = 0
        guarding = guard(context, (server,), str(keys))
        server.bind(endpoint)

        def heard(secret: Path, wait_ms: int) -> bool:
            with context.socket(zmq.DEALER) as client:
                client.linger = 0
                identify(client, secret)
                client.connect(endpoint)
                client.send(b"")
                return bool(server.poll(wait_ms)) and bool(server.recv_multipart())

        try:
            assert heard(keys / "desk.key_secret", 5000)  # negative control
        finally:
            guarding.stop()
        assert not heard(tmp_path / "strangers" / "desk.key_secret", 700)


def test_a_taken_over_bridge_still_wants_keys(keys: Path) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with start_bridge(dataclasses.replace(SIM, endpoint=endpoint, keys=str(keys))) as bridge:
        os.kill(bridge.bridge_pid, signal.SIGKILL)
        until(bridge.client, lambda s: s.mode == "fault", patient=True)
        with pytest.raises(BridgeGone):
            BridgeClient(endpoint, timeout_s=0.5)


def test_bad_keys_are_told(keys: Path, tmp_path: Path) -> None:
    endpoint = "tcp://127.0.0.1:5599"
    config = dataclasses.replace(SIM, endpoint=endpoint)
    with pytest.raises(ConfigError, match="armside bridge keys"):
        start_bridge(dataclasses.replace(config, keys=str(tmp_path / "none")))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(keys, elsewhere)
    (elsewhere / "local.key_secret").unlink()
    make_keys(elsewhere, ["other"])
    with pytest.raises(ConfigError, match=r"desk.key_secret, other.key_secret; .*name the file"):
        BridgeClient(endpoint, keys=str(elsewhere))
    for name in ("desk", "other"):
        (elsewhere / f"{name}.key_secret").unlink()
    with pytest.raises(ConfigError, match=r"got: none; .*armside bridge keys"):
        BridgeClient(endpoint, keys=str(elsewhere))
    (keys / "desk.key_secret").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        BridgeClient(endpoint, keys=str(keys / "desk.key_secret"))
    with pytest.raises(ConfigError, match="a public one"):
        BridgeClient(endpoint, keys=str(keys / "server.key"))
    (keys / "local.key_secret").write_text('metadata\ncurve\n    public-key = "short"\n')
    with pytest.raises(ConfigError, match="40 characters"):
        BridgeClient(endpoint, keys=str(keys / "local.key_secret"))
    (keys / "local.key_secret").write_text("nonsense")
    with pytest.raises(ConfigError, match="local"):
        BridgeClient(endpoint, keys=str(keys / "local.key_secret"))
