"""round_shift in one step, exhaustive at small widths. (`test_rounding.py` has every rounding against mpmath.)"""

import numpy as np
import pytest
from amaranth import signed, unsigned

from spatten_hw.primitives.rounding import guarded_shift, round_guarded, round_shift
from spatten_hw.sim.golden import numerics as golden

from .expressions import evaluate


@pytest.mark.parametrize("shape", [unsigned(6), signed(6), signed(1)])
@pytest.mark.parametrize("amount", [0, 1, 2, 5, 6, 9])
def test_round_shift_by_constant(shape, amount):
    got = evaluate(shape, lambda x, _: round_shift(x, amount))
    for (v, _), r in got.items():
        assert r == int(golden.round_shift(v, amount)), (v, amount)
        assert r == round(v / 2**amount)  # Python rounds half to even too


@pytest.mark.parametrize("shape", [unsigned(6), signed(6)])
def test_round_shift_by_signal(shape):
    got = evaluate(shape, lambda x, a: round_shift(x, a, 9), amounts=range(10))
    for (v, a), r in got.items():
        assert r == int(golden.round_shift(v, a)) == round(v / 2**a), (v, a)


@pytest.mark.parametrize("amount", [1, 2, 4])
def test_rounding_of_a_guarded_shift(amount):
    """A constant shift that leaves guard and sticky bit, then the rounding."""
    for (v, _), r in evaluate(unsigned(6), lambda x, _: round_guarded(guarded_shift(x, amount))).items():
        assert r == round(v / 2**amount), v


def test_golden_round_shift_of_large_amounts_is_zero():
    assert golden.round_shift(np.array([5, -5, 2**61]), 63).tolist() == [0, 0, 0]
