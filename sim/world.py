"""A simulated arm at its table: goals of its joints go in, positions, loads, pictures and objects come out.

The contract of this room. `World` takes joint goals in our own terms (rad, gripper 0 closed to 1 open) and lets time
pass; whoever stands behind the virtual servos drives it. The same robot, scene and calls give the same bits. Time is
only what `advance` was told. One thread at a time; another must wait outside. Knows nothing of servos and tasks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import mujoco
import numpy as np
import numpy.typing as npt

from firmware_bridge.robot import Robot
from firmware_bridge.robots import find
from policy_spec.errors import SimError, sentence
from sim.arms import ArmModel, Motor
from sim.build import TIMESTEP, arms_of, build
from sim.models import model_of
from sim.pictures import Painter
from sim.scene import Scene

T = TypeVar("T")
STATE = mujoco.mjtState.mjSTATE_INTEGRATION  # all that the next step depends on, warm start included
SETTLING_S = 0.2  # that a new world runs by itself before time 0: things come to rest on the table


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A world at one moment; see `World.restore`."""

    scene: Scene
    state: npt.NDArray[np.float64]  # of mjSTATE_INTEGRATION
    owed: float  # s that were asked for and not yet simulated, less than a step
    effort: npt.NDArray[np.float64]  # [A] 0..1 of stall
    torque: npt.NDArray[np.bool_]  # [A]


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """Where something is, in the frame of the (first) arm's base."""

    position: npt.NDArray[np.float64]  # [3] m
    quat: npt.NDArray[np.float64]  # [4] w x y z


@dataclass(frozen=True, slots=True)
class Joint:
    """Where one joint of ours is in MuJoCo, and how its model value follows: value = scale * ours + offset."""

    actuator: int
    positions: tuple[int, ...]  # indices in qpos: its own, then those of links that follow it
    velocity: int  # index in qvel
    scale: float
    offset: float
    motor: Motor

    def model(self, ours: float) -> float:
        return self.scale * ours + self.offset

    def ours(self, model: float) -> float:
        return (model - self.offset) / self.scale


class World:
    """One robot in one scene; `reset` changes the scene."""

    def __init__(self, robot: str, scene: Scene | None = None) -> None:
        """`robot`: a row of sim/models.py. Raises SimError for another."""
        self.arm = model_of(robot)
        self.robot = find(robot)
        self._painter: Painter | None = None
        self.reset(scene if scene is not None else Scene())

    def reset(self, scene: Scene) -> None:
        """Build `scene`, put the arm at its start and let things come to rest; time is 0. Raises SimError."""
        self._load(scene)
        start = {**dict(zip(self.joints, self._start(), strict=True)), **self._known(scene.start)}
        self._lay(start)
        self.data.ctrl[:] = [joint.model(start[name]) for name, joint in self._joints.items()]
        self._step(round(SETTLING_S / TIMESTEP))
        self.data.time = 0.0
        mujoco.mj_forward(self.model, self.data)

    @property
    def joints(self) -> tuple[str, ...]:
        """The names of all joints, in the robot's order."""
        return self.robot.joints

    @property
    def time(self) -> float:
        """s that were simulated since `reset`."""
        return float(self.data.time)

    def advance(
        self,
        goals: Mapping[str, float],
        dt: float,
        torque_on: Mapping[str, bool] | None = None,
        effort: Mapping[str, float] | None = None,
    ) -> None:
        """Let `dt` s pass while the motors pull towards `goals`.

        `goals`: rad, gripper 0..1; a joint left out keeps its last one; beyond its end it means its end.
        `torque_on`: False lets a joint go limp; left out or None: as it was (on after `reset`).
        `effort`: 0..1 of stall that a motor may pull with; left out or None: as it was (after `reset` the arm's own).
        Steps are TIMESTEP long; what is left over of `dt` is done by the next call. Raises SimError.
        """
        for name, goal in self._known(goals).items():
            joint = self._joints[name]
            if not np.isfinite(goal):
                raise SimError(sentence(f"goal of {name}", expected="a finite number", got=goal))
            self.data.ctrl[joint.actuator] = min(max(joint.model(goal), joint.motor.low), joint.motor.high)
        for name, share in self._known(effort or {}).items():
            self._effort[self._joints[name].actuator] = min(max(share, 0.0), 1.0)
        for name, on in self._known(torque_on or {}).items():
            self._torque[self._joints[name].actuator] = on
        self._limit()
        self._owed += dt
        steps = int(self._owed / TIMESTEP + 1e-9)
        self._owed -= steps * TIMESTEP
        self._step(steps)

    def put(self, positions: Mapping[str, float]) -> None:
        """Joints where they are said to be, at rest and at once: for pictures, not for motions. Raises SimError."""
        self._lay(self._known(positions))
        self.data.qvel[:] = 0.0
        mujoco.mj_forward(self.model, self.data)

    def positions(self) -> dict[str, float]:
        """Each joint in rad, grippers 0..1."""
        return {name: joint.ours(float(self.data.qpos[joint.positions[0]])) for name, joint in self._joints.items()}

    def velocities(self) -> dict[str, float]:
        """Each joint in rad/s, grippers in 1/s."""
        return {name: float(self.data.qvel[joint.velocity]) / joint.scale for name, joint in self._joints.items()}

    def loads(self) -> dict[str, float]:
        """What each motor pulls with, -1..1 of its stall; positive towards greater positions.

        What a weightless arm's driver adds against gravity is in it.
        """
        pulls, added = self.data.actuator_force, self.data.qfrc_gravcomp
        return {
            name: float(np.sign(joint.scale) * (pulls[joint.actuator] + added[joint.velocity]) / joint.motor.force)
            for name, joint in self._joints.items()
        }

    def objects(self) -> dict[str, Pose]:
        """Each object's middle, by its name."""
        found = {}
        for thing in self.scene.solids:
            body = self.data.body(f"thing/{thing.name}")
            found[thing.name] = Pose(body.xpos.copy(), body.xquat.copy())
        return found

    def picture(self, camera: str, size: tuple[int, int] | None = None) -> npt.NDArray[np.uint8]:
        """uint8 [H, W, 3], RGB, as the slot `camera` sees now. `size` (H, W), at most the largest camera's.

        Raises SimError for a slot that the scene lacks, and where nothing can draw.
        """
        return self._drawing().picture(self.data, camera, self._size(camera, size))

    def depth(self, camera: str, size: tuple[int, int] | None = None) -> npt.NDArray[np.float32]:
        """float32 [H, W], m from the camera's plane; as `picture`."""
        return self._drawing().depth(self.data, camera, self._size(camera, size))

    def snapshot(self) -> Snapshot:
        """This moment, to come back to with `restore`."""
        state = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, state, STATE)
        return Snapshot(self.scene, state, self._owed, self._effort.copy(), self._torque.copy())

    def restore(self, snapshot: Snapshot) -> None:
        """Back to `snapshot`, in its scene; what follows has the same bits as it had then."""
        if snapshot.scene != self.scene:
            self._load(snapshot.scene)
        mujoco.mj_setState(self.model, self.data, snapshot.state, STATE)
        self._owed = snapshot.owed
        self._effort[:], self._torque[:] = snapshot.effort, snapshot.torque
        self._limit()
        mujoco.mj_forward(self.model, self.data)

    def close(self) -> None:
        """Give the pictures' memory back. The world still moves, and draws again when asked."""
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    # -- within

    def _load(self, scene: Scene) -> None:
        model = build(self.arm, scene)
        self.scene, self.model = scene, model
        if self._painter is not None and not self._painter.take(model):
            self.close()
        self.data = mujoco.MjData(self.model)
        self.cameras = {row.slot: row for row in (self.arm.cameras if scene.cameras is None else scene.cameras)}
        self._joints = _joints(self.model, self.arm, self.robot)
        self._effort = np.array([joint.motor.effort for joint in self._joints.values()])
        self._torque = np.ones(len(self._joints), dtype=bool)
        self._owed = 0.0
        self._limit()

    def _start(self) -> tuple[float, ...]:
        """The arm's own start, once for each arm of the robot."""
        return self.arm.start * len(arms_of(self.arm))

    def _limit(self) -> None:
        """MuJoCo's own clamp of each motor's pull follows what it may pull with."""
        stall = np.array([joint.motor.force for joint in self._joints.values()])
        self.model.actuator_forcerange[:, 1] = stall * self._effort * self._torque
        self.model.actuator_forcerange[:, 0] = -self.model.actuator_forcerange[:, 1]
        for placed in arms_of(self.arm) if self.arm.weightless else ():
            on = any(self._torque[self._joints[name].actuator] for name in self.joints[placed.columns])
            for name in placed.body.names:  # a limp arm's driver adds nothing
                self.model.body_gravcomp[self.model.body(placed.called(name)).id] = float(on)

    def _step(self, steps: int) -> None:
        if steps:
            mujoco.mj_step(self.model, self.data, steps)

    def _known(self, given: Mapping[str, T]) -> Mapping[str, T]:
        strangers = set(given) - set(self.joints)
        if strangers:
            raise SimError(sentence("joints", expected=", ".join(self.joints), got=", ".join(sorted(strangers))))
        return given

    def _lay(self, positions: Mapping[str, float]) -> None:
        for name, value in positions.items():
            joint = self._joints[name]
            for position in joint.positions:
                self.data.qpos[position] = joint.model(value)

    def _drawing(self) -> Painter:
        if self._painter is None:
            self._painter = Painter(self.model)
        return self._painter

    def _size(self, camera: str, size: tuple[int, int] | None) -> tuple[int, int]:
        if camera not in self.cameras:
            raise SimError(sentence("camera", expected=" or ".join(self.cameras), got=camera))
        row = self.cameras[camera]
        largest = self.model.vis.global_.offheight, self.model.vis.global_.offwidth
        if size is not None and (min(size) < 1 or size[0] > largest[0] or size[1] > largest[1]):
            do = "ask for less, or give a camera of the scene that size"
            raise SimError(sentence("picture", expected=f"at most {largest} (H, W)", got=size, do=do))
        return size if size is not None else (row.height, row.width)


def _joints(model: mujoco.MjModel, arm: ArmModel, robot: Robot) -> dict[str, Joint]:
    """The robot's joints in its order, which is that of the actuators."""
    found = {}
    for placed in arms_of(arm):
        for own, name in zip(placed.body.joints, robot.joints[placed.columns], strict=True):
            movers = [(link, link.move) for link in placed.body.links if link.move and link.move.joint == own]
            names = [name] + [f"{name}@{link.name}" for link, _ in movers[1:]]
            rows = [model.joint(each) for each in names]
            move = movers[0][1]
            found[name] = Joint(
                actuator=model.actuator(name).id,
                positions=tuple(int(row.qposadr[0]) for row in rows),
                velocity=int(rows[0].dofadr[0]),
                scale=move.scale,
                offset=move.offset,
                motor=arm.motors[own],
            )
    return found
