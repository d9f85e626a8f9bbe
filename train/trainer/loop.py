"""A whole run: stage after stage, step after step, saved and resumed, stopped when asked.

Takes a Config, a feed (what gives rows), a listener and a wish to stop; writes the run's folder. Every process of a
run calls the same. Knows nothing of terminals, signals or datasets.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from policy_spec.errors import CheckpointError, UsageError, sentence
from policy_spec.fast import FastTokenizer
from policy_spec.spec import PolicySpec
from train.checkpoint import Checkpoint
from train.data.answers import Answers
from train.data.examples import Making
from train.data.loader import Draw, Loader, OpenRows, Share, Work
from train.data.rows import Plan
from train.learn.fresh import first_tensor, generator
from train.learn.lora import first_values
from train.learn.noise import FlowTimes
from train.learn.optimizer import make_optimizer
from train.recipe.config import Config, Stage
from train.recipe.read import write
from train.trainer import save
from train.trainer.build import Source, build, compile_layers, fill
from train.trainer.events import Event, Listener, Sink, sinks
from train.trainer.files import Template, spec_of, template_of
from train.trainer.same import compare
from train.trainer.step import Stepper
from train.trainer.world import World

CONFIG = "config.toml"
BAD_STEPS = 10  # in a row, of gradients that are not finite


class Feed(Protocol):
    """What a run learns from."""

    def open(self, spec: PolicySpec) -> OpenRows:
        """What opens rows, here or in a worker."""

    def plan(self, stage: int) -> Plan:
        """Which rows come, from the stage's beginning."""


class Wish(Protocol):
    """Whoever may want the run to end."""

    @property
    def asked(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Never:
    """Nobody wants it to end."""

    asked: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    finished: bool  # False: it was stopped, and goes on with --resume
    total: int  # steps done
    folder: Path  # of the last saved step
    final: Path | None


@dataclass(slots=True, eq=False)
class Trainer:
    """One run in its folder."""

    config: Config
    feed: Feed
    world: World
    listener: Listener = field(default=lambda event: None)
    wish: Wish = field(default_factory=Never)
    clock: Callable[[], float] = time.monotonic
    _sinks: list[Sink] = field(init=False, default_factory=list)

    @property
    def out(self) -> Path:
        """The run's folder."""
        return Path(self.config.run.out)

    def run(self, resume: bool = False) -> Outcome:
        """All stages, or what is left of them. Raises CheckpointError, UsageError, DatasetError."""
        config, world = self.config, self.world
        if config.run.threads:
            torch.set_num_threads(config.run.threads)
        last = self._begin(resume)
        template = self.template()
        begun = save.Progress(0, 0, 0, {}, False) if last is None else save.read_progress(last)
        if world.leads:
            self._sinks = sinks(config, self.out, begun.total)
        stage, step = (begun.stage + 1, 0) if begun.ends_stage else (begun.stage, begun.step)
        try:
            while stage < len(config.stages):
                resumed = last if step else None
                progress, last = self._stage(replace(begun, stage=stage, step=step), template, (resumed, last))
                if not progress.ends_stage:
                    return Outcome(False, progress.total, last, None)
                begun, stage, step = progress, stage + 1, 0
        finally:
            for sink in self._sinks:
                sink.close()
        assert last is not None
        final = save.publish(last, self.out) if world.leads else self.out / save.FINAL
        world.wait()
        return Outcome(True, begun.total, last, final)

    def template(self) -> Template:
        """Everything of the start's checkpoint but its weights."""
        return template_of(self.config.start, self.config.run, self.config.run.seed)

    def prepared(self, stage: Stage) -> tuple[Stepper, Making, Template]:
        """A stage about to begin from the start's weights, and what makes its examples: for benchmarks."""
        template = self.template()
        stepper, making = self._prepare(stage, template)
        fill(stepper.learner, self._source(template, None))
        return stepper, making, template

    def _begin(self, resume: bool) -> Path | None:
        """The folder to go on from; the run's folder made, its configuration written or compared."""
        out, text = self.out, write(self.config)
        steps = save.saved(out)
        if not resume and (steps or (out / CONFIG).exists()):
            raise UsageError(
                sentence(f"{out} holds a run", expected="a new folder", do="say --resume, or another run.out")
            )
        if resume and not (out / CONFIG).exists():
            raise UsageError(sentence(f"{out} holds no run", expected=CONFIG, do="leave out --resume"))
        self.world.wait()
        if resume:
            compare(self.config, out / CONFIG)
        if resume and self.world.leads:
            save.clean(out)
        elif self.world.leads:
            out.mkdir(parents=True, exist_ok=True)
            (out / CONFIG).write_text(text, encoding="utf-8")
        return steps[-1] if steps else None

    def _stage(
        self, at: save.Progress, template: Template, folders: tuple[Path | None, Path | None]
    ) -> tuple[save.Progress, Path]:
        """One stage from where it is. folders: of the step to resume, and of the last stage's end."""
        config, number = self.config, at.stage
        stage = config.stages[number]
        stepper, making = self._prepare(stage, template)
        if not self.world.leads:
            self.world.wait()  # the leading process may have pictures to decode
        opened = self.feed.open(making.spec)
        if self.world.leads:
            self.world.wait()
        plan = self.feed.plan(number)
        resumed, before = folders
        if resumed is not None:
            save.restore(resumed, stepper)
            plan.restore(at.plan)
        else:
            fill(stepper.learner, self._source(template, before))
        work = Work(opened, making, Draw(config.run.seed, number))
        share = Share(stage.batch, stage.micro_batch, self.world.rank, self.world.size)
        loader = Loader(work, plan, share, stage.augment, config.data.workers)
        try:
            return self._steps(at, stepper, loader, template)
        finally:
            loader.close()

    def _steps(
        self, at: save.Progress, stepper: Stepper, loader: Loader, template: Template
    ) -> tuple[save.Progress, Path]:
        config, stage, number = self.config, stepper.stage, at.stage
        telling = Telling(self, at, stage)
        batches, bad, folder = loader.batches(at.step), 0, None
        for step in range(at.step, stage.steps):
            asked = self.clock()
            micro, plan = next(batches)
            telling.waited(self.clock() - asked)
            report = stepper.step(step, micro, self._seed(number, step))
            bad = 0 if report.moved else bad + 1
            if bad >= BAD_STEPS:
                do = "lower the learning rates, or look at the data"
                raise CheckpointError(sentence(f"{bad} steps in a row without a finite gradient", do=do))
            done = step + 1
            total = at.total + done - at.step
            last = done == stage.steps
            stopping = self.world.any(self.wish.asked > 0)
            if last or stopping or done % config.run.log_every == 0:
                telling.step(done, total, report)
            if last or stopping or done % config.run.save_every == 0:
                progress = save.Progress(number, done, total, plan, last)
                folder = save.save(self.out, stepper, template, progress, config.run.keep)
                telling.saved(done, total, folder)
                if last or stopping:
                    return progress, folder
        raise AssertionError("a stage has at least one step")

    def _prepare(self, stage: Stage, template: Template) -> tuple[Stepper, Making]:
        run, world = self.config.run, self.world
        spec, tokenizer = spec_of(template, self.out, world)
        fast = FastTokenizer.open(self.config.start.fast) if "actions" in stage.answer else None
        answers = Answers(spec, stage.answer, fast, stage.depth_noise)
        times = FlowTimes.from_config(template.config)
        samples = stage.noise_samples if stage.loss.flow > 0 else 0
        making = Making(spec, tokenizer, answers, samples, stage.image_attention, times)
        learner = build(template.model, stage, spec.pool, world, run.recompute)
        if run.compile:
            compile_layers(learner)
        autocast = run.precision == "bf16" or (run.precision == "auto" and world.device.type == "cuda")
        optimizer = make_optimizer(learner.model, stage)
        return Stepper(learner, optimizer, stage, world, autocast), making

    def _source(self, template: Template, before: Path | None) -> Source:
        """The first values of a stage: of the stage before, of the start's checkpoint, or fresh."""
        start, seed = self.config.start, self.config.run.seed
        checkpoint = None
        if before is not None or start.checkpoint:
            checkpoint = Checkpoint(Path(start.checkpoint) if before is None else before / save.CHECKPOINT)
            checkpoint.check()
        config = template.model

        def source(name: str, shape: tuple[int, ...]) -> Tensor:
            if name.endswith((".lora_a", ".lora_b")):
                return first_values(name, shape, generator(seed, name))
            if checkpoint is not None and name in checkpoint.shards and checkpoint.shape(name) == shape:
                return checkpoint.tensor(name)
            return first_tensor(name, shape, config, template.config, seed)

        return source

    def _seed(self, stage: int, step: int) -> int:
        """Of dropout: another in each process, the same in a resumed run."""
        words = f"{self.config.run.seed} {stage} {step} {self.world.rank}"
        return zlib.crc32(words.encode())


class Telling:
    """Tells listeners and sinks, with speeds since the line before."""

    def __init__(self, trainer: Trainer, at: save.Progress, stage: Stage) -> None:
        self.trainer, self.at, self.stage = trainer, at, stage
        self.all = sum(s.steps for s in trainer.config.stages)
        self.since, self.step_before, self.waiting = trainer.clock(), at.step, 0.0

    def waited(self, seconds: float) -> None:
        """For data."""
        self.waiting += seconds

    def step(self, done: int, total: int, report: Any) -> None:
        """A step that is logged."""
        now = self.trainer.clock()
        took = max(now - self.since, 1e-9)
        rows = (done - self.step_before) * self.stage.batch / took
        waited = self.waiting / took
        self.since, self.step_before, self.waiting = now, done, 0.0
        self._tell(replace(self._event("step", done, total), report=report, rows_per_s=rows, waited=waited))

    def saved(self, done: int, total: int, folder: Path) -> None:
        """A step that is on disk."""
        self._tell(replace(self._event("saved", done, total), path=str(folder)))
        self.since = self.trainer.clock()  # writing is not training

    def _event(self, kind: str, done: int, total: int) -> Event:
        name = self.stage.name or self.stage.kind
        return Event(kind, self.at.stage, name, done, self.stage.steps, total, self.all, self.stage.batch)

    def _tell(self, event: Event) -> None:
        if self.trainer.world.leads:
            for sink in self.trainer._sinks:
                sink.write(event)
            self.trainer.listener(event)
