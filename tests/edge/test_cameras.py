"""Every kind of source, and every way to lose one."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.camera import CameraPatience
from edge.camera_sources import make_source
from edge.cameras import FRESH, LOST, STALE, judge_age, open_cameras
from policy_spec.errors import CameraError

QUICK = CameraPatience(first_frame_s=5.0, stale_s=0.3, give_up_s=60.0, attempts=2, retry_s=0.02)


def wait_for(holds: Callable[[], bool], seconds: float = 15.0) -> None:
    """Waits until it holds; fails loudly where it never does."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "never became true"
        time.sleep(0.01)


def write_clip(path: Path, frames: int = 6) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for index in range(frames):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :, 2] = 40 * index  # red, in OpenCV's order
        writer.write(image)
    writer.release()


def write_folder(path: Path, images: int = 3) -> None:
    path.mkdir()
    for index in range(images):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :, 2] = 50 * (index + 1)
        cv2.imwrite(str(path / f"{index:03d}.png"), image)


@contextmanager
def mjpeg_server() -> Iterator[tuple[str, Callable[[], None]]]:
    """A network camera: its URL, and a call that pulls its plug."""
    plug = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            data = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
            part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data)
            while not plug.is_set():
                try:
                    self.wfile.write(part + data + b"\r\n")
                except OSError:
                    return
                time.sleep(0.02)

        def log_message(self, *parts: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def pull() -> None:
        plug.set()
        server.shutdown()
        server.server_close()

    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/stream.mjpg", pull
    finally:
        if not plug.is_set():
            pull()


def test_slots_are_checked_before_anything_is_opened() -> None:
    with pytest.raises(
        CameraError, match=r"no camera slot 'wrist'; camera slot 'cam1' is not filled"
    ) as caught:
        open_cameras({"cam0": "test", "wrist": "test"}, ("cam0", "cam1"))
    assert "one source for each of cam0, cam1" in str(caught.value)
    assert "--camera cam0=SOURCE --camera cam1=SOURCE" in str(caught.value)
    with pytest.raises(CameraError, match="'cam0' is not filled"):
        open_cameras({}, ("cam0",))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("97", "there is no camera /dev/video97; got: "),
        ("/dev/video98", "there is no camera /dev/video98"),
        ("nowhere.mp4", "there is no camera or file 'nowhere.mp4'"),
        ("test:wide", "expected: test or test:WIDTHxHEIGHT"),
        ("http://127.0.0.1:9/none.mjpg", "cannot be opened as a camera"),
    ],
)
def test_a_camera_that_is_not_there_is_named(source: str, said: str) -> None:
    with pytest.raises(CameraError, match=r"camera cam0: ") as caught:
        open_cameras({"cam0": source}, ("cam0",))
    assert said in str(caught.value)


def test_files_that_hold_no_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CameraError, match="cannot be played"):
        open_cameras({"cam0": str(tmp_path / "text.mp4")}, ("cam0",))
    with pytest.raises(CameraError, match="holds no images"):
        open_cameras({"cam0": str(tmp_path / "empty")}, ("cam0",))


def test_one_bad_camera_closes_the_others() -> None:
    before = threading.active_count()
    with pytest.raises(CameraError, match="camera cam1"):
        open_cameras({"cam0": "test", "cam1": "nowhere.mp4"}, ("cam0", "cam1"))
    assert threading.active_count() == before


def test_the_test_pattern_moves_and_keeps_its_size() -> None:
    with open_cameras({"cam0": "test:160x120", "cam1": "test"}, ("cam1", "cam0")) as cameras:
        first = cameras.newest()
        assert list(first) == ["cam1", "cam0"]  # the policy's order, not the command line's
        assert first["cam0"].image.shape == (120, 160, 3) and first["cam0"].image.dtype == np.uint8
        wait_for(lambda: cameras.newest()["cam0"].index > first["cam0"].index)
        later = cameras.newest()["cam0"]
        assert later.t > first["cam0"].t
        assert not np.array_equal(later.image, first["cam0"].image)
        assert cameras.condition(time.monotonic()).word == FRESH


@pytest.mark.parametrize("kind", ["clip", "folder"])
def test_a_clip_and_a_folder_start_again_and_say_so_once(tmp_path: Path, kind: str) -> None:
    source = tmp_path / ("clip.avi" if kind == "clip" else "folder")
    (write_clip if kind == "clip" else write_folder)(source)
    words: list[str] = []
    with open_cameras({"cam0": str(source)}, ("cam0",), QUICK, words.append) as cameras:
        wait_for(lambda: cameras.newest()["cam0"].index >= 14)
        image = cameras.newest()["cam0"].image
    assert image[..., 1:].max() <= 3  # red only: RGB, not OpenCV's BGR
    assert len(words) == 1 and "starts again" in words[0]


def test_a_folder_that_vanishes_is_a_lost_camera(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder")
    words: list[str] = []
    with open_cameras({"cam0": str(tmp_path / "folder")}, ("cam0",), QUICK, words.append) as cameras:
        shutil.rmtree(tmp_path / "folder")
        wait_for(lambda: cameras.condition(time.monotonic()).word == LOST)
        with pytest.raises(CameraError, match=r"camera cam0 .* is lost.*plug it in and start the run again"):
            cameras.newest()
    assert any("opening it again, at most 2 times" in word for word in words)


def test_a_folder_that_comes_back_is_a_camera_again(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder")
    patience = CameraPatience(attempts=1000, retry_s=0.02)
    words: list[str] = []
    with open_cameras({"cam0": str(tmp_path / "folder")}, ("cam0",), patience, words.append) as cameras:
        (tmp_path / "folder").rename(tmp_path / "away")
        wait_for(lambda: any("opening it again" in word for word in words))
        (tmp_path / "away").rename(tmp_path / "folder")
        wait_for(lambda: any("is back" in word for word in words))
        index = cameras.newest()["cam0"].index
        wait_for(lambda: cameras.newest()["cam0"].index > index)


def test_a_network_camera_and_its_plug_pulled() -> None:
    words: list[str] = []
    say = words.append
    with mjpeg_server() as (url, pull), open_cameras({"cam0": url}, ("cam0",), QUICK, say) as cameras:
        seen = cameras.newest()["cam0"]
        assert seen.image.shape == (48, 64, 3) and abs(int(seen.image.mean()) - 90) <= 3
        wait_for(lambda: cameras.newest()["cam0"].index > seen.index)
        pull()
        wait_for(lambda: cameras.condition(time.monotonic()).word == LOST)
    assert any("stopped giving frames" in word for word in words)


def test_age_decides_between_fresh_stale_and_lost() -> None:
    patience = CameraPatience(stale_s=0.5, give_up_s=15.0)
    words = [judge_age("cam0", age, 1 / 30, patience).word for age in (0.0, 0.49, 0.51, 14.9, 15.1)]
    assert words == [FRESH, FRESH, STALE, STALE, LOST]
    assert judge_age("cam0", 2.0, 1.0, patience).word == FRESH  # a clip of one frame per second


def test_the_first_row_that_holds_names_the_source(tmp_path: Path) -> None:
    write_folder(tmp_path / "folder")
    write_clip(tmp_path / "clip.avi")
    names = {
        "0": "StreamSource", "/dev/video3": "StreamSource", "rtsp://host/a": "StreamSource",
        "test": "PatternSource",
        str(tmp_path / "folder"): "FolderSource", str(tmp_path / "folder" / "000.png"): "FolderSource",
        str(tmp_path / "clip.avi"): "ClipSource",
    }  # fmt: skip
    assert {text: type(make_source(text)).__name__ for text in names} == names
