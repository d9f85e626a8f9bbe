"""Discrete cases through the exported bundles: as released, held to action tokens, with guesses and without.

Float32 is judged: the released loop gives the released tokens; held to action tokens the same ones come, by each head
and whatever is guessed, wherever the released answer is one of action tokens. INT8 is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.policies import ANSWERS, PolicyOptions
from policy_spec.answer_draft import AnswerMemory
from policy_spec.discrete import DiscretePipeline
from policy_spec.errors import AnswerError, ArmsideError
from policy_spec.fast import FastTokenizer
from policy_spec.graphs import HEADS, head_rows
from policy_spec.pipeline import Prediction, Run
from policy_spec.replay import Replay
from tests.reference.inputs import observation
from tests.reference.model_truth import check_units
from tests.reference.quantities import Case, Quantity
from tests.reference.sessions import Opened

Arrays = Mapping[str, np.ndarray]
Frames = Sequence[tuple[Case, Arrays]]
CONSTRAINED, RELEASED = ANSWERS
EXACT = 1e-12  # float64, a sum of as many products as a chunk has steps


def check(frames: Frames, opened: Opened) -> None:
    """All heads and both precisions, in order, each answer guessed from the one before."""
    released(frames, opened)
    for head in HEADS["discrete"]:
        constrained(frames, opened, head)
    for case, data in frames:
        reported(case, data, opened)


def roundtrip(folder: Path) -> list[Quantity]:
    """fast_roundtrip.npz: ids and decoded values of chunks, by the case's FAST tokenizer."""
    with np.load(folder / "fast_roundtrip.npz", allow_pickle=False) as data:
        chunks, ids, decoded = data["actions"], data["token_ids"], data["decoded"]
        ends = np.cumsum(data["lengths"])[:-1]
    fast, case = FastTokenizer.open(folder / "fast_tokenizer"), Case(f"{folder.name}/fast_roundtrip")
    encoded = [fast.encode(chunk) for chunk in chunks]
    case.equal("token ids", np.concatenate(encoded), ids)
    got = [fast.decode(part.tolist(), *chunks.shape[1:]) for part in np.split(ids, ends)]
    case.absolute("decoded", np.stack(got), decoded, EXACT)
    return case.rows


def released(frames: Frames, opened: Opened) -> None:
    """Any token may come, one a pass, until the end of the turn."""
    pipeline, run = _pipeline(opened, "fp32", "full", RELEASED)
    for case, data in frames:
        _judge(case, "fp32 full released", pipeline, _call(pipeline, run, data), data["generated_token_ids"][0], data)


def constrained(frames: Frames, opened: Opened, head: str) -> None:
    """Held to action tokens: from nothing, from the chunk before, from its own chunk, and one token a pass."""
    pipeline, run = _pipeline(opened, "fp32", head, CONSTRAINED)
    plain = replace(pipeline, drafts=False, memory=AnswerMemory())
    for case, data in frames:
        expected, name = pure(pipeline, data["generated_token_ids"][0]), f"fp32 {head} constrained"
        slow = _call(plain, run, data)
        for guess, out in (("guessed", _call(pipeline, run, data)), ("guessed again", _call(pipeline, run, data))):
            if isinstance(slow, Prediction) and isinstance(out, Prediction):
                case.equal(f"{name}, {guess}: tokens of one a pass", _tokens(out), _tokens(slow))
            else:
                case.equal(f"{name}, {guess}: refused as one a pass", type(out).__name__, type(slow).__name__)
            if expected is None:
                case.report(f"{name}: the released answer is none of action tokens alone", 0.0, "")
            else:
                _judge(case, f"{name}, {guess}", pipeline, out, expected, data)


def reported(case: Case, data: Arrays, opened: Opened) -> None:
    """INT8: left to itself, and after each of the released tokens."""
    tokens = data["generated_token_ids"][0]
    for head in HEADS["discrete"]:
        pipeline, run = _pipeline(opened, "int8", head, CONSTRAINED)
        out, name = _call(pipeline, run, data), f"int8 {head}"
        if isinstance(out, Prediction):
            got = _tokens(out)
            same = sum(a == b for a, b in zip(got, tokens, strict=False))
            case.report(f"{name}: tokens alike", same / len(got), f"{same} of {len(got)}, in place")
            off = np.abs(out.actions - data["actions"][0]) / pipeline.host.tag.action.half_range()
            case.report(f"{name}: actions, max abs", float(off.max()), "of half the range")
        else:
            case.report(f"{name}: no chunk", 1.0, str(out))
        replay = Replay(pipeline.host, pipeline.variant)
        rows = np.concatenate([np.arange(*span) for span in head_rows(pipeline.host.spec, head)])
        prepared = pipeline.prepare(observation(data), str(data["task"]))
        first = replay.cached.prompt(run, prepared, run("vision", prepared.vision)["features"])[None].copy()
        logits = np.concatenate([first, replay.push(tokens[:-1], 0)])
        same = int((rows[logits.argmax(-1)] == tokens).sum())
        case.report(f"{name}: chosen alike after the released tokens", same / len(tokens), f"{same} of {len(tokens)}")


def pure(pipeline: DiscretePipeline, tokens: np.ndarray) -> np.ndarray | None:
    """The answer without its eos, if it is a start, FAST tokens and an end."""
    ids, fast = pipeline.host.spec.token_ids, pipeline.fast
    first = ids["action_0"]
    inner = tokens[1:-2]
    rims = (tokens[0], *tokens[-2:]) == (ids["action_start"], ids["action_end"], ids["eos"])
    return tokens[:-1] if rims and ((first <= inner) & (inner < first + fast.size)).all() else None


def _judge(
    case: Case,
    name: str,
    pipeline: DiscretePipeline,
    out: Prediction | AnswerError,
    expected: np.ndarray,
    data: Arrays,
) -> None:
    """The tokens and the chunk; where the released tokenizer would give zeros, an error."""
    tokens, chunk = pipeline._tokens, (pipeline.host.tag.horizon, pipeline.host.tag.action_dim)
    try:
        pipeline.fast.decode(tokens.codes_of(expected), *chunk)
    except ArmsideError:
        case.equal(f"{name}: refused", isinstance(out, AnswerError), True)
        return
    if not isinstance(out, Prediction):
        case.refused(name, out)
        return
    case.equal(f"{name}: generated ids", _tokens(out), expected)
    check_units(case, f"{name}: actions", pipeline.host, out.actions, data)


def _pipeline(opened: Opened, precision: str, head: str, answers: str) -> tuple[DiscretePipeline, Run]:
    policy, session = opened.policy(precision, head, PolicyOptions(answers=answers))
    assert isinstance(policy.pipeline, DiscretePipeline)
    return policy.pipeline, session.engine.run


def _call(pipeline: DiscretePipeline, run: Run, data: Arrays) -> Prediction | AnswerError:
    try:
        return pipeline.predict(run, observation(data), str(data["task"]))
    except AnswerError as error:
        return error


def _tokens(out: Prediction) -> np.ndarray:
    assert out.discrete is not None
    return out.discrete.tokens
