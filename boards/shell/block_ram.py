"""Memory inside the FPGA, behind the accelerator's memory port."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from spatten_hw.config import SpAttenConfig, clog2

from .memory_port import DECERR, OKAY, memory_port


class BlockRamMemory(wiring.Component):
    """`size` bytes (whole beats, from address 0) on `port`, in block RAM.

    Bursts are answered in the order of their addresses, reads and writes independently; ids come back. Reads: first
    beat 2 cycles after the address, then one beat a cycle, across bursts too. Writes: one beat a cycle, the response
    1 cycle after the last; data are taken only behind their address. Beats beyond `size` read as zero and are not
    written; their response is DECERR. `r` and `b` payloads are registers or the memory's output; `r.ready` reaches
    the memory's enable and `ar.ready` combinationally, `b.ready` reaches `w.ready` and `aw.ready`.
    """

    def __init__(self, config: SpAttenConfig, size: int):
        if size < config.beat_bytes or size % config.beat_bytes:
            raise ValueError(f"block RAM of {size} bytes: must be whole beats of {config.beat_bytes}")
        self.config = config
        self.size = size
        super().__init__({"port": In(memory_port(config))})

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        depth = self.size // c.beat_bytes
        m.submodules.ram = ram = memory.Memory(shape=c.axi_data_bits, depth=depth, init=[])
        beat_shift = clog2(c.beat_bytes)
        self._reads(m, ram.read_port(), depth, beat_shift)
        self._writes(m, ram.write_port(granularity=8), depth, beat_shift)
        return m

    def _reads(self, m: Module, port: memory.ReadPort, depth: int, beat_shift: int) -> None:
        ar, r = self.port.ar, self.port.r
        beat = Signal(self.config.axi_addr_bits - beat_shift, name="read_beat")
        left = Signal(8, name="read_left")
        ident = Signal(self.config.id_bits, name="read_id")
        active = Signal(name="read_active")
        advance = Signal(name="read_advance")
        beyond = Signal(name="read_beyond")
        m.d.comb += [
            advance.eq(~r.valid | r.ready), port.en.eq(advance), port.addr.eq(beat),
            ar.ready.eq(~active | (advance & (left == 0))),
            r.payload.data.eq(Mux(beyond, 0, port.data)), r.payload.resp.eq(Mux(beyond, DECERR, OKAY)),
        ]
        with m.If(advance):
            m.d.sync += [
                r.valid.eq(active), r.payload.id.eq(ident), r.payload.last.eq(left == 0), beyond.eq(beat >= depth),
                beat.eq(beat + 1), left.eq(left - 1),
            ]
            with m.If(left == 0):
                m.d.sync += active.eq(0)
        with m.If(ar.valid & ar.ready):
            m.d.sync += [active.eq(1), beat.eq(ar.payload.addr >> beat_shift), left.eq(ar.payload.len),
                         ident.eq(ar.payload.id)]

    def _writes(self, m: Module, port: memory.WritePort, depth: int, beat_shift: int) -> None:
        aw, w, b = self.port.aw, self.port.w, self.port.b
        beat = Signal(self.config.axi_addr_bits - beat_shift, name="write_beat")
        ident = Signal(self.config.id_bits, name="write_id")
        active = Signal(name="write_active")
        beyond = Signal(name="write_beyond")
        done = Signal(name="write_done")
        m.d.comb += [
            # A last beat needs room for its response.
            w.ready.eq(active & (~b.valid | b.ready)), done.eq(w.valid & w.ready & w.payload.last),
            aw.ready.eq(~active | done), beyond.eq(beat >= depth),
            port.addr.eq(beat), port.data.eq(w.payload.data),
            port.en.eq(Mux(w.valid & w.ready & ~beyond, w.payload.strb, 0)),
        ]
        with m.If(b.ready):
            m.d.sync += b.valid.eq(0)
        with m.If(w.valid & w.ready):
            m.d.sync += beat.eq(beat + 1)
        with m.If(done):    # if any beat lies beyond, the last one does
            m.d.sync += [active.eq(0), b.valid.eq(1), b.payload.id.eq(ident),
                         b.payload.resp.eq(Mux(beyond, DECERR, OKAY))]
        with m.If(aw.valid & aw.ready):
            m.d.sync += [active.eq(1), beat.eq(aw.payload.addr >> beat_shift), ident.eq(aw.payload.id)]


@dataclass(frozen=True)
class BlockRam:
    """A system's memory in block RAM: `size` bytes."""

    size: int

    @property
    def pins(self) -> dict[str, wiring.Member]:
        """Ports it adds to the system."""
        return {}

    def build(self, config: SpAttenConfig) -> wiring.Component:
        """The memory, with `port` and its pins."""
        return BlockRamMemory(config, self.size)
