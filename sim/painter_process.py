"""Draws a simulation's cameras in a process of its own: `python -m sim.painter_process --robot so101 --pictures PATH`.

Preparing to draw may take seconds, in which the virtual servos must go on answering within milliseconds: so the world
that moves and the one that is drawn are two. This one asks for the other's state over its stdout (one byte), gets it
over its stdin (HEAD and float64 numbers), and answers clients on the socket. Says READY once the socket is there. Ends,
and takes the socket away, when its stdin does, however its parent died.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import select
import signal
import struct
import sys
from typing import BinaryIO

import numpy as np

from episodes.picture_link import Image, Request
from policy_spec.errors import ArmsideError, SimError, sentence
from sim.models import model_of
from sim.picture_server import PictureServer
from sim.randomise import with_pictures
from sim.scene import Scene
from sim.scene_name import scene_of
from sim.world import World

READY, ASK = b"r", b"s"
LARGEST = 720  # pixels of a picture's side
HEAD = struct.Struct("<Qd")  # how many numbers follow, and the world's time in s


class Copy:
    """The world that is drawn. Cameras are as large as the scene says, unless a request says otherwise."""

    def __init__(self, robot: str, scene: Scene, ask: BinaryIO, answer: BinaryIO) -> None:
        """Raises SimError for a robot without a model."""
        cameras = model_of(robot).cameras if scene.cameras is None else scene.cameras
        self._sizes = {row.slot: (row.height, row.width) for row in cameras}
        roomy = with_pictures(dataclasses.replace(scene, cameras=cameras), LARGEST, LARGEST)
        self._world, self._ask, self._answer = World(robot, roomy), ask, answer
        self._like = self._world.snapshot()

    def picture(self, request: Request) -> tuple[Image, float]:
        """Of this moment. Raises SimError for a camera that is none, and where the simulation has ended."""
        self._ask.write(ASK)
        self._ask.flush()
        count, seconds = HEAD.unpack(self._read(HEAD.size))
        state = np.frombuffer(self._read(8 * count), np.float64)
        self._world.restore(dataclasses.replace(self._like, state=state))
        asked = (request.height, request.width) if request.height and request.width else None
        size = asked or self._sizes.get(request.camera)
        return self._world.picture(request.camera, size), seconds

    def _read(self, size: int) -> bytes:
        data = self._answer.read(size)
        if len(data) < size:
            raise SimError(sentence("the simulation has ended"))
        return data


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever runs the arm
    parser = argparse.ArgumentParser(prog="sim.painter_process")
    parser.add_argument("--robot", required=True)
    parser.add_argument("--scene", default="")
    parser.add_argument("--pictures", required=True)
    options = parser.parse_args()
    out, sys.stdout = sys.stdout.buffer, sys.stderr  # whatever a library says is no question
    try:
        copy = Copy(options.robot, scene_of(options.scene, options.robot), out, sys.stdin.buffer)
        with PictureServer(options.pictures, copy.picture):
            out.write(READY)
            out.flush()
            _until_hung_up(sys.stdin.fileno())
    except (ArmsideError, OSError) as error:
        print(f"sim: {error}", file=sys.stderr)
        return 1
    return 0


def _until_hung_up(file: int) -> None:
    """Waits for the end of a pipe without taking what comes through it."""
    poll = select.poll()
    poll.register(file, 0)  # hang-ups are told without being asked for
    while not poll.poll():
        continue


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # a thread may wait for a state that never comes
