"""The host's half of a bundle, by the bundle's mode: what a session asks for a chunk.

Takes a Bundle, a norm tag and the orders of a person; gives a Policy. Knows nothing of engines and arms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from policy_spec.bundle import Bundle
from policy_spec.depth_decode import ORDERS
from policy_spec.discrete import DiscretePipeline
from policy_spec.errors import SpecError, sentence
from policy_spec.fast import FastTokenizer
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline, Prediction, Run
from policy_spec.think import STYLE, ThinkPipeline

__all__ = ["ANSWERS", "ORDERS", "Policy", "PolicyOptions", "camera_slots", "make_pipeline", "make_policy"]

ANSWERS = ("constrained", "released")  # held to action tokens, with guesses; or any token, one a pass
STYLES = {"continuous": "robot_action", "think": STYLE, "discrete": "robot_action"}  # of the prompt


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """How a bundle generates what it generates; without a meaning for bundles that do not."""

    depth_order: str = ORDERS[0]  # one of depth_decode.ORDERS
    answers: str = ANSWERS[0]  # one of ANSWERS


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """One policy for one robot. One call at a time."""

    pipeline: Pipeline | ThinkPipeline | DiscretePipeline

    def predict(self, run: Run, observation: Observation, task: str, *, seed: int, passed: int = 0) -> Prediction:
        """One chunk. `passed`: steps of the chunk before that the arm has made since; it helps to guess, no more."""
        if isinstance(self.pipeline, DiscretePipeline):
            self.pipeline.memory.passed = passed
        return self.pipeline.predict(run, observation, task, seed=seed)

    def reset(self) -> None:
        """A new episode begins: nothing of earlier calls is used but as a guess."""
        if not isinstance(self.pipeline, Pipeline):  # which remembers nothing
            self.pipeline.reset()


def _continuous(bundle: Bundle, host: Pipeline, options: PolicyOptions) -> Policy:
    return Policy(host)


def _think(bundle: Bundle, host: Pipeline, options: PolicyOptions) -> Policy:
    return Policy(ThinkPipeline(host, bundle.manifest.variant, order=options.depth_order))


def _discrete(bundle: Bundle, host: Pipeline, options: PolicyOptions) -> Policy:
    if options.answers not in ANSWERS:
        raise SpecError(sentence("kind of answers", expected=f"one of {', '.join(ANSWERS)}", got=repr(options.answers)))
    fast, ours = FastTokenizer.open(bundle.fast_tokenizer_path), options.answers == ANSWERS[0]
    return Policy(DiscretePipeline(host, bundle.manifest.variant, fast, constrained=ours, drafts=ours))


_MAKERS: dict[str, Callable[[Bundle, Pipeline, PolicyOptions], Policy]] = {
    "continuous": _continuous,
    "think": _think,
    "discrete": _discrete,
}


def make_policy(bundle: Bundle, host: Pipeline, options: PolicyOptions | None = None) -> Policy:
    """The policy of a bundle's mode over its host. Raises SpecError on an unknown order."""
    return _MAKERS[bundle.manifest.mode](bundle, host, options or PolicyOptions())


def camera_slots(tag: NormTag, cameras: int) -> tuple[str, ...]:
    """What a user calls the policy's cameras; numbered where the tag does not name them."""
    return tag.camera_slots or tuple(f"cam{number}" for number in range(cameras))


def make_pipeline(bundle: Bundle, norm_tag: str | None) -> Pipeline:
    """What all modes share, for one tag. SpecError: an unknown tag, or one with more cameras than exported."""
    manifest = bundle.manifest
    if manifest.mode not in _MAKERS:
        modes = ", ".join(_MAKERS)
        raise SpecError(
            sentence("mode of the bundle", expected=f"one of {modes}", got=manifest.mode, do="update armside")
        )
    tag = bundle.spec.tag(norm_tag)
    wanted = len(camera_slots(tag, manifest.cameras))
    if wanted > manifest.cameras:
        raise SpecError(
            sentence(
                f"cameras of tag {tag.tag!r}",
                expected=f"at most {manifest.cameras}, which the bundle was exported for",
                got=wanted,
                do="export with as many cameras as the tag has",
            )
        )
    return Pipeline(
        bundle.spec,
        bundle.tokenizer(),
        tag,
        cameras=manifest.cameras,
        bracket=manifest.bracket,
        horizon=manifest.horizon,
        image_attention=manifest.image_attention,
        allow_fewer_cameras=wanted < manifest.cameras,
        style=STYLES[manifest.mode],
    )
