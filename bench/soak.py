"""A soak of the bridge: fuzzed commands and bus faults through loop, core, driver and virtual servos, and a real one.

`python -m bench.soak [--arm so101 ...] [--commands N] [--faults N] [--live N] [--seed S] [--json]`. On a virtual clock
(soak_run.py) until so many commands were given and so many faults happened, then through the socket of a bridge process
(soak_live.py); a judge that shares no code with the core (soak_judge.py) looks at all that reaches the servos. Any rule
broken is printed with its tick, the command before it and the line that reproduces it, and the exit status is 1.

An episode is made again by its number: `--episode N`. `--first N` goes on where a soak was stopped.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import sys
import time
from dataclasses import dataclass, field

from bench.soak_judge import Findings
from bench.soak_live import run_live
from bench.soak_run import Order, run_episode

ARMS = ("so101", "so100", "yam", "bi-yam")
PROGRESS_S = 15.0
HANG_S = 300.0  # of real time without an episode's end: a hang, with a traceback
SHOWN = 20  # broken rules that are printed
RULES = ("limits", "speed", "acceleration", "lead", "space", "goal", "torque", "frames")


@dataclass(slots=True)
class Soak:
    """What one arm went through."""

    arm: str
    seed: int
    found: Findings = field(default_factory=Findings)
    broken: list[dict[str, str]] = field(default_factory=list)
    episodes: int = 0
    wall_s: float = 0.0

    def row(self) -> dict[str, object]:
        """The result as plain numbers."""
        counts = self.found.counts
        by_rule = {
            rule: sum(item["rule"] == rule for item in self.broken) for rule in (*RULES, "stale", "hang", "exception")
        }
        return {
            "arm": self.arm,
            "seed": self.seed,
            "episodes": self.episodes,
            "commands": counts["commands"],
            "ticks": counts["ticks"],
            "goals": counts["goals"],
            "torque_on": counts["torque on"],
            "readings_checked": counts["stamps"],
            "live_messages": counts["live messages"],
            "live_statuses": counts["live statuses"],
            "faults": faults_of(self.found),
            "limits_broken": sum(by_rule[rule] for rule in RULES),
            "stale": by_rule["stale"],
            "hangs": by_rule["hang"],
            "exceptions": by_rule["exception"],
            "worst_virtual_tick_ms": round(1000 * self.found.worst_tick_s, 1),
            "wall_s": round(self.wall_s, 1),
            "broken": self.broken[:SHOWN],
        }


def faults_of(found: Findings) -> dict[str, int]:
    """Bus faults and other mishaps by kind."""
    rows = {name.removeprefix("fault "): count for name, count in found.counts.items() if name.startswith("fault ")}
    return dict(sorted((name, count) for name, count in rows.items() if count))


def run(soak: Soak, commands: int, faults: int, first: int = 0) -> None:
    """Episodes until so many commands were given and so many faults happened."""
    began = said = time.monotonic()
    found = soak.found
    episode = first
    while found.counts["commands"] < commands or sum(faults_of(found).values()) < faults:
        faulthandler.dump_traceback_later(HANG_S, exit=True)
        run_episode(Order(soak.arm, soak.seed, episode), found)
        note(soak, f"--episode {episode}")
        soak.episodes += 1
        episode += 1
        if time.monotonic() - said > PROGRESS_S:
            said = time.monotonic()
            text = f"{found.counts['commands']} commands, {sum(faults_of(found).values())} faults, "
            say(f"{soak.arm} seed {soak.seed} episode {episode}: {text}{len(soak.broken)} broken, {said - began:.0f} s")
    faulthandler.cancel_dump_traceback_later()
    soak.wall_s += time.monotonic() - began


def note(soak: Soak, where: str) -> None:
    """Take over what was broken, with the line that does it again."""
    again = f"python -m bench.soak --arm {soak.arm} --seed {soak.seed} {where}"
    for rule, what in soak.found.broken:
        soak.broken.append({"rule": rule, "what": what, "again": again})
        if len(soak.broken) <= SHOWN:
            say(f"BROKEN {rule}: {what}\n  again: {again}")
    soak.found.broken.clear()


def live(soak: Soak, messages: int) -> None:
    """The real bridge."""
    began = time.monotonic()
    run_live(soak.arm, messages, soak.seed, soak.found)
    note(soak, f"--commands 0 --faults 0 --live {messages}")
    soak.wall_s += time.monotonic() - began


def table(rows: list[dict[str, object]]) -> str:
    """For the README."""
    head = (
        "arm", "commands", "ticks", "goals sent", "readings checked", "faults", "live messages",
        "limits broken", "stale", "hangs", "exceptions", "worst virtual tick ms", "wall s",
    )  # fmt: skip
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    keys = ("commands", "ticks", "goals", "readings_checked", "faults", "live_messages", "limits_broken", "stale")
    for row in rows:
        faults = row["faults"]
        assert isinstance(faults, dict)
        cells = [str(row["arm"])]
        for key in (*keys, "hangs", "exceptions", "worst_virtual_tick_ms", "wall_s"):
            value = sum(faults.values()) if key == "faults" else row[key]
            cells.append(f"{value:,}" if isinstance(value, int) else f"{value}")
        lines.append("| " + " | ".join(cells) + " |")
    for row in rows:
        faults = row["faults"]
        assert isinstance(faults, dict)
        lines.append(f"\nFaults of {row['arm']}: " + ", ".join(f"{name} {count:,}" for name, count in faults.items()))
    return "\n".join(lines)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """The command line."""
    assert __doc__
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__.split("\n")[0])
    parser.add_argument("--arm", nargs="+", choices=ARMS, default=["so101", "yam"])
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--live", type=int, default=0, help="messages to a real bridge process")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first episode")
    parser.add_argument("--episode", type=int, help="this one alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    broken = False
    for arm in options.arm:
        soak = Soak(arm, options.seed)
        if options.episode is not None:
            run_episode(Order(arm, options.seed, options.episode), soak.found)
            note(soak, f"--episode {options.episode}")
        else:
            run(soak, options.commands, options.faults, options.first)
            if options.live:
                live(soak, options.live)
        broken = broken or bool(soak.broken)
        rows.append(soak.row())
    print(json.dumps(rows, indent=1) if options.json else table(rows))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
