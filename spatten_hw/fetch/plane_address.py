"""Where the rows of a plane are in the channels."""

from __future__ import annotations

from amaranth import unsigned
from amaranth.lib import data

from ..config import SpAttenConfig
from ..interface.descriptor import STRIDE_BITS


def head_stride_bits(c: SpAttenConfig) -> int:
    """Width of a head stride, as in the job."""
    return min(32, c.axi_addr_bits)


def plane_address(c: SpAttenConfig) -> data.StructLayout:
    """Channel-local byte address of head 0's token 0, bytes from a head to the next one, bytes from a token to the next
    one of its channel (multiples of a beat, all of them), and the `beats` of a row."""
    return data.StructLayout({
        "base": unsigned(c.axi_addr_bits), "head_stride": unsigned(head_stride_bits(c)),
        "token_stride": unsigned(STRIDE_BITS), "beats": unsigned(c.beats_bits),
    })
