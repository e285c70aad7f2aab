"""One-hot selection, and search for the lowest set bit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import or_

from amaranth import Cat, Module, Mux, Signal, Value
from amaranth.hdl import ValueLike

from .tree import balanced


def any_of(values: Iterable[ValueLike]) -> Value:
    """All `values` (at least one) or-ed together, as a balanced tree."""
    return balanced(list(values), or_)


def one_hot_mux(select: Value | Sequence[Value], values: Sequence[ValueLike]) -> Value:
    """The value whose bit of `select` is set, 0 if none is; unsigned, as wide as the widest of `values`.

    AND-OR, shallower than a priority chain. At most one bit may be set: the blocks' contracts check it. ValueError if
    the numbers of bits and values differ.
    """
    if len(select) != len(values):
        raise ValueError(f"{len(select)} bits select one of {len(values)} values")
    return any_of(Mux(select[n], Value.cast(value).as_unsigned(), 0) for n, value in enumerate(values))


def lowest_set(bits: Value) -> Value:
    """Only the lowest set bit of `bits`: one-hot, or 0."""
    return bits & (~bits + 1)[:len(bits)]


def without_lowest(bits: Value) -> Value:
    """`bits` without the lowest one that is set."""
    return bits & (bits - 1)[:len(bits)]


def lowest_index(m: Module, bits: Value, name: str) -> Signal:
    """Number of the lowest set bit, 0 if none is set."""
    index = Signal(range(max(2, len(bits))), name=name)
    for n in reversed(range(len(bits))):
        with m.If(bits[n]):
            m.d.comb += index.eq(n)
    return index


def one_hot_index(select: Value) -> Value:
    """Number of the bit of `select` that is set, 0 if none is; max(1, log2) bits."""
    width = max(1, (len(select) - 1).bit_length())
    return Cat(Cat(select[n] for n in range(len(select)) if n >> bit & 1).any() for bit in range(width))
