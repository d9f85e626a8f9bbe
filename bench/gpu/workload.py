"""What a run works on: a model of a preset with random weights, made on the device, and the host's half beside it.

No checkpoint is written: 5.4 B parameters are drawn where they are used, by the spreads that `armside init` draws with
(other numbers). The JSON files of a checkpoint, with as many cameras and steps as were asked for, go through a
temporary folder, because that is how every PolicySpec is read.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from edge.policies import STYLES
from export import golden
from policy_spec.config import ModelConfig
from policy_spec.graphs import MOST_NEW_TOKENS
from policy_spec.norm import NormTag
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.prompt import Tokenizer
from policy_spec.spec import PolicySpec
from train.init_checkpoint import InitOptions, plan
from train.init_tokenizer import tokenizer_files
from train.init_words import learn_merges, prompt_sentences
from train.model import MolmoAct2
from train.presets import PRESETS, ROBOTS, Preset, config_json, vocabulary_of
from train.released_names import released_tensors

ROBOT = "so101"
ALIGN = 64  # a bracket is a multiple of it: masks then lie as fused attention kernels want them
TASKS = (
    "put the red cube into the box",
    "wave",
    "pick up the small red cube next to the blue cup and place it gently inside the wooden box on the left",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line chose."""

    preset: str
    cameras: int
    horizon: int
    think: bool = False
    seed: int = 0


def with_words(preset: Preset) -> Preset:
    """The preset with the prompt's words as tokens, in place of as many fillers: a prompt then has as many tokens as
    with a released vocabulary (497 for two pictures), where letters alone would make it half as long again.
    """
    if preset.words:
        return preset
    words = len(learn_merges(prompt_sentences()))
    fillers = min(words, preset.plain_size - 256)
    return replace(preset, words=True, plain_size=preset.plain_size - fillers, vocab_size=preset.vocab_size - fillers)


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """One policy's facts. `model()` draws its weights."""

    asked: Asked
    config: ModelConfig
    spec: PolicySpec
    tokenizer: Tokenizer
    tag: NormTag
    json: dict[str, Any]  # config.json

    @classmethod
    def of(cls, asked: Asked) -> Workload:
        """Raises UsageError on an unknown preset."""
        files, _ = plan(InitOptions(Path("unused"), asked.preset, ROBOT, asked.seed, depth=asked.think))
        preset = with_words(PRESETS[asked.preset])
        vocabulary = vocabulary_of(preset)
        files |= {"config.json": config_json(preset, vocabulary, asked.think), **tokenizer_files(vocabulary)}
        (stats,) = files["norm_stats.json"]["metadata_by_tag"].values()
        stats["camera_keys"] = [f"observation.images.cam{i}" for i in range(asked.cameras)]
        stats["action_horizon"] = stats["n_action_steps"] = asked.horizon
        with tempfile.TemporaryDirectory() as folder:
            for name, value in files.items():
                (Path(folder) / name).write_text(value if isinstance(value, str) else json.dumps(value))
            spec = PolicySpec.from_checkpoint(folder)
            tokenizer = spec.tokenizer(Path(folder) / "tokenizer.json")
        config = ModelConfig.from_dict(files["config.json"])
        return cls(asked, config, spec, tokenizer, spec.tag(ROBOTS[ROBOT].tag), files["config.json"])

    def pipeline(self, tasks: tuple[str, ...] = TASKS) -> Pipeline:
        """The host's half, its bracket the longest of the tasks' prompts, rounded up."""
        style = STYLES["think" if self.asked.think else "continuous"]
        made = partial(Pipeline, cameras=self.asked.cameras, horizon=self.asked.horizon, style=style)
        wide = made(self.spec, self.tokenizer, self.tag, bracket=self.spec.max_positions)
        seen = self.observation()
        longest = max(len(wide.prepare(seen, task).ids) for task in tasks)
        if self.asked.think:  # bench/think_speak.py tells a prompt from a pass by its length
            longest = max(longest, MOST_NEW_TOKENS + 1)
        return made(self.spec, self.tokenizer, self.tag, bracket=-(-longest // ALIGN) * ALIGN)

    def observation(self) -> Observation:
        """The golden pictures and state."""
        return golden.observation(self.tag, self.asked.cameras)

    def model(self, device: torch.device) -> MolmoAct2:
        """Weights of the checkpoint's own precision, bfloat16 at full size, stored as float32."""
        with torch.device("meta"):
            model = MolmoAct2(self.config)
        draw = torch.Generator(device).manual_seed(self.asked.seed)
        state, wanted = {}, model.state_dict()
        for spec in released_tensors(self.config):
            if spec.name in wanted:
                values = torch.randn(spec.shape, generator=draw, device=device)
                state[spec.name] = values.mul_(spec.std).add_(spec.mean).bfloat16().float()
        model.load_state_dict(state, strict=True, assign=True)
        return model.eval().requires_grad_(False)
