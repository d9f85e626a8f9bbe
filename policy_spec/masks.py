"""Who sees whom: image tokens, what the action expert may attend to, additive masks.

Takes token ids, gives masks. A mask of bools is True where something is seen; an additive one is 0 there and
HIDDEN elsewhere. Knows nothing of models: the ids come from the checkpoint.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import SpecError, sentence

Bools = NDArray[np.bool_]
Ids = NDArray[np.int64]

HIDDEN = np.float32(-1e9)  # added to an attention score: exp() gives exactly 0, and nothing overflows
IMAGE_ATTENTION = ("bidirectional", "causal")


def token_type(ids: Ids, image_ids: Collection[int]) -> Bools:
    """[..., S] True on image tokens, their start, end and column tokens included."""
    return np.isin(ids, np.fromiter(image_ids, np.int64))


def check_image_attention(mode: str) -> str:
    """The switch itself: released inference is bidirectional, fine-tuning causal, and no checkpoint says
    which.
    """
    if mode not in IMAGE_ATTENTION:
        raise SpecError(
            sentence("image attention", expected=f"one of {list(IMAGE_ATTENTION)}", got=repr(mode))
        )
    return mode


def prompt_mask(types: Bools, image_attention: str = "bidirectional") -> Bools:
    """[S, S] the language model's mask: causal, or (bidirectional) both are image tokens of any picture."""
    size = types.shape[-1]
    seen = np.tri(size, dtype=np.bool_)
    if check_image_attention(image_attention) == "bidirectional":
        seen |= types[:, None] & types[None, :]
    return seen


def expert_mask(ids: Ids, action_mode: str, eos_id: int | None, span: tuple[int, int] | None) -> Bools:
    """[S] positions whose keys and values the action expert sees.

    A checkpoint trained on both kinds of actions hides every end-of-sequence token (the leading one too) and
    each discrete answer: from its start token to the next end token at or after it, to the very end where
    none is left. `span` is the pair of start and end token. Other action modes see everything.
    """
    seen = np.ones(ids.shape, np.bool_)
    if action_mode != "both":
        return seen
    if eos_id is not None:
        seen &= ids != eos_id
    if span is not None:
        ends = np.flatnonzero(ids == span[1]).tolist()
        for start in np.flatnonzero(ids == span[0]).tolist():
            while ends and ends[0] < start:
                ends.pop(0)
            if not ends:
                seen[start:] = False
                break
            seen[start : ends.pop(0) + 1] = False
    return seen


def additive(seen: Bools) -> NDArray[np.float32]:
    """0 where seen, HIDDEN where not; float32, same shape."""
    return np.where(seen, np.float32(0), HIDDEN)
