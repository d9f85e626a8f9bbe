"""What a model is taught to say after a prompt: depth codes, FAST tokens of the chunk, or words.

Takes a policy's token ids, gives token ids and labels. A depth answer is `<depth_start>`, the codes, `<depth_end>`; an
action answer `<action_start>`, FAST tokens, `<action_end>`, end of turn. A share of the depth codes that are fed is
replaced by others while the labels stay right, so that a wrong code does not derail the next. Knows nothing of prompts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policy_spec.errors import CheckpointError, DatasetError, sentence
from policy_spec.fast import FastTokenizer
from policy_spec.spec import PolicySpec
from train.data.rows import Array

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Tokens as they are fed and as they should be said."""

    fed: Ints
    said: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Writes answers of one kind. Raises CheckpointError where the policy lacks the tokens."""

    spec: PolicySpec
    kind: str  # of train/recipe/config.py ANSWERS
    fast: FastTokenizer | None = None
    depth_noise: float = 0.0

    def __post_init__(self) -> None:
        wanted: tuple[str, ...] = ()
        if "depth" in self.kind:
            wanted += ("depth_output", "depth_start", "depth_end", "depth_0")
        if "actions" in self.kind:
            wanted += ("action_start", "action_end", "action_0", "eos")
            if self.fast is None or self.fast.size > self.spec.action_tokens:
                got = "none" if self.fast is None else f"one of {self.fast.size} codes"
                expected = f"a FAST tokenizer of at most {self.spec.action_tokens} codes"
                raise CheckpointError(sentence("answers with actions", expected=expected, got=got, do="set start.fast"))
        missing = [name for name in wanted if name not in self.spec.token_ids]
        if missing or ("depth" in self.kind and not self.spec.depth_codes):
            got = ", ".join(missing) or "num_depth_codes = 0"
            raise CheckpointError(sentence(f"this checkpoint cannot answer with {self.kind}", got=f"no {got}"))

    def answer(self, depth: Array | None, actions: Array | None, rng: np.random.Generator) -> Answer:
        """depth [cells] codes, actions [H, D] normalized; only what the kind needs is read."""
        fed, said = list[int](), list[int]()
        if "depth" in self.kind:
            codes = self._codes(depth)
            first, start, end = (self.spec.token_ids[n] for n in ("depth_0", "depth_start", "depth_end"))
            said += [start, *(first + codes).tolist(), end]
            fed += [start, *(first + noised(codes, self.spec.depth_tokens, self.depth_noise, rng)).tolist(), end]
        if "actions" in self.kind:
            assert self.fast is not None and actions is not None
            ids = self.spec.token_ids
            chunk = [ids["action_0"] + code for code in self.fast.encode(actions)]
            tokens = [ids["action_start"], *chunk, ids["action_end"], ids["eos"]]
            fed, said = fed + tokens, said + tokens
        return Answer(np.asarray(fed, np.int64), np.asarray(said, np.int64))

    def _codes(self, depth: Array | None) -> Ints:
        cells, values = self.spec.depth_codes, self.spec.depth_tokens
        if depth is None or depth.shape != (cells,) or depth.min() < 0 or depth.max() >= values:
            got = "none" if depth is None else f"{list(depth.shape)}, {depth.min()} to {depth.max()}"
            do = "label the dataset (armside depth label), or set answer to none"
            raise DatasetError(sentence("depth codes", expected=f"[{cells}], 0 to {values - 1}", got=got, do=do))
        return depth.astype(np.int64)


def noised(codes: Ints, values: int, share: float, rng: np.random.Generator) -> Ints:
    """Each code with probability `share` another one, any of them."""
    other = rng.integers(0, values, codes.shape)
    out: Ints = np.where(rng.random(codes.shape) < share, other, codes)
    return out
