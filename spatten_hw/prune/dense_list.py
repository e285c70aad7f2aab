"""The dense list: all surviving token ids, ascending, S per row."""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.one_hot import lowest_index, without_lowest
from ..primitives.widths import narrow
from .rows import bitmap_row, class_id, ids_row

#: Readers outside of the pruner: fills, queries. One more is its own merge of sums.
DENSE_READERS = 2
OWN = DENSE_READERS


class DenseList(wiring.Component):
    """Position p of the list lies in lane p mod S of row p div S. `rows[i]` → `ids[i]` one cycle later; lanes past the
    end are don't-care. With `identity` position p holds id p, and nothing is read.

    `build`, then rows of the `bitmap`: one survivor per cycle goes into the list. `done` with the write of the last.
    """

    bitmap: stream.Interface

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        super().__init__({
            "rows": In(c.row_bits).array(OWN + 1), "ids": Out(ids_row(c)).array(OWN + 1), "identity": In(1),
            "build": In(1), "bitmap": In(stream.Signature(bitmap_row(c))), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        left = Signal(c.slices)
        left_row = Signal(c.row_bits, reset_less=True)
        left_last = Signal()
        row = Signal(c.row_bits)
        lane = Signal(c.slice_bits)
        filling = Signal(ids_row(c), reset_less=True)
        write = Signal()
        final = Signal(name="final_survivor")
        ends = Signal()
        rest = without_lowest(left)
        m.d.comb += [ends.eq(~rest.any()), self.bitmap.ready.eq(ends & ~left_last)]
        m.d.sync += [write.eq(0), final.eq(0)]
        with m.If(left.any()):
            found = class_id(c, left_row, lowest_index(m, left, "lowest"))
            full = lane == c.slices - 1
            m.d.sync += [left.eq(rest), lane.eq(Mux(full, 0, lane + 1)), write.eq(full)]
            for n in range(c.slices):
                with m.If(lane == n):
                    m.d.sync += filling[n].eq(found)
        with m.If(left_last & ends):
            # A row that is not full is written too.
            m.d.sync += [left_last.eq(0), final.eq(1), write.eq(1)]
        with m.If(self.bitmap.valid & self.bitmap.ready):
            m.d.sync += [left.eq(self.bitmap.p.bits), left_row.eq(self.bitmap.p.row),
                         left_last.eq(self.bitmap.p.last)]
        with m.If(write):
            m.d.sync += row.eq(row + 1)
        with m.If(self.build):
            m.d.sync += [row.eq(0), lane.eq(0), left.eq(0), left_last.eq(0)]
        m.d.comb += self.done.eq(final)
        for i in range(OWN + 1):
            copy = memory.Memory(shape=ids_row(c), depth=c.max_rows, init=[])
            m.submodules[f"list_{i}"] = copy
            wr, rd = copy.write_port(), copy.read_port(transparent_for=())
            row_1 = Signal(c.row_bits, name=f"row_1_{i}", reset_less=True)
            m.d.sync += row_1.eq(self.rows[i])
            m.d.comb += [
                wr.en.eq(write), wr.addr.eq(row[:len(wr.addr)]), wr.data.eq(filling),
                rd.addr.eq(self.rows[i][:len(rd.addr)]),
            ]
            for n in range(c.slices):
                identical = narrow(class_id(c, row_1[:clog2(c.max_rows)], n), c.token_bits)
                m.d.comb += self.ids[i][n].eq(Mux(self.identity, identical, rd.data[n]))
        contract(m, ~(left.any() | left_last | write), "one list at a time", when=self.build)
        return m
