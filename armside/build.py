"""`armside build BUNDLE`: TensorRT engines of a bundle's graphs, kept beside it and proved on this computer's GPU."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from policy_spec.errors import SessionError, UsageError, sentence

if TYPE_CHECKING:
    from edge.checks import Proof
    from edge.trt.device import Gpu
    from edge.trt.key import Place
    from edge.trt.libraries import Library
    from edge.trt.make import Asked
    from edge.trt.plan import BuildPlan
    from policy_spec.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.json_out import add_json_argument

    parser.epilog = (
        "Engines belong to one GPU and one version of TensorRT, so they are built on the computer that runs them, from "
        "a bundle that was exported for it. What is ready is left alone; what is stale is built again, and says why. "
        "Then the bundle's golden call is compared stage by stage. examples: armside build BUNDLE; armside build "
        "BUNDLE --dry-run; armside build BUNDLE --target rtx --capability 8.6"
    )
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the folder that armside export wrote")
    parser.add_argument(
        "--target",
        choices=("tensorrt", "rtx"),
        help="which library: tensorrt (Jetson, PC) or rtx, TensorRT-RTX (default: the one that is installed)",
    )
    parser.add_argument(
        "--capability",
        metavar="X.Y",
        help="with rtx: build ahead of time for GPUs of this compute capability, such as 8.6, on any computer",
    )
    parser.add_argument(
        "--blocks",
        type=int,
        default=0,
        metavar="N",
        help="cut the language model into N engines, which takes less memory to build (default: as few as fit)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="another folder for engines (default: BUNDLE.engines)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be built; runs anywhere")
    parser.add_argument("--fresh", action="store_true", help="build everything again")
    add_json_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Plans, builds what is not ready, proves it where there is a GPU."""
    from armside.build_show import facts_of, say_built, say_plan, say_proof
    from armside.json_out import give
    from armside.progress import stages
    from edge.trt.cuda import find_gpu
    from edge.trt.make import make_engines
    from edge.trt.store import find
    from policy_spec.bundle import open_bundle

    bundle, gpu = open_bundle(args.bundle), find_gpu()
    asked = what_is_asked(bundle, args, gpu)
    found = find(asked.folder, asked.plan, asked.place, fresh=args.fresh)
    say_plan(asked, found)
    if args.dry_run:
        give(args.json, facts_of(asked, found, (), None))
        return 0
    refuse_elsewhere(asked, gpu)
    with stages() as tell:
        built = make_engines(bundle, asked, tell, args.fresh)
    say_built(asked, built)
    proof = None if asked.ahead or gpu is None else proved(bundle, asked, args.out)
    say_proof(asked, proof)
    give(args.json, facts_of(asked, found, built, proof))
    return 0


def what_is_asked(bundle: Bundle, args: argparse.Namespace, gpu: Gpu | None) -> Asked:
    """The library, the place, the plan, the folder. Raises UsageError and SessionError."""
    from edge.trt.libraries import ahead_of
    from edge.trt.make import Asked
    from edge.trt.memory import free_bytes
    from edge.trt.open import place_of
    from edge.trt.plan import plan_build
    from edge.trt.store import folder_of

    row = which(args.target, args.capability, args.dry_run)
    capability = args.capability or ""
    ahead = bool(capability) and (gpu is None or gpu.capability != capability)
    if ahead:
        ahead_of(row, capability)
    place = place_of(row, gpu, capability)
    free, folder = free_bytes(None if ahead else gpu), folder_of(bundle.path, place, args.out)
    plan = kept_plan(bundle, folder, place, free) if not args.blocks else None
    return Asked(row, place, plan or plan_build(bundle, free, args.blocks), folder, ahead)


def kept_plan(bundle: Bundle, folder: Path, place: Place, free: int) -> BuildPlan | None:
    """The plan by which a language model that is ready was cut: it stays, however much memory is free today."""
    from edge.trt.plan import SPLIT, plan_build
    from edge.trt.store import blocks_of, find

    blocks = blocks_of(folder)
    if not 0 < blocks <= bundle.spec.layers:
        return None
    plan = plan_build(bundle, free, blocks)
    ready = all(engine.ready for engine in find(folder, plan, place) if engine.row.graph == SPLIT)
    return plan if ready else None


def which(target: str | None, capability: str | None, dry: bool) -> Library:
    """The library that was asked for; else the installed one. Raises UsageError where none is."""
    from edge.trt.libraries import LIBRARIES, installed, library

    if target is not None:
        return library(target)
    if capability:
        return library("rtx")
    if rows := installed():
        return rows[0]
    if dry:
        return library("tensorrt")
    raise UsageError(
        sentence(
            "neither tensorrt nor tensorrt_rtx is installed",
            do="; ".join(f"{row.name}: {row.install}" for row in LIBRARIES.values()),
        )
    )


def refuse_elsewhere(asked: Asked, gpu: Gpu | None) -> None:
    """Raises SessionError where there is nothing to build for, with what CUDA said."""
    if gpu is None and not asked.ahead:
        from edge.trt.cuda import first_gpu

        ahead = asked.library.ahead
        do = f"name one: --capability {' or '.join(ahead)}" if ahead else "run armside build where the GPU is"
        what = f"{asked.library.name} builds for the GPU of this computer, and there is none that CUDA can use"
        try:
            first_gpu()
        except SessionError as error:
            raise SessionError(sentence(what, expected="GPU, driver, cuda-python", got=error, do=do)) from error


def proved(bundle: Bundle, asked: Asked, out: Path | None) -> Proof:
    """The golden call on the engines that were built. Raises SessionError naming the first stage that is wrong."""
    from edge.checks import check_golden, check_tensors
    from edge.trt.open import open_engines

    engine = open_engines(bundle, asked.library, out)
    try:
        check_tensors(bundle, engine)
        return check_golden(bundle, engine)
    finally:
        engine.close()
