"""Both orders give the codes of plain greedy decoding, whatever the model, the mask and the drafts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_spec.depth_decode import DepthTokens, Known, drafted, released
from policy_spec.depth_draft import NONE, SOURCES, Drafter
from policy_spec.errors import SessionError, SpecError
from policy_spec.generated import Depth
from policy_spec.graphs import Variant
from policy_spec.spec import PolicySpec
from tests.policy_spec import depth_model as dm

MODELS = st.builds(
    dm.Model,
    seed=st.integers(0, 999),
    reach=st.sampled_from([1, 2, 4, 99]),
    by_place=st.booleans(),
    full=st.booleans(),
    coarse=st.booleans(),
    late=st.integers(0, 3),
)
CODES = st.none() | st.lists(st.integers(0, dm.VALUES - 1), min_size=dm.CELLS, max_size=dm.CELLS)
MASKS = st.lists(st.booleans(), min_size=dm.CELLS, max_size=dm.CELLS)
DRAFTS = st.sets(st.sampled_from(list(SOURCES)), min_size=1).map(tuple)


def draft(model: dm.Model, shape: DepthTokens, what: Known) -> Depth:
    """Our order, with a drafter that has seen nothing yet."""
    return drafted(model, shape, what, Drafter(dm.CELLS, dm.VALUES))


BOTH = (released, draft)


def known(codes: list[int] | None, mask: list[bool]) -> Known:
    """Where nothing is known, everything changed."""
    changed = np.array(mask) | (codes is None)
    return Known(None if codes is None else np.array(codes, np.int64), changed)


@given(MODELS, DRAFTS, st.lists(st.tuples(CODES, MASKS), min_size=1, max_size=3))
def test_all_orders_give_the_codes_of_plain_greedy(model: dm.Model, sources: tuple[str, ...], frames: list) -> None:
    """Over several frames with one drafter, as an episode has them."""
    shape, drafter = dm.tokens(full=model.full), Drafter(dm.CELLS, dm.VALUES, sources)
    for codes, mask in frames:
        given_ = known(codes, mask)
        truth, ids, small = dm.greedy(model, shape, given_)
        slow, quick = released(model, shape, given_), drafted(model, shape, given_, drafter)
        for depth in (slow, quick):
            assert np.array_equal(depth.codes, truth) and depth.tokens.tolist() == ids
            assert depth.small_margins == small and depth.side == dm.SIDE
            assert np.array_equal(depth.changed, given_.changed)
        after = model.late if model.full else 0
        changed = int(given_.changed.sum())
        assert slow.passes == dm.releases(given_.changed) + after + 1 and slow.accepted == 0
        assert slow.fed == len(ids)
        wrong = changed - quick.accepted
        assert 1 + wrong + after <= quick.passes < slow.passes, "a pass for each wrong guess, and for each end of reach"


@given(MODELS, CODES, MASKS)
def test_what_the_cache_holds_in_the_end_is_the_map(model: dm.Model, codes: list[int] | None, mask: list[bool]) -> None:
    """The expert looks at the cache: what was fed last at each place must be the final token."""
    for order in BOTH:
        model.cache.clear()
        depth = order(model, dm.tokens(full=model.full), known(codes, mask))
        assert model.cache == depth.tokens.tolist()


@given(MODELS, CODES, MASKS, st.integers(2, dm.CELLS + 1))
def test_a_map_longer_than_a_pass_takes_more_of_them(
    model: dm.Model, codes: list[int] | None, mask: list[bool], most: int
) -> None:
    """A grid of 12 x 12 does not fit in one run of the graph; here the room of a pass is smaller instead."""
    shape, given_ = dm.tokens(full=model.full), known(codes, mask)
    truth, ids, _ = dm.greedy(model, shape, given_)

    def push(tokens: np.ndarray, start: int, rows: np.ndarray, /) -> np.ndarray:
        assert 0 < len(tokens) <= most and len(rows) and rows.min() >= 0 and rows.max() < len(tokens)
        return model(tokens, start, rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policy_spec.depth_decode.MOST_NEW_TOKENS", most)
        for order in BOTH:
            model.cache.clear()
            depth = order(push, shape, given_)
            assert np.array_equal(depth.codes, truth) and depth.tokens.tolist() == ids == model.cache


@given(MODELS, CODES, MASKS)
def test_what_was_known_is_not_written_to(model: dm.Model, codes: list[int] | None, mask: list[bool]) -> None:
    before = known(codes, mask)
    copies = None if codes is None else before.codes.copy(), before.changed.copy()  # type: ignore[union-attr]
    depth = draft(model, dm.tokens(full=model.full), before)
    depth.codes[:], depth.changed[:] = 0, False
    assert np.array_equal(before.changed, copies[1])
    assert codes is None or np.array_equal(before.codes, copies[0])  # type: ignore[arg-type]


def test_the_property_can_fail() -> None:
    """The negative control: to take one pass's whole answer, as an eager decoder would, gives other codes."""
    model, shape = dm.Model(seed=3, reach=99), dm.tokens(full=False)
    everything = known(None, [True] * dm.CELLS)
    truth, _, _ = dm.greedy(model, shape, everything)
    eager = model(shape.sequence(everything.draft()), 0, np.arange(dm.CELLS)).argmax(-1)
    assert not np.array_equal(eager, truth)
    assert np.array_equal(draft(model, shape, everything).codes, truth)


def test_a_right_draft_takes_one_pass() -> None:
    model, shape = dm.Model(seed=1, reach=99, full=True), dm.tokens(full=True)
    first = released(model, shape, known(None, [True] * dm.CELLS))
    again = draft(model, shape, Known(first.codes, np.ones(dm.CELLS, np.bool_)))
    assert (again.passes, again.accepted, again.fed) == (1, dm.CELLS, dm.CELLS + 2)
    assert (first.passes, first.fed) == (dm.CELLS + 2, dm.CELLS + 2)


def test_nothing_changed_takes_one_pass_and_replays_what_the_model_would_not_say() -> None:
    model, shape = dm.Model(seed=1, reach=99), dm.tokens(full=False)
    codes = (released(model, shape, known(None, [True] * dm.CELLS)).codes + 1) % dm.VALUES
    still = Known(codes, np.zeros(dm.CELLS, np.bool_))
    depth = draft(model, shape, still)
    assert np.array_equal(depth.codes, codes) and depth.passes == 1 and depth.small_margins == 0
    assert released(model, shape, still).passes == 3, "depth_start, one run, depth_end"


@pytest.mark.parametrize("order", BOTH)
def test_a_map_that_does_not_end_is_an_error(order: Callable[..., Depth]) -> None:
    shape, nothing = dm.tokens(full=True, ending=4), known(None, [True] * dm.CELLS)
    depth = order(dm.Model(seed=5, reach=99, full=True, late=3), shape, nothing)
    assert len(depth.tokens) == 1 + dm.CELLS + 4 and depth.tokens[-1] == dm.END
    with pytest.raises(SessionError, match=r"does not end.*within 4 tokens.*--head depth"):
        order(dm.Model(seed=5, reach=99, full=True, late=4), shape, nothing)


def test_the_reduced_head_forces_the_end() -> None:
    """A policy that would go on talking is cut short: what the manifest says of the head."""
    nothing = known(None, [True] * dm.CELLS)
    talks = dm.Model(seed=5, reach=99, full=True, late=2)
    cut = dm.Model(seed=5, reach=99, full=False, late=2)
    long, short = released(talks, dm.tokens(full=True), nothing), released(cut, dm.tokens(full=False), nothing)
    assert np.array_equal(long.codes, short.codes)
    assert len(long.tokens) == len(short.tokens) + 2 and short.tokens[-1] == dm.END


def test_narrow_decisions_are_counted_once_and_only_where_decided() -> None:
    """Rows that a pass computes beyond its first wrong guess decide nothing."""

    class Flat(dm.Model):
        def logits(self, prefix: list[int]) -> np.ndarray:
            out = super().logits(prefix)
            best = np.argsort(out)[-2:]
            if len(prefix) - 1 in (2, 7):
                out[best[0]] = out[best[1]] - np.float32(5e-4)
            return out

    model, shape = Flat(seed=9, reach=99), dm.tokens(full=False)
    mask = [cell != 7 for cell in range(dm.CELLS)]
    depth = drafted(model, shape, known([0] * dm.CELLS, mask), Drafter(dm.CELLS, dm.VALUES, ("before",)))
    assert depth.passes > 4 and depth.small_margins == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_logits_that_are_no_numbers_stop_the_call(bad: float) -> None:
    def push(ids: np.ndarray, start: int, rows: np.ndarray, /) -> np.ndarray:
        out = np.zeros((len(rows), dm.VALUES), np.float32)
        out[-1, 2] = bad if start + len(ids) > 4 else 0
        return out

    nothing = known(None, [True] * dm.CELLS)
    with pytest.raises(SessionError, match="not a number"):
        released(push, dm.tokens(full=False), nothing)


def test_sources_that_learn_beat_the_previous_codes_alone() -> None:
    """A model whose words depend on the word before: a draft that fails teaches the next."""
    shape, nothing = dm.tokens(full=False), known(None, [True] * dm.CELLS)
    passes = {}
    for name, sources in {"before": ("before",), "all": tuple(SOURCES)}.items():
        passes[name] = 0
        for seed in range(20):
            drafter = Drafter(dm.CELLS, dm.VALUES, sources)
            for _ in range(3):
                passes[name] += drafted(dm.Model(seed, reach=1, by_place=False), shape, nothing, drafter).passes
    assert passes["all"] < passes["before"] / 2, passes


def test_a_drafter_follows_who_was_right() -> None:
    """`before` says 0 and fails ten times; `left` has seen 3 after 0: it is asked first from then on."""
    drafter = Drafter(dm.CELLS, dm.VALUES, ("before", "left"))
    drafter.begin(np.zeros(dm.CELLS, np.int64))
    fed, chosen = np.zeros(dm.CELLS, np.int64), np.full(dm.CELLS, 3)
    codes = fed.copy()
    drafter.fill(codes, np.ones(dm.CELLS, np.bool_), 0)
    assert not codes.any()
    for _ in range(2):
        drafter.learn(fed, chosen, dm.CELLS)
    drafter.fill(codes, np.arange(dm.CELLS) == 4, 2)
    assert codes.tolist() == [0, 0, 0, 0, 3, 0, 0, 0, 0], "open cells only"


def test_a_drafter_that_fails_reaches_less_far() -> None:
    """And further again once it is right: what is fed beyond a wrong guess is fed in vain."""
    drafter = Drafter(dm.CELLS, dm.VALUES, ("before",))
    drafter.begin(np.zeros(dm.CELLS, np.int64))
    fed, far = np.zeros(dm.CELLS, np.int64), drafter.reach()
    for _ in range(3):
        drafter.learn(fed, np.ones(dm.CELLS, np.int64), dm.CELLS)
    near = drafter.reach()
    for _ in range(9):
        drafter.learn(fed, fed, dm.CELLS)
    assert 5 <= near < dm.CELLS < far < drafter.reach()


def test_a_reach_that_ends_costs_a_pass_and_no_code() -> None:
    """A drafter that has failed often, and is right all through now."""
    drafter = Drafter(dm.CELLS, dm.VALUES, ("before",))
    model, shape = dm.Model(seed=1, reach=99), dm.tokens(full=False)
    truth = released(model, shape, known(None, [True] * dm.CELLS))
    drafter.begin(truth.codes)
    for _ in range(9):
        drafter.learn(truth.codes, (truth.codes + 1) % dm.VALUES, dm.CELLS)
    assert drafter.reach() == 6
    depth = drafted(model, shape, Known(truth.codes, np.ones(dm.CELLS, np.bool_)), drafter)
    assert depth.passes == 2 and depth.accepted == dm.CELLS and depth.fed == dm.CELLS + 2
    assert np.array_equal(depth.codes, truth.codes)


def test_a_drafter_that_knows_nothing_says_nothing() -> None:
    drafter = Drafter(dm.CELLS, dm.VALUES, ("again", "own", "left"))
    drafter.begin(None)
    codes = np.full(dm.CELLS, 4)
    drafter.fill(codes, np.ones(dm.CELLS, np.bool_), 0)
    drafter.learn(codes, np.full(dm.CELLS, NONE), dm.CELLS)
    assert (codes == 4).all()


def test_a_checkpoint_without_depth_is_refused(spec: PolicySpec) -> None:
    lacking = {name: number for name, number in spec.token_ids.items() if name != "depth_start"}
    with pytest.raises(SpecError, match=r"depth_start are missing.*continuous"):
        DepthTokens.of(replace(spec, token_ids=lacking), Variant("think", "depth", 9))
