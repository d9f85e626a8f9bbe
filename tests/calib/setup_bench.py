"""A bench of new motors, and hands that plug them in when they are asked to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from calib.person import Question, Scripted
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.flow import Plan, Result, run
from calib.setup.progress import Progress
from firmware_bridge.robots import find
from firmware_bridge.sts.virtual_bench import Bench, Plant

SO101 = find("so101")
JOINTS = SO101.joints
IDS = dict(zip(JOINTS, range(1, 7), strict=True))
NEW = dict.fromkeys(JOINTS, 1)  # out of the bag
POSE = {joint: 3.0 * number for number, joint in enumerate(JOINTS, 1)}  # no two shafts alike


class Hands(Scripted):
    """Does with the bench what it is asked to, then answers."""

    def __init__(self, bench: Bench, **answers: str) -> None:
        super().__init__({key.replace("__", "."): value for key, value in answers.items()}, yes=True)
        self.bench = bench
        self.instead: dict[str, Callable[[], None]] = {}  # key -> what they do there

    def ask(self, question: Question) -> str:
        kind, _, joint = question.key.partition(".")
        if question.key in self.instead:
            self.instead[question.key]()
        elif kind == "motor" and "." not in joint:
            self.bench.attach(joint)
        elif kind == "cycle":
            self.bench.attach()
            self.bench.attach(joint)
        elif kind == "chain":
            self.bench.attach(*JOINTS)
        return super().ask(question)


@contextmanager
def bench(**plant: object) -> Iterator[Bench]:
    with Bench(SO101, Plant(**{"ids": NEW, "pose": POSE, **plant})) as made:  # type: ignore[arg-type]
        made.attach()
        yield made


def setup(hands: Hands, path: Path, **plan: object) -> Result:
    with AnyBaud(hands.bench.path, (USUAL, 115_200)) as port:  # silence takes its time at each
        return run(hands, port, Plan(SO101, **{"wait_s": 1.0, **plan}), Progress.load(path, "so101"))  # type: ignore[arg-type]


def ids(made: Bench) -> dict[str, int]:
    return {joint: made.stored(joint)["ID"] for joint in JOINTS}
