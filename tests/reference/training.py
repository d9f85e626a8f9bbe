"""A training batch of the released modules through train/learn: losses, velocities and gradients, K/V attached and not.

Takes a folder with train_K.npz and its checkpoint; gives quantities. Rows may be padded on either side: pads are taken
out and put behind, which changes no position of a token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch

from policy_spec.masks import expert_mask, token_type
from policy_spec.pipeline import Observation, Pipeline
from policy_spec.spec import PolicySpec
from tests.reference.quantities import Case
from train.checkpoint import load_model
from train.learn import losses
from train.learn.batch import IGNORED, Batch, Chunks
from train.learn.groups import group_of
from train.learn.learner import Learner
from train.model import MolmoAct2

Arrays = Mapping[str, np.ndarray]
LOSS = 1e-5  # absolute; gradients and velocities are held to 1e-4 of their largest element
ROOM = 4096
QKV, FINAL = "model.transformer.blocks.0.self_attn.att_proj.weight", "model.action_expert.final_layer.linear.weight"


def check(folder: Path, file: Path, data: Arrays) -> Case:
    """All quantities of one batch."""
    case = Case(f"{folder.name}/{file.stem}")
    checkpoint = folder / "checkpoint"
    spec = PolicySpec.from_checkpoint(checkpoint)
    batch = batch_of(case, checkpoint, spec, data)
    for mode in ("attached", "detached"):
        if f"velocity_{mode}" in data:
            model = load_model(checkpoint).requires_grad_(True)
            compare(case, model, batch, (mode, data))
    return case


def batch_of(case: Case, checkpoint: Path, spec: PolicySpec, data: Arrays) -> Batch:
    """The batch as train/ sees it: pictures and prompts made from the case's own observations."""
    ids, labels = rows_of(data, spec)
    types = token_type(ids, spec.image_ids) & ("token_type_ids" in data and bool(np.any(data["token_type_ids"])))
    eos, span = spec.token_ids.get("eos"), spec.discrete_span
    seen = np.stack([expert_mask(row, spec.action_mode, eos, span) for row in ids])
    seen &= rows_valid(data, spec)
    patches = np.concatenate(list(pictures(case, checkpoint, spec, (data, ids))))
    dims = data.get("action_dim_is_pad")
    steps = data.get("action_horizon_is_pad")
    actions = torch.from_numpy(np.asarray(data["actions"], np.float32))
    rows, horizon, width = actions.shape
    chunks = Chunks(
        actions=actions,
        step_is_pad=torch.zeros(rows, horizon, dtype=torch.bool) if steps is None else torch.from_numpy(steps),
        dim_is_pad=torch.zeros(rows, width, dtype=torch.bool) if dims is None else torch.from_numpy(dims),
        noise=torch.from_numpy(data["noise"]),
        times=torch.from_numpy(data["timesteps"]),
        present=torch.ones(rows, dtype=torch.bool),
    )
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(types.astype(np.float32)),
        torch.from_numpy(seen),
        torch.from_numpy(labels),
        torch.from_numpy(patches),
        chunks,
    )


def valid_tokens(data: Arrays, spec: PolicySpec) -> list[np.ndarray]:
    """Of each row which tokens are none of the padding."""
    ids = data["input_ids"]
    if "attention_mask" in data:
        return [row.astype(bool) for row in data["attention_mask"]]
    return [row != spec.token_ids["pad"] for row in ids]


def rows_of(data: Arrays, spec: PolicySpec) -> tuple[np.ndarray, np.ndarray]:
    """ids and labels [B, S], padding behind."""
    ids = np.full(data["input_ids"].shape, spec.token_ids["pad"], np.int64)
    labels = np.full(ids.shape, IGNORED, np.int64)
    said = data.get("labels")
    for row, valid in enumerate(valid_tokens(data, spec)):
        count = int(valid.sum())
        ids[row, :count] = data["input_ids"][row][valid]
        if said is not None:
            labels[row, :count] = said[row][valid]
    return ids, labels


def rows_valid(data: Arrays, spec: PolicySpec) -> np.ndarray:
    """[B, S] bool in the order of `rows_of`."""
    counts = np.array([int(valid.sum()) for valid in valid_tokens(data, spec)])
    return np.arange(data["input_ids"].shape[1])[None] < counts[:, None]


def pictures(case: Case, checkpoint: Path, spec: PolicySpec, rows: tuple[Arrays, np.ndarray]) -> Iterator[np.ndarray]:
    """Patches of each row; and its prompt's ids held to the case's."""
    data, ids = rows
    tokenizer = spec.tokenizer(checkpoint / "tokenizer.json")
    for row in range(len(ids)):
        names = sorted((n for n in data if n.startswith(f"image_{row}_")), key=lambda n: int(n.split("_")[-1]))
        width = data["states"].shape[1] if "states" in data else None
        tag = next(t for t in spec.tags.values() if width in (None, t.state_dim))
        pipeline = Pipeline(
            spec, tokenizer, tag, cameras=len(names), bracket=ROOM, horizon=spec.max_horizon, allow_fewer_cameras=True
        )
        seen = Observation(tuple(data[n] for n in names), data["states"][row])
        prepared = pipeline.prepare(seen, str(data["tasks"][row]))
        case.equal(f"prompt ids of row {row}", prepared.ids, ids[row, : len(prepared.ids)])
        yield prepared.vision["patches"][: len(names)]


def compare(case: Case, model: MolmoAct2, batch: Batch, told: tuple[str, Arrays]) -> None:
    """Forward and backward once; every number that the case holds."""
    mode, data = told
    learner = Learner(model)
    hidden, kv = learner.context(batch)
    velocity, target = learner.velocity(kv, batch, mode == "detached")
    assert batch.chunks is not None
    flow = losses.flow_per_row(velocity, target, batch.chunks, model.config.mask_action_dim_padding)
    total = flow.mean()
    case.absolute(f"{mode}: flow", flow.detach().numpy(), data[f"flow_per_example_{mode}"], LOSS)
    case.relative(f"{mode}: velocity", velocity.detach().numpy(), data[f"velocity_{mode}"])
    if f"ce_{mode}" in data:
        ce, z, _ = losses.next_token(hidden, learner.logits, batch.labels)
        count = float(batch.counts[1])
        total = total + ce / count + 1e-4 * z / count
        for name, got in (("ce", float(ce.detach()) / count), ("z", 1e-4 * float(z.detach()) / count)):
            case.absolute(f"{mode}: {name}", np.array([got]), np.array([float(data[f"{name}_{mode}"])]), LOSS)
    total.backward()
    squares: dict[str, float] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            group = group_of(name)
            squares[group] = squares.get(group, 0.0) + float(parameter.grad.double().square().sum())
    for key in [k for k in data if k.startswith("grad_norm_") and k.endswith(f"_{mode}")]:
        group = key.removeprefix("grad_norm_").removesuffix(f"_{mode}")
        norm = squares.get(group, 0.0) ** 0.5
        case.relative(f"{mode}: norm of {group}'s gradient", np.array([norm]), np.array([float(data[key])]))
    named = dict(model.named_parameters())
    for key, name in ((f"grad_qkv0_{mode}", QKV), (f"grad_final_{mode}", FINAL)):
        gradient = named[name].grad
        assert gradient is not None
        case.relative(f"{mode}: {key.removesuffix('_' + mode)}", gradient.numpy(), data[key])
