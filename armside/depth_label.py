"""Depth codes for the frames of a dataset: reads maps, fits an autoencoder or opens one, writes a column, measures.

Takes what `armside depth label` was asked; changes the dataset all at once or not at all. A fit goes on where it was
stopped. Every tenth episode is left out of the fit and is what the errors are measured on. Knows nothing of networks.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import DatasetError, UsageError, sentence

if TYPE_CHECKING:
    import numpy as np

    from episodes.lerobot.dataset import Dataset
    from episodes.lerobot.episode import EpisodeView
    from train.depth.files import Autoencoder
    from train.depth.maps import Errors

    Maps = Callable[[EpisodeView, int], np.ndarray]  # a frame's depth [h, w]; NaN where nothing was measured

FORMAT, VERSION = "armside-depth-label", 1
COLUMN = "depth_buffer_codes"
HELD_OUT = 10  # every so many episodes one is for measuring
MEASURED = 600  # maps at most
SUFFIX = "_depth"  # of the depth camera's name


@dataclass(frozen=True, slots=True)
class Labelled:
    """One camera's column."""

    column: str
    camera: str
    errors: Errors  # on frames that were not learned from
    held_out: bool  # False: the dataset has one episode, and the errors are those of what was learned
    kept: float  # share of the cells that kept the code of the frame before
    frames: int


def label(args: argparse.Namespace) -> int:
    """The word's work. Raises DatasetError, UsageError, CheckpointError."""
    from armside.json_out import give
    from armside.progress import stages
    from episodes.lerobot.dataset import open_dataset

    for name, value, low in (("--steps", args.steps, 1), ("--maps", args.maps, 1), ("--seed", args.seed, 0)):
        if value < low:
            raise UsageError(sentence(name, expected=f"{low} or more", got=value))
    if not args.dataset.is_dir():
        do = "fetch a dataset of the hub first: a column is written into it"
        raise UsageError(sentence(f"{args.dataset}", expected="a dataset on this machine", do=do))
    with open_dataset(args.dataset) as dataset:
        refuse_old(dataset, args.dataset)
        cameras = cameras_of(dataset, args.camera)
    columns = [COLUMN] if len(cameras) == 1 else [f"{COLUMN}.{camera}" for camera in cameras]
    with stages() as tell:
        source, unit = source_of(args, cameras)
        autoencoder = the_autoencoder(args, source, unit, tell)
        made = [write(args, autoencoder, source[c], (c, k), tell) for c, k in zip(cameras, columns, strict=True)]
    for one in made:
        print("\n".join(words_of(one, autoencoder)))
    give(args.json, facts_of(args, autoencoder, made))
    return 0


def refuse_old(dataset: Dataset, root: Path) -> None:
    """Before the work, not after it: columns are added to v3.0. Raises DatasetError."""
    if not dataset.info.version.startswith("v3"):
        do = "convert it with LeRobot's own script first"
        raise DatasetError(sentence(f"{root}", expected="v3.0", got=dataset.info.version, do=do))


def cameras_of(dataset: Dataset, asked: list[str] | None) -> list[str]:
    """Short names of the cameras to label. UsageError for one that is not there."""
    there = dataset.camera_slots
    cameras = list(dict.fromkeys(asked or there[:1]))
    unknown = [camera for camera in cameras if camera not in there]
    if unknown or not cameras:
        raise UsageError(sentence("--camera", expected=", ".join(there) or "a camera", got=", ".join(unknown)))
    return cameras


def source_of(args: argparse.Namespace, cameras: list[str]) -> tuple[dict[str, Maps], str]:
    """What gives each camera's depth, and its unit. UsageError, DatasetError where nothing does."""
    if args.monocular:
        from armside.depth_monocular import Monocular

        if args.depth:
            raise UsageError(sentence("--depth and --monocular", expected="one of them", got="both"))
        model = Monocular(args.monocular)
        return {camera: model.maps_of(camera) for camera in cameras}, ""
    if args.depth and len(cameras) > 1:
        raise UsageError(sentence("--depth", expected="one --camera", got=", ".join(cameras)))
    return {camera: measured(args.dataset, camera, args.depth or camera + SUFFIX) for camera in cameras}, "m"


def measured(root: Path, camera: str, depth: str) -> Maps:
    """Maps of a depth camera of the dataset. Raises DatasetError where it has none of that name."""
    import numpy as np

    from episodes.lerobot.dataset import open_dataset
    from episodes.lerobot.info import short_names

    with open_dataset(root) as dataset:
        there = tuple(short_names(dataset.info.depths))
    if depth not in there:
        do = "record with armside sim record --depth, name it with --depth, or guess it with --monocular MODEL"
        what = f"{root} has no depth of camera {camera}"
        raise DatasetError(sentence(what, expected=depth, got=", ".join(there) or "no depth camera", do=do))

    def at(view: EpisodeView, frame: int) -> np.ndarray:
        metres = view.depth(depth, frame)
        return np.where(metres > 0, metres, np.float32(np.nan))

    return at


def the_autoencoder(args: argparse.Namespace, source: dict[str, Maps], unit: str, tell: Any) -> Autoencoder:
    """The given one, or one that is fitted here; what was fitted before with the same settings is taken again."""
    from train.depth.files import open_autoencoder
    from train.depth.fit import FitOptions, fit

    if args.autoencoder is not None:
        opened = open_autoencoder(args.autoencoder)
        if opened.range.unit != unit:
            known = {"m": "metres", "": "a monocular model's depth"}
            got = known.get(opened.range.unit, opened.range.unit)
            raise UsageError(sentence(f"unit of {args.autoencoder}", expected=known[unit], got=got))
        return opened
    options = FitOptions(steps=args.steps, seed=args.seed)
    maps = gather(args.dataset, source, options.sizes.side, (False, args.maps), tell)
    root = args.dataset.resolve()
    return fit(maps, unit, options, args.keep or root.with_name(f"{root.name}.depth"), tell)


def gather(root: Path, source: dict[str, Maps], side: int, which: tuple[bool, int], tell: Any) -> np.ndarray:
    """Maps [N, side, side] of all cameras, evenly over the episodes. which: those held out, or the others; at most."""
    import numpy as np

    from episodes.lerobot.dataset import open_dataset
    from train.depth.maps import square

    held_out, most = which
    with open_dataset(root) as dataset:
        chosen = chosen_episodes(len(dataset.lengths), held_out)
        places = [(number, frame) for number in chosen for frame in range(dataset.lengths[number])]
        each = max(1, most // len(source))
        picked = np.unique(np.linspace(0, len(places) - 1, min(each, len(places))).round().astype(int)).tolist()
        out = []
        for count, place in enumerate(picked):
            tell("read depth to measure" if held_out else "read depth", count, len(picked))
            number, frame = places[place]
            out += [square(maps(dataset.episode(number), frame), side) for maps in source.values()]
    return np.stack(out)


def chosen_episodes(count: int, held_out: bool) -> list[int]:
    """Every tenth, or the others; of one episode it is the same."""
    if count == 1:
        return [0]
    last = {n for n in range(count) if n % HELD_OUT == HELD_OUT - 1} or {count - 1}
    return [n for n in range(count) if (n in last) == held_out]


def write(
    args: argparse.Namespace, autoencoder: Autoencoder, maps: Maps, names: tuple[str, str], tell: Any
) -> Labelled:
    """One camera's column, and its errors. names: camera, column."""
    import numpy as np

    from episodes.lerobot.add_column import add_column
    from episodes.lerobot.dataset import open_dataset
    from episodes.lerobot.plan import Extra
    from policy_spec.depth_patches import changed_cells, patches_of
    from train.depth.fit import baseline, measure
    from train.depth.maps import square

    camera, column = names
    sizes = autoencoder.sizes
    cells, kept = 0, 0

    def codes(view: EpisodeView) -> np.ndarray:
        nonlocal cells, kept
        fresh = autoencoder.codes(np.stack([square(maps(view, t), sizes.side) for t in range(view.length)]))
        if args.every_frame:
            return fresh
        before = patches_of(view.picture(camera, 0), sizes.grid)
        for t in range(1, view.length):
            now = patches_of(view.picture(camera, t), sizes.grid)
            still = ~changed_cells(now, before)
            fresh[t, still] = fresh[t - 1, still]
            cells, kept, before = cells + still.size, kept + int(still.sum()), now
        return fresh

    one = {camera: maps}
    seen = gather(args.dataset, one, sizes.side, (True, MEASURED), tell)
    others = gather(args.dataset, one, sizes.side, (False, MEASURED), tell)
    errors = measure(autoencoder, seen, baseline(autoencoder, others), args.seed)
    add_column(args.dataset, column, Extra("uint8" if sizes.codes <= 256 else "int64", sizes.cells), codes, tell)
    with open_dataset(args.dataset) as dataset:
        frames, episodes = sum(dataset.lengths), len(dataset.lengths)
    return Labelled(column, camera, errors, episodes > 1, kept / max(cells, 1), frames)


def words_of(made: Labelled, autoencoder: Autoencoder) -> list[str]:
    """For a person."""
    errors, limits, sizes = made.errors, autoencoder.range, autoencoder.sizes
    unit = f" {limits.unit}" if limits.unit else " (of the model's own depth, 0 to 1)"
    where = "episodes that were left out of the fit" if made.held_out else "the episode that it was fitted on"
    return [
        f"{made.column}: {sizes.cells} codes for each of {made.frames} frames, camera {made.camera}; "
        f"{100 * made.kept:.0f} % of the cells kept the code of the frame before",
        f"  a cell's depth is off by {errors.codes:.4f}{unit} on {where}; "
        f"always its usual depth: {errors.constant:.4f}; codes shuffled: {errors.shuffled:.4f}",
        f"  range {limits.near:.3f} to {limits.far:.3f}{unit}; {errors.used} of {sizes.codes} codes used there, "
        f"as many as {errors.perplexity:.0f} equally frequent ones",
    ]


def facts_of(args: argparse.Namespace, autoencoder: Autoencoder, made: list[Labelled]) -> dict[str, Any]:
    """For programs."""
    from dataclasses import asdict

    columns = [
        {
            "column": one.column,
            "camera": one.camera,
            "frames": one.frames,
            "kept": round(one.kept, 6),
            "held_out": one.held_out,
            "errors": one.errors.to_json(),
        }
        for one in made
    ]
    sizes, limits = asdict(autoencoder.sizes), asdict(autoencoder.range)
    facts = {"format": FORMAT, "version": VERSION, "dataset": str(args.dataset), "sizes": sizes, "range": limits}
    return facts | {"columns": columns}
