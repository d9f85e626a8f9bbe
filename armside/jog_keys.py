"""Jogging with keys: a live table, a chosen joint, a step; each key press is one slow move.

Keys pressed while it moves lengthen what comes next by a few steps at most, so that a released key stops it soon.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from armside.armed import Armed
from armside.bridge_table import view
from armside.jog_words import HELP, keys_of
from armside.moving import follow
from calib.keys import single_keys, typed
from firmware_bridge.errors import ConfigError
from firmware_bridge.moves import inside, speeds, straight, track

if TYPE_CHECKING:
    from firmware_bridge.client import Status

STEPS_DEG = (0.5, 1.0, 2.0, 5.0, 10.0)
STEPS_AHEAD = 3
SHOW_S = 0.12


class Halt:
    """A stop that the space key asks for, or a signal."""

    def __init__(self, arm: Armed) -> None:
        self._arm = arm
        self.halted = False

    @property
    def asked(self) -> int:
        return self._arm.stop.asked + self.halted

    @property
    def why(self) -> str:
        return "stopped" if self.halted and not self._arm.stop.asked else self._arm.stop.why


class Jogger:
    """`run()` once, in a terminal."""

    def __init__(self, arm: Armed, speed: float) -> None:
        self.arm = arm
        self.speed = speeds(arm.info, speed)
        self.joint = 0
        self.step = STEPS_DEG.index(2.0)
        self.message = ""
        self.ending = False
        self.code = 0
        self._steps = 0  # asked for and not yet begun, of the chosen joint; the sign is the direction
        self._halt = Halt(arm)
        self._shown = -SHOW_S
        self._live = Live(console=Console(), auto_refresh=False)

    def run(self) -> int:
        """Until q, Ctrl-C or a fault."""
        with single_keys(), self._live:
            while not (self.ending or self.arm.stop.asked):
                status = self.arm.client.status(timeout_s=1.0)
                self._turn(status)
                if status.mode in ("estop", "fault", "stopped"):
                    self.message = status.fault or status.note or status.mode
                    self.ending, self.code = True, 1
                elif self._steps:
                    self._move(status)
        if self.message:
            print(self.message, file=sys.stderr)
        return 130 if self.arm.stop.asked else self.code

    def press(self, word: str) -> None:
        """One key, as jog_words names it."""
        joints = len(self.arm.info.joints)
        if word in ("up", "down"):
            self.joint = (self.joint + (1 if word == "down" else -1)) % joints
            self._steps = 0
        elif word in ("more", "less"):
            way = 1 if word == "more" else -1
            self._steps = int(np.clip(self._steps + way if self._steps * way >= 0 else way, -STEPS_AHEAD, STEPS_AHEAD))
        elif word in ("coarser", "finer"):
            self.step = min(max(self.step + (1 if word == "coarser" else -1), 0), len(STEPS_DEG) - 1)
        elif word == "halt":
            self._steps, self._halt.halted = 0, True
        elif word == "estop":
            self._steps = 0
            self.message = self.arm.client.estop().text
            self.ending, self.code = True, 1
        elif word == "quit":
            self._steps, self._halt.halted = 0, True
            self.ending = True

    def size(self) -> float:
        """One step of the chosen joint, rad or of a gripper's 0..1."""
        gripper = self.arm.info.joints[self.joint] in self.arm.info.grippers
        return STEPS_DEG[self.step] / 100 if gripper else math.radians(STEPS_DEG[self.step])

    def _move(self, status: Status) -> None:
        info, self.message, self._halt.halted = self.arm.info, "", False
        goal = status.commanded.copy()
        wanted = goal[self.joint] + self._steps * self.size()
        goal[self.joint] = np.clip(wanted, info.lower[self.joint], info.upper[self.joint])
        self._steps = 0
        if abs(goal[self.joint] - status.commanded[self.joint]) < 1e-6:
            self.message = f"{info.joints[self.joint]} is at its limit"
            return
        try:
            path = inside(straight(status.commanded, goal, self.speed), info)
        except ConfigError as error:
            self.message = str(error)
            return
        plan = track(path, info, status, speed=float(self.speed.max()))
        moved = follow(self.arm.client, plan, self._halt, self._turn)
        limited = ", ".join(sorted(moved.clamps))
        self.message = "; ".join(part for part in (moved.why, f"limited: {limited}" if limited else "") if part)

    def _turn(self, status: Status) -> None:
        """Between two statuses: keys and the screen."""
        for word in keys_of(typed() or ""):
            self.press(word)
        if time.monotonic() - self._shown > SHOW_S:
            self._shown = time.monotonic()
            self._live.update(self._render(status), refresh=True)

    def _render(self, status: Status) -> RenderableType:
        step = f"{STEPS_DEG[self.step]:g}"
        chosen = Text(
            f"joint: {self.arm.info.joints[self.joint]}   step: {step}° or {step}% of a gripper", style="bold"
        )
        message = [Text(self.message, style="yellow")] if self.message else []
        return Group(view(self.arm.info, status), chosen, *message, Text(HELP, style="dim"))
