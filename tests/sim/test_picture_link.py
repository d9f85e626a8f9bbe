"""Pictures of a simulation in another process: as rendered, and lost as a cable is."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edge.camera import CameraPatience
from edge.cameras import open_cameras
from edge.sim_camera import SimSource, in_size
from episodes.picture_link import Image, PictureClient, Request
from policy_spec.errors import CameraError, SimError, sentence
from sim.picture_server import PictureServer


class Painter:
    """Pictures that say which they are; every call from one thread, as a GL context wants it."""

    def __init__(self) -> None:
        self.count = 0
        self.threads: set[int] = set()

    def __call__(self, request: Request) -> tuple[Image, float]:
        self.threads.add(threading.get_ident())
        if request.camera == "none":
            raise SimError(sentence("camera", expected="front", got=request.camera))
        self.count += 1
        size = (request.height or 6, request.width or 8, 3)
        return np.full(size, self.count % 256, np.uint8), 0.5 * self.count


def test_pictures_arrive_as_they_were_rendered(tmp_path: Path) -> None:
    paint = Painter()
    with PictureServer(tmp_path / "s", paint):
        one, other = PictureClient(tmp_path / "s"), PictureClient(tmp_path / "s")
        first, seconds = one.picture(Request("front"))
        assert first.shape == (6, 8, 3) and (first == 1).all() and seconds == 0.5
        large, _ = other.picture(Request("wrist", 640, 480))
        assert large.shape == (480, 640, 3) and (large == 2).all()
        assert (one.picture(Request("front"))[0] == 3).all()
        assert len(paint.threads) == 1 and threading.get_ident() not in paint.threads
        one.close(), other.close()
    assert not (tmp_path / "s").exists()


def test_what_cannot_be_is_said_and_others_go_on(tmp_path: Path) -> None:
    with PictureServer(tmp_path / "s", Painter()):
        with pytest.raises(CameraError, match="expected: front"):
            PictureClient(tmp_path / "s").picture(Request("none"))
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(tmp_path / "s"))
            raw.sendall(b"give me a picture\n" + b'{"camera": "front", "width": 99999}\n')
            raw.settimeout(5.0)
            said = b""
            while said.count(b"\n") < 2:
                said += raw.recv(4096)
            assert b"a JSON line" in said and b"size of a picture" in said
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(tmp_path / "s"))
            raw.sendall(b"x" * 10_000)  # no end of line
        client = PictureClient(tmp_path / "s")
        assert client.picture(Request("front"))[0].shape == (6, 8, 3)
        client.close()


def test_a_server_that_died_leaves_its_socket_and_the_next_one_takes_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(CameraError, match="no simulation gives pictures"):
        PictureClient(tmp_path / "s")
    with PictureServer(tmp_path / "s", Painter()):
        client = PictureClient(tmp_path / "s")
        client.picture(Request("front"))
    with pytest.raises(CameraError, match="gave no picture"):
        client.picture(Request("front"))


def test_a_camera_of_a_run_sees_the_scene(tmp_path: Path) -> None:
    patience = CameraPatience(first_frame_s=5.0, attempts=2, retry_s=0.05)
    with PictureServer(tmp_path / "s", Painter()):
        sources = {"front": f"sim:front@{tmp_path / 's'}", "wrist": f"sim:wrist:20x10@{tmp_path / 's'}"}
        with open_cameras(sources, ("front", "wrist"), patience) as cameras:
            frames = cameras.newest()
            assert frames["front"].image.shape == (6, 8, 3) and frames["wrist"].image.shape == (10, 20, 3)
            deadline = time.monotonic() + 10.0
            while cameras.newest()["front"].index < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            assert cameras.newest()["front"].index >= 2


def test_a_simulation_that_ends_is_a_lost_camera(tmp_path: Path) -> None:
    said: list[str] = []
    patience = CameraPatience(first_frame_s=5.0, attempts=2, retry_s=0.05)
    server = PictureServer(tmp_path / "s", Painter())
    with open_cameras({"front": f"sim:front@{tmp_path / 's'}"}, ("front",), patience, said.append) as cameras:
        server.close()
        deadline = time.monotonic() + 10.0
        with pytest.raises(CameraError, match="is lost"):
            while time.monotonic() < deadline:
                cameras.newest()
                time.sleep(0.01)
    assert any("opening it again" in text for text in said)


@pytest.mark.parametrize(("text", "why"), [("sim:front", "--scene"), ("sim:", "sim:NAME"), ("sim:a b@x", "sim:NAME")])
def test_a_camera_without_a_scene_says_what_to_do(text: str, why: str) -> None:
    with pytest.raises(CameraError, match=why):
        SimSource(text)


def test_a_camera_without_a_size_gets_the_policys() -> None:
    assert in_size("sim:front@/run/s", 140, 150) == "sim:front:150x140@/run/s"
    for other in ("sim:front:64x48@/run/s", "test", "/dev/video0", "0"):
        assert in_size(other, 140, 140) == other
