"""One training batch: what the model is shown, what it should answer, and the noise that the flow starts from.

Takes tensors, checks their shapes once. Rows are padded on the right; a pad stands causally after every token, is
hidden from the expert and has no label, so that it changes nothing. Knows nothing of models or datasets.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from policy_spec.errors import SpecError, sentence

IGNORED = -100  # label of a token that nothing is learned from


@dataclass(frozen=True, slots=True, eq=False)
class Chunks:
    """The action chunks of a batch. K chunks of noise belong to each row."""

    actions: Tensor  # [B, H, A] float, normalized; 0 where padded
    step_is_pad: Tensor  # [B, H] bool: after the episode's end
    dim_is_pad: Tensor  # [B, A] bool: dimensions that the robot does not have
    noise: Tensor  # [B, K, H, A] standard normal
    times: Tensor  # [B, K] flow times in (0, 1]
    present: Tensor  # [B] bool: rows that have a chunk at all (a row of text has none)

    def __post_init__(self) -> None:
        rows, steps, width = self.actions.shape
        samples = self.noise.shape[1]
        for name, wanted in (
            ("step_is_pad", (rows, steps)),
            ("dim_is_pad", (rows, width)),
            ("noise", (rows, samples, steps, width)),
            ("times", (rows, samples)),
            ("present", (rows,)),
        ):
            check_shape(name, getattr(self, name), wanted)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Everything that one step sees."""

    input_ids: Tensor  # [B, S] int64
    token_type: Tensor  # [B, S] float: 1 on image tokens; all 0 for a purely causal mask
    visible: Tensor  # [B, S] bool: positions that the expert may attend to
    labels: Tensor  # [B, S] int64: the token itself where it is learned, IGNORED elsewhere
    patches: Tensor  # [N, P, 3 * patch^2] uint8: all pictures, row by row
    chunks: Chunks | None  # None: nothing but next tokens is learned

    def __post_init__(self) -> None:
        for name in ("token_type", "visible", "labels"):
            check_shape(name, getattr(self, name), tuple(self.input_ids.shape))

    @property
    def counts(self) -> Tensor:
        """[2] float64: rows with a chunk, tokens with a label. What the losses are divided by."""
        rows = 0 if self.chunks is None else int(self.chunks.present.sum())
        return torch.tensor([rows, int((self.labels[:, 1:] != IGNORED).sum())], dtype=torch.float64)

    def to(self, device: torch.device | str) -> Batch:
        """The same on another device."""
        chunks = None if self.chunks is None else _moved(self.chunks, device)
        return replace(_moved(self, device), chunks=chunks)


def _moved(data, device):  # type: ignore[no-untyped-def]  # of either class
    names = [f.name for f in fields(data) if isinstance(getattr(data, f.name), Tensor)]
    return replace(data, **{name: getattr(data, name).to(device, non_blocking=True) for name in names})


def check_shape(name: str, tensor: Tensor, wanted: tuple[int, ...]) -> None:
    """Raises SpecError where a part of a batch has another shape than the rest asks for."""
    if tuple(tensor.shape) != wanted:
        raise SpecError(sentence(f"batch: {name}", expected=list(wanted), got=list(tensor.shape)))
