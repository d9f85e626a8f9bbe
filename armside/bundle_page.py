"""What a bundle says of itself as parts of a page: facts, predictions, parity with full precision, layers, the plan.

Takes the manifest and what an export knows beside it; whoever measured something adds parts of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from armside.page import Part, Picture, Table, Title, Words
from armside.say import milliseconds, size
from armside.variant_words import variant_words
from policy_spec.manifest import Manifest

PREDICTION = "prediction.json"  # in a bundle: what armside plan would have said of it
SENSITIVITY = "sensitivity.png"  # in a bundle: what each group loses by itself, where that was measured

# of a layer: its name, its worst output, largest difference and root mean square, as shares of the reference's
Layer = tuple[str, str, float, float]


def bundle_parts(
    manifest: Manifest,
    notes: Sequence[str] = (),
    layers: Sequence[Layer] = (),
    prediction: Mapping[str, Any] | None = None,
    sensitivity: bytes | None = None,
) -> list[Part]:
    """The whole page, but for what was measured beside it."""
    return [
        *head_parts(manifest, notes),
        *prediction_parts(prediction),
        *parity_parts(manifest),
        *layer_parts(layers),
        *sensitivity_parts(sensitivity),
        *plan_parts(manifest),
    ]


def head_parts(manifest: Manifest, notes: Sequence[str] = ()) -> list[Part]:
    """What it is."""
    m = manifest
    return [
        Title(m.source.name),
        Words(
            f"Target {m.target}, precision {m.precision}, {m.cameras} cameras, prompt bracket {m.bracket} tokens, "
            f"horizon {m.horizon} steps, image attention {m.image_attention}."
        ),
        Words(f"Mode {'; '.join(variant_words(m))}."),
        *calibration_parts(m),
        *(Words(f"Note: {note}.") for note in notes),
    ]


def calibration_parts(manifest: Manifest) -> list[Part]:
    """Which samples schemes were fitted to, where some were."""
    found = manifest.calibration
    if found is None:
        return []
    text = f"Fitted to {len(found.samples)} samples of {found.source} ({found.tag}), sha256 {found.sha256[:12]}."
    return [Words(text)]


def prediction_parts(prediction: Mapping[str, Any] | None) -> list[Part]:
    """Size, memory and time on every computer that takes the plan: predicted, and labelled so."""
    if not prediction:
        return []
    rows = []
    for board in prediction["boards"]:
        memory, expected = board["memory"], board["expected_s"]
        rows.append(
            (
                board["target"],
                size(memory["weights"]),
                size(memory["run"]),
                memory["fits"],
                size(memory["build"]),
                milliseconds(board["floor_s"]),
                f"{milliseconds(expected[0])} to {milliseconds(expected[1])}",
            )
        )
    columns = ("target", "weights", "runs in", "", "built in", "floor ms", "expected ms")
    words = (
        "Predictions, counted from the graphs' shapes; nothing was timed. floor: what the best kernels would take; "
        "expected: times what calls of this model took elsewhere (docs/quantization.md)."
    )
    return [Title("Predicted"), Words(words), Table(columns, tuple(rows), left=("",))]


def parity_parts(manifest: Manifest) -> list[Part]:
    """The comparisons that the export made."""
    rows = []
    for row in manifest.parity:
        digits = ".6f" if row.at_least else ".3g"
        allowed = f"{'at least' if row.at_least else 'at most'} {row.tolerance:g}"
        rows.append((row.name, format(row.error, digits), allowed, "yes" if row.ok else "NO", row.detail))
    words = "Graphs against the reference model, then the bundle's own chunk against full precision: the golden case."
    columns = ("quantity", "error", "allowed", "ok", "worst")
    return [Title("Parity"), Words(words), Table(columns, tuple(rows), left=("worst",))]


def layer_parts(layers: Sequence[Layer]) -> list[Part]:
    """What each layer of the bundle loses by itself, where it was verified layer by layer."""
    if not layers:
        return []
    words = (
        "Each layer of the bundle alone, fed what the reference model hands it: its own error, largest difference and "
        "root mean square, as shares of the reference's."
    )
    rows = tuple((layer, output, f"{most:.2e}", f"{rms:.2e}") for layer, output, most, rms in layers)
    return [Title("Layers"), Words(words), Table(("layer", "worst output", "max", "rms"), rows, left=("worst output",))]


def sensitivity_parts(picture: bytes | None) -> list[Part]:
    """What each group loses by itself, where that was measured. picture: PNG."""
    if picture is None:
        return []
    words = (
        "Action and K/V error on recorded observations when only that group is quantized, before this bundle was made."
    )
    return [Title("Sensitivity"), Words(words), Picture(SENSITIVITY, picture, "Error by group and scheme")]


def sensitivity_png(file: Path | None) -> bytes | None:
    """The plot of a file of armside quant sensitivity. Raises UsageError where it is none."""
    if file is None:
        return None
    from armside.quant_plot import draw
    from quant.sensitivity_file import read_sensitivity

    return draw(read_sensitivity(file))


def plan_parts(manifest: Manifest) -> list[Part]:
    """Each tensor group's scheme, with the reason."""
    rows = tuple((e.group, e.scheme, str(e.tensors), size(e.bytes), e.reason) for e in manifest.plan)
    table = Table(("group", "scheme", "tensors", "stored", "why"), rows, left=("scheme", "why"))
    return [Title("Precision plan"), table]


def read_prediction(bundle: Path) -> dict[str, Any] | None:
    """prediction.json of a bundle; None in bundles that were made before there was one."""
    file = bundle / PREDICTION
    if not file.is_file():
        return None
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data
