"""A small checkpoint taught in minutes to say the depth codes of rendered clips: for bench.think, not for CI.

    python -m bench.think_teach DIR [--minutes 4] [--seed 0]

Starts from `armside init --preset tiny --depth`. The random vision and embeddings stay as they are and are computed
once; the language model's layers learn the codes of 100 cells after pictures of other motions than bench.think shows,
before the same table. A tenth of the codes that it is fed are replaced by others, as in the released fine-tuning. What
it learns says how often a policy of this kind is guessed right; it is no policy.
"""

from __future__ import annotations

import argparse
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from bench.think_clips import CLIPS, Clip, Shot, shots
from bench.workbench import TASK, say, scene
from policy_spec.image import pooling_index
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec
from policy_spec.think import STYLE
from train.checkpoint import load_model
from train.init_checkpoint import InitOptions, init_checkpoint
from train.model import MolmoAct2
from train.model.llm import attention_bias

PICTURES, HELD, NOISE, BATCH, RATE = 120, 12, 0.1, 4, 3e-3
NAME = "model.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One picture as the language model takes it."""

    embedded: torch.Tensor  # [S, hidden] the prompt, image features added
    token_type: torch.Tensor  # [S]
    codes: torch.Tensor  # [cells]


def pictures(count: int, seed: int) -> list[Shot]:
    """Of the table that bench.think shows, with an arm of other widths and speeds."""
    rng, out = random.Random(seed), list[Shot]()
    while len(out) < count:
        like = rng.choice(CLIPS[1:])
        motion = Clip(like.share, like.width * rng.uniform(0.7, 1.3), rng.uniform(0.3, 1.7), rng.random() < 0.5)
        out += shots(motion, 12)
    return out[:count]


@torch.no_grad()
def examples(model: MolmoAct2, pipeline: Pipeline, seen: list[Shot]) -> list[Example]:
    """The prompt of each picture, embedded: nothing before the language model learns."""
    pooling, still = torch.from_numpy(pooling_index(pipeline.spec.grid, pipeline.spec.pool)), scene(pipeline)
    out = []
    for shot in seen:
        prepared = pipeline.prepare(replace(still, images=(shot.image, *still.images[1:])), TASK)
        ids = torch.from_numpy(prepared.ids)[None]
        features = model.vision(torch.from_numpy(prepared.vision["patches"]), pooling)
        kinds = torch.from_numpy(prepared.token_type.astype(np.float32))
        out.append(Example(model.embed(ids, features)[0], kinds, torch.from_numpy(shot.codes)))
    return out


def answer(model: MolmoAct2, batch: list[Example], noise: float) -> torch.Tensor:
    """[B, cells, values]: the logits of each code after the ones before it, some of which were replaced."""
    ids, spec = model.config.token_ids, model.config
    codes = torch.stack([one.codes for one in batch])
    other = torch.randint(0, spec.num_depth_tokens, codes.shape)
    fed = torch.where(torch.rand(codes.shape) < noise, other, codes) + ids["depth_token_start_id"]
    start = torch.full((len(batch), 1), ids["depth_start_token_id"])
    tokens = model.model.transformer.wte(torch.cat([start, fed[:, :-1]], 1))
    x = torch.cat([torch.stack([one.embedded for one in batch]), tokens], 1)
    kinds = torch.nn.functional.pad(batch[0].token_type, (0, codes.shape[1]))[None]
    hidden, _ = model.model.transformer(x, attention_bias(kinds))
    first = ids["depth_token_start_id"]
    return hidden[:, -codes.shape[1] :] @ model.lm_head.weight[first : first + spec.num_depth_tokens].T


def teach(model: MolmoAct2, taught: list[Example], held: list[Example], minutes: float) -> float:
    """Adam until the time is over. Returns the share of held-out codes that are right, after the right ones."""
    weights = [
        *model.model.transformer.blocks.parameters(),
        model.lm_head.weight,
        *model.model.transformer.wte.parameters(),
    ]
    for weight in weights:
        weight.requires_grad_(True)  # a model is loaded to be asked, not to learn
    adam = torch.optim.Adam(weights, RATE)
    begun, step = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < 60 * minutes:
        for group in adam.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20) * max(0.05, 1 - passed / (60 * minutes))
        batch = random.sample(taught, BATCH)
        logits = answer(model, batch, NOISE)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.cat([one.codes for one in batch]))
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        adam.step()
        step += 1
        if step % 25 == 0:
            say(f"{passed:.0f} s, step {step}: loss {loss.item():.3f}")
    with torch.no_grad():
        return float(np.mean([(answer(model, [one], 0.0).argmax(-1)[0] == one.codes).float().mean() for one in held]))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    random.seed(args.seed)
    init_checkpoint(InitOptions(args.folder, "tiny", "so101", args.seed, True, True), lambda _: None)
    spec, model = PolicySpec.from_checkpoint(args.folder), load_model(args.folder)
    tokenizer, tag = spec.tokenizer(args.folder / "tokenizer.json"), spec.tag(None)
    cameras, room = len(tag.camera_slots), spec.max_positions
    pipeline = Pipeline(spec, tokenizer, tag, cameras=cameras, bracket=room, horizon=tag.horizon, style=STYLE)
    made = examples(model, pipeline, pictures(PICTURES + HELD, args.seed + 1))
    right = teach(model, made[:-HELD], made[-HELD:], args.minutes)
    for shard in args.folder.glob("*.safetensors*"):
        shard.unlink()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, args.folder / NAME)
    print(
        f"{args.folder}: {right:.0%} of the codes of {HELD} other pictures are right, each after the right ones before"
    )


if __name__ == "__main__":
    main()
