"""The report's part on what a policy generated before it acted: depth maps as pictures, discrete answers, their cost.

Takes a Recording; gives HTML, and a figure for report_plots. Empty for policies that generate nothing.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from episodes.depth_picture import code_map, outlined
from episodes.layout import ChunkRecord
from episodes.recording import Recording
from episodes.report_html import figure, inline, png, small_jpeg, table
from policy_spec.errors import RecordingError
from policy_spec.generated import Depth, Discrete

SHOWN = 8  # maps in the strip
WIDTH = 240  # pixels of each
PASSES, CHANGED, ACCEPTED = "#1f5fa8", "#d95f02", "#4c8c6b"
COLOURS = (
    "Each cell in the colour of its code. A code is a name, not a distance: equal colours are equal codes, and nothing "
    "more. Outlined: cells of the first camera's picture that changed, whose codes were predicted afresh; the others "
    "were taken over."
)


def depth_section(run: Recording, plot: str) -> str:
    """Numbers, the plot and a strip of maps; `plot` is its HTML. "" where there is no depth map."""
    found = _with_depth(run)
    if not found:
        return ""
    maps = [depth for _, depth in found]
    return "\n".join(["<h2>Depth maps</h2>", _depth_table(maps), plot, f"<p>{COLOURS}</p>", _strip(run, found)])


def answer_section(run: Recording) -> str:
    """Numbers of discrete answers; "" where there are none."""
    answers = [chunk.discrete for chunk in run.chunks if chunk.discrete is not None]
    if not answers:
        return ""
    differs = [answer.differs for answer in answers if answer.differs is not None]
    rows = [
        ("discrete answers", str(len(answers))),
        ("tokens of each", _spread([len(answer.tokens) for answer in answers])),
        *_cost(answers, sum(len(answer.tokens) for answer in answers), "tokens guessed right"),
        ("other tokens if any were allowed", str(sum(differs)) if differs else "this bundle's head cannot say"),
    ]
    return f"<h2>Discrete answers</h2>\n{table(('', ''), rows, 'facts')}"


def depth_figure(run: Recording, panel: Any) -> None:
    """Passes of each call, and how many cells changed and were drafted right, into an empty panel."""
    found = _with_depth(run)
    at = [chunk.index for chunk, _ in found]
    changed = [int(depth.changed.sum()) for _, depth in found]
    panel.bar(at, changed, 0.85, color=CHANGED, alpha=0.35, label="cells that changed")
    panel.plot(
        at, [depth.accepted for _, depth in found], "_", color=ACCEPTED, ms=9, mew=2, label="of them drafted right"
    )
    panel.plot(at, [depth.passes for _, depth in found], "o-", color=PASSES, ms=4, lw=1,
               label="passes of the language model")  # fmt: skip
    panel.set_xlabel("prediction")
    panel.set_ylabel("cells, passes")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.25, axis="y")


def has_depth(run: Recording) -> bool:
    """Whether any chunk came with a depth map."""
    return bool(_with_depth(run))


def _with_depth(run: Recording) -> list[tuple[ChunkRecord, Depth]]:
    return [(chunk, chunk.depth) for chunk in run.chunks if chunk.depth is not None]


def _depth_table(maps: list[Depth]) -> str:
    changed = [int(depth.changed.sum()) for depth in maps]
    full = sum(bool(depth.changed.all()) for depth in maps)
    rows = [
        ("depth maps", f"{len(maps)}, of which {full} decoded in full"),
        ("cells that changed", f"{_spread(changed)} of {len(maps[0].codes)}"),
        *_cost(maps, sum(changed), "changed cells drafted right"),
    ]
    return table(("", ""), rows, "facts")


def _cost(calls: list[Depth] | list[Discrete], asked: int, accepted: str) -> list[tuple[str, str]]:
    right, small = (sum(getattr(call, name) for call in calls) for name in ("accepted", "small_margins"))
    return [
        ("passes of the language model", _spread([call.passes for call in calls])),
        ("tokens fed", _spread([call.fed for call in calls])),
        (accepted, f"{right} of {asked}" + (f", {100 * right / asked:.0f} %" if asked else "")),
        ("narrow decisions", f"{small} (the best two logits closer than 0.001)"),
    ]


def _spread(values: list[int]) -> str:
    return f"{np.mean(values):.1f} on average, {min(values)} to {max(values)}"


def _strip(run: Recording, found: list[tuple[ChunkRecord, Depth]]) -> str:
    """Some calls of the run, evenly spread: the first camera's picture above the map."""
    picks = np.unique(np.linspace(0, len(found) - 1, SHOWN).astype(int)).tolist()
    return f"<div class=cams>{''.join(_frame(run, *found[pick]) for pick in picks)}</div>"


def _frame(run: Recording, chunk: ChunkRecord, depth: Depth) -> str:
    said = f"prediction {chunk.index}: {int(depth.changed.sum())} changed, {depth.passes} passes"
    colours = inline(png(_like(code_map(depth.codes, depth.side, WIDTH // depth.side), depth)), "png", f"codes, {said}")
    return f"<div>{_seen(run, chunk.index, depth)}{figure(colours, said)}</div>"


def _seen(run: Recording, index: int, depth: Depth) -> str:
    """The picture that the map is of; nothing where it was not recorded or is lost."""
    observation = next((seen for seen in run.observations if seen.index == index), None)
    slot = next(iter(observation.image_files), None) if observation else None
    if observation is None or slot is None:
        return ""
    try:
        image = run.image(observation, slot)
    except RecordingError:
        return ""
    size = WIDTH, round(image.shape[0] * WIDTH / image.shape[1])
    marked = outlined(np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)), depth.changed, depth.side)
    return f"{inline(small_jpeg(marked, WIDTH), 'jpeg', f'{slot}, changed cells outlined')}<br>"


def _like(colours: np.ndarray, depth: Depth) -> np.ndarray:
    return outlined(colours, depth.changed, depth.side)
