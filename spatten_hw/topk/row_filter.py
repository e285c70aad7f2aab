"""Second pass over a vector: outputs the kept elements, in order (SpAtten, section IV-B)."""

from __future__ import annotations

from itertools import pairwise

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import contract
from ..primitives.widths import narrow
from ..stream.layouts import topk_row
from .packer import Packer, packed_row
from .prefix_sum import PrefixSum
from .zero_eliminator import close_gaps


def filter_command(key_bits: int, count: int) -> data.StructLayout:
    """Of a vector keep the elements with key > `threshold` and the first `keep_equal` with key = `threshold`."""
    return data.StructLayout({"threshold": unsigned(key_bits), "keep_equal": unsigned(count)})


class RowFilter(wiring.Component):
    """Per `cmd` (`filter_command`) takes a vector of `rows` and emits those to keep as dense rows.

    `rows`: `packed_row` of elements (payload above key), from registers, since they go into the comparators. One row
    per cycle, no gap between vectors. `freed`: a row is not needed again. All stages advance together unless both
    registers at `o` are full, so that nothing depends combinationally on `o.ready`.
    """

    #: Cycles from using a vector's last row to its last output row, if that row leaves nothing over (`Packer`).
    LATENCY = 5
    #: Most vectors between reading a row and `o`: that of the row read, four in the stages, three in the packer.
    DEPTH = 8

    cmd: stream.Interface
    rows: stream.Interface
    o: stream.Interface
    freed: Signal

    def __init__(self, key_bits: int, payload_bits: int, tag_bits: int, lanes: int, max_n: int):
        self.key_bits = key_bits
        self.lanes = lanes
        self.tag_bits = tag_bits
        self.count_bits = max_n.bit_length()
        self.width = key_bits + payload_bits
        super().__init__({
            "cmd": In(stream.Signature(filter_command(key_bits, self.count_bits))),
            "rows": In(stream.Signature(packed_row(self.width, lanes, tag_bits))),
            "o": Out(stream.Signature(topk_row(lanes, key_bits, payload_bits, tag_bits, self.count_bits))),
            "freed": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, key_bits, count_bits, width = self.lanes, self.key_bits, self.count_bits, self.width
        m.submodules.larger_ranks = larger_ranks = PrefixSum(lanes)
        m.submodules.equal_ranks = equal_ranks = PrefixSum(lanes)
        m.submodules.pack = pack = Packer(width, lanes, self.tag_bits)

        advance = Signal()
        row = self.rows.payload
        started = Signal()
        m.d.comb += [
            advance.eq(pack.i.ready),
            self.freed.eq(advance & self.rows.valid & self.cmd.valid),
            self.cmd.ready.eq(advance & self.rows.valid & row.last),
            self.rows.ready.eq(advance & self.cmd.valid),
        ]
        with m.If(self.freed):
            m.d.sync += started.eq(~row.last)

        # Control beside a row, one register per stage: compared, counted, marked, dense.
        about = data.StructLayout({
            "valid": 1, "first": 1, "last": 1, "tag": self.tag_bits, "keep_equal": count_bits,
        })
        names = ("compared", "counted", "marked", "dense")
        stages = {name: Signal(about, name=f"{name}_about") for name in names}
        elements = {name: Signal(data.ArrayLayout(unsigned(width), lanes), name=f"{name}_elements", reset_less=True)
                    for name in names}
        larger = Signal(lanes)
        equal = Signal(lanes)
        with m.If(advance):
            compared = stages["compared"]
            m.d.sync += [
                compared.valid.eq(self.freed), compared.first.eq(~started), compared.last.eq(row.last),
                compared.tag.eq(row.tag), compared.keep_equal.eq(self.cmd.p.keep_equal),
                elements["compared"].eq(row.elements),
            ]
            for j in range(lanes):
                key, live = row.elements[j][:key_bits], row.count > j
                m.d.sync += [
                    larger[j].eq(live & (key > self.cmd.p.threshold)),
                    equal[j].eq(live & (key == self.cmd.p.threshold)),
                ]
            for earlier, later in pairwise(names):
                m.d.sync += stages[later].eq(stages[earlier])
            for earlier, later in pairwise(names[:-1]):
                m.d.sync += elements[later].eq(elements[earlier])

        # Counted, both kinds in parallel: an element moves down by the number of lanes before it, less the larger ones
        # and the kept equal ones among them.
        rank_bits = lanes.bit_length()
        not_larger = Signal(data.ArrayLayout(unsigned(rank_bits), lanes), reset_less=True)
        rank = Signal(data.ArrayLayout(unsigned(rank_bits), lanes), reset_less=True)
        not_larger_count = Signal(rank_bits)
        equal_count = Signal(rank_bits)
        m.d.comb += [larger_ranks.bits.eq(~larger), equal_ranks.bits.eq(equal)]
        with m.If(advance):
            m.d.sync += [
                not_larger.eq(larger_ranks.ahead), not_larger_count.eq(larger_ranks.total),
                rank.eq(equal_ranks.ahead), equal_count.eq(equal_ranks.total),
            ]

        # Marked: the first `keep_equal` of the equal ones, across rows.
        counted = stages["counted"]
        quota_left = Signal(count_bits)
        quota = Signal(count_bits)
        move = [Signal(clog2(lanes), name=f"move_{j}", reset_less=True) for j in range(lanes)]
        marked_count = Signal(rank_bits)
        m.d.comb += quota.eq(Mux(counted.first, counted.keep_equal, quota_left))

        def less_kept(total, equals):
            """`total` − min(`equals`, quota). The narrowing is exact: that quota is at most `equals`."""
            return Mux(equals < quota, total - equals, total - narrow(quota, rank_bits))

        with m.If(advance):
            m.d.sync += marked_count.eq(lanes - less_kept(not_larger_count, equal_count))
            # A lane has at most lanes − 1 dropped elements before it.
            m.d.sync += [move[j].eq(narrow(less_kept(not_larger[j], rank[j]), len(move[j]))) for j in range(lanes)]
            with m.If(counted.valid):
                m.d.sync += quota_left.eq(Mux(quota > equal_count, quota - equal_count, 0))

        # Dense.
        dense_count = Signal(rank_bits)
        closed = close_gaps(m, [elements["marked"][j] for j in range(lanes)], move)
        with m.If(advance):
            m.d.sync += dense_count.eq(marked_count)
            m.d.sync += [elements["dense"][j].eq(closed[j]) for j in range(lanes)]

        dense = stages["dense"]
        m.d.comb += [
            pack.i.valid.eq(dense.valid), pack.i.p.elements.eq(elements["dense"]), pack.i.p.count.eq(dense_count),
            pack.i.p.last.eq(dense.last), pack.i.p.tag.eq(dense.tag),
            self.o.valid.eq(pack.o.valid), pack.o.ready.eq(self.o.ready),
            self.o.p.count.eq(pack.o.p.count), self.o.p.last.eq(pack.o.p.last), self.o.p.tag.eq(pack.o.p.tag),
            Cat(self.o.p.keys).eq(Cat(e[:key_bits] for e in pack.o.p.elements)),
            Cat(self.o.p.payloads).eq(Cat(e[key_bits:] for e in pack.o.p.elements)),
        ]
        contract(m, row.count <= lanes, "count is at most the lanes of a row", when=self.rows.valid)
        contract(m, dense_count <= lanes, "no more elements are kept than a row has", when=dense.valid)
        return m
