"""`armside calibrate` as a person runs it: keys typed in a real terminal, hands on a virtual arm, every way out."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from firmware_bridge.robots import find
from firmware_bridge.sts.virtual_bench import Bench, Plant
from tests.calib.hands import Moves, from_stop_to_stop
from tests.cli.bridges import Home, home
from tests.cli.calibrating import Player, files, verb
from tests.terminals import Program

SO101 = find("so101")
SWEEP, GUIDE, WRITE = r"(?m)^from stop to stop$", r"(?m)^which motor is which: elbow_flex", "Write this into the servos"
WAYS_OUT: dict[str, tuple[str, Callable[[Program], object]]] = {
    "q at the sweep": (SWEEP, lambda program: program.type("q")),
    "Ctrl-C while motors are told apart": (GUIDE, lambda program: program.type("\x03")),
    "Escape at the last question": (WRITE, lambda program: program.type("\x1b")),
    "a closed window at the last question": (WRITE, Program.hang_up),
    "SIGTERM at the sweep": (SWEEP, lambda program: program.process.send_signal(signal.SIGTERM)),
}


@pytest.fixture
def place() -> Iterator[Home]:
    with home() as made:
        yield made


def calibrate(place: Home, bench: Bench, name: str = "red") -> Program:
    return verb(place, "calibrate", "--robot", "so101", "--id", name, "--port", bench.path)


def elbow_too_little(bench: Bench) -> Moves:
    return [move | {"elbow_flex": max(-40.0, min(40.0, move["elbow_flex"]))} for move in from_stop_to_stop(bench)]


def test_from_the_first_question_to_the_files(place: Home) -> None:
    """A horn is 30 degrees off and the sweep crosses the wrap: the arm is right all the same."""
    with Bench(SO101, Plant(horns={"elbow_flex": 120.0, "shoulder_lift": 30.0})) as bench:
        with calibrate(place, bench) as program:
            assert Player(program, bench).play() == 0, program.cells.text
            assert program.cooked()
            assert "next: armside calibrate --robot red --check" in program.cells.text
        written = json.loads((place.root / "c/armside/calibration/red.json").read_text())
        for joint in SO101.joints:
            held = bench.stored(joint)
            assert held["Min_Position_Limit"] == written[joint]["range_min"]
            assert held["Max_Position_Limit"] == written[joint]["range_max"]
        assert 'type = "so101"' in (place.robots / "red.toml").read_text()


def test_every_way_out_leaves_all_as_it_was(place: Home) -> None:
    """Five arms, five terminals, at once."""
    with ExitStack() as stack:
        players: dict[str, Player] = {}
        before: dict[str, bytes] = {}
        kept = files(place)
        for number, (way, (until, then)) in enumerate(WAYS_OUT.items()):
            bench = stack.enter_context(Bench(SO101))
            before[way] = bench.memory()
            players[way] = Player(stack.enter_context(calibrate(place, bench, f"red{number}")), bench, until, then)
        while any([player.step() for player in players.values()]):
            pass
        for way, player in players.items():
            code = player.program.end()
            assert player.stopped and code != 0, way
            assert player.bench.memory() == before[way], way
            if player.program.ours >= 0:
                assert code == 130 and player.program.cooked(), (way, player.program.cells.text)
                assert "cancelled" in player.program.cells.text, way
        left = {name: data for name, data in files(place).items() if name not in kept}
        assert not left, left.keys()


def test_refused_then_swept_again(place: Home) -> None:
    """An elbow swept too little is refused with the cause; the next sweep is whole."""
    with Bench(SO101) as bench, calibrate(place, bench) as program:
        before = bench.memory()

        def again(program: Program) -> None:
            assert bench.memory() == before
            assert "elbow_flex: its way is 80 degrees" in program.cells.text.replace("\n", " ")
            program.type("a")

        first = Player(program, bench, "Sweep again", again, elbow_too_little)
        while not first.stopped:
            assert first.step(), program.cells.text
        program.wait_for(r"Sweep again.*\n.*\n  again")
        assert Player(program, bench).play() == 0, program.cells.text
        assert bench.memory() != before and program.cooked()
