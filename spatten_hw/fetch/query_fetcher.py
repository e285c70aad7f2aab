"""Fetches Q rows, one at a time, each for a score slot."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..bus.read_crossbar import request_layout, response_banks, response_layout
from ..config import SpAttenConfig
from ..contract import always_taken
from ..interface.descriptor import STRIDE_BITS
from ..primitives.registers import payload_register
from ..primitives.widths import wrap
from ..shared import Shared
from ..stream.fifo import StreamFifo
from ..stream.layouts import q_command, q_row
from .head_base import HeadBase, stride_bits
from .row_generator import plane_layout
from .row_port import QUEUE_DEPTH, QUEUE_MARGIN, RowPort


class QueryFetcher(wiring.Component):
    """`cmd` (`q_command`) → `rows` (`q_row`), in order, through one crossbar requester.

    Two multipliers (head stride, then token stride); latency to the row port's queue: that of `HeadBase` + 3 cycles.
    One row per cycle at most, one beat per cycle. `base`, `head_stride`, `plane`: Q's plane, constant while not `idle`.
    `error` pulses with a row whose beats had an AXI error. `beats`: requested (registered). `waits`: for memory.
    """

    cmd: stream.Interface
    rows: stream.Interface
    req: stream.Interface
    rsp: list[stream.Interface]

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "cmd": In(stream.Signature(q_command(c))), "rows": Out(stream.Signature(q_row(c))),
            "req": Out(stream.Signature(request_layout(c))),
            "rsp": In(stream.Signature(response_layout(c))).array(response_banks(c)),
            "base": In(c.addr_bits), "head_stride": In(stride_bits(c)), "plane": In(plane_layout(c)),
            "error": Out(1), "beats": Out(c.granule_beats.bit_length()), "idle": Out(1),
            "waits": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        of = data.StructLayout({"token": unsigned(c.token_bits), "slot": unsigned(c.slot_bits)})
        m.submodules.head_base = heads = HeadBase(c, of)
        m.submodules.row_port = port = Shared(RowPort, c)
        # A slot waits here from when its row's address is known until the row leaves.
        m.submodules.slots = slots = StreamFifo(unsigned(c.slot_bits), 2 * QUEUE_DEPTH + c.ids_per_port)
        connect(m, port.req, flipped(self.req))
        for bank, answers in enumerate(self.rsp):
            connect(m, flipped(answers), port.rsp[bank])
        m.d.comb += [
            heads.i.valid.eq(self.cmd.valid), self.cmd.ready.eq(heads.i.ready),
            heads.i.payload.head.eq(self.cmd.payload.head), heads.i.payload.base.eq(self.base),
            heads.i.payload.stride.eq(self.head_stride), heads.i.payload.user.token.eq(self.cmd.payload.token),
            heads.i.payload.user.slot.eq(self.cmd.payload.slot),
        ]
        # Token part: operand, product, then sum; the stages move together.
        move = Signal()
        asked_valid = Signal()
        asked = Signal(heads.o.payload.shape(), reset_less=True)
        product_valid = Signal()
        product = Signal(c.token_bits + STRIDE_BITS, reset_less=True)
        product_base = Signal(c.addr_bits, reset_less=True)
        product_slot = Signal(c.slot_bits, reset_less=True)
        addr_valid = Signal()
        addr = Signal(c.addr_bits, reset_less=True)
        addr_slot = Signal(c.slot_bits, reset_less=True)
        # Both queues have room for the requests under way. `able` is at most two cycles late; the queues' margins cover
        # that, so their `ready` is not needed.
        able = Signal()
        m.d.sync += able.eq(port.room & (slots.level <= slots.depth - QUEUE_MARGIN))
        m.d.comb += [
            port.i.valid.eq(addr_valid & able), slots.i.valid.eq(addr_valid & able),
            port.i.payload.addr.eq(addr), port.i.payload.bytes.eq(self.plane.bytes),
            port.i.payload.user.eq(self.plane.mode), slots.i.payload.eq(addr_slot),
            move.eq(~addr_valid | able), heads.o.ready.eq(move),
        ]
        with m.If(move):
            m.d.sync += [
                asked_valid.eq(heads.o.valid), asked.eq(heads.o.payload),
                product_valid.eq(asked_valid), product_base.eq(asked.base),
                product.eq(asked.user.token * self.plane.stride), product_slot.eq(asked.user.slot),
                addr_valid.eq(product_valid), addr.eq(wrap(product_base + product, c.addr_bits)),
                addr_slot.eq(product_slot),
            ]
        free = Signal()
        take = Signal()
        m.d.comb += [
            free.eq(~self.rows.valid | self.rows.ready), take.eq(free & port.o.valid & slots.o.valid),
            port.o.ready.eq(free & slots.o.valid), slots.o.ready.eq(free & port.o.valid),
            self.beats.eq(port.beats), self.waits.eq(port.waits),
        ]
        row = payload_register(m, self.rows.payload, "row")
        with m.If(free):
            # Loaded also without a row: `valid` tells, and the wide clock enable is simpler.
            m.d.sync += [self.rows.valid.eq(take), row.row.eq(port.o.payload.operands), row.slot.eq(slots.o.payload)]
        m.d.sync += [
            self.error.eq(take & port.o.payload.error),
            self.idle.eq(heads.idle & ~asked_valid & ~product_valid & ~addr_valid & (slots.level == 0) & port.idle
                         & ~self.cmd.valid & ~self.rows.valid),
        ]
        always_taken(m, port.i, "requests")
        always_taken(m, slots.i, "slots")
        return m
