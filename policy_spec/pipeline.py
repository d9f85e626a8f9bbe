"""The host's half of a policy: an observation and a task in, graphs run by anyone, a chunk of actions out.

Takes a PolicySpec, a Tokenizer and a NormTag, and any `run(graph, feeds) -> outputs` over numpy arrays by the
names of graphs.py; so that an export, a quantizer and a session all verify whole actions by the same code.
Holds no global state and reads no clock but the one it is given. Knows nothing of engines, cameras, joint
frames or time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from policy_spec import masks
from policy_spec.errors import ObservationError, PromptError, SessionError, SpecError, sentence
from policy_spec.generated import Depth, Discrete
from policy_spec.graphs import kv_names
from policy_spec.image import as_rgb, resize_uint8, to_patches
from policy_spec.loop import Loop, repeat
from policy_spec.norm import NormTag
from policy_spec.prompt import PromptParts, Tokenizer, expand_images, normalize_task, prompt_text, state_bins
from policy_spec.spec import PolicySpec

Array = NDArray[Any]
Float32 = NDArray[np.float32]


class Run(Protocol):
    """Runs one graph. What it returns may live in buffers that the next call of the same graph overwrites."""

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """Outputs by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """What the robot saw and felt at one moment."""

    images: tuple[Array, ...]  # uint8 [H, W, 3] RGB each, in the order of the tag's cameras
    state: Array  # [D] in policy units


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One observation and task as the graphs take them."""

    task: str  # normalized
    text: str  # the prompt, a placeholder for each picture
    normalized_state: Float32  # [D]
    ids: NDArray[np.int64]  # [n] the prompt's tokens, not padded
    token_type: NDArray[np.bool_]  # [n] True on image tokens, whatever the switch says
    expert_mask: NDArray[np.bool_]  # [n] True where the expert may look
    vision: dict[str, Array]  # feeds of each graph; llm lacks features, flow lacks trajectory, step, K and V
    llm: dict[str, Array]
    flow: dict[str, Array]


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """One chunk, in arrays of its own."""

    actions: Float32  # [n_action_steps, D] policy units
    normalized: Float32  # [1, horizon, max_action_dim] before the clip
    timings: dict[str, float]  # seconds per stage in order: prepare, vision, llm, ..., finish
    prompt_tokens: int
    seed: int | None  # None where the noise was given
    depth: Depth | None = None  # of a think bundle
    discrete: Discrete | None = None  # of a discrete bundle


@dataclass(slots=True, eq=False)
class Watch:
    """Seconds of each stage of one call."""

    clock: Callable[[], float]
    took: dict[str, float] = field(default_factory=dict)
    _last: float = field(init=False)

    def __post_init__(self) -> None:
        self._last = self.clock()

    def done(self, stage: str) -> None:
        """The time since the stage before belongs to this one."""
        now = self.clock()
        self.took[stage], self._last = now - self._last, now


@dataclass(slots=True, eq=False)
class Buffers:
    """What one call writes into. Kept for the next one, so that a running policy allocates little."""

    patches: NDArray[np.uint8]  # [N, P, 3 * patch^2]
    input_ids: NDArray[np.int32]  # [1, S]
    image_row: NDArray[np.int32]  # [1, S]
    token_type: Float32  # [1, S]
    context_bias: Float32  # [1, 1, 1, S]
    trajectory: Float32  # [1, H, A]


@dataclass(slots=True, eq=False)
class Pipeline:
    """One policy for one robot, with the sizes that its graphs were exported with.

    Raises SpecError where the tag does not fit them. Safe to share between threads: each call has its own
    buffers.
    """

    spec: PolicySpec
    tokenizer: Tokenizer
    tag: NormTag
    _: KW_ONLY
    cameras: int  # pictures that the graphs have room for
    bracket: int  # tokens that a prompt is padded to
    horizon: int  # steps of the flow graph; a shorter tag is padded and masked
    image_attention: str = "bidirectional"  # or causal
    allow_fewer_cameras: bool = False  # False: every observation has exactly `cameras` pictures
    style: str = "robot_action"
    clock: Callable[[], float] = time.monotonic
    _dim_mask: Float32 = field(init=False, repr=False)  # [1, 1, A]
    _horizon_bias: Float32 = field(init=False, repr=False)  # [1, 1, 1, H]
    _free: list[Buffers] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        masks.check_image_attention(self.image_attention)
        if self.tag.horizon > self.horizon:
            raise SpecError(
                sentence(
                    f"horizon of the flow graph for tag {self.tag.tag!r}",
                    expected=f"at least {self.tag.horizon}",
                    got=self.horizon,
                    do="export with a larger horizon",
                )
            )
        width = self.spec.max_action_dim
        dims = np.arange(width) < (self.tag.action_dim if self.spec.mask_action_dim_padding else width)
        self._dim_mask = dims.astype(np.float32).reshape(1, 1, width)
        steps = np.arange(self.horizon) < self.tag.horizon
        self._horizon_bias = masks.additive(steps).reshape(1, 1, 1, self.horizon)
        self._free = []

    def prepare(self, observation: Observation, task: str) -> Prepared:
        """All feeds but features, trajectory, step, K and V, in arrays of their own.

        Raises ObservationError (pictures, state) and PromptError (a task that is too long or holds control
        tokens).
        """
        return self.fill(observation, task, self._buffers())

    def noise(self, seed: int) -> Float32:
        """[1, H, A] standard normal where the robot has a dimension and the tag a step, 0 elsewhere."""
        steps, width = self.tag.horizon, self.spec.max_action_dim
        drawn = np.random.Generator(np.random.Philox(seed)).standard_normal((1, steps, width), np.float32)
        out = np.zeros((1, self.horizon, width), np.float32)
        np.multiply(drawn, self._dim_mask, out=out[:, :steps])
        return out

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
        """One chunk. Without seed and noise a fresh seed is drawn and reported.

        `noise` [1, h, A], h the tag's horizon or the graph's. `steps` must be what the flow graph was folded
        with.
        """
        self.check_steps(steps)
        watch = Watch(self.clock)
        with self.borrow() as buffers:
            ready = self.fill(observation, task, buffers)
            seed = self.start(buffers.trajectory, seed, noise)
            watch.done("prepare")
            features = run("vision", ready.vision)["features"]
            watch.done("vision")
            context = run("llm", {**ready.llm, "features": features})
            watch.done("llm")
            feeds = {**ready.flow, **{name: context[name] for name in kv_names(self.spec.layers)}}
            normalized = self.denoise(run, feeds, buffers.trajectory)
            watch.done("flow")
        actions = self.actions(normalized)
        watch.done("finish")
        return Prediction(actions, normalized, watch.took, len(ready.ids), seed)

    @contextmanager
    def borrow(self) -> Iterator[Buffers]:
        """Buffers for one call, a set of their own for calls that run at once."""
        buffers = self._free.pop() if self._free else self._buffers()
        try:
            yield buffers
        finally:
            self._free.append(buffers)

    def check_steps(self, steps: int | None) -> None:
        """Raises SpecError where a call wants other Euler steps than the flow graph was folded with."""
        if steps is not None and steps != self.spec.flow_steps:
            raise SpecError(
                sentence(
                    "flow steps",
                    expected=f"{self.spec.flow_steps}, which the flow graph was folded with",
                    got=steps,
                    do="export again with that number of steps",
                )
            )

    def start(self, trajectory: Float32, seed: int | None, noise: Array | None) -> int | None:
        """Writes the first point of a trajectory [1, H, A]. Returns the seed it came from, a fresh one if none was
        given; None where the noise was.
        """
        if noise is not None:
            trajectory[...] = self._given(noise)
            return None
        seed = secrets.randbits(63) if seed is None else seed
        trajectory[...] = self.noise(seed)
        return seed

    def denoise(self, run: Run, feeds: Mapping[str, Array], trajectory: Float32) -> Float32:
        """All Euler steps in place, from `feeds` of the flow graph but trajectory and step. Returns a copy
        [1, h, A], h the tag's horizon.
        """
        euler = Loop("step", "trajectory", "next", self.spec.flow_steps)
        trajectory[...] = repeat(run, "flow", {**feeds, "trajectory": trajectory}, euler)
        return trajectory[:, : self.tag.horizon].copy()

    def actions(self, normalized: Array) -> Float32:
        """[1, horizon, A] normalized to [n_action_steps, D] policy units, clipped and scaled by the tag's
        rules.
        """
        first = self.spec.n_obs_steps - 1
        chunk = normalized[0, first : first + self.tag.n_action_steps, : self.tag.action_dim]
        if not np.isfinite(chunk).all():
            worst = np.argwhere(~np.isfinite(chunk))[0].tolist()
            raise SessionError(
                sentence(
                    "the policy gave an action that is not a number",
                    expected="finite actions",
                    got=f"{chunk[tuple(worst)]} at step {worst[0]}, dimension {worst[1]}",
                    do="run armside doctor; a graph in float16 may overflow on this machine",
                )
            )
        return self.tag.action.unnormalize(chunk)

    def fill(self, observation: Observation, task: str, to: Buffers) -> Prepared:
        """`prepare` into given buffers."""
        spec = self.spec
        state = self._state(observation.state)
        self._patches(observation.images, to.patches)
        words = normalize_task(task)
        self.tokenizer.refuse_control_tokens(words)
        normalized = self.tag.state.normalize(state)
        bins = tuple(state_bins(normalized, spec.flags.num_state_tokens).tolist())
        pictures = len(observation.images)
        parts = PromptParts(words, self.tag.setup_type, self.tag.control_mode, bins, pictures, self.style)
        text = prompt_text(parts, spec.flags)
        ids = self.tokenizer.encode(expand_images(text, spec.flags, pictures))
        if len(ids) > self.bracket:
            raise PromptError(
                sentence(
                    "the task is too long for the prompt bracket",
                    expected=f"at most {self.bracket} tokens in all",
                    got=f"{len(ids)}, of which {self.tokenizer.count(words)} are the task's",
                    do="use a shorter task, or export with a larger bracket",
                )
            )
        types = masks.token_type(ids, spec.image_ids)
        seen = masks.expert_mask(ids, spec.action_mode, spec.token_ids.get("eos"), spec.discrete_span)
        self._pad(to, ids, types, seen)
        return Prepared(
            task=words,
            text=text,
            normalized_state=normalized,
            ids=ids,
            token_type=types,
            expert_mask=seen,
            vision={"patches": to.patches},
            llm={"input_ids": to.input_ids, "image_row": to.image_row, "token_type": to.token_type},
            flow={
                "dim_mask": self._dim_mask,
                "context_bias": to.context_bias,
                "horizon_bias": self._horizon_bias,
            },
        )

    def _buffers(self) -> Buffers:
        spec, size = self.spec, self.bracket
        return Buffers(
            patches=np.zeros((self.cameras, spec.patches_per_image, spec.patch_bytes), np.uint8),
            input_ids=np.zeros((1, size), np.int32),
            image_row=np.zeros((1, size), np.int32),
            token_type=np.zeros((1, size), np.float32),
            context_bias=np.zeros((1, 1, 1, size), np.float32),
            trajectory=np.zeros((1, self.horizon, spec.max_action_dim), np.float32),
        )

    def _pad(self, to: Buffers, ids: Array, types: Array, seen: Array) -> None:
        """The padded feeds of the prompt. A pad comes causally after every token and is hidden from the
        expert.
        """
        n = len(ids)
        to.input_ids[:] = self.spec.token_ids["pad"]
        to.input_ids[0, :n] = ids
        patch = ids == self.spec.token_ids["im_patch"]
        to.image_row[:] = 0
        to.image_row[0, :n][patch] = np.arange(1, int(patch.sum()) + 1)
        to.token_type[:] = 0
        if self.image_attention == "bidirectional":
            to.token_type[0, :n] = types
        to.context_bias[:] = masks.HIDDEN
        to.context_bias[0, 0, 0, :n][seen] = 0

    def _state(self, state: Array) -> Float32:
        values = np.asarray(state, np.float32)
        if values.shape != (self.tag.state_dim,):
            raise ObservationError(
                sentence(
                    f"size of the state for tag {self.tag.tag!r}",
                    expected=f"[{self.tag.state_dim}]",
                    got=list(values.shape),
                    do="use the norm tag of this robot",
                )
            )
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values))[0])
            raise ObservationError(
                sentence(
                    "state",
                    expected="finite numbers",
                    got=f"{values[bad]} in dimension {bad}",
                    do="check the joint's sensor and its calibration",
                )
            )
        return values

    def _patches(self, images: tuple[Array, ...], out: NDArray[np.uint8]) -> None:
        count, most = len(images), self.cameras
        if not (1 <= count <= most if self.allow_fewer_cameras else count == most):
            slots = ", ".join(self.tag.camera_slots)
            raise ObservationError(
                sentence(
                    "number of pictures",
                    expected=f"1 to {most}" if self.allow_fewer_cameras else most,
                    got=count,
                    do=f"give one picture for each camera, in this order: {slots}",
                )
            )
        for slot, image in enumerate(images):
            to_patches(resize_uint8(as_rgb(image), self.spec.image_size), self.spec.patch_size, out[slot])
        out[count:] = 0  # their features are computed, and no token refers to them

    def _given(self, noise: Array) -> Float32:
        steps, width = self.tag.horizon, self.spec.max_action_dim
        if noise.shape not in ((1, steps, width), (1, self.horizon, width)):
            raise SpecError(sentence("shape of the noise", expected=[1, steps, width], got=list(noise.shape)))
        out = np.zeros((1, self.horizon, width), np.float32)
        out[:, :steps] = noise[:, :steps] * self._dim_mask
        return out
