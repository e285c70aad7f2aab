"""What must hold of the small cells, stated against naive models."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.stream.arbiter import RoundRobin
from spatten_hw.stream.fifo import StreamFifo
from spatten_hw.stream.fork import StreamFork
from spatten_hw.stream.merge import StreamMerge
from spatten_hw.stream.skid import HalfBuffer, SkidBuffer, SpareBuffer
from spatten_hw.topk.packer import Packer
from spatten_hw.topk.prefix_sum import PrefixSum
from spatten_hw.topk.zero_eliminator import ZeroEliminator


def held(m: Module, s: stream.Interface, check: type[Assert] | type[Assume]) -> None:
    """`s` obeys the stream contract: what waits stays."""
    waiting = Signal()
    payload = Signal.like(Value.cast(s.payload))
    m.d.sync += [waiting.eq(s.valid & ~s.ready), payload.eq(s.payload)]
    with m.If(waiting):
        m.d.comb += [check(s.valid), check(Value.cast(s.payload) == payload)]


class QueueHarness(wiring.Component):
    """A cell with streams `i`, `o` is a queue of at most `depth`: order, no loss, no duplicate."""

    def __init__(self, dut: wiring.Component, width: int, depth: int):
        self.dut = dut
        self.width = width
        self.depth = depth
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        held(m, self.i, Assume)
        held(m, self.o, Assert)
        # The naive queue: an array that moves down.
        store = [Signal(self.width, name=f"store_{j}") for j in range(self.depth)]
        level = Signal(range(self.depth + 1))
        into, out = Signal(), Signal()
        m.d.comb += [into.eq(self.i.valid & self.i.ready), out.eq(self.o.valid & self.o.ready)]
        m.d.sync += level.eq(level + into - out)
        position = Signal(range(self.depth + 1))
        m.d.comb += position.eq(level - out)
        for j in range(self.depth):
            after = store[j + 1] if j + 1 < self.depth else 0
            with m.If(into & (position == j)):
                m.d.sync += store[j].eq(self.i.payload)
            with m.Elif(out):
                m.d.sync += store[j].eq(after)
        m.d.comb += [
            Assert(~self.o.valid | (level != 0)),
            Assert(~self.o.valid | (self.o.payload == store[0])),
            Assert(~into | (level < self.depth) | out),
            Assert(level <= self.depth),
            Cover(level == self.depth),
        ]
        if isinstance(dut, SkidBuffer):
            m.d.comb += [
                Assert(self.o.valid == (level != 0)), Assert(self.i.ready == (level != 2)),
                Assert((level != 2) | (dut.spare == store[1])),
            ]
        if isinstance(dut, HalfBuffer):
            m.d.comb += [Assert(self.o.valid == level), Assert(self.i.ready == ~level[0])]
        if isinstance(dut, StreamFifo):
            m.d.comb += [Assert(dut.level == level), Assert(self.i.ready | (level != 0))]
        return m


class SpareHarness(wiring.Component):
    """What arrives is on the output in that cycle, or behind the one payload that waits; nothing is accepted then."""

    def __init__(self, width: int):
        self.width = width
        super().__init__({"i": In(stream.Signature(width)), "o": Out(stream.Signature(width))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = SpareBuffer(self.width)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        held(m, self.i, Assume)
        held(m, self.o, Assert)
        stored, waits = Signal(self.width), Signal()
        with m.If(self.o.ready):
            m.d.sync += waits.eq(0)
        with m.Elif(self.i.valid & ~waits):
            m.d.sync += [waits.eq(1), stored.eq(self.i.payload)]
        m.d.comb += [
            Assert(self.i.ready == ~waits), Assert(self.o.valid == (waits | self.i.valid)),
            Assert(~self.o.valid | (self.o.payload == Mux(waits, stored, self.i.payload))),
            Assert(~waits | (dut.spare == stored)), Cover(waits & self.i.valid),
        ]
        return m


class ForkHarness(wiring.Component):
    """Every output takes every payload exactly once; valid never waits for a ready."""

    def __init__(self, width: int, n: int):
        self.width = width
        self.n = n
        super().__init__({"i": In(stream.Signature(width)),
                          **{f"o{j}": Out(stream.Signature(width)) for j in range(n)}})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = StreamFork(self.width, self.n)
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        held(m, self.i, Assume)
        into = Signal()
        m.d.comb += into.eq(self.i.valid & self.i.ready)
        for j in range(self.n):
            port = getattr(self, f"o{j}")
            wiring.connect(m, dut.outputs[j], wiring.flipped(port))
            held(m, port, Assert)
            done = Signal(name=f"done_{j}")  # this output has the present payload already
            takes = Signal(name=f"takes_{j}")
            m.d.comb += takes.eq(port.valid & port.ready)
            m.d.sync += done.eq(~into & (done | takes))
            m.d.comb += [
                Assert(done == dut.taken[j]), Assert(~done | self.i.valid),
                Assert(port.valid == (self.i.valid & ~done)),
                Assert(~port.valid | (port.payload == self.i.payload)),
                Assert(~into | done | takes), Cover(into & done),
            ]
        return m


class MergeHarness(wiring.Component):
    """What leaves is what came, of each input in order; nothing is lost but what may still be inside."""

    def __init__(self, n: int):
        self.n = n
        super().__init__({**{f"i{j}": In(stream.Signature(4)) for j in range(n)}, "o": Out(stream.Signature(4))})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = StreamMerge(4, self.n)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        held(m, self.o, Assert)
        inside = []
        leaves = self.o.valid & self.o.ready
        for j in range(self.n):
            port = getattr(self, f"i{j}")
            wiring.connect(m, wiring.flipped(port), dut.i[j])
            held(m, port, Assume)
            # A payload is its input's number and its own, as far as they can be told apart.
            into, out = Signal(2, name=f"into_{j}"), Signal(2, name=f"out_{j}")
            here = Signal(2, name=f"inside_{j}")
            mine = self.o.p[:2] == j
            m.d.comb += [
                Assume(~port.valid | (port.p == Cat(Const(j, 2), into))),
                Assert(~self.o.valid | ~mine | ((self.o.p[2:] == out) & (here != 0))),
            ]
            comes = port.valid & port.ready
            m.d.sync += [into.eq(into + comes), out.eq(out + (leaves & mine)),
                         here.eq(here + comes - (leaves & mine))]
            inside.append(here)
        total = Signal(4)
        ports = [getattr(self, f"i{j}") for j in range(self.n)]
        m.d.comb += [
            total.eq(sum(inside)), Assert(total <= 2), Assert(self.o.valid == (total != 0)),
            # One is taken whenever there is room, and no more than one.
            Assert(sum(p.valid & p.ready for p in ports) == (Cat(p.valid for p in ports).any() & (total != 2))),
            Cover((total == 2) & Cat(p.valid for p in ports).all()),
        ]
        return m


class ArbiterHarness(wiring.Component):
    """One-hot grants to requesters only; who keeps asking waits for at most n − 1 others."""

    def __init__(self, n: int):
        self.n = n
        super().__init__({"requests": In(n), "advance": In(1), "who": In(range(max(2, n)))})

    def elaborate(self, platform) -> Module:
        m = Module()
        n = self.n
        m.submodules.dut = dut = RoundRobin(n)
        grant = dut.grant
        m.d.comb += [dut.requests.eq(self.requests), dut.advance.eq(self.advance)]
        m.d.comb += [
            Assert((grant & ~self.requests) == 0), Assert((grant & (grant - 1)[:n]) == 0),
            Assert(grant.any() == self.requests.any()), Assert(dut.any == self.requests.any()),
            Assert(~dut.any | (grant == (1 << dut.index)[:n])),
        ]
        # Fairness for an arbitrary but fixed requester that never stops asking.
        served, started, who = Signal(), Signal(), Signal.like(self.who)
        last = Signal(range(max(2, n)), init=n - 1)
        waited = Signal(range(n + 1))
        distance = Signal(range(n + 1))
        m.d.sync += [started.eq(1), who.eq(self.who)]
        m.d.comb += [
            Assume(self.who < n), Assume(~started | (self.who == who)),
            Assume((self.requests >> self.who)[0]),
            served.eq(self.advance & dut.any),
            distance.eq(Mux(self.who > last, self.who - last - 1, self.who + n - 1 - last)),
            Assert(last < n), Assert(dut.after_last == Cat(last < j for j in range(n))),
            Assert(waited + distance <= n - 1), Cover(waited == n - 1),
        ]
        with m.If(served):
            m.d.sync += [last.eq(dut.index), waited.eq(Mux(dut.index == self.who, 0, waited + 1))]
        return m


class PrefixSumHarness(wiring.Component):
    """Against the plain sum of bits."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__({"bits": In(lanes)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = PrefixSum(self.lanes)
        m.d.comb += [dut.bits.eq(self.bits), Assert(dut.total == sum(self.bits))]
        m.d.comb += [Assert(dut.ahead[j] == sum(self.bits[:j])) for j in range(self.lanes)]
        return m


class ZeroEliminatorHarness(wiring.Component):
    """The kept element of any lane ends in the lane numbered by the kept ones before it."""

    def __init__(self, width: int, lanes: int, stalls: bool):
        self.width = width
        self.lanes = lanes
        self.stalls = stalls
        super().__init__({"enable": In(1), "keep": In(lanes),
                          "elements": In(data.ArrayLayout(unsigned(width), lanes))})

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes = self.lanes
        m.submodules.dut = dut = ZeroEliminator(self.width, lanes)
        enable = self.enable if self.stalls else 1
        m.d.comb += [dut.enable.eq(enable), dut.keep.eq(self.keep), dut.elements.eq(self.elements)]
        keep = [Signal(lanes, name=f"keep_{t}") for t in range(2)]
        elements = [Signal(dut.elements.shape(), name=f"elements_{t}") for t in range(2)]
        age = Signal(range(3))
        with m.If(enable):
            m.d.sync += [keep[0].eq(self.keep), keep[1].eq(keep[0]), elements[0].eq(self.elements),
                         elements[1].eq(elements[0]), age.eq(Mux(age == 2, 2, age + 1))]
        with m.If(age >= 1):
            m.d.comb += Assert(dut.count_early == sum(keep[0]))
        with m.If(age == 2):
            m.d.comb += Assert(dut.count == sum(keep[1]))
            for j in range(lanes):
                before = Signal(range(lanes + 1), name=f"before_{j}")
                m.d.comb += before.eq(sum(keep[1][:j]))
                with m.If(keep[1][j]):
                    m.d.comb += Assert(dut.dense[before] == elements[1][j])
        m.d.comb += Cover((age == 2) & (keep[1] == (2 if lanes > 1 else 1)))
        return m


class PackerHarness(wiring.Component):
    """Element number `which` in is element number `which` out; rows are full but for the last."""

    def __init__(self, lanes: int):
        self.lanes = lanes
        self.dut = Packer(2, lanes)
        row = self.dut.i.p.shape()
        super().__init__({"i": In(stream.Signature(row)), "o": Out(stream.Signature(row)), "which": In(4)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.dut = dut = self.dut
        wiring.connect(m, wiring.flipped(self.i), dut.i)
        wiring.connect(m, dut.o, wiring.flipped(self.o))
        held(m, self.i, Assume)
        held(m, self.o, Assert)
        started, which = Signal(), Signal(4)
        m.d.sync += [started.eq(1), which.eq(self.which)]
        m.d.comb += [Assume(~started | (self.which == which)), Assume(self.i.p.count <= self.lanes)]
        seen, kept_value = Signal(), Signal(2)
        totals = {}
        for name, port in (("in", self.i), ("out", self.o)):
            number = Signal(6, name=f"number_{name}")
            ends = Signal(6, name=f"ends_{name}")
            moved = Signal(name=f"moved_{name}")
            m.d.comb += moved.eq(port.valid & port.ready)
            with m.If(moved):
                m.d.sync += [number.eq(number + port.p.count), ends.eq(ends + port.p.last)]
            totals[name] = (number, ends, moved)
        number, _, moved = totals["in"]
        for j in range(self.lanes):
            with m.If(moved & (self.i.p.count > j) & (number + j == self.which)):
                m.d.sync += [seen.eq(1), kept_value.eq(self.i.p.elements[j])]
        number, _, moved = totals["out"]
        for j in range(self.lanes):
            with m.If(moved & (self.o.p.count > j) & (number + j == self.which)):
                m.d.comb += [Assert(seen), Assert(self.o.p.elements[j] == kept_value)]
        m.d.comb += [
            Assert(totals["out"][0] <= totals["in"][0]), Assert(totals["out"][1] <= totals["in"][1]),
            Assert(~self.o.valid | self.o.p.last | (self.o.p.count == self.lanes)),
            Cover(moved & self.o.p.last & (number >= self.lanes)),
        ]
        return m
