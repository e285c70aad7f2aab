"""Bytes between the frame buffer and memory."""

from __future__ import annotations

from amaranth import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.host.link.protocol import MAX_PAYLOAD

from .memory_port import memory_port


class BeatMover(wiring.Component):
    """Copies `length` ≥ 1 bytes between the buffer, from its byte 0, and memory, from `address` (any byte).

    `start`, for one cycle, begins, `write`: to memory; the arguments hold still until `done`, for one cycle; `error`
    then says that a response was one. One access of one beat at a time, bytes outside the range masked by strobes: a
    byte takes 1 or 2 cycles and a beat the memory's latency, against more than 40 cycles on the line. Id 0.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "memory": Out(memory_port(config)),
            "start": In(1), "write": In(1), "address": In(config.axi_addr_bits), "length": In(range(MAX_PAYLOAD + 1)),
            "done": Out(1), "error": Out(1),
            "r_addr": Out(range(MAX_PAYLOAD)), "r_data": In(8),
            "w_en": Out(1), "w_addr": Out(range(MAX_PAYLOAD)), "w_data": Out(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        memory = self.memory
        lane_bits = clog2(c.beat_bytes)
        index = Signal(range(MAX_PAYLOAD + 1))
        where = Signal(c.axi_addr_bits)
        lane = Signal(lane_bits)
        beat = Signal(c.axi_data_bits)
        strobe = Signal(c.beat_bytes)
        ends_beat = Signal()
        finished = Signal()
        m.d.comb += [
            where.eq(self.address + index), lane.eq(where[:lane_bits]),
            finished.eq(index == self.length),
            ends_beat.eq((lane == c.beat_bytes - 1) | (index + 1 == self.length)),
            self.r_addr.eq(index), self.w_addr.eq(index), self.w_data.eq(beat.word_select(lane, 8)),
            memory.w.payload.data.eq(beat), memory.w.payload.strb.eq(strobe), memory.w.payload.last.eq(1),
        ]
        # The address of the beat under way: `index` has moved past it when a gathered beat is sent.
        at = Signal(c.axi_addr_bits)
        m.d.comb += [memory.ar.payload.addr.eq(at), memory.aw.payload.addr.eq(at)]
        aligned = Const(-c.beat_bytes, c.axi_addr_bits)

        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [index.eq(0), strobe.eq(0)]
                with m.If(self.start):
                    m.d.sync += self.error.eq(0)
                    m.next = "BEAT"
            with m.State("BEAT"):
                m.d.sync += at.eq(where & aligned)
                m.d.comb += self.done.eq(finished)
                with m.If(finished):
                    m.next = "IDLE"
                with m.Elif(self.write):
                    m.next = "FETCHED"
                with m.Else():
                    m.d.sync += memory.ar.valid.eq(1)
                    m.next = "READ"
            # To memory: gather a beat, send it, wait for its response.
            with m.State("FETCH"):
                m.next = "FETCHED"
            with m.State("FETCHED"):
                m.d.sync += [
                    beat.word_select(lane, 8).eq(self.r_data), strobe.bit_select(lane, 1).eq(1), index.eq(index + 1),
                ]
                m.next = "FETCH"
                with m.If(ends_beat):
                    m.d.sync += [memory.aw.valid.eq(1), memory.w.valid.eq(1)]
                    m.next = "RESPONSE"
            with m.State("RESPONSE"):
                m.d.comb += memory.b.ready.eq(1)
                with m.If(memory.b.valid):
                    m.d.sync += [self.error.eq(self.error | memory.b.payload.resp[1]), strobe.eq(0)]
                    m.next = "BEAT"
            # From memory: fetch a beat, spread it.
            with m.State("READ"):
                m.d.comb += memory.r.ready.eq(1)
                with m.If(memory.r.valid):
                    m.d.sync += [
                        beat.eq(memory.r.payload.data), self.error.eq(self.error | memory.r.payload.resp[1]),
                    ]
                    m.next = "SPREAD"
            with m.State("SPREAD"):
                m.d.comb += self.w_en.eq(1)
                m.d.sync += index.eq(index + 1)
                with m.If(ends_beat):
                    m.next = "BEAT"
        for s in (memory.ar, memory.aw, memory.w):
            with m.If(s.valid & s.ready):
                m.d.sync += s.valid.eq(0)
        return m
