"""The losses, element by element as their formulas say, in float64; and that cutting a batch changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from policy_spec.errors import SpecError
from train.learn.batch import IGNORED, Batch, Chunks
from train.learn.losses import Sums, Weights, flow_per_row, next_token, trajectory
from train.learn.noise import FlowTimes

B, K, H, A = 2, 3, 4, 5


def chunks(seed: int = 0) -> Chunks:
    """Two rows; the second has two padded steps, both have two padded dims that hold numbers all the same."""
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    steps = torch.zeros(B, H, dtype=torch.bool)
    steps[1, 2:] = True
    dims = torch.zeros(B, A, dtype=torch.bool)
    dims[:, 3:] = True
    times = torch.rand(B, K, generator=draw, dtype=torch.float64)
    return Chunks(normal(B, H, A), steps, dims, normal(B, K, H, A), times, torch.ones(B, dtype=torch.bool))


def test_points_and_targets_are_those_of_the_formula() -> None:
    c = chunks()
    point, target = trajectory(c)
    for b, k, h, a in np.ndindex(B, K, H, A):
        t, noise, action = (float(x) for x in (c.times[b, k], c.noise[b, k, h, a], c.actions[b, h, a]))
        if a >= 3:
            noise = action = 0.0
        assert float(point[b, k, h, a]) == pytest.approx((1 - t) * noise + t * action, abs=1e-15)
        assert float(target[b, k, h, a]) == pytest.approx(action - noise, abs=1e-15)


@pytest.mark.parametrize("mask_dims", [True, False])
def test_the_flow_loss_by_hand(mask_dims: bool) -> None:
    c = chunks()
    velocity = torch.randn(B, K, H, A, dtype=torch.float64, generator=torch.Generator().manual_seed(9))
    _, target = trajectory(c)
    got = flow_per_row(velocity, target, c, mask_dims)
    for b in range(B):
        total = 0.0
        for k, h in np.ndindex(K, H):
            errors = [float(velocity[b, k, h, a] - target[b, k, h, a]) ** 2 for a in range(3 if mask_dims else A)]
            total += 0.0 if bool(c.step_is_pad[b, h]) else sum(errors) / len(errors)  # a padded step is 0, and counted
        assert float(got[b]) == pytest.approx(total / (K * H), rel=1e-12)


def test_a_padded_step_that_is_counted_is_seen() -> None:
    c = chunks()
    velocity = torch.zeros(B, K, H, A, dtype=torch.float64)
    _, target = trajectory(c)
    moved = velocity.clone()
    moved[1, :, 2:] += 100.0  # padded steps
    moved[:, :, :, 3:] += 100.0  # padded dims
    same = [flow_per_row(v, target, c, True) for v in (velocity, moved)]
    assert torch.equal(same[0], same[1])
    moved[1, 0, 0, 0] += 1.0
    assert not torch.equal(flow_per_row(moved, target, c, True), same[0])


def test_cross_entropy_and_z_by_hand() -> None:
    hidden = torch.randn(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    head = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels = torch.tensor([[IGNORED, IGNORED, 4, 1]])
    ce, z, right = next_token(hidden, lambda x: x @ head.T, labels)
    expected_ce = expected_z = expected_right = 0.0
    for position, label in ((1, 4), (2, 1)):  # the position before a label says it
        logits = [float(hidden[0, position] @ head[token]) for token in range(5)]
        log_z = math.log(sum(math.exp(x) for x in logits))
        expected_ce += log_z - logits[label]
        expected_z += log_z**2
        expected_right += logits.index(max(logits)) == label
    assert float(ce) == pytest.approx(expected_ce, rel=1e-12)
    assert float(z) == pytest.approx(expected_z, rel=1e-12)
    assert float(right) == expected_right


def test_no_label_gives_nothing_and_still_a_gradient() -> None:
    head = torch.nn.Linear(3, 5, bias=False)
    ce, z, right = next_token(torch.randn(1, 4, 3), head, torch.full((1, 4), IGNORED))
    (ce + z).backward()
    assert (ce.item(), z.item(), right.item()) == (0.0, 0.0, 0.0)
    assert head.weight.grad is not None and not head.weight.grad.any()


def test_parts_of_a_batch_add_up() -> None:
    """Two micro-batches of unequal numbers of tokens: divided by the counts of both, as one batch would be."""

    def sums(flow: float, ce: float, z: float) -> Sums:
        return Sums(*(torch.tensor(v, dtype=torch.float64) for v in (flow, ce, z, 0.0)))

    weights, counts = Weights(flow=2.0, lm=0.5, z=0.1), torch.tensor([3.0, 7.0])
    whole = weights.total(sums(6.0, 14.0, 21.0), counts)
    assert float(whole) == pytest.approx(2.0 * 2.0 + 0.5 * 2.0 + 0.1 * 3.0)
    parts = weights.total(sums(1.0, 4.0, 20.0), counts) + weights.total(sums(5.0, 10.0, 1.0), counts)
    assert float(parts) == pytest.approx(float(whole))


def test_counts_leave_out_first_tokens_and_rows_of_text() -> None:
    c = chunks()
    present = torch.tensor([True, False])
    ids = torch.zeros(B, 6, dtype=torch.int64)
    labels = torch.full((B, 6), IGNORED)
    labels[0, 0] = labels[0, 5] = labels[1, 3] = 1  # nothing comes before the first
    moved = Chunks(c.actions, c.step_is_pad, c.dim_is_pad, c.noise, c.times, present)
    batch = Batch(ids, ids.float(), ids.bool(), labels, torch.zeros(0, 1, 1, dtype=torch.uint8), moved)
    assert batch.counts.tolist() == [1.0, 2.0]


def test_a_batch_of_unequal_shapes_is_refused() -> None:
    c = chunks()
    with pytest.raises(SpecError, match=r"batch: times; expected: \[2, 3\]; got: \[2, 2\]"):
        Chunks(c.actions, c.step_is_pad, c.dim_is_pad, c.noise, c.times[:, :2], c.present)


def test_flow_times_are_those_of_the_recipe() -> None:
    times = FlowTimes().draw(np.random.default_rng(0), 200_000)
    assert times.dtype == np.float32 and times.min() >= 0.001 and times.max() <= 1.0
    mean = 0.001 + 0.999 * 1.0 / (1.0 + 1.5)
    assert times.mean() == pytest.approx(mean, abs=2e-3)
    quantile = 0.001 + 0.999 * (1 - 0.5 ** (1 / 1.5))  # Beta(1, b): 1 - (1 - p)^(1/b)
    assert np.median(times) == pytest.approx(quantile, abs=3e-3)
    assert FlowTimes.from_config({"flow_matching_beta_alpha": 2.0}).alpha == 2.0
    assert FlowTimes.from_config({}) == FlowTimes()
