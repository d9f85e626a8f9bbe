"""A checkpoint becomes a folder of float32 graphs that agree with the reference model.

Takes a checkpoint directory, gives *.onnx with external data, spec.json, tokenizer.json and the reference's answer
to the golden observation. Knows nothing of precisions (quant) nor of bundles: `armside export` joins them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx_ir as ir

from export import golden
from export.cached_llm import CachedSizes, cached_llm_graph
from export.context import context_graph
from export.flow import flow_graph
from export.llm import llm_graph
from export.modes import check_conditioning, check_mode
from export.reference import CachedTorchRunner, torch_runner
from export.runner import OrtRunner
from export.stream import Kept, pieces, stream_graph
from export.verify import Answer, answer, verify_graphs
from export.verify_cached import CachedAnswer, cached_answer, chosen_tokens, verify_cached
from export.vision import vision_graph
from policy_spec.compare import Row
from policy_spec.config import ModelConfig
from policy_spec.errors import UsageError, sentence
from policy_spec.graphs import Variant, head_rows, variant_of
from policy_spec.image import pooling_index
from policy_spec.masks import check_image_attention
from policy_spec.pipeline import Pipeline
from policy_spec.replay import Replay
from policy_spec.spec import PolicySpec
from train.checkpoint import Checkpoint, load_model

# (stage, done, total): total 0 where it is not known
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """What an export fixes for good."""

    cameras: int | None = None  # None: as many as the norm tag with the most camera slots
    prompt_tokens: int | None = None  # None: the longest prompt and room for a task of about 200 letters
    image_attention: str = "bidirectional"
    mode: str = "continuous"  # one of graphs.MODES
    head: str = ""  # one of graphs.HEADS[mode]; empty: the first


@dataclass(frozen=True, slots=True)
class Sizes:
    """The static sizes of the graphs, and what they are for."""

    cameras: int
    bracket: int
    horizon: int
    variant: Variant = field(default_factory=Variant)

    @property
    def length(self) -> int:
        """Tokens that the expert's K and V have room for: the cache's places, or the prompt's."""
        return self.bracket + self.variant.new_tokens


@dataclass(frozen=True, slots=True, eq=False)
class Built:
    """A folder of verified float32 graphs."""

    folder: Path
    config: ModelConfig
    spec: PolicySpec
    sizes: Sizes
    pipeline: Pipeline  # of the golden's tag
    reference: Answer  # the reference model's answer to the golden observation
    rows: list[Row]  # parity with the reference model


@dataclass(frozen=True, slots=True, eq=False)
class BuiltCached:
    """The same for the modes think and discrete, whose calls generate tokens."""

    folder: Path
    config: ModelConfig
    spec: PolicySpec
    sizes: Sizes
    replay: Replay  # with the pipeline of the golden's tag
    reference: CachedAnswer
    rows: list[Row]


def plan_sizes(spec: PolicySpec, tokenizer_path: Path, options: GraphOptions) -> Sizes:
    """The sizes of an export. Raises UsageError where the cameras are not known or none, PromptError where a prompt
    cannot fit, SpecError on an unknown image attention.
    """
    check_image_attention(options.image_attention)
    cameras = options.cameras
    if cameras is None:
        cameras = max(len(tag.camera_slots) for tag in spec.tags.values())
    if cameras < 1:
        raise UsageError(
            sentence(
                "this checkpoint names no cameras" if options.cameras is None else "number of cameras",
                expected="the number that the policy was trained with, at least 1",
                got=options.cameras,
                do="give --cameras N",
            )
        )
    tokenizer = spec.tokenizer(tokenizer_path)
    horizon = max(tag.horizon for tag in spec.tags.values())
    if options.prompt_tokens is not None and options.prompt_tokens < 1:
        raise UsageError(sentence("prompt tokens", expected="1 or more", got=options.prompt_tokens))
    bracket = spec.bracket(tokenizer, cameras, options.prompt_tokens)
    return Sizes(cameras, bracket, horizon, variant_of(spec, options.mode, options.head, horizon))


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """A checkpoint that was checked, and the sizes that its graphs will have."""

    checkpoint: Checkpoint
    spec: PolicySpec
    sizes: Sizes
    image_attention: str

    @property
    def folder(self) -> Path:
        """The checkpoint's."""
        return self.checkpoint.path


def open_job(checkpoint_dir: Path, options: GraphOptions, progress: Progress) -> Job:
    """Raises CheckpointError or TensorError (the checkpoint), and what `plan_sizes` does (the options)."""
    checkpoint = Checkpoint(checkpoint_dir)
    check_conditioning(checkpoint.config)
    progress("check tensors", 0, 1)
    checkpoint.check()
    spec = PolicySpec.from_checkpoint(checkpoint_dir)
    check_mode(spec, options.mode)
    sizes = plan_sizes(spec, checkpoint_dir / "tokenizer.json", options)
    return Job(checkpoint, spec, sizes, options.image_attention)


def build_graphs(checkpoint_dir: Path, folder: Path, options: GraphOptions, progress: Progress) -> Built | BuiltCached:
    """Writes and verifies the float32 graphs of a mode. Raises what `open_job` does, and ExportError (graphs that do
    not agree with the model). The folder is the caller's.
    """
    return build_whole(open_job(checkpoint_dir, options, progress), folder, progress)


def write_facts(job: Job, folder: Path) -> None:
    """spec.json and tokenizer.json: what the host's half of a policy needs beside the graphs."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(job.folder / "tokenizer.json", folder / "tokenizer.json")
    (folder / "spec.json").write_text(job.spec.to_json(), encoding="utf-8")


def build_whole(job: Job, folder: Path, progress: Progress) -> Built | BuiltCached:
    """The float32 graphs on the disk, compared with the whole reference model in memory."""
    write_facts(job, folder)
    write_graphs(job.checkpoint, job.spec, job.sizes, folder, progress)
    spec, sizes = job.spec, job.sizes
    pipeline = golden_pipeline(spec, folder, sizes, job.image_attention)
    stages: list[str] = []

    def step(stage: str) -> None:
        stages.append(stage)
        progress("verify " + stage, len(stages), len(sizes.variant.graphs) + 1)

    if sizes.variant.cached:
        replay = Replay(pipeline, sizes.variant)
        told = reference_of_tokens(job.folder, folder, replay, progress)
        rows = verify_cached(OrtRunner(folder), replay, told, step)
        return BuiltCached(folder, job.checkpoint.config, spec, sizes, replay, told, rows)
    progress("load reference model", 0, 1)
    reference = reference_answer(job.folder, pipeline, sizes)
    rows = verify_graphs(OrtRunner(folder), pipeline, reference, step)
    return Built(folder, job.checkpoint.config, spec, sizes, pipeline, reference, rows)


def reference_answer(checkpoint_dir: Path, pipeline: Pipeline, sizes: Sizes) -> Answer:
    """The reference model's answer to the golden observation. The model is gone when this returns: beside the opened
    graphs it would double the memory of an export.
    """
    truth = torch_runner(load_model(checkpoint_dir), pipeline.spec, sizes.bracket, sizes.variant)
    seen = golden.observation(pipeline.tag, pipeline.cameras)
    return answer(truth, pipeline, seen, golden.task(pipeline, seen), golden.SEED)


def reference_of_tokens(checkpoint_dir: Path, folder: Path, replay: Replay, progress: Progress) -> CachedAnswer:
    """The same for tokens that the graphs chose: asked about all of them at once, the model needs two runs, where
    choosing them would take one for each. The graphs are closed before it is loaded.
    """
    pipeline = replay.pipeline
    seen = golden.observation(pipeline.tag, pipeline.cameras)
    task = golden.task(pipeline, seen)
    progress("choose tokens", 0, 1)
    tokens = chosen_tokens(OrtRunner(folder), replay, seen, task)
    progress("load reference model", 0, 1)
    truth = torch_runner(load_model(checkpoint_dir), pipeline.spec, pipeline.bracket, replay.variant)
    assert isinstance(truth, CachedTorchRunner)
    return cached_answer(truth, replay, seen, task, golden.SEED, tokens)


def golden_pipeline(spec: PolicySpec, folder: Path, sizes: Sizes, image_attention: str) -> Pipeline:
    """The pipeline of the first norm tag, which the golden observation speaks."""
    return Pipeline(
        spec,
        spec.tokenizer(folder / "tokenizer.json"),
        next(iter(spec.tags.values())),
        cameras=sizes.cameras,
        bracket=sizes.bracket,
        horizon=sizes.horizon,
        image_attention=image_attention,
        allow_fewer_cameras=True,
        style="robot_depth_action" if sizes.variant.mode == "think" else "robot_action",
    )


def graph_makers(checkpoint: Checkpoint, spec: PolicySpec, sizes: Sizes) -> dict[str, Callable[[], ir.Model]]:
    """What makes each graph of the mode, in the order in which a call runs them. Large weights are not read before
    they are written.
    """
    pooling = pooling_index(spec.grid, spec.pool)
    tokens, variant = sizes.cameras * len(pooling), sizes.variant
    makers: dict[str, Callable[[], ir.Model]] = {
        "vision": lambda: vision_graph(checkpoint, sizes.cameras, pooling),
        "llm": lambda: llm_graph(checkpoint, tokens, sizes.bracket),
        "context": lambda: context_graph(checkpoint, sizes.length),
        "flow": lambda: flow_graph(checkpoint, sizes.length, sizes.horizon, spec.flow_steps),
    }
    if variant.cached:
        cached = CachedSizes(tokens, sizes.length, head_rows(spec, variant.head))
        makers["llm"] = lambda: cached_llm_graph(checkpoint, cached)
    return {name: makers[name] for name in variant.graphs}


def write_graphs(checkpoint: Checkpoint, spec: PolicySpec, sizes: Sizes, folder: Path, progress: Progress) -> None:
    """The graphs of the mode in float32, NAME.onnx, with their weights beside them."""
    models = {name: make() for name, make in graph_makers(checkpoint, spec, sizes).items()}
    write_models(models, folder, "write float32", progress)


def write_models(
    models: Mapping[str, ir.Model], folder: Path, stage: str, progress: Progress, kept: Kept | None = None
) -> dict[str, list[str]]:
    """Graphs and their weights, a layer at a time. Progress counts bytes. Returns each graph's files of weights."""
    total = sum(piece.nbytes for model in models.values() for piece in pieces(model))
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        progress(stage, done, total)

    progress(stage, 0, total)
    return {name: stream_graph(model, folder, kept, told) for name, model in models.items()}
