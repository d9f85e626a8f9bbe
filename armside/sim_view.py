"""`armside sim view SCENE`: what lies where, what is asked for, and a picture of each camera."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.world import World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The word's arguments."""
    from armside.json_out import add_json_argument

    parser.add_argument("scene", metavar="SCENE", help="TASK:SEED such as reach:0; reach:0:light+position is perturbed")
    parser.add_argument("--out", metavar="PNG", type=Path, help="a picture of all cameras, side by side")
    parser.add_argument("--size", type=int, default=320, metavar="PIXELS", help="of each picture (default: 320)")
    add_json_argument(parser)
    parser.epilog = "example: armside sim view push:3 --out scene.png"


def run(args: argparse.Namespace) -> int:
    """Builds the scene and shows it. Raises SimError."""
    from rich.console import Console

    from armside.json_out import give
    from sim.randomise import with_pictures
    from sim.scene_name import scene_of
    from sim.world import World

    scene = scene_of(args.scene)
    world = World("so101", with_pictures(scene, args.size, args.size))
    facts = facts_of(world)
    console = Console()
    console.print(f"{args.scene}: [bold]{scene.text or 'nothing is asked for'}[/bold]", highlight=False)
    for row in facts["objects"]:
        x, y, z = (100 * value for value in row["position"])
        meant = "   the one that is meant" if row["meant"] else "   a distractor" if row["distractor"] else ""
        console.print(f"  {row['name']:16} x {x:6.1f}  y {y:6.1f}  z {z:5.1f} cm{meant}", highlight=False)
    if args.out is not None:
        write_pictures(world, args.out)
        print(args.out)
    give(args.json, {"format": "armside-scene", "version": 1, "scene": args.scene, **facts})
    return 0


def facts_of(world: World) -> dict[str, Any]:
    """The scene for programs."""
    scene, poses = world.scene, world.objects()
    meant = scene.errand.thing if scene.errand is not None else ""
    return {
        "text": scene.text,
        "errand": None
        if scene.errand is None
        else {"kind": scene.errand.kind, "thing": scene.errand.thing, "side": scene.errand.side},
        "objects": [
            {
                "name": thing.name,
                "position": poses[thing.name].position.tolist(),
                "meant": thing.name == meant,
                "distractor": thing in scene.distractors,
            }
            for thing in scene.solids
        ],
        "joints": world.positions(),
        "cameras": list(world.cameras),
    }


def write_pictures(world: World, path: Path) -> None:
    """Every camera's picture, side by side, written whole. Raises SimError where nothing draws here."""
    import io

    import numpy as np
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(np.concatenate([world.picture(slot) for slot in world.cameras], axis=1)).save(data, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.half")
    half.write_bytes(data.getvalue())
    half.replace(path)
