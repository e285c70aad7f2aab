"""Where an output row begins."""

from __future__ import annotations

from amaranth import Module, Signal, Value
from amaranth.lib import data

from ..config import SpAttenConfig, clog2
from ..primitives.products import STRIDE_STAGES, stride_product
from ..primitives.widths import narrow, wrap

#: Registers from head and token to the address.
ADDRESS_STAGES = STRIDE_STAGES + 2


def row_address(m: Module, c: SpAttenConfig, job: data.View, head: Value, query: Value) -> Value:
    """out_base + head·out_head_stride + (query div C)·out_token_stride of the row's channel, `ADDRESS_STAGES` cycles
    later; one addition per stage."""
    bits = c.axi_addr_bits
    index_bits = max(1, c.token_bits - clog2(c.channels))
    index = narrow(query >> clog2(c.channels), index_bits)
    offset_head = stride_product(m, head, job.out_head_stride, bits, "offset_head")
    offset_query = stride_product(m, index, job.out_token_stride, bits, "offset_query")
    offset = Signal(bits, reset_less=True)
    address = Signal(bits, reset_less=True)
    m.d.sync += [offset.eq(wrap(offset_head + offset_query, bits)), address.eq(wrap(job.out_base + offset, bits))]
    return address
