"""What a top-k engine must answer, stated by ranks: of whole vectors with any keys, dead lanes and k."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.topk.interface import TopKEngine

from .harnesses import held


class TopKHarness(wiring.Component):
    """`vectors` vectors with any keys, live lanes, rows and k, one after the other, against the definition: exactly
    min(k, n) keys are above the threshold or among the first `keep_equal` equal to it.

    `stalls`: rows come when they like, and `o` is taken when it likes; else both in every cycle. All of it must be
    there `limit` cycles after it could be, not counting those in which `o` was not taken.
    """

    def __init__(self, engine: TopKEngine, vectors: int, limit: int, stalls: bool):
        self.engine = engine
        self.vectors = vectors
        self.limit = limit
        self.stalls = stalls
        most = engine.max_rows * engine.lanes
        vector = data.StructLayout({
            "keys": data.ArrayLayout(unsigned(engine.key_bits), most), "live": unsigned(most),
            "rows": unsigned(engine.max_rows.bit_length()), "k": unsigned(engine.count_bits)})
        super().__init__({"v": In(data.ArrayLayout(vector, vectors)), "come": In(1), "take": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = self.engine
        lanes, most = dut.lanes, dut.max_rows * dut.lanes
        count = dut.count_bits + 1

        # Any vectors, the same for ever.
        started = Signal()
        before = Signal.like(self.v.as_value())
        m.d.sync += [started.eq(1), before.eq(self.v.as_value())]
        m.d.comb += Assume(~started | (before == self.v.as_value()))
        sizes = [Signal(count, name=f"size_{i}") for i in range(self.vectors)]
        for i, v in enumerate(self.v):
            m.d.comb += [sizes[i].eq(sum(v.live)), Assume((sizes[i] >= 1) & (sizes[i] <= dut.max_n) & (v.k >= 1)),
                         Assume((v.rows >= 1) & (v.rows <= dut.max_rows))]
            m.d.comb += [Assume(~v.live[e] | (e // lanes < v.rows)) for e in range(most)]

        # In: rows in order; k means nothing behind the first.
        row_number = Signal(range(dut.max_rows + 1))
        into = Signal(range(self.vectors + 1))
        offered = Signal()
        row = dut.i.p
        m.d.comb += dut.i.valid.eq((into != self.vectors) & (self.come | offered | (not self.stalls)))
        with m.Switch(into):
            for i, v in enumerate(self.v):
                with m.Case(i):
                    m.d.comb += [
                        row.k.eq(Mux(row_number == 0, v.k, 0)), row.last.eq(row_number + 1 == v.rows),
                        row.live.eq(v.live.word_select(row_number, lanes)),
                        row.keys.eq(Cat(v.keys).word_select(row_number, lanes * dut.key_bits))]
        m.d.sync += offered.eq(dut.i.valid & ~dut.i.ready)
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += row_number.eq(row_number + 1)
            with m.If(row.last):
                m.d.sync += [row_number.eq(0), into.eq(into + 1)]

        # Out.
        held(m, dut.o, Assert)
        out = Signal(range(self.vectors + 1))
        found = dut.o.p
        m.d.comb += dut.o.ready.eq(self.take | (not self.stalls))
        for i, v in enumerate(self.v):
            equal = [v.live[e] & (v.keys[e] == found.threshold) for e in range(most)]
            kept = [v.live[e] & ((v.keys[e] > found.threshold) | (equal[e] & (sum(equal[:e]) < found.keep_equal)))
                    for e in range(most)]
            with m.If(dut.o.valid & (out == i)):
                m.d.comb += [Assert(sum(kept) == Mux(v.k < sizes[i], v.k, sizes[i])), Assert(found.keep_equal != 0),
                             Assert(found.keep_equal <= v.k)]
        m.d.comb += Assert(~dut.o.valid | (out < into))
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += out.eq(out + 1)

        waited = Signal(range(self.limit + 2))
        with m.If((into == self.vectors) & ~(dut.o.valid & ~dut.o.ready) & (waited <= self.limit)):
            m.d.sync += waited.eq(waited + 1)
        first = self.v[0]
        m.d.comb += [
            Assert((out == self.vectors) | (waited <= self.limit)),
            # Everything out, with something dropped; and a tie across the threshold.
            Cover((out == self.vectors) & Cat(v.k < n for v, n in zip(self.v, sizes, strict=True)).all()
                  & (sizes[0] == dut.max_n)),
            Cover((out == self.vectors) & first.live[:2].all() & (first.keys[0] == first.keys[1]) & (first.k == 1)
                  & (first.keys[0] != 0)),
        ]
        return m
