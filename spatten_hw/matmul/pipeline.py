"""Small helpers of the arrays: pipeline registers with a clock enable, and adder trees built from them."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Module, Signal, Value
from amaranth.hdl import ValueLike

from ..config import clog2

#: Adder levels between two registers: two adders of 30 bits pass at 80 MHz on an ECP5.
LEVELS_PER_STAGE = 2


def register(m: Module, en: ValueLike, values: Sequence[Value], name: str) -> list[Signal]:
    """Each value one enabled cycle later; data only, so without reset."""
    regs = [Signal(v.shape(), name=f"{name}{i}", reset_less=True) for i, v in enumerate(values)]
    with m.If(en):
        m.d.sync += [r.eq(v) for r, v in zip(regs, values, strict=True)]
    return regs


def tree_stages(terms: int) -> int:
    """Registers in `adder_tree` of `terms` (a power of two) terms."""
    return -(-clog2(terms) // LEVELS_PER_STAGE)


def adder_tree(m: Module, en: ValueLike, terms: Sequence[Value], name: str) -> Value:
    """Exact sum of a power of two of terms, `tree_stages(len(terms))` enabled cycles later."""
    level = 0
    values = list(terms)
    while len(values) > 1:
        values = [values[i] + values[i + 1] for i in range(0, len(values), 2)]
        level += 1
        if level % LEVELS_PER_STAGE == 0 or len(values) == 1:
            values = list(register(m, en, values, f"{name}_level{level}_"))
    return values[0]
