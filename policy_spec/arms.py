"""Which arms the released norm tags were trained for. A tag that is not here does not say; its action dims still
must fit.
"""

from __future__ import annotations

from collections.abc import Iterable

# Source: docs/sources.md, norm tags.
TAG_ARMS: dict[str, tuple[str, ...]] = {
    "so100_so101_molmoact2": ("so100", "so101"),
    "yam_dual_molmoact2": ("bi-yam",),
    "franka_droid": ("franka",),
    "franka_molmoact": ("franka",),
    "libero": ("franka",),
}


def arms_of(tags: Iterable[str]) -> tuple[str, ...]:
    """The arms of all tags together; empty where any tag does not say."""
    arms: list[str] = []
    for tag in tags:
        if tag not in TAG_ARMS:
            return ()
        arms += [arm for arm in TAG_ARMS[tag] if arm not in arms]
    return tuple(arms)
