"""A bundle's engines opened on the GPU of this computer: found beside the bundle, checked against their keys, warm.

Takes a Bundle and a library's name. Engines that are missing or stale are an error that says why, and what builds them.
"""

from __future__ import annotations

from pathlib import Path

from edge.trt.cuda import find_gpu, open_device
from edge.trt.device import Gpu
from edge.trt.engine import TrtEngine, Wanted
from edge.trt.key import ANY, Place
from edge.trt.libraries import Library, installed, open_library, version_of
from edge.trt.plan import BuildPlan, plan_build, profiles_of
from edge.trt.runtime import Runtime
from edge.trt.store import Found, blocks_of, find, folder_of
from policy_spec.bundle import Bundle
from policy_spec.errors import SessionError, sentence


def wanted_of(bundle: Bundle) -> dict[str, Wanted]:
    """What the bundle says of each of its graphs."""
    manifest = bundle.manifest
    graphs = {name: manifest.graphs[name].graph for name in manifest.variant.graphs}
    return {name: Wanted(graph, profiles_of(graph, manifest.bracket)) for name, graph in graphs.items()}


def place_of(row: Library, gpu: Gpu | None, capability: str = "") -> Place:
    """Where engines are built for: the GPU at hand, or a compute capability ahead of time."""
    known = gpu is not None and (not capability or capability == gpu.capability)
    if known and gpu is not None:
        return Place(row.name, version_of(row), gpu.capability, gpu.multiprocessors, row.flags)
    return Place(row.name, version_of(row), capability, ANY, row.flags)


def ready_engines(bundle: Bundle, row: Library, gpu: Gpu, out: Path | None = None) -> tuple[Path, tuple[Found, ...]]:
    """The folder, and its engines with what is wrong with each."""
    place = place_of(row, gpu)
    folder = folder_of(bundle.path, place, out)
    return folder, find(folder, plan_there(bundle, folder), place)


def plan_there(bundle: Bundle, folder: Path) -> BuildPlan:
    """The plan by which the engines of a folder were built, as far as its files tell."""
    blocks = blocks_of(folder)
    return plan_build(bundle, 1 << 62, blocks if blocks <= bundle.spec.layers else 0)


def choose(bundle: Bundle) -> Library | None:
    """The library whose engines lie beside the bundle for the GPU at hand, stale ones too; None where there are none:
    no library, no GPU, or nothing built.
    """
    rows = installed()
    gpu = find_gpu() if rows else None
    if gpu is None:
        return None
    return next((row for row in rows if folder_of(bundle.path, place_of(row, gpu)).is_dir()), None)


def open_engines(bundle: Bundle, row: Library, out: Path | None = None) -> TrtEngine:
    """The engine, captured and warm. Raises SessionError: no library, no GPU, engines that are missing or stale."""
    trt = open_library(row)
    device = open_device()
    try:
        folder, found = ready_engines(bundle, row, device.gpu, out)
        for engine in found:
            if not engine.ready:
                do = f"armside build {bundle.path} --target {row.target}"
                raise SessionError(sentence(f"{engine.path} cannot be used", got="; ".join(engine.why), do=do))
        runtime = Runtime(trt, row, device, folder)
        parts = [runtime.open(engine.row.graph, engine.path) for engine in found]
        gpu = device.gpu
        name = f"{row.name} {trt.__version__}, {gpu.name} (sm_{gpu.capability.replace('.', '')}), {gpu.driver}"
        made = TrtEngine(parts, wanted_of(bundle), device, name, runtime.keep)  # what the golden's call compiles too
        made.warm()
    except BaseException:
        device.close()
        raise
    return made
