"""The command line itself: help, exit codes, one block for an error, and wrong arguments to each verb."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from armside import __version__
from armside.cli import VERBS, main
from policy_spec.errors import CheckpointError
from tests.cli.conftest import Armside, armside_program


def test_version_and_help_name_every_verb(armside: Armside) -> None:
    assert armside("--version").stdout.strip() == f"armside {__version__}"
    helped = armside("--help").stdout
    assert all(verb in helped and summary in " ".join(helped.split()) for verb, summary in VERBS.items())


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_explains_itself(armside: Armside, verb: str) -> None:
    done = armside(verb, "--help")
    assert done.returncode == 0 and f"usage: armside {verb}" in done.stdout, done.stderr


def test_help_reads_no_room() -> None:
    code = """
import sys
from armside.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
rooms = {"policy_spec", "train", "export", "quant", "edge", "firmware_bridge", "numpy", "rich", "torch"}
print(sorted(rooms & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [[], ["frob"], ["init"], ["init", "x", "--preset", "huge"], ["run", "--what"]])
def test_a_wrong_command_line_exits_2(armside: Armside, arguments: list[str]) -> None:
    done = armside(*arguments)
    assert done.returncode == 2 and done.stderr.startswith("usage: armside"), done.stderr


def test_an_error_is_one_block_without_a_traceback(armside: Armside, checkpoint: Path) -> None:
    done = armside("init", checkpoint)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [
        f"armside: CheckpointError: {checkpoint} exists",
        "  expected: a new folder",
        "  what to do: choose another, or say --overwrite",
    ]
    debugged = armside("init", checkpoint, "--debug")
    assert debugged.returncode == 1 and "Traceback" in debugged.stderr


def test_a_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from armside.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "export", "nowhere", str(tmp_path / "b")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "this verb needs torch" in done.stderr and "pip install 'armside[export]'" in done.stderr


def test_ctrl_c_exits_130_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "big"
    command = [*armside_program(), "init", str(folder), "--preset", "mid"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("big.partial-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err, err
    assert "stopped by Ctrl-C" in err and out == ""
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_is_no_error(bundle: Path) -> None:
    command = f"{armside_program()[0]} inspect {bundle} --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == "{\n" and done.stderr == ""


def test_ctrl_c_inside_an_import_is_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A compiled module that is interrupted while it is imported raises ImportError from it."""

    def interrupted(args: object) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    def failed(args: object) -> int:
        raise CheckpointError("no checkpoint")

    import armside.doctor

    monkeypatch.setattr(armside.doctor, "run", interrupted)
    assert main(["doctor"]) == 130 and "stopped by Ctrl-C" in capsys.readouterr().err
    monkeypatch.setattr(armside.doctor, "run", failed)
    assert main(["doctor"]) == 1 and "no checkpoint" in capsys.readouterr().err  # negative control
