"""The policy's unit of `armside bridge install ID --run WORDS`: the words are read as `armside run` will read them.

Takes the parsed words and a profile, gives a system_files.Session. Writes nothing, opens no engine.
"""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from armside.profile import Profile
    from armside.system_files import Session

OWN = ("--robot", "--live")  # said once, for both units


def session_of(args: argparse.Namespace, profile: Profile, program: str, user: str) -> Session | None:
    """The session that was asked for; None: none was. Raises UsageError, BundleError, SpecError."""
    from armside.system_files import Session

    if not args.session:
        if args.restart:
            raise UsageError(sentence("--restart is of the policy's unit", expected="--run WORDS beside it"))
        return None
    words = checked(shlex.split(args.session), profile)
    words += ["--robot", profile.name, *(["--live"] if args.live else [])]
    return Session(program, tuple(words), profile.name, user, os.getuid(), args.restart)


def checked(words: list[str], profile: Profile) -> list[str]:
    """The words with the bundle's whole path; a service is started elsewhere. UsageError for what run would refuse."""
    from armside import run
    from policy_spec.bundle import open_bundle

    parser = Strict(prog="--run", add_help=False)
    run.add_arguments(parser)
    given = parser.parse_args(words)
    if any(word.partition("=")[0] in OWN for word in words):
        raise UsageError(sentence("--run", expected=f"no {' and no '.join(OWN)}", do="they are those of the bridge"))
    if not given.task:
        raise UsageError(sentence("--run", expected="--task TEXT in it", do="a service has nobody who could be asked"))
    bundle = given.bundle.resolve()
    open_bundle(bundle).require_arm(profile.type)
    return [str(bundle) if Path(word) == given.bundle else word for word in words]


class Strict(argparse.ArgumentParser):
    """Says what is wrong as an error of ours, instead of ending the program."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(sentence("--run", expected="the words of armside run", got=message))
