"""A checkpoint on disk: its JSON files, and its tensors by released name, read lazily from the shards.

Takes a directory in the released format. Every tensor is checked by name and shape against what the configuration
asks for, before any is loaded: nothing missing, nothing extra, nothing misshapen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, TensorError, sentence
from train.model.molmoact2 import MolmoAct2

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
# Buffers that a released checkpoint may carry and that are recomputed (bf16 storage would round them).
RECOMPUTED = ("rotary_emb.inv_freq",)
FLOATS = ("F32", "BF16", "F16", "F64")  # integers and 8-bit floats mean nothing without their scales
SHOWN = 10  # names in an error, of each kind
# Shards are mapped, and what was read of them counts as resident memory; past this they are closed and opened again.
HELD = 256 << 20


class Checkpoint:
    """Lazy access to a checkpoint directory. `config` is parsed; `tensor(name)` reads one tensor."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise CheckpointError(
                sentence("no checkpoint there", expected="a directory in the released format", got=str(self.path))
            )
        self.config = ModelConfig.from_dict(self.json("config.json"))
        self._open: dict[str, Any] = {}  # shard file -> safetensors handle
        self._held = 0  # bytes read of the open shards
        self.shards = self._shards()

    def json(self, name: str) -> dict[str, Any]:
        """One JSON file of the checkpoint."""
        file = self.path / name
        if not file.is_file():
            bundle = (self.path / "manifest.json").is_file()
            raise CheckpointError(
                sentence(
                    f"{name} is missing",
                    expected=str(file),
                    got="a bundle, which is made already" if bundle else None,
                    do="armside run takes it" if bundle else "download the whole checkpoint again",
                )
            )
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CheckpointError(sentence(f"{name} is not JSON", expected="a JSON object", got=error)) from error
        if not isinstance(data, dict):
            raise CheckpointError(sentence(f"{name}", expected="a JSON object", got=type(data).__name__))
        return data

    def _shards(self) -> dict[str, str]:
        """Tensor name -> shard file."""
        if (self.path / INDEX).is_file():
            index = self.json(INDEX).get("weight_map")
            if not isinstance(index, dict) or not index:
                raise CheckpointError(sentence(f"{INDEX} has no weight_map", expected="tensor name -> shard file"))
            for shard in sorted(set(index.values())):
                if not (self.path / shard).is_file():
                    raise CheckpointError(
                        sentence(f"shard {shard} is missing", expected=str(self.path / shard), do="download it again")
                    )
            return {str(k): str(v) for k, v in index.items()}
        if (self.path / SINGLE).is_file():
            return {name: SINGLE for name in self._shard(SINGLE).keys()}  # noqa: SIM118 - not a dict
        raise CheckpointError(sentence("no weights there", expected=f"{INDEX} or {SINGLE}", got=str(self.path)))

    def _shard(self, shard: str) -> Any:
        if shard not in self._open:
            try:
                self._open[shard] = safe_open(str(self.path / shard), framework="pt")
            except (SafetensorError, OSError) as error:
                raise CheckpointError(
                    sentence(
                        f"shard {shard} cannot be read",
                        expected="a whole safetensors file",
                        got=error,
                        do="download it again",
                    )
                ) from error
        return self._open[shard]

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one tensor, without reading it."""
        try:
            return tuple(self._shard(self.shards[name]).get_slice(name).get_shape())
        except SafetensorError as error:
            raise TensorError(
                sentence(f"tensor {name} is not in its shard", expected=self.shards[name], got=error)
            ) from error

    def dtype(self, name: str) -> str:
        """Type of one tensor as safetensors spells it (F32, BF16, ...), without reading it."""
        return str(self._shard(self.shards[name]).get_slice(name).get_dtype())

    def tensor(self, name: str) -> Tensor:
        """One tensor as float32."""
        return self._float(self._shard(self.shards[name]).get_tensor(name))

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows [start, stop) of one tensor as float32; the others are not read."""
        return self._float(self._shard(self.shards[name]).get_slice(name)[start:stop])

    def _float(self, read: Tensor) -> Tensor:
        """float32, and lets go of the shards once much of them was read. A tensor that is float32 already keeps its
        own shard mapped for as long as it lives.
        """
        values = read.float()
        self._held += read.nbytes
        if self._held > HELD:
            self.release()
        return values

    def release(self) -> None:
        """Closes the shards; the next read opens them again (6 ms for 5 GB)."""
        self._open.clear()
        self._held = 0

    def check(self) -> None:
        """Every tensor that the configuration asks for is there with its shape, and no other. Raises TensorError."""
        check_names(expected_shapes(self.config), {n: self.shape(n) for n in self.shards})
        odd = [f"{n} ({kind})" for n in self.shards if (kind := self.dtype(n)) not in FLOATS]
        if odd:
            raise TensorError(
                sentence(
                    f"{len(odd)} tensors are not in full precision",
                    expected=f"one of {', '.join(FLOATS)}",
                    got=", ".join(odd[:SHOWN]) + (" ..." if len(odd) > SHOWN else ""),
                    do="use the checkpoint that this one was quantized from",
                )
            )


def expected_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that a checkpoint of this configuration holds."""
    with torch.device("meta"):
        model = MolmoAct2(config)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}


def check_names(expected: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]) -> None:
    """Raises TensorError with every missing, extra and misshapen tensor named (the first ten of each)."""
    extra = [n for n in got if n not in expected and not n.endswith(RECOMPUTED)]
    problems = {
        "missing": [n for n in expected if n not in got],
        "not part of this model": extra,
        "of the wrong shape": [
            f"{n} (expected {expected[n]}, got {tuple(got[n])})"
            for n in expected
            if n in got and tuple(got[n]) != expected[n]
        ],
    }
    lines = [
        f"{len(names)} tensors {what}: {', '.join(names[:SHOWN])}{' ...' if len(names) > SHOWN else ''}"
        for what, names in problems.items()
        if names
    ]
    if lines:
        raise TensorError(
            sentence(
                "the checkpoint's tensors do not fit its config.json",
                got="; ".join(lines),
                do="check that config.json and the shards belong together",
            )
        )


def load_model(path: str | Path) -> MolmoAct2:
    """The whole model in float32, in evaluation mode, strictly loaded."""
    checkpoint = Checkpoint(path)
    checkpoint.check()
    with torch.device("meta"):
        model = MolmoAct2(checkpoint.config)
    state = {name: checkpoint.tensor(name) for name in model.state_dict()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval().requires_grad_(False)
