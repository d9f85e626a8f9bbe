"""What TensorRT cannot take fails an export for one of its boards, before a weight is written, and no other export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from armside.stream_bundle import Recipe, write_bundle
from export import trt_patterns
from export.journal import Journal
from export.trt_lint import Place
from policy_spec.errors import ExportError
from quant.plan import make_plan
from quant.rewrite import QDQ
from tests.quant.graphs_by_hand import mlp


def test_an_export_for_a_board_is_held_to_the_rules(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator of the real graphs is taken off the list: the target's own versions are asked."""
    from armside.make_bundle import ExportOptions, export_bundle

    monkeypatch.setattr(trt_patterns, "TAKEN", trt_patterns.TAKEN - {"Gelu"})
    options = ExportOptions(str(checkpoint), tmp_path / "b", target="orin-nano-8", precision="fp16")
    with pytest.raises(ExportError, match=r"TensorRT 10\.16\.2, graph vision, Gelu .*: refused \(unlisted\)"):
        export_bundle(options, lambda *_: None)
    assert not list(tmp_path.iterdir())


def test_other_targets_are_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same graph with and without a TensorRT to go to: refused before anything is written, and written."""
    monkeypatch.setattr(trt_patterns, "TAKEN", trt_patterns.TAKEN - {"Sigmoid"})
    work, folder = tmp_path / "work", tmp_path / "b"
    work.mkdir()
    journal, recipe = Journal(work, tmp_path, {}), Recipe(make_plan("fp32"), form=QDQ)
    with pytest.raises(ExportError, match=r"TensorRT 10\.3, graph llm, Sigmoid"):
        write_bundle({"llm": mlp()}, replace(recipe, place=Place(("10.3",))), folder, journal, lambda *_: None)
    assert not folder.exists()
    folder.mkdir()
    assert write_bundle({"llm": mlp()}, recipe, folder, journal, lambda *_: None).opsets == {"llm": 20}
    assert (folder / "llm.onnx").is_file()
