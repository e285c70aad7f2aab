"""What the write port promises on the bus, for any rows and any memory behind it."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.hdl import Assert, Assume, Cover
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spatten_hw.bus.axi import LEN_BITS, aw_layout, b_layout, w_layout
from spatten_hw.config import SpAttenConfig, clog2
from spatten_hw.stream.layouts import out_beat
from spatten_hw.write.bursts import burst_beats
from spatten_hw.write.writer import Writer

from .harnesses import held

#: Numbers of bursts and beats are counted to this many bits; runs are too short for more.
BITS = 5
#: Addresses are below this: several blocks of the longest burst, on every channel; their upper bits are copied only.
SPACE = 256


class WriteHarness(wiring.Component):
    """AXI4 of every channel, and that what goes in comes out: each beat once, in its burst, at its address.

    A beat's data are its address (and its kind), so a beat in the wrong place shows. Of a symbolic burst number
    `which` of every channel, address and data are compared, however far apart they leave. `outstanding`: bursts that
    may be unanswered.
    """

    def __init__(self, config: SpAttenConfig, outstanding: int):
        self.config = c = config
        self.outstanding = outstanding
        super().__init__({
            "rows": In(stream.Signature(out_beat(c))), "state": In(stream.Signature(out_beat(c))),
            "aw": Out(stream.Signature(aw_layout(c))).array(c.channels),
            "w": Out(stream.Signature(w_layout(c))).array(c.channels),
            "b": In(stream.Signature(b_layout(c))).array(c.channels),
            "which": In(2), "beat": In(clog2(burst_beats(c))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        m.submodules.dut = dut = Writer(c)
        low = clog2(c.beat_bytes)
        into = Signal(BITS + 2)
        out = Signal(BITS + 2)
        for kind, (port, inner) in enumerate(((self.rows, dut.rows), (self.state, dut.state))):
            held(m, port, Assume)
            wiring.connect(m, wiring.flipped(port), inner)
            with m.If(port.valid):
                m.d.comb += [
                    Assume(port.p.data == _mark(c, port.p.addr, port.p.channel, port.p.kind)),
                    Assume(port.p.kind == kind),
                    Assume(port.p.addr[:low] == 0), Assume(port.p.addr < SPACE), Assume(port.p.strobe.all()),
                ]
            # A row is of one channel.
            inside, channel = Signal(name=f"inside_{kind}"), Signal.like(port.p.channel, name=f"channel_{kind}")
            with m.If(port.valid & port.ready):
                m.d.sync += [inside.eq(~port.p.last), channel.eq(port.p.channel)]
            m.d.comb += Assume(~port.valid | ~inside | (port.p.channel == channel))
        taken = [p.valid & p.ready for p in (self.rows, self.state)]
        m.d.sync += into.eq(into + taken[0] + taken[1])

        started = Signal()
        fixed = Signal(len(self.which) + len(self.beat))
        m.d.sync += [started.eq(1), fixed.eq(Cat(self.which, self.beat))]
        m.d.comb += Assume(~started | (fixed == Cat(self.which, self.beat)))

        left = []
        waiting = Signal(c.channels)
        for n in range(c.channels):
            wiring.connect(m, dut.aw[n], wiring.flipped(self.aw[n]))
            wiring.connect(m, dut.w[n], wiring.flipped(self.w[n]))
            wiring.connect(m, wiring.flipped(self.b[n]), dut.b[n])
            left.append(self._channel(m, n, waiting))
        m.d.sync += out.eq(out + sum(left))
        m.d.comb += [
            # Idle: every beat has left, every burst is answered.
            Assert(~dut.idle | ((into == out) & (waiting == 0))),
            Cover(dut.idle & (into == 3)),
        ]
        return m

    def _channel(self, m: Module, n: int, waiting: Signal) -> Signal:
        c = self.config
        aw, w, b = self.aw[n], self.w[n], self.b[n]
        longest = burst_beats(c)
        low, block = clog2(c.beat_bytes), clog2(longest * c.beat_bytes)

        def signal(name: str, width: int = BITS) -> Signal:
            return Signal(width, name=f"{name}_{n}")

        aw_moves, w_moves, b_moves = (signal(f"{s}_moves", 1) for s in ("aw", "w", "b"))
        m.d.comb += [
            aw_moves.eq(aw.valid & aw.ready), w_moves.eq(w.valid & w.ready), b_moves.eq(b.valid & b.ready),
            Assert(b.ready),
        ]
        for port in (aw, w):
            held(m, port, Assert)
        # Bursts inside 4 KB: inside an aligned block of the longest burst, which is no more.
        with m.If(aw.valid):
            m.d.comb += [
                Assert(aw.p.addr[:low] == 0), Assert(aw.p.len < longest),
                Assert(aw.p.addr[low:block] + aw.p.len < longest),
            ]
            assert longest * c.beat_bytes <= 4096
        addresses, bursts, answers, beats = (signal(s) for s in ("addresses", "bursts", "answers", "beats"))
        m.d.sync += [addresses.eq(addresses + aw_moves), answers.eq(answers + b_moves)]
        with m.If(w_moves):
            m.d.sync += [bursts.eq(bursts + w.p.last), beats.eq(Mux(w.p.last, 0, beats + 1))]
        m.d.comb += [
            # A memory answers what it has taken as a whole.
            Assume(~b.valid | ((answers != addresses) & (answers != bursts))),
            Assert((addresses - answers)[:BITS] <= self.outstanding),
            Assert((bursts - answers)[:BITS] <= self.outstanding),
            waiting[n].eq((addresses != answers) | (bursts != answers)),
        ]
        # Burst `which`: its address and its data, whichever leaves first.
        have_address, have_data, have_beat = (signal(f"have_{s}", 1) for s in ("address", "data", "beat"))
        addr, length = signal("addr", len(aw.p.addr)), signal("len", LEN_BITS)
        kind = signal("kind", 1)
        last_beat, mark = signal("last_beat"), signal("mark", len(w.p.data))
        with m.If(aw_moves & (addresses == self.which)):
            m.d.sync += [have_address.eq(1), addr.eq(aw.p.addr), length.eq(aw.p.len), kind.eq(aw.p.id)]
            m.d.comb += Assert(aw.p.id < 2)
        with m.If(w_moves & (bursts == self.which)):
            with m.If(beats == self.beat):
                m.d.sync += [have_beat.eq(1), mark.eq(w.p.data)]
                m.d.comb += Assert(w.p.strb.all())
            with m.If(w.p.last):
                m.d.sync += [have_data.eq(1), last_beat.eq(beats)]
        here = signal("here", len(aw.p.addr))
        m.d.comb += here.eq(addr + (self.beat << low))
        with m.If(have_address & have_data):
            m.d.comb += Assert(last_beat == length)
        with m.If(have_address & have_beat):
            m.d.comb += Assert(mark == _mark(c, here, n, kind))
        m.d.comb += [
            Cover(have_address & have_data & (last_beat == longest - 1) & (self.which == 1)),
            Cover(have_data & ~have_address), Cover(have_address & ~have_data),
            Cover((addresses - answers)[:BITS] == self.outstanding),
        ]
        return w_moves


def _mark(c: SpAttenConfig, addr, channel, kind):
    """Data of a beat at `addr` of `channel`: its kind, its channel, then its address in beats."""
    channel = Const(channel, clog2(c.channels)) if isinstance(channel, int) else channel
    return Cat(kind, channel, addr[clog2(c.beat_bytes):])[:c.axi_data_bits]
