"""Every rounding that there is, half to even: the golden model's and the hardware's against mpmath, over whole ranges.

Model and hardware round with functions of their own, and the hardware in one step or after shifts cut into stages: all
of them are held to the same real numbers here (the requantiser's also in `test_rescale.py`, over every number of 16
bits).
"""

from functools import cache

import mpmath
import numpy as np
import pytest
from amaranth import Cat, Module, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from mpmath import mpf

from spatten_hw.config import OUT_BITS
from spatten_hw.primitives.rounding import guarded, round_guarded, round_saturate, round_shift, sticky_shift
from spatten_hw.primitives.widths import saturate_unsigned
from spatten_hw.sim.golden import numerics as golden
from spatten_hw.sim.harness.block import Block
from spatten_hw.sim.harness.payload import pack
from tests.seeds import numbers

#: Bits of the numbers, and of the shift: amounts up to 15, so that the largest ones move everything below the half.
BITS, AMOUNT_BITS = 12, 4
#: Bits that the unsigned number is saturated to.
CLAMPED_BITS = 7


class Roundings(wiring.Component):
    """`value`·2^−`amount` by every rounding shift of the hardware, of `value` as signed and as unsigned number, one
    cycle later: `fixed` by `round_shift`; `staged` as softmax does, `output` as the requantiser does, coarse then fine;
    `clamped`, `staged` saturated. Nothing waits."""

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"value": unsigned(BITS), "amount": unsigned(AMOUNT_BITS)}))),
            "o": Out(stream.Signature(data.StructLayout({
                "fixed_signed": signed(BITS + 1), "fixed_unsigned": unsigned(BITS + 1), "staged": unsigned(BITS + 1),
                "output": signed(OUT_BITS), "clamped": unsigned(CLAMPED_BITS)}))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        value, amount, out = self.i.p.value, self.i.p.amount, self.o.p
        wide = Cat(value, value[-1].replicate(OUT_BITS - BITS)).as_signed()
        coarse = sticky_shift(m, guarded(wide), amount[2:], 4, "coarse")
        staged = sticky_shift(m, guarded(value), amount[2:], 4, "staged_coarse")
        unsigned_rounded = round_guarded(sticky_shift(m, staged, amount[:2], 1, "staged_fine"))
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += [
            self.o.valid.eq(self.i.valid),
            out.fixed_signed.eq(round_shift(value.as_signed(), amount)),
            out.fixed_unsigned.eq(round_shift(value, amount)),
            out.staged.eq(unsigned_rounded), out.clamped.eq(saturate_unsigned(unsigned_rounded, CLAMPED_BITS)),
            out.output.eq(round_saturate(m, sticky_shift(m, coarse, amount[:2], 1, "fine"), OUT_BITS, "output")),
        ]
        return m


@cache
def rounded(value: int, amount: int) -> int:
    """The nearest integer, of two the even one."""
    return int(mpmath.nint(mpf(value) / mpf(2) ** amount))


def test_mpmath_rounds_half_to_even():
    assert [rounded(v, 1) for v in (-5, -3, -1, 1, 3, 5)] == [-2, -2, 0, 0, 2, 2]


def test_hardware():
    """Every number of 12 bits with every amount of four."""
    block = Block(Roundings)
    value, amount = (a.ravel() for a in np.meshgrid(np.arange(1 << BITS), np.arange(1 << AMOUNT_BITS)))
    block.send("i", pack(block.component.i.p.shape(), {"value": value, "amount": amount}))
    block.run(len(value) + 10, o=len(value))
    got = block.taken("o").columns()
    minus = np.where(value >> (BITS - 1), value - (1 << BITS), value)
    of_signed = [rounded(v, a) for v, a in zip(minus.tolist(), amount.tolist(), strict=True)]
    of_unsigned = [rounded(v, a) for v, a in zip(value.tolist(), amount.tolist(), strict=True)]
    for name, want in (("fixed_signed", of_signed), ("output", of_signed), ("fixed_unsigned", of_unsigned),
                       ("staged", of_unsigned),
                       ("clamped", [min(v, (1 << CLAMPED_BITS) - 1) for v in of_unsigned])):
        wrong = np.flatnonzero(got[name] != want)
        assert not len(wrong), (name, [(value[n], amount[n], got[name][n], want[n]) for n in wrong[:5]])


def test_golden_model():
    value, amount = (a.ravel() for a in np.meshgrid(np.arange(-(1 << BITS), 1 << BITS), np.arange(BITS + 3)))
    want = [rounded(v, a) for v, a in zip(value.tolist(), amount.tolist(), strict=True)]
    assert golden.round_shift(value, amount).tolist() == want


@pytest.mark.parametrize("amount", [*range(1, 64, 3), 61, 62, 63])
def test_golden_model_of_large_numbers(amount):
    """Up to the 62 bits that callers keep to: on ties, beside them, and anywhere."""
    rng, top = numbers("rounding", amount), (1 << 62) - 1
    half = 1 << amount - 1
    odd = 2 * rng.integers(-(top // (2 * half)) - 1, top // (2 * half) + 1, 200).astype(object) + 1
    values = [int(n) * half + beside for n in odd for beside in (-1, 0, 1)] + [top, -top, 0, 1, -1]
    values += rng.integers(-top, top, 200).tolist()
    values = [v for v in values if abs(v) <= top]
    assert len(values) > 200
    with mpmath.workprec(200):
        want = [int(mpmath.nint(mpf(v) / mpf(2) ** amount)) for v in values]
    # Beyond 62 the model gives 0, as the widest shift of a number of 62 bits does.
    assert golden.round_shift(np.array(values, dtype=np.int64), amount).tolist() == want


@pytest.mark.parametrize("bits,is_signed", [(4, True), (4, False), (8, True), (8, False)])
def test_golden_saturation(bits, is_signed):
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)
    values = np.arange(-(1 << bits), 2 << bits)
    assert golden.saturate(values, bits, is_signed).tolist() == [min(max(v, low), high) for v in values.tolist()]
