"""What an export puts into a bundle, and what it refuses to make a bundle of."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from policy_spec.bundle import open_bundle
from policy_spec.golden import Golden
from tests.cli.conftest import Armside


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_graphs_that_lose_too_much_make_no_bundle(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quantizer rounds to 4 bits instead of 8: the last door before the bundle says so, with the rows."""
    from armside.make_bundle import ExportOptions, export_bundle
    from policy_spec.errors import ExportError
    from quant import schemes

    def coarse(weight: np.ndarray, _: object) -> schemes.Quantized:
        fine = schemes.quantize_per_channel(weight)
        return schemes.Quantized((np.rint(fine.values / 16) * 16).clip(-127, 127).astype(np.int8), fine.scale)

    monkeypatch.setitem(schemes.SCHEMES, schemes.W8A8, replace(schemes.SCHEMES[schemes.W8A8], quantize=coarse))
    with pytest.raises(ExportError, match=r"the int8 graphs lose too much(.|\n)*actions: max abs .* NO"):
        export_bundle(ExportOptions(str(checkpoint), tmp_path / "b", precision="int8"), lambda *_: None)
    assert names(tmp_path) == set()


def test_the_manifest_says_what_was_asked_and_what_it_is_for(checkpoint: Path, tmp_path: Path) -> None:
    from armside.make_bundle import ExportOptions, export_bundle
    from export.build import GraphOptions

    asked = GraphOptions(cameras=1, prompt_tokens=640, image_attention="causal")
    export_bundle(ExportOptions(str(checkpoint), tmp_path / "b", precision="fp32", graphs=asked), lambda *_: None)
    said = open_bundle(tmp_path / "b").manifest
    assert (said.cameras, said.bracket, said.image_attention) == (1, 640, "causal")
    assert (said.target, said.precision, said.arm) == ("x86-cpu", "fp32", ("so100", "so101"))
    assert said.source.name == str(checkpoint) and said.source.revision is None


def test_the_golden_is_the_bundle_s_own_answer(bundle: Path) -> None:
    """Beside the full-precision model's: a session reproduces the first and shows the second."""
    golden = Golden.load(bundle)
    for own, full in (
        (golden.actions, golden.reference_actions),
        (golden.normalized, golden.reference_normalized),
    ):
        assert own.shape == full.shape and not np.array_equal(own, full)
    assert set(golden.stages) == {"features", "k_00", "v_00", "k_03", "v_03"}


def test_a_checkpoint_that_can_predict_depth_is_told_to_act_without(
    armside: Armside, checkpoint: Path, plain_bundle: Path, tmp_path: Path
) -> None:
    thinks = tmp_path / "thinks"
    shutil.copytree(checkpoint, thinks)
    config = json.loads((thinks / "config.json").read_text())
    (thinks / "config.json").write_text(json.dumps({**config, "enable_depth_reasoning": True}))
    note = "note: this checkpoint can predict a depth map before it acts; the bundle acts without one"
    done = armside("export", thinks, tmp_path / "b", "--precision", "fp32")
    assert done.returncode == 0 and note in done.stdout
    assert note.removeprefix("note: ") in (tmp_path / "b" / "report.md").read_text()
    # The control: making plain_bundle, of the same checkpoint without the flag, said no note.
    assert note.removeprefix("note: ") not in (plain_bundle / "report.md").read_text()
