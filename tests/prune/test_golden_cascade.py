"""The golden cascade on its own: the paper's properties and the saved state."""

import numpy as np
import pytest

from spatten_hw.sim.golden.cascade import Cascade, CascadeError, from_bitmap, keep_best, to_bitmap
from spatten_hw.sim.golden.head_importance import head_importance
from spatten_hw.sim.golden.token_importance import token_importance

from .builds import JOB, tiny

CONFIG = tiny(4, tokens=128, heads=8)


def _job(**changes):
    return JOB | {"tokens": 40, "heads": 8, "keep_tokens": 64, "keep_heads": 8} | changes


def test_importance_sums():
    probs = np.arange(24).reshape(2, 3, 4)
    assert token_importance(probs).tolist() == [60, 66, 72, 78]
    assert head_importance([[-3, 2], [0, -32768]]) == 32773


def test_keep_best_ties_order_and_protection():
    assert keep_best([5, 9, 5, 5, 1], 3).tolist() == [0, 1, 2]
    assert keep_best([5, 9, 5, 5, 1], 2, [0, 0, 0, 0, 1]).tolist() == [1, 4]
    assert keep_best([1, 2, 3], 2, [1, 1, 1]).tolist() == [1, 2]


def test_cascade_never_revives_and_keeps_exact_counts():
    rng = np.random.default_rng(1)
    cascade = Cascade(CONFIG)
    tokens, heads = set(range(40)), set(range(8))
    for layer, (keep_t, keep_h) in enumerate([(64, 8), (30, 8), (30, 5), (7, 1), (0, 0)]):
        cascade.prepare(_job(restart=layer == 0, clear_scores=layer == 0, keep_tokens=keep_t, keep_heads=keep_h,
                             protect_first=1, protect_last=2))
        alive, alive_heads = set(cascade.tokens_alive.tolist()), set(cascade.heads_alive.tolist())
        assert alive <= tokens and alive_heads <= heads
        assert len(alive) == min(len(tokens), max(1, keep_t)) and len(alive_heads) == min(len(heads), max(1, keep_h))
        if keep_t >= 3:
            assert {0, 38, 39} <= alive
        tokens, heads = alive, alive_heads
        cascade.finish(token_importance(rng.integers(0, 4096, (5, len(alive)))), rng.integers(0, 9999, 8))


def test_saved_state_round_trip():
    rng = np.random.default_rng(2)
    a = Cascade(CONFIG)
    a.prepare(_job(restart=1))
    a.finish(rng.integers(0, 1 << 20, 40), rng.integers(0, 1 << 20, 8))
    a.prepare(_job(keep_tokens=11, keep_heads=3))
    b = Cascade(CONFIG)
    b.prepare(_job(load_ids=1, load_scores=1), ids=a.save_ids(), scores=a.save_scores(40, 8))
    for name in ("tokens_alive", "heads_alive", "token_scores", "head_scores"):
        assert np.array_equal(getattr(a, name), getattr(b, name))
    words = a.save_ids().tolist()
    assert words[0] == 11 | 3 << 32 and len(words) == 3
    assert words[1] == sum(1 << int(t) for t in a.tokens_alive) and words[2] == sum(1 << int(h) for h in a.heads_alive)


def test_bitmaps_of_several_words():
    ids = [0, 63, 64, 99]
    assert to_bitmap(ids, 100) == [1 << 63 | 1, 1 << 35 | 1]
    assert from_bitmap(to_bitmap(ids, 100)).tolist() == ids
    assert to_bitmap([], 64) == [0] and len(to_bitmap([], 65)) == 2


def test_totals_saturate():
    cascade = Cascade(CONFIG)
    top = np.full(48, (1 << 64) - 1, dtype=np.uint64)
    cascade.prepare(_job(restart=1, load_scores=1), scores=top)
    cascade.finish(np.full(40, 4095), np.full(8, 1))
    assert set(cascade.token_scores[:40]) == {cascade.token_max} and not cascade.token_scores[40:].any()
    assert set(cascade.head_scores) == {cascade.head_max}


@pytest.mark.parametrize("words", [
    [0 | 1 << 32, 0, 1], [41 | 1 << 32, (1 << 41) - 1, 1], [1, 1, 0], [1 | 9 << 32, 1, (1 << 9) - 1],
    [2 | 1 << 32, 1, 1], [1 | 1 << 32, 3, 1], [1 | 1 << 32, 1 << 40, 1], [1 | 1 << 32, 1 << 63, 1],
    [1 | 2 << 32, 8, 1], [1 | 1 << 32, 8, 1 << 8], [1 | 1 << 32, 0, 1],
])
def test_illegal_lists(words):
    cascade = Cascade(CONFIG)
    cascade.prepare(_job(restart=1))
    with pytest.raises(CascadeError):
        cascade.prepare(_job(load_ids=1), ids=words)
    with pytest.raises(CascadeError, match="nothing is alive"):
        cascade.prepare(_job())


def test_continue_must_fit():
    cascade = Cascade(CONFIG)
    with pytest.raises(CascadeError, match="nothing is alive"):
        cascade.prepare(_job())
    for job in (_job(tokens=39), _job(heads=7)):
        cascade.prepare(_job(restart=1))
        with pytest.raises(CascadeError, match="has not"):
            cascade.prepare(job)
