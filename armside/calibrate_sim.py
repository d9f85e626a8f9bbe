"""`armside calibrate --port sim` of an SO arm: a virtual arm with new servos, and virtual hands that do what is asked.

Gives a Person, a port and the files for one calibration; everything that is shown is labelled as a simulation. The
person answers and presses keys as at a real arm; hands move what the screen asks to be moved. Knows nothing of what
calibrating is about.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.person import LiveView, Person, Question
    from calib.sts.save import Where
    from firmware_bridge.sts.virtual_bench import Bench

SIM = "sim"
HORNS = {"shoulder_lift": 30.0, "elbow_flex": -12.0, "wrist_flex": 14.0}  # degrees: nobody mounts all of them straight
STEP_DEG = 20.0
SPEED_DEG_S = 120.0
REST_S = 0.3  # hands stay at each place
FAR_DEG = 400.0  # to the stop
WELCOME = "SIMULATION: a virtual {name} with new servos, moved by virtual hands as you are asked; answer as you would"
KEPT = "simulation: kept as the virtual arm {id}: port = sim in its profile; LeRobot's folders were left alone"
LEFT = "simulation: nothing was kept; --id with a new name keeps it, for armside jog --robot NAME and the like"


@dataclass(frozen=True, slots=True)
class Simulation:
    """One virtual arm. `target` and `where` lie in a folder that goes, unless it was given an id."""

    person: Person
    target: Target
    where: Where
    port: str
    folder: str  # "": kept

    def said(self, lines: tuple[str, ...]) -> tuple[str, ...]:
        """What is told at the end, without files that go."""
        if not self.folder:
            return (*lines, KEPT.format(id=self.target.id))
        return (*(line for line in lines if not line.startswith(self.folder)), LEFT)


@contextlib.contextmanager
def simulation(target: Target, person: Person) -> Iterator[Simulation]:
    """That arm, while the block runs."""
    from armside.calib_profile import where_of
    from armside.profile import Profile
    from calib.sts.save import Where
    from firmware_bridge.sts.virtual_bench import Bench, Plant

    person.tell(WELCOME.format(name=target.robot.name))
    with tempfile.TemporaryDirectory(prefix="armside-") as folder, Bench(target.robot, Plant(horns=HORNS)) as bench:
        hands = Hands(person, bench)
        if target.id:
            yield Simulation(hands, target, where_of(target), bench.path, "")
            return
        file = Path(folder) / "sim.json"
        profile = Profile(type=target.profile.type, id=SIM, port=SIM, calibration=str(file))
        gone = dataclasses.replace(target, profile=profile, id=SIM)
        yield Simulation(hands, gone, Where(file, (), Path(folder) / "sim.eeprom.json"), bench.path, folder)


class Hands:
    """A Person that passes all on to another one, and moves the virtual arm as that one is shown."""

    def __init__(self, person: Person, bench: Bench) -> None:
        self.alone = person.alone
        self._person = person
        self._bench = bench
        self._title = ""
        self._moves: collections.deque[dict[str, float]] = collections.deque()
        self._seen: tuple[float | None, ...] = ()
        self._still_since = 0.0

    def tell(self, text: str) -> None:
        self._person.tell(text)

    def ask(self, question: Question) -> str:
        from calib.sts.zero import POSE

        self._title = ""  # the same view again asks for the same again
        if question.key in ("roll", "pose"):
            self._bench.hand(SPEED_DEG_S, **POSE)
        return self._person.ask(question)

    def hear(self) -> str:
        from calib.person import AGAIN

        word = self._person.hear()
        if word == AGAIN:
            self._title = ""
        return word

    def show(self, view: LiveView) -> None:
        self._person.show(dataclasses.replace(view, title=f"simulation: {view.title}"))
        now = tuple(row.now for row in view.rows)
        if now != self._seen or "hold still" in view.todo:
            self._seen, self._still_since = now, time.monotonic()
            return
        if view.title != self._title:
            self._title = view.title
            self._moves = collections.deque(self._asked(view.title))
        if self._moves and time.monotonic() - self._still_since >= REST_S:
            self._bench.hand(SPEED_DEG_S, **self._moves.popleft())
            self._still_since = time.monotonic()

    def _asked(self, title: str) -> list[dict[str, float]]:
        """What that live view asks for, in degrees."""
        from calib.sts.guide import WORDS
        from calib.sts.sweep import CLOSE_TITLE, SWEEP_TITLE
        from firmware_bridge.sts.travel import TRAVEL

        if title == SWEEP_TITLE:
            limited = [name for name, travel in TRAVEL.items() if not travel.free]
            ends = [dict.fromkeys(limited, -FAR_DEG), dict.fromkeys(limited, FAR_DEG)]
            return [*ends, dict.fromkeys(limited, 0.0)]
        if title == CLOSE_TITLE:
            return [{"gripper": -FAR_DEG}]
        joint = title.rpartition(": ")[2]
        return [{joint: self._bench.angle(joint) + WORDS[joint][0] * STEP_DEG}] if joint in WORDS else []
