"""The sweep: every joint from stop to stop by hand, all at once, with a live table that says what is still missing.

Takes a Person and Live readings; ends when the person is done, or by itself where nobody can press a key and
everything is complete and still. Judges nothing (judge.py) and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from calib.person import AGAIN, DONE, JointRow, LiveView, Person
from calib.sts import judge
from calib.sts.live import Live
from calib.sts.servos import Reading
from firmware_bridge.errors import CalibrationImplausible, sentence
from firmware_bridge.sts.travel import DEGREES_PER_TICK, TRAVEL

SWEEP_TITLE = "from stop to stop"
CLOSE_TITLE = "closed"
HOW = "move every joint by hand from one stop to the other"
CLOSED_DEG = 5.0  # from the low end of the sweep


@dataclass(frozen=True, slots=True)
class Swept:
    """One joint's sweep, unwrapped ticks."""

    low: float
    high: float
    samples: int
    reached: tuple[int, int]  # how often either end
    torn: bool = False  # readings were lost, and it was not swept from end to end since

    @property
    def width_deg(self) -> float:
        return (self.high - self.low) * DEGREES_PER_TICK


def sweep(person: Person, live: Live) -> dict[str, Swept]:
    """What every joint was swept. Raises Cancelled, NoAnswer, PortError, CalibrationImplausible (nobody moved it)."""
    person.tell(f"sweep: {HOW}; wrist_roll turns freely and may stay")
    live.start()
    began = live.clock()
    for reading in live.readings():
        heard = person.hear()
        if heard == AGAIN:
            live.start()
            continue
        missing = missing_of(live)
        person.show(_view(live, reading, missing))
        if heard == DONE and len(live.degrees()) == len(live.shafts):
            break
        if person.alone and not missing and live.still_s >= live.pace.still_s:
            break
        if person.alone and live.clock() - began > live.pace.patience_s:
            raise CalibrationImplausible(_unfinished(live, missing))
    rows = live.shafts.items()
    return {joint: Swept(row.low, row.high, row.samples, (row.at_low, row.at_high), row.torn) for joint, row in rows}


def missing_of(live: Live) -> tuple[str, ...]:
    """Joints whose sweep is not what it should be yet, in the arm's order."""
    return tuple(name for name in live.shafts if live.shafts[name].position is None or _state(live, name) != judge.GOOD)


def _state(live: Live, name: str) -> str:
    shaft = live.shafts[name]
    state = judge.state(name, shaft.width * DEGREES_PER_TICK)
    return judge.SHORT if state == judge.GOOD and shaft.torn and not TRAVEL[name].free else state


def close_gripper(person: Person, live: Live, gripper: str, swept: Swept) -> float:
    """Where the gripper stands when it is closed, in the ticks of its sweep. The shafts are followed on."""
    text = f"close the {gripper} and let go of the arm"
    person.tell(f"now {text}")
    began = live.clock()
    for reading in live.readings():
        at = live.shafts[gripper].position
        heard = person.hear()
        rows = (_row(live, gripper, reading),)
        person.show(LiveView(CLOSE_TITLE, text, rows))
        if at is None:
            continue
        near = (at - swept.low) * DEGREES_PER_TICK <= CLOSED_DEG
        late = person.alone and live.clock() - began > live.pace.patience_s
        if heard == DONE or late or (near and live.still_s >= live.pace.closed_s):
            return at
    raise AssertionError("readings end only by an error")


def _unfinished(live: Live, missing: tuple[str, ...]) -> str:
    widths = live.widths()
    rows = [str(finding) for finding in judge.ways({name: widths[name] for name in missing})]
    what = f"the sweep was not right within {live.pace.patience_s:.0f} s"
    got = "; ".join(rows) or ("no answer from " + ", ".join(missing) if missing else "an arm that keeps moving")
    return sentence(what, expected=HOW, got=got, do="mend what is named, or sweep these joints; nothing was written")


def _view(live: Live, reading: Reading, missing: tuple[str, ...]) -> LiveView:
    rows = tuple(_row(live, name, reading) for name in live.shafts)
    again = [name for name, shaft in live.shafts.items() if shaft.torn and not TRAVEL[name].free]
    message = f"{', '.join(again)}: readings were lost or jumped, sweep from stop to stop again" if again else ""
    keys = (("Enter", "done"), ("r", "start again"), ("q", "cancel"))
    return LiveView(SWEEP_TITLE, _todo(live, missing), rows, keys=keys, message=message)


def _todo(live: Live, missing: tuple[str, ...]) -> str:
    if not missing:
        return "all joints were swept: press Enter, if each was at both its stops"
    widths = live.widths()
    name = missing[0]
    if judge.state(name, widths[name]) == judge.WIDE:
        return f"{name} turned further than it can: press r and sweep again, or Enter to see the likely cause"
    if live.shafts[name].torn:
        return f"{HOW}: {name} once more"
    left = TRAVEL[name].narrowest - widths[name]
    return f"{HOW}: {name} lacks {left:.0f} degrees at least" + (f", {len(missing) - 1} more" if missing[1:] else "")


def _row(live: Live, name: str, reading: Reading) -> JointRow:
    shaft, travel = live.shafts[name], TRAVEL[name]
    wanted = None if travel.free else (travel.narrowest / DEGREES_PER_TICK, travel.widest / DEGREES_PER_TICK)
    silent = reading.silent_s.get(name)
    if silent is not None:
        return JointRow(name, None, shaft.low, shaft.high, wanted, judge.LOST, f"no answer for {silent:.1f} s")
    return JointRow(name, shaft.position, shaft.low, shaft.high, wanted, _state(live, name))
