"""What is written is what is read; a cut tail is left out, damage in the middle is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from episodes import layout
from episodes.recording import Recording
from episodes.writer import require_free
from policy_spec.errors import RecordingError
from tests.episodes import helpers


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run", image_format="png")
    run = Recording.open(tmp_path / "run")
    assert run.header == helpers.header(image_format="png")
    assert run.torn == {}
    assert run.end is not None and run.end.reason == "duration"
    assert [c.index for c in run.chunks] == [0, 1, 2, 3]
    wanted = helpers.chunk(2)
    assert np.array_equal(run.chunks[2].actions, wanted.actions)
    assert np.array_equal(run.chunks[2].policy_actions, wanted.policy_actions)
    assert run.chunks[2].timings_s == wanted.timings_s
    assert np.array_equal(run.ticks["measured"], [helpers.tick(i).measured for i in range(400)])
    assert [run.modes[m] for m in run.ticks["mode"][[0, 399]]] == ["ready", "running"]
    assert run.clamp_words == ("speed elbow_flex",)
    assert np.flatnonzero(run.ticks["clamped"]).tolist() == list(range(7, 400, 50))
    assert np.isnan(run.ticks["current"]).all()  # the bridge did not say
    assert np.array_equal(run.image(run.observations[1], "cam0"), helpers.picture(1))


def test_jpeg_pictures_come_back_close_and_in_rgb(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    run = Recording.open(tmp_path / "run")
    got = run.image(run.observations[3], "cam0").astype(int)
    worst = np.abs(got - helpers.picture(3).astype(int)).max()
    assert worst <= 12, worst
    assert np.abs(got[:, :, ::-1] - helpers.picture(3).astype(int)).max() <= 12  # red equals blue here
    assert abs(int(got[:, :, 1].mean()) - 120) <= 3  # green says which observation it was


@pytest.mark.parametrize("name", [layout.EVENTS_FILE, layout.TICKS_FILE, layout.CHUNKS_FILE])
@pytest.mark.parametrize("cut", [1, 5, 17])
def test_a_torn_last_record_is_left_out_and_counted(tmp_path: Path, name: str, cut: int) -> None:
    helpers.write_run(tmp_path / "run", end=False)
    path = tmp_path / "run" / name
    path.write_bytes(path.read_bytes()[:-cut])
    run = Recording.open(tmp_path / "run")
    assert list(run.torn) == [name] and run.torn[name] > 0
    assert run.end is None
    assert len(run.ticks) == 400 - (name == layout.TICKS_FILE)
    assert len(run.chunks) == 4 - (name == layout.CHUNKS_FILE)


def test_zeros_at_the_end_after_a_power_loss_are_left_out(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run", end=False)
    for name in (layout.EVENTS_FILE, layout.TICKS_FILE):
        with open(tmp_path / "run" / name, "ab") as file:
            file.write(bytes(1000))
    run = Recording.open(tmp_path / "run")
    assert len(run.ticks) == 400 and len(run.chunks) == 4
    assert run.torn == {layout.EVENTS_FILE: 1000, layout.TICKS_FILE: 1000}


def test_without_its_end_it_is_a_run_that_was_cut_off(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    (tmp_path / "run" / layout.END_FILE).unlink()
    run = Recording.open(tmp_path / "run")
    assert run.end is None and len(run.ticks) == 400


def test_damage_in_the_middle_is_refused_by_line(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    path = tmp_path / "run" / layout.EVENTS_FILE
    lines = path.read_bytes().split(b"\n")
    lines[2] = lines[2][:10]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RecordingError, match=r"line 3 is damaged"):
        Recording.open(tmp_path / "run")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    run = Recording.open(tmp_path / "run")
    with pytest.raises(RecordingError, match="observation 0 has no readable picture of 'cam9'"):
        run.image(run.observations[0], "cam9")
    (tmp_path / "run" / run.observations[0].image_files["cam0"]).write_bytes(b"")
    with pytest.raises(RecordingError, match="no readable picture of 'cam0'"):
        run.image(run.observations[0], "cam0")


def test_an_existing_recording_is_never_overwritten(tmp_path: Path) -> None:
    helpers.write_run(tmp_path / "run")
    with pytest.raises(RecordingError, match="is a recording already"):
        helpers.write_run(tmp_path / "run")
    assert len(Recording.open(tmp_path / "run").ticks) == 400


def test_what_is_in_the_way_is_known_before_a_run(tmp_path: Path) -> None:
    require_free(tmp_path)
    require_free(tmp_path / "deep" / "run")
    helpers.write_run(tmp_path / "run")
    with pytest.raises(RecordingError, match="is a recording already"):
        require_free(tmp_path / "run")
    with pytest.raises(RecordingError, match="expected: a folder; got: a file"):
        require_free(tmp_path / "run" / layout.HEADER_FILE)


def test_what_is_not_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"is not a recording; expected: a folder with run\.json"):
        Recording.open(tmp_path)
    helpers.write_run(tmp_path / "run")
    head = tmp_path / "run" / layout.HEADER_FILE
    head.write_text(head.read_text().replace('"version": 1', '"version": 9'))
    with pytest.raises(RecordingError, match="another version; expected: 1; got: 9"):
        Recording.open(tmp_path / "run")


def test_a_state_that_is_not_finite_is_kept_as_such(tmp_path: Path) -> None:
    import dataclasses

    from episodes.writer import RecordingWriter

    writer = RecordingWriter(tmp_path / "run", helpers.header())
    state = np.array([1.0, np.nan, np.inf, 2.0, 3.0, 4.0])
    writer.write(dataclasses.replace(helpers.observation(0), state=state))
    writer.close()
    got = Recording.open(tmp_path / "run").observations[0].state
    assert np.array_equal(np.isfinite(got), np.isfinite(state)) and got[0] == 1.0


def test_a_folder_with_other_files_is_no_place_for_a_recording(tmp_path: Path) -> None:
    require_free(tmp_path)  # empty
    require_free(tmp_path / "new")
    (tmp_path / "holiday.txt").write_text("mine")
    with pytest.raises(RecordingError, match=r"new or an empty folder.*holiday\.txt"):
        require_free(tmp_path)
