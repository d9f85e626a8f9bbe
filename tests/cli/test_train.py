"""`armside train`: a run from a LeRobot dataset, its log and curves, Ctrl-C and --resume, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter
from tests.train.material import micro_checkpoint
from train.checkpoint import load_model
from train.presets import ROBOTS
from train.trainer.events import read_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a dataset and a configuration."""
    root = tmp_path_factory.mktemp("train")
    micro_checkpoint(root / "start")
    names = ("pan", "lift", "elbow", "flex", "roll", "gripper")
    cameras = {"cam0": (16, 16), "cam1": (16, 16)}
    plan = DatasetPlan(30, "so101", names, names, cameras, joint_frame="so101-molmoact2", pictures="image")
    draw, low = np.random.default_rng(0), np.array(ROBOTS["so101"].q01)
    with LeRobotWriter.open(root / "data", plan) as writer:
        writer.start()
        for _ in range(8):
            images = {c: draw.integers(0, 256, (16, 16, 3), dtype=np.uint8) for c in cameras}
            writer.add(Frame(low + draw.random(6), low + draw.random(6), images, "reach the red cube"))
        writer.save()
    (root / "run.toml").write_text(f"""
[start]
checkpoint = "{root / "start"}"
[data]
cache = "{root / "cache"}"
[[data.datasets]]
path = "{root / "data"}"
[[stages]]
steps = 3
batch = 2
noise_samples = 2
[run]
out = "{root / "run"}"
device = "cpu"
threads = 1
log_every = 1
""")
    return root


def armside(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "armside", "train", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def test_a_run_from_a_dataset(folder: Path) -> None:
    done = armside(folder / "run.toml", "--json", "-")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["finished"], facts["steps"], facts["checkpoint"]) == (True, 3, str(folder / "run" / "final"))
    load_model(facts["checkpoint"])
    assert (folder / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert [line["total"] for line in read_log(folder / "run") if line["kind"] == "step"] == [1, 2, 3]
    assert "... decoding data" in done.stderr and "finetune 3/3  loss" in done.stderr
    again = armside(folder / "run.toml")
    assert again.returncode != 0 and "holds a run" in again.stderr and "--resume" in again.stderr


def test_ctrl_c_saves_and_the_run_goes_on(folder: Path) -> None:
    out = folder / "stopped"
    words = [str(folder / "run.toml"), "--set", f"run.out={out}", "--set", "stages.0.steps=5000", "--no-curves"]
    process = subprocess.Popen([sys.executable, "-m", "armside", "train", *words], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(read_log(out)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 130, stderr
    log = read_log(out)
    assert log[-1]["kind"] == "saved" and Path(log[-1]["path"]).is_dir() and not list(out.glob("*partial*"))
    other = armside(*words, "--set", "stages.0.batch=1", "--resume")
    assert other.returncode != 0 and "stages.0.batch" in other.stderr


def test_every_setting_is_shown_and_reads_back(folder: Path, tmp_path: Path) -> None:
    shown = armside(folder / "run.toml", "--print-config", "--set", "stages.0.lr.expert=0.5")
    assert shown.returncode == 0 and "expert = 0.5" in shown.stdout and "betas = [0.9, 0.95]" in shown.stdout
    (tmp_path / "all.toml").write_text(shown.stdout)
    assert armside(tmp_path / "all.toml", "--print-config").stdout == shown.stdout


def test_a_setting_that_is_none_is_named(folder: Path) -> None:
    done = armside(folder / "run.toml", "--set", "stages.0.stepss=3")
    assert done.returncode != 0 and "did you mean steps?" in done.stderr and "Traceback" not in done.stderr
