"""Which memory channel a logical address lives on (twin of `host.layout.channel_of`).

C consecutive granules of `interleave_bytes` bytes go to the C channels, and the next C in another order: channel = the
exclusive or of the granule number's three lowest base-C digits. If the order were always the same, all rows of a plane
whose stride is a multiple of C granules would lie on one channel. So would all rows that one row port reads of a dense
stream, and the port would get no more than one channel's share of buffers (Rau, ISCA 1991: pseudo-random interleaving).
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
    """Channel-local byte address of a logical one: without the lowest digit above the granule offset."""
    low = clog2(c.interleave_bytes)
    return Cat(addr[:low], addr[low + clog2(c.channels):])
