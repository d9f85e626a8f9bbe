"""`armside sim record DATASET`: experts' episodes as a LeRobot dataset, each played through the servo protocol.

Worker processes play and draw; this one writes, in the order of the seeds, so that the dataset is the same whatever the
number of workers. An episode in which the expert failed is left out. Started again, it goes on after the last whole
episode; a list beside the dataset's own files says which seeds it holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import SimError, UsageError, sentence

if TYPE_CHECKING:
    import numpy as np

    from episodes.lerobot.plan import DatasetPlan
    from episodes.lerobot.writer import LeRobotWriter
    from policy_spec.frames import Frame

LIST = "armside-sim.jsonl"
FORMAT, VERSION = "armside-sim-record", 1
WAIT_S = 600.0  # for one episode
MOST_FAILURES = 20  # of experts in a row: then something else is wrong


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    dataset: Path
    tasks: tuple[str, ...]
    episodes: int
    seed: int
    size: int
    depth: bool
    nudge: float
    frame: str
    jobs: int
    lead: str = ""  # a policy that drives before the expert does

    def candidate(self, number: int) -> dict[str, Any]:
        """The `number`th episode to try: tasks take turns."""
        task = self.tasks[number % len(self.tasks)]
        seed = self.seed + number // len(self.tasks)
        return {"number": number, "task": task, "seed": seed, "size": self.size, "depth": self.depth} | {
            "nudge": self.nudge
        }

    @property
    def header(self) -> dict[str, Any]:
        """What may not change when it goes on."""
        same = {"tasks": list(self.tasks), "seed": self.seed, "size": self.size, "depth": self.depth}
        led = {"lead": self.lead} if self.lead else {}
        return {"format": FORMAT, "version": VERSION, **same, "nudge": self.nudge, "frame": self.frame} | led


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The word's arguments."""
    from policy_spec.frames import frame_names

    usual = 0.015  # sim.tasks.nudges.USUAL; its room is not imported for a help text, and a test holds them together
    parser.add_argument("dataset", metavar="DATASET", type=Path, help="folder of the dataset; goes on where it is one")
    parser.add_argument("--task", default="all", help="reach, push, pick, or all of them in turn (default: all)")
    parser.add_argument("--episodes", type=int, default=100, metavar="N", help="in the end (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the first scene (default: 0)")
    parser.add_argument("--size", type=int, default=140, metavar="PIXELS", help="of the square pictures (default: 140)")
    parser.add_argument("--depth", action="store_true", help="depth maps of the cameras too, 16-bit millimetres")
    parser.add_argument(
        "--nudge", type=float, default=usual, metavar="RAD", help=f"how far experts are disturbed (default: {usual})"
    )
    parser.add_argument(
        "--joint-frame", choices=frame_names(), default="so101-molmoact2", help="of states and actions in the dataset"
    )
    parser.add_argument(
        "--lead",
        default="",
        metavar="POLICY",
        help="a bundle or checkpoint that drives first, for 1 to 6 s; rows begin where the expert takes over",
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes that play (default: 1)")
    parser.epilog = "example: armside sim record data/sim --task all --episodes 300 --seed 0 --jobs 2"


def run(args: argparse.Namespace) -> int:
    """Records until the dataset has as many episodes as asked for."""
    order = order_of(args)
    with tempfile.TemporaryDirectory(prefix="armside-sim-") as folder:
        written, failed = record(order, Path(folder))
    print(f"{order.dataset}: {order.episodes} episodes, {written} of them new, {failed} times the expert failed")
    return 0


def order_of(args: argparse.Namespace) -> Order:
    """The command line, checked. Raises UsageError, SimError."""
    from sim.tasks.table import TASKS, task_of

    tasks = tuple(TASKS) if args.task == "all" else tuple(args.task.split(","))
    for task in tasks:
        task_of(task)
    for name, value, low in (("--episodes", args.episodes, 1), ("--jobs", args.jobs, 1), ("--size", args.size, 16)):
        if value < low:
            raise UsageError(sentence(name, expected=f"{low} or more", got=value))
    if args.seed < 0 or not 0 <= args.nudge < 0.2 or args.size % 2:
        got = f"seed {args.seed}, nudge {args.nudge:g}, size {args.size}"
        raise UsageError(sentence("numbers", expected="a seed from 0, a nudge below 0.2 rad, an even size", got=got))
    if args.lead and args.lead != "expert" and not Path(args.lead).is_dir():
        raise UsageError(sentence("--lead", expected="the folder of a bundle or checkpoint", got=args.lead))
    return Order(
        dataset=args.dataset,
        tasks=tasks,
        episodes=args.episodes,
        seed=args.seed,
        size=args.size,
        depth=args.depth,
        nudge=args.nudge,
        frame=args.joint_frame,
        jobs=args.jobs,
        lead=args.lead,
    )


def record(order: Order, folder: Path) -> tuple[int, int]:
    """How many episodes were written, and how many left out. Raises SimError, DatasetError."""
    from armside.progress import stages
    from episodes.lerobot.writer import LeRobotWriter

    frame = frame_of(order)
    with LeRobotWriter.open(order.dataset, plan_of(order)) as writer, stages() as tell:
        listed = Listed(order, writer.episodes)
        first, written, failed, in_a_row = listed.next, 0, 0, 0
        if writer.episodes >= order.episodes:
            return 0, 0
        for said in played(order, folder, first):
            tell("record episodes", writer.episodes, order.episodes)
            if said.get("error") or not said["success"]:
                failed, in_a_row = failed + 1, in_a_row + 1
                why = said.get("error") or said["reason"]
                if in_a_row >= MOST_FAILURES:
                    raise SimError(sentence(f"{in_a_row} experts in a row failed", got=why))
                continue
            in_a_row = 0
            listed.add(order.candidate(said["number"]), said)
            write(writer, frame, folder / f"{said['number']}.npz", said["text"])
            written += 1
            if writer.episodes >= order.episodes:
                break
    return written, failed


def frame_of(order: Order) -> Frame:
    """The joint frame of the dataset."""
    from armside.run import half_ranges
    from policy_spec.frames import frame

    return frame(order.frame, half_ranges("so101", None))


def plan_of(order: Order) -> DatasetPlan:
    """What the dataset holds."""
    from episodes.lerobot.plan import DatasetPlan
    from firmware_bridge.robots import find
    from sim.record import RecordOptions
    from sim.tasks.path import PERIOD_S

    names = tuple(f"{joint}.pos" for joint in find("so101").joints)
    sizes = dict.fromkeys(RecordOptions().cameras, (order.size, order.size))
    return DatasetPlan(
        fps=round(1 / PERIOD_S),
        robot_type="so101_follower",
        state_names=names,
        action_names=names,
        cameras=sizes,
        depths={f"{name}_depth": size for name, size in sizes.items()} if order.depth else {},
        joint_frame=order.frame,
    )


def write(writer: LeRobotWriter, frame: Frame, path: Path, text: str) -> None:
    """One episode from its file, which is then removed."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        kept: dict[str, np.ndarray] = {name: arrays[name] for name in arrays.files}
    path.unlink()
    writer.start()
    for moment in rows(kept, frame, text):
        writer.add(moment)
    writer.save()


def rows(kept: dict[str, np.ndarray], frame: Frame, text: str) -> Iterator[Any]:
    """Frames of the dataset, in its joint frame."""
    from episodes.lerobot.writer import Frame as Row

    states, actions = frame.from_si(kept["states"]), frame.from_si(kept["actions"])
    pictures = {name.removeprefix("picture/"): a for name, a in kept.items() if name.startswith("picture/")}
    depths = {f"{name.removeprefix('depth/')}_depth": a for name, a in kept.items() if name.startswith("depth/")}
    for t in range(len(states)):
        images = {name: a[t] for name, a in pictures.items()}
        yield Row(states[t], actions[t], images, text, {name: a[t] for name, a in depths.items()})


class Listed:
    """Which candidates the dataset holds, in a file of JSON lines: each is listed before it is saved."""

    def __init__(self, order: Order, episodes: int) -> None:
        """Raises UsageError where the dataset was begun with other settings."""
        self._path = order.dataset / LIST
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        header = (json.dumps(order.header) + "\n").encode()
        if not lines and episodes:
            raise UsageError(sentence(f"{order.dataset}", expected=f"a dataset with {LIST}", got="another dataset"))
        if lines and lines[0] != header:
            do = "give the same settings, or record into another folder"
            what = f"{order.dataset} was begun with other settings"
            raise UsageError(sentence(what, expected=lines[0].decode().strip(), got=header.decode().strip(), do=do))
        kept = lines[1 : 1 + episodes]  # what was listed and not saved, or not even listed whole, is gone
        half = self._path.with_name(f".{LIST}.half")
        half.write_bytes(header + b"".join(kept))
        half.replace(self._path)
        self.next = json.loads(kept[-1])["number"] + 1 if kept else 0

    def add(self, candidate: dict[str, Any], said: dict[str, Any]) -> None:
        """One more, on disk before this returns."""
        line = {key: candidate[key] for key in ("number", "task", "seed")} | {"text": said["text"]}
        with self._path.open("ab") as file:
            file.write((json.dumps(line | {"rows": said["rows"]}) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())


def played(order: Order, folder: Path, first: int) -> Iterator[dict[str, Any]]:
    """What the workers say, in the order of candidates, without end. Raises SimError where one dies."""
    from firmware_bridge.processes import Lines, spawn

    led = ("armside.eval_lead", str(folder), order.lead, str(order.size))
    processes = [spawn(*led) if order.lead else spawn("sim.record_worker", str(folder)) for _ in range(order.jobs)]
    readers = [Lines(process) for process in processes]
    try:
        asked = first
        for worker in range(order.jobs):  # candidate n is always played by worker n % jobs
            _ask(processes[worker], order.candidate(asked + worker))
        while True:
            worker = (asked - first) % order.jobs
            said = readers[worker].read(WAIT_S)
            if said is None:
                raise SimError(sentence("a process that records", got="no word", do="read the lines above"))
            _ask(processes[worker], order.candidate(asked + order.jobs))
            asked += 1
            yield said
    finally:
        for process, reader in zip(processes, readers, strict=True):
            reader.close()
            process.terminate()
            process.wait()


def _ask(process: Any, candidate: dict[str, Any]) -> None:
    try:
        process.stdin.write(json.dumps(candidate).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        print("a process that records has ended", file=sys.stderr)
