"""Groups of output elements into write beats."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..config import OUT_BITS, SpAttenConfig, clog2
from ..contract import always_taken, contract
from ..primitives.widths import wrap
from ..stream.layouts import out_beat


def group_layout(c: SpAttenConfig, size: int) -> data.StructLayout:
    """`size` output elements; `addr`, `channel`: where their row begins; `last` of the row."""
    return data.StructLayout({
        "elements": data.ArrayLayout(signed(OUT_BITS), size), "addr": unsigned(c.axi_addr_bits),
        "channel": unsigned(clog2(c.channels)), "last": 1,
    })


class BeatPacker(wiring.Component):
    """`i` (`group_layout`, groups of a row in order) → `o` (`out_beat`, kind 0): whole beats, and a row's last one with
    only its bytes strobed.

    Always taken, one group per cycle; a beat leaves `LATENCY` cycles after its last group. `ends`: the group on `i`
    completes a beat.
    """

    LATENCY = 1

    i: stream.Interface
    o: stream.Interface
    ends: Signal

    def __init__(self, config: SpAttenConfig, size: int):
        self.config = c = config
        self.size = size
        super().__init__({
            "i": In(stream.Signature(group_layout(c, size))), "o": Out(stream.Signature(out_beat(c))), "ends": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self.config
        groups = c.axi_data_bits // OUT_BITS // self.size      # in a beat
        p = self.i.payload
        out = Signal(out_beat(c), reset_less=True)
        place = Signal(range(max(2, groups)))       # of the group in its beat
        number = Signal(range(max(2, c.max_dim * OUT_BITS // c.axi_data_bits + 1)))     # of the beat in its row
        m.d.comb += [
            self.i.ready.eq(1), self.ends.eq(p.last | (place == groups - 1)), self.o.payload.eq(out),
        ]
        m.d.sync += self.o.valid.eq(self.i.valid & self.ends)
        strobes = 2 * self.size
        with m.If(self.i.valid):
            m.d.sync += [
                place.eq(Mux(self.ends, 0, place + 1)), number.eq(Mux(p.last, 0, number + self.ends)),
                out.addr.eq(wrap(p.addr + Cat(Const(0, clog2(c.beat_bytes)), number), c.axi_addr_bits)),
                out.channel.eq(p.channel), out.last.eq(p.last), out.kind.eq(0),
            ]
            for g in range(groups):
                with m.If(place == g):
                    m.d.sync += [
                        out.data.word_select(g, self.size * OUT_BITS).eq(p.elements),
                        out.strobe.eq((1 << strobes * (g + 1)) - 1),
                    ]
        contract(m, p.addr[:clog2(c.beat_bytes)] == 0, "rows begin on whole beats", when=self.i.valid)
        always_taken(m, self.o, "beats")
        return m
