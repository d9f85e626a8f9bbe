"""What a simulated arm has beside its kinematics: motors, inertia, the shapes one sees and touches, its cameras.

An `ArmModel` is one row, found by the name of the robot; so101.py and yam.py hold the numbers. The links
themselves are firmware_bridge's, so that what the bridge computes and what moves here cannot drift apart. Data only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from firmware_bridge.kinematics.link import UPRIGHT, Quaternion, Vector
from sim.scene import CameraPose, Colour

PLASTIC: Colour = (0.92, 0.75, 0.15)
DARK: Colour = (0.10, 0.10, 0.11)


@dataclass(frozen=True, slots=True)
class Motor:
    """One joint's motor, geared, as a position servo. Sources stand beside the rows."""

    low: float  # model value (rad, or m of a slide) where the joint ends
    high: float
    kp: float  # N m/rad, or N/m
    kv: float  # N m s/rad, or N s/m
    force: float  # N m or N: stall
    damping: float
    friction: float  # N m or N: dry
    armature: float  # kg m^2 or kg: the rotor's inertia behind its gear
    effort: float = 1.0  # of `force`, that it is allowed


@dataclass(frozen=True, slots=True)
class Part:
    """A primitive on a link."""

    link: str
    kind: str  # "box", "cylinder", "capsule", "sphere"
    half: tuple[float, ...]  # m: a box's half edges; radius and half length; radius
    centre: Vector
    quat: Quaternion = UPRIGHT
    colour: Colour = PLASTIC
    touches: bool = True  # False: only seen
    pad: bool = False  # grips: high friction, rounded by softness


@dataclass(frozen=True, slots=True)
class Work:
    """Where an arm works on its table, and how its gripper takes hold: what experts and drawn scenes go by."""

    shift: float  # m that things stand further out than before an SO-101
    axis: float  # m: x of where it turns about the vertical
    reach: tuple[float, float]  # m from there, on the table
    turn: float  # rad of the gripper's x axis from the way ahead, when its jaws open to the sides
    rest: float  # rad: the turn in the middle of its last joint's range
    span: float  # rad of turn, either way from there
    opens: float  # rad from the gripper's x axis to the line along which the jaws open
    one_jaw: bool  # only one jaw moves: the other waits beside the object
    wider: float  # of the gripper's 0..1, that it opens further than an SO-101's to grip
    lags: float = 0.0  # rad that a joint under way may stay behind its goal: experts then step from goal to goal


@dataclass(frozen=True, slots=True, eq=False)
class ArmModel:
    """One arm."""

    robot: str  # its row in firmware_bridge.robots
    body: str  # its row in firmware_bridge.kinematics.bodies
    motors: Mapping[str, Motor]  # joint -> motor
    inertia: Mapping[str, tuple[float, ...]]  # link -> xx yy zz xy xz yz about its centre of mass, kg m^2
    parts: tuple[Part, ...]
    start: tuple[float, ...]  # [D] where an episode starts
    floor: float  # m, the table's height in the base's frame
    work: Work
    weightless: bool = False  # its driver adds what gravity takes (i2rt's YAM)
    grasp: Vector = (0.0, 0.0, 0.0)  # m, in the tip link's frame: the middle of what is held
    cameras: tuple[CameraPose, ...] = ()
    bases: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)  # of two arms: x y z yaw
