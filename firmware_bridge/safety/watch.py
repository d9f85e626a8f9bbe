"""What makes an arm unsafe to move, in words: faults of a reading, and why torque may not be switched on. Pure.

Takes a reading, the rules and what the levels say; gives texts. Decides nothing about modes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from firmware_bridge.errors import CommandRefused, sentence
from firmware_bridge.safety.levels import Verdict
from firmware_bridge.safety.modes import Reading, Rules

Array = npt.NDArray[np.float64]
OUTSIDE = 0.05  # rad beyond the servos' own range in which arming would make a servo jump


def names(rules: Rules, mask: npt.NDArray[np.bool_]) -> str:
    """The joints of `mask`, for people."""
    return ", ".join(rules.limits.joints[index] for index in np.flatnonzero(mask))


def silence(reading: Reading, fresh_at: Array, rules: Rules) -> str:
    """Why a joint that has not answered since `fresh_at` [D] s is a fault, or ""."""
    silent = reading.now - fresh_at > rules.silent_fault_s
    if not silent.any():
        return ""
    return f"{names(rules, silent)} has not answered for {rules.silent_fault_s:g} s: check its cable and power"


def faults(reading: Reading, verdict: Verdict, rules: Rules) -> Iterator[str]:
    """What in a reading stops an arm that holds or moves, the most telling first."""
    state = reading.state
    broken = state.fresh & ~np.isfinite(state.position)
    if broken.any():
        yield sentence(f"the position of {names(rules, broken)}", expected="a number", got="none", do="mend its sensor")
    for name, alarm in zip(rules.limits.joints, state.alarms, strict=True):
        if alarm:
            yield f"the servo of {name} reports: {alarm}"
    if verdict.stop:
        yield verdict.stop


def changes(reading: Reading) -> str:
    """What servos changed by themselves, or ""."""
    if not reading.state.changed:
        return ""
    return f"a servo changed by itself: {', '.join(reading.state.changed)}; check its power and who else writes to it"


def check_may_hold(reading: Reading | None, verdict: Verdict, rules: Rules) -> None:
    """Raises CommandRefused where switching the torque on would not be safe, saying why."""
    if reading is None or not reading.state.fresh.all():
        who = "no servo yet" if reading is None else names(rules, ~reading.state.fresh)
        raise CommandRefused(sentence("arming needs every servo", got=f"silent: {who}", do="check its cable"))
    state = reading.state
    broken = ~np.isfinite(state.position)
    if broken.any():
        what = f"the position of {names(rules, broken)}"
        raise CommandRefused(sentence(what, expected="a number", got="none", do="mend its sensor"))
    bad = [f"{name}: {alarm}" for name, alarm in zip(rules.limits.joints, state.alarms, strict=True) if alarm]
    if bad:
        raise CommandRefused(sentence("a servo reports an error", got="; ".join(bad), do="then the same word again"))
    if verdict.refusal:
        raise CommandRefused(verdict.refusal)
    low, high = rules.servo_bounds
    outside = ((state.position < low - OUTSIDE) | (state.position > high + OUTSIDE)) & ~rules.grippers
    if outside.any():
        raise CommandRefused(
            sentence(
                f"{names(rules, outside)} outside the calibrated range: torque would make it jump",
                expected=[f"{a:.3f}..{b:.3f} rad" for a, b in zip(low[outside], high[outside], strict=True)],
                got=[f"{value:.3f}" for value in state.position[outside]],
                do="move the joint by hand into its range; if it is in it, calibrate the arm again",
            )
        )
