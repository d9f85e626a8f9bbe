"""The computers that a bundle can be made for, as rows: what runs there, and which precisions it takes."""

from __future__ import annotations

from dataclasses import dataclass

from policy_spec.errors import UsageError, sentence


@dataclass(frozen=True, slots=True)
class Target:
    """One row."""

    name: str
    engine: str  # what opens the graphs there
    precisions: tuple[str, ...]
    about: str


TARGETS: dict[str, Target] = {
    row.name: row
    for row in (
        Target("x86-cpu", "onnxruntime", ("fp32", "int8"), "a PC's processor; int8 is fast where it has AVX512-VNNI"),
    )
}


def check_target(name: str, precision: str) -> Target:
    """The row. Raises UsageError listing what there is."""
    if name not in TARGETS:
        raise UsageError(sentence("unknown target", expected=f"one of {', '.join(TARGETS)}", got=name))
    target = TARGETS[name]
    if precision not in target.precisions:
        raise UsageError(
            sentence(f"precision for {name}", expected=f"one of {', '.join(target.precisions)}", got=precision)
        )
    return target
