"""The reference model's answer to the golden observation, layer by layer, kept on the disk as it comes.

Takes a Checkpoint, of which one weight is in memory at a time, and a folder; a walk that was interrupted goes on at the
last layer that it finished. Gives the answer that `load_model`'s model would, and what each layer handed to the next,
under the names that the graphs' values have (emit.layer_output). Knows nothing of graphs that are run.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from export.emit import layer_name, layer_output
from export.reference import CachedTorchRunner, torch_runner
from export.streamed import Held, Seen, streamed_model
from policy_spec.graphs import Variant
from policy_spec.pipeline import Pipeline
from train.checkpoint import Checkpoint

Arrays = Mapping[str, np.ndarray]
Told = Callable[[str], None]  # a layer that is done


class Walk:
    """`run` is a TorchRunner; after it ran, `output` knows what the layers gave."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        pipeline: Pipeline,
        variant: Variant,
        folder: Path,
        told: Told = lambda _: None,
        seen: Seen | None = None,
    ) -> None:
        """seen: told of every linear layer's input; of layers that an earlier walk finished it is told nothing."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.told, self.checkpoint = folder, told, checkpoint
        self.calls: dict[str, int] = {}  # of each layer
        self.flow: dict[str, np.ndarray] = {}  # of the step that is kept
        self._step: dict[str, np.ndarray] = {}  # of the newest step
        self._held: Held = {}
        model = streamed_model(checkpoint, seen, self._held)
        self.runner = torch_runner(model, pipeline.spec, pipeline.bracket, variant)
        if isinstance(self.runner, CachedTorchRunner):
            tied = checkpoint.config.text.tie_word_embeddings
            table = "model.transformer.wte.embedding" if tied else "lm_head.weight"
            self.runner.head_rows = lambda start, stop: checkpoint.rows(table, start, stop)
        self.middle = pipeline.spec.flow_steps // 2
        body = model.model
        self._remember("vision.blocks", body.vision_backbone.image_vit.transformer.resblocks)
        self._remember("llm.blocks", body.transformer.blocks)
        for i, block in enumerate(body.action_expert.blocks):
            block.register_forward_hook(self._flow_hook(i))

    @property
    def caches(self) -> Arrays:
        """The language model's own K and V after the last run, as CachedTorchRunner has them."""
        assert isinstance(self.runner, CachedTorchRunner)
        return self.runner.caches

    def __call__(self, graph: str, feeds: Arrays, /) -> Arrays:
        out = self.runner(graph, feeds)
        if graph == "flow" and feeds["step"][0] == self.middle:
            self.flow = dict(self._step)
        return out

    def forget(self) -> None:
        """Lets go of the weights that were kept for the next step of the flow, and of the shards."""
        self._held.clear()
        self.checkpoint.release()
        # glibc keeps what was freed between smaller things that live on: 2.3 GB after a walk of the full size.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)

    def output(self, name: str, call: int = 0) -> np.ndarray:
        """What a layer handed on (`llm.blocks.07.out`) in its graph's `call`-th run. KeyError: no such layer ran."""
        if name in self.flow:
            return self.flow[name]
        part = name.split(".")[0]
        first = {layer_output("vision.patches"): "vision.blocks", layer_output("llm.embed"): "llm.blocks"}
        key, field = (layer_name(first[name], 0), "given") if name in first else (name.removesuffix(".out"), "x")
        path = self._path(key, call)
        if part == "flow" or not path.is_file():
            raise KeyError(name)
        with np.load(path, allow_pickle=False) as data:
            value: np.ndarray = data[field]
        return value

    def _path(self, layer: str, call: int) -> Path:
        return self.folder / f"{layer}.{call}.npz"

    def _remember(self, part: str, layers: nn.ModuleList) -> None:
        """Makes each layer look for what it gave before, and keep what it gives."""
        for i, layer in enumerate(layers):
            layer.forward = self._kept(layer_name(part, i), layer.forward)  # type: ignore[method-assign]

    def _kept(self, name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(x: Tensor, *others: Any) -> Any:
            number = self.calls[name] = self.calls.get(name, -1) + 1
            path = self._path(name, number)
            if not path.is_file():
                out = forward(x, *others)
                parts = out if isinstance(out, tuple) else (out,)
                arrays = dict(zip(("x", "k", "v"), (t.contiguous().numpy() for t in parts), strict=False))
                _save(path, arrays | ({"given": x.contiguous().numpy()} if name.endswith("00") else {}))
                self.told(name)
                return out
            with np.load(path, allow_pickle=False) as data:
                found = tuple(torch.from_numpy(data[key]) for key in ("x", "k", "v") if key in data.files)
            self.told(name)
            return found if len(found) > 1 else found[0]

        return call

    def _flow_hook(self, number: int) -> Callable[..., None]:
        name = layer_name("flow.blocks", number)

        def keep(_: nn.Module, inputs: tuple[Any, ...], out: Tensor) -> None:
            if number == 0:
                self._step[layer_output("flow.embed")] = inputs[0].numpy()
            self._step[layer_output(name)] = out.numpy()
            self.told(name)

        return keep


def _save(path: Path, arrays: Arrays) -> None:
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    os.replace(partial, path)
