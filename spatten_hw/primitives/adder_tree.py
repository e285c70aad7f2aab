"""Sums of many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

from amaranth import Module, Signal, Value
from amaranth.hdl import ValueLike

from .tree import balanced, registered_tree

#: Bits from which a number is added with a carry chain; sums of narrower ones are best left to the synthesiser.
WIDE = 4


def balanced_sum(terms: Sequence[ValueLike]) -> Value:
    """Exact sum of `terms` (at least one) within a cycle."""
    return balanced(terms, add)


def adder_tree(m: Module, terms: Sequence[ValueLike], name: str, enable: ValueLike = 1, reset: bool = False) -> Value:
    """Exact sum of `terms` (at least one); latency `tree_stages(len(terms))` enabled cycles, one sum per cycle.

    `reset`: for sums that count without a bit beside them that says so; what was on its way must not count after one.
    """
    def add_apart(a: Value, b: Value) -> Value:
        """An addition with a sum of its own, which Yosys keeps: it joins additions that follow each other to one of
        many numbers, built from full adders in LUTs, which takes a third more LUTs than a carry chain each."""
        exact = a + b
        if min(len(a), len(b)) < WIDE:
            return exact
        part = Signal(exact.shape(), name=f"{name}_part", attrs={"keep": 1})
        m.d.comb += part.eq(exact)
        return part

    return registered_tree(m, terms, add_apart, name, enable, reset)
