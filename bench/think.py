"""What thinking costs: passes and time of a full decode, released reuse and our order, beside a plain call.

    python -m bench.think [--preset tiny|mid] [--precision int8] [--frames 8] [--checkpoint DIR] [--json]

Clips of an arm (bench/think_clips.py) with about 0, 5, 20 and 60 % of the cells changing, without and with sensor
noise. Each picture goes to all sides in turn, so that they share whatever else the machine does; times are medians
over the pictures after the first, passes means. The codes are the clip's own, from the picture alone (`rendered`), with
a tenth of them replaced (`flicker`) or spoilt by wrong neighbours (`chained`): see bench/think_speak.py; or what the
checkpoint says by itself (`own`). Our order's codes are compared with released reuse's in every picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean, median

from bench.think_clips import CLIPS, FLICKER, Clip, Shot, shots
from bench.think_speak import Told
from bench.workbench import FOLDER, TASK, bundle_of, checkpoint_of, say, scene
from edge.policies import PolicyOptions, make_policy
from edge.session import Session, make_pipeline
from policy_spec.depth_patches import grid_side
from policy_spec.generated import Depth
from policy_spec.pipeline import Observation
from policy_spec.think import ThinkPipeline

SPEAKERS = ("rendered", "flicker", "chained", "own")
SIDES = ("full", "released", "ours")
FULL = 2  # pictures that are decoded in full: it costs the same each time


@dataclass(frozen=True, slots=True)
class Sample:
    """One call of one side."""

    side: str
    seconds: float
    depth: Depth | None = None
    patches: float = 0.0  # s, of the comparison of two pictures


@dataclass(frozen=True, slots=True)
class Line:
    """One clip."""

    codes: str
    clip: str
    changed: float  # share of all cells
    passes: dict[str, float]  # by side
    begins: int  # passes of ours where a new episode begins, guessed from the last one
    accepted: float  # share of the changed cells
    ms: dict[str, float]  # by side, and plain
    patches_ms: float
    differ: int  # cells, over all pictures, whose code is not that of released reuse


@dataclass(slots=True, eq=False)
class Bench:
    """The two bundles of one checkpoint."""

    think: Session
    plain: Session

    def observation(self, shot: Shot) -> Observation:
        """The clip is the first camera; whatever else there is stays still."""
        seen = scene(make_pipeline(self.think.bundle, None))
        return replace(seen, images=(shot.image, *seen.images[1:]))

    def side(self, order: str) -> ThinkPipeline:
        """One side's policy over the same engine, with a memory of its own."""
        bundle = self.think.bundle
        policy = make_policy(bundle, make_pipeline(bundle, None), PolicyOptions(depth_order=order))
        assert isinstance(policy.pipeline, ThinkPipeline)
        return policy.pipeline

    def speaker(self, codes: str) -> Told:
        """Who gives the logits."""
        spec = self.think.bundle.spec
        side = grid_side(spec.depth_codes)
        return Told(self.think.engine.run, spec.token_ids["depth_0"], spec.depth_tokens, side, codes == "chained")

    def clip(self, clip: Clip, frames: int, codes: str) -> Line:
        """All sides over one clip, picture by picture."""
        pictures = shots(clip, frames, flicker=FLICKER if codes == "flicker" else 0.0)
        sides = {"full": self.side("released"), "released": self.side("released"), "ours": self.side("draft")}
        told, samples = self.speaker(codes), list[Sample]()
        for index, shot in enumerate(pictures):
            told.codes = None if codes == "own" else shot.codes
            seen = self.observation(shot)
            found = [self.call(side, sides[side], told, seen) for side in SIDES if side != "full" or index <= FULL]
            started = time.perf_counter()
            self.plain.predict(seen, TASK, 0)
            samples += [*found, Sample("plain", time.perf_counter() - started)] if index else []
        sides["ours"].reset()
        told.codes = None if codes == "own" else pictures[0].codes
        again = self.call("ours", sides["ours"], told, self.observation(pictures[0]))
        assert again.depth is not None
        return line(codes, clip, samples, again.depth.passes)

    def call(self, side: str, policy: ThinkPipeline, told: Told, seen: Observation) -> Sample:
        """One call, timed from outside."""
        if side == "full":
            policy.reset()
        started = time.perf_counter()
        out = policy.predict(told, seen, TASK, seed=0)
        return Sample(side, time.perf_counter() - started, out.depth, out.timings["patches"])


def line(codes: str, clip: Clip, samples: Sequence[Sample], begins: int) -> Line:
    """Means of passes, medians of times."""
    by = {side: [s for s in samples if s.side == side] for side in (*SIDES, "plain")}
    depths = {side: [s.depth for s in by[side] if s.depth is not None] for side in SIDES}
    ours = depths["ours"]
    pairs = zip(ours, depths["released"], strict=True)
    changed = sum(int(d.changed.sum()) for d in ours)
    return Line(
        codes=codes,
        clip=f"{clip.share} %{', noise' if clip.noise else ''}",
        changed=changed / sum(len(d.codes) for d in ours),
        passes={side: mean(d.passes for d in depths[side]) for side in SIDES},
        begins=begins,
        accepted=sum(d.accepted for d in ours) / changed if changed else 1.0,
        ms={side: 1e3 * median(s.seconds for s in found) for side, found in by.items()},
        patches_ms=1e3 * median(s.patches for s in by["ours"]),
        differ=sum(int((a.codes != b.codes).sum()) for a, b in pairs),
    )


def text(lines: Sequence[Line], title: str) -> str:
    """The README's table."""
    head = "codes | clip | changed | passes: full, released, ours | ours / released | accepted | episode begins"
    rows = [title, "", f"| {head} | full ms | released ms | ours ms | plain ms | ours / plain | patches | differ |"]
    rows.append("|---" * 14 + "|")
    return "\n".join([*rows, *map(row, lines)])


def row(one: Line) -> str:
    """One clip's line of it."""
    passes, ms = one.passes, one.ms
    counts = ", ".join(f"{passes[side]:.3g}" for side in SIDES)
    cells = [one.codes, one.clip, f"{one.changed:.0%}", counts, f"{passes['ours'] / passes['released']:.2f}"]
    cells += [f"{one.accepted:.0%}", str(one.begins), *(f"{ms[side]:.0f}" for side in (*SIDES, "plain"))]
    cells += [f"{ms['ours'] / ms['plain']:.2f}x", f"{one.patches_ms / ms['ours']:.1%}", str(one.differ)]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--checkpoint", type=Path, help="another one than the preset's, such as bench.think_teach's")
    parser.add_argument("--precision", default="int8")
    parser.add_argument("--frames", type=int, default=8, help="pictures of each clip")
    parser.add_argument("--codes", choices=SPEAKERS, nargs="+", default=SPEAKERS)
    parser.add_argument("--noise", choices=("both", "off", "on"), default="both")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where checkpoint and bundles are kept")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    checkpoint = args.checkpoint or checkpoint_of(args.preset, args.folder, depth=True)
    bundles = [bundle_of(checkpoint, args.precision, mode) for mode in ("think", "continuous")]
    noises = {"both": (False, True), "off": (False,), "on": (True,)}[args.noise]
    with Session.open(bundles[0]) as think, Session.open(bundles[1]) as plain:
        bench, lines = Bench(think, plain), list[Line]()
        for codes in args.codes:
            for clip in (replace(clip, noise=noise) for clip in CLIPS for noise in noises):
                lines.append(bench.clip(clip, args.frames, codes))
                say(row(lines[-1]))
        facts = f"{checkpoint.name}, {args.precision}, {args.frames} pictures a clip; {think.engine.name}"
    print(json.dumps([asdict(one) for one in lines], indent=1) if args.json else text(lines, facts))


if __name__ == "__main__":
    main()
