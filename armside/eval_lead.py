"""Records episodes that a policy begins and an expert ends: `python -m armside.eval_lead FOLDER POLICY SIZE`.

The orders and answers of sim.record_worker. The policy (a bundle or a checkpoint) drives for a while that varies with
the seed, as it does in an evaluation, and gets where it does not know how to go on; the expert takes over there, and
what is recorded begins then.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from armside.eval_player import Player, Settings
from policy_spec.errors import ArmsideError, SimError, sentence
from sim.lockstep import Lockstep
from sim.record import Lead
from sim.record_worker import Worker, serve
from sim.tasks.judges import Verdict
from sim.world import World

LEAD_S = (1.0, 6.0)  # that the policy drives, at least and at most


def lead_of(player: Player, world: World, seed: int) -> Lead:
    """The policy at the wheel, for as long as the seed says."""
    limit_s = float(np.random.default_rng([seed, 29]).uniform(*LEAD_S))

    def lead(rig: Lockstep, judge: Callable[[], Verdict]) -> object:
        return player.drive(rig, world, world.scene.text, limit_s, judge)

    return lead


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    folder, policy, size = sys.argv[1:]
    try:
        with Player(Settings(policy=policy, threads=1)) as player:
            if player.size != int(size):
                raise SimError(sentence("--size", expected=f"{player.size}, as {policy} sees", got=size))
            return serve(Worker(Path(folder), lambda world, seed: lead_of(player, world, seed)))
    except ArmsideError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
