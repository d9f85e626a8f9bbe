"""Who answers a procedure's questions: the person in this terminal, a script, or --yes. Gives a calib Person."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from calib.person import Person


@contextlib.contextmanager
def person_of(args: argparse.Namespace) -> Iterator[Person]:
    """The person for `--script`, `--yes`, or this terminal. Raises UsageError.

    Whoever ends the program, an arm that is being held or let go is seen to first: signals never just kill it.
    """
    from armside.signals import as_ctrl_c, stoppable
    from calib.person import Scripted

    if args.script is not None or args.yes:
        answers = read_script(args.script) if args.script is not None else {}
        with as_ctrl_c():
            yield Scripted(answers, yes=args.yes, say=lambda text: print(text, flush=True))
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        do = "--yes answers every question with its usual answer; --script FILE answers by name"
        raise UsageError(sentence("this asks questions and needs a terminal", do=do))
    else:
        from calib.terminal import Terminal

        with stoppable(patience=1) as stop, Terminal(stop) as terminal:
            yield terminal


def read_script(path: Path) -> dict[str, Any]:
    """The answers in a script. Raises UsageError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UsageError(sentence(f"the script {path} cannot be read", expected="JSON", got=error)) from None
    answers = data.get("answers") if isinstance(data, dict) and set(data) == {"answers"} else None
    if not isinstance(answers, dict) or not all(_answer(value) for value in answers.values()):
        expected = '{"answers": {"key": "yes", "other": ["no", "yes"]}}'
        raise UsageError(sentence(f"the script {path}", expected=expected, got=str(data)[:200]))
    return dict(answers)


def _answer(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))
