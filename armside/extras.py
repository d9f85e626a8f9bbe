"""The extras of the distribution: the packages and import names of each. A test holds it to pyproject."""

from __future__ import annotations

# extra -> distribution -> import name. `base` is what every machine has.
EXTRAS: dict[str, dict[str, str]] = {
    "base": {
        "numpy": "numpy",
        "tokenizers": "tokenizers",
        "safetensors": "safetensors",
        "pillow": "PIL",
        "rich": "rich",
    },
    "edge": {
        "onnxruntime": "onnxruntime",
        "opencv-python-headless": "cv2",
        "pyserial": "serial",
        "python-can": "can",
        "pyzmq": "zmq",
        "msgpack": "msgpack",
        "psutil": "psutil",
        "matplotlib": "matplotlib",
        "tomlkit": "tomlkit",
    },
    "export": {
        "torch": "torch",
        "onnx": "onnx",
        "onnx-ir": "onnx_ir",
        "onnxruntime": "onnxruntime",
        "huggingface_hub": "huggingface_hub",
        "psutil": "psutil",
        "matplotlib": "matplotlib",
    },
    "data": {"pyarrow": "pyarrow", "av": "av"},
    "train": {
        "torch": "torch",
        "pyarrow": "pyarrow",
        "av": "av",
        "tomlkit": "tomlkit",
        "matplotlib": "matplotlib",
    },
    "depth": {"transformers": "transformers"},
    "sim": {"mujoco": "mujoco"},
}


def extra_of(import_name: str) -> str | None:
    """The first extra that brings an import, the robot's before the workstation's."""
    for extra, packages in EXTRAS.items():
        if import_name in packages.values():
            return extra
    return None
