"""`armside sim setup`: what drawing the simulated cameras needs here, and how it gets there.

Asks a process of its own to draw one picture. Where that fails for want of OpenGL, the one system package that draws
on the processor is installed, after asking; then it is tried again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

# Draws one picture and says with what; the words of a failure are SimError's.
TRY = """
import time
from policy_spec.errors import ArmsideError
try:
    from sim.pictures import choose_backend
    from sim.world import World
    world = World("so101")
    world.picture("front")
    began = time.perf_counter()
    shape = world.picture("front").shape
    took = 1e3 * (time.perf_counter() - began)
    print(f"drawn by {choose_backend()}: {shape[1]} x {shape[0]} in {took:.0f} ms")
except (ArmsideError, ImportError) as error:
    raise SystemExit(str(error))
"""
TRY_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The word's arguments."""
    parser.add_argument("--yes", action="store_true", help="install without asking")
    parser.add_argument("--dry-run", action="store_true", help="say what would be installed, and install nothing")
    parser.epilog = "example: armside sim setup --yes"


def run(args: argparse.Namespace) -> int:
    """Tries, installs, tries again; 0 once a picture was drawn."""
    ok, said = try_to_draw()
    print(said)
    if ok:
        return 0
    if "mujoco" in said and "No module" in said:
        print("next: pip install 'armside[sim]'")
        return 1
    command = install_command()
    if command is None:
        print("next: install OSMesa's library (Debian: libosmesa6) by this system's package manager")
        return 1
    print(f"next: {' '.join(command)}")
    if args.dry_run or not (args.yes or confirmed()):
        return 1
    if subprocess.run(command, check=False).returncode:
        print("the package was not installed; the lines above say why", file=sys.stderr)
        return 1
    ok, said = try_to_draw()
    print(said)
    return 0 if ok else 1


def try_to_draw() -> tuple[bool, str]:
    """Whether a picture can be drawn, and how or why not."""
    path = os.pathsep.join(part or os.getcwd() for part in sys.path)
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRY],
            capture_output=True,
            text=True,
            timeout=TRY_S,
            env={**os.environ, "PYTHONPATH": path},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False, f"drawing one picture took more than {TRY_S:g} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    return done.returncode == 0, lines[-1] if lines else f"drawing ended with exit code {done.returncode}"


def install_command() -> list[str] | None:
    """What installs the package here, as root or by sudo; None without apt-get."""
    from sim.pictures import PACKAGE

    if shutil.which("apt-get") is None:
        return None
    root = [] if os.geteuid() == 0 else ["sudo"]
    return [*root, "apt-get", "install", "-y", PACKAGE]


def confirmed() -> bool:
    """Asks; nobody to ask is a no."""
    if not sys.stdin.isatty():
        print("nobody can confirm here: give --yes", file=sys.stderr)
        return False
    return input("install it? [y/N] ").strip().lower() in ("y", "yes")
