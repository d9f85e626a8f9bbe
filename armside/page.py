"""A page in two forms from one list of parts: Markdown for reading in a terminal, HTML that opens without a network.

A part is a title, words, a table or a picture. Knows nothing of what they say.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = """
:root { color-scheme: light; } * { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2430; max-width: 1120px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
p { margin: .3rem 0 .7rem; max-width: 60rem; } img { max-width: 100%; height: auto; }
figure { margin: 0 0 1rem; } figcaption { color: #5a6675; font-size: .9rem; }
table { border-collapse: collapse; margin: .3rem 0 1rem; } th, td { padding: .25rem .8rem; text-align: right; }
th { font-weight: 600; border-bottom: 1px solid #c9d2dc; } td { border-bottom: 1px solid #eef1f5; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } td { font-variant-numeric: tabular-nums; }
td:not(.words) { white-space: nowrap; } td.words, th.words { text-align: left; } td.words { min-width: 7rem; }
.scroll { overflow-x: auto; } .row { display: flex; gap: 1rem; flex-wrap: wrap; } .row figure { max-width: 420px; }
"""

KINDS = {b"\x89PNG": "png", b"RIFF": "webp"}  # by how a picture begins


@dataclass(frozen=True, slots=True)
class Title:
    """A heading; the first one of a page is its name."""

    text: str


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are text; columns named in `left` hold words."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A PNG, JPEG or WebP; beside the Markdown it is a file, in the HTML it is inside."""

    file: str
    data: bytes
    caption: str


Part = Title | Words | Table | Picture


def markdown(parts: Sequence[Part]) -> str:
    """The page as Markdown; pictures are links to files of their names."""
    lines: list[str] = []
    for number, part in enumerate(parts):
        if isinstance(part, Title):
            lines += [f"{'#' if number == 0 else '##'} {part.text}", ""]
        elif isinstance(part, Words):
            lines += [part.text, ""]
        elif isinstance(part, Picture):
            lines += [f"![{part.caption}]({part.file})", ""]
        else:
            lines += [_line(part.columns), "|" + "---|" * len(part.columns), *map(_line, part.rows), ""]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def to_html(parts: Sequence[Part]) -> str:
    """The page as one HTML file."""
    title = next((part.text for part in parts if isinstance(part, Title)), "")
    out = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>",
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>",
    ]
    row: list[str] = []  # pictures that follow each other stand side by side
    for number, part in enumerate(parts):
        if isinstance(part, Picture):
            row.append(_figure(part))
            continue
        out += _shelf(row)
        row = []
        if isinstance(part, Title):
            tag = "h1" if number == 0 else "h2"
            out.append(f"<{tag}>{html.escape(part.text)}</{tag}>")
        elif isinstance(part, Words):
            out.append(f"<p>{html.escape(part.text)}</p>")
        else:
            out.append(_table(part))
    return "\n".join([*out, *_shelf(row)]) + "\n"


def _shelf(row: list[str]) -> list[str]:
    if len(row) < 2:
        return row
    return [f"<div class=row>{''.join(row)}</div>"]


def _figure(part: Picture) -> str:
    kind = KINDS.get(part.data[:4], "jpeg")
    encoded = base64.b64encode(part.data).decode()
    caption = html.escape(part.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/{kind};base64,{encoded}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _table(part: Table) -> str:
    words = [name in part.left for name in part.columns]
    head = "".join(_cell("th", name, left) for name, left in zip(part.columns, words, strict=True))
    body = "".join(
        "<tr>" + "".join(_cell("td", cell, left) for cell, left in zip(row, words, strict=True)) + "</tr>"
        for row in part.rows
    )
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(tag: str, text: str, words: bool) -> str:
    return f"<{tag}{' class=words' if words else ''}>{html.escape(text)}</{tag}>"


def write_page(folder: Path, parts: Sequence[Part]) -> tuple[Path, Path]:
    """report.md with its pictures, and report.html, in a folder; each file whole or not at all. Raises OSError."""
    from calib.store import write_whole

    for part in parts:
        if isinstance(part, Picture):
            write_whole(folder / part.file, part.data)
    paths = folder / "report.md", folder / "report.html"
    write_whole(paths[0], markdown(parts).encode())
    write_whole(paths[1], to_html(parts).encode())
    return paths
