"""Sessions of really exported bundles, over whole episodes of the reference cases: codes, tokens, actions, recovery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.policies import ORDERS, PolicyOptions
from edge.session import Session
from policy_spec.pipeline import Observation, Prediction

pytest.importorskip("torch")  # the robot's side, where these run too, has no export
from armside.make_bundle import ExportOptions, export_bundle
from export.build import GraphOptions

pytestmark = pytest.mark.reference
ACTION = 2e-4  # normalized, the reference README's
Export = Callable[..., Path]


@pytest.fixture(scope="module")
def export(reference_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """A case's checkpoint exported in one mode and head; each once."""
    made: dict[tuple[str, str, str], Path] = {}

    def bundle(case: str, mode: str, head: str) -> Path:
        if (case, mode, head) not in made:
            fast = reference_folder / case / "fast_tokenizer" if mode == "discrete" else None
            path = made[case, mode, head] = tmp_path_factory.mktemp(case) / "bundle"
            graphs = GraphOptions(mode=mode, head=head)
            options = ExportOptions(
                str(reference_folder / case / "checkpoint"), path, precision="fp32", graphs=graphs, fast_tokenizer=fast
            )
            export_bundle(options, lambda *_: None)
        return made[case, mode, head]

    return bundle


def frames(folder: Path, kind: str) -> list[dict[str, np.ndarray]]:
    """The files of one case in order."""
    return [dict(np.load(path)) for path in sorted(folder.glob(f"{kind}_*.npz"))]


def call(session: Session, data: dict[str, np.ndarray]) -> Prediction:
    """One call as the session makes it, but from the case's own noise."""
    images = tuple(data[f"image_{slot}"] for slot in range(2))
    assert session._policy is not None
    seen, noise = Observation(images, data["state"]), data.get("noise")
    return session._policy.pipeline.predict(session.engine.run, seen, str(data["task"]), noise=noise)


@pytest.mark.parametrize(("head", "order"), [("depth", ORDERS[0]), ("full", ORDERS[0]), ("full", ORDERS[1])])
def test_an_episode_of_depth_maps(reference_folder: Path, export: Export, head: str, order: str) -> None:
    case = "think-gate-tiny"
    options = PolicyOptions(depth_order=order)
    with Session.open(export(case, "think", head), options=options) as session:
        for number, data in enumerate(frames(reference_folder / case, "think")):
            if data["reset"]:
                session.reset()
            got = call(session, data)
            assert got.depth is not None
            assert np.array_equal(got.depth.codes, data["depth_bins"][0]), number
            assert np.array_equal(got.depth.changed, data.get("update_mask", np.ones(100, np.bool_))), number
            ends_as_released = head == "full" or len(data["generated_token_ids"].reshape(-1)) == 102
            if ends_as_released:
                assert np.array_equal(got.depth.tokens, data["generated_token_ids"].reshape(-1)), number
                dims = session.tag.action_dim
                off = np.abs(got.normalized - data["actions_normalized"])[..., :dims].max()
                assert off < ACTION, (number, off)


def test_an_episode_that_was_not_reset_has_other_codes(reference_folder: Path, export: Export) -> None:
    """The control to the test above: the memory is what makes the codes."""
    case = "think-gate-tiny"
    with Session.open(export(case, "think", "depth")) as session:
        differ = 0
        for data in frames(reference_folder / case, "think"):
            session.reset()
            depth = call(session, data).depth
            assert depth is not None
            differ += int((depth.codes != data["depth_bins"][0]).sum())
    assert differ > 0


@pytest.mark.parametrize(
    ("head", "answers"), [("full", "released"), ("full", "constrained"), ("action", "constrained")]
)
def test_a_discrete_answer(reference_folder: Path, export: Export, head: str, answers: str) -> None:
    [data] = frames(reference_folder / "discrete-tiny", "discrete")
    path = export("discrete-tiny", "discrete", head)
    with Session.open(path, options=PolicyOptions(answers=answers)) as session:
        wanted = data["generated_token_ids"].reshape(-1)
        for _ in range(2):  # the second from the memory of the first
            got = call(session, data)
            assert got.discrete is not None
            kept = wanted[: len(got.discrete.tokens)]  # constrained: without the eos
            assert np.array_equal(got.discrete.tokens, kept) and len(kept) >= len(wanted) - 1
            normalizer = session.tag.action
            half = (
                normalizer.unnormalize(np.ones((1, 6), np.float32))
                - normalizer.unnormalize(-np.ones((1, 6), np.float32))
            ) / 2
            assert np.abs((got.actions - data["actions"].reshape(got.actions.shape)) / half).max() < ACTION
