"""Normalization: a robot's own units to the policy's -1..1 and back, and what a norm tag says of a robot.

Takes the parsed norm_stats.json, gives frozen `Normalizer` and `NormTag`. All arithmetic is float32 in the
order of the released policy, so that states fall into the same bins. Knows nothing of files, joint frames or
SI units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from policy_spec.errors import CheckpointError, SpecError, sentence

Float32 = NDArray[np.float32]

EPS = np.float32(1e-6)  # the smallest range or deviation that is divided by
_FORMAT = "molmoact2_norm_stats.v1"

# mode: the two statistics it needs; whether it clips to -1..1 (masked-out dims too) before the affine step
_MODES: dict[str, tuple[tuple[str, ...], bool]] = {
    "q01_q99": (("q01", "q99"), True),
    "q10_q90": (("q10", "q90"), True),
    "min_max": (("min", "max"), True),
    "mean_std": (("mean", "std"), False),
    "none": ((), False),
}
_STATS = ("mean", "std", "min", "max", "q01", "q99", "q10", "q90", "mask", "names")  # each tells the width


@dataclass(frozen=True, slots=True)
class Normalizer:
    """One affine map per dimension. `first` and `second`: low and high, or mean and deviation."""

    mode: str
    dim: int
    first: tuple[float, ...] = ()  # [D] float32 values; empty in mode none
    second: tuple[float, ...] = ()  # [D]
    mask: tuple[bool, ...] | None = None  # [D] False: the dimension passes through as it is
    zero: tuple[bool, ...] | None = None  # [D] True: min == max, the normalized value is 0
    _a: Float32 = field(init=False, repr=False, compare=False)
    _b: Float32 = field(init=False, repr=False, compare=False)
    _mask: NDArray[np.bool_] | None = field(init=False, repr=False, compare=False)
    _zero: NDArray[np.bool_] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.mode not in _MODES:
            raise CheckpointError(
                sentence(
                    "norm_stats.json: norm_mode", expected=f"one of {sorted(_MODES)}", got=repr(self.mode)
                )
            )
        for name in ("first", "second", "mask", "zero"):
            value = getattr(self, name)
            if value and len(value) != self.dim:
                raise CheckpointError(
                    sentence(f"norm_stats.json: width of {name}", expected=self.dim, got=len(value))
                )
        object.__setattr__(self, "_a", np.asarray(self.first, np.float32))
        object.__setattr__(self, "_b", np.asarray(self.second, np.float32))
        object.__setattr__(self, "_mask", None if self.mask is None else np.asarray(self.mask, np.bool_))
        object.__setattr__(self, "_zero", None if self.zero is None else np.asarray(self.zero, np.bool_))

    @classmethod
    def from_stats(cls, stats: Mapping[str, Any] | None, mode: str, dim: int | None = None) -> Normalizer:
        """Picks what the mode needs out of one *_stats object. `dim`: the width where there are none."""
        if mode not in _MODES:
            raise CheckpointError(
                sentence("norm_stats.json: norm_mode", expected=f"one of {sorted(_MODES)}", got=repr(mode))
            )
        stats = stats or {}
        needed, clips = _MODES[mode]
        missing = [key for key in needed if stats.get(key) is None]
        if missing:
            raise CheckpointError(
                sentence(
                    f"norm_stats.json: statistics {missing} are missing",
                    expected=f"{list(needed)} for {mode}",
                )
            )
        if mode == "none":
            width = next((len(stats[key]) for key in _STATS if isinstance(stats.get(key), Sequence)), dim)
            if width is None:
                raise CheckpointError(
                    sentence("norm_stats.json: no width", expected="action_dim or statistics in mode none")
                )
            return cls(mode, width)
        first, second = (_vector(stats[key], key) for key in needed)
        # A constant dimension is told by min == max in every clipping mode, and by nothing else.
        low, high = stats.get("min"), stats.get("max")
        zero = None
        if clips and low is not None and high is not None:
            bounds = _numbers(low, "min"), _numbers(high, "max")
            if bounds[0].shape != bounds[1].shape:
                raise CheckpointError(
                    sentence("norm_stats.json: width of max", expected=len(bounds[0]), got=len(bounds[1]))
                )
            zero = tuple(bool(same) for same in bounds[0] == bounds[1])
        mask = stats.get("mask")
        if mask is not None:
            mask = tuple(bool(m) for m in (mask if isinstance(mask, Sequence) else [mask] * len(first)))
        return cls(mode, len(first), first, second, mask, zero)

    def normalize(self, x: ArrayLike) -> Float32:
        """Robot units [..., D] to normalized [..., D] float32. A NaN stays one (the state bins make it 0)."""
        values = np.asarray(x, np.float32)
        if self.mode == "none":
            return values.copy()
        if self.mode == "mean_std":
            out = (values - self._a) / np.maximum(self._b, EPS)
        else:
            out = np.float32(2) * (values - self._a) / np.maximum(self._b - self._a, EPS) - np.float32(1)
            out = np.clip(out, np.float32(-1), np.float32(1))
        if self._mask is not None:
            out = np.where(self._mask, out, values)
        if self._zero is not None:
            out = np.where(self._zero, np.float32(0), out)
        return np.asarray(out, np.float32)

    def unnormalize(self, x: ArrayLike) -> Float32:
        """Normalized [..., D] to robot units [..., D] float32. A clipping mode clips masked-out dims too."""
        values = np.asarray(x, np.float32)
        if self.mode == "none":
            return values.copy()
        if self.mode == "mean_std":
            out = values * self._b + self._a
        else:
            values = np.clip(values, np.float32(-1), np.float32(1))
            out = (values + np.float32(1)) * (self._b - self._a) / np.float32(2) + self._a
        if self._mask is not None:
            out = np.where(self._mask, out, values)
        return np.asarray(out, np.float32)

    def half_range(self) -> Float32:
        """Robot units per normalized unit [D]: the scale that turns an action error into a normalized one."""
        if self.mode == "none":
            return np.ones(self.dim, np.float32)
        out = self._b if self.mode == "mean_std" else (self._b - self._a) / np.float32(2)
        return out.copy() if self._mask is None else np.where(self._mask, out, np.float32(1))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; float32 values survive as Python floats."""
        return {
            "mode": self.mode,
            "dim": self.dim,
            "first": list(self.first),
            "second": list(self.second),
            "mask": None if self.mask is None else list(self.mask),
            "zero": None if self.zero is None else list(self.zero),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Normalizer:
        """The inverse of to_json."""
        return cls(
            data["mode"],
            data["dim"],
            tuple(data["first"]),
            tuple(data["second"]),
            None if data["mask"] is None else tuple(data["mask"]),
            None if data["zero"] is None else tuple(data["zero"]),
        )


@dataclass(frozen=True, slots=True)
class NormTag:
    """What one tag of norm_stats.json says of a robot: its words, cameras, sizes and statistics."""

    tag: str
    setup_type: str  # as it stands in the prompt
    control_mode: str
    camera_keys: tuple[str, ...]  # the dataset's full keys, in the prompt's order
    action_dim: int
    state_dim: int
    horizon: int  # steps of a chunk
    n_action_steps: int  # steps of it that are executed at most
    state: Normalizer
    action: Normalizer

    @property
    def camera_slots(self) -> tuple[str, ...]:
        """The short names that a user types: the last part of each key; whole keys where two would clash."""
        short = tuple(key.rsplit(".", 1)[-1] for key in self.camera_keys)
        return short if len(set(short)) == len(short) else self.camera_keys

    @classmethod
    def from_metadata(cls, tag: str, data: Mapping[str, Any], mode: str, limits: Limits) -> NormTag:
        """One entry of metadata_by_tag. Raises CheckpointError on missing statistics or sizes beyond
        `limits`.
        """
        for key in ("action_stats", "state_stats"):
            if data.get(key) is None and mode != "none":
                raise CheckpointError(
                    sentence(f"norm_stats.json: tag {tag!r} has no {key}", expected=f"statistics for {mode}")
                )
        # Without statistics the released policy takes the model's whole width, whatever action_dim says.
        action = Normalizer.from_stats(data.get("action_stats"), mode, limits.max_action_dim)
        state = Normalizer.from_stats(
            data.get("state_stats"), mode, data.get("state_dim", data.get("action_dim"))
        )
        horizon = _positive(tag, data, "action_horizon", limits.max_horizon)
        steps = _positive(tag, data, "n_action_steps", horizon)
        for what, got, most in (
            ("action_dim", action.dim, limits.max_action_dim),
            ("action_horizon", horizon, limits.max_horizon),
            ("n_action_steps", steps, horizon - limits.n_obs_steps + 1),
        ):
            if got > most:
                raise CheckpointError(
                    sentence(f"norm_stats.json: {what} of tag {tag!r}", expected=f"at most {most}", got=got)
                )
        return cls(
            tag=tag,
            setup_type=str(data.get("setup_type") or ""),
            control_mode=str(data.get("control_mode") or ""),
            camera_keys=tuple(str(key) for key in data.get("camera_keys") or ()),
            action_dim=action.dim,
            state_dim=state.dim,
            horizon=horizon,
            n_action_steps=steps,
            state=state,
            action=action,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        out: dict[str, Any] = {name: getattr(self, name) for name in self.__dataclass_fields__}
        out["camera_keys"] = list(self.camera_keys)
        out["state"], out["action"] = self.state.to_json(), self.action.to_json()
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> NormTag:
        """The inverse of to_json."""
        parts = {
            "camera_keys": tuple(data["camera_keys"]),
            "state": Normalizer.from_json(data["state"]),
            "action": Normalizer.from_json(data["action"]),
        }
        return cls(**{**data, **parts})


@dataclass(frozen=True, slots=True)
class Limits:
    """The model's own sizes that no tag may exceed."""

    max_horizon: int
    max_action_dim: int
    n_obs_steps: int


def read_tags(payload: Mapping[str, Any], limits: Limits) -> tuple[str, dict[str, NormTag]]:
    """The parsed norm_stats.json: its norm mode and all its tags by name."""
    fmt = payload.get("format", _FORMAT)
    if fmt != _FORMAT:
        raise CheckpointError(sentence("norm_stats.json: format", expected=_FORMAT, got=repr(fmt)))
    mode = str(payload.get("norm_mode", "min_max"))
    entries = payload.get("metadata_by_tag")
    if not isinstance(entries, Mapping) or not entries:
        raise CheckpointError(
            sentence("norm_stats.json: metadata_by_tag", expected="at least one tag", got=entries)
        )
    return mode, {
        str(tag): NormTag.from_metadata(str(tag), entry, mode, limits) for tag, entry in entries.items()
    }


def pick_tag(tags: Mapping[str, NormTag], name: str | None) -> NormTag:
    """The named tag; None is an answer only where there is just one. Raises SpecError listing the allowed."""
    if name is None and len(tags) == 1:
        return next(iter(tags.values()))
    if name is None or name not in tags:
        raise SpecError(
            sentence(
                "norm tag is not given" if name is None else "unknown norm tag",
                expected=f"one of {sorted(tags)}",
                got=None if name is None else repr(name),
                do="give the tag of the robot that is driven (--norm-tag)",
            )
        )
    return tags[name]


def _numbers(values: Any, name: str) -> Float32:
    try:
        return np.asarray(values, np.float32).reshape(-1)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            sentence(f"norm_stats.json: {name}", expected="a list of numbers", got=repr(values)[:80])
        ) from error


def _vector(values: Any, name: str) -> tuple[float, ...]:
    array = _numbers(values, name)
    if not np.isfinite(array).all():
        raise CheckpointError(
            sentence(f"norm_stats.json: {name}", expected="finite numbers", got=array.tolist())
        )
    return tuple(float(v) for v in array)


def _positive(tag: str, data: Mapping[str, Any], key: str, default: int) -> int:
    value = data.get(key)
    if value is None:
        return default
    if int(value) < 1:
        raise CheckpointError(
            sentence(f"norm_stats.json: {key} of tag {tag!r}", expected="at least 1", got=value)
        )
    return int(value)
