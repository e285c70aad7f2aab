"""Real scales as the hardware's fixed-point ones (`docs/architecture.md`, "Numbers")."""

from __future__ import annotations

import math

#: Width of a mantissa in the scale table.
MANT_BITS = 17
#: Mantissas are normalised to 2^15 ≤ mant < 2^16 where the exponent allows.
NORMAL_BITS = 16
#: Fraction bits of the exponent y.
Y_FRACTION = 14
#: Largest shifts the scale table holds.
MAX_PRE, MAX_POST, MAX_OUT_SHIFT = 31, 63, 63
#: The shift before the multiplication leaves d' steps of 2 … 4 LSBs of y: e = pre + POST_MIN + Y_FRACTION.
POST_MIN = 14


def _normalise(value: float, lowest: int, highest: int) -> tuple[int, int]:
    """(mant, e) with value ≈ mant·2^−e, 2^15 ≤ mant < 2^16 unless e would leave lowest … highest."""
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"a scale must be finite and not negative, not {value!r}")
    if value == 0:
        return 0, lowest
    _, exponent = math.frexp(value)
    e = min(max(NORMAL_BITS - exponent, lowest), highest)
    if e == lowest and exponent + e > MANT_BITS:
        return (1 << MANT_BITS) - 1, e
    mant = round(math.ldexp(value, e))
    if mant == 1 << NORMAL_BITS and e > lowest:
        mant, e = mant >> 1, e - 1
    return min(mant, (1 << MANT_BITS) - 1), e


def score_scale(c: float) -> tuple[int, int, int]:
    """(mant, pre, post) of the scale `c` ≥ 0: log2 units per score step, 1/sqrt(D) and log2(e) included.

    Relative error ≤ 2^−16 for 2^−93 ≤ c < 4 and 2^−17 up to 8; larger scales saturate at 8 − 2^−14.
    """
    mant, e = _normalise(c, Y_FRACTION, MAX_PRE + MAX_POST + Y_FRACTION)
    pre = min(max(e - POST_MIN - Y_FRACTION, 0), MAX_PRE)
    return mant, pre, e - pre - Y_FRACTION


def score_scale_value(mant: int, pre: int, post: int) -> float:
    """The exact real scale that (mant, pre, post) stand for."""
    return math.ldexp(mant, -(pre + post + Y_FRACTION))


def out_scale(x: float, least: int = 0) -> tuple[int, int]:
    """(mant, shift ≥ `least`) with x ≈ mant·2^−shift, x ≥ 0; saturates at 2^17 − 1, underflows gradually to 0."""
    return _normalise(x, least, MAX_OUT_SHIFT)
