"""Policies choose what their papers say, on small cases worked out by hand and on random ones."""

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.eviction.policy import EVICTIONS, Eviction, pooled
from tests.seeds import numbers


def chosen(policy, importance, cache):
    importance = np.asarray(importance, dtype=np.float64)
    positions = np.broadcast_to(np.arange(importance.shape[-1]), importance.shape)
    return policy.choose(importance, positions, importance.shape[-1], cache).tolist()


def test_streaming_keeps_the_first_and_the_newest():
    assert chosen(EVICTIONS["streaming"], np.arange(12)[None][:, ::-1], 7) == [[0, 1, 2, 3, 9, 10, 11]]


def test_h2o_keeps_half_by_importance_and_half_by_age():
    assert chosen(EVICTIONS["h2o"], [[5, 0, 9, 1, 7, 0, 0, 0]], 4) == [[2, 4, 6, 7]]


def test_ties_go_to_the_earliest():
    assert chosen(EVICTIONS["h2o"], [[3, 3, 3, 3, 0, 0]], 4) == [[0, 1, 4, 5]]


def test_a_mean_forgives_what_few_queries_saw():
    # Sums 4, 3, 3, 1 over 4, 3, 2 and 1 queries: means 1, 1, 1.5, 1; the newest is protected.
    policy = Eviction("", "grow", mean=True, newest=1)
    assert chosen(policy, [[4, 3, 3, 1]], 2) == [[2, 3]]


def test_votes_count_queries_that_gave_little():
    policy = Eviction("", "sum", newest=1, votes=(0.5, 0.0))
    given = np.array([[8.0, 0, 1, 3], [1, 1, 1, 1]])  # means 3 and 1
    assert policy.counted(given).tolist() == [[0, -1, -1, 0], [0, 0, 0, 0]]
    # 1 deviation below the mean: 3 - 3.08 and 1 - 0.
    assert Eviction("", "sum", votes=(1.0, 1.0)).counted(given).tolist() == [[0, 0, 0, 0], [0, 0, 0, 0]]
    assert EVICTIONS["h2o"].counted(given) is given


def test_shared_lists_follow_the_mean_of_the_heads():
    importance = [[9, 0, 4, 0], [0, 1, 6, 0]]
    assert chosen(EVICTIONS["tova"], importance, 2) == [[2, 3]] * 2
    assert chosen(Eviction("", "last", newest=1), importance, 2) == [[0, 3], [2, 3]]


def test_pooling_is_a_mean_with_zeros_beyond_the_ends():
    got = pooled(np.array([[5.0, 0, 0, 10, 0, 7]]), 5, 5)
    assert np.allclose(got, [[1, 3, 3, 2, 2, 7]])
    assert pooled(np.ones((1, 4)), 5, 0).tolist() == [[1, 1, 1, 1]]


def test_a_neighbour_of_an_important_token_stays():
    policy = Eviction("", "grow", queries=2, pool=3, newest=2)
    importance = [[0, 0, 9, 0, 1, 1, 0, 0, 0, 0]]
    assert chosen(policy, importance, 5) == [[1, 2, 3, 8, 9]]


def test_a_pyramid_has_the_same_mean():
    policy = EVICTIONS["pyramidkv"]
    for prompt, cache in ((1000, 300), (1000, 700), (400, 64)):
        budgets = policy.budgets(30, prompt, cache)
        assert budgets == sorted(budgets, reverse=True) and budgets[0] <= prompt and budgets[-1] >= 32
        assert abs(np.mean(budgets) - cache) < 1 and budgets[0] > cache > budgets[-1]
    assert policy.budgets(30, 100, 200) == [200] * 30 and EVICTIONS["h2o"].budgets(3, 100, 20) == [20] * 3


@pytest.mark.parametrize("name,cache,least", [("streaming", 4, 5), ("snapkv", 32, 33), ("h2o", 1, 2), ("tova", 1, 2),
                                              ("spatten-llm", 36, 37), ("veda", 5, 6), ("observed", 1, 2)])
def test_a_cache_of_protected_tokens_alone_is_refused(name, cache, least):
    with pytest.raises(UserError, match=f"cache = {cache}: '{name}' protects"):
        EVICTIONS[name].check(name, cache)
    EVICTIONS[name].check(name, least)


@pytest.mark.parametrize("name", EVICTIONS)
def test_exactly_as_many_as_asked_for_and_none_that_is_protected_goes(name):
    rng = numbers("kept", name)
    policy = EVICTIONS[name]
    for _ in range(150):
        n = int(rng.integers(40, 120))
        cache = int(rng.integers(38, n + 10))
        importance = rng.integers(0, 4, (2, 3, n)).astype(np.float64)
        positions = np.broadcast_to(np.arange(n), importance.shape)
        kept = policy.choose(importance, positions, n, cache)
        assert kept.shape == (2, 3, min(cache, n)) and (np.diff(kept, axis=-1) > 0).all()
        newest = policy.protected_newest(cache)
        for row in kept.reshape(-1, kept.shape[-1]):
            assert set(range(min(policy.first, n))) | set(range(max(0, n - newest), n)) <= set(row.tolist())
