"""The plain model's call on the device, as the released code runs it: eager, or with the flow loop as a CUDA graph.

Takes train's model and a Prepared, gives the normalised chunk. As released: prompts are not padded, the adaLN vectors
of each step are computed once and kept, weights are of one type and autocast keeps norms and rotations in float32; the
graph of the flow loop is keyed on shapes, so that a prompt of another length is captured again. Eager everywhere else:
each operation is launched from Python. Knows nothing of the static call that it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from bench.gpu.capture import Captured, wait
from policy_spec.image import pooling_index
from policy_spec.pipeline import Array, Float32, Pipeline, Prepared
from train.model import MolmoAct2
from train.model.expert import KV, ActionExpert, Masks


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """The model where it runs, and in what it computes."""

    model: MolmoAct2
    pipeline: Pipeline
    device: torch.device
    dtype: torch.dtype
    graphed: bool = False  # the flow loop as a CUDA graph, where there is a GPU

    @property
    def expert(self) -> ActionExpert:
        """The action expert."""
        expert: ActionExpert = self.model.model.action_expert  # type: ignore[assignment]
        return expert

    def autocast(self) -> torch.autocast:
        """Around all that computes."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def tensor(self, array: Array) -> Tensor:
        """On the device."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class Flow:
    """Noise -> the chunk, by all Euler steps."""

    def __init__(self, plain: Plain) -> None:
        self.plain, self.captures = plain, 0
        steps, spec = plain.pipeline.spec.flow_steps, plain.pipeline.spec
        with torch.no_grad(), plain.autocast():
            times = [torch.full((1,), i / steps, device=plain.device) for i in range(steps)]
            self.modulations = [plain.expert.modulations(t) for t in times]
        own = plain.pipeline.tag.action_dim if spec.mask_action_dim_padding else spec.max_action_dim
        self.dims = (torch.arange(spec.max_action_dim, device=plain.device) < own).float()
        self._kept: list[Tensor] = []  # what the captured loop reads: noise, visible, k, v, k, v, ...
        self._out: Tensor | None = None
        self._graph: Captured | None = None

    def __call__(self, noise: Tensor, visible: Tensor, context: KV) -> Tensor:
        """noise [1, H, A], visible bool [1, S] -> [1, H, A]."""
        given = [noise, visible, *(t for pair in context for t in pair)]
        if not self.plain.graphed:
            return self._loop(given)
        if self._graph is None or [t.shape for t in given] != [t.shape for t in self._kept]:
            self._kept = given
            self._graph = Captured(self._work, self.plain.device)
            self.captures += 1
        for to, value in zip(self._kept, given, strict=True):
            if to is not value:
                to.copy_(value)
        self._graph()
        assert self._out is not None
        return self._out.clone()

    def _work(self) -> None:
        self._out = self._loop(self._kept)

    def _loop(self, given: list[Tensor]) -> Tensor:
        noise, visible, *flat = given
        expert, steps = self.plain.expert, len(self.modulations)
        with torch.no_grad(), self.plain.autocast():
            masks = Masks(noise.shape[1], expert.c, visible, None)
            context = list(zip(flat[::2], flat[1::2], strict=True))
            x = noise * self.dims
            for blocks, final in self.modulations:
                h = expert.action_embed(x).to(x.dtype)
                for block, mod, kv in zip(expert.blocks, blocks, context, strict=True):
                    h = block(h, mod, kv, masks)
                x = (x + expert.final_layer(h, final) * self.dims * (1.0 / steps)) * self.dims
        return x


@dataclass(slots=True, eq=False)
class PlainCall:
    """`call(prepared, noise)`: a chunk [1, H, A] before the clip."""

    plain: Plain
    flow: Flow = field(init=False)
    features: Tensor | None = field(default=None, init=False, repr=False)  # of the last call, as the next
    context: KV = field(default_factory=list, init=False, repr=False)
    _pooling: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        spec = self.plain.pipeline.spec
        self.flow = Flow(self.plain)
        self._pooling = self.plain.tensor(pooling_index(spec.grid, spec.pool))

    def __call__(self, prepared: Prepared, noise: Float32) -> Float32:
        """In an array of its own."""
        plain, model = self.plain, self.plain.model
        ids, visible = plain.tensor(prepared.ids)[None], plain.tensor(prepared.expert_mask)[None]
        types = plain.tensor(prepared.llm["token_type"][:, : ids.shape[1]])
        with torch.no_grad(), plain.autocast():
            self.features = model.vision(plain.tensor(prepared.vision["patches"]), self._pooling)
            self.context = model.context(model.llm(ids, self.features, types)[1], ids, visible)
        out = self.flow(plain.tensor(noise), visible, self.context)
        wait(plain.device)
        chunk: Float32 = out.float().cpu().numpy()
        return chunk
