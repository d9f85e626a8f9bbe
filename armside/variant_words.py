"""What a bundle does, in words for report and inspect: its mode, what its head can say and forces, its cache."""

from __future__ import annotations

from pathlib import Path

from policy_spec.bundle import FAST_TOKENIZER
from policy_spec.errors import AnswerError
from policy_spec.fast import FastTokenizer
from policy_spec.golden import Golden
from policy_spec.graphs import CACHE
from policy_spec.manifest import Manifest
from policy_spec.spec import PolicySpec

_HEADS = {
    "depth": "head depth: logits of the depth codes alone; <depth_end> is forced after the last one",
    "full": "head full: logits of the whole vocabulary, decoded as released",
    "action": "head action: logits of the action tokens and of both ends alone; <action_start> is forced",
}


def variant_words(manifest: Manifest) -> list[str]:
    """The mode; for one with a cache what its logits are of, its length and bytes."""
    if not manifest.variant.cached:
        return [manifest.mode]
    return [manifest.mode, _HEADS[manifest.head], cache_words(manifest)]


def cache_words(manifest: Manifest) -> str:
    """Length and bytes of the cache."""
    caches = [tensor for tensor in manifest.graphs["llm"].graph.inputs if tensor.name.startswith(CACHE)]
    size = sum(tensor.nbytes for tensor in caches) / 1e6
    places = manifest.bracket + manifest.new_tokens
    return f"cache of {places} tokens ({manifest.bracket} + {manifest.new_tokens}), {size:.1f} MB"


def notes_on(spec: PolicySpec, manifest: Manifest, golden: Golden, folder: Path) -> tuple[str, ...]:
    """What a person should know beside the numbers: what the bundle leaves out, what its golden answer lacks."""
    if manifest.mode == "continuous" and spec.depth:
        return ("this checkpoint can predict a depth map before it acts; the bundle acts without one",)
    if manifest.mode != "discrete":
        return ()
    first, tag = spec.token_ids["action_0"], spec.tags[golden.tag]
    tokens = [int(token) - first for token in golden.tokens[1:-1]]
    try:
        count = len(FastTokenizer.open(folder / FAST_TOKENIZER).read(tokens))
    except AnswerError:
        count = 0
    wanted = tag.horizon * tag.action_dim
    if count == wanted:
        return ()
    return (f"the answer to the golden observation, a made-up scene, decodes to {count} coefficients, not {wanted}",)
