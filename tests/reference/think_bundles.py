"""An episode of a think case through the exported bundles: as released in float32, as near as it comes in INT8.

Float32 is judged: masks, codes, generated tokens, actions, by each head and in each order. INT8 is judged by what it
makes of the released tokens; how often it chooses the same codes by itself, and what actions follow, is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.policies import PolicyOptions
from policy_spec import masks
from policy_spec.depth_decode import ORDERS
from policy_spec.errors import AnswerError
from policy_spec.generated import Depth
from policy_spec.graphs import HEADS
from policy_spec.pipeline import Observation, Pipeline, Prediction, Run
from policy_spec.replay import Replay
from policy_spec.think import ThinkPipeline
from tests.reference.inputs import observation
from tests.reference.model_truth import ModelTruth, check_units
from tests.reference.quantities import INT8_ABS, Case
from tests.reference.sessions import Opened

Arrays = Mapping[str, np.ndarray]
Wrap = Callable[[Run, Arrays], Run]  # what a negative control breaks


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One call of an episode, and where its rows go."""

    case: Case
    data: Arrays

    @property
    def observation(self) -> Observation:
        return observation(self.data)

    @property
    def ended(self) -> bool:
        """The released code came to depth_end right after the codes."""
        return self.data["generated_token_ids"].shape[1] == self.data["depth_bins"].shape[1] + 2


def check(frames: Sequence[Frame], opened: Opened, truth: ModelTruth) -> None:
    """All heads, orders and precisions over one episode."""
    for head in HEADS["think"]:
        for order in ORDERS:
            judged(frames, opened, head, order)
            reported(frames, opened, head, order)
    forgetful(frames, opened, truth)
    replayed(frames, opened)


def episode(
    frames: Sequence[Frame], pipeline: ThinkPipeline, run: Run, wrap: Wrap | None = None
) -> Sequence[Prediction | AnswerError]:
    """The calls in order; memory is carried from one to the next, and dropped where the case says so."""
    out: list[Prediction | AnswerError] = []
    for frame in frames:
        if frame.data["reset"]:
            pipeline.reset()
        runs = wrap(run, frame.data) if wrap else run
        task, noise = str(frame.data["task"]), frame.data["noise"]
        try:
            out.append(pipeline.predict(runs, frame.observation, task, noise=noise))
        except AnswerError as error:
            out.append(error)
    return out


def judged(frames: Sequence[Frame], opened: Opened, head: str, order: str, wrap: Wrap | None = None) -> None:
    """Float32: everything that the case holds. `wrap` is a negative control's."""
    pipeline, run = _pipeline(opened, "fp32", head, order)
    for frame, out in zip(frames, episode(frames, pipeline, run, wrap), strict=True):
        case, data, name = frame.case, frame.data, f"fp32 {head} {order}"
        if isinstance(out, AnswerError):
            case.refused(name, out)
            continue
        depth = _depth(out)
        case.equal(f"{name}: update_mask", depth.changed, data.get("update_mask", np.ones(len(depth.codes), bool)))
        case.equal(f"{name}: codes", depth.codes, data["depth_bins"][0])
        if head == "full" or frame.ended:
            case.equal(f"{name}: generated ids", depth.tokens, data["generated_token_ids"][0])
            _actions(case, name, pipeline.host, out, data)
        else:  # the reduced head forces what the released loop came to later
            case.report(f"{name}: actions, depth_end forced", *_off(pipeline.host, out, data))


def reported(frames: Sequence[Frame], opened: Opened, head: str, order: str) -> None:
    """INT8, left to itself. An episode whose codes differ goes on with its own."""
    pipeline, run = _pipeline(opened, "int8", head, order)
    alike, cells, most = 0, 0, 0.0
    for frame, out in zip(frames, episode(frames, pipeline, run), strict=True):
        case, data, name = frame.case, frame.data, f"int8 {head} {order}"
        if isinstance(out, AnswerError):
            case.report(f"{name}: does not end", 1.0, str(out))
            continue
        depth = _depth(out)
        same = int((depth.codes == data["depth_bins"][0]).sum())
        alike, cells = alike + same, cells + len(depth.codes)
        error, where = _off(pipeline.host, out, data)
        most = max(most, error)
        detail = f"{same} of {len(depth.codes)}, {depth.changed.sum()} predicted, {depth.small_margins} narrow"
        case.report(f"{name}: codes alike", same / len(depth.codes), detail)
        case.report(f"{name}: actions, max abs", error, where)
    if cells:
        summary = f"{alike} of {cells} over the episode, actions within {most:.3g}"
        frames[-1].case.report(f"int8 {head} {order}: codes alike, all frames", alike / cells, summary)


def forgetful(frames: Sequence[Frame], opened: Opened, truth: ModelTruth) -> None:
    """Every frame as an episode's first: no released answer is at hand, so train/model is asked in one pass."""
    pipeline, run = _pipeline(opened, "fp32", "full", ORDERS[0])
    for frame in frames:
        if "update_mask" not in frame.data:
            continue  # the released code decoded this one in full
        pipeline.reset()
        own = Frame(Case(f"{frame.case.name} without memory"), {**frame.data, "reset": np.array(True)})
        out = episode([own], pipeline, run)[0]
        if isinstance(out, AnswerError):
            frame.case.report("fp32 without memory: does not end", 1.0, str(out))
            continue
        depth, prepared = _depth(out), pipeline.prepare(own.observation, str(own.data["task"]))
        spec, ids = pipeline.host.spec, np.concatenate([prepared.ids, depth.tokens])
        seen = masks.expert_mask(ids, spec.action_mode, spec.token_ids.get("eos"), spec.discrete_span)
        said = {
            "noise": own.data["noise"],
            "generated_token_ids": depth.tokens[None],
            "depth_bins": depth.codes[None],
            "expert_mask": seen[None],
            "actions_normalized": out.normalized,
            "actions": out.actions[None],
        }
        truth.think(own.case, pipeline.host, prepared, said)
        frame.case.rows += [replace(row, case=own.case.name) for row in own.case.rows]


def replayed(frames: Sequence[Frame], opened: Opened) -> None:
    """INT8 with the released tokens given: what it makes of them is held to the README's tolerance."""
    pipeline, run = _pipeline(opened, "int8", "full", ORDERS[0])
    host, replay = pipeline.host, Replay(pipeline.host, pipeline.variant)
    for frame in frames:
        data, tokens = frame.data, frame.data["generated_token_ids"][0]
        prepared = host.prepare(frame.observation, str(data["task"]))
        replay.cached.prompt(run, prepared, run("vision", prepared.vision)["features"])
        logits = replay.push(tokens, 0)[: len(data["depth_bins"][0])]
        chosen = replay.chosen(logits) == tokens[1 : 1 + len(logits)]
        free = data.get("update_mask", np.ones(len(chosen), bool))
        same, of = int(chosen[free].sum()), int(free.sum())
        frame.case.report("int8, released tokens: codes alike", same / max(of, 1), f"{same} of {of}")
        feeds = replay.flow_feeds(prepared, tokens, replay.context(run, prepared, tokens))
        trajectory = host.noise(0)
        host.start(trajectory, None, data["noise"])
        dims = host.tag.action_dim
        got, expected = host.denoise(run, feeds, trajectory)[..., :dims], data["actions_normalized"][..., :dims]
        frame.case.cosine("int8, released tokens: cosine", got, expected)
        frame.case.absolute("int8, released tokens: max abs", got, expected, INT8_ABS)


def _pipeline(opened: Opened, precision: str, head: str, order: str) -> tuple[ThinkPipeline, Run]:
    policy, session = opened.policy(precision, head, PolicyOptions(depth_order=order))
    assert isinstance(policy.pipeline, ThinkPipeline)
    return policy.pipeline, session.engine.run


def _depth(out: Prediction) -> Depth:
    assert out.depth is not None
    return out.depth


def _actions(case: Case, name: str, host: Pipeline, out: Prediction, data: Arrays) -> None:
    dims = host.tag.action_dim
    case.absolute(f"{name}: actions_normalized", out.normalized[..., :dims], data["actions_normalized"][..., :dims])
    check_units(case, f"{name}: actions", host, out.actions, data)


def _off(host: Pipeline, out: Prediction, data: Arrays) -> tuple[float, str]:
    """The worst difference of the normalised chunk, and where."""
    dims = host.tag.action_dim
    off = np.abs(out.normalized - data["actions_normalized"])[0, :, :dims]
    step, dim = np.unravel_index(int(off.argmax()), off.shape)
    return float(off.max()), f"step {step}, dim {dim}"
