"""The tokenizer of a seeded checkpoint: byte-level pieces, then the special tokens in their released order.

Takes the size of the plain vocabulary, gives the JSON of tokenizer.json, tokenizer_config.json, vocab.json
and merges.txt, and the id of every token that config.json names. Without merges each byte is one token, so a
prompt is longer than with the released vocabulary; with some, the words they make are one token each. Where the
plain vocabulary is larger than bytes and merges it is filled with entries that no text reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

STATE_BINS, ACTION_TOKENS, DEPTH_TOKENS = 256, 2048, 128
LOWEST_PLAIN = 256  # one token for each byte
ADDITIONAL = 128  # rows of the second embedding table, for the image tokens

# The text model's own tokens; the first 14 are "special" to the tokenizers library, the rest are plain added
# tokens.
TEXT_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>",
    "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
TEXT_PLAIN = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>",
    "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>",
)  # fmt: skip
# `<actions>` stands for the run of action tokens, of which a preset may have fewer.
ROBOT = (
    "<setup_start>", "<setup_end>", "<control_start>", "<control_end>", "<state_start>", "<state_end>",
    *(f"<state_{i}>" for i in range(STATE_BINS)),
    "<action_output>", "<action_start>", "<action_end>", "<actions>",
    "<depth_output>", "<depth_start>", "<depth_end>",
    *(f"<depth_{i}>" for i in range(DEPTH_TOKENS)),
)  # fmt: skip
# Ids from vocab_size on, embedded by the second table.
IMAGE = (
    "<im_start>", "<im_end>", "<im_patch>", "<im_col>", "<low_res_im_start>", "<|image|>", "<im_low>",
    "<frame_start>", "<frame_end>", "<|video|>", "<|points|>", "<|token_index|>", "<|vit_index|>",
    "<|vit_loc|>",
)  # fmt: skip
# How text is cut before bytes become pieces (the pattern that the text model was trained with).
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# key of config.json -> token
CONFIG_IDS = {
    "pad_token_id": "<|endoftext|>",
    "eos_token_id": "<|im_end|>",
    "state_start_token_id": "<state_start>",
    "state_end_token_id": "<state_end>",
    "state_token_start_id": "<state_0>",
    "action_output_token_id": "<action_output>",
    "action_start_token_id": "<action_start>",
    "action_end_token_id": "<action_end>",
    "action_token_start_id": "<action_0>",
    "depth_output_token_id": "<depth_output>",
    "depth_start_token_id": "<depth_start>",
    "depth_end_token_id": "<depth_end>",
    "depth_token_start_id": "<depth_0>",
    "image_start_token_id": "<im_start>",
    "image_end_token_id": "<im_end>",
    "image_patch_id": "<im_patch>",
    "image_high_res_id": "<im_patch>",
    "image_col_id": "<im_col>",
    "low_res_image_start_token_id": "<low_res_im_start>",
    "image_low_res_id": "<im_low>",
    "frame_start_token_id": "<frame_start>",
    "frame_end_token_id": "<frame_end>",
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which id each token has."""

    plain: dict[str, int]  # the byte pieces and the filler
    added: dict[str, int]  # everything after them
    vocab_size: int  # of the first embedding table and of lm_head; the image tokens follow
    merges: tuple[tuple[str, str], ...] = ()  # of byte pieces, in order

    def config_ids(self) -> dict[str, int]:
        """The ids that config.json states."""
        return {key: self.added[token] for key, token in CONFIG_IDS.items()}


def build_vocabulary(
    plain_size: int, vocab_size: int, merges: Sequence[tuple[str, str]] = (), action_tokens: int = ACTION_TOKENS
) -> Vocabulary:
    """Bytes, merged pieces, filler below `plain_size`, special tokens, spare ones up to `vocab_size`, image tokens."""
    plain = {piece: i for i, piece in enumerate(byte_pieces())}
    plain |= {first + second: LOWEST_PLAIN + i for i, (first, second) in enumerate(merges)}
    plain |= {f"<unused_{i}>": i for i in range(len(plain), plain_size)}
    named = (*TEXT_SPECIAL, *TEXT_PLAIN, *robot_tokens(action_tokens))
    spare = vocab_size - plain_size - len(named)
    if plain_size < len(plain) or spare < 0:
        raise ValueError(f"plain_size {plain_size} and vocab_size {vocab_size} leave no room for {len(named)} tokens")
    tokens = (*named, *(f"<extra_{i}>" for i in range(spare)), *IMAGE)
    added = {token: plain_size + i for i, token in enumerate(tokens)}
    return Vocabulary(plain, added, vocab_size, tuple(merges))


def robot_tokens(action_tokens: int) -> tuple[str, ...]:
    """The robot's tokens in their released order."""
    start = ROBOT.index("<actions>")
    return (*ROBOT[:start], *(f"<action_{i}>" for i in range(action_tokens)), *ROBOT[start + 1 :])


def byte_pieces() -> list[str]:
    """The 256 characters that stand for bytes in byte-level BPE, sorted by code point as in the release."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = sum(byte not in printable for byte in range(256))
    return [chr(code) for code in (*sorted(printable), *range(256, 256 + hidden))]


def tokenizer_files(vocabulary: Vocabulary) -> dict[str, Any]:
    """File name -> JSON value, or text for merges.txt."""
    special = {*TEXT_SPECIAL, *IMAGE}
    added = [
        {
            "id": number,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token in special or token.startswith("<extra_"),
        }
        for token, number in vocabulary.added.items()
    ]
    return {
        "tokenizer.json": _tokenizer(vocabulary, added),
        "tokenizer_config.json": {
            "tokenizer_class": "Qwen2Tokenizer",
            "bos_token": "<|im_end|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": 1010000,
            "add_bos_token": False,
            "clean_up_tokenization_spaces": False,
            "split_special_tokens": False,
            "padding_side": "left",
        },
        "vocab.json": vocabulary.plain,
        "merges.txt": "#version: 0.2\n" + "\n".join(f"{a} {b}" for a, b in vocabulary.merges) + "\n",
    }


def _tokenizer(vocabulary: Vocabulary, added: list[dict[str, Any]]) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "trim_offsets": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False},
                {**byte_level, "add_prefix_space": False, "use_regex": False},
            ],
        },
        "post_processor": None,
        "decoder": {**byte_level, "add_prefix_space": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocabulary.plain,
            "merges": [f"{a} {b}" for a, b in vocabulary.merges],
        },
    }
