"""What a Think call costs where a share of the picture's cells changes: ours beside the released way, eager.

A random model's codes say nothing of how often they are guessed, so that it is told what to say (bench/think_speak.py),
each pass costing what it costs. `unguessed`: in every picture exactly that share of the cells is drawn anew, codes too,
and the model says a cell's code only where all cells before it are right: nearly every changed cell costs a pass, the
worst case. `chained` and `rendered`: a moving arm (bench/think_clips.py), with as many cells as its clip changes, and a
model that is misled by wrong neighbours, or never. Times are without the host's part (resizing, tokens, comparing
pictures), which is shown apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bench.gpu.checks import LEAST, TIMES_EAGER, Row, row
from bench.gpu.timing import Times
from bench.think_clips import CLIPS, HEIGHT, WIDTH, Shot, shots
from bench.think_speak import Told
from policy_spec.depth_patches import grid_side
from policy_spec.generated import Depth
from policy_spec.pipeline import Float32, Observation, Run
from policy_spec.think import ThinkPipeline

STAGES = ("vision", "llm", "depth", "context", "flow")  # what is timed; "prepare" and "patches" are the host's
CLIP = CLIPS[2]  # about 20 % of the cells
TASK = "put the red cube into the box"


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One way to think."""

    name: str
    pipeline: ThinkPipeline
    run: Run


@dataclass(frozen=True, slots=True, eq=False)
class Thought:
    """One call of one side."""

    side: str
    seconds: float
    host: float
    depth: Depth
    normalized: Float32


@dataclass(frozen=True, slots=True)
class Line:
    """One side over one sequence."""

    codes: str
    side: str
    changed: float  # share of all cells
    passes: float
    ms: Times
    host_ms: float


def drawn(share: float, count: int, side: int, values: int, seed: int = 0) -> list[Shot]:
    """`count` pictures of texture; in each, that share of the cells is new, and so are their codes."""
    rng = np.random.default_rng(seed)
    cells, (height, width) = side * side, (HEIGHT // side, WIDTH // side)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    codes, out = rng.integers(0, values, cells), []
    for _ in range(count):
        out.append(Shot(image.copy(), codes.copy()))
        for cell in rng.choice(cells, round(share * cells), replace=False).tolist():
            top, left = cell // side * height, cell % side * width
            # A pattern of its own over the noise, so that the cell differs by far.
            image[top : top + height, left : left + width] = rng.integers(0, 256, (height, width, 3), np.uint8)
            codes[cell] = rng.integers(0, values)
    return out


@dataclass(slots=True, eq=False)
class Strict(Told):
    """Says a cell's code only where all cells before it are right."""

    def says(self, cell: int) -> int:
        """Otherwise one that depends on what stands there."""
        assert self.codes is not None
        wrong = np.flatnonzero(self._fed[:cell] != self.codes[:cell])
        right = int(self.codes[cell])
        if not len(wrong):
            return right
        return (right + 1 + int(self._fed[wrong].sum() + 13 * cell) % (self.values - 1)) % self.values


SPEAKERS: dict[str, Callable[..., Told]] = {
    "unguessed": Strict,
    "chained": partial(Told, chained=True),
    "rendered": Told,
}


def sequences(share: float, count: int, side: int, values: int) -> dict[str, list[Shot]]:
    """Pictures by who speaks."""
    made = {"unguessed": drawn(share, count, side, values)}
    return {codes: made.get(codes) or shots(CLIP, count) for codes in SPEAKERS}


def think(sides: list[Side], pictures: list[Shot], seen: Observation, codes: str = "unguessed") -> list[Thought]:
    """All sides over all pictures in turn; the first, decoded in full, counts for nothing. codes: who speaks."""
    spec, out = sides[0].pipeline.host.spec, list[Thought]()
    first, side = spec.token_ids["depth_0"], grid_side(spec.depth_codes)
    told = {s.name: SPEAKERS[codes](s.run, first, spec.depth_tokens, side) for s in sides}
    for s in sides:
        s.pipeline.reset()
    for number, shot in enumerate(pictures):
        now = replace(seen, images=(shot.image, *seen.images[1:]))
        for s in sides:
            told[s.name].codes = shot.codes
            made = s.pipeline.predict(told[s.name], now, TASK, seed=number)
            took, depth = made.timings, made.depth
            assert depth is not None
            host = took["prepare"] + took["patches"]
            seconds = sum(took[stage] for stage in STAGES)
            out += [Thought(s.name, seconds, host, depth, made.normalized)] if number else []
    return out


def lines(codes: str, thoughts: list[Thought]) -> list[Line]:
    """A line for each side."""
    out = []
    for name in dict.fromkeys(t.side for t in thoughts):
        own = [t for t in thoughts if t.side == name]
        out.append(
            Line(
                codes,
                name,
                float(np.mean([t.depth.changed.mean() for t in own])),
                float(np.mean([t.depth.passes for t in own])),
                Times.of([t.seconds for t in own]),
                1e3 * float(np.median([t.host for t in own])),
            )
        )
    return out


def agree(expected: list[Thought], sides: list[Side], pictures: list[Shot], seen: Observation) -> list[Row]:
    """Actions after the same codes: of the sides the first is eager; the control saw another map."""
    limit, rows = LEAST, list[Row]()
    for number, side in enumerate(sides):
        got = think([side], pictures, seen)
        pairs = zip(got, expected, strict=True)
        found = [row(side.name, "actions after a map", (a.normalized, b.normalized), limit) for a, b in pairs]
        if number == 0:
            limit = max(LEAST, TIMES_EAGER * max(r.relative for r in found))
            found = [replace(r, limit=limit) for r in found]
        rows.append(max(found, key=lambda r: r.relative))
    other = [replace(shot, codes=shot.codes[::-1].copy()) for shot in pictures]
    last = think(sides[-1:], other, seen)[-1]
    wrong = row("control", "actions after another map", (last.normalized, expected[-1].normalized), limit)
    return [*rows, replace(wrong, control=True)]


def own_codes(sides: list[Side], pictures: list[Shot], seen: Observation) -> dict[str, int]:
    """Cells, over all pictures, in which a side says something else than the first one does by itself."""
    said: dict[str, list[np.ndarray]] = {}
    for s in sides:
        s.pipeline.reset()
        for number, shot in enumerate(pictures):
            now = replace(seen, images=(shot.image, *seen.images[1:]))
            depth = s.pipeline.predict(s.run, now, TASK, seed=number).depth
            assert depth is not None
            said.setdefault(s.name, []).append(depth.codes)
    first = said[sides[0].name]
    return {name: sum(int((a != b).sum()) for a, b in zip(codes, first, strict=True)) for name, codes in said.items()}


def text(found: list[Line]) -> list[str]:
    """Markdown."""
    out = ["| codes | side | changed | passes | ms p50 | ms p90 | host ms |", "|---|---|---|---|---|---|---|"]
    for line in found:
        out.append(
            f"| {line.codes} | {line.side} | {line.changed:.0%} | {line.passes:.1f} | {line.ms.p50:.1f} | "
            f"{line.ms.p90:.1f} | {line.host_ms:.1f} |"
        )
    return out
