"""Rows per second of training, against the same model in plain eager torch; and how fast rows are made.

    python -m bench.train [--preset sim] [--batch 32] [--samples 4] [--rounds 3] [--threads 0] [--compile] [--json]

Plain: float32, the context of each prompt copied for each of its K noisy chunks, torch's own attention, AdamW one
tensor after another. Ours: one context for all K, fused AdamW, in float32 and in bfloat16 over float32 masters. The
same rows, losses and gradients; variants take turns, the best round of each counts. Rows are made from a LeRobot
dataset written for this: decoded from video in random order, and from the cache; with and without augmentation.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from episodes.lerobot.plan import DatasetPlan
from episodes.lerobot.writer import Frame, LeRobotWriter
from policy_spec.spec import PolicySpec
from train.data.feed import DatasetFeed
from train.data.loader import Draw, Loader, Share, Work
from train.learn import losses
from train.learn.batch import Batch
from train.learn.learner import Learner
from train.model.expert import Masks
from train.presets import ROBOTS
from train.recipe.config import Config, Stage
from train.recipe.read import config_of
from train.trainer.loop import Trainer
from train.trainer.step import Stepper
from train.trainer.world import World

Step = Callable[[], Any]
EPISODES, FRAMES, SIDE, FPS = 6, 60, 224, 30
JOINTS = ("pan", "lift", "elbow", "flex", "roll", "gripper")


def dataset(folder: Path) -> Path:
    """Moving pictures of two cameras, as videos."""
    plan = DatasetPlan(
        FPS, "so101", JOINTS, JOINTS, {"cam0": (SIDE, SIDE), "cam1": (SIDE, SIDE)}, joint_frame="so101-molmoact2"
    )
    low, high = (np.array(side) for side in (ROBOTS["so101"].q01, ROBOTS["so101"].q99))
    draw = np.random.default_rng(0)
    with LeRobotWriter.open(folder, plan) as writer:
        for episode in range(EPISODES):
            scene = draw.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
            writer.start()
            for frame in range(FRAMES):
                joints = low + (high - low) * (0.5 + 0.4 * np.sin(0.1 * frame + np.arange(6) + episode))
                picture = np.roll(scene, frame, axis=1)
                images = {"cam0": picture, "cam1": np.ascontiguousarray(picture[::-1])}
                writer.add(Frame(joints, joints, images, "pick up the red cube"))
            writer.save()
    return folder


def configuration(args: argparse.Namespace, folder: Path, cache: str) -> Config:
    """A fine-tuning as the preset is trained."""
    return config_of(
        {
            "start": {"preset": args.preset},
            "data": {"datasets": [{"path": str(folder / "data")}], "cache": cache},
            "stages": [{"batch": args.batch, "noise_samples": args.samples}],
            "run": {"out": str(folder / "run"), "device": args.device, "threads": args.threads},
        }
    )


def plain_step(learner: Learner, batch: Batch, samples: int) -> Step:
    """The loss written down directly."""
    model, chunks = learner.model, batch.chunks
    assert chunks is not None
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, foreach=False, fused=False)

    def step() -> None:
        features = model.vision(batch.patches, learner.pooling)  # type: ignore[arg-type]
        _, kv = model.llm(batch.input_ids, features, batch.token_type)
        context = model.context(kv, batch.input_ids, batch.visible)
        copied = [(k.repeat_interleave(samples, 0), v.repeat_interleave(samples, 0)) for k, v in context]
        point, target = losses.trajectory(chunks)
        steps = (~chunks.step_is_pad).repeat_interleave(samples, 0)
        visible = batch.visible.repeat_interleave(samples, 0)
        masks = Masks(point.shape[2], model.config.expert, visible, steps)
        velocity = model.velocity(point.flatten(0, 1), chunks.times.flatten(), copied, masks).unflatten(
            0, (-1, samples)
        )
        losses.flow_per_row(velocity, target, chunks, True).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def our_step(stepper: Stepper, batch: Batch) -> Step:
    """The trainer's own."""
    return lambda: stepper.step(1000, [batch], 0)


def best(variants: dict[str, Step], rounds: int, device: torch.device) -> dict[str, float]:
    """Seconds of each variant's best round; they take turns."""

    def settle() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    seconds = dict.fromkeys(variants, float("inf"))
    for number in range(rounds + 1):  # the first one warms up
        for name, step in variants.items():
            settle()
            begun = time.perf_counter()
            step()
            settle()
            if number:
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
    return seconds


def training(args: argparse.Namespace, folder: Path, world: World) -> dict[str, float]:
    """Rows per second of each variant."""
    config = configuration(args, folder, str(folder / "cache"))
    trainer = Trainer(config, DatasetFeed(config.data, 0), world)
    batch: Batch | None = None
    variants: dict[str, Step] = {}
    for name, autocast, compiled in (
        ("plain eager", False, False),
        ("float32", False, False),
        ("bf16", True, False),
        ("bf16 compiled", True, True),
    ):
        if compiled and not args.compile:
            continue
        chosen = replace(trainer, config=replace(config, run=replace(config.run, compile=compiled)))
        stepper, making, _ = chosen.prepared(config.stages[0])
        stepper = replace(stepper, autocast=autocast)
        if batch is None:
            batch = made_batch(trainer, config.stages[0], making).to(world.device)
        whole = plain_step(stepper.learner, batch, args.samples) if name == "plain eager" else our_step(stepper, batch)
        variants[name] = whole
    seconds = best(variants, args.rounds, world.device)
    return {name: args.batch / took for name, took in seconds.items()}


def made_batch(trainer: Trainer, stage: Stage, making: Any) -> Batch:
    """The first batch of the dataset."""
    work = Work(trainer.feed.open(making.spec), making, Draw(0, 0))
    loader = Loader(work, trainer.feed.plan(0), Share(stage.batch), stage.augment)
    return next(loader.batches(0))[0][0]


def loading(args: argparse.Namespace, folder: Path, world: World) -> dict[str, float]:
    """Rows per second that one process makes."""
    rates = {}
    for source, cache in (("video", ""), ("cache", str(folder / "cache"))):
        config = configuration(args, folder, cache)
        trainer = Trainer(config, DatasetFeed(config.data, 0), world)
        making = trainer.prepared(config.stages[0])[1]
        for augmented in (False, True):
            how = replace(config.stages[0].augment, enabled=augmented)
            work = Work(trainer.feed.open(making.spec), making, Draw(0, 0))
            batches = Loader(work, trainer.feed.plan(0), Share(args.batch), how).batches(0)
            next(batches)
            begun = time.perf_counter()
            for _ in range(args.rounds):
                next(batches)
            took = time.perf_counter() - begun
            rates[f"{source}{', augmented' if augmented else ''}"] = args.rounds * args.batch / took
    return rates


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="sim")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=4, help="K, noisy chunks of each row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: its own choice")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="compiled layers too: minutes until they are")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    world = World(0, 1, torch.device(args.device), None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dataset(folder / "data")
        print("training ...", file=sys.stderr, flush=True)
        rates = training(args, folder, world)
        print("loading ...", file=sys.stderr, flush=True)
        loads = loading(args, folder, world)
        tokens = prompt_tokens(folder)
    result = {
        "preset": args.preset, "batch": args.batch, "samples": args.samples, "tokens": tokens,
        "torch": torch.__version__, "threads": torch.get_num_threads(), "rows_per_s": rates, "loading": loads,
    }  # fmt: skip
    if args.json:
        print(json.dumps(result, indent=1))
        return
    print(
        f"{args.preset}, batch {args.batch}, K = {args.samples}, torch {torch.__version__}, {result['threads']} threads"
    )
    print("| training | rows/s | against plain |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.1f} | {rate / rates['plain eager']:.2f}x |")
    print("\n| making rows, one process | rows/s |\n|---|---|")
    for name, rate in loads.items():
        print(f"| {name} | {rate:.0f} |")


def prompt_tokens(folder: Path) -> int:
    """Of the longest prompt with an empty task."""
    spec = PolicySpec.from_checkpoint(folder / "run" / "start")
    tokenizer = spec.tokenizer(folder / "run" / "start" / "tokenizer.json")
    return spec.empty_prompt(tokenizer, len(spec.tag(None).camera_slots))


if __name__ == "__main__":
    main()
