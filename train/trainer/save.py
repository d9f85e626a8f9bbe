"""What a run leaves behind at a step, and how it goes on from there: bit for bit on one device.

A step's folder holds `checkpoint/` in the released format (adapters folded in) and `trainer/`: optimizer.safetensors
(moments, and float32 parameters that the checkpoint does not hold as they are) and state.json (stage, step, place in
the data). It is written under another name and renamed; older ones go only then. No generator's state is kept: each
step seeds its own. Knows nothing of losses.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from policy_spec.errors import CheckpointError, sentence
from train.checkpoint import Checkpoint
from train.learn.lora import A, B, merged
from train.learn.optimizer import moments, steps_of
from train.trainer.build import copy_whole, fill, whole
from train.trainer.files import Template, gather_weights, write_tensors, write_weights
from train.trainer.step import Stepper

FORMAT = 1
CHECKPOINT, TRAINER, STATE, OPTIMIZER = "checkpoint", "trainer", "state.json", "optimizer.safetensors"
FINAL = "final"
_STEP = re.compile(r"step-(\d{8})")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is."""

    stage: int  # its number
    step: int  # steps of it that are done
    total: int  # steps of the whole run that are done
    plan: Mapping[str, Any]  # the data's state
    ends_stage: bool


def released(model: nn.Module, name: str) -> Tensor:
    """A released tensor, whole, its adapter folded in."""
    named = model.get_parameter(name)
    values, base = whole(named), name.removesuffix(".weight")
    owner = model.get_submodule(base) if name.endswith(".weight") else None
    if owner is None or not hasattr(owner, A):
        return values
    return merged(values, whole(owner.lora_a), whole(owner.lora_b), float(owner.scale))  # type: ignore[arg-type]


def own_parameters(model: nn.Module, dtype: str) -> list[str]:
    """Parameters that the released files do not hold bit for bit."""
    named = [name for name, _ in model.named_parameters()]
    adapted = {name.rsplit(".", 1)[0] + ".weight" for name in named if name.endswith((A, B))}
    return [n for n in named if dtype != "float32" or n in adapted or n.endswith((A, B))]


def save(out: Path, stepper: Stepper, template: Template, progress: Progress, keep: int) -> Path:
    """Writes a step's folder; every process must call. Returns it."""
    model, world = stepper.learner.model, stepper.world
    folder = out / f"step-{progress.total:08d}"
    states = {f"{moment}.{name}": tensor for moment, name, tensor in moments(stepper.optimizer, model)}
    states |= {f"param.{name}": model.get_parameter(name) for name in own_parameters(model, template.dtype)}
    if world.leads:
        partial = out / f"{folder.name}.partial-{os.getpid()}"
        (partial / CHECKPOINT).mkdir(parents=True)
        (partial / TRAINER).mkdir()
        try:
            template.write(partial / CHECKPOINT)
            write_weights(partial / CHECKPOINT, template, lambda name: released(model, name))
            shapes = {name: tuple(tensor.shape) for name, tensor in states.items()}
            write_tensors(partial / TRAINER / OPTIMIZER, shapes, lambda name: whole(states[name]))
            facts = {"format": FORMAT, **asdict(progress), "steps": steps_of(stepper.optimizer, model)}
            (partial / TRAINER / STATE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
            if folder.exists():  # of a run that was stopped after renaming and resumed from before
                shutil.rmtree(folder)
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _forget(out, keep)
    else:
        gather_weights(template, lambda name: released(model, name))
        for tensor in states.values():
            whole(tensor)
    world.wait()
    return folder


def saved(out: Path) -> list[Path]:
    """The folders of whole steps, oldest first."""
    return sorted(p for p in out.glob("step-*") if _STEP.fullmatch(p.name) and (p / TRAINER / STATE).is_file())


def read_progress(folder: Path) -> Progress:
    """Raises CheckpointError where the folder is of another format."""
    facts = _facts(folder)
    return Progress(**{name: facts[name] for name in ("stage", "step", "total", "plan", "ends_stage")})


def _facts(folder: Path) -> dict[str, Any]:
    file = folder / TRAINER / STATE
    try:
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(sentence(f"{file} cannot be read", got=error, do="resume from another step")) from error
    if facts.get("format") != FORMAT:
        raise CheckpointError(sentence(f"{file}: format", expected=FORMAT, got=facts.get("format")))
    return facts


def restore(folder: Path, stepper: Stepper) -> None:
    """Parameters and optimizer as they were. Raises CheckpointError."""
    model = stepper.learner.model
    checkpoint = Checkpoint(folder / CHECKPOINT)
    with safe_open(str(folder / TRAINER / OPTIMIZER), framework="pt") as file:
        names = set(file.keys())

        def source(name: str, shape: tuple[int, ...]) -> Tensor:
            key = f"param.{name}"
            return file.get_tensor(key) if key in names else checkpoint.tensor(name)

        fill(stepper.learner, source)
        restore_moments(stepper.optimizer, model, _facts(folder)["steps"], file)


def restore_moments(optimizer: torch.optim.Optimizer, model: nn.Module, steps: Mapping[str, int], file: Any) -> None:
    """The optimizer's state of each parameter that had one."""
    for name, count in steps.items():
        parameter = model.get_parameter(name)
        state: dict[str, Tensor] = {"step": torch.tensor(float(count), device=parameter.device)}
        for moment in ("exp_avg", "exp_avg_sq"):
            state[moment] = torch.zeros_like(parameter)
            copy_whole(state[moment], file.get_tensor(f"{moment}.{name}"))
        optimizer.state[parameter] = state


def publish(folder: Path, out: Path) -> Path:
    """`final/`: the last checkpoint by itself, hard links where the disk has them."""
    final, partial = out / FINAL, out / f"{FINAL}.partial-{os.getpid()}"

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    shutil.copytree(folder / CHECKPOINT, partial, copy_function=link)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return final


def clean(out: Path) -> None:
    """Removes what a killed process was writing."""
    for folder in out.glob("*.partial-*"):
        shutil.rmtree(folder)


def _forget(out: Path, keep: int) -> None:
    """Removes older steps than the last `keep`; the ends of stages stay."""
    for folder in saved(out)[:-keep]:
        if not read_progress(folder).ends_stage:
            shutil.rmtree(folder)
