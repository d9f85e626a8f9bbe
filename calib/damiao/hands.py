"""The third step with a YAM: its joints turned by hand, and of two arms which one is the left.

Takes the Run, fills in what each joint did. Commands nothing. Where nobody can press a key it is skipped, unless a
script says that hands are there.
"""

from __future__ import annotations

from collections.abc import Sequence

from calib.damiao.guide import Guide
from calib.damiao.run import SKIP, Run
from calib.person import YES, Question
from firmware_bridge.errors import CalibrationImplausible, sentence


def check_sides(run: Run, sides: Sequence[str]) -> None:
    """Raises CalibrationImplausible for exchanged buses, Cancelled, ServoError, PortLost."""
    first = sides[0]
    text = f"Now move the {first} arm by hand, to see that it is the {first} one?"
    if _skips(run, "side", text):
        run.sides = "not checked"
        return
    moved = _guide(run).sides(sides)
    if moved != first:
        do = "exchange the ports: --port left=...,right=..."
        what = f"you moved the {first} arm: the two buses are exchanged"
        expected, got = f"the arm on the bus of {first}", f"the arm on the bus of {moved}"
        raise CalibrationImplausible(sentence(what, expected=expected, got=got, do=do))
    run.sides = "checked by hand"
    run.person.tell(f"the {first} arm is the {first} one")


def turn_all(run: Run, side: str) -> None:
    """Each joint of one arm. Raises CalibrationImplausible, Cancelled, ServoError, PortLost."""
    joints = run.sided(side)
    whose = f" of the {side} arm" if side else ""
    text = f"Now turn each joint{whose} by hand, to see that it is the right motor and turns the right way?"
    if _skips(run, "directions", text):
        run.directions |= {name: "not checked" for name in joints}
        run.person.tell("directions were not checked: an exchanged id or a reversed motor would not show")
        return
    guide = _guide(run)
    for name in joints:
        _turn(run, guide, name)
        run.directions[name] = "as the model"
        run.person.tell(f"{name}: right")


def _turn(run: Run, guide: Guide, name: str) -> None:
    while True:
        try:
            return guide.turn(name)
        except CalibrationImplausible as error:
            run.again(f"direction.{name}", str(error))


def _skips(run: Run, key: str, text: str) -> bool:
    usual = SKIP if run.person.alone else YES
    return run.person.ask(Question(key, text, (YES, SKIP), usual)) == SKIP


def _guide(run: Run) -> Guide:
    return Guide(run.motors, run.person, run.now, run.job.pace)
