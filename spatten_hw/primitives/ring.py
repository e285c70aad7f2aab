"""Ring indices."""

from __future__ import annotations

from amaranth import Mux, Value
from amaranth.hdl import ValueLike


def next_in_ring(index: Value, depth: ValueLike) -> Value:
    """The index after `index` among 0 … `depth` − 1, where 0 follows the last one; as wide as `index`."""
    last = depth - 1 if isinstance(depth, int) else (Value.cast(depth) - 1)[:len(index)]
    return Mux(index == last, 0, index + 1)[:len(index)]
