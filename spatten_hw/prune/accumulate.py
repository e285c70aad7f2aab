"""A memory of running sums: one row of lanes is read, added to and written back every cycle."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..config import clog2
from ..contract import contract
from ..primitives.widths import narrow, saturate_unsigned

#: Cycles from an accepted addend row until the memory holds it.
ADD_CYCLES = 4
#: Enabled cycles from `read_row` to `totals`.
READ_CYCLES = 2


class RowAccumulator(wiring.Component):
    """`depth` rows of `lanes` unsigned sums of `total_bits`; adds `addends` (`add_bits` each) to one row.

    Rate: one `add` per cycle, to any rows in any order: the three rows on their way to the memory are
    forwarded, so repeating a row needs no gap. `add_fresh` takes the row's old value as 0, which spares a
    clearing pass. `saturate` clamps at all ones, else the user guarantees that sums fit. No back-pressure.

    While `scan` (only when `idle`) the read port belongs to `read_row`: `totals` follows `READ_CYCLES`
    cycles with `read_enable` later. `write` (only when idle) sets every lane of a row to `write_total`.
    """

    def __init__(self, depth: int, lanes: int, add_bits: int, total_bits: int, *, saturate: bool):
        if add_bits > total_bits:
            raise ValueError(f"addends of {add_bits} bits do not fit sums of {total_bits}")
        self.depth, self.lanes = depth, lanes
        self.add_bits, self.total_bits = add_bits, total_bits
        self.saturate = saturate
        self.row_bits = max(1, clog2(depth))
        self.row_layout = data.ArrayLayout(unsigned(total_bits), lanes)
        super().__init__({
            "add": In(1), "add_row": In(self.row_bits), "add_fresh": In(1),
            "addends": In(data.ArrayLayout(unsigned(add_bits), lanes)),
            "idle": Out(1),
            "scan": In(1), "read_enable": In(1), "read_row": In(self.row_bits),
            "totals": Out(self.row_layout),
            "write": In(1), "write_row": In(self.row_bits), "write_total": In(total_bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sums = sums = memory.Memory(shape=self.row_layout, depth=self.depth, init=[])
        wr = sums.write_port()
        rd = sums.read_port(transparent_for=())

        # Fetch: the memory outputs the old row; a row in Sum or Write, or just written, is newer. Row numbers are
        # compared one cycle earlier, so that registers select the source.
        fetch_valid = Signal()
        fetch_fresh = Signal()
        write_hit = Signal()
        past_hit = Signal()
        fetch_row = Signal(self.row_bits)
        fetch_addends = Signal(self.addends.shape())
        # Sum: old row and addends are registered, the row before may be forwarded.
        sum_valid = Signal()
        sum_hit = Signal()
        sum_row = Signal(self.row_bits)
        sum_addends = Signal(self.addends.shape())
        base = Signal(self.row_layout)
        # Write, and one cycle after it (a read in the cycle of a write gets the old row).
        write_valid = Signal()
        write_row = Signal(self.row_bits)
        write_sums = Signal(self.row_layout)
        past_sums = Signal(self.row_layout)

        m.d.comb += [
            rd.addr.eq(Mux(self.scan, self.read_row, self.add_row)[:len(rd.addr)]),
            rd.en.eq(Mux(self.scan, self.read_enable, 1)),
            self.idle.eq(~(fetch_valid | sum_valid | write_valid)),
            self.totals.eq(base),
        ]
        m.d.sync += [
            fetch_valid.eq(self.add), fetch_row.eq(self.add_row), fetch_fresh.eq(self.add_fresh),
            fetch_addends.eq(self.addends),
            sum_valid.eq(fetch_valid), sum_row.eq(fetch_row), sum_addends.eq(fetch_addends),
            sum_hit.eq(sum_valid & (sum_row == fetch_row) & ~fetch_fresh),
            write_valid.eq(sum_valid), write_row.eq(sum_row),
            write_hit.eq(sum_valid & (sum_row == self.add_row)),
            past_hit.eq(write_valid & (write_row == self.add_row)), past_sums.eq(write_sums),
        ]
        with m.If(self.scan):
            with m.If(self.read_enable):
                m.d.sync += base.eq(rd.data)
        with m.Elif(fetch_fresh):
            m.d.sync += base.eq(Const(0, self.row_layout.size))
        with m.Elif(write_hit):
            m.d.sync += base.eq(write_sums)
        with m.Elif(past_hit):
            m.d.sync += base.eq(past_sums)
        with m.Else():
            m.d.sync += base.eq(rd.data)

        for lane in range(self.lanes):
            total = Signal(self.total_bits + 1, name=f"total_{lane}")
            m.d.comb += total.eq(Mux(sum_hit, write_sums[lane], base[lane]) + sum_addends[lane])
            m.d.sync += write_sums[lane].eq((saturate_unsigned if self.saturate else narrow)(total, self.total_bits))
            if not self.saturate:
                contract(m, ~total[-1], "a sum that does not saturate fits", when=sum_valid)

        m.d.comb += [
            wr.en.eq(write_valid | self.write),
            wr.addr.eq(Mux(self.write, self.write_row, write_row)[:len(wr.addr)]),
        ]
        for lane in range(self.lanes):
            m.d.comb += wr.data[lane].eq(Mux(self.write, self.write_total, write_sums[lane]))
        contract(m, self.idle & ~self.add, "a scan waits until nothing is added", when=self.scan)
        contract(m, self.idle & ~self.add, "rows are set only while nothing is added", when=self.write)
        contract(m, self.add_row < self.depth, "rows are in range", when=self.add)
        return m
