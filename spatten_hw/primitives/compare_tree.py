"""The largest of many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ValueLike

from .tree import registered_tree


def max_tree(m: Module, values: Sequence[ValueLike], name: str, enable: ValueLike = 1) -> Value:
    """The largest of `values` (at least one, all of one shape); latency `tree_stages(len(values))` enabled cycles, one
    result per cycle."""
    numbers = count()

    def larger(a: Value, b: Value) -> Value:
        pair = Signal(a.shape(), name=f"{name}_larger{next(numbers)}")
        m.d.comb += pair.eq(Mux(a > b, a, b))
        return pair

    return registered_tree(m, values, larger, name, enable)
