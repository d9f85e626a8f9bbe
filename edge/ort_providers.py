"""ONNX Runtime's execution providers that Armside opens graphs with, in one table; what is not at hand is refused.

ONNX Runtime takes a list of wishes and falls back to the processor in silence. Here a provider that is absent is an
error before anything is opened, a node that it does not take is an error while opening, and what answered is checked
after (ort_engine.check_provider). Knows nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnxruntime as ort

from policy_spec.errors import SessionError, UsageError, sentence

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
NO_FALLBACK = "session.disable_cpu_ep_fallback"
GPU_PACKAGE = (
    "pip uninstall onnxruntime, then pip install onnxruntime-gpu (never both: they share one import name); on a Jetson "
    "with JetPack 6.2 from the Jetson AI Lab's index, for JetPack 7.2 there is no package; or use --engine tensorrt"
)


@dataclass(frozen=True, slots=True)
class Provider:
    """One row."""

    name: str  # ONNX Runtime's
    options: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()  # providers that take what it does not; none of them the processor
    config: Mapping[str, str] = field(default_factory=dict)  # of the session
    install: str = ""

    def wishes(self) -> list[tuple[str, dict[str, str]]]:
        """As ONNX Runtime takes them."""
        return [(self.name, dict(self.options)), *((name, {}) for name in self.beside)]


PROVIDERS: dict[str, Provider] = {
    "onnxruntime": Provider(CPU),
    "onnxruntime-cuda": Provider(
        CUDA,
        options={"use_tf32": "0"},  # the islands are float32 because they need it
        config={NO_FALLBACK: "1"},
        install=GPU_PACKAGE,
    ),
    "onnxruntime-tensorrt": Provider(
        TENSORRT,
        beside=(CUDA,),
        config={NO_FALLBACK: "1"},
        install=GPU_PACKAGE,
    ),
}


def provider(engine: str) -> Provider:
    """The row of an engine, once ONNX Runtime has what it asks for. Raises UsageError and SessionError."""
    row = PROVIDERS.get(engine)
    if row is None:
        raise UsageError(sentence("ONNX Runtime engine", expected=" or ".join(PROVIDERS), got=engine))
    there = ort.get_available_providers()
    missing = [name for name in (row.name, *row.beside) if name not in there]
    if missing:
        raise SessionError(
            sentence(
                f"onnxruntime {ort.__version__} as installed here cannot run on {engine.partition('-')[2]}",
                expected=", ".join((row.name, *row.beside)),
                got=", ".join(there),
                do=row.install,
            )
        )
    return row
