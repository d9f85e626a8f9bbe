"""DiscretePipeline against the released answer, by train's model and by exported graphs; what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_spec.discrete import DiscretePipeline
from policy_spec.errors import AnswerError, SpecError
from policy_spec.fast import FastTokenizer
from policy_spec.fast_fit import FitOptions, fit
from policy_spec.graphs import HEADS, Variant, variant_of
from policy_spec.pipeline import Array, Observation, Pipeline, Prediction, Run
from policy_spec.spec import PolicySpec
from tests.policy_spec import tiny
from tests.policy_spec.test_fast import reaches

pytest.importorskip("torch")
from export.build import GraphOptions, build_graphs
from export.reference import torch_runner
from export.runner import OrtRunner
from train.checkpoint import load_model

pytestmark = [pytest.mark.reference, tiny.requires_reference]

FOLDER = tiny.REFERENCE / "discrete-tiny"
BRACKET, TOLERANCE = 752, 2e-4
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def data() -> Arrays:
    return dict(np.load(FOLDER / "discrete_0.npz"))


@pytest.fixture(scope="module")
def fast() -> FastTokenizer:
    return FastTokenizer.open(FOLDER / "fast_tokenizer")


@pytest.fixture(scope="module")
def host() -> Pipeline:
    spec = PolicySpec.from_checkpoint(FOLDER / "checkpoint")
    tokenizer, tag = spec.tokenizer(FOLDER / "checkpoint" / "tokenizer.json"), spec.tag()
    return Pipeline(spec, tokenizer, tag, cameras=2, bracket=BRACKET, horizon=tag.horizon)


@pytest.fixture(scope="module", params=["full", "action"])
def runner(
    request: pytest.FixtureRequest, host: Pipeline, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Variant]:
    return graphs(host, request.param, tmp_path_factory.mktemp(request.param) / "graphs")


def graphs(host: Pipeline, head: str, folder: Path) -> tuple[Run, Variant]:
    """Exported and verified, run by ONNX Runtime."""
    options = GraphOptions(prompt_tokens=BRACKET, mode="discrete", head=head)
    built = build_graphs(FOLDER / "checkpoint", folder, options, lambda *_: None)
    return OrtRunner(built.folder), built.sizes.variant


def predict(pipeline: DiscretePipeline, run: Run, data: Arrays) -> Prediction:
    return pipeline.predict(run, Observation((data["image_0"], data["image_1"]), data["state"]), str(data["task"]))


def check(out: Prediction, data: Arrays, host: Pipeline, constrained: bool) -> None:
    released, answer = data["generated_token_ids"][0], out.discrete
    assert answer is not None and answer.small_margins == 0 and not answer.differs
    assert answer.tokens.tolist() == (released[:-1] if constrained else released).tolist()
    assert np.abs((out.actions - data["actions"][0]) / host.tag.action.half_range()).max() <= TOLERANCE
    assert out.normalized.shape == (1, 30, 32) and out.seed is None and out.prompt_tokens == data["input_ids"].shape[1]


def test_the_released_answer(runner: tuple[Run, Variant], host: Pipeline, fast: FastTokenizer, data: Arrays) -> None:
    """Constrained and as released; without a guess, with the chunk before as the guess, and with a wrong one."""
    run, variant = runner
    for constrained in (True, False) if variant.head == "full" else (True,):
        pipeline = DiscretePipeline(host, variant, fast, constrained=constrained)
        first, second = predict(pipeline, run, data), predict(pipeline, run, data)
        pipeline.memory.chunk = -second.normalized[0, :, :6].astype(np.float64)
        wrong = predict(pipeline, run, data)
        for out in (first, second, wrong):
            check(out, data, host, constrained)
        plain, good, bad = (out.discrete for out in (first, second, wrong))
        assert plain and good and bad
        assert plain.passes == len(plain.tokens) - 1 and plain.accepted == 0
        assert good.passes == 2 and good.accepted == len(good.tokens) - 2
        assert bad.passes > 10 and (good.differs is None) == (variant.head == "action")
        assert list(first.timings) == ["prepare", "vision", "llm", "decode", "finish"]


@pytest.mark.slow
def test_the_released_answer_by_train_s_model(host: Pipeline, fast: FastTokenizer, data: Arrays) -> None:
    """The slow truth: the whole sequence anew for each token."""
    variant = variant_of(host.spec, "discrete", "full", host.tag.horizon)
    run = torch_runner(load_model(FOLDER / "checkpoint"), host.spec, BRACKET, variant)
    pipeline = DiscretePipeline(host, variant, fast, constrained=False)
    check(predict(pipeline, run, data), data, host, constrained=False)


def test_without_drafts_and_after_a_reset_nothing_is_guessed(
    runner: tuple[Run, Variant], host: Pipeline, fast: FastTokenizer, data: Arrays
) -> None:
    run, variant = runner
    plain = DiscretePipeline(host, variant, fast, drafts=False)
    drafted = DiscretePipeline(host, variant, fast)
    for pipeline in (plain, drafted):
        predict(pipeline, run, data)
        pipeline.reset() if pipeline.drafts else None
        out = predict(pipeline, run, data).discrete
        assert out is not None and out.passes == out.fed == 21 and out.accepted == 0


class Altered:
    """A runner whose llm is made to say another token at one place: a model that answers what is no chunk."""

    def __init__(self, run: Run, column: int, at: int) -> None:
        self.run, self.column, self.at, self.calls = run, column, at, 0

    def __call__(self, graph: str, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        out = dict(self.run(graph, feeds))
        if graph == "llm":
            self.calls += 1
            if self.calls == self.at:
                out["logits"] = out["logits"].copy()
                out["logits"][..., self.column] = 1e4
        return out


@pytest.fixture(scope="module")
def full(host: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Variant]:
    return graphs(host, "full", tmp_path_factory.mktemp("full") / "graphs")


@pytest.mark.parametrize("constrained", [True, False])
def test_an_answer_that_is_no_chunk_is_an_error_and_never_zeros(
    full: tuple[Run, Variant], host: Pipeline, fast: FastTokenizer, data: Arrays, constrained: bool
) -> None:
    run, variant = full
    pipeline = DiscretePipeline(host, variant, fast, constrained=constrained)
    predict(pipeline, run, data)
    assert pipeline.memory.chunk is not None
    pipeline.drafts = False
    early = Altered(run, host.spec.token_ids["action_end"], at=12)
    with pytest.raises(
        AnswerError, match=r"10 action tokens do not make a chunk; expected: 180.*got: \d+ coefficients"
    ):
        predict(pipeline, early, data)
    assert pipeline.memory.chunk is None  # a call that fails ends the memory
    check(predict(pipeline, run, data), data, host, constrained)


def test_as_released_other_words_may_come_and_are_left_out(
    full: tuple[Run, Variant], host: Pipeline, fast: FastTokenizer, data: Arrays
) -> None:
    """Where the model would say a word in the middle, held to action tokens it does not; the difference is counted."""
    run, variant = full
    column = host.spec.token_ids["depth_output"]
    free = DiscretePipeline(host, variant, fast, constrained=False, drafts=False)
    with pytest.raises(AnswerError):
        predict(free, Altered(run, column, at=5), data)  # the model says something else after it
    held = DiscretePipeline(host, variant, fast, drafts=False)
    out = predict(held, Altered(run, column, at=5), data).discrete
    assert out is not None and out.differs == 1 and out.tokens.tolist() == data["generated_token_ids"][0, :-1].tolist()


def test_what_does_not_go_together_is_refused(host: Pipeline, fast: FastTokenizer) -> None:
    for variant, words in (
        (Variant(), "mode of a discrete bundle"),
        (variant_of(host.spec, "think", "full", 30), "mode of a discrete bundle"),
    ):
        with pytest.raises(SpecError, match=words):
            DiscretePipeline(host, variant, fast)
    action = variant_of(host.spec, "discrete", HEADS["discrete"][0], 30)
    with pytest.raises(SpecError, match=r"unconstrained decoding.*whole lm_head.*--head full"):
        DiscretePipeline(host, action, fast, constrained=False)
    wide = fit(reaches(3000), FitOptions(codes=4000, dims=0))
    assert wide.size > 2048
    with pytest.raises(SpecError, match="at most 2048, the policy's action tokens"):
        DiscretePipeline(host, action, wide)
    bare = replace(host, spec=replace(host.spec, token_ids={"pad": 0}))
    with pytest.raises(SpecError, match="action_start, action_end, eos, action_0 are missing"):
        DiscretePipeline(bare, action, fast)
