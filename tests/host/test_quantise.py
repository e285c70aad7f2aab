"""Quantisation: exact scale, half to even, planes that join again."""

import numpy as np
import pytest

from spatten_hw.host.quantise import codes_of, join, quantise, split


@pytest.mark.parametrize("bits", [4, 6, 8, 10, 12, 14, 16])
def test_codes_within_half_a_step(bits):
    rng = np.random.default_rng(bits)
    x = rng.standard_normal((3, 2, 5, 8)) * rng.uniform(0.01, 100, (3, 2, 1, 1))
    codes, scale = quantise(x, bits)
    assert scale.shape == (3, 2)
    limit = (1 << (bits - 1)) - 1
    np.testing.assert_allclose(scale, np.abs(x).max(axis=(2, 3)) / limit)
    assert np.array_equal(np.abs(codes).max(axis=(2, 3)), np.full((3, 2), limit))
    assert np.all(np.abs(codes * scale[..., None, None] - x) <= scale[..., None, None] * (0.5 + 1e-9))


def test_half_to_even():
    codes, scale = quantise(np.array([[0.5, 1.5, 2.5, -0.5, -1.5, 7.0]]), 4)
    assert scale == 1.0
    assert codes.tolist() == [[0, 2, 2, 0, -2, 7]]


@pytest.mark.parametrize("value", [0.0, 1e-320, -1e-40])
def test_nothing_but_zeros(value):
    codes, scale = quantise(np.full((2, 3), value), 12)
    assert scale == 1.0 and not codes.any()


@pytest.mark.parametrize("msb,lsb", [(4, 4), (6, 4), (8, 4), (10, 4), (12, 4), (12, 0)])
def test_split_and_join(msb, lsb):
    x = np.arange(-(1 << (msb + lsb - 1)), 1 << (msb + lsb - 1))
    high, low = split(x, lsb)
    assert high.min() == -(1 << (msb - 1)) and high.max() == (1 << (msb - 1)) - 1
    assert low.min() == 0 and low.max() == (1 << lsb) - 1
    assert np.array_equal(join(high, low, lsb), x)


def test_given_scales_saturate():
    x = np.array([[0.5, 1.5, -2.5, 6.9, 7.2, -100.0], [0.25, 0.75, -1.25, 3.4, 3.6, np.float32(1e30)]])
    codes = codes_of(x, np.array([[1.0], [0.5]]), 4)
    assert codes.dtype == np.int64
    assert codes.tolist() == [[0, 2, -2, 7, 7, -7], [0, 2, -2, 7, 7, 7]]


def test_given_scales_agree_with_found_ones():
    x = np.random.default_rng(3).standard_normal((2, 5, 8))
    codes, scale = quantise(x, 12)
    assert np.array_equal(codes_of(x, scale[:, None, None], 12), codes)
