"""From a configuration, a robot's row and what connecting found, to the safety core's rules. Pure but for our pid."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import Facts
from firmware_bridge.errors import ConfigError, sentence
from firmware_bridge.messages import FRAME, UNITS, Info
from firmware_bridge.robot import Robot
from firmware_bridge.safety.chunks import Door
from firmware_bridge.safety.levels import make_levels
from firmware_bridge.safety.limits import Limits, tightest
from firmware_bridge.safety.modes import Rules
from firmware_bridge.safety.motion import Envelope
from firmware_bridge.safety.workspace import Workspace, make_workspace

Array = npt.NDArray[np.float64]
STRAY = 0.1  # rad, gripper 0..1: so far outside its limits a pose that was written down is taken as their edge


def make_rules(config: BridgeConfig, robot: Robot, facts: Facts) -> Rules:
    """The machine's rules from a configuration. Raises ConfigError for joints that do not exist."""
    bounds = (facts.lower, facts.upper)
    lower, upper = tightest(robot.joints, bounds, [robot.limits, config.limits])
    speed = np.minimum(robot.speed, config.speed)
    acceleration = np.full(len(robot.joints), config.acceleration) if config.acceleration else robot.acceleration
    lead = np.full(len(robot.joints), config.lead) if config.lead else robot.lead
    limits = Limits(robot.joints, lower, upper, speed)
    timing = config.timing
    grippers = np.array([name in robot.grippers for name in robot.joints])
    workspace = make_workspace(robot, config.floor, config.keep_out, config.self_collision, config.bases)
    park_pose = _pose(robot, robot.park_pose, config.park_pose, limits)
    _check_free("park_pose", park_pose, workspace)
    _check_free("home_pose", _pose(robot, robot.home_pose, config.home_pose, limits), workspace)
    dt = 1.0 / timing.rate_hz
    return Rules(
        envelope=Envelope(limits, np.array(acceleration), np.array(lead), dt, workspace, grippers),
        servo_bounds=bounds,
        grippers=grippers,
        park_pose=park_pose,
        park_speed=config.park_speed,
        may_move=config.may_move,
        exit_policy=config.exit_policy,
        holds_alone=robot.holds_alone,
        silent_fault_s=timing.silent_fault_s,
        client_timeout_s=timing.client_timeout_s,
        park_after_s=timing.park_after_s,
        park_timeout_s=timing.park_timeout_s,
        levels=make_levels(robot.family, config.levels),
    )


def _check_free(name: str, pose: Array, workspace: Workspace) -> None:
    met = workspace.inside(pose)
    if met:
        do = "choose another pose, or move the floor or the box that it meets (floor, keep_out)"
        expected = "a pose free of the floor, of boxes and of the arm itself"
        raise ConfigError(sentence(name, expected=expected, got="; ".join(met), do=do))


def _pose(robot: Robot, own: Sequence[float], given: Mapping[str, float], limits: Limits) -> Array:
    unknown = sorted(set(given) - set(robot.joints))
    if unknown:
        raise ConfigError(sentence("a pose", expected=", ".join(robot.joints), got=", ".join(unknown)))
    for name, value in given.items():
        if not math.isfinite(value):
            raise ConfigError(sentence(f"{name} in a pose", expected="a number in rad", got=value))
        place = robot.joints.index(name)
        low, high = limits.lower[place], limits.upper[place]
        if not low - STRAY <= value <= high + STRAY:
            do = f"choose a pose inside; {name} = 90 is no angle in rad, degrees are in the _deg table of the profile"
            raise ConfigError(sentence(f"{name} in a pose", expected=f"{low:.3f} to {high:.3f}", got=value, do=do))
    pose = dict(zip(robot.joints, own, strict=True)) | dict(given)
    inside: Array = np.clip([pose[name] for name in robot.joints], limits.lower, limits.upper)
    return inside


def make_door(config: BridgeConfig, robot: Robot) -> Door:
    """What a chunk must fit."""
    rate = config.timing.rate_hz
    oldest = max(1, round(config.timing.max_observation_age_s * rate))
    return Door(robot.name, len(robot.joints), rate, oldest)


def make_info(config: BridgeConfig, robot: Robot, rules: Rules, facts: Facts, port: str, status_endpoint: str) -> Info:
    """What clients are told once."""
    return Info(
        arm=robot.name,
        id=config.id or robot.name,
        joints=robot.joints,
        grippers=robot.grippers,
        lower=tuple(rules.limits.lower.tolist()),
        upper=tuple(rules.limits.upper.tolist()),
        speed=tuple(rules.limits.speed.tolist()),
        park_pose=tuple(rules.park_pose.tolist()),
        home_pose=tuple(_pose(robot, robot.home_pose, config.home_pose, rules.limits).tolist()),
        rate_hz=config.timing.rate_hz,
        live=config.may_move,
        port=port,
        calibration=facts.calibration,
        fingerprint=facts.fingerprint,
        units=UNITS,
        frame=FRAME,
        exit_policy=config.exit_policy,
        status_endpoint=status_endpoint,
        pid=os.getpid(),
    )
