"""Makes walk commands from the two kinds of requests for V rows: fills of the V SRAM and kept values."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig
from ..contract import contract
from ..stream.layouts import kept_depth, kept_row, tag_layout, v_command
from ..stream.low_latency_fifo import LowLatencyFifo
from .head_base import HeadBase, stride_bits
from .row_generator import walk_command


class ValueWalk(wiring.Component):
    """`fills` (`v_command`) and `kept` (`kept_row`, payloads are token ids) → `o` (`walk_command`).

    One per cycle, latency that of `HeadBase` (1 cycle more for kept rows, which pass a queue). While `keys_wanted`,
    kept rows wait until the queue is three quarters full: K rows have the longest way to the output, and V rows use the
    time in which the last vectors pass softmax and top-k. Once a kept vector has started, fills wait until its `last`
    row is through. Kept vectors have priority: a result waits for them, but a fill is ahead of its use. Rows of a
    `refetched` vector are read from both planes if V has an LSB plane (`has_lsb`). `msb_base`, `lsb_base`,
    `msb_stride`, `lsb_stride`: of heads, constant while not `idle`.
    """

    fills: stream.Interface
    kept: stream.Interface
    o: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "fills": In(stream.Signature(v_command(c))), "kept": In(stream.Signature(kept_row(c))),
            "o": Out(stream.Signature(walk_command(c, c.topk_lanes))),
            "msb_base": In(c.addr_bits), "lsb_base": In(c.addr_bits),
            "msb_stride": In(stride_bits(c)), "lsb_stride": In(stride_bits(c)),
            "has_lsb": In(1), "keys_wanted": In(1), "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        # The fields of a kept row that are needed.
        queued = data.StructLayout({
            "payloads": data.ArrayLayout(unsigned(c.token_bits), c.topk_lanes), "count": self.kept.p.count.shape(),
            "last": 1, "tag": len(self.kept.p.tag),
        })
        m.submodules.kept_queue = queue = LowLatencyFifo(queued, kept_depth(c))
        m.d.comb += [
            queue.i.valid.eq(self.kept.valid), self.kept.ready.eq(queue.i.ready),
            *(queue.i.p[name].eq(self.kept.p[name]) for name in ("payloads", "count", "last", "tag")),
        ]
        # `hold` delays the start of a vector, but not the rows after that: a fill may wait behind it.
        begun = Signal()
        hold = Signal()
        m.d.sync += hold.eq(self.keys_wanted & (queue.level < kept_depth(c) * 3 // 4))
        waiting = stream.Signature(queued).create(path=("waiting",))
        m.d.comb += [
            waiting.valid.eq(queue.o.valid & (begun | ~hold)), waiting.payload.eq(queue.o.payload),
            queue.o.ready.eq(waiting.ready & (begun | ~hold)),
        ]
        fill, kept = self.fills.payload, waiting.payload
        tag = tag_layout(c)(kept.tag)
        held = Signal()          # a fill is offered and not yet taken
        use_kept = Signal()
        m.d.comb += use_kept.eq(begun | (waiting.valid & ~held))

        # What HeadBase carries: the command without its bases. Two of them work in step, one per plane.
        rest = data.StructLayout({
            "planes": unsigned(2), "rows": unsigned(c.count_bits), "last": 1, "half": 1, "kept": 1,
            "ids": data.ArrayLayout(unsigned(c.token_bits), c.topk_lanes),
        })
        m.submodules.msb_heads = msb = HeadBase(c, rest)
        m.submodules.lsb_heads = lsb = HeadBase(c, unsigned(0))
        request = Signal(rest)
        m.d.comb += [
            request.planes.eq(Mux(use_kept & tag.refetched & self.has_lsb, 3, 1)),
            request.rows.eq(Mux(use_kept, kept.count, fill.rows)),
            request.last.eq(Mux(use_kept, kept.last, 1)),
            request.half.eq(~use_kept & fill.half), request.kept.eq(use_kept), request.ids.eq(kept.payloads),
            msb.i.valid.eq(Mux(use_kept, waiting.valid, self.fills.valid)), lsb.i.valid.eq(msb.i.valid),
            msb.i.payload.user.eq(request), msb.i.payload.base.eq(self.msb_base),
            msb.i.payload.stride.eq(self.msb_stride), lsb.i.payload.base.eq(self.lsb_base),
            lsb.i.payload.stride.eq(self.lsb_stride),
            msb.i.payload.head.eq(Mux(use_kept, tag.kv_head, fill.kv_head)),
            lsb.i.payload.head.eq(msb.i.payload.head),
            waiting.ready.eq(use_kept & msb.i.ready), self.fills.ready.eq(~use_kept & msb.i.ready),
        ]
        with m.If(waiting.valid & waiting.ready):
            m.d.sync += begun.eq(~kept.last)
        m.d.sync += held.eq(self.fills.valid & ~use_kept & ~msb.i.ready)

        out = msb.o.payload.user
        m.d.comb += [
            self.o.valid.eq(msb.o.valid), msb.o.ready.eq(self.o.ready), lsb.o.ready.eq(self.o.ready),
            self.o.payload.bases[0].eq(msb.o.payload.base), self.o.payload.bases[1].eq(lsb.o.payload.base),
            self.o.payload.planes.eq(out.planes), self.o.payload.rows.eq(out.rows),
            self.o.payload.last.eq(out.last), self.o.payload.fill.eq(~out.kept),
            self.o.payload.half.eq(out.half), self.o.payload.kept.eq(out.kept), self.o.payload.ids.eq(out.ids),
        ]
        m.d.comb += self.idle.eq(msb.idle & ~begun & ~self.fills.valid & ~self.kept.valid
                                 & (queue.level == 0) & ~queue.o.valid)
        contract(m, tag.stream_v & (kept.count != 0) & (kept.count <= c.topk_lanes),
                 "kept rows are of vectors whose V rows are streamed, and not empty", when=waiting.valid)
        contract(m, (msb.o.valid == lsb.o.valid) & (msb.i.ready == lsb.i.ready), "the planes' addresses go in step")
        return m
