"""Whether TensorRT-RTX takes graphs, run by a Python that has tensorrt-rtx: parses and builds for SM86, without a GPU.

    PYTHON rtx_takes.py GRAPH.onnx...

Prints one line of JSON: of each path "yes", or the first thing that was refused. Imports nothing of ours.
"""

from __future__ import annotations

import json
import sys


def takes(path: str) -> str:
    """One graph."""
    import tensorrt_rtx as trt

    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(path):
        error = parser.get_error(0)
        return f"no: {error.node_operator() or 'the graph'}"
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    return "yes" if builder.build_serialized_network(network, config) is not None else "no: parsed, not built"


if __name__ == "__main__":
    print(json.dumps({path: takes(path) for path in sys.argv[1:]}))
