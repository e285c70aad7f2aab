"""The K and V SRAMs' common part: two halves filled from the fetch stream, stream rows passed through."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..stream.layouts import operand_row


def row_bits(c: SpAttenConfig) -> int:
    """Width of a row index within one half (0 for a single row)."""
    return clog2(c.sram_rows)


class OperandBuffer(wiring.Component):
    """Double buffer of 2 × `sram_rows` rows of M operands of W bits, one memory per array slice.

    rows: operand rows in fetch order. `fill` rows are always taken at once and written to half `half`, to rows
        0, 1, … counted from 0 for every command; the others are offered on `stream` unchanged. A fill waits for
        a stream row only if that arrived before it. `rows.ready` follows `stream.ready` combinationally.
    filled, filled_half: pulse in the cycle after a command's last row was written (it can be read then).
    read_en, read_addr: synchronous read; address = row | half << row_bits. `readers` addresses; each serves
        slices/readers neighbouring slices. read_data follows one cycle later and holds while read_en is 0.
        Reads and fills are independent; the user must not read the half that is being filled.

    One row in and one row out per cycle. (SpAtten, Table I and section IV: 2 × 196 KB, double buffered.)
    """

    rows: stream.Interface
    stream: stream.Interface
    filled: Signal
    filled_half: Signal
    read_en: Signal
    read_addr: data.View
    read_data: data.View

    def __init__(self, config: SpAttenConfig, readers: int):
        self.config = c = config
        self.readers = readers
        super().__init__({
            "rows": In(stream.Signature(operand_row(c))),
            "stream": Out(stream.Signature(operand_row(c))),
            "filled": Out(1),
            "filled_half": Out(1),
            "read_en": In(1),
            "read_addr": In(data.ArrayLayout(unsigned(row_bits(c) + 1), readers)),
            "read_data": Out(data.ArrayLayout(unsigned(c.min_dim * c.operand_bits), c.slices)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        row = self.rows.p

        fill_row = Signal(row_bits(c))
        write = Signal()
        m.d.comb += [
            write.eq(self.rows.valid & row.fill),
            self.stream.valid.eq(self.rows.valid & ~row.fill),
            self.stream.payload.eq(self.rows.payload),
            self.rows.ready.eq(row.fill | self.stream.ready),
        ]
        m.d.sync += self.filled.eq(write & row.last)
        with m.If(write):
            m.d.sync += [
                fill_row.eq(Mux(row.last, 0, fill_row + 1)),
                self.filled_half.eq(row.half),
            ]

        for s in range(c.slices):
            bank = Memory(shape=unsigned(c.min_dim * c.operand_bits), depth=2 * c.sram_rows, init=[])
            m.submodules[f"bank{s}"] = bank
            w = bank.write_port()
            r = bank.read_port(transparent_for=())
            m.d.comb += [
                w.addr.eq(Cat(fill_row, row.half)),
                w.data.eq(row.slices[s]),
                w.en.eq(write),
                r.addr.eq(self.read_addr[s * self.readers // c.slices]),
                r.en.eq(self.read_en),
                self.read_data[s].eq(r.data),
            ]
        contract(m, (row.count != 0) & (row.count <= c.lanes), "a row group has 1 to L rows", when=self.rows.valid)
        contract(m, fill_row < c.sram_rows, "a fill lies in its half", when=write)
        contract(m, ~self.read_en | Cat(address[row_bits(c)] != row.half for address in self.read_addr).all(),
                 "the half that is filled is not read", when=write)
        return m
