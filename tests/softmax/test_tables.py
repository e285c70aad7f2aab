"""What the golden model and the hardware share (table of 2^−y, fraction bits, shifts) against real numbers in mpmath.

Where both import a number, a wrong one leaves them equal: each is held here by an error bound of its own, entry by
entry, with nothing of either's arithmetic but `exp2`, `reciprocal` and `normalise` of the golden model, whose results
the benches compare with the hardware.
"""

from functools import cache

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from spatten_hw.host.scales import out_scale, score_scale
from spatten_hw.sim.golden.exp2 import exp2
from spatten_hw.sim.golden.normalise import normalise
from spatten_hw.sim.golden.reciprocal import reciprocal
from spatten_hw.sim.golden.softmax import softmax
from spatten_hw.softmax.formats import (
    BASE_BITS,
    BASE_FRACTION,
    LOW_BITS,
    SLOPE_BITS,
    SLOPE_FRACTION,
    Y_BITS,
    Y_FRACTION,
    exp2_table,
    sum_fraction,
)
from tests.seeds import numbers

#: Bits that mpmath computes with: every product here is exact, and no function is off by more than 2^−190.
PRECISION = 200
SEGMENTS, LOWS = 1 << 6, 1 << 8


@pytest.fixture(autouse=True)
def precise():
    with mpmath.workprec(PRECISION):
        yield


def knot(k: int) -> mpf:
    """2^16·2^−f at the start of segment k."""
    return mpf(2) ** (16 - mpf(k) / SEGMENTS)


def sag(k: int) -> mpf:
    """How far the chord of segment k lies above 2^16·2^−f where that is most: where the slopes are equal."""
    slope = (knot(k) - knot(k + 1)) * SEGMENTS
    at = -mpmath.log(slope / (mpf(1 << 16) * mpmath.log(2)), 2)
    return knot(k) - slope * (at - mpf(k) / SEGMENTS) - mpf(2) ** (16 - at)


@cache
def mantissas() -> list[int]:
    m, i = exp2(np.arange(1 << Y_FRACTION))
    assert not i.any()
    return m.tolist()


def test_the_table_has_the_stated_form():
    assert (1 << Y_FRACTION, 1 << LOW_BITS, len(exp2_table())) == (SEGMENTS * LOWS, LOWS, SEGMENTS)
    assert (BASE_FRACTION, SLOPE_FRACTION) == (4, 10)


@pytest.mark.parametrize("k", range(SEGMENTS))
def test_an_entry(k):
    """The slope is the chord's, and the base the chord's start less 3/8 of its sag, both to the nearest unit (the sag,
    which is found from the curvature at the segment's start, to within 1/25 of a unit)."""
    base, slope = exp2_table()[k]
    assert 0 < base < 1 << BASE_BITS and 0 < slope < 1 << SLOPE_BITS
    assert abs(base - (knot(k) - mpf(3) / 8 * sag(k)) * (1 << BASE_FRACTION)) <= mpf(1) / 2 + mpf(1) / 25
    assert abs(slope - (knot(k) - knot(k + 1)) / LOWS * (1 << SLOPE_FRACTION)) <= mpf(1) / 2


@pytest.mark.parametrize("k", range(SEGMENTS))
def test_a_segment(k):
    """m errs by at most 5/8 of the sag upwards and 3/8 downwards (plus half a unit of the base, 255 half units of the
    slope and its own rounding), and reaches half of that sag: a line that is too low or too high is not the chord."""
    errors = [mantissas()[LOWS * k + low] - mpf(2) ** (16 - mpf(LOWS * k + low) / (1 << Y_FRACTION))
              for low in range(LOWS)]
    rounding = mpf(1) / 2 + (mpf(1) / 2 + mpf(1) / 25) / (1 << BASE_FRACTION) + mpf(255) / 2 / (1 << SLOPE_FRACTION)
    assert -sag(k) * 3 / 8 - rounding <= min(errors) and max(errors) <= sag(k) * 5 / 8 + rounding
    assert min(errors) < -sag(k) * 3 / 16 and max(errors) > sag(k) * 5 / 16


def test_2_to_the_minus_y():
    """Within 1.75·2^−16 relative for every fraction, as `Exp2` says; exact at 0, falling, never as low as 2^15."""
    m = mantissas()
    errors = [m[f] / mpf(2) ** (16 - mpf(f) / (1 << Y_FRACTION)) - 1 for f in range(1 << Y_FRACTION)]
    assert max(abs(e) for e in errors) < mpf(1.75) * mpf(2) ** -16
    assert m[0] == 1 << 16 and min(m) > 1 << 15 and (np.diff(m) <= 0).all()
    # Integer bits only move it.
    for i in range(1 << (Y_BITS - Y_FRACTION)):
        got = exp2(np.array([0, 1, 8192, 16383]) + (i << Y_FRACTION))
        assert got[0].tolist() == [m[0], m[1], m[8192], m[16383]] and got[1].tolist() == [i] * 4


def test_every_reciprocal():
    """r·2^−17 of every t is 1/t' (t' = t·2^−16) within half a unit; the sum's rounding to t costs as much again."""
    t = np.arange(1 << 16, 1 << 17)
    r, k = reciprocal(t, 16)
    assert not k.any()
    assert max(abs(mpf(a) - mpf(1 << 33) / b) for a, b in zip(r.tolist(), t.tolist(), strict=True)) <= mpf(1) / 2


@pytest.mark.parametrize("max_tokens", [8, 1024, 65536])
def test_reciprocal_of_sums(max_tokens):
    """1/sum = r·2^(−17 − k) within 2^−16 relative: 2^−17 each for t and for r; the largest error is near that."""
    rng, e = numbers("reciprocal", max_tokens), sum_fraction(max_tokens)
    totals = np.concatenate([rng.integers(1 << e, (max_tokens << e) + 1, 2000), rng.integers(1 << e, 2 << e, 2000),
                             [1 << e, max_tokens << e, (2 << e) - 1, (1 << e) + 1, (1 << e) + (1 << (e - 17))]])
    r, k = reciprocal(totals, e)
    errors = [abs(mpf(a) * mpf(2) ** (-17 - b) * s / (1 << e) - 1)
              for a, b, s in zip(r.tolist(), k.tolist(), totals.tolist(), strict=True)]
    assert mpf(2) ** -17 < max(errors) <= mpf(2) ** -16 * (1 + mpf(2) ** -16)


@pytest.mark.parametrize("max_tokens", [8, 64, 1024, 65536])
def test_fraction_bits_of_the_sum(max_tokens):
    """E fraction bits: what the keys of the longest vector lose by rounding is at most 2^−16 of the sum's least, 1.0;
    with one bit less it could be more."""
    lost = mpf(max_tokens) / 2 * mpf(2) ** -sum_fraction(max_tokens)
    assert lost <= mpf(2) ** -16 < 2 * lost


def test_probability_of_one_key():
    """p·2^−12 = m·2^−(16 + i) · r·2^−(17 + k) to half an LSB, saturated at 4095: the shift is the right one."""
    rng = numbers("normalise")
    m, i = rng.integers((1 << 15) + 1, (1 << 16) + 1, 4000), rng.integers(0, 32, 4000)
    r, k = rng.integers((1 << 16) + 1, (1 << 17) + 1, 4000), rng.integers(0, 17, 4000)
    m[:5], i[:5], r[:5], k[:5] = 1 << 16, [0, 0, 1, 11, 12], 1 << 17, [0, 1, 0, 1, 0]
    reached = 0
    for p, *parts in zip(normalise(m, i, r, k).tolist(), *(x.tolist() for x in (m, i, r, k)), strict=True):
        exact = mpf(parts[0]) * parts[2] * mpf(2) ** (12 - 33 - parts[1] - parts[3])
        assert abs(p - exact) <= mpf(1) / 2 or (p == 4095 and exact > 4095), (p, parts)
        reached += p > 0
    assert reached > 400


def test_softmax_from_score_to_probability():
    """All of it, with the scale's own rounding taken out: below 0.9 LSB, 1 where a probability saturates."""
    rng = numbers("softmax")
    worst = mpf(0)
    # Largest differences of a few powers of two, and such that d' and y saturate.
    for n, c, span in [(1, 0.1, 1000), (2, 1e-3, 1000), (5, 0.02, 1000), (40, 0.003, 1000), (200, 0.01, 1000),
                       (40, 2.0**-30, 1 << 30), (200, 1e-9, 1 << 30), (200, 3e-8, 1 << 30), (200, 1e-6, 1 << 30),
                       (40, 3e-5, 1 << 24)]:
        scores = rng.integers(-span, span, n)
        mant, pre, post = score_scale(c)
        real = mpf(mant) * mpf(2) ** -(pre + post + 14)
        assert abs(real / mpf(c) - 1) < mpf(2) ** -16
        probs, _ = softmax(scores[None], n, mant, pre, post, 1024)
        terms = [mpmath.power(2, real * int(s - scores.max())) for s in scores]
        for p, term in zip(probs[0].tolist(), terms, strict=True):
            error = abs(p - 4096 * term / sum(terms))
            assert error < mpf("0.9") or (p == 4095 and error <= 1)
            worst = max(worst, error)
    assert worst > mpf("0.4"), "nothing was rounded"


@pytest.mark.parametrize("x", [2.0**-46 * 1.3, 1e-6, 0.3, 0.99999, 1.0, 2.5, 40_000.0])
def test_scale_of_outputs(x):
    """mant·2^−shift is x within 2^−16 relative."""
    mant, shift = out_scale(x)
    assert abs(mpf(mant) * mpf(2) ** -shift / mpf(x) - 1) <= mpf(2) ** -16
