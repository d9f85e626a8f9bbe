"""Names and units of a chunk's columns, by norm tag: what an error is told in."""

from __future__ import annotations

from policy_spec.arms import TAG_ARMS

_SO = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
_YAM = (*(f"joint{number}" for number in range(1, 7)), "gripper")


def columns(tag: str, dims: int) -> list[tuple[str, str]]:
    """(name, unit) of each of `dims` columns; numbered, in policy units, where the tag does not say."""
    arms = TAG_ARMS.get(tag, ())
    named: list[tuple[str, str]] = []
    if "so101" in arms:
        named = [(joint, "%" if joint == "gripper" else "degrees") for joint in _SO]
    elif "bi-yam" in arms:
        named = [
            (f"{side}_{joint}", "of its opening" if joint == "gripper" else "rad")
            for side in ("left", "right")
            for joint in _YAM
        ]
    return named if len(named) == dims else [(f"dim {number}", "policy units") for number in range(dims)]
