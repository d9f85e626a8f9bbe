"""Every motor of an SO arm gets its id, one at a time, and at the end all are seen together.

Takes a Person, an AnyBaud and a Plan, gives a Result. Goes on where it stopped; a motor that is set already is left
as it is. Whatever ends it, the motor at hand has its old id or its new one.
"""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass

import numpy as np

from calib.drawing import draw
from calib.person import NO, YES, LiveView, Person, Question
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.assign import assign, is_set
from calib.setup.chain import WHERE, Link, chain_of, working_order
from calib.setup.cycle import QUIT_KEY, Cycle, power_cycle
from calib.setup.progress import FOUND, UNCHECKED, VERIFIED, WRITTEN, Done, Progress
from calib.setup.servos import MODELS, Found, Servo, find_servos
from calib.setup.together import POLL_S, RETRIED, all_together
from firmware_bridge.errors import BridgeError, CorruptAnswer, NoAnswer, PortError, ServoDuplicate, ServoWrong, sentence
from firmware_bridge.kinematics.bodies import bodies_of
from firmware_bridge.robot import Robot
from firmware_bridge.sts.robots import servos_of

FACTORY_ID = 1
PERSON_WAIT_S = 4.0  # for a motor that is not there although Enter was pressed; then it is asked again


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done."""

    robot: Robot
    only: str = ""  # one joint; "": all
    cycle: bool = True  # with the power-cycle check
    wait_s: float = 60.0  # for hands, where nobody can be asked again


@dataclass(frozen=True, slots=True)
class Result:
    """What is known at the end."""

    joints: dict[str, Done]
    seen: tuple[int, ...] | None  # ids that answered together; None: not asked
    written: tuple[str, ...]  # joints whose servo was written now


def run(person: Person, port: AnyBaud, plan: Plan, progress: Progress) -> Result:
    """All of it. Raises Cancelled, EepromError, ServoMissing, and what cannot be waited for."""
    return _Setup(person, port, plan, progress).run()


class _Setup:
    def __init__(self, person: Person, port: AnyBaud, plan: Plan, progress: Progress) -> None:
        self.person, self.port, self.plan, self.progress = person, port, plan, progress
        row = servos_of(plan.robot)
        self.chain = chain_of(plan.robot.joints, row.ids)
        self.model = row.model
        self.written: list[str] = []

    def run(self) -> Result:
        self.port.bus()  # whoever may not open it hears so at once
        if not self.plan.only:
            if self._all_set():
                return self._result(tuple(link.id for link in self.chain))
            if self.progress.complete:
                self.person.tell("the arm of this name was set up before: beginning again, for other motors")
                self.progress.forget()
        for link in working_order(self.chain):
            done = self.progress.joints.get(link.joint)
            if self.plan.only not in ("", link.joint):
                continue
            if done is not None and done.settled and not self.plan.only:
                self.person.tell(f"{link.joint}: id {done.id}, {done.how} on {done.time}; --restart does it again")
                continue
            self._one(link)
        return self._result(self._together())

    def _result(self, seen: tuple[int, ...] | None) -> Result:
        firmwares = {done.firmware for done in self.progress.joints.values()}
        if len(firmwares) > 1:
            each = ", ".join(f"{name} {done.firmware}" for name, done in self.progress.joints.items())
            self.person.tell(f"the firmware differs: {each}. It works here; LeRobot refuses such an arm")
        return Result(dict(self.progress.joints), seen, tuple(self.written))

    # -- an arm that needs nothing

    def _all_set(self) -> bool:
        """Whether the whole arm is connected and each servo has its id; what little is missing then is written."""
        try:
            servos = find_servos(self.port, (USUAL,)).servos
        except (ServoDuplicate, NoAnswer, CorruptAnswer):
            return False
        by_id = {servo.id: servo for servo in servos if servo.model == self.model}
        if len(servos) != len(self.chain) or not all(link.id in by_id for link in self.chain):
            return False
        for link in self.chain:
            servo = by_id[link.id]
            if not is_set(servo, link.id):
                self.person.tell(f"{link.joint}: its id is right; return delay and status level are set")
                servo = assign(self.port, servo, link.id)
                self.written.append(link.joint)
            self._note(link, servo, FOUND)
        self.progress.finish()
        self.person.tell(f"all {len(self.chain)} motors answer, each with its own id")
        return True

    # -- one motor

    def _one(self, link: Link) -> None:
        servo = self._connected(link)
        begun = self.progress.joints.get(link.joint)
        if is_set(servo, link.id) and not (begun is not None and begun.how == WRITTEN):
            self.person.tell(f"{link.joint}: {servo}; is set already")
            self._note(link, servo, FOUND)
            return
        self.person.tell(f"{link.joint}: {servo}; gets id {link.id}")
        self._note(link, servo, WRITTEN)  # before it is: whoever is killed in between finds it to be checked
        servo = assign(self.port, servo, link.id)
        self.written.append(link.joint)
        self.person.tell(f"{link.joint}: has id {servo.id} now, at {servo.baud} baud")
        after = self._cycled(link, servo) if self.plan.cycle else None
        self._note(link, after or servo, VERIFIED if after else UNCHECKED)
        said = "kept its id without power" if after else "not checked with a power-off"
        self.person.tell(f"{link.joint}: {said}")

    def _cycled(self, link: Link, servo: Servo) -> Servo | None:
        return power_cycle(self.person, self.port, Cycle(link.joint, servo, self._wait_s))

    @property
    def _wait_s(self) -> float:
        return self.plan.wait_s if self.person.alone else max(PERSON_WAIT_S, self.plan.wait_s / 2)

    def _connected(self, link: Link) -> Servo:
        """The one motor that is connected, when it may be this joint's. Raises what was wrong last, Cancelled."""
        text = (
            f"Connect only the {link.joint} motor to the board ({WHERE[link.joint]}), its supply on; then press Enter."
        )
        while True:
            self.person.ask(Question(f"motor.{link.joint}", text, options=(YES,), drawing=self._drawing(link)))
            give_up = time.monotonic() + (self.plan.wait_s if self.person.alone else PERSON_WAIT_S)
            trouble: BridgeError | None = None
            while trouble is None or time.monotonic() < give_up:
                try:
                    servo = self._only(link)
                    if self._agreed(link, servo):
                        return servo
                    trouble = ServoWrong(f"{servo} is not to become {link.joint}")
                except RETRIED as error:
                    trouble = error
                    if isinstance(error, PortError):
                        self.port.close()
                self._show(link, str(trouble))
                self.person.hear()
                time.sleep(POLL_S)
            if self.person.alone:
                raise trouble
            self.person.tell(str(trouble))

    def _drawing(self, link: Link) -> str:
        body = bodies_of(self.plan.robot, {})[0].body
        return draw(body, np.array(self.plan.robot.home_pose), mark=link.joint)

    def _only(self, link: Link) -> Servo:
        found = find_servos(self.port)
        self._refuse_company(link, found)
        servo = found.servos[0]
        if servo.model != self.model:
            wanted = f"{MODELS.get(self.model, '')} ({self.model})"
            do = f"connect a motor of a {self.plan.robot.name}"
            raise ServoWrong(sentence(f"another kind of motor, id {servo.id}", expected=wanted, got=servo, do=do))
        owner = next((name for name, done in self.progress.joints.items() if done.id == servo.id), "")
        if owner not in ("", link.joint) and servo.id != FACTORY_ID and not self.plan.only:
            do = f"unplug it and connect the {link.joint} motor"
            what = f"this is the {owner} motor, it has its id already"
            raise ServoWrong(sentence(what, expected=f"the {link.joint} motor", got=servo, do=do))
        return servo

    def _refuse_company(self, link: Link, found: Found) -> None:
        if not found.servos:
            mute = f", except at {', '.join(map(str, found.mute))}, which this adapter cannot do" if found.mute else ""
            do = "check the motor's plug, the power supply of the board, and its jumpers (USB, not UART)"
            what = f"no motor answers at any baud rate{mute}"
            raise NoAnswer(sentence(what, expected=f"the {link.joint} motor", got="silence", do=do))
        if len(found.servos) > 1:
            do = f"disconnect the others: only the {link.joint} motor may be on the board"
            got = "; ".join(map(str, found.servos))
            raise ServoDuplicate(sentence(f"{len(found.servos)} motors answer", expected="one", got=got, do=do))

    def _agreed(self, link: Link, servo: Servo) -> bool:
        """A motor with another joint's id may be the wrong one in the hand."""
        if servo.id in (FACTORY_ID, link.id):
            return True
        other = next((row.joint for row in self.chain if row.id == servo.id), "")
        whose = f"the id of {other}" if other else "an id that no joint has"
        text = f"This motor has id {servo.id}, {whose}. Is it the {link.joint} motor all the same?"
        return self.person.ask(Question(f"motor.{link.joint}.other", text, usual=NO)) == YES

    # -- all of them

    def _together(self) -> tuple[int, ...] | None:
        if not all(link.joint in self.progress.joints for link in self.chain) and not self.plan.only:
            return None
        wait_s = self.plan.wait_s if self.person.alone else PERSON_WAIT_S
        if not all_together(self.person, self.port, self.chain, wait_s):
            return None
        self.progress.finish()
        return tuple(link.id for link in self.chain)

    # -- what is told and remembered

    def _note(self, link: Link, servo: Servo, how: str) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.progress.note(link.joint, Done(link.id, how, servo.firmware, servo.model, now))

    def _show(self, link: Link, message: str) -> None:
        settled = sum(done.settled for done in self.progress.joints.values())
        title = f"Ids of the motors: {settled} of {len(self.chain)} done"
        todo = f"connect only the {link.joint} motor"
        self.person.show(LiveView(title, todo, (), keys=QUIT_KEY, drawing=self._drawing(link), message=message))
