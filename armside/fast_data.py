"""The chunks that `armside fast` works on: cut out of a dataset, normalized by its own or given statistics."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from policy_spec.errors import UsageError, sentence

if TYPE_CHECKING:
    from episodes.action_chunks import Actions, Windows
    from policy_spec.norm import Normalizer

FIT_FILE = "armside_fit.json"  # beside the released files, which nobody else needs to read
FORMAT, VERSION = "armside-fast-fit", 1


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """Normalized chunks and where they came from."""

    actions: Actions
    windows: Windows
    horizon: int
    chunks: np.ndarray  # [N, H, D] float32 normalized
    stats: dict[str, Any] | None  # of norm_stats.json; None: the data was normalized already
    grippers: tuple[str, ...]
    given: bool  # the statistics are not the data's own

    @property
    def scaling(self) -> str:
        """For a person."""
        if self.stats is None:
            return "taken as normalized already"
        apart = f"; {', '.join(self.grippers)} by the whole range" if self.grippers else "; no gripper named"
        return f"1st to 99th percentile{apart}; statistics {'of the fit' if self.given else 'of this data'}"


def load(args: argparse.Namespace, fitted: dict[str, Any] | None = None) -> Data:
    """Reads what the command line asks for. fitted: statistics that are used if they are of the same dimensions and
    no gripper is given. Raises ArmsideError.
    """
    from episodes.action_chunks import open_actions, windows
    from episodes.action_stats import action_stats, grippers

    for name in ("horizon", "chunks"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UsageError(sentence(f"--{name}", expected="at least 1", got=value))
    actions = open_actions(args.dataset, args.array)
    horizon = args.horizon or actions.horizon()
    cut = windows(actions, horizon, args.chunks)
    apart = grippers(actions.names, args.gripper)
    if args.normalized:
        return Data(actions, cut, horizon, cut.values, None, apart, False)
    given = fitted is not None and fitted["names"] == list(actions.names) and args.gripper is None
    stats = fitted if fitted is not None and given else action_stats(actions.frames, actions.names, apart)
    return Data(actions, cut, horizon, normalizer(stats).normalize(cut.values), stats, apart, given)


def normalizer(stats: dict[str, Any]) -> Normalizer:
    """As a policy with these statistics scales."""
    from episodes.action_stats import MODE
    from policy_spec.norm import Normalizer

    return Normalizer.from_stats(stats, MODE)
