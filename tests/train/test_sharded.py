"""Two processes on a CPU with FSDP2 over gloo do what one does: losses, parameters, saved files, resuming."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.train.material import ArrayFeed, array_rows, config, micro_checkpoint
from tests.train.sharded import STAGE
from train.checkpoint import load_model
from train.data.loader import Share
from train.trainer.events import read_log
from train.trainer.loop import Trainer
from train.trainer.world import World

ROOT = Path(__file__).parents[2]
MOVES = 1e-3  # the learning rate: the largest step of AdamW


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def two_processes(*words: str) -> None:
    """Runs tests.train.sharded twice, as torchrun would."""
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    command = [sys.executable, "-m", "tests.train.sharded", *words]
    running = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=800)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], "\n".join(told)


@dataclass(frozen=True)
class Runs:
    start: Path  # the checkpoint
    one: Path  # the run of one process
    two: Path  # of two
    on: Path  # of one process for a step, then of two


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    root = tmp_path_factory.mktemp("sharded")
    made = Runs(micro_checkpoint(root / "checkpoint", depth=True), root / "one", root / "two", root / "on")
    alone = World(0, 1, torch.device("cpu"), None)
    cfg = config(made.start, made.one, STAGE, save_every=1, keep=9, recompute=True)
    Trainer(cfg, ArrayFeed(array_rows(depth=True)), alone).run()
    shutil.copytree(made.one, made.on)
    for name in ("step-00000002", "step-00000003", "final"):
        shutil.rmtree(made.on / name)
    two_processes(str(made.start), str(made.two), str(made.on))
    return made


def steps(out: Path) -> list[dict[str, float]]:
    return [line for line in read_log(out) if line["kind"] == "step"]


def test_losses_and_norms_are_those_of_one_process(runs: Runs) -> None:
    for a, b in zip(steps(runs.one), steps(runs.two), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-5)
        assert b["norms"] == pytest.approx(a["norms"], rel=1e-4)


def test_what_is_gathered_is_what_one_process_saves(runs: Runs) -> None:
    places = (runs.start, runs.one / "final", runs.two / "final")
    before, alone, gathered = (dict(load_model(place).named_parameters()) for place in places)
    moved = max(float((alone[n] - before[n]).abs().max()) for n in alone)
    assert moved > MOVES  # the control: a run that learned nothing would be far away
    assert max(float((alone[n] - gathered[n]).abs().max()) for n in alone) < 0.05 * MOVES
    files = [out / "step-00000003" / "trainer" / "optimizer.safetensors" for out in (runs.one, runs.two)]
    a, b = (load_file(str(file)) for file in files)
    assert a.keys() == b.keys() and all(a[name].shape == b[name].shape for name in a)
    # Gradients of softmax-invariant biases are rounding alone: held to the absolute size of the others' rounding.
    worst = max(float((a[name] - b[name]).abs().max() / (a[name].abs().max() + 1e-4)) for name in a)
    assert worst < 1e-3


def test_a_sharded_run_goes_on_from_what_one_process_saved(runs: Runs) -> None:
    assert [line["loss"] for line in steps(runs.on)] == pytest.approx([s["loss"] for s in steps(runs.two)], rel=1e-5)
    on, two = (dict(load_model(out / "final").named_parameters()) for out in (runs.on, runs.two))
    assert max(float((on[n] - two[n]).abs().max()) for n in on) < 0.05 * MOVES


def test_shares_are_disjoint_and_whole() -> None:
    shares = [Share(6, 0, rank, 3) for rank in range(3)]
    assert [row for share in shares for row in share.rows] == list(range(6))
    with pytest.raises(Exception, match=r"stages\.batch; expected: a multiple of the 4 processes; got: 6"):
        Share(6, 0, 0, 4)
