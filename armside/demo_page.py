"""The page of a demo with a trained policy: what it was told, the film, what came of it, where the rest lies.

Takes the folders that the demo's verbs left and the outcomes; writes report.md and report.html. Computes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from armside.page import Part, Picture, Table, Title, Words, write_page

if TYPE_CHECKING:
    from armside.eval_cases import Outcome

INTRODUCTION = (
    "A policy with INT8 weights looks through two simulated cameras, reads what it is told and says where the joints "
    "shall go. Everything between is that of a real arm: the bridge checks and clamps, actions leave as servo frames "
    "on a pseudo-terminal, and joint angles come back as the servos' ticks. Scenes are held out from training."
)


def write_demo_page(folder: Path, policy: Path, told: Path, record: Path, outcomes: Sequence[Outcome]) -> Path:
    """report.html in the demo's folder, with the film inside. Raises OSError."""
    from armside.demo_trained import film_of

    done = sum(outcome.success for outcome in outcomes)
    rows = tuple(
        (outcome.said, outcome.case.task, str(outcome.case.seed), outcome.words, f"{outcome.path_rad:.1f} rad")
        for outcome in outcomes
    )
    columns = ("told", "task", "scene", "outcome", "way of the joints")
    caption = "front and wrist camera, as the policy sees them; about as fast as it happens"
    run = f"The run of ten times a second in real time, with latencies and joints: {record / 'report.html'}."
    more = f"How often it succeeds: armside eval {folder / 'policy-int8.bundle'} --task all --episodes 100"
    parts: list[Part] = [
        Title(f"What the arm did: {done} of {len(outcomes)}"),
        Words(INTRODUCTION),
        Picture("told.webp", film_of(told).read_bytes(), caption),
        Table(columns, rows, left=("told", "task", "outcome")),
        Words(run),
        Words(f"{more}. The checkpoint: {policy}."),
    ]
    return write_page(folder, parts)[1]
