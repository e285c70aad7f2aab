"""What a top-k engine must answer, stated by ranks: of whole vectors with any keys, live lanes and k."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.topk.interface import TopKEngine

from .harnesses import held


class TopKHarness(wiring.Component):
    """`vectors` vectors with any rows, live lanes, k and keys, one after the other, against their keys' ranks.

    A live key is kept if fewer than k live ones are ahead of it: those that are larger, and equal ones before it.
    `stalls`: rows come when they like, and `o` is taken when it likes; else both in every cycle. All of it must be
    there `limit` cycles after it could be, not counting those in which `o` was not taken.
    """

    def __init__(self, engine: TopKEngine, vectors: int, limit: int, stalls: bool):
        self.engine = engine
        self.vectors = vectors
        self.limit = limit
        self.stalls = stalls
        places = engine.max_rows * engine.lanes
        vector = data.StructLayout({
            "keys": data.ArrayLayout(unsigned(engine.key_bits), places), "live": unsigned(places),
            "rows": range(engine.max_rows + 1), "k": unsigned(engine.count_bits)})
        super().__init__({"v": In(data.ArrayLayout(vector, vectors)), "come": In(1), "take": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = self.engine
        lanes, places = dut.lanes, dut.max_rows * dut.lanes

        # Any vectors, the same for ever.
        started = Signal()
        before = Signal.like(self.v.as_value())
        m.d.sync += [started.eq(1), before.eq(self.v.as_value())]
        m.d.comb += Assume(~started | (before == self.v.as_value()))
        kept = [Signal(places, name=f"kept_{i}") for i in range(self.vectors)]
        counts = []
        for i, v in enumerate(self.v):
            inside = Cat(v.rows > e // lanes for e in range(places))
            counts.append(sum(v.live))
            m.d.comb += Assume((v.rows >= 1) & (v.rows <= dut.max_rows) & ((v.live & ~inside) == 0) & v.live.any()
                               & (counts[i] <= dut.max_n) & (v.k >= 1))
            for e in range(places):
                others = [((v.keys[x] >= v.keys[e]) if x < e else (v.keys[x] > v.keys[e])) & v.live[x]
                          for x in range(places) if x != e]
                m.d.comb += kept[i][e].eq((sum(others) < v.k) & v.live[e])

        # In: rows in order, k on the first only.
        sent = Signal(range(dut.max_rows + 1))
        into = Signal(range(self.vectors + 1))
        offered = Signal()
        row = dut.i.p
        m.d.comb += dut.i.valid.eq((into != self.vectors) & (self.come | offered | (not self.stalls)))
        with m.Switch(into):
            for i, v in enumerate(self.v):
                with m.Case(i):
                    m.d.comb += [
                        row.last.eq(sent + 1 == v.rows), row.k.eq(Mux(sent == 0, v.k, 0)),
                        row.live.eq(v.live.word_select(sent, lanes)),
                        Cat(row.keys).eq(Cat(v.keys).word_select(sent, lanes * dut.key_bits)),
                    ]
        m.d.sync += offered.eq(dut.i.valid & ~dut.i.ready)
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += sent.eq(sent + 1)
            with m.If(row.last):
                m.d.sync += [sent.eq(0), into.eq(into + 1)]

        # Out: the threshold keeps what the ranks keep.
        held(m, dut.o, Assert)
        out = Signal(range(self.vectors + 1))
        found = dut.o.p
        m.d.comb += dut.o.ready.eq(self.take | (not self.stalls))
        with m.If(dut.o.valid):
            m.d.comb += [Assert(out < self.vectors), Assert(out < into)]
            for i, v in enumerate(self.v):
                for e in range(places):
                    equal = v.keys[e] == found.threshold
                    ahead = sum([v.live[x] & (v.keys[x] == found.threshold) for x in range(e)])
                    keeps = v.live[e] & ((v.keys[e] > found.threshold) | (equal & (ahead < found.keep_equal)))
                    with m.If(out == i):
                        m.d.comb += Assert(keeps == kept[i][e])
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += out.eq(out + 1)

        waited = Signal(range(self.limit + 2))
        with m.If((into == self.vectors) & ~(dut.o.valid & ~dut.o.ready) & (waited <= self.limit)):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert((out == self.vectors) | (waited <= self.limit)),
            # Everything out, with something dropped; and a tie across the threshold.
            Cover((out == self.vectors) & Cat(v.k < n for v, n in zip(self.v, counts, strict=True)).all()
                  & (self.v[0].rows == dut.max_rows)),
            Cover((out == self.vectors) & (self.v[0].keys[0] == self.v[0].keys[1]) & kept[0][0] & ~kept[0][1]
                  & self.v[0].live[1]) if places > 1 else Cover(out == self.vectors),
        ]
        return m
