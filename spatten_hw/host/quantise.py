"""Linear symmetric quantisation and the split into MSB and LSB planes (SpAtten, section III-D).

real ≈ integer × scale, scale = max|x| / (2^(bits−1) − 1) over the axes that share one scale. Rounding is
half to even; the result never uses the most negative code. An all-zero block gets scale 1.
"""

from __future__ import annotations

import numpy as np

#: Blocks whose largest magnitude is not above this count as all zero: their scale would leave float range.
MIN_MAGNITUDE = 1e-30


def scales_of(x: np.ndarray, bits: int, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """The scale of every block of `x` (one block = all of `axes`), with `axes` removed."""
    peak = np.max(np.abs(np.asarray(x, dtype=np.float64)), axis=axes)
    scale = peak / ((1 << (bits - 1)) - 1)
    return np.where(peak > MIN_MAGNITUDE, scale, 1.0)


def quantise(x: np.ndarray, bits: int, axes: tuple[int, ...] = (-2, -1)) -> tuple[np.ndarray, np.ndarray]:
    """Integers of `x` (int64, its shape) and the scales (float64, its shape without `axes`)."""
    x = np.asarray(x, dtype=np.float64)
    scale = scales_of(x, bits, axes)
    return codes_of(x, np.expand_dims(scale, axes), bits), scale


def codes_of(x: np.ndarray, scale: np.ndarray | float, bits: int) -> np.ndarray:
    """Integers (int64, the shape of `x`) of values whose scale was fixed before they were known, as a growing K/V
    cache needs it: x / scale, half to even, saturated to ±(2^(bits−1) − 1). `scale` broadcasts against `x`."""
    limit = (1 << (bits - 1)) - 1
    codes = np.rint(np.asarray(x, dtype=np.float64) / scale)
    return np.clip(codes, -limit, limit).astype(np.int64)


def split(x: np.ndarray, lsb: int) -> tuple[np.ndarray, np.ndarray]:
    """MSB plane (floor, signed) and LSB plane (unsigned, `lsb` bits) of integers `x`; lsb may be 0."""
    x = np.asarray(x, dtype=np.int64)
    return x >> lsb, x & ((1 << lsb) - 1)


def join(msb: np.ndarray, low: np.ndarray, lsb: int) -> np.ndarray:
    """The inverse of `split`."""
    return (np.asarray(msb, dtype=np.int64) << lsb) + low
