"""`armside VERB ...`: reads the command line, calls one verb, turns errors into one block and an exit code.

Exit codes: 0 done, 1 failed, 2 the command line cannot be obeyed, 130 stopped with Ctrl-C or cancelled. A verb is
a module of `armside` with `add_arguments(parser)` and `run(args) -> int`; only the one that was asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from armside import __version__

# verb -> what it does; the module is armside.<verb> with _ for -, the order is the order of the main job.
VERBS: dict[str, str] = {
    "init": "write a seeded random checkpoint in the released format",
    "train": "train a checkpoint by a recipe, from LeRobot datasets",
    "see": "teach a new checkpoint's image encoder to see, before it learns to act",
    "plan": "predict what each precision costs on each computer, before exporting",
    "quant": "choose calibration samples, measure what each part loses in low precision, plan by that",
    "export": "turn a checkpoint into a verified bundle for one computer",
    "build": "build a bundle's TensorRT engines for this computer's GPU, and prove them",
    "inspect": "show what a bundle holds: spec, graphs, precision plan, sizes, hashes",
    "bench": "time a bundle on this board, stage by stage, with clocks, power mode, memory and versions",
    "compare": "tell what one bundle loses against another: by graph, by joint; latency and memory",
    "fast": "fit a tokenizer for discrete actions to your data; measure what it loses and saves",
    "find-port": "tell which port the arm is on: by its adapter, by asking its servos, or by unplugging",
    "setup-motors": "give the servos of a new arm their ids, one at a time",
    "calibrate": "calibrate an arm, check it, compare it with a policy",
    "check-arm": "measure backlash, dead band, heat, sag and bus errors, with a verdict",
    "find-cameras": "snapshots of all cameras in one picture; save which is which",
    "robot": "show and change the profiles of your arms",
    "bridge": "drive an arm in this terminal; status, stop, rearm, end, keys, install",
    "home": "move an arm slowly to its home pose",
    "jog": "move single joints slowly, by keys or by numbers",
    "park": "move an arm slowly to its park pose, then torque off",
    "sim": "the simulated arm at its table: set it up, look at a scene, record experts",
    "run": "run a bundle on an arm, simulated or real",
    "eval": "play a bundle's policy in simulation and say how often it succeeds",
    "depth": "label datasets with the depth codes that a thinking policy learns to say",
    "convert": "turn recordings of runs into a LeRobot dataset",
    "data": "look at datasets, make norm_stats.json of them",
    "replay": "move an arm, simulated or real, as a recording did",
    "report": "turn a recording, or a bundle, into one HTML page: latency, joints; size, errors, plan",
    "demo": "do all of it on this computer with a simulated arm",
    "doctor": "tell what is missing on this machine and what to do",
}


def build_parser(asked: str | None) -> argparse.ArgumentParser:
    """The command line, with the arguments of the verb `asked` for; the other verbs stay unread."""
    parser = argparse.ArgumentParser(
        prog="armside",
        description="MolmoAct2 policies on the computer beside a low-cost arm.",
        epilog="armside VERB --help explains a verb.",
    )
    parser.add_argument("--version", action="version", version=f"armside {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for name, summary in VERBS.items():
        verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == asked:
            module = importlib.import_module(f"armside.{name.replace('-', '_')}")
            module.add_arguments(verb)
            verb.set_defaults(run=module.run)
            verb.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def error_types() -> tuple[type[Exception], ...]:
    """The errors that are meant for a person: their text is shown alone."""
    from policy_spec.errors import ArmsideError

    # Only a verb that used the bridge can have raised one of its errors, so it is not imported for this.
    bridge = sys.modules.get("firmware_bridge.errors")
    return (ArmsideError,) if bridge is None else (ArmsideError, bridge.BridgeError)


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point: returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:2] == ["bridge", "stop"]:  # nothing is read, checked or imported before it
        from armside.at_once import stop_now

        stop_now(words[2:])
    asked = next((word for word in words if not word.startswith("-")), None)
    try:
        args = build_parser(asked).parse_args(words)
        from armside.json_out import words_aside

        with words_aside(getattr(args, "json", None)):
            return int(args.run(args))
    except KeyboardInterrupt:
        print("armside: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `armside inspect ... | head`: the reader left; keep the interpreter's last flush quiet
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if _was_interrupted(error):
            print("armside: stopped by Ctrl-C", file=sys.stderr)
            return 130
        from armside.say import describe

        text, code = describe(error, error_types())
        if code is None or "--debug" in words:
            raise
        print(text, file=sys.stderr)
        return code


def _was_interrupted(error: BaseException) -> bool:
    """Whether a Ctrl-C lies under `error`: one inside the import of a compiled module becomes its ImportError."""
    under = error.__cause__ or error.__context__
    return under is not None and (isinstance(under, KeyboardInterrupt) or _was_interrupted(under))


if __name__ == "__main__":
    sys.exit(main())
