"""The demo with a trained policy: exported once, told a few errands and filmed, run in real time, and a page of it.

Takes a checkpoint for the simulated SO-101; leaves bundles, a film, a recording and report.html in the demo's folder.
Every step is a verb of its own.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from armside.demo import bundles, do, exports, next_free

if TYPE_CHECKING:
    from armside.eval_cases import Outcome

CAMERAS = ("front", "wrist")  # of the simulated table
MARK = "exported.json"  # which checkpoint the bundles are of
SCENE = "reach"
RATE = "10"  # Hz, as the demonstrations were


def run_trained(args: argparse.Namespace, policy: Path) -> int:
    """Every step in turn; stops at the first that fails."""
    from armside.demo_page import write_demo_page

    record, told = next_free(args.folder, "run"), next_free(args.folder, "told")
    print(f"The policy: {policy}")
    if exported(args.folder, policy):
        print("Its bundles are there already: nothing to export.")
    else:
        code = do(exports(str(policy), args.folder))
        if code:
            return code
        mark(args.folder, policy)
    begun = time.monotonic()
    code = do(commands(args, policy, told, record))
    if code:
        return code
    outcomes = outcomes_of(told)
    page = write_demo_page(args.folder, policy, told, record, outcomes)
    done = sum(outcome.success for outcome in outcomes)
    print(f"\nTold {len(outcomes)} things, it did {done}, in {time.monotonic() - begun:.0f} s of this machine:")
    for outcome in outcomes:
        print(f"  {outcome.said}: {outcome.words}")
    print(f"The film: {film_of(told)}\nThe page: {page}; of the run in real time: {record / 'report.html'}")
    return 0


def commands(args: argparse.Namespace, policy: Path, told: Path, record: Path) -> list[list[str]]:
    """What follows the export, without the leading `armside`."""
    small, seeded = bundles(args.folder)[1], ["--seed", str(args.seed)]
    filmed = ["--episodes", str(args.episodes), "--video", str(args.episodes), "--out", str(told)]
    cameras = [word for slot, name in slots_of(policy).items() for word in ("--camera", f"{slot}=sim:{name}")]
    scene = ["--scene", f"{SCENE}:{args.seed}", *cameras, "--rate", RATE]
    return [
        ["inspect", small],
        ["eval", small, "--task", args.task, *seeded, *filmed],
        [
            *("run", small, "--robot", "so101", "--port", "sim", *scene, *seeded),
            *("--duration", f"{args.duration:g}", "--record", str(record)),
        ],
        ["report", str(record)],
    ]


def slots_of(policy: Path) -> dict[str, str]:
    """The policy's camera slots, filled as an evaluation fills them. Raises SpecError, UsageError."""
    from armside.eval_player import camera_of_slots
    from policy_spec.spec import PolicySpec

    tag = PolicySpec.from_checkpoint(policy).tag(None)
    return camera_of_slots(tag.camera_slots or CAMERAS, {})


def exported(folder: Path, policy: Path) -> bool:
    """Whether both bundles are whole and of this very checkpoint."""
    from policy_spec.bundle import open_bundle
    from policy_spec.errors import ArmsideError

    try:
        for path in bundles(folder):
            open_bundle(path)
        said: Any = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (ArmsideError, OSError, ValueError):
        return False
    return bool(said == {"policy": known(policy)})


def mark(folder: Path, policy: Path) -> None:
    """Remembers what was exported."""
    from calib.store import write_whole

    write_whole(folder / MARK, (json.dumps({"policy": known(policy)}) + "\n").encode())


def known(policy: Path) -> str:
    """A checkpoint by its content."""
    from armside.eval_torch import sha256_of
    from policy_spec.manifest import armside_version

    return f"{armside_version()} {sha256_of(policy)}"


def outcomes_of(told: Path) -> list[Outcome]:
    """What came of every errand, in order, from the evaluation's journal."""
    from armside.eval import JOURNAL
    from armside.eval_cases import Outcome

    (journal,) = told.glob(f"*/{JOURNAL}")
    return [Outcome.from_json(json.loads(line)) for line in journal.read_text().splitlines()[1:]]


def film_of(told: Path) -> Path:
    """The one film of an evaluation."""
    (film,) = told.glob("*/film.webp")
    return film
