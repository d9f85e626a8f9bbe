"""A benchmark's result as tables for a person: times by stage, memory, the board's state, aims. Takes plain data."""

from __future__ import annotations

from typing import Any

from armside.say import size

SHOWN = ("p50", "p90", "p99", "most")


def show(found: dict[str, Any]) -> None:
    """Prints it."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:  # a log has no width
        console = Console(width=120)
    bundle = found["bundle"]
    console.print(
        f"{bundle['name']}: {bundle['mode']}, {bundle['precision']}, {bundle['cameras']} cameras; {found['engine']}",
        highlight=False,
        markup=False,
    )
    for name, call in found["calls"].items():
        table = Table(box=None, pad_edge=False)
        table.add_column(f"{name}, ms")
        for column in SHOWN:
            table.add_column(column, justify="right")
        for stage, spread in call["ms"].items():
            table.add_row(stage, *(f"{spread[column]:.1f}" for column in SHOWN))
        console.print(table)
    for line in words(found):
        console.print(line, highlight=False, markup=False)


def words(found: dict[str, Any]) -> list[str]:
    """Everything that is no table."""
    first = next(iter(found["calls"].values()))
    lines = [f"{first['calls_per_s']:.2f} calls a second, {first['actions_per_s']:.0f} actions"]
    if "changed" in first:
        lines.append(f"{first['changed']:.1%} of the cells changed, {first['passes']:.1f} passes of the language model")
    lines += [f"{name}: {value:.2f}" for name, value in found["ratios"].items()]
    board, memory = found["board"], found["memory"]
    lines.append(
        f"memory: {size(memory['resident'])} resident, {size(memory['peak'])} at the peak; "
        f"the machine had {size(board['least_free_bytes'])} left"
    )
    hottest = f", hottest {board['hottest_c']:.0f} C" if board["hottest_c"] is not None else ""
    lines.append(f"board: {board['before']['model'] or 'unknown'}{hottest}")
    lines += [f"throttled: {why}" for why in board["why_throttled"]]
    lines += [f"does not compare: {why}" for why in board["unsettled"]]
    lines += [aim_text(aim) for aim in found["aims"]] or ["no aim is set for such a bundle on this board"]
    return lines


def aim_text(aim: dict[str, Any]) -> str:
    """`aim: call at most 300 (250 is the stretch): 281, met`."""
    stretch = f" ({aim['stretch']:g} is the stretch)" if aim["stretch"] is not None else ""
    return f"aim: {aim['what']} at most {aim['aim']:g}{stretch}: {aim['got']:.3g}, {'met' if aim['met'] else 'missed'}"
