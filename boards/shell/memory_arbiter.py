"""Two masters, one memory: the accelerator and the link's bridge."""

from __future__ import annotations

from typing import Any

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from spatten_hw.bus.axi import ar_layout, aw_layout, b_layout, r_layout, w_layout
from spatten_hw.config import SpAttenConfig
from spatten_hw.stream.fifo import StreamFifo
from spatten_hw.stream.skid import SkidBuffer

from .memory_port import memory_port

#: Bursts under way whose owner is remembered, of each kind.
DEPTH = 32
ACCELERATOR, BRIDGE = 0, 1


class MemoryArbiter(wiring.Component):
    """Joins `accelerator` and `bridge` to `memory`, which must answer in the order of the addresses.

    The bridge goes first: it has one access at a time and is slow, so it cannot hold the accelerator up. Who asked is
    kept in a FIFO per channel and not in the id; ids pass unchanged. All five channels take 1 cycle (skid buffers), a
    payload a cycle. Write data go in the order of the write addresses.
    """

    def __init__(self, config: SpAttenConfig):
        self.config = config
        port = memory_port(config)
        super().__init__({"accelerator": In(port), "bridge": In(port), "memory": Out(port)})

    def elaborate(self, platform) -> Module:
        m = Module()
        masters = (self.accelerator, self.bridge)
        memory = self.memory
        m.submodules.readers = readers = StreamFifo(1, DEPTH)
        m.submodules.writers = writers = StreamFifo(1, DEPTH)
        m.submodules.answers = answers = StreamFifo(1, DEPTH)
        m.submodules.ar_skid = ar_skid = SkidBuffer(ar_layout(self.config))
        m.submodules.aw_skid = aw_skid = SkidBuffer(aw_layout(self.config))
        m.submodules.w_skid = w_skid = SkidBuffer(w_layout(self.config))
        m.submodules.r_skid = r_skid = SkidBuffer(r_layout(self.config))
        m.submodules.b_skid = b_skid = SkidBuffer(b_layout(self.config))
        for skid, port in ((ar_skid, memory.ar), (aw_skid, memory.aw), (w_skid, memory.w)):
            connect(m, skid.o, flipped(port))
        for skid, port in ((r_skid, memory.r), (b_skid, memory.b)):
            connect(m, flipped(port), skid.i)

        def choose(name: str, skid: SkidBuffer, owners: list[StreamFifo]) -> None:
            """Addresses of both masters to `skid`, the owner of each to all `owners`."""
            streams = [getattr(master, name) for master in masters]
            owner = Signal(name=f"{name}_owner")
            asked = Signal(name=f"{name}_asked")
            m.d.comb += [
                owner.eq(streams[BRIDGE].valid), asked.eq(streams[0].valid | streams[1].valid),
                skid.i.payload.eq(Mux(owner, streams[1].payload.as_value(), streams[0].payload.as_value())),
                *(fifo.i.payload.eq(owner) for fifo in owners),
            ]
            # Every part takes it in the same cycle, or none does.
            parts: list[Any] = [skid, *owners]
            room = Cat(part.i.ready for part in parts).all()
            m.d.comb += [part.i.valid.eq(asked & Cat(p.i.ready for p in parts if p is not part).all())
                         for part in parts]
            for number, s in enumerate(streams):
                m.d.comb += s.ready.eq(room & (owner == number))

        choose("ar", ar_skid, [readers])
        choose("aw", aw_skid, [writers, answers])
        reader, writer, answer = readers.o.payload, writers.o.payload, answers.o.payload
        w, r, b = w_skid.i, r_skid.o, b_skid.o
        for number, master in enumerate(masters):
            m.d.comb += [
                master.r.payload.eq(r.payload), master.b.payload.eq(b.payload),
                master.r.valid.eq(r.valid & readers.o.valid & (reader == number)),
                master.b.valid.eq(b.valid & answers.o.valid & (answer == number)),
                master.w.ready.eq(w.ready & writers.o.valid & (writer == number)),
            ]
        m.d.comb += [
            r.ready.eq(readers.o.valid & Mux(reader, self.bridge.r.ready, self.accelerator.r.ready)),
            readers.o.ready.eq(r.valid & r.ready & r.payload.last),
            w.valid.eq(writers.o.valid & Mux(writer, self.bridge.w.valid, self.accelerator.w.valid)),
            w.payload.eq(Mux(writer, self.bridge.w.payload.as_value(), self.accelerator.w.payload.as_value())),
            writers.o.ready.eq(w.valid & w.ready & w.payload.last),
            b.ready.eq(answers.o.valid & Mux(answer, self.bridge.b.ready, self.accelerator.b.ready)),
            answers.o.ready.eq(b.valid & b.ready),
        ]
        return m
