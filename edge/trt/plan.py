"""What is built for a bundle: a row for each engine, with the shapes that it is built for and the room that takes.

Takes a Bundle and the free memory, gives a plan. Pure: it reads no disk but through the bundle's own facts, and knows
nothing of TensorRT. A bundle has one prompt bracket; its llm of a bundle that generates tokens is one engine with two
profiles, the whole prompt at once and 1 to MOST_NEW_TOKENS tokens of a pass.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from itertools import pairwise

from policy_spec.bundle import Bundle
from policy_spec.errors import UsageError, sentence
from policy_spec.graphs import DYNAMIC, MOST_NEW_TOKENS, GraphSpec
from policy_spec.manifest import GraphFile, Manifest

USUAL_TOKENS = 16  # of a pass: what kernels are chosen for
ROWS = ("rows", "logits")  # whose dynamic side counts wanted logits; of all others it counts tokens
# Measured with TensorRT-RTX on the INT4 llm of the released size: 6.9 GB at the peak for an engine of 1.83 GB.
PARSED, BUILT, FIXED = 1.0, 2.8, 1_000_000_000
SHARE = 0.9  # of the free memory that a build may take
SPLIT = "llm"  # the one graph that is cut into blocks where it would not fit


@dataclass(frozen=True, slots=True)
class Profile:
    """Least, usual and most of each dynamic side, by what it counts."""

    name: str
    tokens: tuple[int, int, int]
    rows: tuple[int, int, int]

    def takes(self, tokens: int, rows: int) -> bool:
        """Whether a run of so many is one of its."""
        return self.tokens[0] <= tokens <= self.tokens[2] and self.rows[0] <= rows <= self.rows[2]

    def shapes(self, tensor: str, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """Least, usual and most shape of an input."""
        sides = self.rows if tensor in ROWS else self.tokens
        return tuple(tuple(size if side == DYNAMIC else side for side in shape) for size in sides)


@dataclass(frozen=True, slots=True)
class Block:
    """Layers [first, stop) of the language model; the first block has what comes before them, the last what follows."""

    first: int
    stop: int
    layers: int

    @property
    def starts(self) -> str | None:
        """The value that this block takes from the one before, None for the first."""
        return None if self.first == 0 else boundary(self.first - 1)

    @property
    def ends(self) -> str | None:
        """The value that it hands on, None for the last."""
        return None if self.stop == self.layers else boundary(self.stop - 1)


@dataclass(frozen=True, slots=True)
class EngineRow:
    """One engine to build."""

    name: str  # of its file: llm, or llm-0 and on where the graph is cut
    graph: str
    onnx: str  # file of the bundle
    profiles: tuple[Profile, ...]  # none: every shape is fixed
    block: Block | None
    weights: int  # bytes of the graph's files
    build_bytes: int  # about, at the peak
    digest: str  # of the graph's files: what the engine was made of


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """All engines of a bundle, in the order in which a call runs them."""

    rows: tuple[EngineRow, ...]
    fits: bool  # every build, by the estimate
    free: int  # bytes


def boundary(layer: int) -> str:
    """The name of what a layer of the language model hands on; export writes it so."""
    return f"llm.blocks.{layer:02d}.out"


def plan_build(bundle: Bundle, free: int, blocks: int = 0) -> BuildPlan:
    """`free`: bytes for a build. `blocks`: of the language model; 0: as few as fit. Raises UsageError."""
    manifest, layers = bundle.manifest, bundle.spec.layers
    if not 0 <= blocks <= layers:
        raise UsageError(sentence("blocks of the language model", expected=f"1 to {layers}", got=blocks))
    rows: list[EngineRow] = []
    for graph in manifest.variant.graphs:
        entry = manifest.graphs[graph]
        weights = sum(manifest.files[name].bytes for name in (entry.file, *entry.data))
        count = 1
        if graph == SPLIT:
            count = blocks or _fewest(weights, free, layers)
        for number, block in enumerate(_blocks(layers, count)):
            rows.append(_row(manifest, graph, entry, weights, (number, block if count > 1 else None, count)))
    return BuildPlan(tuple(rows), all(row.build_bytes <= SHARE * free for row in rows), free)


def _row(
    manifest: Manifest, graph: str, entry: GraphFile, weights: int, cut: tuple[int, Block | None, int]
) -> EngineRow:
    number, block, count = cut
    return EngineRow(
        name=graph if block is None else f"{graph}-{number}",
        graph=graph,
        onnx=entry.file,
        profiles=profiles_of(entry.graph, manifest.bracket),
        block=block,
        weights=weights,
        build_bytes=peak(weights, count),
        digest=digest(manifest, entry),
    )


def profiles_of(graph: GraphSpec, bracket: int) -> tuple[Profile, ...]:
    """The prompt's and the passes', where the graph has dynamic sides; none where all are fixed."""
    if not any(DYNAMIC in tensor.shape for tensor in graph.inputs):
        return ()
    usual = min(USUAL_TOKENS, MOST_NEW_TOKENS)
    passes = (1, usual, MOST_NEW_TOKENS)
    return Profile("prompt", (bracket, bracket, bracket), (1, 1, 1)), Profile("passes", passes, passes)


def peak(weights: int, count: int) -> int:
    """Bytes that building one of `count` blocks takes, about."""
    return int(PARSED * weights + BUILT * weights / count) + FIXED


def digest(manifest: Manifest, entry: GraphFile) -> str:
    """sha256 over the hashes of a graph's files and its inputs and outputs."""
    files = {name: manifest.files[name].sha256 for name in (entry.file, *entry.data)}
    text = json.dumps({"files": files, "graph": asdict(entry.graph)}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fewest(weights: int, free: int, most: int) -> int:
    """The fewest blocks that fit; the most that there can be where none do."""
    return next((count for count in range(1, most + 1) if peak(weights, count) <= SHARE * free), most)


def _blocks(layers: int, count: int) -> list[Block]:
    """`count` blocks of about as many layers each."""
    edges = [number * layers // count for number in range(count + 1)]
    return [Block(first, stop, layers) for first, stop in pairwise(edges)]
