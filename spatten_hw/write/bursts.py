"""Two streams of write beats into one, cut into AXI4 bursts."""

from __future__ import annotations

from amaranth import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import LEN_BITS
from ..config import PAGE_BYTES, SpAttenConfig, clog2
from ..contract import contract
from ..stream.fifo import StreamFifo
from ..stream.layouts import out_beat
from ..stream.skid import SkidBuffer

#: Longest write burst: longer ones gain nothing and cost buffer.
MAX_BURST_BEATS = 16


def burst_beats(c: SpAttenConfig) -> int:
    """Longest burst: beats of an aligned block, which lies inside one 4-KB page."""
    return min(PAGE_BYTES // c.beat_bytes, MAX_BURST_BEATS)


def burst_layout(c: SpAttenConfig) -> data.StructLayout:
    """A burst of len + 1 beats to local address `addr` of `channel`; `kind` as in `out_beat`."""
    return data.StructLayout({
        "addr": unsigned(c.axi_addr_bits), "channel": unsigned(clog2(c.channels)), "len": unsigned(LEN_BITS), "kind": 1,
    })


def beat_layout(c: SpAttenConfig) -> data.StructLayout:
    """One beat of a burst; `last` on its final one."""
    return data.StructLayout({"data": unsigned(c.axi_data_bits), "strobe": unsigned(c.beat_bytes), "last": 1})


class BurstBuilder(wiring.Component):
    """Merges output rows and state sections, whole rows at a time in turn, and cuts them into bursts.

    A burst is a run of beats of one row at consecutive addresses inside one aligned block of
    `burst_beats(config)` beats. `bursts`: its address and length, offered once its last beat is buffered, so
    a burst that has begun on the bus can always be finished; `beats`: all bursts' beats, in order. Beats that
    do not follow one another (several writes to one word) become bursts of one.

    One beat per cycle in and out, no idle cycle between rows. Latency 3 cycles: of a beat (in the middle of a burst if
    the next one follows at once), and of an address from its burst's last beat. FIFOs cut the paths between inputs and
    outputs; `rows.ready` and `state.ready` depend combinationally on both inputs' valid. `idle`: nothing is buffered.
    """

    rows: stream.Interface
    state: stream.Interface
    bursts: stream.Interface
    beats: stream.Interface
    idle: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "rows": In(stream.Signature(out_beat(config))),
            "state": In(stream.Signature(out_beat(config))),
            "bursts": Out(stream.Signature(burst_layout(config))),
            "beats": Out(stream.Signature(beat_layout(config))),
            "idle": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        longest = burst_beats(c)
        # Room for a burst being read while the next one is collected.
        m.submodules.beat_fifo = beat_fifo = StreamFifo(beat_layout(c), 2 * longest + 2, wide=c.axi_data_bits)
        m.submodules.burst_fifo = burst_fifo = StreamFifo(burst_layout(c), 4)

        # Arbiter: grants one of the two inputs until its row ends.
        locked = Signal()
        chosen = Signal()  # whose turn it was last
        pick = Signal()    # 0 rows, 1 state
        m.submodules.merged = merged = SkidBuffer(out_beat(c))
        m.d.comb += [
            pick.eq(Mux(locked, chosen, Mux(chosen, ~self.rows.valid, self.state.valid))),
            merged.i.payload.eq(Mux(pick, self.state.p, self.rows.p)),
            merged.i.valid.eq(Mux(pick, self.state.valid, self.rows.valid)),
            self.rows.ready.eq(merged.i.ready & ~pick),
            self.state.ready.eq(merged.i.ready & pick),
        ]
        with m.If(merged.i.valid & merged.i.ready):
            m.d.sync += [chosen.eq(pick), locked.eq(~merged.i.p.last)]
        taken, taken_valid = merged.o.payload, merged.o.valid
        taken_ready = Signal()

        # Holds each beat until it is known whether the next one continues its burst.
        held = Signal(out_beat(c), reset_less=True)
        held_valid = Signal()
        following = Signal(c.axi_addr_bits, reset_less=True)  # address right behind the held beat
        first_addr = Signal(c.axi_addr_bits, reset_less=True)
        length = Signal(range(longest))
        block_end = Signal()
        ends = Signal()
        known = Signal()
        emit = Signal()
        block_bits = clog2(longest)
        low = clog2(c.beat_bytes)
        m.d.comb += [
            block_end.eq(held.addr[low:low + block_bits].all() if block_bits else Const(1)),
            ends.eq(held.last | block_end | (taken.addr != following)),
            known.eq(held_valid & (held.last | block_end | taken_valid)),
            # Requires room for an address even if no burst ends: otherwise the enables of the FIFO's memory would
            # depend on a comparison of addresses.
            emit.eq(known & beat_fifo.i.ready & burst_fifo.i.ready),
            taken_ready.eq(~held_valid | emit), merged.o.ready.eq(taken_ready),
            beat_fifo.i.valid.eq(emit),
            beat_fifo.i.p.data.eq(held.data),
            beat_fifo.i.p.strobe.eq(held.strobe),
            beat_fifo.i.p.last.eq(ends),
            burst_fifo.i.valid.eq(emit & ends),
            burst_fifo.i.p.addr.eq(first_addr), burst_fifo.i.p.channel.eq(held.channel),
            burst_fifo.i.p.len.eq(length),
            burst_fifo.i.p.kind.eq(held.kind),
        ]
        with m.If(taken_ready):
            m.d.sync += held_valid.eq(taken_valid)
            with m.If(taken_valid):
                m.d.sync += [held.eq(taken), following.eq((taken.addr + c.beat_bytes)[:c.axi_addr_bits])]
                with m.If(held_valid & ~ends):
                    m.d.sync += length.eq(length + 1)
                with m.Else():
                    m.d.sync += [length.eq(0), first_addr.eq(taken.addr)]

        wiring.connect(m, beat_fifo.o, wiring.flipped(self.beats))
        wiring.connect(m, burst_fifo.o, wiring.flipped(self.bursts))
        m.d.comb += self.idle.eq(~taken_valid & ~held_valid & (beat_fifo.level == 0) & (burst_fifo.level == 0))
        contract(m, taken.addr[:low] == 0, "beats are aligned", when=taken_valid)
        contract(m, length < longest, "a burst is no longer than its block", when=held_valid)
        return m
