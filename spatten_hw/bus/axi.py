"""The AXI4 channels of one memory port as stream payloads.

Fixed for every transfer, so not part of a payload: size = the whole data width, burst = INCR, no lock, no
cache or protection hints. Addresses are channel-local byte addresses, multiples of a beat. `len` is AXI's:
beats − 1. A read's id is its number among those in flight (`read_issue`); writers choose their ids.
"""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig

#: Width of AXI4's `len`: a burst has len + 1 beats.
LEN_BITS = 8
#: Width of `resp`: 0 OKAY, 1 EXOKAY, 2 SLVERR, 3 DECERR. Bit 1 set means error.
RESP_BITS = 2


def ar_layout(c: SpAttenConfig) -> data.StructLayout:
    """Read address: one burst of len + 1 beats from `addr`."""
    return _address(c)


def r_layout(c: SpAttenConfig) -> data.StructLayout:
    """Read data: one beat of the burst `id`; `last` on its final beat."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "id": unsigned(c.id_bits), "resp": unsigned(RESP_BITS), "last": 1,
    })


def aw_layout(c: SpAttenConfig) -> data.StructLayout:
    """Write address: one burst of len + 1 beats to `addr`."""
    return _address(c)


def w_layout(c: SpAttenConfig) -> data.StructLayout:
    """Write data: one beat, a strobe per byte; bursts in the order of their addresses."""
    return data.StructLayout({
        "data": unsigned(c.axi_data_bits), "strb": unsigned(c.beat_bytes), "last": 1,
    })


def b_layout(c: SpAttenConfig) -> data.StructLayout:
    """Write response of the burst `id`."""
    return data.StructLayout({"id": unsigned(c.id_bits), "resp": unsigned(RESP_BITS)})


def _address(c: SpAttenConfig) -> data.StructLayout:
    return data.StructLayout({
        "addr": unsigned(c.axi_addr_bits), "id": unsigned(c.id_bits), "len": unsigned(LEN_BITS),
    })
