"""Queries of a slice: one per score slot, and whether it is there."""

from __future__ import annotations

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..config import SpAttenConfig, clog2
from ..contract import contract
from ..primitives.registers import NO_COLLISIONS


def slot_layout(c: SpAttenConfig) -> data.StructLayout:
    """A score slot."""
    return data.StructLayout({"slot": unsigned(c.slot_bits)})


class QueryMemory(wiring.Component):
    """`slots` queries of `max_chunks` chunks.

    write: chunk `chunk` of the q row of `slot`; with `last`, q of that slot is there from the next cycle on.
    slot_taken: always taken; q of that slot is not there any more, from the next cycle on.
    read: with `read_en`; `read_data` follows one cycle later.
    """

    write_en: Signal
    write_slot: Signal
    write_chunk: Signal
    write_last: Signal
    write_data: Signal
    slot_taken: stream.Interface
    there: Signal
    read_en: Signal
    read_slot: Signal
    read_chunk: Signal
    read_data: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = c = config
        bits = c.chunk * c.operand_bits
        super().__init__({
            "write_en": In(1), "write_slot": In(c.slot_bits), "write_chunk": In(c.chunk_bits), "write_last": In(1),
            "write_data": In(bits),
            "slot_taken": In(stream.Signature(slot_layout(c))),
            "there": Out(c.slots),
            "read_en": In(1), "read_slot": In(c.slot_bits), "read_chunk": In(c.chunk_bits), "read_data": Out(bits),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        chunk_bits = clog2(c.max_chunks)
        m.submodules.memory = memory = Memory(
            shape=unsigned(c.chunk * c.operand_bits), depth=c.slots << chunk_bits, init=[], attrs=NO_COLLISIONS)
        write, read = memory.write_port(), memory.read_port(transparent_for=())
        m.d.comb += [
            write.addr.eq(Cat(self.write_chunk[:chunk_bits], self.write_slot)),
            write.data.eq(self.write_data),
            write.en.eq(self.write_en),
            read.addr.eq(Cat(self.read_chunk[:chunk_bits], self.read_slot)),
            read.en.eq(self.read_en),
            self.read_data.eq(read.data),
            self.slot_taken.ready.eq(1),
        ]
        for slot in range(c.slots):
            with m.If(self.write_en & self.write_last & (self.write_slot == slot)):
                m.d.sync += self.there[slot].eq(1)
            with m.If(self.slot_taken.valid & (self.slot_taken.p.slot == slot)):
                m.d.sync += self.there[slot].eq(0)
        contract(m, ~self.there.bit_select(self.write_slot, 1), "a query that is there is not overwritten",
                 when=self.write_en)
        contract(m, self.write_chunk < c.max_chunks, "a query has no more chunks than the longest", when=self.write_en)
        contract(m, self.there.bit_select(self.read_slot, 1), "a query that is read is there", when=self.read_en)
        return m
