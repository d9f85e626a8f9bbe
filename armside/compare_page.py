"""A comparison as parts of a page: what differs, where most, in which joint; latency, memory, both plans."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from armside.bundle_page import plan_parts
from armside.compare_memory import Footprint
from armside.compare_numbers import Numbers, Spread, worst_joint
from armside.compare_plots import joints_png, latency_png, layers_png
from armside.compare_run import Side
from armside.compare_samples import Sample
from armside.page import Part, Picture, Table, Title, Words
from armside.say import size

WHAT = {
    "features": "vision: features",
    "K": "llm: K of the expert",
    "V": "llm: V of the expert",
    "velocity": "flow: velocity of a step",
}
PICTURE = 420  # pixels wide, of the worst sample


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """All that a page says of two bundles."""

    names: tuple[str, str]
    sides: tuple[Side, Side]
    on: str  # what the samples were
    numbers: Numbers
    worst: Sample
    failed: tuple[str, ...]  # samples without a chunk, and why
    memory: tuple[Footprint, Footprint] | None
    engine: str


def page(c: Compared) -> list[Part]:
    """The whole page."""
    return [
        Title(f"{c.names[1]} against {c.names[0]}"),
        Words(summary(c)),
        Table(("", "A", "B"), facts(c), left=("A", "B")),
        *error_parts(c),
        *cost_parts(c),
        *plan_parts(c.sides[1].bundle.manifest),
    ]


def summary(c: Compared) -> str:
    """What somebody wants to know first."""
    n, joint = c.numbers, worst_joint(c.numbers)
    words = (
        f"A is {c.names[0]} ({c.sides[0].bundle.manifest.precision}), B is {c.names[1]} "
        f"({c.sides[1].bundle.manifest.precision}); on {n.samples} samples: {c.on}. The chunk's cosine is "
        f"{n.cosine.mean:.6f} on average and {n.cosine.worst:.6f} at worst."
    )
    if c.failed:
        words += f" {len(c.failed)} more gave no chunk, the first: {c.failed[0]}."
    if joint:
        words += (
            f" The worst joint is {joint.name}: off by {joint.worst:.3g} {joint.unit} at step {joint.step} of "
            f"{joint.where}, {joint.mean:.2g} on average."
        )
    if n.control is not None:
        words += f" For scale: another noise seed moves A's own chunk by up to {n.control:.3g} of half a joint's range,"
        words += f" B differs from A by up to {n.largest.worst:.3g}."
    return words


def facts(c: Compared) -> tuple[tuple[str, str, str], ...]:
    """Both bundles side by side."""
    rows = []
    for name, pick in (
        ("bundle", lambda side: str(side.path)),
        ("checkpoint", lambda side: side.bundle.manifest.source.name),
        ("target", lambda side: side.bundle.manifest.target),
        ("precision", lambda side: side.bundle.manifest.precision),
        ("size", lambda side: size(side.bundle.manifest.total_bytes)),
        ("mode", lambda side: side.bundle.manifest.mode),
        ("prompt bracket", lambda side: f"{side.bundle.manifest.bracket} tokens"),
    ):
        rows.append((name, *(pick(side) for side in c.sides)))
    return tuple(rows)  # type: ignore[arg-type]


def error_parts(c: Compared) -> list[Part]:
    """Actions, joints, graphs, layers, and the worst sample with its pictures."""
    n = c.numbers
    parts: list[Part] = [
        Title("Actions"),
        Table(
            ("", "mean", "p99", "worst", "worst sample"),
            tuple(_spread(row) for row in (n.cosine, n.largest, *([n.tokens] if n.tokens else []))),
            left=("worst sample",),
        ),
    ]
    if n.joints:
        parts += [
            Table(
                ("joint", "unit", "mean", "p99", "worst", "at step", "worst sample"),
                tuple(
                    (j.name, j.unit, f"{j.mean:.3g}", f"{j.p99:.3g}", f"{j.worst:.3g}", str(j.step), j.where)
                    for j in n.joints
                ),
                left=("unit", "worst sample"),
            ),
            Picture("joints.png", joints_png(n), "Difference of each joint from A's, over all samples and steps"),
        ]
    parts += [Title("Graphs"), Words(_graph_words(n)), Table(_COLUMNS, _graph_rows(n), left=("worst at", "sample"))]
    if n.layers["K"]:
        parts.append(Picture("layers.png", layers_png(n), "K and V by layer, end to end, mean over all samples"))
    parts += [Title("Worst sample"), Words(f"{c.worst.where}; task: {c.worst.task or 'none'}")]
    return [*parts, *_pictures(c)]


_COLUMNS = ("what", "mean", "p99", "worst", "worst at", "by itself: mean", "by itself: worst", "sample")


def _graph_words(n: Numbers) -> str:
    words = "Root mean square of the difference, as a share of A's: end to end"
    if n.own:
        return words + "; and by itself, where each graph of B was fed what A's graphs gave before it."
    return words + ". Calls that generate tokens are only compared end to end."


def _graph_rows(n: Numbers) -> tuple[tuple[str, ...], ...]:
    own = {row.name: row for row in n.own}
    rows = []
    for row in n.whole:
        alone = own.get(row.name)
        cells = (f"{alone.mean:.2%}", f"{alone.worst:.2%}") if alone else ("", "")
        rows.append(
            (WHAT[row.name], f"{row.mean:.2%}", f"{row.p99:.2%}", f"{row.worst:.2%}", row.detail, *cells, row.where)
        )
    return tuple(rows)


def _spread(row: Spread) -> tuple[str, ...]:
    near_one = row.name.startswith("cosine")
    return (row.name, *(f"{v:.6f}" if near_one else f"{v:.3g}" for v in (row.mean, row.p99, row.worst)), row.where)


def _pictures(c: Compared) -> list[Part]:
    slots = c.sides[0].host.tag.camera_slots
    parts: list[Part] = []
    for number, image in enumerate(c.worst.observation.images):
        slot = slots[number] if number < len(slots) else f"camera {number}"
        parts.append(Picture(f"worst_{number}.jpg", small_jpeg(np.asarray(image)), f"{slot}: {c.worst.where}"))
    return parts


def small_jpeg(image: np.ndarray) -> bytes:
    """A picture [h, w, 3] RGB, at most PICTURE pixels wide."""
    import io

    from PIL import Image

    picture = Image.fromarray(image)
    if picture.width > PICTURE:
        picture = picture.resize((PICTURE, round(picture.height * PICTURE / picture.width)))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=88)
    return out.getvalue()


def cost_parts(c: Compared) -> list[Part]:
    """Latency and memory, measured here."""
    n = c.numbers
    parts: list[Part] = []
    if n.latency:
        rows = tuple(
            (row.stage, f"{1e3 * row.a:.1f}", f"{1e3 * row.b:.1f}", f"{row.a / row.b:.2f}x" if row.b else "")
            for row in n.latency
        )
        parts += [
            Title("Latency"),
            Words(f"Measured here ({c.engine}), A and B in turn, medians; other machines differ, ratios less so."),
            Table(("stage", "A ms", "B ms", "A / B"), rows),
            Picture("latency.png", latency_png(n, c.names), "One call, stage by stage"),
        ]
    if c.memory:
        words = "Each bundle opened and asked once, in a process of its own; the whole process."
        rows = tuple(
            (name, size(foot.resident), size(foot.peak), size(foot.before))
            for name, foot in zip(("A", "B"), c.memory, strict=True)
        )
        columns = ("", "after a call", "at the peak", "without a bundle")
        parts += [Title("Memory"), Words(words), Table(columns, rows)]
    return parts
