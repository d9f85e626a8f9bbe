"""A whole call of a continuous policy as one CUDA graph: bytes of pictures and tokens in, a normalised chunk out.

Takes a Setup, and of each call a Prepared and noise; gives the chunk. Nothing is allocated and nobody waits between the
first copy to the device and the one back; another task, of another length, is other numbers in the same buffers.
"""

from __future__ import annotations

import torch

from bench.gpu.capture import Captured, wait
from bench.gpu.stages import Flow, Prompt, Setup, Vision
from bench.gpu.weights import refuse_other_shapes
from policy_spec.errors import SpecError, sentence
from policy_spec.pipeline import Float32, Prepared


class StaticCall:
    """`call(prepared, noise)`. One at a time."""

    @torch.no_grad()
    def __init__(self, setup: Setup) -> None:
        """Raises SpecError where the runtime has no such shape."""
        refuse_other_shapes(setup.model)
        refuse_padded_steps(setup)
        self.device, self.bracket = setup.device, setup.pipeline.bracket
        self.vision, self.prompt, self.flow = Vision(setup), Prompt(setup), Flow(setup)
        self.graph = Captured(self._work, setup.device)

    def __call__(self, prepared: Prepared, noise: Float32) -> Float32:
        """[1, H, A] before the clip, in an array of its own."""
        self.begin(prepared, noise)
        wait(self.device)
        return self.flow.actions.array.copy()

    def begin(self, prepared: Prepared, noise: Float32) -> None:
        """Queues a whole call; its chunk is in the port `flow.actions` after a wait."""
        self.vision.load(prepared.vision["patches"])
        self.prompt.load(prepared.llm)
        self.flow.load(prepared.flow["context_bias"], noise)
        self.graph()
        self.flow.actions.down()

    def _work(self) -> None:
        self.vision.run()
        self.prompt.run(self.vision.features)
        self.flow.context(self.prompt.k, self.prompt.v)
        self.flow.run()


def refuse_padded_steps(setup: Setup) -> None:
    """Raises SpecError where the chunk has more steps than the robot: the flow has no mask for them."""
    steps, horizon = setup.pipeline.tag.horizon, setup.pipeline.horizon
    if steps != horizon:
        raise SpecError(sentence("steps of a chunk in the GPU runtime", expected=f"the tag's {steps}", got=horizon))
