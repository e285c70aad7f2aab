"""Writer: output rows and state words as AXI4 write bursts on C channels."""

from __future__ import annotations

from amaranth import Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..bus.axi import aw_layout, b_layout, w_layout
from ..config import SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..stream.fifo import StreamFifo
from ..stream.layouts import out_beat
from .bursts import BurstBuilder, burst_beats

#: Bursts of one channel that may be unanswered.
MAX_OUTSTANDING = 31
#: Addresses buffered per channel; the data of as many bursts may be ahead of their addresses.
ADDRESS_DEPTH = 4


class Writer(wiring.Component):
    """Posts `rows` (kind 0, AXI id 0) and `state` (kind 1, AXI id 1) beats to memory.

    `aw`, `w`, `b`: one channel each per memory port; a beat says which, and its address there. AWVALID and WVALID
    depend on no bus signal; a burst's data may be offered before, with or after its address. Each channel has its own
    FIFOs, and up to `MAX_OUTSTANDING` unanswered bursts. A full channel blocks the others only when a beat for it is at
    the head. `b` is always taken.

    `idle`: nothing buffered or unanswered (low from the cycle after a beat is taken). `error`: sticky, bit 0
    output rows, bit 1 state: a response was not OKAY; `clear` resets both. `beats_out`, `beats_state`: pulse
    per beat handed to a channel, in the cycle after. `waits`, in the order of `error`: bursts of that kind are
    unanswered (a few cycles late).

    One beat per cycle sustained, whatever the lengths of rows; latency of `BurstBuilder` plus 2.
    """

    #: Beats of outputs, `out_beat`, AXI id 0.
    rows: stream.Interface
    #: Beats of stored state, `out_beat`, AXI id 1.
    state: stream.Interface
    #: Write addresses, one AXI4 channel per memory port.
    aw: list[stream.Interface]
    #: Write data, one per memory port.
    w: list[stream.Interface]
    #: Write responses, one per memory port; always taken.
    b: list[stream.Interface]
    #: Clears `error`.
    clear: Signal
    #: Nothing buffered or unanswered; low from the cycle after a beat is taken.
    idle: Signal
    #: A response was not OKAY since the last `clear`: bit 0 outputs, bit 1 state.
    error: Signal
    #: In the order of `error`: bursts of that kind are unanswered, a few cycles late.
    waits: Signal
    #: Pulse: a beat of outputs went to a channel.
    beats_out: Signal
    #: Pulse: a beat of state went to a channel.
    beats_state: Signal

    def __init__(self, config: SpAttenConfig):
        self.config = config
        super().__init__({
            "rows": In(stream.Signature(out_beat(config))),
            "state": In(stream.Signature(out_beat(config))),
            "aw": Out(stream.Signature(aw_layout(config))).array(config.channels),
            "w": Out(stream.Signature(w_layout(config))).array(config.channels),
            "b": In(stream.Signature(b_layout(config))).array(config.channels),
            "clear": In(1),
            "idle": Out(1),
            "error": Out(2),
            "waits": Out(2),
            "beats_out": Out(1),
            "beats_state": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.builder = builder = BurstBuilder(c)
        wiring.connect(m, wiring.flipped(self.rows), builder.rows)
        wiring.connect(m, wiring.flipped(self.state), builder.state)
        burst = builder.bursts
        channel = burst.p.channel

        # The first beat of a burst goes together with its address, the others alone.
        begun = Signal()
        ready = Signal()
        move = Signal()
        m.d.comb += [
            move.eq(burst.valid & builder.beats.valid & ready),
            builder.beats.ready.eq(burst.valid & ready),
            burst.ready.eq(move & builder.beats.p.last),
        ]
        m.d.sync += [self.beats_out.eq(move & ~burst.p.kind), self.beats_state.eq(move & burst.p.kind)]
        with m.If(move):
            m.d.sync += begun.eq(~builder.beats.p.last)

        quiet = Signal(c.channels)
        answered = [Signal(c.channels, name=f"answered_{kind}") for kind in ("output", "state")]
        failed = [Signal(c.channels, name=f"failed_{kind}") for kind in ("output", "state")]
        for n in range(c.channels):
            aw_fifo = StreamFifo(aw_layout(c), ADDRESS_DEPTH)
            w_fifo = StreamFifo(w_layout(c), max(4, burst_beats(c)), wide=c.axi_data_bits)
            m.submodules[f"aw_fifo_{n}"] = aw_fifo
            m.submodules[f"w_fifo_{n}"] = w_fifo
            wiring.connect(m, aw_fifo.o, wiring.flipped(self.aw[n]))
            wiring.connect(m, w_fifo.o, wiring.flipped(self.w[n]))
            own_beat = Signal(name=f"own_beat_{n}")
            opened = Signal(name=f"opened_{n}")
            unanswered = Signal(range(MAX_OUTSTANDING + 1), name=f"unanswered_{n}")
            m.d.comb += [
                own_beat.eq(channel == n if c.channels > 1 else 1),
                opened.eq(move & own_beat & ~begun),
                aw_fifo.i.valid.eq(opened),
                aw_fifo.i.p.addr.eq(burst.p.addr),
                aw_fifo.i.p.id.eq(burst.p.kind),
                aw_fifo.i.p.len.eq(burst.p.len),
                w_fifo.i.valid.eq(move & own_beat),
                w_fifo.i.p.data.eq(builder.beats.p.data),
                w_fifo.i.p.strb.eq(builder.beats.p.strobe),
                w_fifo.i.p.last.eq(builder.beats.p.last),
                self.b[n].ready.eq(1),
                quiet[n].eq(unanswered == 0),
            ]
            with m.If(own_beat):
                m.d.comb += ready.eq(w_fifo.i.ready & (begun | (aw_fifo.i.ready & (unanswered != MAX_OUTSTANDING))))
            m.d.sync += unanswered.eq(unanswered + opened - self.b[n].valid)
            always_taken(m, aw_fifo.i, f"addresses of channel {n}")
            always_taken(m, w_fifo.i, f"data of channel {n}")
            contract(m, unanswered != MAX_OUTSTANDING, f"no more writes of channel {n} wait than are counted",
                     when=opened)
            contract(m, unanswered != 0, f"channel {n} answers only what was asked", when=self.b[n].valid)
            for kind, flags in enumerate(failed):
                of_kind = self.b[n].valid & (self.b[n].p.id == kind)
                m.d.sync += [flags[n].eq(of_kind & (self.b[n].p.resp != 0)), answered[kind][n].eq(of_kind)]

        # Unanswered bursts of all channels, by kind. At most one is opened per cycle; openings and answers are counted
        # a cycle late.
        for kind, flags in enumerate(answered):
            count = Signal(range(MAX_OUTSTANDING * c.channels + 1), name=("outputs", "states")[kind])
            begins = Signal(name=f"begins_{kind}")
            ends = sum(flags, start=Const(0, 1))
            m.d.sync += [
                begins.eq(move & ~begun & (burst.p.kind == kind)), count.eq((count + begins - ends)[:len(count)]),
                self.waits[kind].eq(count != 0),
            ]

        with m.If(self.clear):
            m.d.sync += self.error.eq(0)
        for kind, flags in enumerate(failed):
            with m.If(flags.any()):
                m.d.sync += self.error[kind].eq(1)
        # A cycle after the answers, so that `error` is valid when `idle` rises. A beat on an input already counts.
        m.d.sync += self.idle.eq(quiet.all() & builder.idle & ~self.rows.valid & ~self.state.valid)
        contract(m, burst.p.addr[:clog2(c.beat_bytes)] == 0, "bursts are aligned", when=burst.valid)
        return m
