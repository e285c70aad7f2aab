"""Products of counts. (Stride products: `test_rescale.py`, with what they are used with.)"""

import pytest
from amaranth import unsigned

from spatten_hw.primitives.products import FEW_BITS, times_few

from .expressions import evaluate


@pytest.mark.parametrize("few", [0, 1, 2, 3, FEW_BITS, FEW_BITS + 1])
def test_times_few(few):
    got = evaluate(unsigned(5), lambda x, a: times_few(x, a), amounts=range(1 << few))
    assert got == {(v, a): v * a for v in range(32) for a in range(1 << few)}
