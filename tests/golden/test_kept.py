"""Where keys lie and how ties between them end, against the definition."""

import numpy as np
import pytest

from spatten_hw.sim.golden.accelerator import GoldenAccelerator
from spatten_hw.sim.golden.kept import generation_orders, prompt_orders
from spatten_hw.sim.golden.order import vector_order

from .passes import WIDE, golden

S = WIDE.slices


def by_definition(ids, head, generate):
    """(row, slice) of every key."""
    if not generate:
        return [(p // S, (p + head) % S) for p in range(len(ids))]
    return [(sum(1 for other in ids if other < t and other % S == t % S), (t + head) % S) for t in ids]


@pytest.mark.parametrize("generate", [False, True])
def test_order_is_by_row_then_slice(generate):
    rng = np.random.default_rng(7)
    for _ in range(50):
        n, head = int(rng.integers(1, 40)), int(rng.integers(8))
        ids = np.sort(rng.choice(64, n, replace=False))
        rows, slices, order = vector_order(ids, head, WIDE, generate)
        places = by_definition(ids.tolist(), head, generate)
        assert list(zip(rows.tolist(), slices.tolist(), strict=True)) == places
        assert order.tolist() == sorted(range(n), key=lambda i: places[i])


def test_many_heads_and_sequences_at_once():
    rng = np.random.default_rng(8)
    ids = np.sort(np.array([rng.choice(64, 9, replace=False) for _ in range(3)]), axis=-1)
    heads = rng.integers(0, 8, (3, 2))
    together, prompts = generation_orders(ids, heads, WIDE), prompt_orders(9, heads, WIDE)
    for b in range(3):
        for h in range(2):
            assert np.array_equal(vector_order(ids[b], int(heads[b, h]), WIDE, True)[2], together[b, h])
            assert np.array_equal(vector_order(ids[b], int(heads[b, h]), WIDE, False)[2], prompts[b, h])


@pytest.mark.parametrize("generate", [False, True])
def test_ties_keep_the_first_of_the_vector(generate):
    """All keys alike: those of the first rows are kept, of the last of these rows those of the lowest slices."""
    numbers = np.random.default_rng(9)
    a = {"q": np.ones((1, 4, 1 if generate else 12, 8)), "k": np.ones((1, 4, 12, 8)),
         "v": numbers.standard_normal((1, 4, 12, 8))}
    tokens = np.array([5., 0, 5, 0, 5, 5, 0, 5, 5, 0, 5, 5])  # eight survivors: 0, 2, 4, 5, 7, 8, 10, 11
    job = {"stage": "generate" if generate else "summarise", "keep_tokens": [8], "keep_values": [3]}
    _, plan, run = golden(a | {"token_scores": tokens}, job)
    p, (result,) = plan.passes[0], run.results
    ids = np.flatnonzero(result.tokens_alive).tolist()
    assert ids == np.flatnonzero(tokens).tolist()
    used = np.zeros((4, 12), dtype=bool)
    scores = np.concatenate(p.scores).astype(np.uint64)
    for token in range(12):
        v = p.v.copy()
        v[:, token] = -v[:, token] - 16
        out = GoldenAccelerator(WIDE).run(p.job, p.q, p.k, v, scores_in=scores).out
        used[:, token] = (out != result.out).any(axis=(1, 2))
    for head in range(4):
        places = by_definition(ids, head, generate)
        first = sorted(range(8), key=lambda i: places[i])[:3]
        assert np.flatnonzero(used[head]).tolist() == sorted(ids[i] for i in first), head
    assert len({tuple(u) for u in used}) > 1
