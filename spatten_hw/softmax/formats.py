"""Numbers of the softmax: widths, the table of 2^−y (`docs/architecture.md`, "Numbers"). Plain Python, for the golden
model as well."""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from itertools import pairwise

from ..config import PROB_BITS, SpAttenConfig, clog2

#: d' = (max − score) after its first shift, unsigned.
D_BITS = 18
#: The exponent y: fraction and integer bits, unsigned.
Y_FRACTION = 14
INTEGER_BITS = 5
Y_BITS = Y_FRACTION + INTEGER_BITS
#: Mantissa of 2^−y, unsigned, 2^M_FRACTION = 1.0.
M_FRACTION = 16
M_BITS = M_FRACTION + 1
M_ONE = 1 << M_FRACTION
#: The normalised sum t has this many bits; r = 2^R_EXPONENT / t needs one more.
T_BITS = 17
R_BITS = 18
R_EXPONENT = 33
#: p·2^12 = m·2^−(16 + i) · r·2^−(33 − 16 + k) · 2^12, so m·r is shifted right by PROB_SHIFT + i + k.
PROB_SHIFT = M_FRACTION + (R_EXPONENT - M_FRACTION) - PROB_BITS
#: The top bits of y's fraction choose a segment of the table; the others (`LOW_BITS`) interpolate along its chord.
SEGMENT_BITS = 6
LOW_BITS = Y_FRACTION - SEGMENT_BITS
#: Fraction bits of a base and of a slope, in units of m.
BASE_FRACTION, SLOPE_FRACTION = 4, 10
BASE_BITS, SLOPE_BITS = M_BITS + BASE_FRACTION, 12


def sum_fraction(max_tokens: int) -> int:
    """E: fraction bits of the sum of exponentials."""
    return 15 + clog2(max_tokens)


def sum_bits(c: SpAttenConfig) -> int:
    """Width of the sum of `max_tokens` exponentials, each at most 1.0."""
    return sum_fraction(c.max_tokens) + clog2(c.max_tokens) + 1


def k_bits(c: SpAttenConfig) -> int:
    """Width of k: the sum is (t / 2^16)·2^k with k = 0 … log2(max_tokens)."""
    return clog2(c.max_tokens).bit_length()


@cache
def exp2_table() -> tuple[tuple[int, int], ...]:
    """(base, slope) of every segment: m = round_half_even(base·2^−4 − slope·low·2^−10).

    Chords of 2^16·2^−f, lowered by 3/8 of their sag so that they err to both sides, yet m(0) = 2^16. Decimal
    arithmetic, so that every machine makes the same table; every entry is rounded to the nearest unit (the
    sag to 1/25 of one).
    """
    with localcontext() as context:
        context.prec = 50
        segments = 1 << SEGMENT_BITS
        step = Decimal(2).ln() / segments
        knots = [M_ONE * (-step * k).exp() for k in range(segments + 1)]
        table = []
        for left, right in pairwise(knots):
            sag = left * step * step / 8
            base = (left - sag * 3 / 8) * (1 << BASE_FRACTION)
            slope = (left - right) * (1 << SLOPE_FRACTION) / (1 << LOW_BITS)
            table.append((int(base.to_integral_value()), int(slope.to_integral_value())))
    return tuple(table)
