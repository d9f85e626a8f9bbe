"""The side file: what is written is read; a newer program's keys survive; a spoilt one is named and blocks nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from calib import provenance as provenances
from calib.provenance import Provenance, Swept
from firmware_bridge.errors import CalibrationError
from tests.calib.arm_files import PROVENANCE

FULL = dataclasses.replace(
    PROVENANCE,
    sweep={
        "elbow_flex": Swept(2202, 400, 193.5, (165.0, 218.0), (2, 3)),
        "wrist_roll": Swept(3640, 300, 320.0, None, (1, 1)),
    },
    directions={"elbow_flex": "right"},
    horns={"elbow_flex": -1.5},
    source="/else/blue.json",
    firmware={"elbow_flex": "3.9"},
    model="777",
    eeprom="0123456789ab",
    details={"stroke_rad": 6.5},
)


def written(folder: Path, **changes: object) -> Path:
    path = folder / "blue.provenance.json"
    path.write_text(json.dumps({**json.loads(FULL.to_json()), **changes}))
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "blue.provenance.json"
    path.write_text(FULL.to_json())
    assert provenances.load(path) == FULL


def test_there_may_be_none(tmp_path: Path) -> None:
    assert provenances.load(provenances.path_beside(tmp_path / "blue.json")) is None


def test_keys_of_a_newer_program_survive_being_rewritten(tmp_path: Path) -> None:
    path = written(tmp_path, version=7, weather={"sun": True})
    read = provenances.load(path)
    assert read is not None and read.extra == {"weather": {"sun": True}}
    path.write_text(dataclasses.replace(read, mode="pose").to_json())
    assert provenances.load(path) == dataclasses.replace(read, mode="pose")


def test_a_key_that_an_older_file_lacks_has_its_default(tmp_path: Path) -> None:
    path = written(tmp_path)
    data = json.loads(path.read_text())
    del data["horns"], data["details"]
    path.write_text(json.dumps(data))
    assert provenances.load(path) == dataclasses.replace(FULL, horns={}, details={})


SPOILT = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b'{"format": "another"}',
    b'{"format": "armside-calibration-provenance"}',
    b'{"format": "armside-calibration-provenance", "mode": 3}',
]


@pytest.mark.parametrize("data", SPOILT)
def test_a_spoilt_side_file_says_so(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "blue.provenance.json"
    path.write_bytes(data)
    with pytest.raises(CalibrationError, match=r"side file .*cannot be used.*the calibration itself is not touched"):
        provenances.load(path)


@pytest.mark.parametrize("changes", [{"sweep": {"elbow_flex": {"ticks": 3}}}, {"sweep": [1]}, {"mode": None}])
def test_a_key_of_another_kind_is_spoilt(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(CalibrationError, match="cannot be used"):
        provenances.load(written(tmp_path, **changes))


def test_a_provenance_needs_its_first_words() -> None:
    with pytest.raises(TypeError):
        Provenance("pose")  # type: ignore[call-arg]
