"""The graphs of a think policy as captured CUDA graphs, behind the contract that ThinkPipeline runs them by.

`run(graph, feeds)` over numpy arrays, as a session's engine; but features, caches, K and V stay on the device: what is
given in their place are empty arrays of the same names. `vision` only takes its pictures; the prompt's `llm` run is one
graph of vision and prefill; a pass of new tokens is one graph for each of a few sizes, whose spare rows go to a place
that nobody sees; `context` only takes its masks; and the flow's loop is one graph of context and all Euler steps.
Which codes are replayed, guessed and asked for is policy_spec's business (think.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.gpu.capture import Captured, Port, wait
from bench.gpu.pieces import Rope, Way
from bench.gpu.stages import Flow, Prompt, Setup, Vision
from bench.gpu.static_call import refuse_padded_steps
from bench.gpu.weights import refuse_other_shapes
from policy_spec.graphs import MOST_NEW_TOKENS, Variant, head_rows, kv_names
from policy_spec.loop import Loop
from policy_spec.pipeline import Array

SIZES = (1, 8, 32, MOST_NEW_TOKENS)  # rows of a pass; a run takes the smallest that holds it
NOTHING = np.zeros(0, np.float32)


def places_of(bracket: int, variant: Variant) -> int:
    """Places of K and V: the prompt's, the generated tokens', one that takes spare rows; a multiple of 64."""
    return -(-(bracket + variant.new_tokens + 1) // 64) * 64


class Pass:
    """One run of the language model over `size` new tokens."""

    def __init__(self, setup: Setup, prompt: Prompt, head: Tensor, size: int) -> None:
        self.prompt, self.size, self.head = prompt, size, head
        self.ids, self.at = (Port.of((size,), dtype, setup.device) for dtype in (torch.int32, torch.int64))
        self.logits = Port.of((size, head.shape[0]), torch.float32, setup.device)
        self.norm = setup.model.model.transformer.ln_f.weight.detach().to(setup.dtype)
        self.eps = setup.model.config.text.layer_norm_eps
        self.places = setup.places
        self.every = torch.arange(setup.places, device=setup.device)
        self.bias = torch.zeros((prompt.group * size, setup.places), dtype=setup.dtype, device=setup.device)
        self.graph = Captured(self._work, setup.device)

    def __call__(self, ids: Array, at: Array) -> np.ndarray:
        """Queues the pass and waits for its logits [len(ids), V]; the next pass overwrites them."""
        count = len(ids)
        self.ids.array[:count], self.ids.array[count:] = ids, 0
        self.at.array[:count], self.at.array[count:] = at, self.places - 1
        for port in (self.ids, self.at):
            port.up()
        self.graph()
        self.logits.down()
        wait(self.logits.device.device)
        return self.logits.array[:count]

    def _work(self) -> None:
        prompt, at = self.prompt, self.at.device
        seen = self.every[None, :] <= at[:, None]
        self.bias.view(prompt.group, *seen.shape).copy_(torch.where(seen, prompt.zero, prompt.never))
        rope, way = Rope(*(t.index_select(0, at) for t in prompt.rope_all)), Way(at, self.bias)
        x = F.embedding(self.ids.device, prompt.table)
        for i in range(prompt.layers):
            x = prompt.pieces.layer(x, prompt.w[i], rope, prompt.keys(i, self.places), way, prompt.sizes)
        logits = F.linear(F.rms_norm(x, (x.shape[1],), self.norm, self.eps), self.head)
        self.logits.device.copy_(logits)


class ThinkRun:
    """`run(graph, feeds)` for one ThinkPipeline. One call at a time."""

    @torch.no_grad()
    def __init__(self, setup: Setup, variant: Variant) -> None:
        """setup.places: of `places_of`. Raises SpecError where the runtime has no such shape."""
        refuse_other_shapes(setup.model)
        refuse_padded_steps(setup)
        spec, c = setup.pipeline.spec, setup.model.config.text
        self.device, self.bracket = setup.device, setup.pipeline.bracket
        self.vision, self.prompt, self.flow = Vision(setup), Prompt(setup), Flow(setup)
        tied = c.tie_word_embeddings
        table = setup.model.model.transformer.wte.embedding if tied else setup.model.lm_head.weight
        spans = head_rows(spec, variant.head)
        head = torch.cat([table.detach()[start:stop] for start, stop in spans]).to(setup.dtype)
        self.passes = {size: Pass(setup, self.prompt, head, size) for size in SIZES}
        self.begin, self.end = Captured(self._begin, self.device), Captured(self._end, self.device)
        self.graphs = (self.begin, self.end, *(one.graph for one in self.passes.values()))
        for graph in self.graphs:  # no call is the first of its size
            graph.ready()
        self.silent = np.zeros((1, 1, head.shape[0]), np.float32)  # nobody reads what follows the prompt itself
        self.context = dict.fromkeys(kv_names(spec.layers), NOTHING)
        self.runs = {"vision": self._vision, "llm": self._llm, "context": self._context}

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        return self.runs[graph](feeds)

    def repeat(self, graph: str, feeds: Mapping[str, Array], loop: Loop, /) -> Mapping[str, Array]:
        """The flow, all steps at once; it has no other loop."""
        assert graph == "flow" and loop.times == self.flow.steps
        self.flow.load(feeds["context_bias"], feeds[loop.taken])
        self.end()
        self.flow.actions.down()
        wait(self.device)
        return {loop.given: self.flow.actions.array}

    @property
    def captures(self) -> int:
        """Graphs captured so far."""
        return sum(graph.captures for graph in self.graphs)

    def _vision(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        self.vision.load(feeds["patches"])
        return {"features": NOTHING}

    def _llm(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        count = feeds["input_ids"].shape[1]
        if feeds["positions"][0, 0] == 0:  # a token after the prompt stands at 1 at least
            self.prompt.load(feeds)
            self.begin()
            return {"logits": self.silent}
        size = next(size for size in SIZES if size >= count)
        logits = self.passes[size](feeds["input_ids"][0], feeds["positions"][0])
        return {"logits": logits[None, feeds["rows"][0]]}

    def _context(self, feeds: Mapping[str, Array]) -> Mapping[str, Array]:
        known = feeds["visible"].shape[1]  # the spare places after it stay hidden
        for port, name in ((self.flow.visible, "visible"), (self.flow.depth, "depth")):
            port.array[:, :known] = feeds[name]
            port.up()
        return self.context

    def _begin(self) -> None:
        self.vision.run()
        self.prompt.run(self.vision.features)

    def _end(self) -> None:
        self.flow.context(self.prompt.k, self.prompt.v)
        self.flow.run()
