"""What enters each product, in numbers that schemes can be fitted to: one ProductStats per quantizable weight.

Takes rows of activations, in as many pieces as they come; gives magnitudes, percentiles, an evenly spread sample and,
where asked for, the Gram matrix. Written as npz without objects. Knows nothing of where the rows come from (ONNX
Runtime with extra outputs, or the reference layers one at a time), nor of schemes.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policy_spec.errors import QuantError, sentence

SAMPLE_ROWS = 512
_TAIL = 0.001  # of the magnitudes seen, on each side, lies beyond low_999 and high_999
_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class ProductStats:
    """Of the activations x [rows, K] that enter one MatMul."""

    weight: str  # the initializer's name, as the plan knows it
    rows: int  # rows seen
    largest: np.ndarray  # float32 [K], max |x| per input channel
    low: float  # least and greatest value of all
    high: float
    low_999: float  # all but a thousandth of the sampled values lie above low_999, and below high_999
    high_999: float
    mean_square: np.ndarray  # float64 [K]
    sample: np.ndarray  # float32 [n <= 512, K], rows spread evenly over all that were seen
    gram: np.ndarray | None = None  # float64 [K, K], X^T X / rows, where asked for


class Statistics(Mapping[str, ProductStats]):
    """ProductStats by weight."""

    def __init__(self, products: Mapping[str, ProductStats]) -> None:
        self._products = dict(products)

    def __getitem__(self, weight: str) -> ProductStats:
        return self._products[weight]

    def __iter__(self) -> Iterator[str]:
        return iter(self._products)

    def __len__(self) -> int:
        return len(self._products)

    def need(self, weight: str, scheme: str) -> ProductStats:
        """The statistics of one weight. Raises QuantError where there are none, naming the scheme that needs them."""
        if weight not in self._products:
            raise QuantError(
                sentence(
                    f"scheme {scheme} needs the activations that enter {weight}",
                    expected="statistics of that product",
                    got=f"statistics of {len(self)} other products" if self._products else "none",
                    do="give calibration episodes, or choose a weight-only scheme for its group",
                )
            )
        return self._products[weight]

    def save(self, path: Path) -> None:
        """Writes an npz, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, np.ndarray] = {"format": np.array(_FORMAT), "weights": np.array(list(self), dtype=np.str_)}
        for number, product in enumerate(self._products.values()):
            bounds = (product.low, product.high, product.low_999, product.high_999)
            arrays[f"{number}.rows"] = np.array(product.rows)
            arrays[f"{number}.bounds"] = np.array(bounds, dtype=np.float64)
            for part in ("largest", "mean_square", "sample"):
                arrays[f"{number}.{part}"] = getattr(product, part)
            if product.gram is not None:
                arrays[f"{number}.gram"] = product.gram
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @staticmethod
    def load(path: Path) -> Statistics:
        """Reads what `save` wrote. Raises QuantError where the file is not that."""
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                if int(file["format"]) != _FORMAT:
                    raise QuantError(
                        sentence(f"format of {path}", expected=str(_FORMAT), got=int(file["format"]), do="collect anew")
                    )
                weights = [str(name) for name in file["weights"]]
                return Statistics({name: _read(file, number, name) for number, name in enumerate(weights)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise QuantError(
                sentence(f"{path} holds no activation statistics: {error}", do="collect them anew")
            ) from error


def _read(file: Mapping[str, np.ndarray], number: int, weight: str) -> ProductStats:
    low, high, low_999, high_999 = (float(value) for value in file[f"{number}.bounds"])
    gram = file.get(f"{number}.gram")
    largest, mean_square, sample = (file[f"{number}.{part}"] for part in ("largest", "mean_square", "sample"))
    rows = int(file[f"{number}.rows"])
    return ProductStats(weight, rows, largest, low, high, low_999, high_999, mean_square, sample, gram)


class _Running:
    """The sums of one product."""

    def __init__(self, weight: str, width: int, gram: bool) -> None:
        self.weight, self.rows = weight, 0
        self.largest = np.zeros(width, dtype=np.float32)
        self.low, self.high = np.inf, -np.inf
        self.square = np.zeros(width, dtype=np.float64)
        self.gram = np.zeros((width, width), dtype=np.float64) if gram else None
        self.kept: list[np.ndarray] = []
        self.stride = 1  # every stride-th row is kept; doubled when there are too many

    def add(self, x: np.ndarray) -> None:
        if not np.isfinite(x).all():
            raise QuantError(sentence(f"activations of {self.weight} are not finite", do="check the graphs first"))
        np.maximum(self.largest, np.abs(x).max(axis=0), out=self.largest)
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        self.square += np.einsum("nk,nk->k", x, x, dtype=np.float64)
        if self.gram is not None:
            wide = x.astype(np.float64)
            self.gram += wide.T @ wide
        first = -self.rows % self.stride
        self.kept.extend(row.copy() for row in x[first :: self.stride])
        self.rows += len(x)
        while len(self.kept) > SAMPLE_ROWS:
            self.kept, self.stride = self.kept[::2], self.stride * 2

    def done(self) -> ProductStats:
        sample = np.stack(self.kept)
        low, high = np.quantile(sample, [_TAIL, 1 - _TAIL])
        gram = None if self.gram is None else self.gram / self.rows
        bounds = (self.low, self.high, float(low), float(high))
        return ProductStats(self.weight, self.rows, self.largest, *bounds, self.square / self.rows, sample, gram)


class Accumulator:
    """Collects rows by weight. `gram` says whether a weight's Gram matrix is kept: K x K float64, so 190 MB each at
    K = 4864: collect those layer by layer.
    """

    def __init__(self, gram: bool | Callable[[str], bool] = False) -> None:
        self._gram = gram if callable(gram) else lambda _weight: gram
        self._running: dict[str, _Running] = {}

    def add(self, weight: str, x: np.ndarray) -> None:
        """Rows x [..., K], float32. Raises QuantError where they are not finite or K is not as before."""
        x = np.ascontiguousarray(x, dtype=np.float32).reshape(-1, x.shape[-1])
        if not len(x):
            return
        if weight not in self._running:
            self._running[weight] = _Running(weight, x.shape[1], self._gram(weight))
        running = self._running[weight]
        if len(running.largest) != x.shape[1]:
            width = len(running.largest)
            raise QuantError(sentence(f"activations of {weight}", expected=f"width {width}", got=x.shape))
        running.add(x)

    def done(self) -> Statistics:
        """The statistics of every weight that rows were added for."""
        return Statistics({weight: running.done() for weight, running in self._running.items() if running.rows})
