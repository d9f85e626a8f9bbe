"""Whether a run that is resumed is the run that was begun: every setting but those of the machine must be the same.

Takes a Config and the run's config.toml; raises UsageError naming what differs. Knows nothing of what settings mean.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from policy_spec.errors import UsageError, sentence
from train.recipe.config import Config
from train.recipe.read import read_config

# Where, how fast and how often saved or logged; the others decide what is learned.
FREE = (
    "run.out", "run.device", "run.threads", "run.recompute", "run.compile", "run.save_every", "run.keep",
    "run.log_every", "run.tensorboard", "run.wandb", "data.workers", "data.cache",
)  # fmt: skip


def compare(config: Config, file: Path) -> None:
    """Raises UsageError where a setting differs from the run's own."""
    here, there = (flat(asdict(one)) for one in (config, read_config(file)))
    differ = [key for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
    differ = [key for key in differ if key not in FREE]
    if differ:
        key = differ[0]
        raise UsageError(
            sentence(
                f"this is another run than the one in {file.parent}: {', '.join(differ[:5])}",
                expected=f"{key} = {there.get(key)!r}",
                got=repr(here.get(key)),
                do="resume with the settings that it was begun with, or choose another run.out",
            )
        )


def flat(data: Any, where: str = "") -> dict[str, Any]:
    """Nested tables and lists as one table of dotted names."""
    if isinstance(data, dict):
        pairs: Any = data.items()
    elif isinstance(data, list | tuple):
        pairs = enumerate(data)
    else:
        return {where: data}
    out: dict[str, Any] = {}
    for key, value in pairs:
        out |= flat(value, f"{where}.{key}" if where else str(key))
    return out
