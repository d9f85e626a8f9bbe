"""The engines by name: who opens a bundle's graphs. Nothing of the TensorRT family is imported unless it is asked for.

Takes a Bundle and EngineOptions; gives an Engine. Knows nothing of policies.
"""

from __future__ import annotations

from edge.engine import Engine, EngineOptions
from edge.ort_engine import open_engine
from edge.ort_providers import PROVIDERS
from policy_spec.bundle import Bundle
from policy_spec.errors import UsageError, sentence


def open_graphs(bundle: Bundle, options: EngineOptions) -> Engine:
    """The engine that was asked for, or an error: never another one. Raises SessionError and UsageError."""
    name = chosen(bundle, options)
    if name in PROVIDERS:
        files = {graph: bundle.graph_path(graph) for graph in bundle.manifest.variant.graphs}
        return open_engine(files, EngineOptions(options.threads, options.resident, name))
    if options.resident != "all":
        do = "leave --load out, or use --engine onnxruntime"
        raise UsageError(sentence(f"graphs in memory of {name}", expected="all", got=options.resident, do=do))
    from edge.trt.libraries import library
    from edge.trt.open import open_engines

    return open_engines(bundle, library(name))


def chosen(bundle: Bundle, options: EngineOptions) -> str:
    """The engine's name, `auto` resolved. Engines that lie there for this GPU are used, and refused where they are
    stale: a policy that is suddenly ten times slower is no answer to that.
    """
    if options.engine != "auto":
        return options.engine
    if options.resident != "all":
        return "onnxruntime"
    from edge.trt.open import choose

    row = choose(bundle)
    return "onnxruntime" if row is None else row.name
