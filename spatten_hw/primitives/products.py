"""Products that are not the accelerator's work: of counts, and of an index and a stride."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.hdl import ValueLike

from .adder_tree import balanced_sum
from .widths import narrow, unsigned_const, wrap

#: Bits of a factor up to which shifted numbers are added rather than a multiplier block taken.
FEW_BITS = 4
#: Bits of a stride that are multiplied at a time: with an index of up to 17 bits, one DSP block of 18 × 18.
STRIDE_PART = 16
#: Cycles of a `stride_product`: parts, then their sum.
STRIDE_STAGES = 2


def times_few(number: Value, few: Value) -> Value:
    """`number · few`, both unsigned, exact, in as many bits as both together, within a cycle.

    For a factor that counts heads or the like: multiplier blocks are few, lie in rows across an FPGA, and one would be
    taken for a factor of two bits.
    """
    width = len(number) + len(few)
    if len(few) > FEW_BITS:
        return (number * few)[:width]
    return narrow(balanced_sum([Cat(unsigned_const(0, n), number & few[n].replicate(len(number)))
                                for n in range(len(few))]), width)


def stride_product(m: Module, index: Value, stride: Value, width: int, name: str, enable: ValueLike = 1) -> Signal:
    """`index · stride` modulo 2**`width`, `STRIDE_STAGES` cycles with `enable` later: two parts of the stride, then
    their sum. Like every byte address it wraps at its width; one per cycle."""
    low, high = (Signal(len(index) + len(part), name=f"{name}_{which}", reset_less=True)
                 for which, part in (("low", stride[:STRIDE_PART]), ("high", stride[STRIDE_PART:])))
    product = Signal(width, name=name, reset_less=True)
    step = [
        low.eq(times_few(stride[:STRIDE_PART], index)), high.eq(times_few(stride[STRIDE_PART:], index)),
        product.eq(wrap(low + (high << STRIDE_PART), width)),
    ]
    with m.If(enable):
        m.d.sync += step
    return product
