"""Bundles: written whole or not at all, every damage found, hashes remembered."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from policy_spec import bundle as bundle_module
from policy_spec import hashes
from policy_spec.bundle import Bundle, BundleWriter, open_bundle
from policy_spec.compare import Row
from policy_spec.errors import BundleError
from policy_spec.graphs import graph_specs
from policy_spec.hashes import HashCache
from policy_spec.manifest import FORMAT, GraphFile, Manifest, PlanEntry, Source
from policy_spec.spec import PolicySpec


def manifest_of(spec: PolicySpec, **changes: Any) -> Manifest:
    graphs = graph_specs(spec, 2, 64, 6)
    given: dict[str, Any] = {
        "target": "x86-cpu",
        "precision": "int8",
        "source": Source("someone/policy", "a" * 40),
        "tags": ("arm",),
        "cameras": 2,
        "bracket": 64,
        "horizon": 6,
        "image_attention": "bidirectional",
        "graphs": {name: GraphFile(g, f"{name}.onnx", 17, (f"{name}.onnx.data",)) for name, g in graphs.items()},
        "arm": ("so101", "so100"),
        "plan": (PlanEntry("llm.ffn", 6, "w8a8", "large products", 1234),),
        "parity": (Row("actions", 1e-5, 2e-4, "0.1 at [0]"),),
    }
    return Manifest(**{**given, **changes})


def fill(folder: Path, spec: PolicySpec, checkpoint: Path) -> None:
    (folder / "spec.json").write_text(spec.to_json())
    (folder / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
    for i, name in enumerate(("vision", "llm", "flow")):
        (folder / f"{name}.onnx").write_bytes(bytes([i]) * 1000)
        (folder / f"{name}.onnx.data").write_bytes(os.urandom(5000))


@pytest.fixture
def written(tmp_path: Path, spec: PolicySpec, checkpoint: Path) -> Path:
    path = tmp_path / "out" / "bundle"
    with BundleWriter(path) as out:
        fill(out.directory, spec, checkpoint)
        out.commit(manifest_of(spec))
    return path


def left_over(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


def test_a_bundle_opens_as_it_was_written(written: Path, spec: PolicySpec) -> None:
    opened = open_bundle(written)
    assert isinstance(opened, Bundle) and opened.spec == spec and left_over(written) == ["bundle"]
    assert opened.manifest.source.revision == "a" * 40 and opened.manifest.format == FORMAT
    assert opened.manifest.armside_version
    assert set(opened.manifest.files) == {p.name for p in written.iterdir()} - {"manifest.json"}
    assert opened.manifest.total_bytes == sum(e.bytes for e in opened.manifest.files.values()) > 15000
    assert opened.graph_path("llm").is_file() and opened.tokenizer().bos_id == spec.token_ids["bos"]
    with pytest.raises(BundleError, match="flow"):
        opened.graph_path("decode")


def test_the_manifest_is_lossless(spec: PolicySpec) -> None:
    manifest = manifest_of(spec)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(dataclasses.replace(manifest, bracket=80).to_json()) != manifest


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("name", ["vision.onnx", "llm.onnx.data", "spec.json", "tokenizer.json", "manifest.json"])
def test_one_flipped_bit_is_found_and_named(written: Path, name: str, verify: bool) -> None:
    open_bundle(written)
    content = bytearray((written / name).read_bytes())
    digit = next(i for i, byte in enumerate(content) if chr(byte).isdigit() or not name.endswith("json"))
    content[digit] ^= 1
    (written / name).write_bytes(content)
    with pytest.raises(BundleError, match=rf"{name}.*damaged.*expected: .*got: .*what to do: "):
        open_bundle(written, verify=verify)


@pytest.mark.parametrize("name", ["flow.onnx", "flow.onnx.data", "tokenizer.json"])
def test_truncated_and_missing_files_are_named(written: Path, name: str) -> None:
    size = (written / name).stat().st_size
    os.truncate(written / name, size - 7)
    with pytest.raises(BundleError, match=rf"{name} is truncated; expected: {size} bytes; got: {size - 7}"):
        open_bundle(written)
    (written / name).unlink()
    with pytest.raises(BundleError, match=rf"{name} is missing"):
        open_bundle(written)


def test_half_a_manifest_is_damage(written: Path) -> None:
    text = (written / "manifest.json").read_text()
    (written / "manifest.json").write_text(text[: len(text) // 2])
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        open_bundle(written)


def test_a_newer_format_says_which_armside_to_install(written: Path) -> None:
    data = json.loads((written / "manifest.json").read_text())
    data |= {"format": FORMAT + 1, "armside_version": "9.1.0", "a_new_key": {}}
    (written / "manifest.json").write_text(json.dumps(data))
    with pytest.raises(BundleError, match=rf"format {FORMAT + 1}, written by armside 9\.1\.0.*armside>=9\.1\.0"):
        open_bundle(written)


def test_file_names_stay_inside(written: Path, spec: PolicySpec) -> None:
    manifest = open_bundle(written).manifest
    entry = manifest.files["spec.json"]
    outside = dataclasses.replace(manifest, files={**manifest.files, "../other": entry})
    (written / "manifest.json").write_text(outside.to_json())
    with pytest.raises(BundleError, match="inside the bundle"):
        open_bundle(written)


def test_what_is_no_bundle_is_told(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        open_bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"a checkpoint.*armside export"):
        open_bundle(checkpoint)
    with pytest.raises(BundleError, match="something else"):
        open_bundle(tmp_path)


def test_a_bundle_for_another_arm_is_refused(written: Path) -> None:
    opened = open_bundle(written)
    opened.require_arm("so101")
    with pytest.raises(BundleError, match=r"another arm.*so100.*so101.*'yam'"):
        opened.require_arm("yam")
    dataclasses.replace(opened, manifest=dataclasses.replace(opened.manifest, arm=())).require_arm("yam")


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_any_exception_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "bundle"
    with pytest.raises(type(error)), BundleWriter(path) as out:
        (out.directory / "vision.onnx").write_bytes(b"half")
        raise error
    assert left_over(path) == []


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "x"), OSError(errno.EDQUOT, "x"), RuntimeError("I/O: No space left on device (28)")]
)
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "bundle"
    with pytest.raises(BundleError, match="the disk is full"), BundleWriter(path) as out:
        (out.directory / "vision.onnx").write_bytes(b"half")
        raise error
    assert left_over(path) == []


def test_a_disk_that_fills_up_at_the_last_flush(
    tmp_path: Path, spec: PolicySpec, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(bundle_module, "_sync", full)
    with pytest.raises(BundleError, match="the disk is full"), BundleWriter(tmp_path / "bundle") as out:
        fill(out.directory, spec, checkpoint)
        out.commit(manifest_of(spec))
    assert list(tmp_path.glob("bundle*")) == []


def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), BundleWriter(tmp_path / "bundle"):
        raise PermissionError(errno.EACCES, "no")


def test_without_a_commit_there_is_no_bundle(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as out:
        (out.directory / "x").write_text("x")
    assert left_over(tmp_path / "bundle") == []


def test_a_commit_needs_every_file(tmp_path: Path, spec: PolicySpec, checkpoint: Path) -> None:
    for name in ("tokenizer.json", "llm.onnx"):
        with pytest.raises(BundleError, match=name), BundleWriter(tmp_path / "bundle") as out:
            fill(out.directory, spec, checkpoint)
            (out.directory / name).unlink()
            out.commit(manifest_of(spec))
    assert list(tmp_path.glob("bundle*")) == []


@pytest.mark.parametrize("can_swap", [True, False])
def test_an_existing_bundle_is_replaced_only_if_told(
    written: Path, spec: PolicySpec, checkpoint: Path, can_swap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_swap:
        monkeypatch.setattr(bundle_module, "_exchange", lambda one, two: False)
    with pytest.raises(BundleError, match="overwrite"), BundleWriter(written):
        pytest.fail("not entered")
    with pytest.raises(RuntimeError), BundleWriter(written, overwrite=True) as out:
        raise RuntimeError("half-way")
    assert open_bundle(written).manifest.bracket == 64
    with BundleWriter(written, overwrite=True) as out:
        fill(out.directory, spec, checkpoint)
        out.commit(manifest_of(spec, bracket=80))
    assert open_bundle(written).manifest.bracket == 80 and left_over(written) == ["bundle"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_bundle_is_never_overwritten(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "photos"
    if kind == "folder":
        path.mkdir()
        (path / "one.jpg").write_text("x")
    else:
        path.write_text("x")
    with pytest.raises(BundleError, match="not a bundle"), BundleWriter(path, overwrite=True):
        pytest.fail("not entered")
    assert path.exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BundleError, match="cannot be written"), BundleWriter(tmp_path / "file" / "bundle"):
        pytest.fail("not entered")


CRASH = """
    import sys, time
    from policy_spec.bundle import BundleWriter
    with BundleWriter(sys.argv[1]) as out:
        (out.directory / "vision.onnx").write_bytes(b"half")
        print("ready", flush=True)
        time.sleep(800)
"""


def test_a_killed_writer_leaves_no_bundle_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    root = Path(bundle_module.__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CRASH), str(path)], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert child.stdout is not None
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
        with BundleWriter(path):
            assert len(left_over(path)) == 2, "the other one still writes"
        child.send_signal(signal.SIGKILL)
        child.wait(800)
    assert not path.exists() and len(left_over(path)) == 1
    with BundleWriter(path):
        assert len(left_over(path)) == 1
    assert left_over(path) == []


def age(folder: Path) -> Any:
    """A wall clock by which all files are old enough for their hashes to be remembered."""
    newest = max(p.stat().st_ctime_ns for p in folder.rglob("*"))
    return lambda: newest + hashes._RACY_NS + 1


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads: list[Path] = []
    real = hashes.sha256_of

    def spy(path: Path, progress: Any = None) -> str:
        reads.append(path)
        return real(path, progress)

    monkeypatch.setattr(hashes, "sha256_of", spy)
    return reads


def test_hashes_are_remembered_until_a_file_changes(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    for expected in (8, 0):
        reads.clear()
        open_bundle(written, cache=HashCache(tmp_path / "h.json", age(written)))
        assert len(reads) == expected
    open_bundle(written, verify=True, cache=HashCache(tmp_path / "h.json", age(written)))
    assert len(reads) == 8
    reads.clear()
    (written / "flow.onnx").touch()
    open_bundle(written, cache=HashCache(tmp_path / "h.json", age(written)))
    assert [p.name for p in reads] == ["flow.onnx"]


def test_a_file_written_a_moment_ago_is_not_remembered(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = count_reads(monkeypatch)
    newest = age(written)() - hashes._RACY_NS - 1
    for _ in range(2):
        open_bundle(written, cache=HashCache(tmp_path / "h.json", lambda: newest + 1))
    assert len(reads) == 16


def test_the_cache_lives_where_the_desktop_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hashes.cache_path() == tmp_path / "armside" / "hashes.json"
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert hashes.cache_path() == Path.home() / ".cache" / "armside" / "hashes.json"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_cache_costs_only_time(written: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "h.json"
    path.write_text(content)
    open_bundle(written, cache=HashCache(path, age(written)))
    assert len(json.loads(path.read_text())) >= 8


def test_a_cache_that_cannot_be_written_is_fine(written: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert open_bundle(written, cache=HashCache(tmp_path / "file" / "h.json", age(written))).manifest


def test_two_writers_of_the_cache_lose_nothing(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1"), two.write_text("2")
    clock = age(tmp_path)
    a, b = (HashCache(tmp_path / "c" / "h.json", clock) for _ in range(2))
    digests = a.sha256(one), b.sha256(two)
    a.save(), b.save()
    again = HashCache(tmp_path / "c" / "h.json", clock)
    one_key, two_key = hashes._key(one), hashes._key(two)
    assert (again._known[one_key], again._known[two_key]) == digests
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["h.json", "h.json.lock"]


def test_the_cache_forgets_the_oldest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "_KEEP", 3)
    cache = HashCache(tmp_path / "c" / "h.json", lambda: 2**62)
    for i in range(5):
        (tmp_path / str(i)).write_text(str(i))
        cache.sha256(tmp_path / str(i))
    cache.save()
    assert len(json.loads((tmp_path / "c" / "h.json").read_text())) == 3
