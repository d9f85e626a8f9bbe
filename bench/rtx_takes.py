"""Whether TensorRT-RTX takes graphs, run by a Python that has tensorrt-rtx: parses and builds for SM86, without a GPU.

    PYTHON rtx_takes.py [--parse] [--numbers] [--profiles JSON] GRAPH.onnx...

Prints one line of JSON: of each path "yes", or the first thing that was refused; with --numbers, of each path also how
long both took and how large the engine is. --parse: parsed only, where a build would not fit in memory. --profiles: for
graphs whose inputs have sides of their own choice, a list of {input: [least, usual, most shape]}. Imports nothing of
ours.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

Profile = dict[str, list[list[int]]]


def takes(path: str, profiles: list[Profile] | None = None, parse_only: bool = False) -> dict[str, Any]:
    """One graph: {"answer", "why", "parse_s", "build_s", "engine_bytes"}; 0 for what was not done."""
    import tensorrt_rtx as trt  # type: ignore[import-not-found, unused-ignore]

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    result: dict[str, Any] = {"answer": "yes", "why": "", "parse_s": 0.0, "build_s": 0.0, "engine_bytes": 0}
    start = time.monotonic()
    parsed = parser.parse_from_file(path)
    result["parse_s"] = time.monotonic() - start
    if not parsed:
        error = parser.get_error(0)
        return result | {"answer": f"no: {error.node_operator() or 'the graph'}", "why": error.desc()}
    if parse_only:
        return result
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    for sizes in profiles or []:
        profile = builder.create_optimization_profile()
        for name, shapes in sizes.items():
            profile.set_shape(name, *shapes)
        config.add_optimization_profile(profile)
    start = time.monotonic()
    engine = builder.build_serialized_network(network, config)
    result["build_s"] = time.monotonic() - start
    if engine is None:
        return result | {"answer": "no: parsed, not built"}
    return result | {"engine_bytes": engine.nbytes}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("graphs", nargs="+")
    parser.add_argument("--parse", action="store_true", help="do not build")
    parser.add_argument("--numbers", action="store_true", help="say also what it took")
    parser.add_argument("--profiles", type=json.loads, help="JSON, see above")
    args = parser.parse_args()
    found = {path: takes(path, args.profiles, args.parse) for path in args.graphs}
    print(json.dumps(found if args.numbers else {path: result["answer"] for path, result in found.items()}))


if __name__ == "__main__":
    main()
