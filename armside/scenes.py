"""--scene of the verbs that start virtual servos: a simulated table around the arm, and its cameras for a run.

The world lives in the process of the virtual servos, its cameras on a socket beside the bridge's own. Whoever starts
the bridge says which scene; a run that uses a bridge which runs finds the cameras by the arm's id.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from firmware_bridge.config import BridgeConfig

SIM = "sim"
CAMERA = "sim:"
TWIN = "sim.process"


def add_scene_argument(group: Any) -> None:
    """--scene, to a parser or a group of one."""
    group.add_argument(
        "--scene",
        metavar="TASK:SEED",
        help="with --port sim: a table with objects around the arm, such as reach:0; its cameras are sim:front and "
        "sim:wrist (armside sim view shows it)",
    )


def with_scene(config: BridgeConfig, scene: str | None) -> BridgeConfig:
    """The bridge whose virtual servos move a simulated arm in that scene; as it was without one.

    Raises UsageError for a port that is not simulated, SimError for a scene that is none.
    """
    if not scene:
        return config
    if config.port != SIM:
        do = "leave --scene out, or give --port sim"
        raise UsageError(sentence("--scene", expected=f"--port {SIM}", got=config.port, do=do))
    from sim.scene_name import scene_of

    scene_of(scene, config.robot)
    twin = (TWIN, "--scene", scene, "--pictures", str(pictures_path(config.id)))
    return dataclasses.replace(config, twin=twin)


def pictures_path(name: str) -> Path:
    """Where the cameras of the arm `name` are; "": of this process's own."""
    from firmware_bridge.registry import folder

    return folder() / (f"{name}.sim" if name else f"sim~{os.getpid()}")


def find_cameras(cameras: Mapping[str, str], choice: ArmChoice) -> dict[str, str]:
    """Sources with `sim:front` made `sim:front@SOCKET`, of the bridge that is meant."""
    name = choice.running.id if choice.running else "" if choice.private else choice.profile.name
    return {
        slot: f"{source}@{pictures_path(name)}" if source.startswith(CAMERA) and "@" not in source else source
        for slot, source in cameras.items()
    }


def task_of(args: argparse.Namespace) -> str:
    """--task, or what the scene asks for. UsageError where neither says it."""
    if args.task is not None:
        return str(args.task)
    if not args.scene:
        raise UsageError(sentence("--task", expected="what to do, in plain words", got="nothing"))
    from sim.scene_name import scene_of

    return str(scene_of(args.scene).text)
