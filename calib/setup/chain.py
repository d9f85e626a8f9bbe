"""The motors of an arm one after another: in which order they get their ids, where each sits, which cable is broken.

Pure: ids in, words out. The order is LeRobot's, from the gripper to the base; the cable runs the other way.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

# Where the motor of each joint is, in an arm that is built or in the kit's photographs.
WHERE = {
    "gripper": "opens and closes the jaw; the last one of the chain",
    "wrist_roll": "turns the gripper about its own axis",
    "wrist_flex": "bends the wrist up and down",
    "elbow_flex": "bends the elbow, between upper arm and forearm",
    "shoulder_lift": "lifts the upper arm, in the shoulder",
    "shoulder_pan": "turns the arm on its base; the one beside the board",
}


@dataclass(frozen=True, slots=True)
class Link:
    """One motor of the chain."""

    joint: str
    id: int


def chain_of(joints: Sequence[str], ids: Sequence[int]) -> tuple[Link, ...]:
    """From the board outwards."""
    return tuple(Link(joint, servo) for joint, servo in zip(joints, ids, strict=True))


def working_order(chain: Sequence[Link]) -> tuple[Link, ...]:
    """As they get their ids: the last of the chain first."""
    return tuple(reversed(chain))


def silent_text(chain: Sequence[Link], answering: Collection[int]) -> tuple[str, str]:
    """Who is missing, and the likely cause; both "" when all answer.

    The bus is one pair of wires from plug to plug, so a cable takes all behind it along: one motor that is silent
    while others behind it answer has lost its own plug, or its id.
    """
    missing = [link for link in chain if link.id not in answering]
    if not missing:
        return "", ""
    names = ", ".join(f"{link.joint} ({link.id})" for link in missing)
    if len(missing) == len(chain):
        return f"none answers: {names}", (
            "check the arm's power supply, the cable from the board to the first motor, and the board's jumpers "
            "(USB, not UART)"
        )
    first = missing[0]
    at = chain.index(first)
    if missing == list(chain[at:]):
        before = f"{chain[at - 1].joint} ({chain[at - 1].id})" if at else "the board"
        likely = f"the cable between {before} and {first.joint} ({first.id}): all before it answer, none behind it"
        if at == len(chain) - 1:
            likely += f"; or {first.joint} has another id: armside setup-motors --only {first.joint}"
        return f"no answer from {names}; the first silent one is {first.joint} ({first.id})", likely
    own = ", ".join(link.joint for link in missing if any(far.id in answering for far in chain[chain.index(link) :]))
    return f"no answer from {names}; the first silent one is {first.joint} ({first.id})", (
        f"motors behind it answer, so it is the plug of {own} itself, or its id: "
        f"armside setup-motors --only {first.joint}"
    )
