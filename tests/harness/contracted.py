"""Small blocks: one with contracts, inside one that keeps them or not, and one that shows what it begins with."""

from __future__ import annotations

from amaranth import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spatten_hw.contract import contract, stream_contract
from spatten_hw.primitives.registers import payload_register
from spatten_hw.shared import Shared

DEPTH = 3
#: Contracts in the Verilog of a `Trusting`.
CONTRACTS = 2
ROOM = "nothing comes while all places are taken"


class Counted(wiring.Component):
    """Passes payloads on a cycle later; at most `DEPTH` may have come and not been `done`."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self):
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4)), "done": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        inside = Signal(range(DEPTH + 1))
        payload = payload_register(m, self.o.payload, "payload")
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        come = self.i.valid & self.i.ready
        with m.If(self.i.ready):
            m.d.sync += [self.o.valid.eq(self.i.valid), payload.eq(self.i.payload)]
        m.d.sync += inside.eq(inside + come - self.done)
        contract(m, inside != DEPTH, ROOM, when=come)
        stream_contract(m, self.o, "o")
        return m


class Trusting(wiring.Component):
    """`Counted` as a shared block; what leaves is done in the same cycle, unless `forget`."""

    i: stream.Interface
    o: stream.Interface
    forget: Signal

    def __init__(self):
        super().__init__({"i": In(stream.Signature(4)), "o": Out(stream.Signature(4)), "forget": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.counted = counted = Shared(Counted)
        wiring.connect(m, wiring.flipped(self.i), counted.i)
        wiring.connect(m, counted.o, wiring.flipped(self.o))
        m.d.comb += counted.done.eq(self.o.valid & self.o.ready & ~self.forget)
        return m


class Unreset(wiring.Component):
    """Shows what a register without reset, and the words of a memory, begin with."""

    def __init__(self):
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(1)),
                          "data": Out(32), "counted": Out(32), "address": In(2), "word": Out(16)})

    def elaborate(self, platform) -> Module:
        m = Module()
        register, counted = Signal(32, reset_less=True), Signal(32)
        m.submodules.memory = memory = Memory(shape=unsigned(16), depth=4, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [self.i.ready.eq(1), self.data.eq(register), self.counted.eq(counted),
                     write.en.eq(self.i.valid), write.addr.eq(self.i.payload[:2]), write.data.eq(self.i.payload),
                     read.addr.eq(self.address), self.word.eq(read.data)]
        m.d.sync += counted.eq(counted + 1)
        with m.If(self.i.valid):
            m.d.sync += register.eq(self.i.payload)
        return m
