"""The float engine: plain attention when nothing is pruned, the paper's rules when something is."""

import numpy as np
import pytest

from spatten_hw.host.workload import make_workload
from spatten_hw.sim.golden.float_engine import keep_largest, protected_tokens, prune_values, run_float


def arrays(rng, layers=2, heads=4, kv=2, queries=7, tokens=7, dim=16):
    return {"q": rng.standard_normal((layers, heads, queries, dim)),
            "k": rng.standard_normal((layers, kv, tokens, dim)),
            "v": rng.standard_normal((layers, kv, tokens, dim))}


def plain(q, k, v, visible):
    """softmax(q kᵀ/√D) v over [heads, n, D], written another way."""
    k, v = (np.repeat(x, q.shape[0] // x.shape[0], axis=0) for x in (k, v))
    weights = np.exp(np.einsum("hqd,hkd->hqk", q, k) / np.sqrt(q.shape[-1])) * visible
    return np.einsum("hqk,hkd->hqd", weights / weights.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("mask", ["none", "causal", 5])
def test_nothing_pruned_is_plain_attention(mask):
    a = arrays(np.random.default_rng(0))
    result = run_float(make_workload(a, {"mask": mask}))
    n = mask if isinstance(mask, int) else 7
    visible = np.tri(n) if mask == "causal" else np.ones((n, n))
    for layer in range(2):
        expected = plain(a["q"][layer][:, :n], a["k"][layer][:, :n], a["v"][layer][:, :n], visible)
        np.testing.assert_allclose(result.out[layer][:, :n], expected, rtol=1e-12, atol=1e-12)
    assert not result.out[:, :, n:].any()
    np.testing.assert_allclose(result.token_scores.sum(), 2 * 4 * n)
    assert result.token_kept.sum() == 2 * n and result.head_kept.all()


def test_generation_is_plain_attention_of_the_newest_token():
    a = arrays(np.random.default_rng(1), queries=3)
    result = run_float(make_workload(a, {"stage": "generate"}))
    for step in range(3):
        n = 5 + step
        for layer in range(2):
            expected = plain(a["q"][layer][:, step:step + 1], a["k"][layer][:, :n], a["v"][layer][:, :n], 1.0)
            np.testing.assert_allclose(result.out[layer][:, step:step + 1], expected, rtol=1e-12, atol=1e-12)
    assert result.token_kept.shape == (3, 2, 7) and result.token_kept.sum() == 2 * (5 + 6 + 7)


def test_counts_and_cascade():
    a = arrays(np.random.default_rng(2), layers=4, tokens=20, queries=20)
    job = {"keep_tokens": [None, 15, 9, 9], "keep_heads": [2, 2, 1, 1], "keep_values": [4, 4, None, 2],
           "protect_first": 2, "protect_last": 1}
    r = run_float(make_workload(a, job))
    assert r.token_kept.sum(1).tolist() == [20, 15, 9, 9] and r.head_kept.sum(1).tolist() == [2, 2, 1, 1]
    assert np.all(r.token_kept[:, [0, 1, 19]])
    for layer in range(1, 4):
        assert not np.any(r.token_kept[layer] & ~r.token_kept[layer - 1])
        gone = ~r.token_kept[layer]
        assert not r.out[layer][:, gone].any()


def test_ties_keep_the_lowest_index():
    everything = np.ones(5, dtype=bool)
    assert keep_largest(np.zeros(5), everything, 3).tolist() == [True, True, True, False, False]
    assert keep_largest(np.array([0, 1, 0, 1, 0]), everything, 3).tolist() == [True, True, False, True, False]
    safe = protected_tokens(5, 0, 2)
    assert keep_largest(np.zeros(5), everything, 3, safe).tolist() == [True, False, False, True, True]
    assert prune_values(np.full((2, 3), 0.5), 2, False).tolist() == [[True, True, False]] * 2
    assert prune_values(np.full((2, 2), 0.5), 1, True).tolist() == [[True, False], [True, False]]


def test_scores_to_start_from_decide_the_first_pruning():
    a = arrays(np.random.default_rng(3), layers=1)
    scores = np.array([0, 9, 0, 8, 0, 7, 0.0])
    r = run_float(make_workload(a | {"token_scores": scores, "head_scores": np.array([0.0, 1])},
                                {"keep_tokens": [3], "keep_heads": [1]}))
    assert np.flatnonzero(r.token_kept[0]).tolist() == [1, 3, 5] and r.head_kept.tolist() == [[False, True]]
    assert np.all(r.token_scores[[0, 2, 4, 6]] == 0) and np.all(r.token_scores >= scores)
