"""Arithmetic of the requantiser: shifts that keep what is lost in sight, one rounding, Σ of magnitudes, addresses."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from ..config import OUT_BITS, clog2
from ..numerics.fixed import narrow, times_few

#: Low bits of a stride that are multiplied by themselves.
LOW_STRIDE_BITS = 16


def shift_jam(m: Module, value: Value, amount: Value, step: int, name: str) -> Value:
    """`value >> amount·step` (`step` a power of two) with a sticky lowest bit: it stays 1 if a 1 was lost.

    With two spare low bits under a number (guard and sticky), such shifts can be chained and still round
    exactly once at the end.
    """
    moved = Signal(value.shape(), name=f"{name}_moved")
    reach = min(len(value), step * ((1 << len(amount)) - 1))
    # Bits of the number that lie at or below the lowest one kept.
    passed = Signal(reach, name=f"{name}_passed")
    m.d.comb += [
        moved.eq(value >> Cat(Const(0, clog2(step)), amount)),
        passed.eq(Cat(amount > n // step for n in range(reach))),
    ]
    lost = (value[:reach] & passed).any()
    jammed = Cat(moved[0] | lost, moved[1:])
    return jammed.as_signed() if value.shape().signed else jammed


def round_saturate(m: Module, value: Value, lane: int) -> Value:
    """`value` (at least `OUT_BITS` + 2 bits) / 4 (guard, sticky) rounded half to even and saturated to `OUT_BITS`.

    Saturation looks at the floor: 32767 cannot round up any further, and below −32768 every rounding
    ends at −32768.
    """
    floor = value >> 2
    top = (1 << (OUT_BITS - 1)) - 1
    over = Signal(name=f"over_{lane}")
    under = Signal(name=f"under_{lane}")
    up = Signal(name=f"up_{lane}")
    m.d.comb += [
        over.eq(floor >= top),
        under.eq(floor < -top - 1),
        up.eq(value[1] & (value[0] | value[2])),
    ]
    rounded = (floor[:OUT_BITS] + up)[:OUT_BITS]
    return Mux(over, Const(top, OUT_BITS), Mux(under, Const(1 << (OUT_BITS - 1), OUT_BITS), rounded))


def sum_magnitudes(m: Module, row: data.View, stage: int) -> Value:
    """Σ |row| of `OUT_BITS` elements, as many bits wider as log2 of their number: absolute values in the stage after
    `stage`, then two levels of the adder tree per stage. One row per cycle."""
    lanes = row.shape().length
    level: list[Value] = []
    for n in range(lanes):
        absolute = Signal(OUT_BITS, name=f"absolute_{n}", reset_less=True)
        m.d.sync += absolute.eq(Mux(row[n] < 0, -row[n], row[n]))
        level.append(absolute)
    levels = 0
    while len(level) > 1:
        nodes = [sum(level[n:n + 4], Const(0, 1)) for n in range(0, len(level), 4)]
        levels += 2
        level = []
        for n, node in enumerate(nodes):
            width = OUT_BITS + min(clog2(lanes), levels)
            part = Signal(width, name=f"sum_{stage + 1 + levels // 2}_{n}", reset_less=True)
            m.d.sync += part.eq(node)
            level.append(part)
    return level[0]


def stride_product(m: Module, number: Value, stride: Value, bits: int, name: str) -> Signal:
    """`number`·`stride` in `bits`, 2 cycles later: halves, then their sum. The user sees to it that it fits."""
    halves = [Signal(len(number) + len(part), name=f"{name}_{half}", reset_less=True)
              for half, part in (("low", stride[:LOW_STRIDE_BITS]), ("high", stride[LOW_STRIDE_BITS:]))]
    joined = Signal(bits, name=name, reset_less=True)
    m.d.sync += [
        halves[0].eq(times_few(stride[:LOW_STRIDE_BITS], number)),
        halves[1].eq(times_few(stride[LOW_STRIDE_BITS:], number)),
        joined.eq(narrow(halves[0] + (halves[1] << LOW_STRIDE_BITS), bits)),
    ]
    return joined
