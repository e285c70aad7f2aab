"""Accuracy of the integer softmax against float64, over many random rows and the extremes."""

from fractions import Fraction

import numpy as np
import pytest

from spatten_hw.host.scales import out_scale, score_scale, score_scale_value
from spatten_hw.sim.golden import decision
from spatten_hw.sim.golden.exp2 import exp2
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.golden.softmax import softmax, softmax_float
from spatten_hw.softmax.formats import BASE_BITS, SLOPE_BITS, Y_FRACTION, exp2_table, sum_fraction

#: Largest scores a build can have: 16-bit operands, D = 256.
TOP_SCORE = 1 << 38


def check(scores, lengths, c, max_tokens=1024):
    """Within one LSB, rows sum to 1 within n/2 LSB (one more where 4095 saturates), max(P) is the maximum."""
    scores = np.asarray(scores, dtype=np.int64)
    lengths = np.broadcast_to(lengths, scores.shape[:1])
    codes = [score_scale(float(x)) for x in np.broadcast_to(c, scores.shape[:1])]
    mant, pre, post = np.array(codes).T
    real = np.array([score_scale_value(*code) for code in codes])
    probs, pmax = softmax(scores, lengths, mant, pre, post, max_tokens)
    error = np.abs(probs - 4096 * softmax_float(scores, lengths, real))
    assert error.max() <= 1
    saturated = (probs == 4095).any(axis=1)
    assert error[~saturated].max(initial=0) < 0.9
    assert (np.abs(probs.sum(axis=1) - 4096) <= lengths / 2 + saturated).all()
    assert (pmax == probs.max(axis=1)).all()
    assert (probs[np.arange(scores.shape[1]) >= lengths[:, None]] == 0).all()
    return probs


DRAWS = {
    "uniform": lambda rng, shape: rng.integers(-TOP_SCORE // 2, TOP_SCORE // 2, shape),
    "normal": lambda rng, shape: rng.normal(0, 30_000, shape),
    "peaks": lambda rng, shape: rng.laplace(0, 3_000, shape),
    "few levels": lambda rng, shape: rng.integers(-3, 3, shape),
    "two levels": lambda rng, shape: rng.integers(0, 2, shape) * rng.integers(1, 1_000_000),
    "heavy tail": lambda rng, shape: np.minimum(rng.pareto(1, shape) * 100, TOP_SCORE),
}


#: Width of a batch and how many random rows it has, for every distribution.
BATCHES = [(n, 1900) for n in (1, 2, 3, 5, 8, 17, 64, 130, 333)] + [(1024, 600)]
assert len(DRAWS) * sum(rows for _, rows in BATCHES) >= 100_000


@pytest.mark.parametrize("draw", DRAWS)
def test_random_rows(draw):
    """Every length up to the batch's width, scales of 2^−7 … 2^7 per standard deviation."""
    rng = np.random.default_rng(sum(draw.encode()))
    for n, rows in BATCHES:
        scores = DRAWS[draw](rng, (rows, n)).astype(np.int64)
        c = np.exp2(rng.uniform(-7, 7, rows)) / max(1.0, scores.std())
        check(scores, rng.integers(1, n + 1, rows), c)


@pytest.mark.parametrize("max_tokens", [8, 1024, 65536])
def test_extremes(max_tokens):
    n = min(max_tokens, 1024)
    scales = [2.0**-93, 2.0**-60, 2.0**-30, 1e-3, 0.7, 3.99, 7.9]
    one = np.zeros((1, n), dtype=np.int64)
    one[0, n // 2] = 5000
    for c in scales:
        equal = check(np.full((4, n), -TOP_SCORE), [1, 2, n - 1, n], c, max_tokens)
        assert equal[3, 0] == round(4096 / n)
        assert equal[0, 0] == 4095
        check(one, n, c, max_tokens)
        edges = np.where(np.arange(n) % 2, TOP_SCORE - 1, -TOP_SCORE)[None]
        check(edges, n, c, max_tokens)
        # All masked but one.
        check(edges, 1, c, max_tokens)
        check(np.arange(n)[None] * 1000, n, c, max_tokens)


def test_longest_vector():
    rng = np.random.default_rng(3)
    scores = rng.integers(-2000, 2000, (2, 65536))
    check(scores, [65536, 65535], 0.01, 65536)


def test_shapes_and_empty_rows():
    rng = np.random.default_rng(1)
    scores = rng.integers(-99, 99, (2, 3, 5))
    mant, pre, post = score_scale(0.1)
    probs, pmax = softmax(scores, 5, mant, pre, post, 64)
    assert probs.shape == (2, 3, 5) and pmax.shape == (2, 3)
    lengths = np.array([0, 1, 4])
    probs, pmax = softmax(scores, lengths, np.full((2, 1), mant), pre, post, 64)
    assert (probs[:, 0] == 0).all() and (pmax[:, 0] == 0).all() and (pmax[:, 1] == 4095).all()
    assert softmax(np.zeros((2, 0)), 0, mant, pre, post, 64)[0].shape == (2, 0)


def test_flat():
    assert decision.flat([409, 410, 4095, 0], 410).tolist() == [True, False, False, True]
    assert decision.flat(4095, 4096) and not decision.flat(0, 0)


def test_exp2_table():
    for base, slope in exp2_table():
        assert 0 < base < 1 << BASE_BITS and 0 < slope < 1 << SLOPE_BITS
    y = np.arange(1 << Y_FRACTION)
    m, i = exp2(y)
    assert m[0] == 1 << 16 and m.min() > 1 << 15 and (np.diff(m) <= 0).all() and not i.any()
    assert np.abs(m / np.exp2(16 - y / 2**14) - 1).max() < 2.0**-15
    m, i = exp2(np.array([(31 << 14) + 8192]))
    assert i[0] == 31 and m[0] == round(2**15.5)


def test_reciprocal_is_the_exact_quotient():
    rng = np.random.default_rng(2)
    for max_tokens in (8, 1024, 65536):
        e = sum_fraction(max_tokens)
        totals = np.concatenate([
            rng.integers(1 << e, max_tokens << e, 500), [1 << e, max_tokens << e, (2 << e) - 1, (1 << e) + 1]])
        for total, r, k in zip(totals.tolist(), *reciprocal(totals, e), strict=True):
            exact = (total >> e).bit_length() - 1
            t = round(Fraction(total, 1 << (e - 16 + exact)))
            if t == 1 << 17:
                t, exact = 1 << 16, exact + 1
            assert (r, k) == (round(Fraction(1 << 33, t)), exact)


@pytest.mark.parametrize("c", [0.0, 2.0**-120, 2.0**-93, 1e-9, 2.0**-14 * 1.7, 0.1, 1.0, 3.999999, 5.3, 7.99999])
def test_score_scale(c):
    mant, pre, post = score_scale(c)
    assert 0 <= mant < 1 << 17 and 0 <= pre < 32 and 0 <= post < 64
    assert abs(score_scale_value(mant, pre, post) - c) <= max(c * 2.0**-16, 2.0**-108)


def test_scales_saturate_and_refuse():
    assert score_scale(1e9) == ((1 << 17) - 1, 0, 0)
    assert out_scale(1e9) == ((1 << 17) - 1, 0)
    assert score_scale(2 - 2.0**-30) == (1 << 15, 0, 0)
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="scale must be"):
            score_scale(bad)


@pytest.mark.parametrize("x", [0.0, 2.0**-48, 1e-6, 0.3, 1.0, 65535.9, 100_000.0])
def test_out_scale(x):
    mant, shift = out_scale(x)
    assert 0 <= mant < 1 << 17 and 0 <= shift < 64
    assert abs(mant * 2.0**-shift - x) <= x * 2.0**-16
