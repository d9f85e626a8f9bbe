"""A scene and an arm become a MuJoCo model. Takes a `Scene` and an `ArmModel`, gives a compiled `mujoco.MjModel`.

The arm's links come from firmware_bridge.kinematics, joint for joint (a joint's value here is the model's, see
`Move`), so that forward kinematics agree to rounding. Names: a link and a joint by their own, in a robot of two arms
after "left_" or "right_"; an object's body "thing/NAME", a camera by its slot. Knows nothing of time.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from firmware_bridge.kinematics.bodies import Placed, bodies_of
from firmware_bridge.kinematics.link import Link
from firmware_bridge.robots import find
from sim.arms import DARK, ArmModel, Motor, Part
from sim.scene import CameraPose, Scene, Thing
from sim.table import add_light, add_table

TIMESTEP = 0.002  # s
ARM, THING = 1, 2  # contact groups: an arm meets things and the table, not itself (its bridge sees to that)
PAD_FRICTION = (1.2, 0.02, 0.001)  # sliding, turning, rolling: printed jaws with a rubber band, as people use
THING_FRICTION = (0.6, 0.005, 0.0005)
DENSITY = 500.0  # kg/m^3, wood: a 25 mm cube weighs 8 g
SOFT = (0.006, 1.0)  # s and ratio: how a contact gives way
GEOMS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
}
Form = tuple[str, tuple[float, ...]]  # a geom's kind and half sizes


def form_of(thing: Thing) -> Form:
    """What an object is made of: a kind of GEOMS and its half sizes in m."""
    half = thing.size / 2
    table: dict[str, Form] = {
        "cube": ("box", (half, half, half)),
        "bar": ("box", (2 * half, 0.7 * half, 0.7 * half)),
        "cylinder": ("cylinder", (half, half)),
        "ball": ("sphere", (half,)),
    }
    return table[thing.shape]


def half_height(thing: Thing) -> float:
    """m from the table to the middle of an object that stands on it."""
    return form_of(thing)[1][-1]


def arms_of(model: ArmModel) -> tuple[Placed, ...]:
    """The arms of a robot, where they stand."""
    return bodies_of(find(model.robot), model.bases)


def build(model: ArmModel, scene: Scene) -> mujoco.MjModel:
    """The compiled world of one scene."""
    spec = mujoco.MjSpec()
    spec.modelname = model.robot
    spec.compiler.degree = False
    option = spec.option
    option.timestep = TIMESTEP
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = 10.0  # hard against slipping: a held cube must not creep out
    option.iterations, option.ls_iterations = 30, 20
    cameras = scene.cameras if scene.cameras is not None else model.cameras
    _add_view(spec, cameras)
    add_table(spec, scene.table, model.floor)
    add_light(spec, scene.light)
    for placed in arms_of(model):
        _add_arm(spec, model, placed)
    for thing in scene.solids:
        _add_thing(spec, thing, model.floor)
    for camera in cameras:
        _add_camera(spec, camera)
    return spec.compile()


def _add_view(spec: mujoco.MjSpec, cameras: tuple[CameraPose, ...]) -> None:
    """Buffers as large as the largest picture, and no larger: software draws them all."""
    visual = spec.visual
    visual.global_.offwidth = max((camera.width for camera in cameras), default=64)
    visual.global_.offheight = max((camera.height for camera in cameras), default=64)
    visual.quality.shadowsize = 1024
    visual.quality.offsamples = 4
    visual.quality.numslices, visual.quality.numstacks = 16, 8
    visual.map.znear, visual.map.zfar = 0.01, 5.0  # times the extent, which is 1 m
    spec.stat.extent = 1.0
    spec.stat.center = [0.2, 0.0, 0.1]


def _add_arm(spec: mujoco.MjSpec, model: ArmModel, placed: Placed) -> None:
    for link in placed.body.links:
        above = spec.body(placed.called(link.parent)) if link.parent else spec.worldbody
        body = above.add_body(name=placed.called(link.name), pos=link.position, quat=link.quat)
        if not link.parent and placed.base is not None:
            body.pos = placed.base[:3, 3] + np.asarray(link.position)
            body.quat = [math.cos(_yaw(placed) / 2), 0.0, 0.0, math.sin(_yaw(placed) / 2)]
        body.mass, body.ipos = link.mass, link.com
        body.explicitinertial = True
        body.fullinertia = model.inertia[link.name]
        body.gravcomp = float(model.weightless)
        if link.move is not None:
            _add_joint(spec, model.motors[link.move.joint], placed, link, body)
        for part in [part for part in model.parts if part.link == link.name] or _enclosing(link):
            _add_part(body, part)
    _couple(spec, placed)


def _enclosing(link: Link) -> list[Part]:
    """A link that has no shape of its own: the boxes that the bridge keeps clear of things."""
    return [Part(link.name, "box", box.half, box.centre, box.quat, DARK) for box in link.boxes]


def _yaw(placed: Placed) -> float:
    assert placed.base is not None
    return math.atan2(placed.base[1, 0], placed.base[0, 0])


def _add_joint(spec: mujoco.MjSpec, motor: Motor, placed: Placed, link: Link, body: mujoco.MjsBody) -> None:
    assert link.move is not None
    kind = mujoco.mjtJoint.mjJNT_SLIDE if link.move.slide else mujoco.mjtJoint.mjJNT_HINGE
    first = link is next(row for row in placed.body.links if row.move and row.move.joint == link.move.joint)
    name = placed.called(link.move.joint if first else f"{link.move.joint}@{link.name}")
    joint = body.add_joint(name=name, type=kind, axis=link.move.axis, range=[motor.low, motor.high])
    joint.limited = mujoco.mjtLimited.mjLIMITED_TRUE
    joint.damping[0], joint.frictionloss, joint.armature = motor.damping, motor.friction, motor.armature
    if first:
        actuator = spec.add_actuator(name=name, target=name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.set_to_position(kp=motor.kp, kv=motor.kv)
        actuator.forcelimited = mujoco.mjtLimited.mjLIMITED_TRUE
        actuator.forcerange = [-motor.force, motor.force]
        actuator.ctrllimited = mujoco.mjtLimited.mjLIMITED_TRUE
        actuator.ctrlrange = [motor.low, motor.high]


def _couple(spec: mujoco.MjSpec, placed: Placed) -> None:
    """Links that follow a joint whose motor sits at another link (a YAM's second finger) move as that one."""
    for link in placed.body.links:
        follower = placed.called(f"{link.move.joint}@{link.name}") if link.move else ""
        if follower in [joint.name for joint in spec.joints]:
            assert link.move is not None
            rule = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1=follower)
            rule.name2 = placed.called(link.move.joint)
            rule.data[:2] = [0.0, 1.0]
            rule.solref = [0.004, 1.0]


def _add_part(body: mujoco.MjsBody, part: Part) -> None:
    geom = body.add_geom(type=GEOMS[part.kind], pos=part.centre, quat=part.quat, rgba=[*part.colour, 1.0])
    geom.size[: len(part.half)] = part.half
    geom.mass = 0.0
    geom.contype, geom.conaffinity = (ARM if part.touches else 0), 0
    geom.condim, geom.solref = 4, SOFT
    if part.pad:
        geom.friction, geom.priority, geom.condim = PAD_FRICTION, 1, 6


def _add_thing(spec: mujoco.MjSpec, thing: Thing, floor: float) -> None:
    kind, half = form_of(thing)
    x, y = thing.position
    quat = [math.cos(thing.yaw / 2), 0.0, 0.0, math.sin(thing.yaw / 2)]
    body = spec.worldbody.add_body(name=f"thing/{thing.name}", pos=[x, y, floor + half[-1]], quat=quat)
    body.add_freejoint(name=f"thing/{thing.name}")
    geom = body.add_geom(type=GEOMS[kind], rgba=[*thing.colour, 1.0], density=DENSITY)
    geom.size[: len(half)] = half
    geom.contype, geom.conaffinity = THING, ARM | THING
    geom.condim, geom.friction, geom.solref = 4, THING_FRICTION, SOFT


def _add_camera(spec: mujoco.MjSpec, camera: CameraPose) -> None:
    body = spec.body(camera.link) if camera.link else spec.worldbody
    row = body.add_camera(name=camera.slot, pos=camera.position, fovy=camera.fov_deg)
    row.quat = looking(camera)


def looking(camera: CameraPose) -> np.ndarray:
    """The camera's attitude, a quaternion [4] w x y z: MuJoCo's cameras look along -z with y up."""
    back = np.subtract(camera.position, camera.target)
    back = back / np.linalg.norm(back)
    right = np.cross(camera.up, back)
    right = right / np.linalg.norm(right)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, np.column_stack([right, np.cross(back, right), back]).ravel())
    return quat
