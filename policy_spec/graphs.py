"""The graphs of each mode by name: what each takes and gives. Data only; docs/architecture.md says it in words.

Takes a PolicySpec and the sizes that an export fixes; gives names, types and shapes. Who runs the graphs and who
checks them read this table; a test holds those that are written to it. Knows nothing of onnx.

Tensors named `cache_*` belong to whoever runs the graphs: the host neither feeds nor reads them. A runner keeps one
buffer for each name, for all graphs, and what a graph gives as `cache_x_next` is written into `cache_x`. What a cache
holds before a prompt does not matter, as long as it is finite: whatever is seen has been written before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from policy_spec.errors import SpecError, sentence

if TYPE_CHECKING:
    from policy_spec.spec import PolicySpec

GRAPHS = ("vision", "llm", "flow")  # in the order in which a call runs them; flow once per Euler step
_GRAPHS = {"continuous": GRAPHS, "think": ("vision", "llm", "context", "flow"), "discrete": ("vision", "llm")}
EVERY_GRAPH = ("vision", "llm", "context", "flow")
MODES = tuple(_GRAPHS)
HEADS = {"continuous": ("",), "think": ("depth", "full"), "discrete": ("action", "full")}  # the default first
DYNAMIC = -1  # a side of a shape that each run chooses
MOST_NEW_TOKENS = 128  # that one run of a cached `llm` takes after the prompt
EXTRA_TOKENS = 8  # room after the last code, <depth_end> included; or the model's horizon, where that is more
FAST_TOKENS = 16  # per step of a discrete chunk, as released
ACTION_HEAD = ("action_start", "action_end", "eos")  # its first logits; action_0, action_1, ... follow
CACHE, NEXT = "cache_", "_next"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output. A side of DYNAMIC is chosen by each run; all others are static."""

    name: str
    dtype: str  # numpy's name
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of a buffer that holds it; a dynamic side counts as 1."""
        size = {"uint8": 1, "int32": 4, "float32": 4, "float16": 2}[self.dtype]
        for side in self.shape:
            size *= 1 if side == DYNAMIC else side
        return size


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph's inputs and outputs, in order."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """What a bundle was exported to do, and the room that it needs for it."""

    mode: str = "continuous"  # one of MODES
    head: str = ""  # one of HEADS[mode]: which logits `llm` gives
    new_tokens: int = 0  # places of the cache after the prompt's bracket

    @property
    def graphs(self) -> tuple[str, ...]:
        """Names of the graphs, in the order in which a call runs them."""
        return graphs_of(self.mode)

    @property
    def cached(self) -> bool:
        """True where `llm` takes some tokens at a time and keeps their K and V."""
        return self.mode != "continuous"


def graphs_of(mode: str) -> tuple[str, ...]:
    """Names of a mode's graphs, in the order in which a call runs them. Raises SpecError on an unknown mode."""
    if mode not in _GRAPHS:
        raise SpecError(sentence("mode", expected=f"one of {', '.join(MODES)}", got=repr(mode)))
    return _GRAPHS[mode]


def variant_of(spec: PolicySpec, mode: str, head: str, horizon: int) -> Variant:
    """The variant of one export; an empty head is the mode's default. Raises SpecError on an unknown mode or head."""
    graphs_of(mode)
    head = head or HEADS[mode][0]
    if head not in HEADS[mode]:
        named = [name for name in HEADS[mode] if name]
        expected = f"one of {', '.join(named)}" if named else "none: its llm graph gives no logits"
        raise SpecError(sentence(f"head of mode {mode}", expected=expected, got=repr(head)))
    room = {
        "continuous": 0,
        "think": 1 + spec.depth_codes + extra_tokens(spec),
        "discrete": 2 + FAST_TOKENS * horizon,
    }
    return Variant(mode, head, room[mode])


def extra_tokens(spec: PolicySpec) -> int:
    """The most tokens that may follow the last depth code, <depth_end> among them, as released."""
    return max(EXTRA_TOKENS, spec.max_horizon)


def head_rows(spec: PolicySpec, head: str) -> tuple[tuple[int, int], ...]:
    """Rows [start, stop) of the lm_head in the order of the logits: the depth codes; ACTION_HEAD and the action
    tokens; or all. A row is the id of its token. KeyError where the checkpoint has no such tokens.
    """
    if head == "full":
        return ((0, spec.head_rows),)
    ids = spec.token_ids
    if head == "depth":
        return ((ids["depth_0"], ids["depth_0"] + spec.depth_tokens),)
    single = tuple((ids[name], ids[name] + 1) for name in ACTION_HEAD)
    return (*single, (ids["action_0"], ids["action_0"] + spec.action_tokens))


def head_size(spec: PolicySpec, head: str) -> int:
    """Logits per row."""
    return sum(stop - start for start, stop in head_rows(spec, head))


def kv_names(layers: int) -> tuple[str, ...]:
    """k_00, v_00, k_01, v_01, ...: in the order in which the llm or the context graph gives them."""
    return tuple(f"{kind}_{layer:02d}" for layer in range(layers) for kind in "kv")


def cache_names(layers: int) -> tuple[str, ...]:
    """cache_k_00, cache_v_00, ...: the language model's own K and V."""
    return tuple(CACHE + name for name in kv_names(layers))


def graph_specs(
    spec: PolicySpec, cameras: int, bracket: int, horizon: int, variant: Variant | None = None
) -> dict[str, GraphSpec]:
    """The graphs of one export: `cameras` pictures, prompts of `bracket` tokens, `horizon` steps; continuous where no
    variant is given.
    """
    variant = variant or Variant()
    made = {
        "vision": _vision(spec, cameras),
        "llm": _cached_llm(spec, cameras, bracket, variant) if variant.cached else _llm(spec, cameras, bracket),
        "context": _context_graph(spec, bracket + variant.new_tokens),
        "flow": _flow(spec, bracket + variant.new_tokens, horizon),
    }
    return {name: made[name] for name in variant.graphs}


def _features(spec: PolicySpec, cameras: int) -> TensorSpec:
    return TensorSpec("features", "float32", (cameras * spec.tokens_per_image, spec.hidden_size))


def _context(spec: PolicySpec, length: int) -> tuple[TensorSpec, ...]:
    """K and V in the expert's width: K lies ready for the product."""
    heads, size = spec.expert_heads, spec.expert_head_dim
    shapes = {"k": (1, heads, size, length), "v": (1, heads, length, size)}
    return tuple(TensorSpec(name, "float32", shapes[name[0]]) for name in kv_names(spec.layers))


def _caches(spec: PolicySpec, length: int, end: str = "") -> tuple[TensorSpec, ...]:
    shape = (spec.kv_heads, length, spec.head_dim)
    return tuple(TensorSpec(name + end, "float32", shape) for name in cache_names(spec.layers))


def _vision(spec: PolicySpec, cameras: int) -> GraphSpec:
    patches = TensorSpec("patches", "uint8", (cameras, spec.patches_per_image, spec.patch_bytes))
    return GraphSpec("vision", (patches,), (_features(spec, cameras),))


def _llm(spec: PolicySpec, cameras: int, bracket: int) -> GraphSpec:
    """The whole prompt at once, to the expert's K and V."""
    inputs = (
        TensorSpec("input_ids", "int32", (1, bracket)),
        TensorSpec("image_row", "int32", (1, bracket)),
        TensorSpec("token_type", "float32", (1, bracket)),
        _features(spec, cameras),
    )
    return GraphSpec("llm", inputs, _context(spec, bracket))


def _cached_llm(spec: PolicySpec, cameras: int, bracket: int, variant: Variant) -> GraphSpec:
    """Some tokens at their places of the cache, to the logits of the rows that are asked for."""
    length = bracket + variant.new_tokens
    inputs = (
        TensorSpec("input_ids", "int32", (1, DYNAMIC)),
        TensorSpec("image_row", "int32", (1, DYNAMIC)),
        TensorSpec("token_type", "float32", (1, DYNAMIC)),
        TensorSpec("positions", "int32", (1, DYNAMIC)),
        TensorSpec("key_type", "float32", (1, length)),
        _features(spec, cameras),
        TensorSpec("rows", "int32", (1, DYNAMIC)),
        *_caches(spec, length),
    )
    logits = TensorSpec("logits", "float32", (1, DYNAMIC, head_size(spec, variant.head)))
    return GraphSpec("llm", inputs, (logits, *_caches(spec, length, NEXT)))


def _context_graph(spec: PolicySpec, length: int) -> GraphSpec:
    """The cache to the expert's K and V: the depth gate, where there is one, and the shared projection."""
    masks = (TensorSpec("visible", "float32", (1, length)), TensorSpec("depth", "float32", (1, length)))
    return GraphSpec("context", (*masks, *_caches(spec, length)), _context(spec, length))


def _flow(spec: PolicySpec, length: int, horizon: int) -> GraphSpec:
    """One Euler step over a context of `length` tokens."""
    width = spec.max_action_dim
    inputs = (
        TensorSpec("trajectory", "float32", (1, horizon, width)),
        TensorSpec("step", "int32", (1,)),
        TensorSpec("dim_mask", "float32", (1, 1, width)),
        TensorSpec("context_bias", "float32", (1, 1, 1, length)),
        TensorSpec("horizon_bias", "float32", (1, 1, 1, horizon)),
        *_context(spec, length),
    )
    return GraphSpec("flow", inputs, (TensorSpec("next", "float32", (1, horizon, width)),))
