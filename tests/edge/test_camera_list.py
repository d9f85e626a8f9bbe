"""Cameras as a Linux machine lists them: a planted /dev and /sys, one entry per camera."""

from __future__ import annotations

from pathlib import Path

from edge.camera_list import list_cameras
from edge.snapshots import take


def plant(root: Path, number: int, camera: str, name: str, index: int, stable: str = "") -> None:
    folder = root / f"sys/class/video4linux/video{number}"
    folder.mkdir(parents=True)
    (root / "dev").mkdir(exist_ok=True)
    (root / f"dev/video{number}").touch()
    device = root / f"sys/devices/{camera}"
    device.mkdir(parents=True, exist_ok=True)
    (folder / "device").symlink_to(device)
    (folder / "name").write_text(f"{name}\n")
    (folder / "index").write_text(f"{index}\n")
    if stable:
        (root / "dev/v4l/by-id").mkdir(parents=True, exist_ok=True)
        (root / "dev/v4l/by-id" / stable).symlink_to(f"../../video{number}")


def test_a_camera_with_two_nodes_is_one_and_keeps_its_lasting_name(tmp_path: Path) -> None:
    plant(tmp_path, 0, "usb1", "HD Camera", 0, "usb-Acme_HD_Camera-video-index0")
    plant(tmp_path, 1, "usb1", "HD Camera", 1, "usb-Acme_HD_Camera-video-index1")
    plant(tmp_path, 10, "usb3", "Third", 0)
    plant(tmp_path, 2, "usb2", "Other", 0)
    found = list_cameras(tmp_path)
    assert [item.node for item in found] == ["/dev/video0", "/dev/video2", "/dev/video10"]
    assert found[0].stable == "/dev/v4l/by-id/usb-Acme_HD_Camera-video-index0" and not found[0].moves
    assert found[1].stable == "/dev/video2" and found[1].moves and found[1].model == "Other"


def test_nodes_without_a_device_and_empty_machines(tmp_path: Path) -> None:
    assert list_cameras(tmp_path) == ()
    plant(tmp_path, 0, "usb1", "Gone", 0)
    (tmp_path / "dev/video0").unlink()
    assert list_cameras(tmp_path) == ()


def test_snapshots_of_good_and_bad_sources(tmp_path: Path) -> None:
    told: list[str] = []
    shots = take({"a": "test:64x48", "b": str(tmp_path / "nothing.mp4")}, say=told.append)
    assert shots["a"].image is not None and shots["a"].image.shape == (48, 64, 3) and not shots["a"].live
    assert shots["b"].image is None and "nothing.mp4" in shots["b"].error
    assert len(told) == 2
