"""One tree of errors for the bridge. Each text says what, expected, got and what to do.

    BridgeError
    +-- ConfigError           a configuration that cannot be used
    +-- PortError             a serial port
    |   +-- PortMissing       does not exist
    |   +-- PortBusy          another program has it
    |   +-- PortPermission    this user may not open it
    |   +-- PortLost          was there and went away (cable pulled)
    +-- ServoError            what a servo answers, or does not
    |   +-- NoAnswer          silence within the deadline
    |   +-- CorruptAnswer     bytes that are no frame of the servo asked
    |   +-- ServoMissing      ids that do not answer at connect
    |   +-- ServoDuplicate    two servos with one id
    |   +-- ServoWrong        another model, or a register that did not keep a value
    |   +-- EepromError       a change of several registers that was undone, or could not be
    +-- CalibrationError      a calibration file that cannot be used
    |   +-- CalibrationMismatch   file and servo memory differ
    |   +-- CalibrationImplausible   numbers that no such arm can have
    +-- ChunkRefused          a chunk that must not move the arm
    +-- CommandRefused        a command that this mode does not allow
    +-- ProtocolMismatch      two versions of Armside talking to each other
    +-- BridgeGone            the bridge process does not answer, or died
    +-- FaultError            the bridge latched a fault

The tree crosses the process border by name (`to_wire`, `from_wire`), so that whoever starts a bridge
catches the same class that was raised inside it.
"""

from __future__ import annotations


class BridgeError(Exception):
    """Base of all errors of the bridge that are meant for a person."""


class ConfigError(BridgeError):
    """A bridge configuration that cannot be used."""


class PortError(BridgeError):
    """A serial port that cannot be used."""


class PortMissing(PortError):
    """The port does not exist."""


class PortBusy(PortError):
    """Another program holds the port."""


class PortPermission(PortError):
    """This user may not open the port."""


class PortLost(PortError):
    """The port was open and went away."""


class ServoError(BridgeError):
    """What a servo answers, or does not."""


class NoAnswer(ServoError):
    """A servo was silent within the deadline and its retries."""


class CorruptAnswer(ServoError):
    """Bytes came, but no intact frame of the servo asked."""


class ServoMissing(ServoError):
    """Ids of the arm that do not answer at connect."""


class ServoDuplicate(ServoError):
    """Two servos answer to one id."""


class ServoWrong(ServoError):
    """A servo of another model, or a register that did not keep what was written."""


class EepromError(ServoError):
    """A change of several registers did not happen: it was undone, or the text says what is left."""


class CalibrationError(BridgeError):
    """A calibration file that cannot be read or used."""


class CalibrationMismatch(CalibrationError):
    """The calibration file and the servos' own memory differ."""


class CalibrationImplausible(CalibrationError):
    """Ranges, zeros or a pose that this kind of arm cannot have: the text names the likely cause."""


class ChunkRefused(BridgeError):
    """A chunk that must not move the arm: NaN, wrong size, arm, units, frame, or too old."""


class CommandRefused(BridgeError):
    """A command that the present mode does not allow."""


class ProtocolMismatch(BridgeError):
    """A message of another version of the protocol."""


class BridgeGone(BridgeError):
    """The bridge process does not answer, or has ended."""


class FaultError(BridgeError):
    """The bridge latched a fault and holds the arm."""


def sentence(what: str, *, expected: object = None, got: object = None, do: str = "") -> str:
    """The text of an error: what, expected, got, what to do; absent parts are left out."""
    parts = [what]
    if expected is not None:
        parts.append(f"expected: {expected}")
    if got is not None:
        parts.append(f"got: {got}")
    if do:
        parts.append(f"what to do: {do}")
    return "; ".join(parts)


def _tree(root: type[BridgeError]) -> dict[str, type[BridgeError]]:
    found = {root.__name__: root}
    for child in root.__subclasses__():
        found.update(_tree(child))
    return found


def to_wire(error: BridgeError) -> tuple[str, str]:
    """(class name, text) of an error, as it travels between processes."""
    return type(error).__name__, str(error)


def from_wire(name: str, text: str) -> BridgeError:
    """The error that `to_wire` packed; an unknown name becomes the base class, its text kept."""
    return _tree(BridgeError).get(name, BridgeError)(text)
