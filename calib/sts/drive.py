"""The motors find the stops of an SO arm themselves, gently, one joint after another (plan.py says in which order).

Nothing that is written stays: registers are changed with Lock = 1, so that a power cut brings back what was there.
Every way out (done, cancelled, an error, a signal) lets the arm go softly and puts the registers back. Should the
process be killed, the arm holds where it is, with no more than the torque limits of plan.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from calib.person import YES, JointRow, LiveView, Person, Question
from calib.sts.live import Live
from calib.sts.motors import Felt, Motors
from calib.sts.plan import HOLD, LOW, PUSHES, REST, STOPS, Stop
from calib.sts.push import Gentle, Push
from calib.sts.sweep import Swept
from calib.sts.zero import POSE
from firmware_bridge.errors import ServoWrong, sentence
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL
from policy_spec.errors import Cancelled

BACK_DEG = 5.0  # off a stop, before it is confirmed
SAME_DEG = 2.0  # two pushes that met the same stop
CONFIRMS = 4
SLACK_DEG = 15.0  # that the pose may be off
NEAR_DEG = 3.0  # of where it should stand
DRIFT_DEG = 20.0  # of a joint that should hold
STAND_S = 12.0
CONFIRM = (
    "The motors now move the arm to its stops, gently, one joint after another, for about two minutes. Clear half a "
    "metre around it, take your hands off when it holds, and stay near: q or Ctrl-C stops it and lets it go softly. "
    "Start?"
)


def drive(person: Person, live: Live, gentle: Gentle | None = None) -> dict[str, Swept]:
    """Every joint between its stops; joints that turn freely stay where they are. Raises Cancelled, ServoError."""
    if person.ask(Question("drive", CONFIRM)) != YES:
        raise Cancelled("cancelled: nothing was moved")
    live.start()
    with Motors(live, person, gentle or Gentle()) as motors:
        return _Drive(person, live, motors, gentle or Gentle()).run()


@dataclass(slots=True)
class _Drive:
    """One run of the plan."""

    person: Person
    live: Live
    motors: Motors
    gentle: Gentle
    zero: dict[str, float] = field(default_factory=dict)  # joint -> ticks, as far as it is known
    ends: dict[tuple[str, int], float] = field(default_factory=dict)
    todo: str = ""

    def run(self) -> dict[str, Swept]:
        for joint, at in self.motors.origin.items():
            self.zero[joint] = at - POSE[joint] / DEGREES_PER_TICK
        for stop in STOPS:
            for joint, degrees in stop.stand:
                self._stand(joint, degrees)
            self._find(stop)
        self.person.tell("all stops are found: the arm lies back and is let go; hold it")
        for joint, degrees in REST:
            self._stand(joint, degrees)
        return {joint: self._swept(joint) for joint in self.live.shafts}

    def _swept(self, joint: str) -> Swept:
        shaft = self.live.shafts[joint]
        low, high = (self.ends.get((joint, way), self.motors.origin[joint]) for way in (LOW, -LOW))
        return Swept(low, high, shaft.samples, (2, 2) if (joint, LOW) in self.ends else (0, 0))

    def _find(self, stop: Stop) -> None:
        """Push, back off, push harder: the same place twice is the stop."""
        joint, way = stop.joint, stop.way
        self.person.tell(f"{joint}: to its {'lower' if way == LOW else 'upper'} stop")
        before = None
        for attempt in range(CONFIRMS):
            limit = PUSHES[joint][min(1, attempt)]
            at = self._push(joint, way, limit)
            if before is not None and abs(at - before) <= SAME_DEG / DEGREES_PER_TICK:
                break
            before = at
            self.motors.limit(joint, HOLD)
            self._go(joint, at - way * BACK_DEG / DEGREES_PER_TICK, f"{joint}: back off")
        else:
            what, do = (
                f"{joint} stops somewhere else every time",
                "see what is in its way; sweep by hand, without --drive",
            )
            raise ServoWrong(sentence(what, expected=f"the same place within {SAME_DEG:.0f} degrees", do=do))
        self.ends[joint, way] = before  # the gentler push bends the arm less
        self.motors.limit(joint, HOLD)
        self._go(joint, before - way * BACK_DEG / DEGREES_PER_TICK, f"{joint}: back off")
        self._learn(joint)

    def _learn(self, joint: str) -> None:
        """Both stops tell the joint's zero better than the pose did."""
        if (joint, LOW) in self.ends and (joint, -LOW) in self.ends:
            travel = TRAVEL[joint]
            middle = (self.ends[joint, LOW] + self.ends[joint, -LOW]) / 2
            self.zero[joint] = middle - (travel.lower + travel.upper) / 2 / DEGREES_PER_TICK

    def _push(self, joint: str, way: int, limit: float) -> float:
        """Where it stood, ticks."""
        self.motors.limit(joint, limit)
        at = self.live.shafts[joint].position
        assert at is not None
        travel = TRAVEL[joint]
        end = travel.lower if way == LOW else travel.upper
        farthest = (abs(end - POSE[joint]) + travel.wide + SLACK_DEG) / DEGREES_PER_TICK
        gone = way * (at - self.motors.origin[joint])
        push = Push(joint, way, at, self.live.clock(), farthest - gone, limit, self.gentle)
        self.todo = f"{joint} goes to its stop: keep your hands off"

        def step(now: float, position: float, felt: Felt) -> float | None:
            return push.step(now, position, felt.load)

        return self._loop(joint, step)

    def _stand(self, joint: str, degrees: float) -> None:
        self._go(joint, self.zero[joint] + degrees / DEGREES_PER_TICK, f"{joint} goes to {degrees:.0f} degrees")

    def _go(self, joint: str, target: float, todo: str) -> None:
        """Slowly to `target` ticks. Raises ServoWrong when it does not get there."""
        self.todo = todo
        began = last = self.live.clock()
        goal = self.live.shafts[joint].position
        assert goal is not None

        def step(now: float, position: float, felt: Felt) -> float | None:
            nonlocal goal, last
            assert goal is not None
            most = self.gentle.speed_deg_s * (now - last) / DEGREES_PER_TICK
            last = now
            goal += max(-most, min(most, target - goal))
            if goal == target and abs(position - target) <= NEAR_DEG / DEGREES_PER_TICK:
                return None
            if now - began > STAND_S:
                away = abs(position - target) * DEGREES_PER_TICK
                what, do = f"{joint} does not get to where it should stand", "see what is in its way"
                raise ServoWrong(sentence(what, expected=todo, got=f"{away:.0f} degrees away", do=do))
            return goal

        self._loop(joint, step)

    def _loop(self, joint: str, step: Callable[[float, float, Felt], float | None]) -> float:
        """Beat by beat until `step` gives None; where `joint` then is. Every beat may stop it all."""
        for reading in self.live.readings():
            self.motors.refuse_signals()
            if self.person.hear():
                raise Cancelled("stopped: the arm is let go; nothing was written")
            felt = self.motors.feel()
            at = self.live.shafts[joint].position
            if joint not in reading.raw or joint not in felt or at is None:
                continue  # Live ends it when this lasts
            goal = step(reading.t, at, felt[joint])
            if goal is None:
                return at
            self.motors.goal(joint, goal)
            self._refuse_drift(joint)
            self.person.show(self._view(joint))
        raise AssertionError("readings end only by an error")

    def _refuse_drift(self, driven: str) -> None:
        for joint, goal in self.motors.goals.items():
            at = self.live.shafts[joint].position
            if joint != driven and at is not None and abs(at - goal) > DRIFT_DEG / DEGREES_PER_TICK:
                what, do = (
                    f"{joint} does not hold while {driven} is driven",
                    "take away what pulls at it; sweep by hand",
                )
                raise ServoWrong(sentence(what, got=f"{abs(at - goal) * DEGREES_PER_TICK:.0f} degrees away", do=do))

    def _view(self, driven: str) -> LiveView:
        rows = tuple(self._row(joint, joint == driven) for joint in self.live.shafts)
        return LiveView("the motors find the stops", self.todo, rows, keys=(("q", "stop and let go"),))

    def _row(self, joint: str, driven: bool) -> JointRow:
        shaft, travel = self.live.shafts[joint], TRAVEL[joint]
        wanted = None if travel.free else (travel.narrowest / DEGREES_PER_TICK, travel.widest / DEGREES_PER_TICK)
        found = sum((joint, way) in self.ends for way in (LOW, -LOW))
        state = "good" if found == 2 or travel.free else "short" if driven else "waiting"
        return JointRow(joint, shaft.position, shaft.low, shaft.high, wanted, state, "moving" if driven else "")
