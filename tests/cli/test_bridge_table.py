"""The table of a bridge: what a person must see is seen in a small terminal too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from rich.console import Console

from armside.bridge_table import view
from firmware_bridge.messages import FRAME, UNITS, Info, Status

INFO = Info(
    arm="so101", id="blue", joints=("shoulder_lift", "gripper"), grippers=("gripper",), lower=(-1.0, 0.0),
    upper=(1.0, 1.0), speed=(3.0, 1.0), park_pose=(0.0, 0.0), home_pose=(0.5, 0.1), rate_hz=100.0, live=True,
    port="sim", calibration="", fingerprint="", units=UNITS, frame=FRAME, exit_policy="park", status_endpoint="", pid=1,
)  # fmt: skip
ALARM = "over-temperature in shoulder_lift (servo 2)"


def status(**given: object) -> Status:
    pair = np.array([-1e-4, 0.5])
    plain = dict.fromkeys((field.name for field in dataclasses.fields(Status)), None)
    fields = {
        "mode": "ready", "torque": "on", "tick": 7, "lateness_s": 0.0, "worst_lateness_s": 0.0, "late_ticks": 0,
        "measured": pair, "commanded": pair, "velocity": pair, "load": pair, "current": pair, "temperature": pair,
        "voltage": pair, "alarms": ("", ""), "fresh": np.array([True, True]), "fault": "", "note": "",
        "clamped_total": 0, "clamp_counts": (),
    }  # fmt: skip
    return Status(**{**plain, **fields, **given})


def shown(width: int, **given: object) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(view(INFO, status(**given)))
    return capture.get().splitlines()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_each_servos_word_is_there_however_narrow(width: int) -> None:
    lines = shown(width, fresh=np.array([False, True]), alarms=("", "overload"))
    assert any(line.split()[-1] == "silent" for line in lines) and any(line.split()[-1] == "alarm" for line in lines)
    assert not any(line.split()[-1] in ("silent", "alarm") for line in shown(width))


def test_what_is_wrong_stands_above_the_table() -> None:
    lines = shown(100, mode="fault", fault="the port went away", alarms=(ALARM, ""))
    rows = [next(i for i, line in enumerate(lines) if word in line) for word in ("went away", "rearm blue", ALARM)]
    assert max(rows) < next(i for i, line in enumerate(lines) if "measured" in line)
    assert (
        sum(ALARM in line for line in shown(200, mode="fault", fault=f"lift reports: {ALARM}", alarms=(ALARM, ""))) == 1
    )


def test_no_number_is_minus_nothing() -> None:
    assert not any("-0.0" in line or "-0 " in line for line in shown(100))
    assert any("-0.1" in line for line in shown(100, measured=np.array([-0.0016, 0.5])))
