"""Sums of many numbers."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add

from amaranth import Module, Value
from amaranth.hdl import ValueLike

from .tree import balanced, registered_tree


def balanced_sum(terms: Sequence[ValueLike]) -> Value:
    """Exact sum of `terms` (at least one) within a cycle."""
    return balanced(terms, add)


def adder_tree(m: Module, terms: Sequence[ValueLike], name: str, enable: ValueLike = 1, reset: bool = False) -> Value:
    """Exact sum of `terms` (at least one); latency `tree_stages(len(terms))` enabled cycles, one sum per cycle.

    `reset`: for sums that count without a bit beside them that says so; what was on its way must not count after one.
    """
    return registered_tree(m, terms, add, name, enable, reset)
