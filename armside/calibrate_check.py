"""`armside calibrate --check`: do file, servo memory and mechanics of an arm agree? Reads only; exit code 0 or 1.

Where a bridge of this robot runs, it is asked: it holds the port, compared everything when it connected and watches the
servos' limits and zeros ever since.
"""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.sts.compare import Comparison, Files
    from firmware_bridge.client import Running

FORMAT = "armside-calibration-check"
OUTSIDE_RAD = 0.14  # 8 degrees, as at connect


def run(args: argparse.Namespace) -> int:
    """Compares, shows, and says by its exit code whether all is well."""
    from armside.calib_target import choose_target
    from armside.json_out import give
    from armside.profile import require_port
    from firmware_bridge.client import find_running

    target = choose_target(args, needs_id=False, needs_port=False)
    running = find_running(target.profile.name)
    if running is not None and args.port in (None, running.port):
        data = _bridge(target, running)
    else:
        require_port(target.profile)
        data = CHECKS[target.robot.family](target)
    data = {"format": FORMAT, "version": 1, "robot": target.robot.name, "id": target.id, **data}
    give(args.json, data)
    return 0 if data["ok"] else 1


# -- through a bridge


def _bridge(target: Target, running: Running) -> dict[str, Any]:
    """What the bridge that runs knows, against the file as it is now."""
    from firmware_bridge.client import connect_bridge
    from firmware_bridge.drivers import load_calibration

    with connect_bridge(running.id, keys=running.keys) as client:
        info, status = client.info, client.status(timeout_s=2.0)
    now: Any = load_calibration(target.robot, _config(target))
    problems = []
    if now.fingerprint != info.fingerprint:
        problems.append(
            f"the bridge drives with {info.calibration} (fingerprint {info.fingerprint}), the file {now.source} holds "
            f"other numbers now ({now.fingerprint}): armside bridge end {running.id}, and start it again"
        )
    if status.fault:
        problems.append(f"the bridge reports: {status.fault}")
    outside = [
        f"{joint} at {value:.2f}, outside {low:.2f}..{high:.2f}"
        for joint, value, low, high in zip(info.joints, status.measured, info.lower, info.upper, strict=True)
        if not low - OUTSIDE_RAD <= value <= high + OUTSIDE_RAD
    ]
    notes = [f"the bridge of {running.id} holds {running.port} and compared servo memory when it connected"]
    _show_words(target, problems, [*notes, *outside])
    data = {"ok": not problems, "bridge": running.id, "port": running.port, "calibration": info.calibration}
    return {**data, "fingerprint": info.fingerprint, "problems": problems, "notes": [*notes, *outside]}


# -- at the port


def _servos(target: Target) -> dict[str, Any]:
    """An arm of Feetech servos."""
    from contextlib import ExitStack

    from calib.sts.compare import compare, look
    from calib.sts.servos import open_bus
    from firmware_bridge.drivers import virtual_port

    files, extra = _files(target)
    with ExitStack() as stack:
        port = target.port
        if port == "sim":
            port = stack.enter_context(virtual_port(target.robot, _config(target)))
        began = time.monotonic()
        bus = open_bus(port)
        stack.callback(bus.close)
        seen = look(bus, files.calibration)
        took = time.monotonic() - began
    result = compare(target.robot, files, seen, mechanics=target.profile.mechanics is not False)
    if extra:
        import dataclasses

        result = dataclasses.replace(result, problems=(*result.problems, *extra))
    _show(target, files, result, took)
    source = files.calibration.source
    return {"port": target.port, "calibration": source, "bridge": None, "bus_s": round(took, 4), **result.data()}


def _files(target: Target) -> tuple[Files, tuple[str, ...]]:
    """What this arm's files say, and what else lies around. Raises CalibrationError without a calibration."""
    from armside.calib_profile import where_of
    from calib import lerobot_files, provenance
    from calib.sts.compare import Files
    from firmware_bridge.errors import CalibrationError
    from firmware_bridge.sts import calibration
    from firmware_bridge.sts.robots import shipped_calibration

    if target.port == "sim" and not target.profile.calibration:
        return Files(shipped_calibration(target.robot)), ()
    numbers = calibration.load(target.calibration, target.robot.joints)
    side, problem = None, ""
    try:
        side = provenance.load(provenance.path_beside(target.calibration))
    except CalibrationError as error:
        problem = str(error)
    copies = lerobot_files.find(target.id, target.robot.name, target.robot.joints) if target.id else ()
    journal = where_of(target).journal
    broken = (f"a change of this arm's servos broke off ({journal}): the next armside calibrate undoes it",)
    extra = broken if journal.exists() else ()
    return Files(numbers, side, problem, lerobot_files.disagreeing(copies, numbers)), extra


def _motors(target: Target) -> dict[str, Any]:
    """A YAM arm: its driver compares registers and serial numbers when it opens; the zeros must make sense."""
    from contextlib import ExitStack

    from firmware_bridge.drivers import open_arm, virtual_port
    from firmware_bridge.errors import BridgeError

    config = _config(target)
    problems: list[str] = []
    notes: list[str] = []
    source, positions = config.calibration, {}
    began = time.monotonic()
    with ExitStack() as stack:
        port = stack.enter_context(virtual_port(target.robot, config)) if config.port == "sim" else config.port
        began = time.monotonic()
        try:
            arm = open_arm(target.robot, config, port)
            stack.callback(arm.close)
            source, notes = arm.facts.calibration, list(arm.facts.report)
            state = arm.read()
            positions = dict(zip(target.robot.joints, state.position.tolist(), strict=True))
            problems += _beyond(target, positions)
        except BridgeError as error:
            problems.append(f"{type(error).__name__}: {error}")
    took = time.monotonic() - began
    _show_words(target, problems, [*notes, f"the bus part took {took * 1000:.0f} ms"])
    data = {"port": target.port, "calibration": source, "bridge": None, "bus_s": round(took, 4), "ok": not problems}
    return {**data, "positions": positions, "problems": problems, "notes": notes}


def _beyond(target: Target, positions: dict[str, float]) -> list[str]:
    """Joints that stand where this arm's stops do not let them: their zero moved."""
    words = []
    for joint, value in positions.items():
        low, high = target.robot.limits.get(joint, (-math.inf, math.inf))
        if not low - OUTSIDE_RAD <= value <= high + OUTSIDE_RAD:
            do = f"bring the arm into its home pose and compare (armside calibrate --robot {target.profile.name})"
            words.append(
                f"{joint} reads {value:.2f} rad, its stops are at {low:.2f} and {high:.2f}: its zero moved; {do}"
            )
    return words


CHECKS = {"sts": _servos, "damiao": _motors}


def _config(target: Target) -> Any:
    """A bridge's configuration that only reads."""
    from armside.profile import to_bridge_config

    profile = target.profile
    if not profile.calibration and target.calibration.is_file():
        profile = profile.having(calibration=str(target.calibration))
    return to_bridge_config(profile, live=False, named=False)


# -- words


def _show(target: Target, files: Files, result: Comparison, took: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=f"{target.profile.name}: {files.calibration.source}", title_justify="left")
    for head in ("joint", "offset", "min", "max", "degrees", "stands at", ""):
        table.add_column(head, justify="left" if head in ("joint", "") else "right", no_wrap=head != "")
    for row in result.rows:
        cells = [_cell(*pair) for pair in row.registers.values()]
        wanted = "" if row.expected_deg is None else f" of {row.expected_deg[0]:.0f}..{row.expected_deg[1]:.0f}"
        place = "" if row.position is None else str(row.position)
        words = [word for word in row.problems if ": file " not in word]  # the cells show those
        if len(words) < len(row.problems):
            words.insert(0, "file / servo differ")
        verdict = "[red]" + "; ".join(words) + "[/red]" if words else "ok"
        table.add_row(row.joint, *cells, f"{row.width_deg:.0f}{wanted}", place, verdict)
    Console(highlight=False, soft_wrap=False).print(table)
    _show_words(target, result.problems, [*result.notes, f"the bus part took {took * 1000:.0f} ms"], table_ok=result.ok)


def _cell(ours: int, its: int | None) -> str:
    if its is None:
        return f"{ours} / -"
    return str(ours) if ours == its else f"[red]{ours} / {its}[/red]"


def _show_words(target: Target, problems: Any, notes: Any, *, table_ok: bool = True) -> None:
    for line in notes:
        print(line)
    for line in problems:
        print(f"- {line}")
    well = table_ok and not problems
    print(f"{target.profile.name}: {'file, servo memory and mechanics agree' if well else 'does not agree'}")
