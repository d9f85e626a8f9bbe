"""Runs every case of a folder laid out like ../shared/reference and prints a table.

    python -m tests.reference_cases DIR [--only continuous|think|discrete|prompts|train] [--json]

Each case goes through the host, train/model (generated tokens replayed) and sessions of float32 and INT8 bundles; think
and discrete cases through bundles of each head, in our order of passes and in the released one, in the order of their
numbers as one episode; training batches through train/learn. What has no tolerance is only reported. Exits 1 if any
quantity falls short.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from policy_spec.bundle import open_bundle
from policy_spec.prompt import (
    PromptFlags,
    PromptParts,
    Tokenizer,
    expand_images,
    image_text,
    normalize_task,
    prompt_text,
    state_bins,
)
from policy_spec.spec import PolicySpec
from tests.reference import bundles, discrete_bundles, inputs, think_bundles, training
from tests.reference.model_truth import ModelTruth
from tests.reference.quantities import Case, Quantity, table
from tests.reference.sessions import Opened, opened
from train.checkpoint import load_model

KINDS = ("continuous", "think", "discrete", "prompts", "train")
STYLES = {"continuous": "robot_action", "think": "robot_depth_action", "discrete": "robot_action"}
STATE_BINS = 256
ROOM = 4096  # bracket of host-side checks: any prompt fits

Cases = list[tuple[Case, dict[str, np.ndarray]]]


def load(file: Path) -> dict[str, np.ndarray]:
    """One npz, no objects."""
    with np.load(file, allow_pickle=False) as data:
        return {name: data[name] for name in data.files}


def run_folder(root: Path, only: str | None = None) -> list[Quantity]:
    """Every case under `root`. Raises FileNotFoundError where there is none."""
    rows: list[Quantity] = []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        for kind in KINDS[:3]:
            files = sorted(folder.glob(f"{kind}_*.npz"), key=lambda f: int(f.stem.split("_")[-1]))
            if files and only in (None, kind):
                rows += attempt(f"{folder.name}/{kind}_*", run_checkpoint(folder, kind, files))
        if (folder / "fast_roundtrip.npz").is_file() and only in (None, "discrete"):
            rows += discrete_bundles.roundtrip(folder)
        if (folder / "prompts.json").is_file() and only in (None, "prompts"):
            rows += run_prompts(folder)
        files = sorted(folder.glob("train_*.npz"), key=lambda f: int(f.stem.split("_")[-1]))
        if files and only in (None, "train"):
            rows += attempt(
                f"{folder.name}/train_*", (row for f in files for row in training.check(folder, f, load(f)).rows)
            )
    if not rows:
        raise FileNotFoundError(f"no cases{' of kind ' + only if only else ''} under {root}")
    return rows


def attempt(name: str, cases: Iterator[Quantity]) -> Iterator[Quantity]:
    """The rows as they come; an error ends them with a row that is not ok, and the other cases still run."""
    try:
        yield from cases
    except Exception as error:
        traceback.print_exc()
        yield Quantity(name, "runs", float("inf"), 0.0, f"{type(error).__name__}: {error}".replace("\n", " "))


def run_checkpoint(folder: Path, kind: str, files: list[Path]) -> Iterator[Quantity]:
    """All cases of one checkpoint, the model loaded and the bundles made once."""
    truth = ModelTruth(load_model(folder / "checkpoint"))
    cases = [(Case(f"{folder.name}/{file.stem}"), load(file)) for file in files]
    with tempfile.TemporaryDirectory() as scratch:
        run = run_continuous if kind == "continuous" else run_generating
        yield from run(folder, truth, cases, (kind, Path(scratch)))


def run_continuous(folder: Path, truth: ModelTruth, cases: Cases, made: tuple[str, Path]) -> Iterator[Quantity]:
    """Model and bundles, case by case."""
    checkpoint, (kind, scratch) = folder / "checkpoint", made
    cameras, longest = sizes_of(cases)
    runners = bundles.make(checkpoint, scratch, cameras, longest)
    bracket = open_bundle(scratch / "fp32").manifest.bracket
    for case, data in cases:
        pipeline = inputs.host_pipeline(checkpoint, data, cameras=cameras, bracket=ROOM, style=STYLES[kind])
        prepared = inputs.check_inputs(case, pipeline, data)
        context = truth.continuous(case, pipeline, prepared, data)
        bundles.check(case, runners, bundles.sized(pipeline, cameras, bracket), data, context)
        yield from case.rows


def run_generating(folder: Path, truth: ModelTruth, cases: Cases, made: tuple[str, Path]) -> Iterator[Quantity]:
    """The model case by case, then the bundles over all of them, each tag's cases an episode of their own."""
    checkpoint, (kind, scratch) = folder / "checkpoint", made
    sizes = sizes_of(cases)
    for case, data in cases:
        pipeline = inputs.host_pipeline(checkpoint, data, cameras=sizes[0], bracket=ROOM, style=STYLES[kind])
        prepared = inputs.check_inputs(case, pipeline, data)
        (truth.think if kind == "think" else truth.discrete)(case, pipeline, prepared, data)
        yield from case.rows
        case.rows.clear()
    spec = PolicySpec.from_checkpoint(checkpoint)
    tags = [inputs.tag_of(spec, data) for _, data in cases]
    with opened(folder, scratch, kind, sizes) as sessions:
        for tag in dict.fromkeys(tags):
            frames = [frame for frame, its in zip(cases, tags, strict=True) if its == tag]
            if kind == "think":
                think_bundles.check([think_bundles.Frame(*frame) for frame in frames], Opened(sessions, tag), truth)
            else:
                discrete_bundles.check(frames, Opened(sessions, tag))
            for case, _ in frames:
                yield from case.rows


def sizes_of(cases: Cases) -> tuple[int, int]:
    """The most cameras and the longest prompt."""
    cameras = max(len(inputs.observation(data).images) for _, data in cases)
    return cameras, max(data["input_ids"].shape[1] for _, data in cases)


def run_prompts(folder: Path) -> list[Quantity]:
    """prompts.json: normalised task, state bins, text and ids of a full-size vocabulary."""
    cases = json.loads((folder / "prompts.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(folder / "tokenizer.json", bos_token=config["bos_token"])
    rows: list[Quantity] = []
    for number, data in enumerate(cases):
        case = Case(f"{folder.name}/{number}")
        task = normalize_task(data["task"])
        case.equal("normalized_task", task, data["normalized_task"])
        bins = state_bins(np.asarray(data["normalized_state"], np.float32), STATE_BINS).tolist()
        # JSON has no NaN nor infinity: both stand there as null, and only the bin tells which it was.
        lost = [value is None for value in data["normalized_state"]]
        bins = [said if gone else bin for bin, said, gone in zip(bins, data["state_bins"], lost, strict=True)]
        case.equal("state_bins", bins, data["state_bins"])
        flags = flags_of(data, tokenizer)
        parts = PromptParts(
            task=task,
            setup_type=between(data["text"], "The setup is ", ". The "),
            control_mode=between(data["text"], "The expected control mode is ", ". Given these"),
            bins=tuple(bins),
            num_images=data["num_images"],
            style=data["style"],
        )
        text = prompt_text(parts, flags)
        case.equal("text", text, data["text"])
        case.equal("input_ids", tokenizer.encode(expand_images(text, flags, data["num_images"])), data["input_ids"])
        rows += case.rows
    return rows


def flags_of(data: dict[str, Any], tokenizer: Tokenizer) -> PromptFlags:
    """A case holds no checkpoint: how a picture and the setup are spelled is read off its own text and ids."""
    ids = np.asarray(data["input_ids"])
    patches, columns = (int((ids == tokenizer.id_of(token)).sum()) for token in ("<im_patch>", "<im_col>"))
    pictures = max(data["num_images"], 1)
    height = columns // pictures or 1  # without column tokens only the number of patches shows
    grid = (height, patches // pictures // height)
    setup, control = (f"<{word}_start>" in data["text"] for word in ("setup", "control"))
    return PromptFlags(setup, control, STATE_BINS, image_text(grid, columns > 0))


def between(text: str, start: str, end: str) -> str:
    """The words between two others."""
    return text.split(start, 1)[1].split(end, 1)[0] if start in text else ""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    args = parser.parse_args()
    try:
        rows = run_folder(args.folder, args.only)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps([row.to_json() for row in rows], indent=1) if args.json else table(rows))
    short = [row for row in rows if not row.ok]
    held = [row for row in rows if np.isfinite(row.tolerance)]
    if not args.json:
        within, more = len(held) - len(short), len(rows) - len(held)
        print(f"\n{within} of {len(held)} quantities within their tolerance; {more} more are only reported")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
