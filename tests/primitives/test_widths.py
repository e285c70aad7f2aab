"""resize, saturate, round_shift: RTL expressions against the golden functions, exhaustive at small widths."""

import numpy as np
import pytest
from amaranth import Module, Shape, Signal, signed, unsigned
from amaranth.sim import Simulator

from spatten_hw.primitives.products import FEW_BITS, times_few
from spatten_hw.primitives.rounding import round_shift
from spatten_hw.primitives.widths import narrow, resize, saturate
from spatten_hw.sim.golden import numerics as golden


def values_of(shape: Shape) -> range:
    if shape.signed:
        return range(-(1 << (shape.width - 1)), 1 << (shape.width - 1))
    return range(1 << shape.width)


def evaluate(shape: Shape, make, amounts=(0,)) -> dict:
    """{(x, amount): make(x, amount)} over every x of `shape`, in Amaranth's simulator."""
    m = Module()
    x = Signal(shape)
    amount = Signal(range(max(amounts) + 1)) if len(amounts) > 1 else Signal(1)
    result = make(x, amount)
    out = Signal(result.shape())
    m.d.comb += out.eq(result)
    got = {}

    async def bench(ctx):
        for a in amounts:
            ctx.set(amount, a)
            for v in values_of(shape):
                ctx.set(x, v)
                await ctx.delay(1e-9)
                got[v, a] = ctx.get(out)

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
    return got


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


def test_golden_round_shift_of_large_amounts_is_zero():
    assert golden.round_shift(np.array([5, -5, 2**61]), 63).tolist() == [0, 0, 0]


@pytest.mark.parametrize("few", [1, 2, 3, FEW_BITS, FEW_BITS + 1])
def test_times_few(few):
    got = evaluate(unsigned(5), lambda x, a: times_few(x, a), amounts=range(1 << few))
    assert got == {(v, a): v * a for v in range(32) for a in range(1 << few)}
