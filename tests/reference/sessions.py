"""Bundles that generate tokens, made of a case's checkpoint and opened as a robot opens them.

One session for each precision and head; a case gets policies of its own over a session's engine, so that both orders
and several memories can be compared on the same graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from armside.make_bundle import ExportOptions, export_bundle
from edge.policies import Policy, PolicyOptions, make_pipeline, make_policy
from edge.session import Session
from export.build import GraphOptions
from policy_spec.graphs import HEADS
from policy_spec.spec import PolicySpec

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True, slots=True)
class Opened:
    """The sessions of one checkpoint and mode."""

    sessions: dict[tuple[str, str], Session]  # by precision and head
    tag: str

    def policy(self, precision: str, head: str, options: PolicyOptions | None = None) -> tuple[Policy, Session]:
        """A policy that remembers nothing yet, and the session whose engine runs it."""
        session = self.sessions[precision, head]
        # Cases of several tags share a bundle: it has room for the most cameras.
        host = replace(make_pipeline(session.bundle, self.tag), allow_fewer_cameras=True)
        return make_policy(session.bundle, host, options), session


@contextmanager
def opened(
    folder: Path, scratch: Path, mode: str, sizes: tuple[int, int], only: Sequence[tuple[str, str]] = ()
) -> Iterator[dict[tuple[str, str], Session]]:
    """The bundles of one checkpoint, opened. sizes: cameras, and tokens of the longest prompt; only: precisions and
    heads, all where none is named.
    """
    checkpoint, (cameras, longest) = folder / "checkpoint", sizes
    spec = PolicySpec.from_checkpoint(checkpoint)
    # A session wants room for all cameras of a tag, also where its cases have fewer pictures.
    cameras = max(cameras, *(len(tag.camera_slots) for tag in spec.tags.values()))
    # An export refuses less than the longest empty prompt, which another tag's may be.
    longest = max(longest, spec.empty_prompt(spec.tokenizer(checkpoint / "tokenizer.json"), cameras))
    with ExitStack() as stack:
        sessions = {}
        for precision, head in only or [(precision, head) for precision in PRECISIONS for head in HEADS[mode]]:
            bundle = scratch / f"{precision}-{head}"
            options = ExportOptions(
                str(checkpoint),
                bundle,
                precision=precision,
                graphs=GraphOptions(cameras=cameras, prompt_tokens=longest, mode=mode, head=head),
                fast_tokenizer=folder / "fast_tokenizer" if mode == "discrete" else None,
            )
            export_bundle(options, lambda *_: None)
            session = Session.open(bundle, norm_tag=next(iter(spec.tags)))
            sessions[precision, head] = stack.enter_context(session)
        yield sessions
