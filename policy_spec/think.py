"""MolmoThink's calls: a depth map first, of which only the changed cells are predicted, then the action.

Takes the Pipeline of plain calls and runs the graphs of a think bundle: vision, llm (the prompt, then as few passes
as the order needs), context, flow. Remembers the call before, so that one of these belongs to one robot, and a new
episode begins with `reset`. Knows nothing of how codes are guessed or pictures compared.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

import numpy as np
from numpy.typing import NDArray

from policy_spec import masks
from policy_spec.cached import CachedPrompt
from policy_spec.depth_decode import ORDERS, DepthTokens, Known, drafted, released
from policy_spec.depth_draft import Codes, Drafter
from policy_spec.depth_patches import Patches, changed_cells, grid_side, patches_of
from policy_spec.errors import SpecError, sentence
from policy_spec.generated import Depth
from policy_spec.graphs import Variant, kv_names
from policy_spec.pipeline import Array, Float32, Observation, Pipeline, Prediction, Prepared, Run, Watch

STYLE = "robot_depth_action"  # the prompt that asks for a depth map
_OUTSIDE = ("depth_output", "depth_start", "depth_end")  # gated with the codes


@dataclass(slots=True, eq=False)
class DepthMemory:
    """The call before, and what only makes the next one quicker. Held by whoever owns the pipeline."""

    patches: Patches | None = None  # of the first picture; None: an episode begins
    codes: Codes | None = None  # [cells] predicted then
    hint: Codes | None = None  # [cells] the last codes of any episode: a draft, never replayed
    drafter: Drafter | None = None

    def reset(self) -> None:
        """A new episode: the next map is decoded in full, with drafts from the last one."""
        self.patches = self.codes = None

    def remember(self, patches: Patches, codes: Codes) -> None:
        """After a call."""
        self.patches, self.codes = patches, codes.copy()
        self.hint = self.codes


@dataclass(slots=True, eq=False)
class ThinkPipeline:
    """One policy for one robot, as Pipeline is, with a depth map before each chunk. One call at a time.

    `host` was made with style STYLE. Raises SpecError where the checkpoint has no depth tokens, or the two disagree.
    """

    host: Pipeline
    variant: Variant  # of the bundle
    _: KW_ONLY
    order: str = ORDERS[0]  # one of ORDERS
    memory: DepthMemory = field(default_factory=DepthMemory)
    _tokens: DepthTokens = field(init=False, repr=False)
    _cached: CachedPrompt = field(init=False, repr=False)
    _gated: NDArray[np.int64] = field(init=False, repr=False)  # ids of all depth tokens
    _visible: Float32 = field(init=False, repr=False)  # [1, C]
    _depth: Float32 = field(init=False, repr=False)  # [1, C]
    _bias: Float32 = field(init=False, repr=False)  # [1, 1, 1, C]

    def __post_init__(self) -> None:
        for what, got, allowed in (
            ("order of depth codes", self.order, ORDERS),
            ("mode of a think bundle", self.variant.mode, ("think",)),
            ("prompt style of a think bundle", self.host.style, (STYLE,)),
        ):
            if got not in allowed:
                raise SpecError(sentence(what, expected=f"one of {', '.join(allowed)}", got=repr(got)))
        spec = self.host.spec
        self._tokens = DepthTokens.of(spec, self.variant)
        self._cached = CachedPrompt(spec, self.host.bracket, self.variant)
        codes = np.arange(self._tokens.first, self._tokens.first + self._tokens.values)
        outside = [spec.token_ids[name] for name in _OUTSIDE if name in spec.token_ids]
        self._gated = np.concatenate([codes, np.array(outside)])
        self._visible, self._depth = (np.zeros((1, self._cached.length), np.float32) for _ in range(2))
        self._bias = np.zeros((1, 1, 1, self._cached.length), np.float32)

    def reset(self) -> None:
        """A new episode begins."""
        self.memory.reset()

    def prepare(self, observation: Observation, task: str) -> Prepared:
        """As Pipeline.prepare; the mask for the expert covers the prompt only."""
        return self.host.prepare(observation, task)

    def predict(
        self,
        run: Run,
        observation: Observation,
        task: str,
        *,
        seed: int | None = None,
        noise: Array | None = None,
        steps: int | None = None,
    ) -> Prediction:
        """One chunk and its depth map; arguments as Pipeline.predict. A call that fails ends the episode's memory."""
        try:
            return self._predict(run, observation, task, (seed, noise, steps))
        except BaseException:
            self.reset()
            raise

    def _predict(
        self, run: Run, observation: Observation, task: str, given: tuple[int | None, Array | None, int | None]
    ) -> Prediction:
        host, (seed, noise, steps) = self.host, given
        host.check_steps(steps)
        watch = Watch(host.clock)
        with host.borrow() as buffers:
            ready = host.fill(observation, task, buffers)
            seed = host.start(buffers.trajectory, seed, noise)
            watch.done("prepare")
            patches = patches_of(observation.images[0], grid_side(self._tokens.cells))
            known = self._known(patches)
            watch.done("patches")
            features = run("vision", ready.vision)["features"]
            watch.done("vision")
            self._cached.prompt(run, ready, features)
            watch.done("llm")
            depth = self._decode(known)
            watch.done("depth")
            self._show(ready, depth)
            context = run("context", {"visible": self._visible, "depth": self._depth})
            watch.done("context")
            feeds = {**ready.flow, **{name: context[name] for name in kv_names(host.spec.layers)}}
            normalized = host.denoise(run, {**feeds, "context_bias": self._bias}, buffers.trajectory)
            watch.done("flow")
        actions = host.actions(normalized)
        self.memory.remember(patches, depth.codes)
        watch.done("finish")
        return Prediction(actions, normalized, watch.took, len(ready.ids), seed, depth)

    def _known(self, patches: Patches) -> Known:
        """What may be replayed: nothing where there is no call before, or its codes are not of this grid."""
        memory, cells = self.memory, self._tokens.cells
        if memory.patches is not None and memory.codes is not None and memory.codes.shape == (cells,):
            return Known(memory.codes, changed_cells(patches, memory.patches))
        fits = memory.hint is not None and memory.hint.shape == (cells,)
        return Known(memory.hint if fits else None, np.ones(cells, np.bool_))

    def _decode(self, known: Known) -> Depth:
        if self.order == "released":
            return released(self._cached.push, self._tokens, known)
        if self.memory.drafter is None or self.memory.drafter.cells != self._tokens.cells:
            self.memory.drafter = Drafter(self._tokens.cells, self._tokens.values)
        return drafted(self._cached.push, self._tokens, known, self.memory.drafter)

    def _show(self, ready: Prepared, depth: Depth) -> None:
        """What the expert may look at, of prompt and map together."""
        spec = self.host.spec
        ids = np.concatenate([ready.ids, depth.tokens])
        seen = masks.expert_mask(ids, spec.action_mode, spec.token_ids.get("eos"), spec.discrete_span)
        self._visible[:], self._depth[:], self._bias[:] = 0, 0, masks.HIDDEN
        self._visible[0, : len(ids)] = seen
        self._depth[0, : len(ids)] = seen & np.isin(ids, self._gated)
        self._bias[0, 0, 0, : len(ids)][seen] = 0
