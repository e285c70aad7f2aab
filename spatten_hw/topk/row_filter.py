"""Second reading of a vector: lets the kept elements through, in order (SpAtten, section IV-B)."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..stream.layouts import topk_row
from ..stream.skid import SkidBuffer
from .packer import Packer
from .prefix_sum import PrefixSum
from .selector import select_result
from .zero_eliminator import ZeroEliminator


class RowFilter(wiring.Component):
    """Per `cmd` (`select_result`) reads n buffered elements and emits those to keep as dense rows.

    One buffer row per cycle, no gap between vectors. `buffer_row` runs round a ring of `buffer_depth` rows
    while `buffer_enable`; `buffer_data` (payloads above keys) is valid one enabled cycle later. `freed`: a row
    was read for good. Every stage advances together unless the output register stage is full.
    """

    #: Cycles from reading a vector's last row to its last output row.
    LATENCY = 10
    #: Most vectors between reading and `o`: seven stages, two in the packer, two in the skid buffer.
    DEPTH = 11

    cmd: stream.Interface
    o: stream.Interface
    buffer_row: Signal
    buffer_enable: Signal
    buffer_data: Signal
    freed: Signal

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int,
                 buffer_depth: int):
        self.key_bits = key_bits
        self.payload_bits = payload_bits
        self.tag_bits = tag_bits
        self.lanes = lanes
        self.count_bits = max_n.bit_length()
        self.buffer_depth = buffer_depth
        super().__init__({
            "cmd": In(stream.Signature(select_result(key_bits, tag_bits, self.count_bits))),
            "o": Out(stream.Signature(topk_row(lanes, key_bits, payload_bits, tag_bits, self.count_bits))),
            "buffer_row": Out(max(1, clog2(buffer_depth))), "buffer_enable": Out(1), "freed": Out(1),
            "buffer_data": In(lanes * (key_bits + payload_bits)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, key_bits, count_bits = self.lanes, self.key_bits, self.count_bits
        width = key_bits + self.payload_bits
        m.submodules.ranks = ranks = PrefixSum(lanes)
        m.submodules.eliminate = eliminate = ZeroEliminator(width, lanes)
        m.submodules.pack = pack = Packer(width, lanes, self.tag_bits)
        m.submodules.skid = skid = SkidBuffer(self.o.p.shape())

        advance = Signal()
        m.d.comb += advance.eq(pack.i.ready)

        # Reading.
        started = Signal()
        remaining = Signal(count_bits)
        left = Signal(count_bits)
        last = Signal()
        m.d.comb += [
            left.eq(Mux(started, remaining, self.cmd.p.n)),
            last.eq(left <= lanes),
            self.freed.eq(advance & self.cmd.valid),
            self.cmd.ready.eq(advance & last),
            self.buffer_enable.eq(advance),
        ]
        with m.If(self.freed):
            m.d.sync += [
                started.eq(~last), remaining.eq(left - lanes),
                self.buffer_row.eq(Mux(self.buffer_row == self.buffer_depth - 1, 0, self.buffer_row + 1)),
            ]

        # What travels with a row: read, in the row register, compared, counted, marked, and twice in the
        # zero eliminator.
        about = data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "live": unsigned(lanes.bit_length()), "tag": self.tag_bits,
            "threshold": key_bits, "keep_equal": count_bits,
        })
        names = ("read", "row", "compared", "counted", "marked", "closing", "dense")
        stages = {name: Signal(about, name=f"{name}_about") for name in names}
        with m.If(advance):
            m.d.sync += [
                stages["read"].valid.eq(self.cmd.valid), stages["read"].first.eq(~started),
                stages["read"].last.eq(last), stages["read"].live.eq(Mux(last, left, lanes)),
                stages["read"].tag.eq(self.cmd.p.tag), stages["read"].threshold.eq(self.cmd.p.threshold),
                stages["read"].keep_equal.eq(self.cmd.p.keep_equal),
            ]
            for earlier, later in pairwise(names):
                m.d.sync += stages[later].eq(stages[earlier])

        def elements(name: str) -> Signal:
            return Signal(data.ArrayLayout(unsigned(width), lanes), name=f"{name}_elements")

        row, compared, counted, marked = (elements(n) for n in ("row", "compared", "counted", "marked"))
        larger = Signal(lanes)
        equal = Signal(lanes)
        with m.If(advance):
            m.d.sync += [
                row.eq(self.buffer_data), compared.eq(row), counted.eq(compared), marked.eq(counted),
            ]
            for j in range(lanes):
                key = row[j][:key_bits]
                live = stages["row"].live > j
                m.d.sync += [
                    larger[j].eq(live & (key > stages["row"].threshold)),
                    equal[j].eq(live & (key == stages["row"].threshold)),
                ]

        # The first `keep_equal` of the equal ones are kept: count them within the row, then across rows.
        counted_larger = Signal(lanes)
        counted_equal = Signal(lanes)
        rank = Signal(data.ArrayLayout(unsigned(lanes.bit_length()), lanes))
        equals = Signal(lanes.bit_length())
        quota_left = Signal(count_bits)
        quota = Signal(count_bits)
        keep = Signal(lanes)
        m.d.comb += [
            ranks.bits.eq(equal),
            quota.eq(Mux(stages["counted"].first, stages["counted"].keep_equal, quota_left)),
        ]
        with m.If(advance):
            m.d.sync += [
                counted_larger.eq(larger), counted_equal.eq(equal), rank.eq(ranks.ahead),
                equals.eq(ranks.total),
                keep.eq(Cat(counted_larger[j] | (counted_equal[j] & (rank[j] < quota)) for j in range(lanes))),
            ]
            with m.If(stages["counted"].valid):
                m.d.sync += quota_left.eq(Mux(quota > equals, quota - equals, 0))

        m.d.comb += [
            eliminate.enable.eq(advance), eliminate.elements.eq(marked), eliminate.keep.eq(keep),
            pack.i.valid.eq(stages["dense"].valid), pack.i.p.elements.eq(eliminate.dense),
            pack.i.p.count.eq(eliminate.count), pack.i.p.last.eq(stages["dense"].last),
            pack.i.p.tag.eq(stages["dense"].tag),
            skid.i.valid.eq(pack.o.valid), pack.o.ready.eq(skid.i.ready),
            skid.i.p.count.eq(pack.o.p.count), skid.i.p.last.eq(pack.o.p.last),
            skid.i.p.tag.eq(pack.o.p.tag),
        ]
        for j in range(lanes):
            m.d.comb += [
                skid.i.p.keys[j].eq(pack.o.p.elements[j][:key_bits]),
                skid.i.p.payloads[j].eq(pack.o.p.elements[j][key_bits:]),
            ]
        wiring.connect(m, skid.o, wiring.flipped(self.o))
        return m
