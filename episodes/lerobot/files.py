"""Where the files of a dataset lie: a folder, or a repository of the hub that gives each file when it is needed.

Takes a path or OWNER/NAME (or OWNER/NAME@REVISION); gives local paths of files named relative to the dataset. Of a
repository meta/ is fetched at once, each data and video file when it is first asked for. Knows nothing of the format.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from policy_spec.errors import DatasetError, HubError, sentence


class Files(Protocol):
    """What both kinds have."""

    @property
    def name(self) -> str:
        """Of the dataset, for a person."""

    @property
    def root(self) -> Path:
        """Where meta/ lies on this machine."""

    def path(self, relative: str) -> Path:
        """A file on this machine, fetched where that is needed. Raises DatasetError where there is none."""


@dataclass(frozen=True, slots=True)
class LocalFiles:
    """A dataset's folder."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.resolve().name

    def path(self, relative: str) -> Path:
        file = self.root / inside(relative, self.name)
        if not file.is_file():
            raise DatasetError(
                sentence(f"{file} is missing", expected="it, as meta/ says", do="fetch or copy the dataset again")
            )
        return file


@dataclass(frozen=True, slots=True)
class HubFiles:
    """A dataset on the hub, pinned to one commit."""

    name: str
    root: Path  # the snapshot's folder in the cache
    commit: str

    @classmethod
    def fetch(cls, ref: str) -> HubFiles:
        """Fetches meta/ of OWNER/NAME[@REVISION]. Raises HubError."""
        from huggingface_hub import errors, snapshot_download

        name, _, revision = ref.partition("@")
        try:
            folder = snapshot_download(
                name, repo_type="dataset", revision=revision or None, endpoint=_endpoint(), allow_patterns=["meta/*"]
            )
        except (errors.HTTPError, errors.HFValidationError, OSError) as error:
            raise _unreachable(f"{ref} is no folder here, and the dataset of that name", error) from error
        return cls(name, Path(folder), Path(folder).name)

    def path(self, relative: str) -> Path:
        from huggingface_hub import errors, hf_hub_download

        relative = inside(relative, self.name)
        if (self.root / relative).is_file():
            return self.root / relative
        try:
            return Path(
                hf_hub_download(self.name, relative, repo_type="dataset", revision=self.commit, endpoint=_endpoint())
            )
        except (errors.HTTPError, errors.HFValidationError, OSError) as error:
            raise _unreachable(f"{relative} of the dataset {self.name}", error) from error


def inside(relative: str, name: str) -> str:
    """The path, if it stays inside the dataset. meta/ comes from strangers. Raises DatasetError."""
    parts = PurePosixPath(relative).parts
    if not parts or relative.startswith("/") or ".." in parts:
        raise DatasetError(
            sentence(f"{name}: a file name in meta/", expected="a path inside the dataset", got=relative)
        )
    return relative


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _unreachable(what: str, error: Exception) -> HubError:
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return HubError(
        sentence(
            f"{what} could not be fetched",
            expected="a dataset on the hub that you may read, and a network",
            got=line,
            do="check the name; for a private one `hf auth login` or set HF_TOKEN",
        )
    )
