"""`armside calibrate --against BUNDLE`: does this arm speak the policy's language, joint by joint. Moves nothing.

Reads the arm through its bridge where one runs, else through a driver that sends no goals; the guided direction test
needs it limp. Joins the bundle, the profile and calib's parts; knows no statistics and no kinematics itself.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from policy_spec.errors import SpecError, UsageError, sentence

if TYPE_CHECKING:
    from armside.arm_args import ArmChoice
    from armside.reading_arm import ReadingArm
    from calib.direction_test import Directions
    from calib.language import Language, Policy
    from calib.person import Person
    from policy_spec.norm import NormTag

FORMAT, VERSION = "armside-language", 1


def run(args: argparse.Namespace) -> int:
    """Shows the pose, then guides through the directions. 0 where the arm speaks the language, else 1."""
    from armside.json_out import give
    from armside.reading_arm import choose_to_read, open_to_read
    from policy_spec.bundle import open_bundle

    bundle = open_bundle(args.against)
    tag = bundle.spec.tag(args.norm_tag)
    choice = choose_to_read(args)
    bundle.require_arm(choice.profile.type)
    policy = policy_of(choice, tag, args.joint_frame)
    with person_of_test(args) as person, open_to_read(choice) as arm:
        if not args.no_directions:
            arm.source.make_limp(person)
        language = look(arm, policy)
        for line in lines_of(language):
            person.tell(line)
        if args.picture is not None:
            draw(args, choice, language)
        directions = None if args.no_directions else guide(arm, person, choice)
        if directions is not None:
            person.tell("the arm is limp: lay it down before you let go of it")
        ok = say(person, language, directions, arm, policy)
        give(args.json, result(args, choice, tag, (language, directions, arm, policy)))
    return 0 if ok else 1


def policy_of(choice: ArmChoice, tag: NormTag, given: str | None) -> Policy:
    """Its ranges and its frame, and the other frames that an arm with as many joints can have. Raises SpecError."""
    import numpy as np

    from armside.arm_args import frame_of
    from armside.run import calibration_of, half_ranges
    from calib.language import Policy
    from firmware_bridge.robots import find
    from policy_spec.frames import Frame, frame, frame_names
    from policy_spec.in_range import ranges_of

    joints = find(choice.profile.type).joints
    if tag.state_dim != len(joints):
        what, do = f"norm tag {tag.tag!r} and a {choice.profile.type}", "choose the norm tag of this arm (--norm-tag)"
        raise SpecError(sentence(what, expected=f"a state of {len(joints)}", got=tag.state_dim, do=do))
    half = half_ranges(choice.profile.type, calibration_of(choice))
    name = frame_of(choice, given)
    others: dict[str, Frame] = {}
    for other in frame_names():
        with contextlib.suppress(SpecError):  # a frame of another arm, or one that needs ranges
            made = frame(other, half)
            made.to_si(np.zeros(len(joints)))
            if other != name:
                others[other] = made
    return Policy(ranges_of(tag.state), frame(name, half), others)


@contextlib.contextmanager
def person_of_test(args: argparse.Namespace) -> Iterator[Person]:
    """Without the direction test nothing is asked, so no terminal is needed."""
    from armside.person_args import person_of
    from calib.person import Scripted

    if args.no_directions and args.script is None:
        yield Scripted(yes=True, say=lambda text: print(wrapped(text), flush=True))
    else:
        with person_of(args) as person:
            yield person


def wrapped(text: str) -> str:
    """Between words where a terminal would cut through them; a log's lines stay whole."""
    return textwrap.fill(text, columns(), subsequent_indent="  ") if len(text) > columns() else text


def columns() -> int:
    """Of this terminal; enough for everything where there is none."""
    return shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 10_000


def look(arm: ReadingArm, policy: Policy) -> Language:
    """The present pose beside the policy's ranges."""
    from calib.language import Arm, compare

    here = Arm(arm.robot.joints, arm.robot.grippers, arm.pose(), *arm.limits)
    return compare(here, policy)


def lines_of(language: Language) -> list[str]:
    """The table as this terminal can show it."""
    from calib.language_text import NICE, table

    try:
        "".join(NICE.values()).encode(sys.stdout.encoding or "ascii")
        plain = False
    except UnicodeEncodeError:
        plain = True
    return table(language, plain, columns())


def draw(args: argparse.Namespace, choice: ArmChoice, language: Language) -> None:
    """--picture."""
    from calib.language_text import picture

    try:
        picture(language, args.picture, f"{choice.profile.name} against {args.against.name}")
    except ValueError as error:  # Pillow knows the kind of picture by its ending
        raise UsageError(sentence("--picture", expected="a name that ends in .png", got=error)) from None


def guide(arm: ReadingArm, person: Person, choice: ArmChoice) -> Directions:
    """The guided direction test."""
    from calib.direction_test import Guided, run
    from firmware_bridge.kinematics.bodies import bodies_of

    bodies = bodies_of(arm.robot, choice.profile.bases)
    return run(Guided(person, arm.read, arm.robot.joints, arm.robot.grippers), bodies)


def say(person: Person, language: Language, directions: Directions | None, arm: ReadingArm, policy: Policy) -> bool:
    """What was found, and the verdict."""
    from calib import direction_text, language_text

    for line in language_text.verdict(language):
        person.tell(line)
    if directions is None:
        person.tell(f"{language_text.ONE_POSE}; the directions were left out (--no-directions)")
    else:
        for line in direction_text.lines(directions, arm.robot.joints, policy.frame):
            person.tell(line)
    ok = language.ok and (directions is None or directions.ok)
    tested = "its pose" if directions is None else "its pose and all directions"
    if ok:
        person.tell(f"it speaks the policy's language, as far as {tested} can tell")
    elif only_stands_outside(language, directions):
        person.tell("as it stands nothing more can be told: move it inside, by hand or by armside run --start-pose")
    else:
        person.tell("it does not speak the policy's language as it is: do not let it run live")
    return ok


def only_stands_outside(language: Language, directions: Directions | None) -> bool:
    """Whether the pose alone may be what is wrong."""
    from calib.language import UNREACHED

    mild = all("pose" in finding.kind or finding.kind == "reach" for finding in language.findings)
    reached = all(row.verdict != UNREACHED for row in language.rows)
    return mild and reached and (directions is None or directions.ok)


def result(args: argparse.Namespace, choice: ArmChoice, tag: NormTag, found: Any) -> dict[str, Any]:
    """Everything for programs."""
    from calib import direction_text, language_text

    language, directions, arm, policy = found
    told = None if directions is None else direction_text.to_json(directions, arm.robot.joints, policy.frame)
    return {
        "format": FORMAT,
        "version": VERSION,
        "robot": choice.profile.type,
        "id": choice.profile.id,
        "bundle": str(args.against),
        "norm_tag": tag.tag,
        "ok": language.ok and (directions is None or directions.ok),
        "pose": language_text.to_json(language),
        "directions": told,
    }
