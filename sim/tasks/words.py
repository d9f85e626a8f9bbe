"""How people say an errand: wordings to train with, and others that are only for tests. Data only.

A wording has {thing} and, of a push, {side}. The first of each row is the plain one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policy_spec.errors import SimError, sentence


@dataclass(frozen=True, slots=True)
class Wordings:
    """Of one kind of errand."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]  # never in training data


WORDS: Mapping[str, Wordings] = {
    "reach": Wordings(
        training=(
            "reach the {thing}",
            "move to the {thing}",
            "go to the {thing}",
            "point at the {thing}",
            "move the gripper to the {thing}",
            "reach for the {thing}",
        ),
        held_out=(
            "bring your gripper over to the {thing}",
            "hover above the {thing}",
            "find the {thing} and go there",
        ),
    ),
    "push": Wordings(
        training=(
            "push the {thing} {side}",
            "push the {thing} to the {side}",
            "move the {thing} to the {side}",
            "slide the {thing} to the {side}",
            "shove the {thing} {side}",
        ),
        held_out=(
            "give the {thing} a push {side}",
            "please shift the {thing} towards the {side}",
            "nudge the {thing} over to the {side}",
        ),
    ),
    "pick": Wordings(
        training=(
            "pick up the {thing}",
            "pick the {thing} up",
            "lift the {thing}",
            "grab the {thing} and lift it",
            "take the {thing}",
        ),
        held_out=(
            "raise the {thing} off the table",
            "grasp the {thing} and hold it up",
            "get the {thing}",
        ),
    ),
}


def say(kind: str, wording: str, thing: str, side: str = "") -> str:
    """A wording of `kind` with its blanks filled. Raises SimError for a wording that leaves the thing or side out."""
    if "{thing}" not in wording or bool(side) != ("{side}" in wording):
        blanks = "{thing} and {side}" if side else "{thing}"
        raise SimError(sentence(f"a wording of {kind}", expected=f"one with {blanks}", got=wording))
    return wording.format(thing=thing, side=side)
