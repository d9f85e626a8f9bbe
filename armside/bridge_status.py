"""`armside bridge status`: a live table of the bridges that run; once, or as JSON, where it is no terminal.

Only watches: it never becomes a bridge's driver.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

    from firmware_bridge.client import BridgeClient, Info, Status

REFRESH_S = 0.1
SILENT_S = 1.0  # no status for so long is said
LOOK_S = 1.0  # between two looks for bridges that came or went


def add_arguments(parser: argparse.ArgumentParser, word: str) -> None:
    """The word's arguments."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="robots, or an endpoint (default: every one that runs)")
    parser.add_argument("--once", action="store_true", help="show it once; so it is where stdout is no terminal")
    parser.add_argument("--json", action="store_true", help="once, for programs: SI units")
    parser.add_argument("--keys", default="", metavar="DIR", help="CURVE keys, for an endpoint on another machine")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="first wait so long until they all answer")


def run(args: argparse.Namespace) -> int:
    """Shows; Ctrl-C ends the live table."""
    from armside.bridge_table import data, view

    wait(tuple(args.ids), args.keys, args.wait)
    watched = Watched(tuple(args.ids), args.keys)
    try:
        if not (args.once or args.json) and sys.stdout.isatty():
            return watched.live()
        seen = watched.once()
    finally:
        watched.close()
    if args.json:
        print(json.dumps([data(*row) for row in seen], indent=1))
    else:
        from rich.console import Console

        console = Console()
        for row in seen:
            console.print(view(*row))
    missing = [name for name in watched.missing if name not in {row[0].id for row in seen}]
    for name, why in ((name, watched.missing[name]) for name in missing):
        print(f"armside: {name}: {why}", file=sys.stderr)
    if not seen and not missing:
        print("no bridge runs here as this user; armside bridge --robot ID starts one", file=sys.stderr)
    return 0 if seen and not missing and not any(row[2] for row in seen) else 1


def wait(ids: tuple[str, ...], keys: str, patience_s: float) -> None:
    """Until every one answers, or patience ends; what came of it shows in what is shown then."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        watched = Watched(ids, keys)
        try:
            seen = watched.once()
        finally:
            watched.close()
        if seen and not watched.missing and not any(gone for _, _, gone in seen):
            return
        time.sleep(min(SILENT_S / 2, max(0.0, deadline - time.monotonic())))


Row = tuple["Info", "Status | None", str]


class Watched:
    """Clients of the bridges that are watched, made as they come and dropped as they go."""

    def __init__(self, names: tuple[str, ...], keys: str) -> None:
        self._names = names
        self._keys = keys
        self._clients: dict[str, BridgeClient] = {}
        self._newest: dict[str, Status | None] = {}
        self._heard: dict[str, float] = {}
        self.missing: dict[str, str] = {}  # name -> why it cannot be shown

    def look(self) -> None:
        """Connects to those that came."""
        from firmware_bridge.client import BridgeError, all_running, connect_bridge

        wanted = self._names or tuple(running.id for running in all_running())
        self.missing = {}
        for name in wanted:
            if name in self._clients:
                continue
            try:
                self._clients[name] = connect_bridge(name, keys=self._keys)
                self._heard[name] = time.monotonic()
                self._newest[name] = None
            except BridgeError as error:
                self.missing[name] = str(error)

    def once(self) -> list[Row]:
        """Each with its next status."""
        from firmware_bridge.client import BridgeGone

        self.look()
        rows: list[Row] = []
        for client in self._clients.values():
            try:
                rows.append((client.info, client.status(timeout_s=SILENT_S), ""))
            except BridgeGone as error:
                rows.append((client.info, None, str(error)))
        return rows

    def rows(self) -> list[Row]:
        """Each with its newest status, without waiting; one that has ended is dropped."""
        from firmware_bridge.client import find_running

        now, rows = time.monotonic(), []
        for name, client in list(self._clients.items()):
            for status in client.statuses():
                self._newest[name], self._heard[name] = status, now
            silent_s, gone = now - self._heard[name], ""
            if silent_s > SILENT_S:
                if "://" not in name and find_running(name) is None:
                    client.disconnect()
                    del self._clients[name]
                    continue
                gone = f"no status for {silent_s:.0f} s: the bridge does not answer; its arm is where it was last"
            rows.append((client.info, self._newest[name], gone))
        return rows

    def live(self) -> int:
        """Until Ctrl-C."""
        from rich.console import Console
        from rich.live import Live

        looked = -LOOK_S
        with Live(console=Console(), auto_refresh=False, screen=False) as screen:
            try:
                while True:
                    if time.monotonic() - looked > LOOK_S:
                        looked = time.monotonic()
                        self.look()
                    screen.update(self._render(), refresh=True)
                    time.sleep(REFRESH_S)
            except KeyboardInterrupt:
                return 0

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        from armside.bridge_table import view

        parts: list[RenderableType] = [view(*row) for row in self.rows()]
        parts += [Text(f"{name}: {why}", style="bold red") for name, why in self.missing.items()]
        if not parts:
            parts = [Text("no bridge runs here as this user; armside bridge --robot ID starts one", style="yellow")]
        return Group(*parts, Text("Ctrl-C ends this table, not the bridge", style="dim"))

    def close(self) -> None:
        for client in self._clients.values():
            client.disconnect()
