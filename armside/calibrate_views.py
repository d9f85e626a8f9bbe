"""`armside calibrate --views`: each camera's picture beside the expected one, with a verdict; --save-views."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from policy_spec.errors import CameraError, UsageError, sentence

if TYPE_CHECKING:
    from armside.calib_target import Target
    from calib.view_match import Picture, Verdict

PICTURE = Path("views.png")


def run(args: argparse.Namespace) -> int:
    """Takes a picture of every camera; compares or keeps."""
    from armside.calib_target import choose_target
    from armside.calibrate import SAVED_VIEWS
    from armside.json_out import give
    from armside.run import parse_cameras
    from edge.snapshots import take

    own = args.save_views or args.views == SAVED_VIEWS
    target = choose_target(args, needs_id=own, needs_port=False)
    sources = {**target.profile.cameras, **parse_cameras(args.camera)}
    if not sources:
        do = "armside find-cameras --id NAME, or --camera SLOT=SOURCE"
        raise UsageError(sentence(f"{target.profile.name} has no cameras", expected="cameras by slot", do=do))
    folder = views_folder(target) if own else Path(args.views)
    reference = {} if args.save_views else read(folder, tuple(sources))
    shots = take(sources, say=lambda text: print(f"  {text}", file=sys.stderr))
    live = {slot: shot.image for slot, shot in shots.items()}
    if args.save_views:
        return keep(live, folder)
    frozen = {slot: shot.live and same(shot.image, shot.second) for slot, shot in shots.items()}
    from calib.sheet import save
    from calib.views import check

    verdicts, picture = check(live, reference, frozen)
    output = args.picture or PICTURE
    save(picture, output)
    tell(verdicts, shots, output)
    rows = [dataclasses.asdict(item) for item in verdicts]
    give(args.json, {"format": "armside-views", "version": 1, "slots": rows})
    return 1 if any(item.bad for item in verdicts) else 0


def views_folder(target: Target) -> Path:
    """Where an arm's own pictures are kept."""
    from armside.calib_target import calibration_folder

    return calibration_folder() / f"{target.id}.views"


def read(folder: Path, slots: tuple[str, ...]) -> dict[str, Picture]:
    """The expected pictures by slot, of whatever `folder` is. Raises UsageError where it is nothing of the kind."""
    from calib.views import IN_BUNDLE, load
    from episodes.layout import HEADER_FILE

    if (folder / HEADER_FILE).is_file():
        return of_recording(folder)
    if (folder / "manifest.json").is_file():
        found = load(folder / IN_BUNDLE) if (folder / IN_BUNDLE).is_dir() else {}
        if not found:
            print(f"{folder} has no pictures of its own ({IN_BUNDLE}/<slot>.png): only the live ones", file=sys.stderr)
        return found
    found = load(folder) if folder.is_dir() else {}
    if not found:
        do = "armside calibrate --save-views keeps the present ones; or name a recording of armside run --record"
        expected = f"a recording, a bundle, or a folder of {', '.join(f'{slot}.png' for slot in slots)}"
        raise UsageError(sentence(f"no expected pictures in {folder}", expected=expected, do=do))
    return found


def of_recording(folder: Path) -> dict[str, Picture]:
    """The first picture of each slot of a recording. Raises RecordingError."""
    from episodes.recording import Recording

    recording = Recording.open(folder)
    first: dict[str, Any] = {}
    for observation in recording.observations:
        for slot in observation.image_files:
            if slot not in first:
                first[slot] = recording.image(observation, slot)
    return first


def keep(live: dict[str, Picture | None], folder: Path) -> int:
    """Writes them, all or none. Raises CameraError."""
    from calib import views
    from calib.view_match import light_of

    good = {slot: picture for slot, picture in live.items() if picture is not None}
    missing = sorted(set(live) - set(good))
    dark = [f"{slot} is {why}" for slot, picture in good.items() if (why := light_of(picture).complaint)]
    if missing or dark:
        got = "; ".join([*dark, *(f"{slot} gives none" for slot in missing)])
        raise CameraError(sentence("pictures that would be kept", got=got, do="mend them first"))
    views.keep(good, folder)
    print(f"kept {', '.join(good)} in {folder}; armside calibrate --views compares with them")
    return 0


def same(one: Picture | None, two: Picture | None) -> bool:
    """Equal to the last bit."""
    return one is not None and two is not None and one.tobytes() == two.tobytes()


def tell(verdicts: tuple[Verdict, ...], shots: dict[str, Any], output: Path) -> None:
    """A line for each slot."""
    for item in verdicts:
        score = "" if item.score is None else f"  likeness {item.score:.2f}"
        text = shots[item.slot].error or item.text
        print(f"{item.slot}  {item.word}{score}  {text}  ({shots[item.slot].source})")
    print(f"side by side: {output}")
    if any(item.word == "unlike" for item in verdicts):
        print("another scene is no proof of a wrong camera: things are moved; look at the picture")
