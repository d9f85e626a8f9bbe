"""Replay of a black box: a fresh safety core is told what the recorded one was told, every answer compared.

`python -m firmware_bridge.black_box FILE` prints the verdict. The first record holds the configuration, the
robot and what connecting found, from which the rules are made again; see recorder.py for the others. Answers
are compared byte for byte, which holds on one build of numpy and one kind of processor.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge import robots
from firmware_bridge.black_box_file import FORMAT, pack, read_records, unpack
from firmware_bridge.config import BridgeConfig
from firmware_bridge.driver import Facts
from firmware_bridge.errors import BridgeError, ConfigError, sentence
from firmware_bridge.recorder import obey, outcome
from firmware_bridge.rules import make_door, make_rules
from firmware_bridge.safety.chunks import Mailbox
from firmware_bridge.safety.modes import Rules
from firmware_bridge.safety.state_machine import StateMachine


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a replay found."""

    records: int  # whole ones, the first included
    ticks: int
    difference: str  # "" or the first one
    rest: str  # "" or what of the file could not be read: cut off, damaged
    rules: str  # "" or that today's rules are others than the recorded ones

    @property
    def equal(self) -> bool:
        return not self.difference and not self.rules

    def text(self) -> str:
        verdict = "equal" if self.equal else "; ".join(part for part in (self.rules, self.difference) if part)
        return "; ".join(part for part in (f"{self.records} records, {self.ticks} ticks: {verdict}", self.rest) if part)


def replay(path: str | Path) -> Comparison:
    """Feed a fresh machine all that `path` records. Raises ConfigError for a file that is none of ours."""
    rest: list[str] = []
    rows = read_records(Path(path), rest)
    first = next(rows, None)
    if not (isinstance(first, tuple) and len(first) == 5 and first[:2] == ("begin", FORMAT)):
        expected = f"a black box of format {FORMAT}"
        raise ConfigError(sentence(f"{path}", expected=expected, got="; ".join(rest) or "another file"))
    _, _, config_text, facts_row, old_rules = first
    rules, mailbox = _rules(config_text, facts_row)
    machine = StateMachine(rules, mailbox)
    records, ticks = 1, 0
    other = "" if pack(rules) == old_rules else "the rules that this version makes are not the recorded ones"
    for name, args, named, expected in rows:
        got = outcome(machine, *obey(machine, name, args, named))
        records += 1
        ticks += name == "step"
        if got != expected:
            what = f"record {records}, {name}: recorded {_short(expected)}, replayed {_short(got)}"
            return Comparison(records, ticks, what, "", other)
    return Comparison(records, ticks, "", "; ".join(rest), other)


def _rules(config_text: str, facts_row: tuple[str, dict[str, Any]]) -> tuple[Rules, Mailbox]:
    config = BridgeConfig.from_json(config_text)
    robot = robots.find(config.robot)
    return make_rules(config, robot, Facts(**facts_row[1])), Mailbox(make_door(config, robot))


def _short(packed: bytes) -> str:
    return repr(unpack(packed)).replace("\n", "")[:300]


def main() -> int:
    parser = argparse.ArgumentParser(prog="firmware_bridge.black_box", description="Replay a black box and compare.")
    parser.add_argument("file")
    try:
        found = replay(parser.parse_args().file)
    except BridgeError as error:
        print(error, file=sys.stderr)
        return 2
    print(found.text())
    return 0 if found.equal and not found.rest else 1


if __name__ == "__main__":
    sys.exit(main())
