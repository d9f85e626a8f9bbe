"""Merges that make one token of each word that prompts are written with: for presets whose prompts must be short.

Takes sentences, gives byte-pair merges in order, the most frequent pair first, ties by the pair itself: the same
sentences give the same merges everywhere. Knows nothing of models.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from policy_spec.fast import byte_letters
from policy_spec.prompt import STYLES, PromptFlags, PromptParts, prompt_text

Pair = tuple[str, str]

# How the tokenizer's own pattern cuts plain English; tokens between < and > are cut out before.
_WORD = re.compile(r"[^\r\nA-Za-z0-9]?[A-Za-z]+|[0-9]| ?[^\sA-Za-z0-9]+[\r\n]*|\s*[\r\n]+|\s+")
_TOKEN = re.compile(r"<\|?[a-z_0-9]+\|?>")

# What tasks of a small arm on a table are told in; a word that is not here is spelled in pieces.
TASK_WORDS = """
reach touch point push slide pull pick grab grasp take lift raise hold place put move drop stack bring carry turn open
close stop wait go get set leave lay hand
the a an of to in on onto into at from with it its and then off up down over under above below behind before beside by
near next toward towards away against between out this that one object thing table arm robot gripper side edge corner
middle center centre top bottom left right front back rear far near forward backward your you please
red green blue yellow orange purple violet pink white black grey gray brown cyan magenta teal
cube block brick box ball sphere cylinder can cone ring cup bowl plate tray bin basket pen toy bottle bar disc disk
peg puck small large big little tall short round square flat long
"""
SETUPS = (
    "single so100/so101 robotic arm in molmoact2",
    "bimanual yam robotic arms in molmoact2",
    "simulated so101 arm",
)
CONTROL = "absolute joint pose"


def prompt_sentences() -> list[str]:
    """Every sentence of a prompt, and the words of tasks as they stand inside it."""
    flags = PromptFlags(True, True, 1, "")
    parts = [PromptParts("", setup, CONTROL, (0,), 2, style) for setup in SETUPS for style in STYLES]
    return [*(prompt_text(p, flags) for p in parts), *(f" {word}" for word in TASK_WORDS.split())]


def learn_merges(sentences: Iterable[str], most: int = 10_000) -> list[Pair]:
    """Merges until each word of the sentences is one token, or there are `most`."""
    letters = byte_letters()
    words: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        for piece in _TOKEN.split(sentence):
            for word in _WORD.findall(piece):
                words[tuple(letters[byte] for byte in word.encode())] += 1
    merges: list[Pair] = []
    while len(merges) < most:
        pairs: Counter[Pair] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = Counter({_merged(word, best): count for word, count in words.items()})
    return merges


def _merged(word: tuple[str, ...], pair: Pair) -> tuple[str, ...]:
    out, index = list[str](), 0
    while index < len(word):
        both = word[index : index + 2] == pair
        out.append("".join(pair) if both else word[index])
        index += 1 + both
    return tuple(out)
