"""A tiny depth checkpoint's text files, and a think bundle's graphs in numpy that check every feed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from policy_spec.graphs import DYNAMIC, Variant, graph_specs
from policy_spec.pipeline import Pipeline
from policy_spec.spec import PolicySpec
from tests.policy_spec import tiny
from tests.policy_spec.depth_model import Model

CELLS, VALUES = 9, 6
_NAMES = [name if name != "<depth_0>" else "<unused>" for name in tiny.NAMES] + [f"<depth_{i}>" for i in range(VALUES)]
DEPTH_0 = tiny.BASE + len(tiny.NAMES)


def checkpoint(folder: Path) -> Path:
    """tiny's, with depth maps of 3 x 3 cells."""
    changes = {"num_depth_tokens": VALUES, "num_depth_codes": CELLS, "depth_token_start_id": DEPTH_0}
    tiny.checkpoint(folder, enable_depth_reasoning=True, **changes)
    tiny.write_tokenizer(folder / "tokenizer.json", _NAMES)
    return folder


def host(spec: PolicySpec, folder: Path, **changes: Any) -> Pipeline:
    tokenizer = spec.tokenizer(folder / "tokenizer.json")
    given = {
        "cameras": 2,
        "bracket": spec.bracket(tokenizer, 2),
        "horizon": 6,
        "style": "robot_depth_action",
        **changes,
    }
    return Pipeline(spec, tokenizer, spec.tag(), **given)


class Graphs:
    """`llm` is depth_model's: a function of all tokens in the cache. `flow` adds 1 where the robot has a dimension."""

    def __init__(self, pipeline: Pipeline, variant: Variant, seed: int = 3) -> None:
        self.sizes = (pipeline.cameras, pipeline.bracket, pipeline.horizon)
        self.spec, self.variant = pipeline.spec, variant
        self.specs = graph_specs(pipeline.spec, *self.sizes, variant)
        self.model = Model(seed, reach=999, by_place=False)
        self.cache = np.zeros(pipeline.bracket + variant.new_tokens, np.int64)  # token by place
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def names(self) -> list[str]:
        return [graph for graph, _ in self.calls]

    def passes(self) -> list[list[int]]:
        """Tokens of each run of llm after the prompt's."""
        fed = [feeds["input_ids"][0].tolist() for graph, feeds in self.calls if graph == "llm"]
        return fed[1:]

    def __call__(self, graph: str, feeds: Mapping[str, Any], /) -> Mapping[str, Any]:
        self._check(graph, feeds)
        self.calls.append((graph, {name: np.array(value) for name, value in feeds.items()}))
        if graph == "llm":
            return {"logits": self._llm(feeds)}
        if graph == "flow":
            return {"next": feeds["trajectory"] + feeds["dim_mask"]}
        return {t.name: np.zeros(t.shape, t.dtype) for t in self.specs[graph].outputs}

    def _check(self, graph: str, feeds: Mapping[str, Any]) -> None:
        table = {t.name: t for t in self.specs[graph].inputs if not t.name.startswith("cache_")}
        assert feeds.keys() == table.keys()
        for name, value in feeds.items():
            wanted = table[name].shape
            assert str(value.dtype) == table[name].dtype and value.ndim == len(wanted), name
            assert all(side in (DYNAMIC, got) for got, side in zip(value.shape, wanted, strict=True)), name

    def _llm(self, feeds: Mapping[str, Any]) -> np.ndarray:
        """[1, M, V]: the first logits of the whole vocabulary, the codes' at their ids, or the codes' alone."""
        places = feeds["positions"][0]
        self.cache[places] = feeds["input_ids"][0]
        size = self.spec.head_rows if self.variant.head == "full" else VALUES
        out = np.full((1, feeds["rows"].shape[1], size), -9, np.float32)
        for number, row in enumerate(feeds["rows"][0]):
            prefix = self.cache[: places[row] + 1].tolist()
            codes = self.model.logits(prefix)
            if self.variant.head == "full":
                out[0, number, DEPTH_0 : DEPTH_0 + VALUES] = codes
                out[0, number, tiny.token("<depth_end>")] = 9  # never among the codes: those look at their rows only
            else:
                out[0, number] = codes
        return out
