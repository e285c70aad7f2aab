"""Small products outside the multiplier arrays: of counts, and of an index and a stride."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, Value
from amaranth.hdl import ValueLike

from .adder_tree import balanced_sum
from .widths import narrow, unsigned_const, wrap

#: A factor of up to this many bits is multiplied by adding shifted numbers, a wider one by a multiplier block.
FEW_BITS = 4
#: Bits of a stride that are multiplied at a time: with an index of up to 17 bits, one DSP block of 18 × 18.
STRIDE_PART = 16
#: Cycles of a `stride_product`: parts, then their sum.
STRIDE_STAGES = 2


def times_few(number: Value, few: Value) -> Value:
    """`number · few`, both unsigned, exact, in as many bits as both together, within a cycle.

    For factors such as a number of heads: synthesisers take a multiplier block even for a factor of two bits, but these
    blocks are few and lie in rows across an FPGA.
    """
    width = len(number) + len(few)
    if not len(few):        # the number of what there is one of
        return unsigned_const(0, width)
    if len(few) > FEW_BITS:
        return (number * few)[:width]
    return narrow(balanced_sum([Cat(unsigned_const(0, n), number & few[n].replicate(len(number)))
                                for n in range(len(few))]), width)


def stride_product(m: Module, index: Value, stride: Value, width: int, name: str, enable: ValueLike = 1) -> Signal:
    """`index · stride` modulo 2**`width`: like every byte address it wraps at its width. Latency `STRIDE_STAGES`
    enabled cycles (the products of two parts of the stride, then their sum), one per cycle."""
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
