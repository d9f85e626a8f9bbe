"""Plays cases in a process of its own: `python -m armside.eval_worker SETTINGS` (JSON), one line for each.

Reads a case per line, answers an outcome per line; {"error": ...} where the policy cannot be opened. With "shown" in a
case its pictures are written to that file (npz). Ends with its stdin.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from armside.eval_cases import case_of
from armside.eval_player import Player, Settings
from firmware_bridge.errors import BridgeError
from policy_spec.errors import ArmsideError


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    settings = Settings(**json.loads(sys.argv[1]))
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a library says is no answer
    try:
        with Player(settings) as player:
            print(json.dumps({"ready": True}), file=out, flush=True)
            for line in sys.stdin:
                print(json.dumps(play(player, json.loads(line))), file=out, flush=True)
    except BrokenPipeError:
        return _deserted(out)
    except (ArmsideError, BridgeError) as error:
        try:
            print(json.dumps({"error": str(error)}), file=out, flush=True)
        except BrokenPipeError:
            _deserted(out)
        return 1
    return 0


def _deserted(out: TextIO) -> int:
    """Who asked has ended: nobody is to read what is left, and the interpreter's last flush stays quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    return 1


def play(player: Player, order: dict[str, Any]) -> dict[str, Any]:
    """One case."""
    shown = order.pop("shown", None)
    frames: list[np.ndarray] = []
    outcome = player.play(case_of(order), frames.append if shown else None)
    if shown:
        half = Path(shown).with_name(f".{Path(shown).name}")
        np.savez_compressed(half, frames=np.stack(frames))
        half.replace(shown)
    return outcome.to_json()


if __name__ == "__main__":
    sys.exit(main())
