"""`armside find-cameras`: all cameras in one picture, and which is which for an arm's policy, by names that stay."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.person import Person
    from edge.camera_list import CameraDevice
    from edge.snapshots import Snapshot

NONE = "none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    from armside.calib_target import add_target_arguments
    from armside.json_out import add_json_argument

    parser.add_argument(
        "sources", metavar="SOURCE", nargs="*", help="beside the machine's own: a file, a folder, an URL, test"
    )
    add_target_arguments(parser)
    parser.add_argument("--bundle", metavar="BUNDLE", type=Path, help="take the slots' names from this policy")
    parser.add_argument("--norm-tag", help="the policy's norm tag, where it has several")
    parser.add_argument("--output", metavar="FILE", type=Path, default=Path("cameras.png"), help="default: cameras.png")
    parser.add_argument("--open", action="store_true", help="show the picture (xdg-open)")
    parser.add_argument("--save", action="append", default=[], metavar="SLOT=SOURCE", help="without asking; repeatable")
    parser.add_argument("--yes", action="store_true", help="the cameras in the order found are the slots in theirs")
    parser.add_argument("--script", metavar="FILE", type=Path, help='answers: {"answers": {"slot.cam0": "2"}}')
    add_json_argument(parser)
    parser.epilog = "examples: armside find-cameras; armside find-cameras --id blue"


def run(args: argparse.Namespace) -> int:
    """Lists, takes the pictures, asks and saves where an arm is named."""
    from armside.calib_target import choose_target
    from armside.json_out import give
    from armside.run import parse_cameras
    from edge.camera_list import list_cameras
    from edge.snapshots import take

    target = choose_target(args, needs_id=False, needs_port=False)
    given = parse_cameras(args.save)
    devices = list_cameras()
    sources = list(dict.fromkeys([*(item.stable for item in devices), *args.sources, *given.values()]))
    if not sources:
        print(NO_CAMERA, file=sys.stderr)
        return 1
    print(f"taking a picture of {len(sources)} cameras", file=sys.stderr)
    shots = take({source: source for source in sources}, say=lambda text: print(f"  {text}", file=sys.stderr))
    show(devices, shots, args.output)
    if args.open:
        subprocess.run(["xdg-open", str(args.output)], check=False)
    slots = given or (asked(args, target, shots) if target.id else {})
    if slots and target.id:
        from armside.calib_profile import remember

        print(remember(target, **{f"cameras.{slot}": source for slot, source in slots.items()}))
    elif not target.id:
        print("to save which is which: armside find-cameras --id NAME, then a number for each slot")
    give(args.json, facts(devices, shots, slots))
    return 0 if any(shot.image is not None for shot in shots.values()) else 1


NO_CAMERA = (
    "armside: no camera found; what to do: plug one in, see that /dev/video* exist and that you may read them "
    "(sudo usermod -aG video $USER, then log in again); a file, a folder, an URL or `test` may be named instead"
)


def show(devices: Sequence[CameraDevice], shots: dict[str, Snapshot], output: Path) -> None:
    """The list in the terminal, the pictures in one file."""
    from calib.sheet import Cell, in_rows, save, sheet

    models = {item.stable: item for item in devices}
    notes = complaints(devices, shots)
    cells = []
    for number, (source, shot) in enumerate(shots.items(), start=1):
        size = "no picture" if shot.image is None else "{1} x {0}".format(*shot.image.shape)
        model = models[source].model if source in models else "named by you"
        print(f"{number}  {source}  {model}  {size}" + "".join(f"\n   {note}" for note in notes[source]))
        cells.append(Cell(shot.image, (f"{number}: {source}", f"{model}, {size}", *notes[source]), bool(notes[source])))
    save(sheet(in_rows(cells)), output)
    print(f"the pictures: {output}")


def complaints(devices: Sequence[CameraDevice], shots: dict[str, Snapshot]) -> dict[str, list[str]]:
    """What is wrong or worth knowing, by source."""
    from calib.view_match import light_of

    moving = {item.stable for item in devices if item.moves}
    notes: dict[str, list[str]] = {source: [] for source in shots}
    seen: dict[bytes, str] = {}
    for source, shot in shots.items():
        if shot.image is None:
            notes[source].append(shot.error)
            continue
        if trouble := light_of(shot.image).complaint:
            notes[source].append(trouble)
        same = seen.setdefault(shot.image.tobytes(), source)
        if same != source:
            notes[source].append(f"exactly the picture of {same}: one camera under two names?")
        if source in moving:
            notes[source].append("this name may mean another camera after a restart: udev gives it no lasting one")
    return notes


def asked(args: argparse.Namespace, target: Target, shots: dict[str, Snapshot]) -> dict[str, str]:
    """slot -> source as the person says. Raises Cancelled."""
    from armside.camera_slots import slots_of
    from armside.person_args import person_of

    slots = slots_of(target.profile, args.bundle, args.norm_tag)
    with person_of(args) as person:
        return choose(person, slots, shots)


def choose(person: Person, slots: Sequence[str], shots: dict[str, Snapshot]) -> dict[str, str]:
    """Asks for each slot which of the numbered cameras it is."""
    from calib.person import Question

    left = {str(number): source for number, source in enumerate(shots, 1) if shots[source].image is not None}
    chosen: dict[str, str] = {}
    for slot in slots:
        options = (*left, NONE)
        answer = person.ask(Question(f"slot.{slot}", f"which camera is {slot}?", options, options[0]))
        if answer != NONE:
            chosen[slot] = left.pop(answer)
    return chosen


def facts(devices: Sequence[CameraDevice], shots: dict[str, Snapshot], slots: dict[str, str]) -> dict[str, Any]:
    """What was found and chosen, for --json."""
    models = {item.stable: item for item in devices}
    rows = [
        {
            "source": source,
            "node": models[source].node if source in models else None,
            "model": models[source].model if source in models else None,
            "size": None if shot.image is None else [shot.image.shape[1], shot.image.shape[0]],
            "error": shot.error or None,
        }
        for source, shot in shots.items()
    ]
    return {"format": "armside-cameras", "version": 1, "cameras": rows, "slots": slots}
