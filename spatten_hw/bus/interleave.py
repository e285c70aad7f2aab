"""Which memory channel a logical address lives on (twin of `host.layout.channel_of`).

Granules of `interleave_bytes` bytes are dealt to the C channels, C at a time, each time in another order: channel =
the exclusive or of the granule number's three lowest base-C digits. Dealt in the same order every time, every row of
a plane whose stride is a multiple of C granules would lie on one channel, and so would all rows of one row port
of a dense stream: it would get no more than one channel's share of buffers (Rau, ISCA 1991: pseudo-random
interleaving).
"""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth import Cat, Const, Value

from ..config import INTERLEAVE_DIGITS, SpAttenConfig, clog2


def channel_of(c: SpAttenConfig, addr: Value) -> Value:
    """Channel number of a logical byte address (log2(C) bits; a constant 0 if there is one channel)."""
    low, digit = clog2(c.interleave_bytes), clog2(c.channels)
    if digit == 0:
        return Const(0, 1)
    digits = [addr[low + digit * k:low + digit * (k + 1)] for k in range(INTERLEAVE_DIGITS)]
    return reduce(xor, (d for d in digits if len(d)))[:digit]


def local_address(c: SpAttenConfig, addr: Value) -> Value:
    """Channel-local byte address of a logical one: the lowest digit cut out above the granule offset."""
    low = clog2(c.interleave_bytes)
    return Cat(addr[:low], addr[low + clog2(c.channels):])
