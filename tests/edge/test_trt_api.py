"""What is called of TensorRT-RTX and cuda-python exists there under that name; cuts leave the right network.

Neither needs a GPU, and both are optional: skipped where they are not installed. A network that was cut is looked at
here, and built in tests/cli/test_build.py; that its engines compute the same takes a GPU (docs/hardware.md).
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

from edge.trt.libraries import LIBRARIES
from edge.trt.network import keep_block, parse
from edge.trt.plan import plan_build
from policy_spec.bundle import open_bundle
from policy_spec.errors import SessionError

ROOM = Path(__file__).parents[2] / "edge" / "trt"
# Objects of the library by the names that they have in our files -> its class.
CLASSES = {
    "builder": "Builder",
    "config": ("IBuilderConfig", "IRuntimeConfig"),
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "layer": "ILayer",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "_context": "IExecutionContext",
    "_runtime": "Runtime",
    "_kernels": "IRuntimeCache",
    "made": "IOptimizationProfile",
    "trt": "",
}
FILES = ("build.py", "network.py", "runtime.py")


def uses(name: str) -> set[tuple[str, str]]:
    """(object, attribute) of a file, of the objects above: `config.set_flag`, `trt.BuilderFlag.TF32`."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse((ROOM / name).read_text())):
        if isinstance(node, ast.Attribute):
            base = node.value
            last = base.id if isinstance(base, ast.Name) else base.attr if isinstance(base, ast.Attribute) else ""
            if last in CLASSES:
                found.add((last, node.attr))
            elif isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id == "trt":
                found.add((f"trt.{base.attr}", node.attr))
    return found


def missing(trt: Any, wanted: set[tuple[str, str]]) -> list[str]:
    """What the library does not have."""
    lost = []
    for thing, attribute in sorted(wanted):
        if attribute in ("append", "clear", "__name__", "__version__", "library_name"):
            continue
        names = CLASSES.get(thing, thing.removeprefix("trt."))
        names = (names,) if isinstance(names, str) else names
        owners = [getattr(trt, name) if name else trt for name in names]
        if not any(hasattr(owner, attribute) for owner in owners):
            lost.append(f"{thing}.{attribute}")
    return lost


def test_every_name_that_is_called_exists() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install tensorrt-rtx")
    wanted = set().union(*(uses(name) for name in FILES))
    assert len(wanted) > 45
    assert missing(trt, wanted) == []
    assert missing(trt, {("engine", "fly"), ("trt", "Bird")}) == ["engine.fly", "trt.Bird"]  # the control
    row = LIBRARIES["tensorrt_rtx"]
    assert all(hasattr(trt.BuilderFlag, flag) for flag in row.flags)
    assert all(hasattr(trt.ComputeCapability, "SM" + sm.replace(".", "")) for sm in row.ahead)


def test_every_function_of_cuda_exists_and_says_when_there_is_no_driver() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="cuda-python is not installed: pip install cuda-python")
    runtime = importlib.import_module("cuda.bindings.runtime")
    text = (ROOM / "cuda.py").read_text()
    words = {n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    functions = {word for word in words if word.startswith("cuda") and word.isidentifier() and "DevAttr" not in word}
    functions.discard("cudaMemcpy")  # the beginning of a name
    assert len(functions) > 15 and [name for name in functions if not hasattr(runtime, name)] == []
    assert all(hasattr(runtime.cudaDeviceAttr, w) for w in words if w.startswith("cudaDevAttr"))
    for way in ("HostToDevice", "DeviceToHost", "DeviceToDevice"):
        assert hasattr(runtime.cudaMemcpyKind, f"cudaMemcpy{way}")
    from edge.trt.cuda import call, find_gpu

    if find_gpu() is None:
        with pytest.raises(SessionError, match=r"the GPU failed \(cudaGetDeviceCount\)"):
            call(runtime, "cudaGetDeviceCount")


def test_a_cut_leaves_each_output_in_one_block(exported: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed: pip install tensorrt-rtx")
    from edge.trt.build import make_logger

    bundle = open_bundle(exported)
    logger, given, handed = make_logger(trt), list[str](), list[str]()
    rows = [row for row in plan_build(bundle, 1 << 40, 3).rows if row.graph == "llm"]
    for row in rows:
        network = parse(trt, trt.Builder(logger), logger, bundle.path / row.onnx)
        assert row.block is not None
        keep_block(network, row.block)
        outputs = [network.get_output(i).name for i in range(network.num_outputs)]
        inputs = [network.get_input(i).name for i in range(network.num_inputs)]
        assert (row.block.starts in inputs) is (row.block.first > 0)
        given += [name for name in outputs if name != row.block.ends]
        handed += [name for name in outputs if name == row.block.ends]
    wanted = [tensor.name for tensor in bundle.manifest.graphs["llm"].graph.outputs]
    assert sorted(given) == sorted(wanted) and len(handed) == len(rows) - 1


@pytest.fixture(scope="module")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real tiny bundle in the form that TensorRT takes."""
    for name in ("tensorrt_rtx", "torch"):
        pytest.importorskip(name, reason=f"{name} is not installed")
    tiny_checkpoint = request.getfixturevalue("tiny_checkpoint")
    from armside.make_bundle import ExportOptions, export_bundle

    path = tmp_path_factory.mktemp("exported") / "tiny.bundle"
    export_bundle(ExportOptions(str(tiny_checkpoint), path, target="rtx", precision="fp16"), lambda *_: None)
    return path
