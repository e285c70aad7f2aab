"""Importance after every layer, on both engines: what the next layer's survivors and the last scores follow from."""

import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.float_engine import run_float
from spatten_hw.sim.golden.integer_engine import run_golden

SMALL = PRESETS["small"]
ENGINES = {"float": run_float, "golden": lambda w: run_golden(Plan(w, SMALL)).outputs}


def workload(queries=20, **job):
    rng = np.random.default_rng(7)
    a = {n: rng.standard_normal((4, 4, queries if n == "q" else 20, 32)) for n in "qkv"}
    return make_workload(a | {"token_scores": np.arange(20.0) % 3, "head_scores": np.array([0, 0, 1.0, 0])}, job)


@pytest.mark.parametrize("engine", ENGINES)
def test_survivors_follow_from_the_layer_before(engine):
    keep, heads = [20, 15, 9, 5], [4, 3, 3, 2]
    o = ENGINES[engine](workload(keep_tokens=keep, keep_heads=heads, protect_first=1))
    assert o.layer_token_scores.shape == (4, 20) and o.layer_head_scores.shape == (4, 4)
    for layer in range(1, 4):
        alive = np.flatnonzero(o.token_kept[layer - 1])
        # Real numbers order as the integers do: one unit for all.
        order = sorted(alive, key=lambda i: (i >= 1, -o.layer_token_scores[layer - 1][i], i))
        assert sorted(order[:keep[layer]]) == np.flatnonzero(o.token_kept[layer]).tolist()
        alive = np.flatnonzero(o.head_kept[layer - 1])
        order = sorted(alive, key=lambda i: (-o.layer_head_scores[layer - 1][i], i))
        assert sorted(order[:heads[layer]]) == np.flatnonzero(o.head_kept[layer]).tolist()
        gained = o.layer_token_scores[layer] - o.layer_token_scores[layer - 1]
        assert np.all(gained[~o.token_kept[layer]] == 0) and np.all(gained >= 0)
        np.testing.assert_allclose(gained.sum(), keep[layer] * heads[layer], rtol=0.01)
    assert np.array_equal(o.layer_token_scores[-1], o.token_scores)
    assert np.array_equal(o.layer_head_scores[-1], o.head_scores)


@pytest.mark.parametrize("engine", ENGINES)
def test_generation_has_scores_per_step(engine):
    w = workload(3, stage="generate", keep_tokens=[None, 9, 5, 3])
    o = ENGINES[engine](w)
    assert o.layer_token_scores.shape == (3, 4, 20) and o.layer_head_scores.shape == (3, 4, 4)
    flat = o.layer_token_scores.reshape(12, 20)
    gained = np.diff(flat, axis=0)
    np.testing.assert_allclose(gained.sum(1), 4, rtol=0.01)
    # A token that does not exist yet keeps what it starts with.
    assert np.all(o.layer_token_scores[:2, :, 19] == w.token_scores[19])
    assert np.all(o.layer_token_scores[2, :, 19] > w.token_scores[19])
    assert np.array_equal(flat[-1], o.token_scores)


def test_they_are_the_words_that_a_job_stores():
    plan = Plan(workload(keep_tokens=[20, 15, 9, 5], keep_heads=[4, 3, 3, 2], protect_first=1), SMALL)
    accelerator = GoldenAccelerator(SMALL)
    for p in plan.passes:
        words = plan.scores_to_load(p, None)
        r = accelerator.run(p.job.replace(store_scores=1), p.q, p.k, p.v, scores_in=words)
        assert np.array_equal(np.concatenate([r.token_scores, r.head_scores]), r.scores.astype(np.int64))
        before = r.token_scores.copy()
        accelerator.cascade.token_scores += 1
        assert np.array_equal(r.token_scores, before), "a copy, not the cascade's own memory"
        accelerator.cascade.token_scores -= 1
