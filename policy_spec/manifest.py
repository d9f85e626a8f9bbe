"""manifest.json: what a bundle is, where it came from, how it was quantized and why, a hash of every file.

Takes and gives frozen dataclasses and their JSON. The manifest carries a digest of itself, so that a damaged
number in it is found too. Knows nothing of files; bundle.py does.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from typing import Any

from policy_spec.compare import Row
from policy_spec.errors import BundleError, sentence
from policy_spec.graphs import GraphSpec, TensorSpec, Variant

# 2 added mode, head and new_tokens: a bundle of format 1 is continuous. 3 lists the files of a graph's weights: before,
# there was one, or none.
FORMAT = 3
_DIGEST = "sha256"  # key of the digest of everything else in the manifest


def armside_version() -> str:
    """The installed version, as it goes into a manifest."""
    try:
        return importlib.metadata.version("armside")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0+unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the checkpoint came from."""

    name: str  # a path, or a hub id
    revision: str | None = None  # the hub's commit


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One group of tensors in the precision plan."""

    group: str
    tensors: int
    scheme: str
    reason: str
    bytes: int


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One observation that the bundle was calibrated on."""

    place: str  # source, episode, frame
    why: str  # it was chosen
    sha256: str  # of its task, state and pictures


@dataclass(frozen=True, slots=True)
class Calibration:
    """The samples that schemes of the plan were fitted to."""

    source: str
    tag: str
    sha256: str  # of all samples in their order
    samples: tuple[SampleEntry, ...]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Calibration:
        """Of parsed JSON."""
        return cls(**{**data, "samples": tuple(SampleEntry(**entry) for entry in data["samples"])})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class GraphFile:
    """One graph: its file, opset, inputs and outputs, and the files of its weights, if any."""

    graph: GraphSpec
    file: str
    opset: int
    data: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole manifest. `files` is filled in by the writer."""

    target: str  # x86-cpu, ...
    precision: str  # fp32, int8, ...
    source: Source
    tags: tuple[str, ...]
    cameras: int  # pictures of the vision graph
    bracket: int  # tokens of the prompt
    horizon: int  # steps of the flow graph
    image_attention: str
    graphs: dict[str, GraphFile]
    mode: str = "continuous"  # one of graphs.MODES
    head: str = ""  # which logits a cached llm graph gives, one of graphs.HEADS[mode]
    new_tokens: int = 0  # places of its cache after the prompt
    arm: tuple[str, ...] = ()  # robot types that the policy is for; empty: it does not say
    plan: tuple[PlanEntry, ...] = ()
    parity: tuple[Row, ...] = ()
    calibration: Calibration | None = None  # None: no scheme of the plan needed samples
    files: dict[str, FileEntry] = dataclasses.field(default_factory=dict)
    armside_version: str = ""
    format: int = FORMAT

    @property
    def variant(self) -> Variant:
        """What the bundle was exported to do."""
        return Variant(self.mode, self.head, self.new_tokens)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files but the manifest."""
        return sum(entry.bytes for entry in self.files.values())

    def to_json(self) -> str:
        """The text of manifest.json; `from_json` gives an equal object back."""
        data = dataclasses.asdict(self)
        data["parity"] = [row.to_json() for row in self.parity]
        return json.dumps({**data, _DIGEST: _digest(data)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises BundleError on damage, and on a newer format saying which armside to install."""
        try:
            data = json.loads(text)
            version, made_by = data.get("format"), data.get("armside_version")
            if isinstance(version, int) and version > FORMAT:
                raise BundleError(
                    sentence(
                        "manifest.json: the bundle is of a newer format",
                        expected=f"format {FORMAT} or older",
                        got=f"format {version}, written by armside {made_by}",
                        do=f"pip install 'armside>={made_by}'",
                    )
                )
            said = data.pop(_DIGEST)
            if said != _digest(data):
                raise BundleError(
                    sentence(
                        "manifest.json is damaged",
                        expected=f"contents with sha256 {said}",
                        got=_digest(data),
                        do="export or copy the bundle again",
                    )
                )
            return _from_dict(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(
                sentence(
                    "manifest.json is damaged",
                    expected="the JSON that an export wrote",
                    got=f"{type(error).__name__}: {error}",
                    do="export or copy the bundle again",
                )
            ) from error


def _from_dict(data: dict[str, Any]) -> Manifest:
    parts: dict[str, Any] = {
        "source": Source(**data["source"]),
        "tags": tuple(data["tags"]),
        "arm": tuple(data["arm"]),
        "plan": tuple(PlanEntry(**entry) for entry in data["plan"]),
        "parity": tuple(Row.from_json(row) for row in data["parity"]),
        "calibration": Calibration.from_dict(data["calibration"]) if data.get("calibration") else None,
        "files": {name: FileEntry(**entry) for name, entry in data["files"].items()},
        "graphs": {
            name: GraphFile(**{**entry, "graph": _graph(entry["graph"]), "data": _files(entry["data"])})
            for name, entry in data["graphs"].items()
        },
    }
    return Manifest(**{**data, **parts})


def _files(data: str | list[str] | None) -> tuple[str, ...]:
    """Of any format."""
    return () if data is None else (data,) if isinstance(data, str) else tuple(data)


def _graph(data: dict[str, Any]) -> GraphSpec:
    def tensors(key: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(t["name"], t["dtype"], tuple(t["shape"])) for t in data[key])

    return GraphSpec(data["name"], tensors("inputs"), tensors("outputs"))


def _digest(data: dict[str, Any]) -> str:
    """Of the contents, not of the text: indentation may change, a number may not."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
