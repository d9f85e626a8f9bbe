"""A checkpoint's files: the weights in the released format from a live model, and float32 tensors of any name.

Takes tensors through functions that give them whole, one at a time; only the leading process writes, the others take
part in gathering. Streams: no more than one whole tensor is held. Knows nothing of what the tensors mean.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from policy_spec.config import ModelConfig
from policy_spec.errors import CheckpointError, UsageError, sentence
from policy_spec.prompt import Tokenizer
from policy_spec.spec import PolicySpec
from train.init_checkpoint import InitOptions, pieces
from train.init_checkpoint import plan as plan_preset
from train.recipe.config import Run, Start
from train.released_names import TensorSpec, released_tensors
from train.shards import encode, header, plan_shards, write_shards
from train.trainer.world import World

SHARD_BYTES = 5_000_000_000
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".index.json")  # of a source checkpoint: written anew
LARGEST = 50_000_000  # bytes of a file that is copied along

Whole = Callable[[str], Tensor]  # float32 on the CPU


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """Everything of a checkpoint but its weights."""

    config: dict[str, Any]  # config.json
    files: dict[str, bytes]  # the others by name

    @property
    def model(self) -> ModelConfig:
        """The sizes."""
        return ModelConfig.from_dict(self.config)

    @property
    def dtype(self) -> str:
        """Of the weights in the files."""
        return "bfloat16" if self.config.get("dtype") in ("bfloat16", "torch.bfloat16") else "float32"

    def write(self, folder: Path) -> None:
        """All files."""
        for name, data in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "config.json").write_text(json.dumps(self.config, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def template_of(start: Start, run: Run, seed: int) -> Template:
    """Of a checkpoint, or of a preset. Raises CheckpointError, UsageError."""
    if start.checkpoint:
        config, files = _read(Path(start.checkpoint))
        config |= _thinking(config) if start.depth else {}
    else:
        options = InitOptions(Path("unused"), start.preset, start.robot, seed, depth=start.depth)
        made = plan_preset(options)[0]
        files = {name: _bytes(value) for name, value in made.items() if name != "config.json"}
        config = dict(made["config.json"])
    if start.conditioning:
        expert = dict(config["action_expert_config"])
        expert["conditioning"] = start.conditioning
        if start.conditioning == "per_layer":
            del expert["conditioning"]  # as released
        config["action_expert_config"] = expert
    if start.norm_stats:
        name = str(config.get("norm_stats_filename") or "norm_stats.json")
        try:
            files[name] = Path(start.norm_stats).read_bytes()
        except OSError as error:
            raise UsageError(sentence("start.norm_stats", expected="a norm_stats.json", got=error)) from error
    if run.checkpoint_dtype:
        config["dtype"] = run.checkpoint_dtype
    return Template(config, files)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    if not (folder / "config.json").is_file():
        raise CheckpointError(sentence("start.checkpoint", expected="a folder with config.json", got=str(folder)))
    found = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith(WEIGHTS))
    names = [p.relative_to(folder) for p in found if p.stat().st_size <= LARGEST]
    kept = {n.as_posix(): (folder / n).read_bytes() for n in names if not any(part[0] == "." for part in n.parts)}
    return json.loads(kept.pop("config.json")), kept


def _thinking(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a checkpoint that has words for depth codes predict them; its gate, if it has none, is a new one."""
    if not config.get("num_depth_tokens") or config.get("depth_token_start_id") is None:
        do = "begin with a checkpoint whose config.json has num_depth_tokens, or with a preset"
        raise UsageError(sentence("start.depth", expected="a checkpoint with depth tokens", got="none of them", do=do))
    changed: dict[str, Any] = {"enable_depth_reasoning": True}
    if not config.get("action_expert_depth_gate"):
        changed |= {"action_expert_depth_gate": True, "action_expert_depth_gate_per_layer": True}
    return changed


def _bytes(value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    return text.encode()


def spec_of(template: Template, out: Path, world: World) -> tuple[PolicySpec, Tokenizer]:
    """What prompts are made with; the files lie in the run's folder, under start/."""
    folder = out / "start"
    if world.leads:
        folder.mkdir(parents=True, exist_ok=True)
        template.write(folder)
    world.wait()
    spec = PolicySpec.from_checkpoint(folder)
    return spec, spec.tokenizer(folder / "tokenizer.json")


def write_weights(folder: Path, template: Template, tensor: Whole) -> None:
    """Shards and index."""

    def give(spec: TensorSpec) -> Iterator[np.ndarray]:
        if spec.theta is not None:  # rotary frequencies, which a model computes
            yield from pieces(spec, 0)
        else:
            yield tensor(spec.name).float().numpy().reshape(-1)

    specs = tuple(released_tensors(template.model))
    write_shards(folder, plan_shards(specs, template.dtype, SHARD_BYTES), give)


def gather_weights(template: Template, tensor: Whole) -> None:
    """What a process does while the leading one writes weights."""
    for spec in released_tensors(template.model):
        if spec.theta is None:
            tensor(spec.name)


def write_tensors(file: Path, shapes: Mapping[str, Sequence[int]], tensor: Whole) -> None:
    """One safetensors file of float32 tensors, in the order of `shapes`."""
    specs = [TensorSpec(name, tuple(shape), 0.0) for name, shape in shapes.items()]
    with file.open("wb") as out:
        out.write(header(specs, "float32"))
        for spec in specs:
            out.write(encode(tensor(spec.name).float().numpy().reshape(-1), "float32").data)
