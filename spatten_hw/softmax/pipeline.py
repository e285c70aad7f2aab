"""Right shifts cut into stages, and queues that are never full."""

from __future__ import annotations

from amaranth import Array, Cat, Const, Value
from amaranth.hdl import ShapeLike, ValueLike

from ..stream.fifo import StreamFifo, fifo_latency


def guarded(value: ValueLike) -> Value:
    """`value` with two fraction bits below it, the form that `sticky_right` and `round_guarded` work on."""
    return Cat(Const(0, 2), value)


def sticky_right(value: ValueLike, amount: ValueLike, step: int) -> Value:
    """`value >> (amount·step)`, same width, in which bit 0 is the OR of itself and all bits shifted out.

    Such shifts compose: a long one can be cut into stages, and the last two bits (half, and "anything below
    half") still decide the rounding exactly.
    """
    v, a = Value.cast(value), Value.cast(amount)
    width = len(v)
    moved: list[Value] = []
    for n in range(1 << len(a)):
        s = n * step
        moved.append(Cat(v[:s + 1].any(), v[s + 1:], Const(0, s)) if s < width else Cat(v.any(), Const(0, width - 1)))
    return moved[0] if len(moved) == 1 else Value.cast(Array(moved)[a])


def round_guarded(value: ValueLike) -> Value:
    """Drops the two fraction bits of a guarded value, rounding half to even; one bit wider than the rest."""
    v = Value.cast(value)
    return v[2:] + (v[1] & (v[0] | v[2]))


def never_full_latency(most: int) -> int:
    """Cycles from a payload's arrival in an empty `never_full(…, most)` to its way out."""
    return fifo_latency(most + 1)


def never_full(shape: ShapeLike, most: int) -> StreamFifo:
    """A FIFO that always accepts as long as at most `most` payloads are inside (credits or slots see to it).

    One deeper than that, because the output register of a large FIFO only fills one cycle after a write.
    """
    return StreamFifo(shape, most + 1, never_full=True)
