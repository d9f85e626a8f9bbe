"""The memory that a bundle takes: opened and asked once, in a process of its own.

Takes a bundle's path; gives bytes: resident after the call, and at the peak.
"""

from __future__ import annotations

import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from policy_spec.errors import SessionError, sentence


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes, of the whole process."""

    before: int  # Python and its packages, no bundle
    resident: int  # after one call
    peak: int


def footprint(bundle: Path, threads: int, resident: str) -> Footprint:
    """Raises SessionError where the process died: mostly there was not enough memory."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, bundle, threads, resident).result()
        except BrokenProcessPool as error:
            raise SessionError(
                sentence(f"{bundle} could not be opened by itself", got="its process died", do="try --load turn")
            ) from error


def _measure(bundle: Path, threads: int, resident: str) -> Footprint:
    import psutil

    from edge.engine import EngineOptions
    from edge.session import Session
    from policy_spec.golden import Golden

    process = psutil.Process()
    before = process.memory_info().rss
    golden = Golden.load(bundle)
    with Session.open(bundle, norm_tag=golden.tag, engine=EngineOptions(threads, resident)) as session:
        session.predict(golden.observation, golden.task, golden.seed)
        after = process.memory_info().rss
    # ru_maxrss is in KiB on Linux.
    return Footprint(before, after, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
