"""The bounds of a layer against sums made by hand."""

import numpy as np
import pytest

from spatten_hw.interface.descriptor import HEADER_WORDS
from spatten_hw.sim.bench.bounds import Bound, layer_bound, read_bytes, total
from spatten_hw.sim.bench.operands import BenchPlan
from spatten_hw.sim.golden.integer_engine import golden_results
from tests.integration.builds import QUAD, WIDE


def bound_of(config, *, tokens, heads=3, dim=16, ids=None, bits=(8, 0), **options):
    """(bound, golden result, job) of a layer with random operands."""
    plan = BenchPlan(config)
    pool = plan.pool(heads, tokens, dim, bits, bits)
    rows = (options.get("queries") or 1) if options.get("generate") else tokens
    q = plan.random.integers(-100, 100, size=(heads, rows, dim))
    plan.add(pool, q, np.full(heads, 0.01), 8, tokens, ids=ids, **options)
    result, = golden_results(plan, config)
    return layer_bound(plan.passes[0].job, result, config), result, plan.passes[0].job


def test_causal_prompt():
    """QUAD at D = 16: 2 chunks, 4 slices, P = 8 top-k lanes; keys 1 … 10, 4 values kept, 3 heads."""
    bound, _, _ = bound_of(QUAD, tokens=10, causal=1, keep_values=4)
    assert bound.score == 3 * 2 * (4 * 1 + 4 * 2 + 2 * 3)
    assert bound.value == 3 * 2 * (1 + 2 + 3 + 7 * 4) / 4
    # Up to 4 keys nothing is pruned; then quick-select reads every row twice.
    assert bound.topk == 3 * (4 * 1 + 4 * 2 + 2 * 4)


def test_line_rate_engine_reads_once():
    """WIDE at D = 24: 3 chunks, 4 slices, P = 4."""
    bound, _, _ = bound_of(WIDE, tokens=10, dim=24, keep_values=4)
    assert (bound.score, bound.value, bound.topk) == (3 * 10 * 3 * 3, 3 * 10 * 3 * 1, 3 * 10 * 3)
    assert bound.binds == "score" and bound.limit == bound.roof == bound.score


def test_generation_with_survivors_and_replays():
    """Classes 0, 1, 3 have 3, 1, 1 of the tokens; the three heads turn them by 0, 1, 2 slices."""
    ids = np.array([0, 3, 4, 9, 20])
    plain, _, _ = bound_of(QUAD, tokens=21, generate=1, ids=ids, bits=(6, 4), keep_values=2)
    most = max(3 + 1 + 0, 1 + 3 + 1, 0 + 1 + 3, 1 + 0 + 1)
    assert (plain.score, plain.value, plain.topk) == (2 * most, 3 * 2 * 2 / 4, 3 * 2)
    replayed, result, _ = bound_of(QUAD, tokens=21, generate=1, ids=ids, bits=(6, 4), keep_values=2, threshold=4096)
    assert result.refetched.all()
    assert (replayed.score, replayed.value, replayed.topk) == (2 * 2 * most, 3 * 2 * 2 / 4, 3 * 2)


def test_several_queries_see_up_to_their_own():
    """Three queries on 10 tokens: 8, 9 and 10 keys, in slices 3 2 2 1 and on; without `causal` 10 each."""
    together = QUAD.replace(chunk_queries=1)
    shape = {"tokens": 10, "heads": 1, "generate": 1, "queries": 3, "keep_values": 4}
    causal, result, _ = bound_of(together, causal=1, **shape)
    assert result.written.shape == (1, 3) and result.written.all()
    # Slices 0 and 1 score tokens 0, 4, 8 and 1, 5, 9; token 8 is seen by the last two, token 9 by the last.
    assert causal.score == 2 * max(2 * 3 + 2, 2 * 3 + 1, 2 * 3, 2 * 3)
    assert causal.value == 2 * 3 * 4 / 4 and causal.topk == 2 * (1 + 2 + 2)
    every, _, _ = bound_of(together, **shape)
    assert every.score == 2 * 3 * 3 and every.topk == 2 * 3 * 2


def test_rules_count_what_they_use():
    """LSBs of the near keys in their slices, values of their mass; bytes of both."""
    ids = np.array([0, 3, 4, 9, 20])
    rules = {"threshold": 4096, "lsb_by_key": 1, "lsb_margin": 1 << 14, "mass_share": 2000}
    bound, result, job = bound_of(QUAD, tokens=21, generate=1, ids=ids, bits=(6, 4), **rules)
    slices = np.zeros(4, dtype=int)
    for head, listed in enumerate(result.lsb_keys):
        for token in (*ids, *np.flatnonzero(listed)):
            slices[(token + head) % 4] += 1
    assert 3 <= result.lsb_keys.sum() < 15 and bound.score == 2 * slices.max()
    assert 3 <= result.kept.sum() < 15 and bound.value == 2 * result.kept.sum() / 4 and bound.topk == 3 * 2
    bytes_read = read_bytes(job, result, QUAD)
    assert result.rows["k_lsb"] == result.lsb_keys.sum() and result.rows["v_msb"] == result.kept.sum()
    row = 16  # of 16 × 6 bits, in beats of 8 bytes; of 16 × 4 bits half
    lsb_rows = result.rows["k_lsb"] + result.rows["v_lsb"]
    rest = bytes_read - row * (15 + result.rows["v_msb"]) - row // 2 * lsb_rows
    plain = read_bytes(job, bound_of(QUAD, tokens=21, generate=1, ids=ids, bits=(6, 4), keep_values=2)[1], QUAD)
    assert rest == plain - row * (15 + 3 * 2)


@pytest.mark.parametrize("store", [0, 1])
def test_bytes_are_those_read(store):
    """Rows of 16 B tight at beats of 8 B over two channels; outputs and stored state are not in it."""
    bound, result, job = bound_of(QUAD, tokens=10, store_ids=store, ids_out=1 << 20)
    descriptor = 8 * (HEADER_WORDS + 2 * 3)
    assert read_bytes(job, result, QUAD) == 3 * 10 * 16 * 3 + descriptor
    assert bound.bytes == (3 * 10 * 16 * 3 + descriptor) / 16


def test_layers_add_up_each_with_its_own_limit():
    a = Bound(score=10, topk=4, bytes=5, limit=10, roof=10)
    b = Bound(score=1, topk=8, bytes=2.5, limit=8, roof=2.5)
    both = total([a, b])
    assert both == Bound(score=11, topk=12, bytes=7.5, limit=18, roof=12.5) and both - b == a
    assert both.binds == "topk"
    assert both.as_json == {"score": 11, "value": 0, "topk": 12, "bytes": 7.5, "limit": 18, "roof": 12.5,
                            "binds": "topk"}
    assert total([]) == Bound()
