"""How many examples hypothesis looks at: all in a normal run, few for each of thousands of mutants."""

from __future__ import annotations

import os

from hypothesis import settings

MUTATED = "MUTANT_UNDER_TEST" in os.environ  # `make mutation`: mutmut sets it before it starts the tests
FEWER = 25  # times fewer then


def rounds(count: int) -> int:
    """`count`, or few."""
    return max(1, count // FEWER) if MUTATED else count


def examples(count: int) -> settings:
    """`@settings` for `count` examples."""
    return settings(max_examples=rounds(count))
