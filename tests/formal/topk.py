"""What a top-k engine must answer, stated by ranks: of whole vectors with any keys, n and k."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, unsigned
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In

from spatten_hw.topk.interface import TopKEngine

from .harnesses import held


class TopKHarness(wiring.Component):
    """`vectors` vectors with any n, k and keys, one after the other, against their elements' ranks.

    An element is kept if fewer than k are ahead of it: those with a larger key, and those with the same key and a
    lower index. Payloads are indices, so order and identity are checked with the keys; the tag is the vector's
    number. `stalls`: rows come when they like, and `o` is taken when it likes; else both in every cycle. All of it
    must be there `limit` cycles after it could be, not counting those in which `o` was not taken.
    """

    def __init__(self, engine: TopKEngine, vectors: int, limit: int, stalls: bool):
        self.engine = engine
        self.vectors = vectors
        self.limit = limit
        self.stalls = stalls
        count = engine.count_bits
        vector = data.StructLayout({
            "keys": data.ArrayLayout(unsigned(engine.key_bits), engine.max_n), "n": unsigned(count),
            "k": unsigned(count)})
        super().__init__({"v": In(data.ArrayLayout(vector, vectors)), "come": In(1), "take": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = self.engine
        lanes, most = dut.lanes, dut.max_n
        count = dut.count_bits + 1

        # Any vectors, the same for ever.
        started = Signal()
        before = Signal.like(self.v.as_value())
        m.d.sync += [started.eq(1), before.eq(self.v.as_value())]
        m.d.comb += Assume(~started | (before == self.v.as_value()))
        kept = [Signal(most, name=f"kept_{i}") for i in range(self.vectors)]
        ahead = [[Signal(count, name=f"ahead_{i}_{e}") for e in range(most)] for i in range(self.vectors)]
        wanted = [Signal(count, name=f"wanted_{i}") for i in range(self.vectors)]
        for i, v in enumerate(self.v):
            m.d.comb += [Assume((v.n >= 1) & (v.n <= most) & (v.k >= 1)),
                         wanted[i].eq(Mux(v.k < v.n, v.k, v.n))]
            for e in range(most):
                others = [((v.keys[x] >= v.keys[e]) if x < e else (v.keys[x] > v.keys[e])) & (v.n > x)
                          for x in range(most) if x != e]
                m.d.comb += [kept[i][e].eq((sum(others) < v.k) & (v.n > e)),
                             ahead[i][e].eq(sum(kept[i][:e]))]

        # In: rows in order, k on the first only.
        sent = Signal(count)
        into = Signal(range(self.vectors + 1))
        offered = Signal()
        left = Signal(count)
        row = dut.i.p
        m.d.comb += [
            dut.i.valid.eq((into != self.vectors) & (self.come | offered | (not self.stalls))),
            row.tag.eq(into),
        ]
        with m.Switch(into):
            for i, v in enumerate(self.v):
                with m.Case(i):
                    m.d.comb += [left.eq(v.n - sent), row.k.eq(Mux(sent == 0, v.k, 0))]
                    for j in range(lanes):
                        m.d.comb += row.keys[j].eq(Cat(v.keys).word_select(sent + j, dut.key_bits))
                        m.d.comb += row.payloads[j].eq(sent + j)
        m.d.comb += [row.last.eq(left <= lanes), row.count.eq(Mux(left < lanes, left, lanes))]
        m.d.sync += offered.eq(dut.i.valid & ~dut.i.ready)
        with m.If(dut.i.valid & dut.i.ready):
            m.d.sync += sent.eq(sent + lanes)
            with m.If(row.last):
                m.d.sync += [sent.eq(0), into.eq(into + 1)]

        # Out.
        held(m, dut.o, Assert)
        taken = Signal(count)
        out = Signal(range(self.vectors + 1))
        want = Signal(count)
        given = dut.o.p
        m.d.comb += [
            dut.o.ready.eq(self.take | (not self.stalls)),
            want.eq(Cat(wanted).word_select(out, count)),
        ]
        with m.If(dut.o.valid):
            m.d.comb += [
                Assert(out < self.vectors), Assert(out <= into),
                Assert(given.count == Mux(want - taken < lanes, want - taken, lanes)), Assert(given.count != 0),
                Assert(given.last == (taken + given.count == want)),
                Assert(given.k == 0), Assert(given.tag == out[:dut.o.p.tag.shape().width]),
            ]
            for i, v in enumerate(self.v):
                for j in range(lanes):
                    for e in range(most):
                        with m.If((out == i) & (j < given.count) & kept[i][e] & (ahead[i][e] == taken + j)):
                            m.d.comb += [Assert(given.keys[j] == v.keys[e]), Assert(given.payloads[j] == e)]
        with m.If(dut.o.valid & dut.o.ready):
            m.d.sync += taken.eq(taken + given.count)
            with m.If(given.last):
                m.d.sync += [taken.eq(0), out.eq(out + 1)]

        waited = Signal(range(self.limit + 2))
        with m.If((into == self.vectors) & ~(dut.o.valid & ~dut.o.ready) & (waited <= self.limit)):
            m.d.sync += waited.eq(waited + 1)
        m.d.comb += [
            Assert((out == self.vectors) | (waited <= self.limit)),
            # Everything out, with something dropped; and a tie across the threshold.
            Cover((out == self.vectors) & Cat(v.k < v.n for v in self.v).all() & (self.v[0].n == most)),
            Cover((out == self.vectors) & (self.v[0].keys[0] == self.v[0].keys[1]) & kept[0][0] & ~kept[0][1]
                  & (self.v[0].n > 1)),
        ]
        return m
