"""Where a checkpoint comes from: a directory, or a Hugging Face id, downloaded once and pinned to its commit.

Takes what a person typed, gives a local directory and the words for the manifest. Downloads resume where they
stopped and honour HF_ENDPOINT, HF_HOME, HF_TOKEN and HF_HUB_OFFLINE. Knows nothing of what is in a checkpoint
beyond its files' names.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path

from policy_spec.errors import CheckpointError, HubError, UsageError, sentence

# The numbers, the words and the facts; never the remote code.
WANTED = ("*.json", "*.safetensors", "*.txt")
FACTS = ("*.json", "*.txt")  # without the numbers: enough to plan an export
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class ResolvedCheckpoint:
    """A checkpoint on this machine and where it came from."""

    path: Path
    source: str  # the directory, or ORG/NAME
    revision: str | None  # the commit's hash; None for a directory


def resolve_checkpoint(
    ref: str, *, revision: str | None = None, cache_dir: Path | None = None, wanted: tuple[str, ...] = WANTED
) -> ResolvedCheckpoint:
    """A directory is taken as it is; of ORG/NAME the wanted files are fetched. Raises HubError, CheckpointError,
    UsageError.
    """
    folder = Path(ref).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise UsageError(
                sentence("--revision", expected="a Hugging Face id", got=f"the directory {ref}", do="leave it out")
            )
        return ResolvedCheckpoint(folder.resolve(), str(folder.resolve()), None)
    if not HUB_ID.fullmatch(ref):
        raise CheckpointError(
            sentence(
                "no checkpoint there",
                expected="a directory, or a Hugging Face id such as allenai/MolmoAct2-SO100_101",
                got=ref,
                do="armside init DIR writes one to try things with",
            )
        )
    return _fetch(ref, revision, cache_dir, wanted)


def _fetch(ref: str, revision: str | None, cache_dir: Path | None, wanted: tuple[str, ...]) -> ResolvedCheckpoint:
    from huggingface_hub import errors, snapshot_download

    endpoint = os.environ.get("HF_ENDPOINT") or None
    try:
        path = Path(
            snapshot_download(
                ref,
                revision=revision,
                cache_dir=cache_dir,
                endpoint=endpoint,
                allow_patterns=list(wanted),
                max_workers=4,
            )
        )
    # HTTPError is the base of the client's connection errors too, whichever client the installed version
    # uses.
    except (errors.HTTPError, errors.HFValidationError, OSError) as error:
        raise HubError(_explain(error, ref, revision, endpoint or "https://huggingface.co")) from error
    if not (path / "config.json").is_file():
        raise HubError(
            sentence(
                f"{ref} is not a checkpoint",
                expected="config.json among its files",
                do="check the name on the hub",
            )
        )
    # The last part of a snapshot's path is the commit that the branch or tag stood for.
    return ResolvedCheckpoint(path, ref, path.name)


def _explain(error: Exception, ref: str, revision: str | None, endpoint: str) -> str:
    """The sentence for each way that a download fails; the most particular class first."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return sentence(
            f"{ref} is gated",
            expected="an account that accepted its terms",
            do=f"accept them at {endpoint}/{ref}, then `hf auth login` or set HF_TOKEN",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return sentence(
            f"{ref} has no revision {revision}",
            expected="a branch, tag or commit",
            do=f"look at {endpoint}/{ref}/commits",
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return sentence(
            f"{ref} is not on the hub",
            expected=f"a public repository, or one that your token may read, at {endpoint}",
            do="check the spelling; for a private one `hf auth login` or set HF_TOKEN",
        )
    if isinstance(error, errors.LocalEntryNotFoundError):
        return sentence(
            f"the hub cannot be reached, and {ref} is not whole in the cache",
            expected=f"an answer from {endpoint}",
            got=_first_line(error.__cause__ or error),
            do="check the network and HF_HUB_OFFLINE, or give a local directory",
        )
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return sentence(
            f"the disk filled up while downloading {ref}",
            do="free some room, or point HF_HOME to another disk; the download goes on where it stopped",
        )
    return sentence(
        f"the download of {ref} failed",
        got=f"{type(error).__name__}: {_first_line(error)}",
        do="run it again: it goes on where it stopped",
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
