"""The pictures of docs/images that show a terminal: `python -m tests.pictures [NAME...]` makes them from real runs.

Each runs an `armside` in a pseudo-terminal against a virtual arm on a bench, plays the person, and draws the cells that
stood there. Not part of CI: run it when a screen has changed, and look at what it made. Needs fonts-dejavu-core.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

from firmware_bridge.robots import find
from firmware_bridge.sts.robots import shipped_calibration
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.hands import Moves, from_stop_to_stop
from tests.cli.bridges import Home, home
from tests.cli.calibrating import Player, verb
from tests.edge.small_bundle import small_bundle
from tests.edge.test_start_pose import standing
from tests.firmware_bridge.damiao.conftest import MotorProcess
from tests.terminal_png import write_png
from tests.terminals import Program

IMAGES = Path(__file__).parents[1] / "docs/images"
SO101 = find("so101")
SHIPPED = shipped_calibration(SO101)
PARKED = standing(70.0)
TOLD = "armside calibrate --robot so101 --id blue --port /dev/ttyACM0"
SIZE = (104, 44)
WORN = Plant(horns={"shoulder_lift": 30.0, "wrist_flex": -14.0, "gripper": 9.0})


def calibrate(place: Home, bench: Bench, *words: str) -> Program:
    return verb(place, "calibrate", "--robot", "so101", "--id", "blue", "--port", bench.path, *words, size=SIZE)


def elbow_too_little(bench: Bench) -> Moves:
    return [move | {"elbow_flex": max(-40.0, min(40.0, move["elbow_flex"]))} for move in from_stop_to_stop(bench)]


def some_of_it(bench: Bench) -> Moves:
    """Pan, lift and the wrist from stop to stop, the elbow on its way."""
    parts = {"shoulder_pan": 400.0, "shoulder_lift": 400.0, "wrist_flex": 400.0, "elbow_flex": 52.0, "gripper": 31.0}
    return [{name: -way for name, way in parts.items()}, parts, {"shoulder_pan": 20.0, "shoulder_lift": -30.0}]


def until(place: Home, path: Path, title: str, pattern: str, **plays: object) -> None:
    """A calibration as far as the screen that has `pattern`."""
    words = plays.pop("words", ())
    with Bench(SO101, WORN) as bench, calibrate(place, bench, *words) as program:  # type: ignore[misc]
        player = Player(program, bench, pattern, lambda program: None, **plays)  # type: ignore[arg-type]
        while not player.stopped:
            if not player.step():
                raise SystemExit(f"{path.name}: ended without {pattern!r}:\n{program.cells.text}")
        bench.wait()
        for _ in range(10):
            program.read(0.1)
        write_png(program.cells, title, path)


def known(place: Home, bench: Bench) -> None:
    """The profile `blue` of a calibrated arm."""
    path = place.root / "blue.json"
    path.write_text(json.dumps({name: dataclasses.asdict(row) for name, row in SHIPPED.joints}))
    more = 'joint_frame = "so101-molmoact2"\npark_speed = 3\n'
    place.profile("blue", f'type = "so101"\nport = "{bench.path}"\ncalibration = "{path}"\n{more}')


def whole(program: Program, title: str, path: Path, start: str) -> None:
    """A run to its end, from the line that begins with `start` on."""
    with program:
        program.end()
        write_png(program.cells, title, path, start)


def against(place: Home, path: Path) -> None:
    """An arm that stands where the policy's data never were."""
    with Bench(SO101, Plant(calibration=SHIPPED, pose=PARKED, gravity=0.0)) as bench:
        known(place, bench)
        bundle = small_bundle(place.root / "so101.bundle", place.root)
        words = ("calibrate", "--robot", "blue", "--against", bundle, "--no-directions")
        title = "armside calibrate --robot blue --against so101.bundle --no-directions"
        whole(verb(place, *words, size=(126, 44)), title, path, " ")


def yam(place: Home, path: Path) -> None:
    """A YAM's third joint, half turned."""
    motors = MotorProcess("--robot", "yam", "--link", "slcan")
    words = ("calibrate", "--robot", "yam", "--id", "left", "--port", motors.port)
    with contextlib.closing(motors), verb(place, *words, size=SIZE) as program:
        for question in ("Is it so", "turns the right way"):
            program.wait_for(question + r"[^$]*cancel")
            program.type("\r")
        for name in ("joint_1", "joint_2"):
            program.wait_for(f"turn {name} by")
            motors.order("hand", joints={name: 0.4})
            program.wait_for(f"now turn {name} back")
            motors.order("hand", joints={name: 0.0})
        program.wait_for("turn joint_3 by")
        motors.order("hand", joints={"joint_3": 0.2})
        for _ in range(10):
            program.read(0.1)
        write_png(program.cells, "armside calibrate --robot yam --id left --port can0", path, "which way")


SWEPT_SO_FAR = r"(?m)^shoulder_pan .*good$(?s:.*)^wrist_flex .*good$"
PICTURES: dict[str, Callable[[Home, Path], None]] = {
    "calibrate_pose": lambda place, path: until(
        place, path, f"{TOLD} --mode pose", "Bring the arm into the pose", words=("--mode", "pose")
    ),
    "calibrate_motors": lambda place, path: until(place, path, TOLD, r"(?m)^which motor is which: elbow_flex"),
    "calibrate_sweep": lambda place, path: until(place, path, TOLD, SWEPT_SO_FAR, sweep=some_of_it),
    "calibrate_refused": lambda place, path: until(place, path, TOLD, "Sweep again", sweep=elbow_too_little),
    "calibrate_yam": yam,
    "calibrate_against": against,
    "calibrate_write": lambda place, path: until(place, path, TOLD, "Write this into the servos"),
}


def main() -> int:
    wanted = sys.argv[1:] or list(PICTURES)
    if unknown := set(wanted) - set(PICTURES):
        print(f"no such picture: {', '.join(sorted(unknown))}; there are: {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name in wanted:
        path = IMAGES / f"{name}.png"
        with home() as place:
            PICTURES[name](place, path)
        print(f"{path}: {path.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
