"""Rotation of lanes."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Mux, Value
from amaranth.hdl import ValueLike


def rotated(lanes: Sequence[ValueLike], by: Value) -> list[Value]:
    """`lanes` (a power of two), rotated up: lane s of the result is lane s − `by` (modulo their number) of `lanes`. One
    two-input multiplexer per lane and bit of `by` that matters; combinational."""
    level = [Value.cast(lane) for lane in lanes]
    if len(level) & (len(level) - 1):
        raise ValueError(f"{len(level)} lanes: must be a power of two")
    for bit in range((len(level) - 1).bit_length()):
        if bit < len(by):
            level = [Mux(by[bit], level[(s - (1 << bit)) % len(level)], lane) for s, lane in enumerate(level)]
    return level
