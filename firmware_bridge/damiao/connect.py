"""Opening a YAM arm: buses, calibration, every motor heard and its registers checked. Gives a Driver.

Without `may_move` nothing but register reads and refreshes is sent. Nothing is enabled here. Motors that
are enabled already (a bridge died within their watchdog's time) are held where they stand from the first
answer on, all the while their registers are read.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from firmware_bridge.config import BridgeConfig
from firmware_bridge.damiao import calibration as calibrations
from firmware_bridge.damiao import nibbles
from firmware_bridge.damiao.arm import DamiaoArm
from firmware_bridge.damiao.calibration import Calibration
from firmware_bridge.damiao.can_port import parse_port
from firmware_bridge.damiao.chain import Address, Chain
from firmware_bridge.damiao.checks import complaints
from firmware_bridge.damiao.codec import Codec
from firmware_bridge.damiao.commands import Drive
from firmware_bridge.damiao.motors import MOTORS
from firmware_bridge.damiao.power import turn_right
from firmware_bridge.damiao.registers import MASTER_OFFSET, NEEDED, TIMEOUT_UNIT_S, TOLD
from firmware_bridge.damiao.robots import Motor, motors_of, servos_of
from firmware_bridge.damiao.weight import weight_of
from firmware_bridge.damiao.wire import Wire
from firmware_bridge.driver import Facts
from firmware_bridge.errors import CalibrationMismatch, PortBusy, ServoMissing, ServoWrong, sentence
from firmware_bridge.robot import Robot

LISTEN_S = 0.03  # six ticks of another bridge
SURVEY_TRIES = 5
READ_TRIES = 3
WAIT_S = 2.0  # for motors that restart beside others that hold


def open_arm(
    robot: Robot, config: BridgeConfig, port: str, adopt: bool, calibration: Calibration | None = None
) -> DamiaoArm:
    """See drivers.open_arm."""
    calibration = calibration or load_calibration(robot, config)
    motors = motors_of(robot, calibration.gripper)
    arm = _make(robot, calibration, motors, _open_wires(port, robot))
    try:
        arm.may_move = config.may_move
        arm.patience_s = config.timing.reply_timeout_s
        if adopt:
            arm.chain.inherit()
        else:
            _refuse_company(arm)
        _survey(arm, WAIT_S if adopt else 0.0)
        values = _registers(arm)
        _judge(arm, values, calibration)
        arm.measure()
        remarks = turn_right(arm)
        arm.facts = _facts(arm, calibration, values, remarks)
        return arm
    except ServoMissing:
        arm.abandon()  # what it held sinks, braked; switched off it would fall
        raise
    except BaseException:
        arm.close()
        raise


def load_calibration(robot: Robot, config: BridgeConfig) -> Calibration:
    """See drivers.load_calibration."""
    return calibrations.of_config(robot, config)


def _open_wires(port: str, robot: Robot) -> list[Wire]:
    wires: list[Wire] = []
    try:
        for spec in parse_port(port, servos_of(robot).buses):
            wires.append(Wire(spec))
        return wires
    except BaseException:
        for wire in wires:
            wire.close()
        raise


def _make(robot: Robot, calibration: Calibration, motors: tuple[Motor, ...], wires: list[Wire]) -> DamiaoArm:
    addresses = [Address(row.bus, row.id, row.id + MASTER_OFFSET, MOTORS[row.type].ranges) for row in motors]
    codec = Codec.of(robot, calibration, motors)
    drive = Drive(motors, codec.grippers, calibration.gripper, robot.joints)
    return DamiaoArm(Chain(wires, addresses), robot, drive, weight_of(robot, motors), codec)


def _refuse_company(arm: DamiaoArm) -> None:
    talking = arm.chain.listen(LISTEN_S)
    if talking:
        names = ", ".join(arm.robot.joints[index] for index in talking)
        do = "stop the other bridge or program that drives this arm"
        raise PortBusy(sentence(f"somebody else talks to {names}", expected="a quiet bus", got="answers", do=do))


def _survey(arm: DamiaoArm, wait_s: float) -> None:
    """Hear the motors, and hold at once those that are enabled; for those, wait up to `wait_s` for the others."""
    chain = arm.chain
    until = time.monotonic() + wait_s
    tries = 0
    while tries < SURVEY_TRIES or (arm.on and time.monotonic() < until):
        tries += 1
        arm.exchange(arm.frames(arm.holding() if arm.on else None))
        if arm.may_move:
            _adopt(arm)
        if all(row is not None for row in chain.latest):
            break


def _adopt(arm: DamiaoArm) -> None:
    held = {i for i, row in enumerate(arm.chain.latest) if row is not None and row.error == nibbles.ENABLED}
    if held - arm.on:
        arm.ours = True
        arm.on |= held
        arm.goal = arm.seen.position
        _keep(arm)


def _keep(arm: DamiaoArm) -> None:
    """The held motors' next command, while something else is going on."""
    if arm.on:
        arm.exchange({index: frame for index, frame in arm.frames(arm.holding()).items() if index in arm.on})


def _registers(arm: DamiaoArm) -> list[dict[str, float]]:
    """Every motor's registers by name, those that answered. Raises ServoMissing."""
    count = len(arm.drive.motors)
    values: list[dict[str, float]] = [{} for _ in range(count)]
    for name in (*NEEDED, *TOLD):
        missing = set(range(count))
        for _ in range(READ_TRIES if name in NEEDED else 1):
            for index, value in arm.chain.read_register(name, missing, arm.patience_s).items():
                values[index][name] = value
                missing.discard(index)
            _keep(arm)
            if not missing:
                break
        if name == NEEDED[0] and missing:
            _refuse_missing(arm, sorted(missing))
    return values


def _refuse_missing(arm: DamiaoArm, missing: Sequence[int]) -> None:
    motors, wires = arm.drive.motors, arm.chain.wires
    rows = [f"{arm.robot.joints[i]} (id {motors[i].id} on {wires[motors[i].bus].spec})" for i in missing]
    heard = len(motors) - len(missing)
    got = f"answers from {heard} of {len(motors)}" if heard else "no answer from any motor"
    do = "check the arm's power, its CAN cable and termination, and that the bus runs at 1 Mbit/s"
    raise ServoMissing(sentence(f"missing motors: {', '.join(rows)}", expected=len(motors), got=got, do=do))


def _judge(arm: DamiaoArm, values: Sequence[dict[str, float]], calibration: Calibration) -> None:
    """Raises ServoWrong, CalibrationMismatch."""
    named = list(zip(arm.robot.joints, arm.drive.motors, values, strict=True))
    found = [text for name, motor, row in named for text in complaints(name, motor, row)]
    if found:
        raise ServoWrong("motors that may not be driven as they are:\n" + "\n".join(found))
    wrong = [
        f"{name}: file {known}, motor {row['SN']:.0f}"
        for name, _, row in named
        if (known := calibration[name].serial) is not None and "SN" in row and row["SN"] != known
    ]
    if wrong:
        what = f"the calibration {calibration.source} is of other motors"
        do = "name this arm's own file, or calibrate it again"
        raise CalibrationMismatch(sentence(what, expected="equal serial numbers", got="; ".join(wrong), do=do))


def _facts(
    arm: DamiaoArm, calibration: Calibration, values: Sequence[dict[str, float]], remarks: Sequence[str]
) -> Facts:
    count = len(arm.robot.joints)
    states = [-1 if row is None else row.error for row in arm.chain.latest]
    named = list(zip(arm.robot.joints, states, strict=True))
    report = [f"gripper: {calibration.gripper.name}", *remarks]
    watchdogs = sorted({row["TIMEOUT"] * TIMEOUT_UNIT_S for row in values})
    report.append("watchdog of the motors: " + ", ".join(f"{seconds * 1000:.0f} ms" for seconds in watchdogs))
    if watchdogs[0] <= arm.robot.hang_s:
        report.append(f"it bites before a bridge that hangs is replaced ({arm.robot.hang_s * 1000:.0f} ms)")
    firmware = tuple(str(int(row["sw_ver"])) if "sw_ver" in row else "" for row in values)
    report.append("firmware of the motors: " + (", ".join(sorted({*firmware} - {""})) or "not told"))
    on = [name for name, state in named if state == nibbles.ENABLED]
    if on and len(on) < count:
        report.append(f"enabled: {', '.join(on)}; the others are left as they are")
    lost = [name for name, state in named if state == nibbles.COMMUNICATION_LOST]
    if lost:
        report.append(f"lost their host earlier, arming clears it: {', '.join(lost)}")
    unbounded = np.full(count, np.inf)
    torque = "on" if on else "off"
    source, fingerprint = calibration.source, calibration.fingerprint
    return Facts(-unbounded, unbounded, torque, source, fingerprint, tuple(report), firmware)
