"""The whole chain at the end: all motors answer, each with its own id, or the first missing one is named.

Takes a Person, an AnyBaud and the chain. Only reads. Waits for hands, who may have a plug to push in.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from calib.person import YES, LiveView, Person, Question
from calib.setup.any_baud import USUAL, AnyBaud
from calib.setup.chain import Link, silent_text
from calib.setup.cycle import QUIT_KEY, SKIP
from calib.setup.servos import find_servos
from firmware_bridge.errors import (
    BridgeError,
    CorruptAnswer,
    NoAnswer,
    PortError,
    ServoDuplicate,
    ServoMissing,
    ServoWrong,
    sentence,
)

POLL_S = 0.1
RETRIED = (PortError, ServoDuplicate, ServoWrong, NoAnswer, CorruptAnswer)  # hands can mend it


def all_together(person: Person, port: AnyBaud, chain: Sequence[Link], wait_s: float) -> bool:
    """Whether all were seen; False: skipped. Raises what is wrong where nobody can be asked again, and Cancelled."""
    text = "Connect all motors in the chain, from the board to the gripper, the supply on; then press Enter."
    while True:
        if person.ask(Question("chain", text, options=(YES, SKIP))) == SKIP:
            person.tell("all together: not checked")
            return False
        give_up = time.monotonic() + wait_s
        while (trouble := _trouble(port, chain)) is not None and time.monotonic() < give_up:
            todo = "connect all motors in the chain"
            person.show(LiveView("All together", todo, (), keys=QUIT_KEY, message=str(trouble)))
            person.hear()
            time.sleep(POLL_S)
        if trouble is None:
            person.tell(f"all {len(chain)} motors answer, each with its own id")
            return True
        if person.alone:
            raise trouble
        person.tell(str(trouble))


def _trouble(port: AnyBaud, chain: Sequence[Link]) -> BridgeError | None:
    try:
        servos = find_servos(port, (USUAL,)).servos
    except RETRIED as error:
        if isinstance(error, PortError):
            port.close()
        return error
    ids = [servo.id for servo in servos]
    missing, likely = silent_text(chain, ids)
    if missing:
        expected = f"ids {', '.join(str(link.id) for link in chain)}"
        got = f"ids {', '.join(map(str, ids)) or 'none'}"
        return ServoMissing(sentence(f"missing motors: {missing}", expected=expected, got=got, do=likely))
    strangers = [servo for servo in servos if servo.id not in {link.id for link in chain}]
    if strangers:
        got = "; ".join(map(str, strangers))
        return ServoWrong(sentence("a motor that is none of this arm", got=got, do="disconnect it"))
    return None
