"""resize, narrow, wrap and saturate: RTL expressions against the golden functions, exhaustive at small widths."""

import pytest
from amaranth import Signal, signed, unsigned

from spatten_hw.primitives.widths import narrow, resize, saturate, saturate_unsigned, wrap
from spatten_hw.sim.golden import numerics as golden

from .expressions import evaluate, values_of


@pytest.mark.parametrize("have", [unsigned(6), signed(6)])
@pytest.mark.parametrize("want", [unsigned(3), signed(3), unsigned(8), signed(8), unsigned(6), signed(6)])
def test_saturate(have, want):
    got = evaluate(have, lambda x, _: saturate(x, want))
    for (v, _), r in got.items():
        lo, hi = values_of(want)[0], values_of(want)[-1]
        assert r == min(max(v, lo), hi) == int(golden.saturate(v, want.width, want.signed)), v


@pytest.mark.parametrize("have,want", [(unsigned(4), unsigned(6)), (signed(4), signed(6)), (unsigned(4), signed(5))])
def test_resize_keeps_every_value(have, want):
    for (v, _), r in evaluate(have, lambda x, _: resize(x, want)).items():
        assert r == v


@pytest.mark.parametrize("have,want", [(signed(4), unsigned(8)), (unsigned(4), signed(4)), (unsigned(4), unsigned(3))])
def test_resize_refuses_what_could_lose(have, want):
    with pytest.raises(ValueError, match="could lose"):
        resize(Signal(have), want)


def test_narrow_takes_the_low_bits():
    assert evaluate(unsigned(4), lambda x, _: narrow(x, 2))[13, 0] == 1


@pytest.mark.parametrize("width", [1, 3, 5, 8])
def test_wrap_is_modulo(width):
    got = evaluate(signed(6), lambda x, _: wrap(x, width) if width <= 6 else wrap(x.as_unsigned(), width))
    assert got == {(v, 0): v % (1 << min(width, 6)) for v in values_of(signed(6))}


@pytest.mark.parametrize("width", [1, 4, 6])
def test_saturate_unsigned_is_saturate(width):
    got = evaluate(unsigned(6), lambda x, _: saturate_unsigned(x, width))
    assert got == {(v, 0): min(v, (1 << width) - 1) for v in values_of(unsigned(6))}
