"""What a LiveView looks like: a row for each joint with its range against the expected one, what to do, the keys.

Takes a view, gives something that rich prints, no wider and no higher than the terminal: a drawing stands beside the
table, or under it, or is left out. Pure; reads no key and owns no terminal. Nothing is said by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.table import Table
from rich.text import Text

from calib.person import JointRow, LiveView

STATE_STYLE = {"waiting": "dim", "short": "yellow", "good": "green", "wide": "bold red", "lost": "bold white on red"}
COLUMNS = ("joint", "now", "low", "high", "range", "expected", "", "state")
DROPPED = ("low", "high", "now", "", "expected")  # first to last, where the terminal is too narrow
BAR = 12  # cells
DRAWING = 60  # columns that a drawing may take
GAP = 3
ABSENT = "-"
DEGREES = ("deg", "degrees", "°")
GLYPHS = ("━", "┄", "┃", "●")  # swept, not yet, an expected end, where it stands now
PLAIN_GLYPHS = ("=", ".", "|", "o")


class Screen:
    """A view, as rich prints it."""

    def __init__(self, view: LiveView) -> None:
        self.view = view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width, plain = options.max_width, options.ascii_only
        room = console.size.height - 1  # the cursor stands on the last line
        drawing = Text(self.view.drawing)
        beside = width - DRAWING - GAP
        if drawing and fits(self.view, beside):
            both = Table.grid(padding=(0, GAP, 0, 0))
            both.add_row(body(self.view, beside, plain), drawing)
            yield both
            return

        def lines(part: RenderableType) -> int:
            return len(console.render_lines(part, options, pad=False))

        whole = body(self.view, width, plain)
        if drawing:  # where both have no room, joints of which there is nothing to say make some
            some = replace(self.view, rows=tuple(row for row in self.view.rows if row.state))
            for above in (whole, body(some, width, plain)):
                if lines(above) + lines(drawing) <= room:
                    yield from (above, drawing)
                    return
        yield whole if lines(whole) <= room else body(self.view, width, plain, notes=False)


def body(view: LiveView, width: int, plain: bool, notes: bool = True) -> RenderableType:
    """Title, what to do, what happened, the table, the keys: a low terminal cuts the end off."""
    parts: list[RenderableType] = [Text(view.title, style="bold")]
    parts.append(Text(f"{'>' if plain else '▶'} {view.todo}", style="bold cyan"))
    if view.message:
        parts.append(Text(view.message, style="bold yellow"))
    if view.rows:
        parts.append(table(view, width, plain))
    told = [row for row in view.rows if row.note and notes]
    parts += [Text(f"{row.name}: {row.note}", style=STATE_STYLE.get(row.state, "")) for row in told]
    keys = Text()
    for key, meaning in view.keys:
        keys.append(f" {key} ", style="reverse")
        keys.append(f" {meaning}   ", style="dim")
    return Group(*parts, keys)


def fits(view: LiveView, width: int) -> bool:
    """Whether every column of the view's table has room."""
    return width >= _width(view, columns_of(view))


def columns_of(view: LiveView) -> tuple[str, ...]:
    """All that say something: where nothing is expected there is nothing to compare with."""
    compared = any(row.expected is not None for row in view.rows)
    return tuple(name for name in COLUMNS if compared or name not in ("", "expected"))


def table(view: LiveView, width: int, plain: bool) -> Table:
    """A row for each joint, with as many columns as there is room for."""
    shown = columns_of(view)
    for dropped in DROPPED:
        if _width(view, shown) <= width:
            break
        shown = tuple(name for name in shown if name != dropped)
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in shown:
        left = name in ("joint", "", "state")
        title = view.unit if name == "joint" else name
        needed = _needed(view, name)  # from the start, so that nothing shifts when a number grows
        rows.add_column(title, justify="left" if left else "right", no_wrap=True, header_style="dim", min_width=needed)
    for row in view.rows:
        cells: dict[str, str | Text] = {**_cells(row, view.unit), "": bar(row, plain)}
        cells["state"] = Text(row.state, style=STATE_STYLE.get(row.state, ""))
        rows.add_row(*(cells[name] for name in shown))
    return rows


def bar(row: JointRow, plain: bool, cells: int = BAR) -> Text:
    """What was swept, against the narrowest and the widest range that is good; the dot is where it stands."""
    swept_mark, open_mark, end_mark, now_mark = PLAIN_GLYPHS if plain else GLYPHS
    swept = _swept(row) or 0.0
    ends = row.expected or ()
    whole = max(*ends, swept) * 1.08 if ends else swept
    if whole <= 0:
        return Text(open_mark * cells, style="dim")

    def cell(width: float) -> int:
        return min(int(width / whole * cells), cells - 1)

    marks = [swept_mark] * max(round(swept / whole * cells), swept > 0)
    marks += [open_mark] * (cells - len(marks))
    for end in ends:
        marks[cell(end)] = end_mark
    if row.now is not None and row.low is not None and swept > 0:
        marks[cell(min(max(row.now - row.low, 0.0), swept))] = now_mark
    return Text("".join(marks), style=STATE_STYLE.get(row.state, ""))


def _cells(row: JointRow, unit: str) -> dict[str, str]:
    ends = "any" if row.expected is None else f"{number(row.expected[0], unit)}..{number(row.expected[1], unit)}"
    numbers = {"now": row.now, "low": row.low, "high": row.high, "range": _swept(row)}
    return {"joint": row.name, "expected": ends, **{name: number(value, unit) for name, value in numbers.items()}}


def _swept(row: JointRow) -> float | None:
    return None if row.low is None or row.high is None else row.high - row.low


def number(value: float | None, unit: str) -> str:
    """Whole ticks, degrees with one digit, anything else with two; nothing is a dash."""
    if value is None:
        return ABSENT
    digits = 0 if unit == "ticks" else 1 if unit in DEGREES else 2
    return f"{round(value, digits) + 0.0:.{digits}f}"  # + 0.0: no "-0.0"


def _width(view: LiveView, columns: tuple[str, ...]) -> int:
    return sum(_needed(view, name) + 2 for name in columns) - 2


def _needed(view: LiveView, column: str) -> int:
    """Letters of one column of the table."""
    if column == "":
        return BAR
    if column == "state":
        return max(map(len, [*STATE_STYLE, *(row.state for row in view.rows)]))
    longest = max(
        [len(view.unit if column == "joint" else column), *(len(_cells(row, view.unit)[column]) for row in view.rows)]
    )
    return longest if column in ("joint", "expected") else max(longest, len("-4095"))
