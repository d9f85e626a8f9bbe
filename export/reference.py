"""The reference model behind the graphs' own contract: the slow truth that every graph is compared with.

`TorchRunner(graph, feeds)` takes and gives what the exported graphs do, computed by train.model with nothing folded
or cut.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from policy_spec.graphs import kv_names
from train.model import MolmoAct2
from train.model.expert import Masks


class TorchRunner:
    """Runs one stage of the reference model by the name of its graph."""

    def __init__(self, model: MolmoAct2, pooling: np.ndarray, steps: int) -> None:
        """pooling int64 [T, window]; steps: Euler steps of a call."""
        self.model, self.steps = model, steps
        self.pooling = torch.from_numpy(np.ascontiguousarray(pooling))
        self.stages = {"vision": self._vision, "llm": self._llm, "flow": self._flow}

    @torch.no_grad()
    def __call__(self, graph: str, feeds: Mapping[str, np.ndarray], /) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()}
        return {name: value.contiguous().numpy() for name, value in self.stages[graph](tensors).items()}

    def _vision(self, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"features": self.model.vision(feeds["patches"], self.pooling)}

    def _llm(self, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        ids = feeds["input_ids"].long()
        used = int((feeds["image_row"] > 0).sum())  # a graph for several cameras may be fed fewer pictures
        _, kv = self.model.llm(ids, feeds["features"][:used], feeds["token_type"])
        context = self.model.context(kv, ids, torch.ones_like(ids, dtype=torch.bool))
        values = [t for k, v in context for t in (k.transpose(2, 3), v)]
        return dict(zip(kv_names(len(context)), values, strict=True))

    def _flow(self, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x, mask = feeds["trajectory"], feeds["dim_mask"]
        names = kv_names(self.model.config.expert.num_layers)
        context = [(feeds[k].transpose(2, 3), feeds[v]) for k, v in zip(names[::2], names[1::2], strict=True)]
        visible, steps = feeds["context_bias"][:, 0, 0] == 0, feeds["horizon_bias"][:, 0, 0] == 0
        masks = Masks(x.shape[1], self.model.config.expert, visible, None if bool(steps.all()) else steps)
        t = feeds["step"].float() / self.steps
        velocity = self.model.velocity(x, t, context, masks)
        return {"next": (x + velocity * mask * (1.0 / self.steps)) * mask}
