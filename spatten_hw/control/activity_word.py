"""Makes the register ACTIVITY from the state of the units."""

from __future__ import annotations

from amaranth import Cat, Const, Value

from ..interface.activity import ACCESS, ACTIVE_UNITS, BACK, FRONT, ITEM_BITS, ITEMS, READS, WRITES


def activity_word(units: Value, reads: Value, writes: Value, front: Value, back: Value, items: Value) -> Value:
    """ACTIVITY from its parts, each in the order of its table."""
    assert (len(units), len(reads), len(writes), len(items)) == (len(ACTIVE_UNITS), len(READS), len(WRITES), len(ITEMS))
    gap = Const(0, FRONT - ACCESS - len(READS) - len(WRITES))
    return Cat(units, reads, writes, gap, front, Const(0, BACK - FRONT - len(front)), back,
               Const(0, ITEM_BITS - BACK - len(back)), items)
