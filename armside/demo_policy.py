"""Which policy a demo shows: the one that was named, the repository's, or none, and why none.

Takes what the command line says; looks for a checkpoint and asks whether this machine can draw. A wheel carries no
checkpoint: 30 MB for everybody, of which one simulated arm has use. Knows nothing of how it plays.
"""

from __future__ import annotations

from pathlib import Path

from policy_spec.errors import UsageError, sentence

SHIPPED = Path("checkpoints") / "so101-sim"
CONFIG = "config.json"
DRAWS = "armside sim setup says what this machine needs for pictures"


def choose(asked: str | None) -> tuple[Path | None, str]:
    """A checkpoint's folder, or None and what to say. Raises UsageError for a folder that holds none."""
    from armside.demo import RANDOM

    if asked == RANDOM:
        return None, "Random weights, as asked for."
    found = shipped() if asked is None else Path(asked)
    if found is None:
        return None, (
            f"No trained policy here: there is no {SHIPPED} in this checkout or below this folder, and a wheel carries "
            "none. Name a trained checkpoint of the simulated SO-101 with --policy. Until then: random weights."
        )
    if not (found / CONFIG).is_file():
        do = f"name a checkpoint's folder, or {RANDOM}"
        raise UsageError(sentence(f"--policy {found}", expected=f"a folder with {CONFIG}", do=do))
    why = cannot_draw()
    if why:
        return None, f"The simulated cameras cannot be drawn here: {why}; {DRAWS}. Until then: random weights."
    return found, ""


def shipped() -> Path | None:
    """The repository's policy: of the checkout that this is, or of the folder that one stands in."""
    for root in (Path(__file__).resolve().parents[1], Path.cwd()):
        if (root / SHIPPED / CONFIG).is_file():
            return root / SHIPPED
    return None


def cannot_draw() -> str:
    """Why not; "" where a picture was drawn."""
    from armside.sim_setup import try_to_draw

    ok, said = try_to_draw()
    return "" if ok else said
