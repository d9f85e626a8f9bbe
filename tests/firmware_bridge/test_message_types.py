"""What a message's fields may be on the wire: another type is refused, not carried into the bridge."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from firmware_bridge.errors import ProtocolMismatch
from firmware_bridge.messages import FRAME, PROTOCOL, SCHEMA, UNITS, Chunk, Command, pack, unpack

CHUNK = Chunk(np.zeros((2, 6), np.float32), "so101", UNITS, FRAME, 1, 1, 0.1)
WRONG = [
    ("Command", [{"estop": 1}, ""], "str; got: dict in Command.name"),
    ("Command", ["estop", None], "str; got: NoneType in Command.argument"),
    ("Chunk", ["zeros", "so101", UNITS, FRAME, 1, 1, 0.1, 0.0], "got: str in Chunk.actions"),
    ("Reply", [1, "", "", "ready", 1, 1], "bool; got: int in Reply.ok"),
]


@pytest.mark.parametrize(("kind", "values", "text"), WRONG)
def test_a_field_of_another_type_is_refused(kind: str, values: list[object], text: str) -> None:
    with pytest.raises(ProtocolMismatch, match=text):
        unpack(msgpack.packb([PROTOCOL, SCHEMA, kind, values]))


def test_a_whole_number_may_stand_for_seconds() -> None:
    """Negative control."""
    parts = msgpack.unpackb(pack(CHUNK), use_list=True)
    parts[3][6] = 1
    again = unpack(msgpack.packb(parts))
    assert isinstance(again, Chunk) and again.dt == 1 and unpack(pack(Command("park"))) == Command("park")
