"""Ranking, Pareto fronts, tallies, sentences: each against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.evaluate.pareto import cheapest, pareto
from spatten_hw.sim.evaluate.ranking import ranks, similarities, spearman
from spatten_hw.sim.evaluate.tally import BINS, Tally, bins_of
from spatten_hw.sim.evaluate.text import lines_of, sentences


def test_ranks_share_ties():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0, 3.0])).tolist() == [3, 0, 3, 1, 3]


def test_spearman():
    a = np.array([1.0, 2.0, 3.0, 4.0])
    assert spearman(a, a ** 3) == pytest.approx(1) and spearman(a, -a) == pytest.approx(-1)
    assert spearman(a, np.ones(4)) == 0
    # Without ties: 1 − 6 Σ d² / (n (n² − 1)).
    rng = np.random.default_rng(1)
    x, y = rng.permutation(30), rng.permutation(30)
    assert spearman(x, y) == pytest.approx(1 - 6 * ((x - y) ** 2).sum() / (30 * (30 ** 2 - 1)))


def test_similarities_of_all_pairs():
    v = np.eye(3)[[0, 0, 1]]
    assert similarities(v).tolist() == [1, 0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_pareto(seed):
    rng = np.random.default_rng(seed)
    costs, losses = rng.integers(0, 8, (2, 40)).astype(float)
    front = pareto(costs, losses)
    for i in range(40):
        beaten = any(costs[j] <= costs[i] and losses[j] <= losses[i] and (costs[j], losses[j]) != (costs[i], losses[i])
                     for j in range(40))
        assert beaten == ((costs[i], losses[i]) not in {(costs[j], losses[j]) for j in front})
    assert len({(costs[j], losses[j]) for j in front}) == len(front)


def test_cheapest():
    assert cheapest([0.1, 0.3, 0.3, 0.9], [5.0, 0.9, 0.2, 0.0], 1.0) == 2
    assert cheapest([0.1], [5.0], 1.0) is None


def test_errors_by_largest_probability():
    tally = Tally()
    tally.watch(np.array([[4095, 0], [1024, 1024]]), np.array([[4095, 1], [0, 1024]]), np.array([4095, 1024]))
    assert tally.error_rows[BINS - 1] == 1 and tally.error_rows[BINS // 4] == 1
    assert tally.error_sum[BINS - 1] == 1 / 4096 and tally.error_sum[BINS // 4] == 0.25
    assert bins_of(np.array([0, 4095, 4096])).tolist() == [0, BINS - 1, BINS - 1]
    both = tally + tally
    assert both.error_rows.sum() == 4 and both.error_sum.sum() == 2 * tally.error_sum.sum()


def test_sentences():
    found = sentences(200)
    assert len(set(found)) == 200 and found == sentences(200)
    assert all(8 <= len(s.split()) <= 40 and s.endswith(".") and s.isascii() for s in found)
    with pytest.raises(UserError, match="--sentences 100000"):
        sentences(100000)


def test_own_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("one  line\n\nanother\none line\nthird\n")
    assert lines_of(path, None) == ["one line", "another", "third"] and lines_of(path, 2) == ["one line", "another"]
    path.write_text("one\none\n")
    with pytest.raises(UserError, match="1 different lines"):
        lines_of(path, None)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="not UTF-8"):
        lines_of(path, None)
