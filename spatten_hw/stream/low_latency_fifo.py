"""A FIFO with a latency of one cycle from empty, at any depth."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value
from amaranth.hdl import ShapeLike
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..contract import contract
from .fifo import StreamFifo


class LowLatencyFifo(wiring.Component):
    """Stores `depth` ≥ 3 or more payloads of `shape`, first in, first out, 1 per cycle in and out at any fill level.

    Two output registers and a memory: from empty the latency is `LATENCY` = 1 cycle, where a memory alone takes 2. The
    memory is used only while both registers are full. A memory deeper than `MAX_LUT_DEPTH` outputs a payload a cycle
    later than a shallow one: if it holds no other payload, `o.valid` may be low for a cycle. `o` and `i.ready` come
    from registers. `level`: payloads in the memory, beyond those in the registers.
    """

    LATENCY = 1

    i: stream.Interface
    o: stream.Interface
    level: Signal

    def __init__(self, shape: ShapeLike, depth: int):
        if depth < 3:
            raise ValueError(f"depth must be at least 3, not {depth}")
        self.shape = shape
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)),
                          "level": Out(depth.bit_length())})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = StreamFifo(self.shape, self.depth)
        width = len(Value.cast(self.i.payload))
        front = Signal(width)
        second = Signal(width)
        arriving = Signal(width)
        front_valid = Signal()
        second_valid = Signal()
        arriving_valid = Signal()
        stored = Signal()  # the memory holds payloads, which leave before the arriving one
        room = Signal()
        m.d.comb += [
            stored.eq(memory.level != 0), self.level.eq(memory.level),
            room.eq(~second_valid | self.o.ready),
            self.i.ready.eq(memory.i.ready),
            memory.i.valid.eq(self.i.valid & (stored | ~room)),
            Value.cast(memory.i.payload).eq(self.i.payload),
            memory.o.ready.eq(room),
            arriving.eq(Mux(stored, memory.o.payload, self.i.payload)),
            arriving_valid.eq(Mux(stored, memory.o.valid, self.i.valid)),
            self.o.valid.eq(front_valid),
            Value.cast(self.o.payload).eq(front),
        ]
        with m.If(self.o.ready | ~front_valid):
            m.d.sync += [
                front.eq(Mux(second_valid, second, arriving)), front_valid.eq(second_valid | arriving_valid),
                second.eq(arriving), second_valid.eq(second_valid & arriving_valid),
            ]
        with m.Elif(~second_valid):
            m.d.sync += [second.eq(arriving), second_valid.eq(arriving_valid)]
        contract(m, front_valid | ~second_valid, "the second register is used only while the first one is")
        return m
